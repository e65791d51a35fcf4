//! Who issues the tokens, which decides what credentials count and where people log in.

use std::sync::Arc;

use crate::application::{CanonicalHost, TeamDomain};
use crate::facts::GetIdentity;
use crate::identity::Attributes;
use crate::issuer::KeyRotation;
use crate::login::Login;
use crate::token::keys::KeySource;

use super::Engine;
use super::assertion::AssertionCache;
use super::linked_applications::LinkedApplications;
use super::renewal::Renewals;
use super::verified::IssuerName;
use super::verifier::PublishedKeys;

/// Who issues the tokens.
#[derive(Debug)]
pub(super) enum Role {
    /// An issuer in front: the assertion header is a credential, then the cookie.
    Verifying(Verifying),
    /// This engine: the `cf-access-token` header, the cookie and service tokens are credentials. An
    /// assertion header from outside is none.
    Issuing(Box<Issuing>),
}

/// What an engine that verifies knows of its issuer.
#[derive(Debug)]
pub(super) struct Verifying {
    pub(super) issuer: Arc<str>,
    pub(super) team_domain: TeamDomain,
    pub(super) keys: Arc<dyn KeySource>,
    /// Where the keys are fetched; `None` where the program has set them.
    pub(super) published_keys: Option<PublishedKeys>,
    pub(super) get_identity: Option<Box<GetIdentity>>,
}

/// What an engine that issues has beyond one that verifies: the login, and tokens for origins.
#[derive(Debug)]
pub(super) struct Issuing {
    pub(super) login: Arc<Login>,
    /// The team domain's issuer name; `None` where each host runs its own login.
    issuer: Option<Arc<str>>,
    pub(super) linked_applications: LinkedApplications,
    pub(super) renewals: Arc<Renewals>,
    pub(super) key_rotation: KeyRotation,
    pub(super) assertions: AssertionCache,
}

impl Role {
    /// Whether somebody else issues the tokens.
    pub(super) fn verifies(&self) -> bool {
        matches!(self, Self::Verifying(_))
    }

    /// Returns what an engine that issues has; `None` where tokens are verified.
    pub(super) fn issuing(&self) -> Option<&Issuing> {
        match self {
            Self::Verifying(_) => None,
            Self::Issuing(issuing) => Some(issuing),
        }
    }

    /// Returns what an engine that verifies knows of its issuer.
    pub(super) fn verifying(&self) -> Option<&Verifying> {
        match self {
            Self::Verifying(verifying) => Some(verifying),
            Self::Issuing(_) => None,
        }
    }

    /// Returns the login that this engine runs.
    pub(super) fn login(&self) -> Option<&Arc<Login>> {
        self.issuing().map(|issuing| &issuing.login)
    }

    /// Returns the keys that tokens are verified with.
    pub(super) fn key_source(&self) -> &dyn KeySource {
        match self {
            Self::Verifying(verifying) => &*verifying.keys,
            Self::Issuing(issuing) => &*issuing.login.issuer,
        }
    }

    /// Returns what is known of everybody who logs in here, where that is one thing.
    pub(super) fn usual_login(&self) -> Option<&Attributes> {
        self.login()?.methods.usual_login()
    }

    /// Returns the client that asks the issuer about people.
    pub(super) fn get_identity(&self) -> Option<&GetIdentity> {
        self.verifying()?.get_identity.as_deref()
    }
}

impl Issuing {
    pub(super) fn new(
        login: Login,
        linked_applications: LinkedApplications,
        key_rotation: KeyRotation,
    ) -> Self {
        let team_domain = login.team_domain.as_ref();
        Self {
            issuer: team_domain.map(|domain| login.origins.issuer(domain.host()).into()),
            login: Arc::new(login),
            linked_applications,
            renewals: Arc::new(Renewals::new()),
            key_rotation,
            assertions: AssertionCache::new(),
        }
    }

    pub(super) fn issuer_name<'a>(&'a self, host: &'a CanonicalHost) -> IssuerName<'a> {
        match &self.issuer {
            Some(issuer) => IssuerName::Fixed(issuer),
            None => IssuerName::OfHost(&self.login.origins, host),
        }
    }

    pub(super) fn issuer_text(&self, host: &CanonicalHost) -> Arc<str> {
        match &self.issuer {
            Some(issuer) => Arc::clone(issuer),
            None => self.login.origins.issuer(host).into(),
        }
    }
}

impl Engine {
    /// Returns the login, where this engine runs one.
    pub(crate) fn login(&self) -> Option<&Arc<Login>> {
        self.role.login()
    }
}
