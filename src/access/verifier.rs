//! An engine that verifies what somebody else issues.

use std::sync::Arc;
use std::time::Duration;

use crate::address::TrustedProxies;
use crate::application::{
    Application, Audience, Directory, PublicAddresses, PublicOrigins, TeamDomain,
};
use crate::clock::{Clock, SystemClock};
use crate::policy::{Definitions, Group, List, Policies, Policy, Rule, linked_names};
use crate::random::SystemRandom;
use crate::service_token::{LiveServiceTokens, ServiceToken, ServiceTokens};
use crate::session::Revocations;
use crate::source::{FactSource, Sources};
use crate::token::Algorithms;
use crate::token::keys::{KeyFetch, KeySource, RefreshPolicy, RemoteKeys};
use crate::util::changes::Changes;

use super::carrier::{Carrier, Carriers};
use super::lasting::Lasting;
use super::peer::PeerSource;
use super::{Access, ConfigError, Engine, EngineId, Role, VERIFIED_TOKENS};

/// What an engine that verifies needs to know of its issuer.
#[derive(Debug)]
pub(super) struct Verifying {
    pub(super) issuer: Arc<str>,
    pub(super) team_domain: TeamDomain,
    pub(super) keys: Arc<dyn KeySource>,
    /// Where they are fetched; `None` where they were given.
    keys_from: Option<KeyPlace>,
    #[cfg(feature = "http-client")]
    pub(super) get_identity: Option<Box<crate::source::GetIdentity>>,
}

/// Where keys are fetched, and which of them count.
#[derive(Clone, Debug, Eq, PartialEq)]
struct KeyPlace {
    team_domain: TeamDomain,
    certs_url: Option<String>,
    algorithms: Algorithms,
}

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
    team_domain: TeamDomain,
    certs_url: Option<String>,
    keys: Option<Arc<dyn KeySource>>,
    refresh: RefreshPolicy,
    algorithms: Algorithms,
    audiences: Vec<Audience>,
    /// Where the issuer is asked about people; `None`: it is not.
    #[cfg(feature = "http-client")]
    get_identity: Option<String>,
    carriers: Carriers,
    cache: usize,
    applications: Vec<Application>,
    groups: Vec<Group>,
    lists: Vec<List>,
    /// Groups and lists that are compiled already.
    definitions: Option<Definitions>,
    service_tokens: Vec<ServiceToken>,
    public_addresses: PublicAddresses,
    trusted_proxies: TrustedProxies,
    sources: Sources,
    peer: PeerSource,
    leeway: Duration,
    clock: Arc<dyn Clock>,
}

impl VerifierBuilder {
    pub(super) fn new(team_domain: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            team_domain: team_domain.parse().map_err(ConfigError::new)?,
            certs_url: None,
            keys: None,
            refresh: RefreshPolicy::default(),
            algorithms: Algorithms::default(),
            audiences: Vec::new(),
            #[cfg(feature = "http-client")]
            get_identity: None,
            carriers: Carriers::with_header(Carrier::AssertionHeader),
            cache: VERIFIED_TOKENS,
            applications: Vec::new(),
            groups: Vec::new(),
            lists: Vec::new(),
            definitions: None,
            service_tokens: Vec::new(),
            public_addresses: PublicAddresses::new(),
            trusted_proxies: TrustedProxies::default(),
            sources: Sources::default(),
            peer: PeerSource::default(),
            leeway: DEFAULT_LEEWAY,
            clock: Arc::new(SystemClock),
        })
    }

    /// One audience for every host and path; whoever brings a good token gets in. Named again, it
    /// accepts tokens for that audience as well; a login is asked for with the first.
    ///
    /// # Errors
    ///
    /// When the text is no audience tag.
    pub fn audience(mut self, audience: &str) -> Result<Self, ConfigError> {
        self.audiences.push(audience.parse().map_err(ConfigError::new)?);
        Ok(self)
    }

    /// Adds an application with its own audience tag; its policies apply to the verified claims.
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

    /// Makes a service token of the issuer known under its id, for `service_token` rules. Without
    /// this, rules name the client id.
    pub fn service_token(mut self, token: ServiceToken) -> Self {
        self.service_tokens.push(token);
        self
    }

    /// Fetches keys from another address than the team domain's: `https`, or `http` to a loopback
    /// address.
    pub fn certs_url(mut self, url: impl Into<String>) -> Self {
        self.certs_url = Some(url.into());
        self
    }

    /// Takes the keys from elsewhere: a fixed [`KeySet`](crate::token::keys::KeySet), a
    /// [`RemoteKeys`] with a transport of its own, or any other source.
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
        self.algorithms = algorithms;
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
    pub fn get_identity(mut self) -> Self {
        let team = self.team_domain.issuer();
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

    /// Does not look for tokens in this place: the assertion header, or the cookie.
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

    /// Sets under which ports people reach the hosts, where it is not 443: whose pages may open a
    /// WebSocket. The issuer makes all other addresses.
    pub fn public_addresses(mut self, addresses: PublicAddresses) -> Self {
        self.public_addresses = addresses;
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

    /// Sets the tolerance between the issuer's clock and ours: 60 seconds by default, five
    /// minutes at most (more is cut).
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(Duration::from_secs(300));
        self
    }

    /// Takes the time from elsewhere.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the engine.
    ///
    /// # Errors
    ///
    /// When there is neither an audience nor an application, applications contradict each other,
    /// a policy asks for the token of another application (the issuer decides that), or no HTTPS
    /// client can be set up for the address of the keys.
    pub fn build(self) -> Result<Access, ConfigError> {
        self.engine(None).map(Access::of)
    }

    /// An engine with these settings that goes on with the state of another.
    pub(super) fn successor(self, previous: &Engine) -> Result<Arc<Engine>, ConfigError> {
        self.engine(Some(previous))
    }

    fn engine(self, previous: Option<&Engine>) -> Result<Arc<Engine>, ConfigError> {
        let previous = match previous.map(|engine| (engine, &engine.role)) {
            None => None,
            Some((engine, Role::Verifying(verifying))) => Some((engine, verifying)),
            #[cfg(feature = "login")]
            Some((_, Role::Issuing(_))) => {
                return Err(ConfigError::new(
                    "tokens are issued here, and are to be verified for an issuer: start anew for \
                     that",
                ));
            }
        };
        self.carriers.check().map_err(ConfigError::new)?;
        if let Some(bound) = self.applications.iter().find(|it| it.binding_cookie) {
            return Err(ConfigError::new(format!(
                "application `{}`: a binding cookie is asked for where tokens are issued; an \
                 origin never sees it",
                bound.name
            )));
        }
        let chooses = |it: &&Application| !it.allowed_login_methods.is_empty();
        if let Some(application) = self.applications.iter().find(chooses) {
            return Err(ConfigError::new(format!(
                "application `{}`: tokens do not say by which method somebody has logged in; the \
                 issuer chooses among its login methods",
                application.name
            )));
        }
        let mut audiences = self.audiences.into_iter();
        let directory = match (audiences.next(), self.applications.is_empty()) {
            (Some(audience), true) => {
                let everybody =
                    Policy::allow("whoever brings a good token").include(Rule::everyone());
                // Services have no login: a policy of their own.
                let services = Policy::service_auth("any service token")
                    .include(Rule::any_valid_service_token());
                let application = Application::new("this service", "every.host.invalid")
                    .map_err(ConfigError::new)?
                    .audience(audience)
                    .policy(services)
                    .policy(everybody);
                Directory::of_one(audiences.fold(application, Application::also_for_audience))
            }
            (None, false) => {
                let definitions = match self.definitions {
                    Some(definitions) => definitions,
                    None => Definitions::new(self.groups, self.lists).map_err(ConfigError::new)?,
                };
                check_evaluators(&self.applications, &definitions)?;
                let asks_for_another = |application: &&Application| {
                    !linked_names(&application.policies, &definitions).is_empty()
                };
                if let Some(application) = self.applications.iter().find(asks_for_another) {
                    return Err(ConfigError::new(format!(
                        "application `{}`: a rule asks for the token of another application; the \
                         issuer decides that, and an origin never sees such a token",
                        application.name
                    )));
                }
                Directory::new(self.applications, &definitions)
            }
            (None, true) => {
                return Err(ConfigError::new(
                    "nothing to verify for: name an audience tag, or applications",
                ));
            }
            (Some(_), false) => {
                return Err(ConfigError::new(
                    "an audience tag for everything and applications with their own: name one of the two",
                ));
            }
        };
        let place = KeyPlace {
            team_domain: self.team_domain.clone(),
            certs_url: self.certs_url.clone(),
            algorithms: self.algorithms,
        };
        let same = previous.filter(|(_, verifying)| verifying.keys_from.as_ref() == Some(&place));
        let keys_from = self.keys.is_none().then_some(place);
        let keys = match (self.keys, same) {
            (Some(keys), _) => keys,
            (None, Some((_, verifying))) => Arc::clone(&verifying.keys),
            (None, None) => {
                let fetch = usual_fetch(&self.team_domain, self.certs_url)?;
                Arc::new(RemoteKeys::with(fetch, self.refresh, self.algorithms))
            }
        };
        #[cfg(feature = "http-client")]
        let get_identity = self.get_identity.as_deref().map(identity_source).transpose()?;
        let directory = Arc::new(directory.map_err(ConfigError::new)?);
        if !directory.is_of_everything() {
            self.public_addresses
                .check(directory.destinations(), &[])
                .map_err(|error| ConfigError::new(format!("public addresses: {error}")))?;
        }
        let service_tokens = LiveServiceTokens::fixed(
            ServiceTokens::new(self.service_tokens).map_err(ConfigError::new)?,
        );
        let (random, changes) = (Arc::new(SystemRandom), Arc::<Changes>::default());
        let lasting = match previous {
            Some((engine, _)) => Arc::clone(&engine.lasting),
            None => Lasting::new(
                Arc::new(Revocations::new(Arc::clone(&changes))),
                changes,
                (self.clock, random),
                self.cache,
            ),
        };
        Ok(Arc::new_cyclic(|me| Engine {
            id: EngineId::next(),
            me: me.clone(),
            directory,
            role: Role::Verifying(Verifying {
                issuer: self.team_domain.issuer().into(),
                team_domain: self.team_domain,
                keys,
                keys_from,
                #[cfg(feature = "http-client")]
                get_identity,
            }),
            clock: Arc::clone(&lasting.clock),
            random: Arc::clone(&lasting.random),
            lasting,
            service_tokens,
            public_origins: Arc::new(PublicOrigins::new(self.public_addresses, 80)),
            trusted_proxies: self.trusted_proxies,
            sources: Arc::new(self.sources),
            peer: self.peer,
            carriers: self.carriers,
            leeway: self.leeway,
        }))
    }
}

#[cfg(feature = "http-client")]
fn identity_source(url: &str) -> Result<Box<crate::source::GetIdentity>, ConfigError> {
    let url = crate::util::trusted_url::parse(url).map_err(|error| {
        ConfigError::new(format!(
            "the issuer is asked about people over https (http to loopback only): {error}"
        ))
    })?;
    crate::source::GetIdentity::new(url).map(Box::new).map_err(ConfigError::new)
}

/// Questions to evaluators are signed with the issuer's key, which is not here.
fn check_evaluators(
    applications: &[Application],
    definitions: &Definitions,
) -> Result<(), ConfigError> {
    if super::evaluators_named(applications, definitions).is_empty() {
        return Ok(());
    }
    for application in applications {
        let policies =
            Policies::compile(&application.policies, definitions).map_err(ConfigError::new)?;
        if let Some(evaluator) = policies.evaluators().first() {
            return Err(ConfigError::new(format!(
                "application `{}`: `external_evaluation` ({}) asks with the issuer's signing key, \
                 which an engine that verifies does not have; write the rule where tokens are issued",
                application.name,
                evaluator.evaluate_url()
            )));
        }
    }
    Ok(())
}

#[cfg(feature = "http-client")]
fn usual_fetch(team: &TeamDomain, url: Option<String>) -> Result<impl KeyFetch, ConfigError> {
    let url = url.unwrap_or_else(|| format!("{}/cdn-cgi/access/certs", team.issuer()));
    crate::token::keys::HttpFetch::new(&url).map_err(ConfigError::new)
}

#[cfg(not(feature = "http-client"))]
fn usual_fetch(_: &TeamDomain, _: Option<String>) -> Result<NoFetch, ConfigError> {
    Err(ConfigError::new("no way to fetch keys: set `keys`, or turn the feature `http-client` on"))
}

#[cfg(not(feature = "http-client"))]
#[derive(Debug)]
enum NoFetch {}

#[cfg(not(feature = "http-client"))]
impl KeyFetch for NoFetch {
    fn fetch(&self) -> crate::token::keys::KeyFuture<'_> {
        match *self {}
    }
}

const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);
