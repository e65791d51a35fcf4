//! The request context: what is known of a request. Each step adds to it, and later steps read it.

use std::sync::Arc;

use crate::application::{ApplicationId, CanonicalHost, CompiledApplication};
use crate::clock::Timestamp;
use crate::facts::{RequestFacts, Sender};
use crate::identity::{Identity, Subject};
use crate::policy::{Facts, LinkedApplicationFacts, ServiceTokenFacts};
use crate::service_token::TokenEntry;
use crate::session::{KnownAttributes, LiveAttributes};

use super::EngineId;
use super::credential::Credential;

/// The result of authentication, and the input of authorization.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    pub(super) receipt: Receipt,
    /// The request at the application of its target.
    pub(super) target: ApplicationContext,
    /// The request at the applications of the other resources that it acts on.
    pub(super) further: Vec<ApplicationContext>,
}

impl RequestContext {
    /// Returns the identity of the client, if it is proved.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.target.evidence.credential.identity()
    }
}

/// The time and the sender of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    /// The engine that received it. Other engines reject it.
    pub(super) engine: EngineId,
    pub(super) sender: Sender,
    pub(super) now: Timestamp,
    /// The number of changes so far; see [`AccessGrant`](super::AccessGrant).
    pub(super) changes: u64,
}

/// A resource that a request acts on.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) host: CanonicalHost,
    /// The application that covers it.
    pub(super) application: ApplicationId,
    /// The path; `None` for the request target, which is in the request.
    pub(super) path: Option<Box<str>>,
}

/// A request as one application sees it.
#[derive(Clone, Debug)]
pub(super) struct ApplicationContext {
    pub(super) resource: Resource,
    /// The evidence that policies are evaluated with.
    pub(super) evidence: Evidence,
    /// The evidence to use if no policy allows the service token.
    pub(super) fallback: Option<Box<Evidence>>,
    /// Whether the evidence was replaced since authentication.
    pub(super) is_replaced: bool,
    /// Whether the request has any part of a service token, if this role reads service tokens.
    pub(super) presents_service_token: bool,
}

impl ApplicationContext {
    /// Replaces the evidence by the fallback; returns `false` if there is no fallback.
    pub(super) fn fall_back(&mut self) -> bool {
        let Some(fallback) = self.fallback.take() else { return false };
        self.evidence = *fallback;
        self.is_replaced = true;
        true
    }

    /// Replaces the credential, and keeps the facts.
    pub(super) fn replace_credential(&mut self, credential: Credential) {
        self.evidence.credential = credential;
        self.is_replaced = true;
    }
}

/// A credential, and the facts about its holder.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    pub(super) credential: Credential,
    pub(super) facts: RequestFacts,
    /// The service token that the token was made for.
    pub(super) service_token: Option<Arc<TokenEntry>>,
    /// The attributes of a session that is refreshed, if policies need them: those in `facts` are as
    /// of the last evaluation.
    pub(super) live_attributes: Option<Arc<LiveAttributes>>,
}

impl Evidence {
    pub(super) fn set_live_attributes(&mut self, known: KnownAttributes) {
        self.live_attributes = match known {
            KnownAttributes::Fixed(_) => None,
            KnownAttributes::Live(live) => Some(live),
        };
    }

    /// Updates the attributes of a session that is refreshed. `None` if they do not count any more.
    pub(super) fn update_attributes(&mut self, now: Timestamp) -> Option<()> {
        if let Some(live) = &self.live_attributes {
            self.facts.set_attributes(&live.at(now)?);
        }
        Some(())
    }

    /// Returns the facts that policies are evaluated with.
    pub(super) fn facts(&self) -> Facts<'_> {
        match &self.credential {
            Credential::None | Credential::InvalidToken(_) | Credential::Refused(_) => {
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
                self.facts.facts_for(email)
            }
            Subject::IncompleteUser { email: None, .. } => self.facts.facts_without_email(),
            Subject::Service { client_id } => {
                let service_token = match &self.service_token {
                    Some(known) => known.facts(),
                    // An engine that verifies need not know every service token.
                    None => ServiceTokenFacts { id: client_id, client_id, name: None },
                };
                Facts { service_token: Some(service_token), ..self.facts.facts() }
            }
        }
    }
}

/// The application that a step judges for, with host, sender and time of the request.
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

    /// Returns the scope of another application.
    pub(super) fn with_application(self, application: &'a Arc<CompiledApplication>) -> Self {
        Self { application, ..self }
    }
}
