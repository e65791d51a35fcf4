//! What the policies of an application say of a person at the login.

use std::sync::Arc;

use crate::application::{CanonicalHost, CompiledApplication};
use crate::facts::{Person, RequestFacts, RequestView};
use crate::identity::Attributes;
use crate::policy::Verdict;
use crate::session::Session;

use super::evaluations::{About, Evaluations};
use super::{EndpointRequest, Login};

impl Login {
    /// What is known of a request to the login that an application's policies ask for.
    pub(super) fn circumstances(
        &self,
        request: &EndpointRequest,
        protected: &CompiledApplication,
        person: Option<(Person<'_>, &Arc<Attributes>)>,
    ) -> RequestFacts {
        let view = RequestView {
            sender: request.sender,
            headers: &request.headers,
            extensions: &request.extensions,
            person: person.map(|(person, _)| person),
            now: request.now,
        };
        let attributes = person.map(|(_, attributes)| attributes);
        self.sources.facts(&view, &protected.policies, attributes)
    }

    /// Whether the policies let a person with a session in, and what is known of the person.
    /// Evaluators are asked where what they say could make a difference.
    pub(super) async fn judge(
        &self,
        request: &EndpointRequest,
        (protected, host): (&CompiledApplication, &CanonicalHost),
        session: &Session,
    ) -> (Verdict, RequestFacts) {
        let person = (session.person(), session.attributes());
        let mut circumstances = self.circumstances(request, protected, Some(person));
        let verdict = protected.policies.evaluate(&circumstances.facts_of(&session.email));
        if !Evaluations::could_turn(&verdict) {
            return (verdict, circumstances);
        }
        let issuer = self.issuer_name(host);
        let about = About {
            session: &session.id,
            email: &session.email,
            protected,
            issuer: &issuer,
            now: request.now,
        };
        circumstances.evaluations = Some(self.evaluations.at_login(about).await);
        let verdict = protected.policies.evaluate(&circumstances.facts_of(&session.email));
        (verdict, circumstances)
    }
}
