//! The role of an engine: it verifies tokens of an issuer, or issues them itself.

use std::sync::Arc;

use crate::application::{CanonicalHost, TeamDomain};
use crate::facts::GetIdentity;
use crate::issuer::KeyRotation;
use crate::login::{Login, MethodInfo};
use crate::token::keys::KeySource;

use super::Engine;
use super::assertion::AssertionCache;
use super::explain::KnownLogins;
use super::linked_applications::LinkedApplications;
use super::renewal::Renewals;
use super::verified::IssuerName;
use super::verifier::PublishedKeys;

/// The role of an engine.
#[derive(Debug)]
pub(super) enum Role {
    /// Verifies tokens of an issuer in front: the assertion header is a credential, then the cookie.
    Verifying(Verifying),
    /// Issues tokens: the `cf-access-token` header, the cookie and service tokens are credentials. An
    /// assertion header of the client is ignored.
    Issuing(Box<Issuing>),
}

/// The issuer of an engine that verifies.
#[derive(Debug)]
pub(super) struct Verifying {
    pub(super) issuer: Arc<str>,
    pub(super) team_domain: TeamDomain,
    pub(super) keys: Arc<dyn KeySource>,
    /// Where the keys are fetched; `None` if the program set the keys.
    pub(super) published_keys: Option<PublishedKeys>,
    pub(super) get_identity: Option<Box<GetIdentity>>,
}

/// The parts that only an engine that issues has: the login, and tokens for origins.
#[derive(Debug)]
pub(super) struct Issuing {
    pub(super) login: Arc<Login>,
    /// The team domain's issuer name; `None` if each host runs its own login.
    issuer: Option<Arc<str>>,
    pub(super) linked_applications: LinkedApplications,
    pub(super) renewals: Arc<Renewals>,
    pub(super) key_rotation: KeyRotation,
    pub(super) assertions: AssertionCache,
}

impl Role {
    /// Returns whether the engine verifies tokens of an issuer.
    pub(super) fn verifies(&self) -> bool {
        matches!(self, Self::Verifying(_))
    }

    /// Returns the parts of an engine that issues; `None` if the engine verifies.
    pub(super) fn issuing(&self) -> Option<&Issuing> {
        match self {
            Self::Verifying(_) => None,
            Self::Issuing(issuing) => Some(issuing),
        }
    }

    /// Returns the issuer of an engine that verifies.
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

    /// Returns what is known of users by their login method alone.
    pub(super) fn known_logins(&self) -> KnownLogins<'_> {
        let Some(login) = self.login() else { return KnownLogins::default() };
        let usual = login.methods.usual_login();
        let one_time_pin = login.methods.one_time_pin().filter(|_| usual.is_none());
        KnownLogins { usual, one_time_pin }
    }

    /// Returns the login methods; `None` if the issuer has them.
    pub(super) fn login_methods(&self) -> Option<Vec<MethodInfo<'_>>> {
        Some(self.login()?.methods.infos().collect())
    }

    /// Returns the client that asks the issuer for facts about users.
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
    /// Returns the login, if this engine runs one.
    pub(crate) fn login(&self) -> Option<&Arc<Login>> {
        self.role.login()
    }
}
