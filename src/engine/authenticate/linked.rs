//! Tokens of another application, presented on behalf of their user: section 9.5 of the contract.
//!
//! Application A sends the assertion it received to application B as `cf-access-token`. A
//! `non_identity` policy of B that names A allows the request, and B's origin sees the user of the
//! token. The token does not log the user in to B: it satisfies no `allow` policy, and B sets no
//! cookie. A token in a cookie is never accepted in this way.

use std::sync::Arc;

use crate::identity::Subject;
use crate::policy::Facts;
use crate::token::TokenKind;
use crate::util::deferred::Deferred;

use super::super::credential::LinkedToken;
use super::super::session_facts::{admits_login, session_attributes};
use super::super::verified::Verified;
use super::super::{Engine, Role};
use super::verify::{self, TokenCheck, Verification};

/// Verifies a token for the applications whose tokens this application accepts. `Err` is a wait for
/// keys.
pub(super) fn linked_token(
    engine: &Engine,
    token: &[u8],
    check: TokenCheck<'_>,
) -> Result<Option<LinkedToken>, Deferred> {
    let Role::Issuing(issuing) = &engine.role else { return Ok(None) };
    if !check.at.application.policies.uses_linked_application() {
        return Ok(None);
    }
    for application in issuing.linked_applications.accepted_by(check.at.application) {
        let there = TokenCheck { at: check.at.with_application(application), ..check };
        let by_cache = TokenCheck { may_wait: false, is_linked: true, ..there };
        if let Verification::Valid(verified) =
            verify::examine(engine, token, TokenKind::Application, by_cache)
            // A user whom that application would refuse is refused here as well.
            && may_be_allowed(engine, &verified, there)?
        {
            let application = Arc::clone(application);
            return Ok(Some(LinkedToken { verified, application }));
        }
    }
    Ok(None)
}

/// Returns whether an application may still allow the user of a token made for it. The facts of its
/// own request are unknown here: it judged them itself.
fn may_be_allowed(
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
    if !policies.uses_login_facts() {
        return Ok(policies.may_admit(&facts));
    }
    let attributes = session_attributes(engine, &verified.identity, there.at.now, there.may_wait)?;
    facts.attributes = attributes.as_deref();
    // An unreadable session refuses the user, as it would there.
    Ok(attributes.is_some() && policies.may_admit(&facts))
}
