//! What others are asked about a person before a request is judged: evaluators, the issuer.
//!
//! What they said before is remembered; a request waits only where nothing is, and where it could
//! make a difference.

use crate::application::Protected;
use crate::facts::Wait;
use crate::policy::{Answers, Verdict};

use super::authenticate::Admission;
use super::credential::Credential;
use super::{Engine, Role};

impl Engine {
    /// Decides about a request, or says what to wait for first. After a wait it is asked again, and
    /// does not wait again.
    pub(super) fn judge(
        &self,
        admission: &mut Admission,
        protected: &Protected,
        may_wait: bool,
    ) -> Result<Verdict, Wait> {
        if !may_wait {
            // It took a while.
            admission.now = self.now();
        }
        self.ask_issuer(admission, protected, may_wait)?;
        self.ask_session(admission, protected, may_wait)?;
        admission.circumstances.evaluations = self.recalled_answers(admission, protected);
        let verdict = protected.policies.evaluate(&admission.facts());
        if !may_wait {
            return Ok(verdict);
        }
        self.ask_evaluators(admission, protected, &verdict).map_or(Ok(verdict), Err)
    }

    /// Lets the issuer tell what it knows of the person, where policies ask for that.
    #[cfg(feature = "http-client")]
    fn ask_issuer(
        &self,
        admission: &mut Admission,
        protected: &Protected,
        may_wait: bool,
    ) -> Result<(), Wait> {
        use crate::facts::{Bearer, GetIdentity};

        let Some(issuer) = self.role.get_identity() else { return Ok(()) };
        if !GetIdentity::can_help(&protected.policies) {
            return Ok(());
        }
        let Credential::Token { verified, .. } = &admission.credential else { return Ok(()) };
        // Without an address nobody can tell whether the answer is about the same person.
        let (Some(email), Some(token)) = (verified.identity.address(), verified.assertion()) else {
            return Ok(());
        };
        let bearer = Bearer { token, email, attributes: verified.attributes.as_ref() };
        if let Some(told) = issuer.look(bearer, admission.now, may_wait)? {
            admission.circumstances.hear(&told);
        }
        Ok(())
    }

    #[cfg(not(feature = "http-client"))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with a client")]
    fn ask_issuer(&self, _: &mut Admission, _: &Protected, _: bool) -> Result<(), Wait> {
        Ok(())
    }

    /// What evaluators have said, where rules ask for it.
    fn recalled_answers(&self, admission: &Admission, protected: &Protected) -> Option<Answers> {
        if !protected.policies.evaluators().is_empty() {
            return self.about_person(admission, protected, |evaluations, about| {
                evaluations.recalled(about)
            });
        }
        let _ = (admission, protected);
        None
    }

    /// Asks evaluators that have said nothing yet, where it could turn a refusal around.
    fn ask_evaluators(
        &self,
        admission: &Admission,
        protected: &Protected,
        verdict: &Verdict,
    ) -> Option<Wait> {
        if crate::login::Evaluations::could_turn(verdict) {
            return self
                .about_person(admission, protected, |evaluations, about| evaluations.ask(about))
                .flatten();
        }
        let _ = (admission, protected, verdict);
        None
    }

    fn about_person<T>(
        &self,
        admission: &Admission,
        protected: &Protected,
        ask: impl FnOnce(&crate::login::Evaluations, &crate::login::About<'_>) -> T,
    ) -> Option<T> {
        let Role::Issuing(issuing) = &self.role else { return None };
        let Credential::Token { verified, .. } = &admission.credential else { return None };
        let email = verified.identity.address()?;
        let issuer = issuing.login.issuer_name(&admission.host);
        let about = crate::login::About {
            session: verified.identity.session_id()?,
            email,
            protected,
            issuer: &issuer,
            now: admission.now,
        };
        Some(ask(&issuing.login.evaluations, &about))
    }
}

impl Role {
    #[cfg(feature = "http-client")]
    fn get_identity(&self) -> Option<&crate::facts::GetIdentity> {
        match self {
            Self::Verifying(verifying) => verifying.get_identity.as_deref(),
            Self::Issuing(_) => None,
        }
    }
}
