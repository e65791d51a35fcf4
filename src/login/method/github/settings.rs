//! The settings of a GitHub provider.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;

use super::GitHubMethod;
use super::addresses::{Addresses, HOSTED_URL};
use super::api::Api;
use crate::login::method::LoginMethod;
use crate::login::method::authorization_code::{AuthorizationCode, Client};
use crate::login::method::provider::{
    BuildError, IdentityProvider, MethodContext, ProviderSettings,
};
use crate::secret::SecretText;
use crate::util::fetch::Fetch;
use crate::util::http_client::{self, HttpClient};

/// GitHub as an identity provider: github.com, an enterprise with a host of its own
/// (`https://NAME.ghe.com`), or a GitHub Enterprise Server.
///
/// Users log in through an OAuth app of GitHub whose authorization callback URL is
/// `https://TEAM/cdn-cgi/access/callback`, where `TEAM` is the team domain, or the application's host
/// without one. (A GitHub App does not do: its tokens have no scopes, so organizations stay unknown.)
///
/// A user is identified by the *primary* email address of the account, and only if GitHub has
/// *verified* it. The other addresses of an account do not count.
///
/// Rules about `github-organization` compare the organization's name, and the *slug* of the team, which is
/// the last part of the team's URL, both without letter case. Organizations and teams are known if the
/// user has granted the scope `read:org`, which is always requested. Where GitHub hides an organization
/// because the user has not logged in to it by SAML, the membership in it is unknown, and a rule about
/// it opens nothing. Note that GitHub says nothing at all of organizations that restrict OAuth apps and
/// have not approved this one: approve it in those that rules name, above all in those that rules exclude.
///
/// Whether the user has proved a second factor is unknown: rules about `auth_method` open nothing.
///
/// ```
/// use tower_access::Access;
/// use tower_access::login::GitHubProvider;
///
/// let github = GitHubProvider::new("github", "Iv1.8a61f9b3a7aba766", "client secret".to_owned())
///     .name("GitHub of Example Corp")
///     .base_url("https://github.example.com")?;
/// let builder = Access::builder().identity_provider(github).without_one_time_pin();
/// # Ok::<(), tower_access::login::GitHubProviderError>(())
/// ```
#[derive(Clone)]
pub struct GitHubProvider {
    id: Box<str>,
    name: Box<str>,
    client: Client,
    /// `None`: github.com.
    server: Option<Addresses>,
    authorities: Vec<CertificateDer<'static>>,
    refresh_interval: Option<Duration>,
}

impl GitHubProvider {
    /// Creates the settings of an OAuth app at github.com: `id` is what rules, applications and sessions
    /// refer to, the other two are the app's client id and one of its client secrets.
    #[must_use]
    pub fn new(
        id: impl Into<Box<str>>,
        client_id: impl Into<Box<str>>,
        client_secret: impl Into<SecretText>,
    ) -> Self {
        let client = Client { id: client_id.into(), secret: client_secret.into() };
        Self {
            id: id.into(),
            name: "GitHub".into(),
            client,
            server: None,
            authorities: Vec::new(),
            refresh_interval: Some(REFRESH_INTERVAL),
        }
    }

    /// Sets the name that users see. Default: `GitHub`.
    #[must_use]
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the server: `https://HOST` of a GitHub Enterprise Server, whose API is at
    /// `https://HOST/api/v3`, or `https://NAME.ghe.com`, whose API is at `https://api.NAME.ghe.com`.
    /// Default: `https://github.com`.
    ///
    /// # Errors
    ///
    /// If it is neither `https` nor `http` to a loopback address, or has a path, a query, a fragment, a
    /// user name or a password.
    pub fn base_url(mut self, url: &str) -> Result<Self, GitHubProviderError> {
        let server = Addresses::new(url);
        self.server = Some(server.map_err(|error| GitHubProviderError(error.to_string()))?);
        Ok(self)
    }

    /// Adds certificate authorities (PEM) that are trusted beside those of the platform: for a server
    /// with a private one.
    ///
    /// # Errors
    ///
    /// If the text has no certificate, or one that cannot be read.
    pub fn certificate_authorities(mut self, pem: &[u8]) -> Result<Self, GitHubProviderError> {
        let authorities = http_client::read_authorities(pem);
        let authorities = authorities.map_err(|error| GitHubProviderError(error.to_string()))?;
        self.authorities.extend(authorities);
        Ok(self)
    }

    /// Sets how often GitHub is asked again about a user with a session. Within this time a user who was
    /// removed from an organization or a team loses its access, and the session of a user ends who was
    /// suspended or has revoked the app. Default: 15 minutes; at least one minute. `None`: never, and
    /// sessions have the facts of their login until they end.
    #[must_use]
    pub fn refresh_interval(mut self, interval: Option<Duration>) -> Self {
        self.refresh_interval = interval.map(|interval| interval.max(MIN_REFRESH_INTERVAL));
        self
    }
}

impl ProviderSettings for GitHubProvider {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        super::KIND
    }

    fn build(&self, _: &MethodContext<'_>) -> Result<Arc<dyn LoginMethod>, BuildError> {
        let addresses = match &self.server {
            Some(addresses) => addresses.clone(),
            None => Addresses::new(HOSTED_URL)?,
        };
        let fetch: Arc<dyn Fetch> =
            Arc::new(HttpClient::new(super::TIME_LIMIT, self.authorities.clone())?);
        Ok(Arc::new(GitHubMethod {
            id: self.id.clone(),
            name: self.name.clone(),
            flow: AuthorizationCode::new(&self.id, &self.name),
            client: self.client.clone(),
            api: Api::new(Arc::clone(&fetch), addresses.api),
            authorize: addresses.authorize,
            token: addresses.token,
            fetch,
            slots: Semaphore::new(super::MAX_CONCURRENT),
            refresh_interval: self.refresh_interval,
        }))
    }
}

impl From<GitHubProvider> for IdentityProvider {
    fn from(settings: GitHubProvider) -> Self {
        Self::new(settings)
    }
}

impl fmt::Debug for GitHubProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, client, server, authorities, refresh_interval } = self;
        f.debug_struct("GitHubProvider")
            .field("id", id)
            .field("name", name)
            .field("client_id", &client.id)
            .field("base_url", &server.as_ref().map_or(HOSTED_URL, |it| it.base()))
            .field("authorities", &authorities.len())
            .field("refresh_interval", refresh_interval)
            .finish_non_exhaustive()
    }
}

/// The error of invalid settings of a GitHub provider.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct GitHubProviderError(String);

const REFRESH_INTERVAL: Duration = Duration::from_secs(15 * 60);
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> GitHubProvider {
        GitHubProvider::new("corp", "Iv1.8a61", "hush".to_owned())
    }

    #[test]
    fn the_secret_is_not_printed() {
        let text = format!("{:?} {:?}", provider(), IdentityProvider::from(provider()));
        assert!(text.contains("Iv1.8a61") && text.contains("https://github.com"), "{text}");
        assert!(!text.contains("hush"), "{text}");
    }

    #[test]
    fn invalid_settings_are_refused_with_what_to_write() {
        let error = provider().base_url("http://github.example.com").unwrap_err().to_string();
        assert!(error.contains("`https`"), "{error}");
        let error = provider().base_url("https://github.example.com/api/v3").unwrap_err();
        assert!(error.to_string().contains("`https://github.example.com`"), "{error}");
        for pem in [&b""[..], b"no certificate", b"-----BEGIN CERTIFICATE-----\n?"] {
            assert!(provider().certificate_authorities(pem).is_err());
        }
    }

    #[test]
    fn no_interval_is_shorter_than_a_minute() {
        let interval = |interval| provider().refresh_interval(interval).refresh_interval;
        assert_eq!(interval(Some(Duration::ZERO)), Some(Duration::from_secs(60)));
        assert_eq!(interval(Some(Duration::from_secs(90))), Some(Duration::from_secs(90)));
        assert_eq!(interval(None), None);
        assert_eq!(provider().refresh_interval, Some(Duration::from_secs(900)));
    }
}
