//! Evaluates the policies of an application for a user at the login.

use std::sync::Arc;

use crate::application::{CanonicalHost, CompiledApplication};
use crate::facts::{Person, RequestFacts, RequestView};
use crate::identity::Attributes;
use crate::policy::Verdict;
use crate::session::Session;

use super::evaluations::{EvaluationContext, Evaluations};
use super::{EndpointRequest, Login};

impl Login {
    /// Collects the facts of a request to the login that an application's policies use.
    pub(super) fn request_facts(
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

    /// Evaluates the policies for a user with a session. Returns the verdict and its facts. Asks
    /// evaluators only if their results could change the outcome.
    pub(super) async fn judge(
        &self,
        request: &EndpointRequest,
        (protected, host): (&CompiledApplication, &CanonicalHost),
        session: &Session,
    ) -> (Verdict, RequestFacts) {
        let person = (session.person(), session.attributes());
        let mut request_facts = self.request_facts(request, protected, Some(person));
        let verdict = protected.policies.evaluate(&request_facts.facts_for(&session.email));
        if !Evaluations::could_change_outcome(&verdict) {
            return (verdict, request_facts);
        }
        let issuer = self.issuer_name(host);
        let about = EvaluationContext {
            session: &session.id,
            email: &session.email,
            protected,
            issuer: &issuer,
            now: request.now,
        };
        request_facts.evaluations = Some(self.evaluations.at_login(about).await);
        let verdict = protected.policies.evaluate(&request_facts.facts_for(&session.email));
        (verdict, request_facts)
    }
}
