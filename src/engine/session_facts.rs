//! What a person's session says of them, where we issue: read from the session's record, once for
//! each session, where policies or the choice of login methods ask for it.

use std::sync::Arc;

use crate::application::Protected;
use crate::facts::{Wait, asks_of_login};
use crate::identity::Attributes;
use crate::token::keys::Refresh;

use super::authenticate::Admission;
use super::credential::Credential;
use super::verify::Verified;
use super::{Engine, Role};

impl Engine {
    /// Adds what the session says to the facts of a request that brings its token.
    pub(super) fn ask_session(
        &self,
        admission: &mut Admission,
        protected: &Protected,
        may_wait: bool,
    ) -> Result<(), Wait> {
        let chooses_methods = !protected.application.allowed_login_methods.is_empty();
        if self.role.verifies() || !chooses_methods && !asks_of_login(&protected.policies) {
            return Ok(());
        }
        let Credential::Token { verified, .. } = &admission.credential else { return Ok(()) };
        // They stay with an open response, which is judged again when something changes.
        let attributes = match &verified.attributes {
            Some(attributes) => Some(Arc::clone(attributes)),
            None => self.session_attributes(verified, admission, may_wait)?,
        };
        if let Some(attributes) = attributes {
            admission.circumstances.set_attributes(&attributes);
        }
        Ok(())
    }

    /// Whether an application takes the login that a person's token was made from. Where somebody
    /// else issues the tokens they have seen to it. `Err` asks for a wait.
    pub(super) fn admits_login(
        &self,
        verified: &Verified,
        protected: &Protected,
        admission: &Admission,
        may_wait: bool,
    ) -> Result<bool, Refresh> {
        let application = &protected.application;
        if self.role.verifies() || application.allowed_login_methods.is_empty() {
            return Ok(true);
        }
        if !self.admits_people(protected) {
            return Ok(false);
        }
        let known = admission.circumstances.attributes.as_ref();
        let known = known.or(verified.attributes.as_ref()).and_then(|it| it.login_method.as_ref());
        if let Some(method) = known {
            return Ok(application.allows_login_method(&method.id));
        }
        let attributes = self.session_attributes(verified, admission, may_wait);
        let attributes = attributes.map_err(|wait| Refresh::new(wait.ended()))?;
        let method = attributes.as_ref().and_then(|known| known.login_method.as_ref());
        Ok(method.is_some_and(|method| application.allows_login_method(&method.id)))
    }

    /// What the session of a token says; `None` where nothing is known, and of machines.
    pub(super) fn session_attributes(
        &self,
        verified: &Verified,
        admission: &Admission,
        may_wait: bool,
    ) -> Result<Option<Arc<Attributes>>, Wait> {
        let Role::Issuing(issuing) = &self.role else { return Ok(None) };
        let person = &verified.identity;
        let (Some(id), Some(email)) = (person.session_id(), person.address()) else {
            return Ok(None);
        };
        issuing.login.sessions.attributes(id, email, admission.now, may_wait)
    }
}
