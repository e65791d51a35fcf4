//! What a file says, parsed.

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
use super::hidden::Hidden;
use super::ingress::IngressEntry;
use super::limits::LimitsConfig;
use super::lint::Suppression;
use super::mail::MailConfig;
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
    /// `trusted_proxies`: whose `X-Forwarded-For` is believed. Nobody's by default.
    pub trusted_proxies: TrustedProxies,
    /// `public_port`, `public_ports`, `insecure_public_scheme`: under which addresses people reach the
    /// hosts. `https` and 443 by default.
    pub public_addresses: PublicAddresses,
    /// `ingress`: which origin serves which host. Empty when the file has no `ingress`.
    pub ingress: Vec<IngressEntry>,
    /// `access`: who may pass.
    pub access: AccessConfig,
    /// `state`: where sessions and keys are kept. `None`: in memory.
    pub state: Option<StateConfig>,
    /// `admin`: where the running proxy is told what to do. Nowhere by default.
    pub admin: Option<AdminConfig>,
    /// `limits`: times, sizes and counts of the running proxy.
    pub limits: LimitsConfig,
    /// `tests`: what the file is expected to decide.
    pub tests: Vec<ExpectedVerdict>,
    /// `lint.allow`: findings that are known and accepted.
    pub lint: Vec<Suppression>,
    pub(super) notes: Vec<Note>,
    pub(super) hidden: Arc<Hidden>,
    pub(super) version: Version,
}

impl Config {
    /// What is worth knowing about the file: keys without effect, weakened defaults, and what may
    /// not be meant; in the order of the file.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Which text this is: the first 16 digits of its SHA-256, as `sha256sum` prints it. Tells
    /// nothing of what came from the environment.
    #[must_use]
    pub fn version(&self) -> &str {
        self.version.as_str()
    }

    /// Another one for another text, or other values from the environment. Not to be told.
    #[cfg(feature = "proxy")]
    pub(crate) fn digest(&self) -> &[u8; 32] {
        self.version.digest()
    }

    /// A text without what came from the environment.
    pub(crate) fn without_environment<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.hidden.of_text(text)
    }
}

/// `access`: applications, and how people prove who they are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccessConfig {
    /// Who issues tokens: this program, or somebody in front of it.
    pub role: Role,
    /// `session_duration`: how long a login lasts for all applications.
    pub session_duration: Option<Duration>,
    /// `idle_timeout`: how long a session lives without a request. `None`: until it ends.
    pub idle_timeout: Option<Duration>,
    /// `applications`, with their policies.
    pub applications: Vec<Application>,
    /// `groups` and `lists`: what rules refer to.
    pub definitions: Definitions,
    /// `service_tokens`.
    pub service_tokens: Vec<ServiceToken>,
    /// `strict_service_token_auth`: whether a request that shows a service token is judged by it
    /// alone. It is by default.
    pub strict_service_token_auth: bool,
    /// Whether service tokens may be there that the file does not define: those of the store, where
    /// the file names one (`state`).
    pub keeps_service_tokens: bool,
    /// `facts`: where facts come from that a request does not prove itself.
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
        /// `transfer_host`: where command-line clients get their tokens, beside the team domain
        /// (feature `cloudflared`). None by default.
        transfer_host: Option<CanonicalHost>,
        /// `one_time_pin`.
        one_time_pin: OneTimePinConfig,
        /// `key_rotation`: `interval` (24h to 8760h, 1008h by default), `announce` (5s to 168h, 1h
        /// by default), `overlap` (168h by default), `rsa_bits` (2048 by default).
        key_rotation: KeyRotation,
        /// `external_evaluation`: `timeout` (100ms to 30s, 5s by default), `recheck_every` (10s to
        /// 24h, 5m by default, or `login`: asked at the login alone), `serve_stale_up_to` (0s to 168h,
        /// 1h by default; how old an answer may be while the evaluator gives no other).
        external_evaluation: ExternalEvaluation,
        /// `mail`: how codes reach people.
        mail: MailConfig,
    },
    /// `issuer`: somebody in front runs the login, and only tokens are verified here.
    #[non_exhaustive]
    Verifying {
        /// `issuer.team_domain`: who issues the tokens.
        team_domain: TeamDomain,
        /// `issuer.certs_url`: where the keys are. `None`: at the team domain.
        certs_url: Option<String>,
        /// `issuer.algorithms`: what the issuer may sign with beside RS256.
        algorithms: Algorithms,
        /// `issuer.get_identity`: whether the issuer is asked what it knows of people. Not by
        /// default.
        get_identity: bool,
        /// `issuer.leeway`: tolerance between the issuer's clock and ours, 0 s to 5 m; 60 s by default.
        leeway: Option<Duration>,
        /// `issuer.key_refresh`: `fresh_for` (1m to 6h, 1h by default), `serve_stale_up_to` (1m to 744h,
        /// 24h by default), `cool_down` (1s to 1h, 10s by default).
        key_refresh: RefreshPolicy,
    },
}

/// `one_time_pin`: the codes people get by mail.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct OneTimePinConfig {
    /// `id`: what applications name in `allowed_idps`. `onetimepin` by default.
    pub id: String,
    /// `expires_in`: how long a code is good, 1 to 15 minutes. 5 minutes by default.
    pub expires_in: Duration,
    /// `attempts`: how often a code may be mistyped, 1 to 10. 3 by default.
    pub attempts: u32,
    /// `digits`: how long a code is as long as nobody guesses, 6 to 12. 6 by default.
    pub digits: u32,
    /// `limits`: how often codes may be asked for and guessed.
    pub limits: OneTimePinLimits,
}

impl Default for OneTimePinConfig {
    fn default() -> Self {
        Self {
            id: "onetimepin".to_owned(),
            expires_in: Duration::from_secs(300),
            attempts: 3,
            digits: 6,
            limits: OneTimePinLimits::new(),
        }
    }
}

pub(super) const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
