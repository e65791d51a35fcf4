//! Settings of an engine that verifies tokens of an issuer.

mod build;
mod published_keys;

use std::sync::Arc;
use std::time::Duration;

use crate::application::Audience;
use crate::token::Algorithms;
use crate::token::keys::{KeySource, RefreshPolicy};

pub(super) use self::published_keys::PublishedKeys;
use super::ConfigError;
use super::options::{EngineOptions, shared_setters};
use super::token_location::TokenLocation;

/// Settings of an engine that verifies tokens of an issuer.
///
/// A valid token with an unusable claim about the user (an email address that is not plain ASCII, a
/// missing `sub`, a `country` that is `null`) is accepted. The claim counts as a missing fact, which
/// opens nothing, and the log names it. Without a usable address the origin gets no
/// `Cf-Access-Authenticated-User-Email`.
///
/// A browser with an invalid token in its cookie is redirected to the issuer's login for a new one. If
/// the new token is invalid as well, the browser gets a page with status 401.
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
    /// Keys that the program set.
    keys: Option<Arc<dyn KeySource>>,
    audiences: Vec<Audience>,
    /// The URL that returns facts about users; `None` if the issuer is not asked.
    get_identity: Option<String>,
    leeway: Duration,
}

impl VerifierBuilder {
    pub(super) fn new(team_domain: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            options: EngineOptions::new(TokenLocation::AssertionHeader),
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

    /// Sets one audience for every host and path, instead of applications: every request with a valid
    /// token for it is allowed.
    ///
    /// May be called again to accept tokens for several audiences; a redirect to the login names the
    /// first.
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audiences.push(audience);
        self
    }

    /// Sets the URL of the keys: `https`, or `http` to a loopback address. Default: the URL on the team
    /// domain.
    pub fn certs_url(mut self, url: impl Into<String>) -> Self {
        self.published_keys.certs_url = Some(url.into());
        self
    }

    /// Sets the source of the keys: a fixed [`KeySet`](crate::token::keys::KeySet), a
    /// [`RemoteKeys`](crate::token::keys::RemoteKeys) with another transport, or any other source.
    pub fn keys(mut self, keys: impl KeySource) -> Self {
        self.keys = Some(Arc::new(keys));
        self
    }

    /// Sets when keys are fetched again and how long they are valid. Does not apply to
    /// [`keys`](Self::keys).
    pub fn key_refresh(mut self, policy: RefreshPolicy) -> Self {
        self.refresh = policy;
        self
    }

    /// Accepts keys of other algorithms than RS256 in the issuer's key set. Does not apply to
    /// [`keys`](Self::keys).
    pub fn algorithms(mut self, algorithms: Algorithms) -> Self {
        self.published_keys.algorithms = algorithms;
        self
    }

    /// Asks the issuer for facts about users, at `/cdn-cgi/access/get-identity` on the team domain and
    /// with their own tokens: login method, groups, claims and devices, beyond the claim `custom` of
    /// the token.
    ///
    /// Only if policies need such facts. The first request with a token waits for the response, at most
    /// five seconds. The response is cached, refreshed every five minutes in the background, and valid
    /// for an hour if the issuer does not respond. Without a response only the claims of the token are
    /// known.
    #[cfg(feature = "http-client")]
    pub fn get_identity(self) -> Self {
        self.with_get_identity()
    }

    /// As `get_identity`; without the feature `http-client` the settings cannot be built.
    #[cfg(any(feature = "config", feature = "http-client"))]
    pub(crate) fn with_get_identity(mut self) -> Self {
        let team = self.published_keys.team_domain.issuer();
        self.get_identity = Some(format!("{team}/cdn-cgi/access/get-identity"));
        self
    }

    /// As [`get_identity`](Self::get_identity), at another URL: `https`, or `http` to a loopback address.
    /// The server there decides who is in which group: it has to be trusted.
    #[cfg(feature = "http-client")]
    pub fn get_identity_at(mut self, url: impl Into<String>) -> Self {
        self.get_identity = Some(url.into());
        self
    }

    /// Sets the tolerance between the issuer's clock and ours, at most five minutes (more is clamped).
    /// Default: 60 seconds.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(Duration::from_secs(300));
        self
    }
}

shared_setters!(VerifierBuilder);

const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);
