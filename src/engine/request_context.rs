//! What is known of a request on its way, as values: each step completes them, and the steps that
//! come later read them.

use std::sync::Arc;

use crate::application::{ApplicationId, CanonicalHost, CompiledApplication};
use crate::clock::Timestamp;
use crate::facts::{RequestFacts, Sender};
use crate::identity::{Identity, Subject};
use crate::policy::{Facts, LinkedApplicationFacts, ServiceTokenFacts};
use crate::service_token::KnownToken;

use super::EngineId;
use super::credential::Credential;

/// What authentication finds out about a request, and its authorization looks at.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    pub(super) receipt: Receipt,
    /// At the application of the request target.
    pub(super) target: ApplicationContext,
    /// At the applications of the other resources that the request acts on.
    pub(super) further: Vec<ApplicationContext>,
}

impl RequestContext {
    /// Who makes the request, if that is proved.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.target.evidence.credential.identity()
    }

    /// Whether this engine made it, and not another one's layer.
    pub(super) fn is_of(&self, engine: EngineId) -> bool {
        self.receipt.engine == engine
    }
}

/// When and from where a request came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    /// The engine that received it. Another one does not take it.
    pub(super) engine: EngineId,
    pub(super) sender: Sender,
    pub(super) now: Timestamp,
    /// How many changes there were; see [`Permission`](super::Permission).
    pub(super) changes: u64,
}

/// A resource that a request acts on.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) host: CanonicalHost,
    /// The application that covers it.
    pub(super) application: ApplicationId,
    /// Its path; `None` for the request target, which the request itself has.
    pub(super) path: Option<Box<str>>,
}

/// A request as one application sees it.
#[derive(Clone, Debug)]
pub(super) struct ApplicationContext {
    pub(super) resource: Resource,
    /// What it is judged by.
    pub(super) evidence: Evidence,
    /// What it is judged by where no policy lets in the service token that is the evidence.
    pub(super) fallback: Option<Box<Evidence>>,
    /// Whether the evidence is not the one that authentication found any more.
    pub(super) is_replaced: bool,
    /// Whether any part of a service token was presented, where that is a credential.
    pub(super) presents_service_token: bool,
}

impl ApplicationContext {
    /// Takes the fallback for the evidence; `false` where there is none.
    pub(super) fn fall_back(&mut self) -> bool {
        let Some(fallback) = self.fallback.take() else { return false };
        self.evidence = *fallback;
        self.is_replaced = true;
        true
    }

    /// Replaces the credential, whose facts stay.
    pub(super) fn replace_credential(&mut self, credential: Credential) {
        self.evidence.credential = credential;
        self.is_replaced = true;
    }
}

/// A credential, and what was found out about whoever presents it.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    pub(super) credential: Credential,
    pub(super) facts: RequestFacts,
    /// The service token behind a token that was made for one.
    pub(super) service_token: Option<Arc<KnownToken>>,
}

impl Evidence {
    /// What policies are asked about.
    pub(super) fn facts(&self) -> Facts<'_> {
        match &self.credential {
            Credential::None | Credential::Useless(_) | Credential::Refused(_) => {
                self.facts.facts()
            }
            Credential::ServiceToken(presented) => {
                Facts { service_token: Some(presented.known.facts()), ..self.facts.facts() }
            }
            Credential::Linked(linked) => {
                let application = &linked.application.application;
                let linked =
                    LinkedApplicationFacts { id: &application.id, name: &application.name };
                Facts { linked_application: Some(linked), ..self.facts.facts() }
            }
            Credential::Session(session) => self.facts_of_subject(session.identity.subject()),
            Credential::Token { verified, .. } => {
                self.facts_of_subject(verified.identity.subject())
            }
        }
    }

    fn facts_of_subject<'a>(&'a self, subject: &'a Subject) -> Facts<'a> {
        match subject {
            Subject::User { email, .. } | Subject::IncompleteUser { email: Some(email), .. } => {
                self.facts.facts_of(email)
            }
            Subject::IncompleteUser { email: None, .. } => self.facts.facts_of_somebody(),
            Subject::Service { client_id } => {
                let service_token = match &self.service_token {
                    Some(known) => known.facts(),
                    // Behind an issuer only the issuer knows them all.
                    None => ServiceTokenFacts { id: client_id, client_id, name: None },
                };
                Facts { service_token: Some(service_token), ..self.facts.facts() }
            }
        }
    }
}

/// The application that a step works for, and the host and the moment it is asked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) application: &'a Arc<CompiledApplication>,
    pub(super) host: &'a CanonicalHost,
    pub(super) sender: Sender,
    pub(super) now: Timestamp,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        application: &'a Arc<CompiledApplication>,
        host: &'a CanonicalHost,
        receipt: &Receipt,
    ) -> Self {
        Self { application, host, sender: receipt.sender, now: receipt.now }
    }

    /// The same at another application.
    pub(super) fn with_application(self, application: &'a Arc<CompiledApplication>) -> Self {
        Self { application, ..self }
    }
}
