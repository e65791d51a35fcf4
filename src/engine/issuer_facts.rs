//! What the issuer of a token knows of the person in it, beyond the token.

use std::fmt;

use crate::clock::Timestamp;
use crate::facts::Circumstances;
#[cfg(feature = "http-client")]
use crate::facts::{Bearer, GetIdentity};
use crate::policy::Policies;
use crate::util::deferred::Deferred;

use super::verified::Verified;

/// Asks the issuer about the bearers of its tokens.
pub(super) trait IssuerFacts: fmt::Debug + Send + Sync {
    /// Adds what the issuer knows of a person to the facts of a request, where policies ask for it.
    ///
    /// With `may_wait` the first request of a token gets the end of the question to wait for.
    fn add_to(
        &self,
        facts: &mut Circumstances,
        verified: &Verified,
        policies: &Policies,
        now: Timestamp,
        may_wait: bool,
    ) -> Result<(), Deferred>;
}

#[cfg(feature = "http-client")]
impl IssuerFacts for GetIdentity {
    fn add_to(
        &self,
        facts: &mut Circumstances,
        verified: &Verified,
        policies: &Policies,
        now: Timestamp,
        may_wait: bool,
    ) -> Result<(), Deferred> {
        if !Self::can_help(policies) {
            return Ok(());
        }
        // Without an address nobody can tell whether the answer is about the same person.
        let (Some(email), Some(token)) = (verified.identity.address(), verified.assertion()) else {
            return Ok(());
        };
        let bearer = Bearer { token, email, attributes: verified.attributes.as_ref() };
        if let Some(told) = self.look(bearer, now, may_wait)? {
            facts.hear(&told);
        }
        Ok(())
    }
}
