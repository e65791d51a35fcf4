//! Decides requests as one of the two configurations would.

use std::collections::BTreeSet;

use crate::application::CompiledApplication;
use crate::clock::Timestamp;
use crate::engine::explain::{SimulatedIdentity, SimulatedRequest, linked};
use crate::identity::Attributes;
use crate::inspect::Deployment;
use crate::policy::{
    DevicePosture, EvaluatorResults, Facts, LinkedApplicationFacts, Outcome, ServiceTokenFacts,
    Verdict,
};

/// One of the two configurations, with its application for the current pattern.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    pub(super) deployment: &'a Deployment,
    /// `None`: everything is denied.
    pub(super) protected: Option<&'a CompiledApplication>,
    pub(super) usual_login: Option<&'a Attributes>,
    pub(super) now: Timestamp,
}

/// A requester, prepared for decisions of one side.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    identity: &'a SimulatedIdentity,
    known: Option<Attributes>,
    is_person: bool,
    token: Option<ServiceTokenFacts<'a>>,
    linked: Option<&'a CompiledApplication>,
    answers: EvaluatorResults,
}

/// The source of requests, prepared for decisions.
#[derive(Debug)]
pub(super) struct Surroundings {
    request: SimulatedRequest,
    posture: Option<DevicePosture>,
}

impl<'a> Side<'a> {
    pub(super) fn new(
        deployment: &'a Deployment,
        protected: Option<&'a CompiledApplication>,
        now: Timestamp,
    ) -> Self {
        Self { deployment, protected, usual_login: deployment.usual_login(), now }
    }

    /// Returns a service token that is valid.
    pub(super) fn service_token<'b>(&self, name: &'b str) -> Option<ServiceTokenFacts<'b>>
    where
        'a: 'b,
    {
        match self.deployment.service_tokens().find(name) {
            Some(token) => token.is_valid(self.now).then(|| ServiceTokenFacts {
                id: token.token_id(),
                client_id: &token.client_id,
                name: None,
            }),
            // It may belong to the issuer or the store.
            None => (!self.knows_service_tokens()).then_some(ServiceTokenFacts {
                id: name,
                client_id: name,
                name: None,
            }),
        }
    }

    /// Whether the file contains all service tokens.
    pub(super) fn knows_service_tokens(&self) -> bool {
        self.deployment.knows_service_tokens()
    }

    /// Returns the application whose token the request presents.
    pub(super) fn linked(&self, name: &str) -> Option<&'a CompiledApplication> {
        linked(self.deployment.directory(), self.protected?, name)
    }

    /// Returns the login methods that are accepted; empty: all.
    pub(super) fn allowed_login_methods(&self) -> &'a [Box<str>] {
        self.protected.map_or(&[], |protected| &protected.application.allowed_login_methods)
    }

    /// Returns the applications whose tokens are accepted here, by id and name.
    pub(super) fn linked_applications(&self) -> BTreeSet<(&'a str, &'a str)> {
        let asks = |protected: &&CompiledApplication| protected.policies.uses_linked_application();
        if self.protected.as_ref().is_none_or(|protected| !asks(protected)) {
            return BTreeSet::new();
        }
        let all = self.deployment.directory().all().map(|other| &other.application);
        let known = all.map(|application| (&*application.id, &*application.name));
        known.filter(|(id, _)| self.linked(id).is_some()).collect()
    }

    pub(super) fn lets_options_through(&self) -> bool {
        self.protected.is_some_and(|protected| protected.application.options_preflight_bypass)
    }

    pub(super) fn subject(&self, identity: &'a SimulatedIdentity) -> Subject<'a> {
        let known = identity.attributes_with(self.deployment.known_logins());
        let method = known.as_ref().and_then(|known| known.login_method.as_ref());
        let counts = self.protected.is_none_or(|protected| {
            method.is_none_or(|method| protected.application.allows_login_method(&method.id))
        });
        let evaluators = self.protected.map_or(&[][..], |one| one.policies.evaluators());
        let answer = |url| identity.evaluations.get(url).copied();
        Subject {
            identity,
            is_person: identity.email.is_some() && counts,
            token: identity.service_token.as_deref().and_then(|name| self.service_token(name)),
            linked: identity.linked_application.as_deref().and_then(|name| self.linked(name)),
            answers: evaluators
                .iter()
                .filter_map(|one| Some((one.clone(), answer(one.evaluate_url())?)))
                .collect(),
            known,
        }
    }

    /// Returns the verdict about a request.
    pub(super) fn verdict(&self, subject: &Subject<'_>, surroundings: &Surroundings) -> Verdict {
        let Some(protected) = self.protected else { return Verdict::undecided(Outcome::Denied) };
        let Surroundings { request, posture } = surroundings;
        if self.lets_options_through() && request.method.as_deref() == Some("OPTIONS") {
            return Verdict::undecided(Outcome::Bypassed);
        }
        protected.policies.evaluate(&Facts {
            email: subject.identity.email.as_ref().filter(|_| subject.is_person),
            is_logged_in: false,
            attributes: subject.known.as_ref().filter(|_| subject.is_person),
            address: request.ip.map(|address| address.to_canonical()),
            country: request.country,
            certificate: request.certificate(),
            service_token: subject.token,
            linked_application: subject.linked.map(|linked| LinkedApplicationFacts {
                id: &linked.application.id,
                name: &linked.application.name,
            }),
            device_posture: posture.as_ref(),
            evaluations: Some(&subject.answers),
        })
    }
}

impl Surroundings {
    pub(super) fn new(request: SimulatedRequest) -> Self {
        let posture = request.device_posture();
        Self { request, posture }
    }
}
