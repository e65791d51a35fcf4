//! Tokens of another application, brought on behalf of the person in them: section 9.5 of the
//! contract.
//!
//! Application A takes the assertion it received and sends it to application B as
//! `cf-access-token`. A `non_identity` policy of B that names A opens; the person in the token is
//! whom B's origin sees. It is no login at B: no `allow` policy opens by it, and it leads to no
//! cookie. A token in a cookie is never looked at in this way.

use std::collections::HashMap;
use std::sync::Arc;

use crate::application::{Directory, Protected};
use crate::facts::asks_of_login;
use crate::identity::{Details, Identity, Subject};
use crate::policy::{Facts, linked_names};
use crate::token::TokenKind;
use crate::token::keys::Refresh;

use super::verify::{Ask, Verification, Verified};
use super::{Engine, Role};

/// A person's token for another application.
#[derive(Clone, Debug)]
pub(super) struct Linked {
    pub(super) verified: Arc<Verified>,
    /// The application it was made for.
    pub(super) application: Arc<Protected>,
}

impl Linked {
    /// The person, as the origin gets to see them.
    pub(super) fn identity(&self, assertion: &http::HeaderValue) -> Identity {
        let known = &self.verified.identity;
        let details = Details {
            country: known.country().map(Into::into),
            session: None,
            proof: Some(assertion.clone()),
        };
        Identity::with_details(known.subject().clone(), known.expires_at(), details)
    }
}

/// Which applications' tokens each application takes, by its audience.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<Box<str>, Vec<Arc<Protected>>>);

impl Links {
    /// # Errors
    ///
    /// When a rule names no application, or one of several.
    pub(super) fn new(directory: &Directory) -> Result<Self, LinkError> {
        let all: Vec<&Arc<Protected>> = directory.all().collect();
        let mut links = HashMap::new();
        for protected in &all {
            let policies = &protected.policies;
            if !policies.asks_for_linked_application() {
                continue;
            }
            let mut taken: Vec<Arc<Protected>> = Vec::new();
            for name in linked_names(policies.documents(), policies.definitions()) {
                let mut named = all.iter().filter(|other| {
                    *other.application.id == *name || *other.application.name == *name
                });
                let error = |is_known| LinkError {
                    application: protected.application.name.clone(),
                    name: name.into(),
                    is_known,
                };
                let one = named.next().ok_or_else(|| error(false))?;
                if named.next().is_some() {
                    return Err(error(true));
                }
                if !taken.iter().any(|other| Arc::ptr_eq(other, one)) {
                    taken.push(Arc::clone(one));
                }
            }
            links.insert(protected.audience().into(), taken);
        }
        Ok(Self(links))
    }

    fn of(&self, protected: &Protected) -> &[Arc<Protected>] {
        self.0.get(protected.audience()).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Engine {
    /// What a token is that is not good for the application itself: good for one whose tokens it
    /// takes, or nothing.
    /// `Err` asks for a wait.
    pub(super) fn linked(&self, token: &[u8], ask: Ask<'_>) -> Result<Option<Linked>, Refresh> {
        let Role::Issuing(issuing) = &self.role else { return Ok(None) };
        if !ask.protected.policies.asks_for_linked_application() {
            return Ok(None);
        }
        for application in issuing.links.of(ask.protected) {
            let there = Ask { protected: application, may_wait: false, is_linked: true, ..ask };
            if let Verification::Good(verified) =
                self.examine(token, TokenKind::Application, there)
                // Who would not be let in there is not let in here.
                && self.may_be_let_in(&verified, application, ask)?
            {
                return Ok(Some(Linked { verified, application: Arc::clone(application) }));
            }
        }
        Ok(None)
    }

    /// Whether an application may still let in the person of a token made for it. Where its own
    /// request came from is not known here: that was judged there.
    fn may_be_let_in(
        &self,
        verified: &Verified,
        application: &Protected,
        ask: Ask<'_>,
    ) -> Result<bool, Refresh> {
        let Subject::User { email, .. } = verified.identity.subject() else { return Ok(false) };
        let Ask { admission, may_wait, .. } = ask;
        if !self.admits_login(verified, application, admission, may_wait)? {
            return Ok(false);
        }
        let mut facts = Facts { email: Some(email), ..Facts::default() };
        if !asks_of_login(&application.policies) {
            return Ok(application.policies.may_admit(&facts));
        }
        let attributes = self.session_attributes(verified, admission, may_wait);
        let attributes = attributes.map_err(|wait| Refresh::new(wait.ended()))?;
        facts.attributes = attributes.as_deref();
        // What cannot be read shuts out, as it would there.
        Ok(attributes.is_some() && application.policies.may_admit(&facts))
    }
}

/// A rule `linked_app_token` that names no application, or one of several.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "application `{application}`: a rule asks for the token of `{name}`, and {} that id or name",
    if *is_known { "more than one application has" } else { "no application has" }
)]
pub(super) struct LinkError {
    application: Box<str>,
    name: Box<str>,
    is_known: bool,
}
