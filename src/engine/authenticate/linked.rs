//! Tokens of another application, presented on behalf of the person in them: section 9.5 of the
//! contract.
//!
//! Application A takes the assertion it received and sends it to application B as
//! `cf-access-token`. A `non_identity` policy of B that names A opens; the person in the token is
//! whom B's origin sees. It is no login at B: no `allow` policy opens by it, and it leads to no
//! cookie. A token in a cookie is never looked at in this way.

use std::sync::Arc;

use crate::application::Protected;
use crate::identity::Subject;
use crate::policy::Facts;
use crate::token::TokenKind;

use super::super::credential::LinkedToken;
use super::super::request_context::Scope;
use super::super::verified::Verified;
use super::super::{Engine, Role};
use super::verify::{TokenCheck, Verification};

impl Engine {
    /// What a token is that is not good for the application itself: good for one whose tokens it
    /// takes, or nothing.
    pub(super) fn linked_token(&self, token: &[u8], at: Scope<'_>) -> Option<LinkedToken> {
        let Role::Issuing(issuing) = &self.role else { return None };
        if !at.application.policies.asks_for_linked_application() {
            return None;
        }
        issuing.linked_applications.of(at.application).iter().find_map(|application| {
            let at = at.with_application(application);
            let check = TokenCheck { is_linked: true, ..TokenCheck::now(at) };
            match self.examine(token, TokenKind::Application, check) {
                // Who would not be let in there is not let in here.
                Verification::Good(verified) if self.may_be_let_in(&verified, application) => {
                    Some(LinkedToken { verified, application: Arc::clone(application) })
                }
                _ => None,
            }
        })
    }

    /// Whether an application may still let in the person of a token made for it. Where its own
    /// request came from is not known here: that was judged there.
    fn may_be_let_in(&self, verified: &Verified, application: &Protected) -> bool {
        let Subject::User { email, .. } = verified.identity.subject() else { return false };
        let attributes = self.role.attributes().map(Arc::as_ref);
        let facts = Facts { email: Some(email), attributes, ..Facts::default() };
        self.admits_people(application) && application.policies.may_admit(&facts)
    }
}
