//! Settings of an engine that verifies what somebody else issues.

mod build;
mod published_keys;

use std::sync::Arc;
use std::time::Duration;

use crate::application::Audience;
use crate::token::Algorithms;
use crate::token::keys::{KeySource, RefreshPolicy};

pub(super) use self::published_keys::PublishedKeys;
use super::ConfigError;
use super::carrier::Carrier;
use super::options::{EngineOptions, shared_setters};

/// Settings of an engine that verifies tokens of an issuer.
///
/// A good token with a claim about the person that cannot be used (an address that is not plain ASCII,
/// no `sub`, a country that is `null`) stands: what cannot be used is a missing fact, which opens
/// nothing, and the log names the claim. An origin gets no
/// `Cf-Access-Authenticated-User-Email` then.
///
/// A browser whose token in the cookie is refused is sent to the issuer's login, where a new token may
/// be good. One that comes back with a token that is refused again gets a page with status 401.
///
/// ```
/// use tower_access::Access;
/// use tower_access::application::Application;
/// use tower_access::policy::{Policy, Rule};
///
/// let audience = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
/// let access = Access::verifier_builder("acme.cloudflareaccess.com")?
///     .application(
///         Application::new("Wiki", "wiki.example.com")?
///             .audience(audience.parse()?)
///             .policy(Policy::allow("staff").include(Rule::email_domain("example.com")?)),
///     )
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "settings do nothing until they are built"]
pub struct VerifierBuilder {
    options: EngineOptions,
    published_keys: PublishedKeys,
    refresh: RefreshPolicy,
    /// Keys that are not fetched from the issuer.
    keys: Option<Arc<dyn KeySource>>,
    audiences: Vec<Audience>,
    /// Where the issuer is asked about people; `None`: it is not.
    get_identity: Option<String>,
    leeway: Duration,
}

impl VerifierBuilder {
    pub(super) fn new(team_domain: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            options: EngineOptions::new(Carrier::AssertionHeader),
            published_keys: PublishedKeys {
                team_domain: team_domain.parse().map_err(ConfigError::new)?,
                certs_url: None,
                algorithms: Algorithms::default(),
            },
            refresh: RefreshPolicy::default(),
            keys: None,
            audiences: Vec::new(),
            get_identity: None,
            leeway: DEFAULT_LEEWAY,
        })
    }

    /// Sets one audience for every host and path, in place of applications: everybody with a valid
    /// token for it gets in.
    ///
    /// May be called again to accept tokens for several audiences; a login is asked for with the
    /// first.
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audiences.push(audience);
        self
    }

    /// Fetches keys from another address than the team domain's: `https`, or `http` to a loopback
    /// address.
    pub fn certs_url(mut self, url: impl Into<String>) -> Self {
        self.published_keys.certs_url = Some(url.into());
        self
    }

    /// Takes the keys from elsewhere: a fixed [`KeySet`](crate::token::keys::KeySet), a
    /// [`RemoteKeys`](crate::token::keys::RemoteKeys) with a transport of its own, or any other source.
    pub fn keys(mut self, keys: impl KeySource) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// Sets when keys are fetched again and for how long they serve. Not for keys from
    /// [`keys`](Self::keys), which have rules of their own.
    pub fn key_refresh(mut self, policy: RefreshPolicy) -> Self {
        self.refresh = policy;
        self
    }

    /// Takes keys of other algorithms than RS256 from the issuer's key set. Not for keys from
    /// [`keys`](Self::keys), which have rules of their own.
    pub fn algorithms(mut self, algorithms: Algorithms) -> Self {
        self.published_keys.algorithms = algorithms;
        self
    }

    /// Asks the issuer about people, at `/cdn-cgi/access/get-identity` on the team domain and with
    /// their own tokens: what it knows of login methods, groups, claims and devices, beyond the
    /// claim `custom` of the token.
    ///
    /// Only where policies ask for such facts. The first request of a token waits for the answer,
    /// five seconds at most; it is remembered, asked for again every five minutes beside the
    /// requests, and counts for an hour while the issuer gives no other. Without an answer only
    /// what the token says is known.
    #[cfg(feature = "http-client")]
    pub fn get_identity(self) -> Self {
        self.asking_the_issuer()
    }

    /// As `get_identity`; without the feature `http-client` the settings cannot be built.
    #[cfg(any(feature = "config", feature = "http-client"))]
    pub(crate) fn asking_the_issuer(mut self) -> Self {
        let team = self.published_keys.team_domain.issuer();
        self.get_identity = Some(format!("{team}/cdn-cgi/access/get-identity"));
        self
    }

    /// As [`get_identity`](Self::get_identity), at another address: `https`, or `http` to a loopback
    /// address. Whoever answers there says who is in which group.
    #[cfg(feature = "http-client")]
    pub fn get_identity_at(mut self, url: impl Into<String>) -> Self {
        self.get_identity = Some(url.into());
        self
    }

    /// Sets the tolerance between the issuer's clock and ours: 60 seconds by default, five
    /// minutes at most (more is cut).
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(Duration::from_secs(300));
        self
    }
}

shared_setters!(VerifierBuilder);

const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);
