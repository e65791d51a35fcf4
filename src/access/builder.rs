//! An engine that runs the login and issues tokens.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::address::TrustedProxies;
use crate::application::{
    Application, CanonicalHost, Directory, LONGEST_SESSION, Protected, PublicOrigins, TeamDomain,
};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::evaluation::ExternalEvaluation;
use crate::identity::Attributes;
#[cfg(feature = "cloudflared")]
use crate::login::CommandLine;
use crate::login::mail::{Mail, MailError, MailFuture, Mailer};
use crate::login::metadata::SignedMetadata;
use crate::login::pages::{BuiltInPages, Pages};
use crate::login::{Evaluations, Keys, Login, OneTimePin};
use crate::policy::{Definitions, Group, List};
use crate::random::{Random, SystemRandom, to_hex};
use crate::secret::{MasterSecret, sha256};
use crate::service_token::{LiveServiceTokens, ServiceToken, ServiceTokens};
use crate::session::{
    Changes, IssueError, IssuedToken, Issuer, KeptKeys, Lifetimes, Revocations, SHORTEST_IDLE,
    SHORTEST_SESSION, Sessions,
};
use crate::source::{FactSource, Sources};
use crate::store::{MemoryStore, Store};
use crate::token::{KeyRotation, Signed, SigningKey, SigningKeys};

use super::authenticate::Admission;
use super::carrier::{Carrier, Carriers};
use super::credential::ShownServiceToken;
use super::lasting::Lasting;
use super::linked::{Linked, Links};
use super::peer::PeerSource;
use super::rejection::RejectionKind;
use super::renewal::Renewals;
use super::verify::IssuerName;
use super::{Access, ConfigError, Engine, EngineId, Role, VERIFIED_TOKENS};

/// What an engine that issues has beyond one that verifies.
#[derive(Debug)]
pub(super) struct Issuing {
    pub(super) login: Arc<Login>,
    /// The team domain's issuer name; `None` where each host runs its own login.
    issuer: Option<Arc<str>>,
    pub(super) links: Links,
    pub(super) renewals: Arc<Renewals>,
    /// Tokens for origins, made from service tokens and tokens of other applications, by what they
    /// were made from: signing takes long.
    assertions: Cache<(Box<str>, Box<str>), (HeaderValue, Timestamp)>,
}

impl Issuing {
    pub(super) fn issuer_name<'a>(&'a self, host: &'a CanonicalHost) -> IssuerName<'a> {
        match &self.issuer {
            Some(issuer) => IssuerName::Fixed(issuer),
            None => IssuerName::OfHost(host),
        }
    }

    pub(super) fn issuer_text(&self, host: &CanonicalHost) -> Arc<str> {
        match &self.issuer {
            Some(issuer) => Arc::clone(issuer),
            None => format!("https://{host}").into(),
        }
    }
}

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
    team_domain: Option<TeamDomain>,
    applications: Vec<Application>,
    groups: Vec<Group>,
    lists: Vec<List>,
    /// Groups and lists that are compiled already.
    definitions: Option<Definitions>,
    service_tokens: Vec<ServiceToken>,
    strict_service_token_auth: bool,
    lifetimes: Lifetimes,
    one_time_pin: OneTimePin,
    #[cfg(feature = "cloudflared")]
    transfer_host: Option<CanonicalHost>,
    external_evaluation: ExternalEvaluation,
    mailer: Option<Arc<dyn Mailer>>,
    pages: Arc<dyn Pages>,
    store: Option<Arc<dyn Store>>,
    signing_key: Option<SigningKey>,
    master_secret: Option<MasterSecret>,
    localhost_port: u16,
    key_rotation: KeyRotation,
    carriers: Carriers,
    cache: usize,
    trusted_proxies: TrustedProxies,
    sources: Sources,
    peer: PeerSource,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl AccessBuilder {
    pub(super) fn new() -> Self {
        Self {
            team_domain: None,
            applications: Vec::new(),
            groups: Vec::new(),
            lists: Vec::new(),
            definitions: None,
            service_tokens: Vec::new(),
            strict_service_token_auth: true,
            lifetimes: Lifetimes::default(),
            one_time_pin: OneTimePin::new(),
            #[cfg(feature = "cloudflared")]
            transfer_host: None,
            external_evaluation: ExternalEvaluation::new(),
            mailer: None,
            pages: Arc::new(BuiltInPages),
            store: None,
            signing_key: None,
            master_secret: None,
            localhost_port: 80,
            key_rotation: KeyRotation::default(),
            carriers: Carriers::with_header(Carrier::TokenHeader),
            cache: VERIFIED_TOKENS,
            trusted_proxies: TrustedProxies::default(),
            sources: Sources::default(),
            peer: PeerSource::default(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
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
    pub fn transfer_host(mut self, host: CanonicalHost) -> Self {
        self.transfer_host = Some(host);
        self
    }

    /// Adds an application.
    pub fn application(mut self, application: Application) -> Self {
        self.applications.push(application);
        self
    }

    /// Adds a rule group.
    pub fn group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// Adds a list of addresses or networks.
    pub fn list(mut self, list: List) -> Self {
        self.lists.push(list);
        self
    }

    /// Sets all groups and lists, compiled already.
    #[cfg(feature = "config")]
    pub(crate) fn definitions(mut self, definitions: Definitions) -> Self {
        self.definitions = Some(definitions);
        self
    }

    /// Adds a service token.
    pub fn service_token(mut self, token: ServiceToken) -> Self {
        self.service_tokens.push(token);
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
    /// [application](Application::session_duration) says for which a person logs in, 15 minutes at
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
        self.one_time_pin = one_time_pin;
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

    /// Sets the port under which `localhost` and names below it are reached, 80 by default.
    ///
    /// Only these hosts are served without TLS; the address of every other one is `https://` and
    /// the host.
    pub fn localhost_port(mut self, port: u16) -> Self {
        self.localhost_port = port;
        self
    }

    /// Sets when the signing key is replaced, and how large new ones are.
    ///
    /// A key that is due is replaced beside the next login, or where keys are kept also without
    /// one; [`Access::rotate_keys`] does it when told to.
    pub fn key_rotation(mut self, rotation: KeyRotation) -> Self {
        self.key_rotation = rotation;
        self
    }

    /// Does not look for tokens in this place: the token header, or the cookie. Without [`Carrier::Cookie`] nobody can log in who
    /// uses a browser.
    pub fn without_carrier(mut self, carrier: Carrier) -> Self {
        self.carriers = self.carriers.without(carrier);
        self
    }

    /// Sets how many bytes of verified tokens are kept, so that their signatures need not be
    /// checked again: 16 MiB by default, about ten thousand tokens. Each thread has copies of up to
    /// 32 tokens that it sees most, of 4 KiB at most, beside that.
    pub fn token_cache_bytes(mut self, bytes: usize) -> Self {
        self.cache = bytes;
        self
    }

    /// Trusts `X-Forwarded-For` of these proxies. By default nobody's.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.trusted_proxies = proxies;
        self
    }

    /// Asks this source for facts that a request does not prove itself, after those that were added
    /// before: the first that knows wins. See [`source`](crate::source).
    pub fn fact_source(mut self, source: impl FactSource) -> Self {
        self.sources.add(source);
        self
    }

    /// Finds the peer's address by other means than [`PeerAddress`](crate::address::PeerAddress)
    /// or axum's `ConnectInfo<SocketAddr>`.
    pub fn peer_address(
        mut self,
        source: impl Fn(&http::Extensions) -> Option<std::net::IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.peer = PeerSource::new(source);
        self
    }

    /// Takes the time from elsewhere.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Takes randomness from elsewhere. It has to be fit for keys and codes.
    pub fn random(mut self, random: impl Random) -> Self {
        self.random = Arc::new(random);
        self
    }

    /// Builds the engine. Makes a signing key and a certificate: some tens of milliseconds.
    ///
    /// # Errors
    ///
    /// When applications, policies, groups or service tokens contradict each other, or no key can
    /// be made.
    pub fn build(mut self) -> Result<Access, ConfigError> {
        self.check_login_methods()?;
        let now = self.clock.now();
        let key = self.first_key()?;
        let keys = SigningKeys::new(key, &self.issuer_of_keys(), self.key_rotation, now);
        self.build_with(keys.map_err(ConfigError::new)?, None)
    }

    /// Builds the engine with the signing keys that the store has, sealed with the master secret;
    /// where it has none yet, they are made and kept. Rotations are kept as well. Sessions then
    /// survive a restart, if the store does.
    ///
    /// Several processes may share the keys of one store, and start at once: one of them makes the
    /// first key. A key that is due is replaced by one of them, and all others hear of it within a
    /// second, long before any of them signs with it; then all begin to at the same moment, so their
    /// clocks have to agree to a second or two. Give all of them the same
    /// [`key_rotation`](Self::key_rotation).
    ///
    /// While the store is away, signing and verifying go on with the keys that are known; one that
    /// is due is replaced when the store is back. A store that has lost its records gets them back
    /// from the processes that run. Records are kept for two years, which begin anew at every start,
    /// at every rotation, and every day.
    ///
    /// Needs a Tokio runtime, with time enabled, and leaves two tasks on it that end some time after
    /// the engine is dropped.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); when no [`master_secret`](Self::master_secret) is set, or there is
    /// no Tokio runtime; when the store is away, or its keys were sealed with another secret.
    pub async fn build_with_kept_keys(mut self) -> Result<Access, ConfigError> {
        self.check_login_methods()?;
        let Some(master) = self.master_secret.clone() else {
            return Err(ConfigError::new(
                "signing keys are kept sealed: set `master_secret`, and keep it",
            ));
        };
        let runtime = tokio::runtime::Handle::try_current().map_err(ConfigError::new)?;
        let (issuer, rotation) = (self.issuer_of_keys(), self.key_rotation);
        let (random, clock) = (Arc::clone(&self.random), Arc::clone(&self.clock));
        let kept = KeptKeys::new(self.store_or_memory(), random, clock, &master, &issuer);
        let kept = kept.map_err(ConfigError::new)?;
        let ring = kept.open(self.signing_key.take(), rotation.size()).await;
        let ring = ring.map_err(ConfigError::new)?;
        let keys = SigningKeys::resumed(ring, &issuer, rotation, self.clock.now());
        let access = self.build_with(keys, Some(kept))?;
        let engine = access.engine_to_keep();
        if let Some(login) = engine.login() {
            login.issuer.keep_up(&runtime);
        }
        // Nothing is served before it is known what has been ended.
        engine.lasting.revocations.load().await.map_err(ConfigError::new)?;
        engine.service_tokens.load().await.map_err(ConfigError::new)?;
        engine.lasting.follow();
        Ok(access)
    }

    /// A method nobody knows would never let anybody in.
    fn check_login_methods(&self) -> Result<(), ConfigError> {
        let known = self.one_time_pin.method_id();
        for application in &self.applications {
            let unknown = application.allowed_login_methods.iter().find(|id| &***id != known);
            if let Some(id) = unknown {
                return Err(ConfigError::new(format!(
                    "application `{}`: there is no login method `{id}`; there is `{known}`",
                    application.name
                )));
            }
        }
        Ok(())
    }

    fn first_key(&mut self) -> Result<SigningKey, ConfigError> {
        match self.signing_key.take() {
            Some(key) => Ok(key),
            None => SigningKey::generate_of(self.key_rotation.size()).map_err(ConfigError::new),
        }
    }

    fn issuer_of_keys(&self) -> String {
        self.team_domain.as_ref().map_or_else(|| "tower-access".to_owned(), TeamDomain::issuer)
    }

    /// The store that is set; the same memory each time where none is.
    fn store_or_memory(&mut self) -> Arc<dyn Store> {
        let clock = &self.clock;
        let memory = || -> Arc<dyn Store> {
            Arc::new(MemoryStore::new(Arc::clone(clock), RECORDS_PER_KIND))
        };
        Arc::clone(self.store.get_or_insert_with(memory))
    }

    fn build_with(
        mut self,
        keys: SigningKeys,
        kept: Option<KeptKeys>,
    ) -> Result<Access, ConfigError> {
        let foundation = self.foundation(keys, kept)?;
        self.engine(foundation).map(Access::of)
    }

    fn foundation(
        &mut self,
        keys: SigningKeys,
        kept: Option<KeptKeys>,
    ) -> Result<Foundation, ConfigError> {
        let is_shared = self.store.is_some();
        let store = self.store_or_memory();
        let master = match &self.master_secret {
            Some(master) => master.clone(),
            None => MasterSecret::generate(&*self.random).map_err(ConfigError::new)?,
        };
        let (clock, random) = (Arc::clone(&self.clock), Arc::clone(&self.random));
        let changes = Arc::<Changes>::default();
        let revocations =
            Revocations::kept(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&changes));
        let lasting = Lasting::new(Arc::new(revocations), changes, (clock, random), self.cache);
        if is_shared {
            lasting.share(Arc::clone(&store));
        }
        Ok(Foundation {
            sessions: Sessions::new(Arc::clone(&store), Arc::clone(&self.random)),
            store,
            issuer: Arc::new(Issuer::new(keys, kept)),
            keys: Arc::new(Keys::derive(&master).map_err(ConfigError::new)?),
            mail_slots: Arc::new(Semaphore::new(MAILS_UNDER_WAY)),
            earlier_tokens: None,
            lasting,
        })
    }

    /// An engine with these settings that goes on with the state of another.
    pub(super) fn successor(self, previous: &Engine) -> Result<Arc<Engine>, ConfigError> {
        let Role::Issuing(issuing) = &previous.role else {
            return Err(ConfigError::new(
                "tokens are verified for an issuer, and are to be issued here: start anew for that",
            ));
        };
        self.check_login_methods()?;
        let login = &issuing.login;
        let foundation = Foundation {
            store: Arc::clone(&login.store),
            sessions: login.sessions.clone(),
            issuer: Arc::clone(&login.issuer),
            keys: Arc::clone(&login.keys),
            mail_slots: Arc::clone(&login.mail_slots),
            earlier_tokens: Some(Arc::clone(&previous.service_tokens)),
            lasting: Arc::clone(&previous.lasting),
        };
        self.engine(foundation)
    }

    fn engine(self, foundation: Foundation) -> Result<Arc<Engine>, ConfigError> {
        let Foundation {
            store,
            sessions,
            issuer: signer,
            keys,
            mail_slots,
            earlier_tokens,
            lasting,
        } = foundation;
        self.carriers.check().map_err(ConfigError::new)?;
        let definitions = match self.definitions {
            Some(definitions) => definitions,
            None => Definitions::new(self.groups, self.lists).map_err(ConfigError::new)?,
        };
        let evaluators = super::evaluators_named(&self.applications, &definitions);
        let directory =
            Directory::new(self.applications, &definitions).map_err(ConfigError::new)?;
        let links = Links::new(&directory).map_err(ConfigError::new)?;
        #[cfg(feature = "cloudflared")]
        if let Some(host) =
            self.transfer_host.as_ref().filter(|it| directory.knows_host(it.as_str()))
        {
            return Err(ConfigError::new(format!(
                "`transfer_host`: `{host}` is the host of an application, which would lose its paths \
                 below `/transfer/`; use a host of its own"
            )));
        }
        let mailer = match self.mailer {
            Some(mailer) => mailer,
            None if directory.has_login() => {
                return Err(ConfigError::new(
                    "people are to log in, but nothing delivers their codes: set `mailer` \
                     (`ConsoleMailer` prints them, for development)",
                ));
            }
            None => Arc::new(NoMailer),
        };
        let directory = Arc::new(directory);
        let in_file = ServiceTokens::new(self.service_tokens).map_err(ConfigError::new)?;
        let service_tokens = LiveServiceTokens::followed(
            in_file,
            self.strict_service_token_auth,
            &store,
            (&lasting.clock, &lasting.random, &lasting.changes),
            earlier_tokens.as_deref(),
        );
        let issuer = self.team_domain.as_ref().map(TeamDomain::issuer);
        let sources = Arc::new(self.sources);
        let evaluations = Evaluations::new(
            evaluators,
            self.external_evaluation,
            (sessions.clone(), Arc::clone(&signer)),
            &lasting.clock,
            &lasting.random,
        )
        .map_err(ConfigError::new)?;
        let login = Login {
            sources: Arc::clone(&sources),
            attributes: Arc::new(Attributes::of_one_time_pin(self.one_time_pin.method_id())),
            directory: Arc::clone(&directory),
            origins: PublicOrigins::new(self.localhost_port),
            team_domain: self.team_domain,
            issuer: signer,
            sessions,
            evaluations,
            revocations: Arc::clone(&lasting.revocations),
            lifetimes: self.lifetimes,
            one_time_pin: self.one_time_pin,
            store,
            random: Arc::clone(&lasting.random),
            mailer,
            mail_slots,
            pages: self.pages,
            service_tokens: Arc::clone(&service_tokens),
            keys,
            metadata: SignedMetadata::default(),
            #[cfg(feature = "cloudflared")]
            command_line: CommandLine::at(self.transfer_host),
        };
        let issuing = Issuing {
            login: Arc::new(login),
            issuer: issuer.map(Into::into),
            links,
            renewals: Arc::new(Renewals::new()),
            assertions: Cache::new(KEPT_ASSERTIONS),
        };
        Ok(Arc::new_cyclic(|me| Engine {
            id: EngineId::next(),
            me: me.clone(),
            directory,
            role: Role::Issuing(Box::new(issuing)),
            service_tokens,
            clock: Arc::clone(&lasting.clock),
            random: Arc::clone(&lasting.random),
            lasting,
            trusted_proxies: self.trusted_proxies,
            sources,
            peer: self.peer,
            carriers: self.carriers,
            // Our own tokens, our own clock.
            leeway: Duration::ZERO,
        }))
    }
}

/// What the login works with whatever the configuration.
struct Foundation {
    store: Arc<dyn Store>,
    sessions: Sessions,
    issuer: Arc<Issuer>,
    keys: Arc<Keys>,
    mail_slots: Arc<Semaphore>,
    /// Those of the engine that is replaced.
    earlier_tokens: Option<Arc<LiveServiceTokens>>,
    lasting: Arc<Lasting>,
}

/// Where nobody logs in, nothing is mailed.
#[derive(Debug)]
struct NoMailer;

impl Mailer for NoMailer {
    fn deliver(&self, _: Mail) -> MailFuture<'_> {
        Box::pin(async { Err(MailError::new("no mailer is set")) })
    }
}

impl Engine {
    /// The login, where we run one.
    pub(crate) fn login(&self) -> Option<&Arc<Login>> {
        match &self.role {
            Role::Issuing(issuing) => Some(&issuing.login),
            Role::Verifying(_) => None,
        }
    }

    /// The token an origin sees when a service asks; made once and used while it is fresh.
    pub(super) fn service_assertion(
        &self,
        shown: &ShownServiceToken,
        admission: &Admission,
    ) -> Result<HeaderValue, RejectionKind> {
        let client_id = &*shown.client_id;
        let now = admission.now;
        self.assertion(client_id.into(), admission, |login, issuer_name, protected| {
            let lifetime = login.lifetimes.of_token(None, protected.application.session_duration);
            // For an origin that looks a moment later, however soon the service token ends.
            let end =
                now.plus(lifetime.get()).min(shown.identity.expires_at()).max(now.plus(LEAST));
            login.issuer.service_assertion(issuer_name, client_id, protected, now, end)
        })
    }

    /// The token an origin sees when another application asks on behalf of a person.
    pub(super) fn linked_assertion(
        &self,
        linked: &Linked,
        admission: &Admission,
    ) -> Result<HeaderValue, RejectionKind> {
        // One for each token that is brought: no longer good than that.
        let key = to_hex(&sha256(linked.verified.token()));
        self.assertion(key.into(), admission, |login, issuer_name, protected| {
            let (person, now) = (&linked.verified.identity, admission.now);
            let lifetime = login.lifetimes.of_token(None, protected.application.session_duration);
            login.issuer.linked_assertion(issuer_name, person, protected, lifetime, now)
        })
    }

    /// A token for an origin, from where they are kept or made anew.
    fn assertion(
        &self,
        of: Box<str>,
        admission: &Admission,
        make: impl FnOnce(&Login, &str, &Protected) -> Result<IssuedToken, IssueError>,
    ) -> Result<HeaderValue, RejectionKind> {
        let Role::Issuing(issuing) = &self.role else { return Err(RejectionKind::Internal) };
        let protected = self.protected(admission).ok_or(RejectionKind::Internal)?;
        issuing.login.issuer.rotate_if_due(admission.now);
        let issuer = issuing.issuer_text(&admission.host);
        // A key that was replaced, perhaps on a suspicion, is handed on no longer.
        let signer = issuing.login.issuer.key_id(admission.now);
        let audience = protected.audience();
        let key = (of, format!("{issuer} {audience} {signer}").into());
        if let Some((assertion, fresh_until)) = issuing.assertions.get(&key)
            && admission.now < fresh_until
        {
            return Ok(assertion);
        }
        let issued = make(&issuing.login, &issuer, protected).map_err(|error| {
            tracing::error!(%error, "no token could be made for an origin");
            RejectionKind::Internal
        })?;
        let mut assertion =
            HeaderValue::from_str(&issued.token).map_err(|_| RejectionKind::Internal)?;
        assertion.set_sensitive(true);
        // The origin gets a token that is good for half of its life at least.
        let fresh_until = admission.now.plus(issued.end().since(admission.now) / 2);
        issuing.assertions.insert(key, (assertion.clone(), fresh_until));
        Ok(assertion)
    }
}

const RECORDS_PER_KIND: usize = 250_000;
const MAILS_UNDER_WAY: usize = 256;
const KEPT_ASSERTIONS: usize = 4_096;
/// The shortest life of a token for an origin.
const LEAST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{Request, Response, StatusCode};
    use http_body_util::{BodyExt, Full};
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;
    use crate::AccessLayer;
    use crate::policy::{Policy, Rule};
    use crate::token::{Audiences, Claims, TokenKind};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

    #[derive(Debug)]
    struct NoMail;

    impl Mailer for NoMail {
        fn deliver(&self, mail: Mail) -> MailFuture<'_> {
            panic!("mailed {mail:?}")
        }
    }

    /// An application whose login methods are none of ours, in spite of the check.
    fn engine() -> (Access, SigningKey) {
        let application = Application::new("App", "app.example")
            .unwrap()
            .audience("7a".repeat(32).parse().unwrap())
            .policy(Policy::bypass("office").include(Rule::ip("192.0.2.0/24").unwrap()))
            .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap()))
            .allowed_login_method("okta");
        let builder = Access::builder()
            .mailer(NoMail)
            .clock(Arc::new(crate::clock::ManualClock::starting_at(NOW)))
            .application(application);
        assert!(builder.check_login_methods().is_err());
        let key = SigningKey::generate().unwrap();
        let copy = SigningKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
        let issuer = builder.issuer_of_keys();
        let keys = SigningKeys::new(copy, &issuer, KeyRotation::default(), NOW).unwrap();
        (builder.build_with(keys, None).unwrap(), key)
    }

    async fn ask(access: &Access, request: Request<Full<Bytes>>) -> Response<String> {
        let inner = service_fn(|request: Request<Full<Bytes>>| async move {
            let email = request.extensions().get::<crate::Identity>().and_then(|who| who.email());
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(email.unwrap_or("").to_owned())))
        });
        let service = ServiceBuilder::new().layer(AccessLayer::new(access.clone())).service(inner);
        let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        Response::from_parts(parts, String::from_utf8(text.to_vec()).unwrap())
    }

    fn request(method: &str, target: &str) -> http::request::Builder {
        Request::builder().method(method).uri(target).header("host", "app.example")
    }

    #[tokio::test]
    async fn where_no_login_method_counts_nobody_logs_in_and_nothing_is_mailed() {
        let (access, _) = engine();
        let aud = "7a".repeat(32);
        let query = format!("app.example?kid={aud}&redirect_url=%2F");
        let login = request("GET", &format!("/cdn-cgi/access/login/{query}"));
        let answer = ask(&access, login.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(answer.body().contains("There is no way to log in here"), "{}", answer.body());
        assert!(!answer.body().contains("<form"));
        let typed = request("POST", &format!("/cdn-cgi/access/verify-code/{query}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", format!("CF_Session={}", "a".repeat(32)))
            .body(Full::from("email=ada%40example.com"));
        let answer = ask(&access, typed.unwrap()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(answer.body().contains("There is no way to log in here"));
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn where_no_login_method_counts_a_persons_token_is_none() {
        let (access, key) = engine();
        let claims = Claims {
            kind: TokenKind::Application,
            iss: "https://app.example".to_owned(),
            aud: Audiences::one(&"7a".repeat(32)),
            exp: NOW.as_unix_seconds() + 60,
            iat: NOW.as_unix_seconds(),
            nbf: None,
            sub: Some("4f0a7d0e-2c11-5b7f-9d0f-0c8f6a5d1b22".to_owned()),
            email: Some("ada@example.com".to_owned()),
            common_name: None,
            identity_nonce: Some("q2ZkWf0yTn9sVb3L".to_owned()),
            country: Some("FR".to_owned()),
        };
        let cookie = format!("CF_Authorization={}", key.sign(&claims).unwrap());
        let with_token = || request("GET", "/").header("cookie", &cookie);
        let answer = ask(&access, with_token().body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        // Others come in as ever, as nobody.
        let office = crate::address::PeerAddress("192.0.2.7".parse().unwrap());
        let request = with_token().extension(office).body(Full::default()).unwrap();
        let answer = ask(&access, request).await;
        assert_eq!((answer.status(), answer.body().as_str()), (StatusCode::OK, ""));
    }
}
