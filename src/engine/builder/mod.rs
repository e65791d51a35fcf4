//! An engine that runs the login and issues tokens: its settings.

mod build;
mod engine;
mod restore;

use std::sync::Arc;
use std::time::Duration;

use crate::application::{CanonicalHost, LONGEST_SESSION, TeamDomain};
use crate::facts::ExternalEvaluation;
use crate::issuer::{KeyRotation, SigningKey};
use crate::login::mail::Mailer;
use crate::login::{MethodSettings, OneTimePin};
use crate::pages::{BuiltInPages, Pages};
use crate::random::Random;
use crate::secret::MasterSecret;
use crate::service_token::Sharing;
use crate::session::{Lifetimes, SHORTEST_IDLE, SHORTEST_SESSION};
use crate::store::Store;

pub use self::restore::Restore;
use super::carrier::Carrier;
use super::options::{EngineOptions, shared_setters};

/// Settings of an engine that runs the login and issues tokens.
///
/// ```
/// use tower_access::Access;
/// use tower_access::application::Application;
/// use tower_access::login::mail::ConsoleMailer;
/// use tower_access::policy::{Policy, Rule};
///
/// let access = Access::builder()
///     .mailer(ConsoleMailer)
///     .application(
///         Application::new("Wiki", "wiki.example.com")?
///             .policy(Policy::allow("staff").include(Rule::email_domain("example.com")?)),
///     )
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// By default state is kept in memory and keys are made anew at every start: a restart logs
/// everybody out, which is what keeps ended sessions ended.
#[derive(Debug)]
#[must_use = "settings do nothing until they are built"]
pub struct AccessBuilder {
    options: EngineOptions,
    team_domain: Option<TeamDomain>,
    strict_service_token_auth: bool,
    lifetimes: Lifetimes,
    login_methods: MethodSettings,
    /// `None` without the feature `cloudflared`.
    transfer_host: Option<CanonicalHost>,
    external_evaluation: ExternalEvaluation,
    mailer: Option<Arc<dyn Mailer>>,
    pages: Arc<dyn Pages>,
    store: Option<Arc<dyn Store>>,
    sharing: Sharing,
    signing_key: Option<SigningKey>,
    master_secret: Option<MasterSecret>,
    localhost_port: u16,
    key_rotation: KeyRotation,
}

impl AccessBuilder {
    pub(super) fn new() -> Self {
        Self {
            options: EngineOptions::new(Carrier::TokenHeader),
            team_domain: None,
            strict_service_token_auth: true,
            lifetimes: Lifetimes::default(),
            login_methods: MethodSettings::default(),
            transfer_host: None,
            external_evaluation: ExternalEvaluation::new(),
            mailer: None,
            pages: Arc::new(BuiltInPages),
            store: None,
            sharing: Sharing::Shared,
            signing_key: None,
            master_secret: None,
            localhost_port: 80,
            key_rotation: KeyRotation::default(),
        }
    }

    /// Sets the host that runs the login for all applications. It has to reach this engine.
    ///
    /// Without one each application's own host runs the login, for itself.
    pub fn team_domain(mut self, team_domain: TeamDomain) -> Self {
        self.team_domain = Some(team_domain);
        self
    }

    /// Hands tokens out to command-line clients on this host as well, below `/transfer/`:
    /// `login.cloudflareaccess.org`, where an operator has pointed that name here, because an
    /// unmodified cloudflared asks no other. By default on the team domain alone, or where there is
    /// none on each application's host.
    ///
    /// It may be no host of an application.
    #[cfg(feature = "cloudflared")]
    pub fn transfer_host(self, host: CanonicalHost) -> Self {
        self.with_transfer_host(Some(host))
    }

    #[cfg(any(feature = "config", test))]
    pub(crate) fn login_methods(mut self, login_methods: MethodSettings) -> Self {
        self.login_methods = login_methods;
        self
    }

    #[cfg(any(feature = "cloudflared", feature = "config"))]
    pub(crate) fn with_transfer_host(mut self, host: Option<CanonicalHost>) -> Self {
        self.transfer_host = host;
        self
    }

    /// Sets whether a request that shows a service token is judged by it alone, as it is by default:
    /// no cookie counts beside it, none is set, and a refusal is 401 or 403, never a redirect.
    ///
    /// With `false` a good service token that a Service Auth policy lets in is exchanged for a
    /// `CF_Authorization` cookie in the answer, which is good by itself while the service token is;
    /// and one that is not good, or that no such policy lets in, counts as none: a cookie beside it
    /// counts, and the request may be sent to the login. For programs that were written for that;
    /// see [`service_token`](crate::service_token#modes).
    pub fn strict_service_token_auth(mut self, strict: bool) -> Self {
        self.strict_service_token_auth = strict;
        self
    }

    /// Sets how long a login lasts over all applications: 15 minutes to 31 days; other values are
    /// moved into this range. By default as long as the
    /// [application](crate::application::Application::session_duration) says for which a person logs in, 15 minutes at
    /// least, and 24 hours where it says nothing.
    ///
    /// Tokens of applications that do not say how long theirs live live as long as this as well. No
    /// token outlives its login.
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.lifetimes.session = Some(duration.clamp(SHORTEST_SESSION, LONGEST_SESSION));
        self
    }

    /// Ends sessions of people who are not active: 5 minutes to 31 days; other values are moved into
    /// this range. By default sessions last until they end.
    ///
    /// A session ends between one and 1.25 times this after the person's last request, and never
    /// later than it would anyway. Requests count that bring a cookie of an application and are let
    /// in; what goes on after its answer, such as a WebSocket, is one request, and programs that
    /// carry a token in a header log in again after at most 1.25 times this.
    ///
    /// Tokens live that long at most as well, and are renewed after a quarter of the time, which
    /// takes a write into the store: every active person causes four in this time.
    pub fn idle_timeout(mut self, duration: Duration) -> Self {
        self.lifetimes.idle = Some(duration.clamp(SHORTEST_IDLE, LONGEST_SESSION));
        self
    }

    /// Sets how long a one-time PIN is good, for how many attempts, and the id of this login method.
    pub fn one_time_pin(mut self, one_time_pin: OneTimePin) -> Self {
        self.login_methods.one_time_pin = one_time_pin;
        self
    }

    /// Sets how the services are asked that `external_evaluation` rules name, and how often.
    pub fn external_evaluation(mut self, settings: ExternalEvaluation) -> Self {
        self.external_evaluation = settings;
        self
    }

    /// Sets who delivers mail. Needed as soon as a policy lets people log in. For a first look
    /// [`ConsoleMailer`](crate::login::mail::ConsoleMailer) prints it.
    pub fn mailer(mut self, mailer: impl Mailer) -> Self {
        self.mailer = Some(Arc::new(mailer));
        self
    }

    /// Sets who renders the pages.
    pub fn pages(mut self, pages: impl Pages) -> Self {
        self.pages = Arc::new(pages);
        self
    }

    /// Sets where state is kept. By default in memory, 250,000 records of each kind.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets that no other process uses the store.
    #[cfg(feature = "config")]
    pub(crate) fn exclusive_store(mut self) -> Self {
        self.sharing = Sharing::Exclusive;
        self
    }

    /// Sets the key that signs tokens until the first rotation. By default one is made at every
    /// start, or taken from the store: [`build_with_kept_keys`](Self::build_with_kept_keys).
    ///
    /// What was ended before its time is read from the store beside the first request: with a key that
    /// outlives the process, tokens that were ended are good again for a moment after a restart. With
    /// [`build_with_kept_keys`](Self::build_with_kept_keys) they are not.
    pub fn signing_key(mut self, key: SigningKey) -> Self {
        self.signing_key = Some(key);
        self
    }

    /// Sets the secret that logins under way are protected with. By default one is drawn at every
    /// start.
    pub fn master_secret(mut self, secret: MasterSecret) -> Self {
        self.master_secret = Some(secret);
        self
    }

    /// Sets the port under which `localhost` and names below it are reached, 80 by default, unless
    /// [`public_addresses`](Self::public_addresses) set one.
    ///
    /// Only these hosts are served without TLS; the address of every other one is `https://` and
    /// the host, and the port that `public_addresses` set.
    pub fn localhost_port(mut self, port: u16) -> Self {
        self.localhost_port = port;
        self
    }

    /// Sets when the signing key is replaced, and how large new ones are.
    ///
    /// A key that is due is replaced beside the next login, or where keys are kept also without
    /// one; [`Access::rotate_keys`](crate::Access::rotate_keys) does it when told to.
    pub fn key_rotation(mut self, rotation: KeyRotation) -> Self {
        self.key_rotation = rotation;
        self
    }

    /// Sets the source of randomness, which has to be fit for keys and codes. Default:
    /// [`SystemRandom`](crate::random::SystemRandom).
    pub fn random(mut self, random: impl Random) -> Self {
        self.options.random = Arc::new(random);
        self
    }
}

shared_setters!(AccessBuilder);
