//! Settings of an engine that runs the login and issues tokens.

mod build;
mod engine;
mod restore;

use std::sync::Arc;
use std::time::Duration;

use crate::application::{CanonicalHost, MAX_SESSION_DURATION, TeamDomain};
use crate::facts::ExternalEvaluation;
use crate::issuer::{KeyRotation, SigningKey};
use crate::login::mail::{MailTemplate, Mailer};
use crate::login::{IdentityProvider, MethodSettings, OneTimePin};
use crate::pages::{BuiltInPages, Pages};
use crate::random::Random;
use crate::secret::MasterSecret;
use crate::service_token::Sharing;
use crate::session::{Lifetimes, MIN_IDLE, MIN_SESSION};
use crate::store::Store;

pub use self::restore::RestoreOptions;
use super::options::{EngineOptions, shared_setters};
use super::token_location::TokenLocation;

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
/// By default the state is in memory and every start makes new keys: a restart logs all users out, so
/// that no revoked session is valid again.
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
    mail_template: MailTemplate,
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
            options: EngineOptions::new(TokenLocation::TokenHeader),
            team_domain: None,
            strict_service_token_auth: true,
            lifetimes: Lifetimes::default(),
            login_methods: MethodSettings::default(),
            transfer_host: None,
            external_evaluation: ExternalEvaluation::new(),
            mailer: None,
            mail_template: MailTemplate::new(),
            pages: Arc::new(BuiltInPages),
            store: None,
            sharing: Sharing::Shared,
            signing_key: None,
            master_secret: None,
            localhost_port: 80,
            key_rotation: KeyRotation::default(),
        }
    }

    /// Sets the host that runs the login for all applications. Its requests have to reach this engine.
    ///
    /// Default: each application's host runs its own login.
    pub fn team_domain(mut self, team_domain: TeamDomain) -> Self {
        self.team_domain = Some(team_domain);
        self
    }

    /// Hands out tokens to command-line clients on this host as well, below `/transfer/`. An unmodified
    /// cloudflared asks only `login.cloudflareaccess.org`: set it if you have pointed that name here.
    /// Default: only the team domain, or without one each application's host.
    ///
    /// It must not be the host of an application.
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

    /// Sets whether a request with a service token is judged by that token alone. Default: `true`. Then
    /// its cookies are ignored, the response sets no cookie, and a refusal is 401 or 403, never a
    /// redirect.
    ///
    /// With `false`, a valid service token that a Service Auth policy allows is exchanged for a
    /// `CF_Authorization` cookie in the response, which is valid while the service token is. A service
    /// token that is invalid, or that no such policy allows, is ignored: the request is judged by its
    /// cookie, and may be redirected to the login. For programs that rely on it; see
    /// [`service_token`](crate::service_token#modes).
    pub fn strict_service_token_auth(mut self, strict: bool) -> Self {
        self.strict_service_token_auth = strict;
        self
    }

    /// Sets how long a login lasts for all applications: 15 minutes to 31 days; other values are
    /// clamped. Default: the
    /// [`session_duration`](crate::application::Application::session_duration) of the application that
    /// the user logs in to, at least 15 minutes, or 24 hours if the application sets none.
    ///
    /// It is also the lifetime of tokens of applications that set none. No token outlives its login.
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.lifetimes.session = Some(duration.clamp(MIN_SESSION, MAX_SESSION_DURATION));
        self
    }

    /// Ends sessions of inactive users after this time: 5 minutes to 31 days; other values are clamped.
    /// Default: sessions last until they expire.
    ///
    /// A session ends between 1 and 1.25 times this after the user's last request, and never later than
    /// it expires. Allowed requests with a cookie of an application count as activity. A connection
    /// that stays open after its response, such as a WebSocket, counts as one request. Programs that
    /// send a token in a header log in again after at most 1.25 times this.
    ///
    /// Tokens live at most that long as well, and are renewed after a quarter of the time. Each renewal
    /// writes into the store: an active user causes four writes in this time.
    pub fn idle_timeout(mut self, duration: Duration) -> Self {
        self.lifetimes.idle = Some(duration.clamp(MIN_IDLE, MAX_SESSION_DURATION));
        self
    }

    /// Sets how long a one-time PIN is valid, for how many attempts, and the id of this login method.
    pub fn one_time_pin(mut self, one_time_pin: OneTimePin) -> Self {
        self.login_methods.one_time_pin = Some(one_time_pin);
        self
    }

    /// Removes the login by one-time PIN: users log in by [identity providers](Self::identity_provider)
    /// only, and no mailer is needed.
    pub fn without_one_time_pin(mut self) -> Self {
        self.login_methods.one_time_pin = None;
        self
    }

    /// Adds an identity provider. Its id must differ from those of all other login methods; the
    /// default id of the one-time PIN is `onetimepin`.
    ///
    /// An application accepts all login methods, unless it
    /// [names](crate::application::Application::allowed_login_method) those that it accepts.
    pub fn identity_provider(mut self, provider: impl Into<IdentityProvider>) -> Self {
        self.login_methods.add(provider.into());
        self
    }

    /// Sets how, and how often, the services in `external_evaluation` rules are asked.
    pub fn external_evaluation(mut self, settings: ExternalEvaluation) -> Self {
        self.external_evaluation = settings;
        self
    }

    /// Sets the mailer. Required if a policy lets users log in by one-time PIN. For development,
    /// [`ConsoleMailer`](crate::login::mail::ConsoleMailer) prints the mail.
    pub fn mailer(mut self, mailer: impl Mailer) -> Self {
        self.mailer = Some(Arc::new(mailer));
        self
    }

    /// Sets the words of the mail with a code. Default: the built-in ones.
    pub fn mail_template(mut self, template: MailTemplate) -> Self {
        self.mail_template = template;
        self
    }

    /// Sets the renderer of the pages. Default: [`BuiltInPages`].
    pub fn pages(mut self, pages: impl Pages) -> Self {
        self.pages = Arc::new(pages);
        self
    }

    /// Sets the store. Default: memory, at most 250,000 records of each kind.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Declares that no other process uses the store.
    #[cfg(feature = "config")]
    pub(crate) fn exclusive_store(mut self) -> Self {
        self.sharing = Sharing::Exclusive;
        self
    }

    /// Sets the key that signs tokens until the first rotation. Default: every start makes a new key,
    /// or takes it from the store: [`build_persistent`](Self::build_persistent).
    ///
    /// [`build`](Self::build) loads revocations from the store in the background: with a key that
    /// outlives the process, revoked tokens are valid again for a moment after a restart.
    /// [`build_persistent`](Self::build_persistent) loads them before the first request.
    pub fn signing_key(mut self, key: SigningKey) -> Self {
        self.signing_key = Some(key);
        self
    }

    /// Sets the secret that protects logins under way. Default: every start draws a new one.
    pub fn master_secret(mut self, secret: MasterSecret) -> Self {
        self.master_secret = Some(secret);
        self
    }

    /// Sets the port of `localhost` and names below it, unless
    /// [`public_addresses`](Self::public_addresses) sets one. Default: 80.
    ///
    /// Only these hosts are served without TLS. The URL of every other host begins with `https://`,
    /// with the port of `public_addresses`.
    pub fn localhost_port(mut self, port: u16) -> Self {
        self.localhost_port = port;
        self
    }

    /// Sets when the signing key is rotated, and the size of new keys.
    ///
    /// A key that is due is rotated in the background of the next login; with stored keys also without
    /// a login. [`Access::rotate_keys`](crate::Access::rotate_keys) rotates it immediately.
    pub fn key_rotation(mut self, rotation: KeyRotation) -> Self {
        self.key_rotation = rotation;
        self
    }

    /// Sets the source of randomness, which has to be secure enough for keys and codes. Default:
    /// [`SystemRandom`](crate::random::SystemRandom).
    pub fn random(mut self, random: impl Random) -> Self {
        self.options.random = Arc::new(random);
        self.options.has_system_random = false;
        self
    }
}

shared_setters!(AccessBuilder);
