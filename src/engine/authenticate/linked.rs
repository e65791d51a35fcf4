//! Tokens of another application, presented on behalf of the person in them: section 9.5 of the
//! contract.
//!
//! Application A takes the assertion it received and sends it to application B as
//! `cf-access-token`. A `non_identity` policy of B that names A opens; the person in the token is
//! whom B's origin sees. It is no login at B: no `allow` policy opens by it, and it leads to no
//! cookie. A token in a cookie is never looked at in this way.

use std::sync::Arc;

use crate::facts::asks_of_login;
use crate::identity::Subject;
use crate::policy::Facts;
use crate::token::TokenKind;
use crate::util::deferred::Deferred;

use super::super::credential::LinkedToken;
use super::super::session_facts::{admits_login, session_attributes};
use super::super::verified::Verified;
use super::super::{Engine, Role};
use super::verify::{self, TokenCheck, Verification};

/// What a token is that is not good for the application itself: good for one whose tokens it
/// takes, or nothing. `Err` asks for a wait.
pub(super) fn linked_token(
    engine: &Engine,
    token: &[u8],
    check: TokenCheck<'_>,
) -> Result<Option<LinkedToken>, Deferred> {
    let Role::Issuing(issuing) = &engine.role else { return Ok(None) };
    if !check.at.application.policies.asks_for_linked_application() {
        return Ok(None);
    }
    for application in issuing.linked_applications.of(check.at.application) {
        let there = TokenCheck { at: check.at.with_application(application), ..check };
        let by_cache = TokenCheck { may_wait: false, is_linked: true, ..there };
        if let Verification::Good(verified) =
            verify::examine(engine, token, TokenKind::Application, by_cache)
            // Who would not be let in there is not let in here.
            && may_be_let_in(engine, &verified, there)?
        {
            let application = Arc::clone(application);
            return Ok(Some(LinkedToken { verified, application }));
        }
    }
    Ok(None)
}

/// Whether an application may still let in the person of a token made for it. Where its own
/// request came from is not known here: that was judged there.
fn may_be_let_in(
    engine: &Engine,
    verified: &Verified,
    there: TokenCheck<'_>,
) -> Result<bool, Deferred> {
    let Subject::User { email, .. } = verified.identity.subject() else { return Ok(false) };
    if !admits_login(engine, verified, None, there)? {
        return Ok(false);
    }
    let policies = &there.at.application.policies;
    let mut facts = Facts { email: Some(email), ..Facts::default() };
    if !asks_of_login(policies) {
        return Ok(policies.may_admit(&facts));
    }
    let attributes = session_attributes(engine, &verified.identity, there.at.now, there.may_wait)?;
    facts.attributes = attributes.as_deref();
    // What cannot be read shuts out, as it would there.
    Ok(attributes.is_some() && policies.may_admit(&facts))
}
