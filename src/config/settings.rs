//! The configuration as types.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::address::TrustedProxies;
use crate::application::{Application, CanonicalHost, PublicAddresses, TeamDomain};
use crate::facts::ExternalEvaluation;
use crate::issuer::KeyRotation;
use crate::login::OneTimePinLimits;
use crate::policy::Definitions;
use crate::service_token::ServiceToken;
use crate::token::Algorithms;
use crate::token::keys::RefreshPolicy;

use super::admin::AdminConfig;
use super::error::Note;
use super::facts::FactsConfig;
use super::identity_provider::IdentityProviderConfig;
use super::ingress::IngressEntry;
use super::limits::LimitsConfig;
use super::lint::Suppression;
use super::mail::{MailConfig, MailTemplateConfig};
use super::redaction::Redaction;
use super::state::StateConfig;
use super::tests::ExpectedVerdict;
use super::version::Version;

/// A configuration file, read and checked.
///
/// ```
/// use tower_access::config::Config;
///
/// let config = Config::parse(
///     "
/// ingress:
///   - service: http://127.0.0.1:9000
/// access:
///   mail: console
///   applications:
///     - name: Wiki
///       domain: wiki.example.com
///       policies:
///         - name: Staff
///           decision: allow
///           include: [ { email_domain: { domain: example.com } } ]
/// ",
///     "access.yml",
/// )?;
/// assert_eq!(config.listen.port(), 8080);
/// assert_eq!(config.access.applications.len(), 1);
/// # Ok::<(), tower_access::config::ConfigErrors>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// `listen`: where the proxy accepts connections. `127.0.0.1:8080` by default.
    pub listen: SocketAddr,
    /// `trusted_proxies`: the proxies whose `X-Forwarded-For` is trusted. None by default.
    pub trusted_proxies: TrustedProxies,
    /// `public_port`, `public_ports`, `insecure_public_scheme`: the URLs at which users reach the hosts.
    /// `https` and port 443 by default.
    pub public_addresses: PublicAddresses,
    /// `ingress`: which origin serves which host. Empty if the file has no `ingress`.
    pub ingress: Vec<IngressEntry>,
    /// `access`: who may pass.
    pub access: AccessConfig,
    /// `state`: where sessions and keys are stored. `None`: in memory.
    pub state: Option<StateConfig>,
    /// `admin`: the listener for administration. None by default.
    pub admin: Option<AdminConfig>,
    /// `limits`: times, sizes and counts of the running proxy.
    pub limits: LimitsConfig,
    /// `tests`: requests and their expected verdicts.
    pub tests: Vec<ExpectedVerdict>,
    /// `lint.allow`: findings that are accepted.
    pub lint: Vec<Suppression>,
    pub(super) notes: Vec<Note>,
    pub(super) hidden: Arc<Redaction>,
    pub(super) version: Version,
}

impl Config {
    /// Returns notes on the file, in its order: keys without effect, weakened defaults, and possible
    /// mistakes.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Returns the version of the text: the first 16 digits of its SHA-256, as `sha256sum` prints it. It
    /// does not depend on the environment.
    #[must_use]
    pub fn version(&self) -> &str {
        self.version.as_str()
    }

    /// Returns a hash of the text and the values from the environment. It must not be published.
    #[cfg(feature = "proxy")]
    pub(crate) fn digest(&self) -> &[u8; 32] {
        self.version.digest()
    }

    /// Returns a text without values from the environment.
    pub(crate) fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.hidden.redact(text)
    }
}

/// `access`: applications, and how users prove who they are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccessConfig {
    /// Who issues tokens: this program, or an issuer in front of it.
    pub role: Role,
    /// `session_duration`: how long a login lasts for all applications.
    pub session_duration: Option<Duration>,
    /// `idle_timeout`: how long a session lasts without a request. `None`: for `session_duration`.
    pub idle_timeout: Option<Duration>,
    /// `applications`, with their policies.
    pub applications: Vec<Application>,
    /// `groups` and `lists`, which rules refer to.
    pub definitions: Definitions,
    /// `service_tokens`.
    pub service_tokens: Vec<ServiceToken>,
    /// `strict_service_token_auth`: whether a request with a service token is judged by that token alone.
    /// `true` by default.
    pub strict_service_token_auth: bool,
    /// Whether the store may define service tokens in addition to the file: if the file has `state`.
    pub stored_service_tokens: bool,
    /// `facts`: sources of facts that a request does not prove itself.
    pub facts: FactsConfig,
}

/// Who issues tokens.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a file has one")]
#[non_exhaustive]
pub enum Role {
    /// This program runs the login.
    #[non_exhaustive]
    Issuing {
        /// `team_domain`: the host that runs the login. `None`: each application's own host.
        team_domain: Option<TeamDomain>,
        /// `transfer_host`: where command-line clients get their tokens, besides the team domain
        /// (feature `cloudflared`). `None` by default.
        transfer_host: Option<CanonicalHost>,
        /// `one_time_pin`. `None`: the file names identity providers, and it is none of them.
        one_time_pin: Option<OneTimePinConfig>,
        /// `identity_providers`, without the one-time PIN.
        identity_providers: Vec<IdentityProviderConfig>,
        /// `key_rotation`.
        key_rotation: KeyRotation,
        /// `external_evaluation`.
        external_evaluation: ExternalEvaluation,
        /// `mail`: how codes reach users.
        mail: MailConfig,
        /// `mail.template`: in which words.
        mail_template: MailTemplateConfig,
    },
    /// `issuer`: an issuer in front runs the login, and this program verifies its tokens.
    #[non_exhaustive]
    Verifying {
        /// `issuer.team_domain`: who issues the tokens.
        team_domain: TeamDomain,
        /// `issuer.certs_url`: the URL of the keys. `None`: at the team domain.
        certs_url: Option<String>,
        /// `issuer.algorithms`: the algorithms that the issuer may use.
        algorithms: Algorithms,
        /// `issuer.get_identity`: whether the issuer is asked for further attributes of users. `false` by
        /// default.
        get_identity: bool,
        /// `issuer.leeway`: tolerance between the issuer's clock and ours, 0 s to 5 m; 60 s by default.
        leeway: Option<Duration>,
        /// `issuer.key_refresh`.
        key_refresh: RefreshPolicy,
    },
}

/// `one_time_pin`: the login by a code that is mailed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OneTimePinConfig {
    /// `id`: the id that applications name in `allowed_idps`. `onetimepin` by default.
    pub id: String,
    /// `expires_in`: how long a code is valid, 1 to 15 minutes. 5 minutes by default.
    pub expires_in: Duration,
    /// `attempts`: attempts to type a code, 1 to 10. 3 by default.
    pub attempts: u32,
    /// `digits`: digits of a code while nobody guesses, 6 to 12. 6 by default.
    pub digits: u32,
    /// `link`: whether the mail has a link that fills in the code. `true` by default.
    pub link: bool,
    /// `limits`: limits on codes that are mailed and guessed.
    pub limits: OneTimePinLimits,
}

impl Default for OneTimePinConfig {
    fn default() -> Self {
        Self {
            id: "onetimepin".to_owned(),
            expires_in: Duration::from_secs(300),
            attempts: 3,
            digits: 6,
            link: true,
            limits: OneTimePinLimits::new(),
        }
    }
}

pub(super) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
