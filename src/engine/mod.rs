//! The engine all layers share: configuration, keys, store.
//!
//! An [`Access`] either *verifies* tokens that somebody else issues ([`Access::verifier`]), or
//! *issues* them itself and runs the login ([`Access::builder`]). It knows nothing of tower:
//! requests come in as parts, decisions go out as values.
//!
//! The steps of a request are functions that take the engine first: the `use` lines of a step's file
//! show which other steps it needs. Methods of the engine are what other rooms call.

mod assertion;
mod authenticate;
mod authorize;
mod builder;
mod caching;
mod carrier;
mod credential;
mod error;
mod evaluators;
mod exchange;
pub mod explain;
mod lasting;
mod linked_applications;
mod operate;
#[cfg(all(feature = "config", feature = "proxy"))]
mod operate_proxy;
mod options;
mod oversight;
mod peer;
mod permission;
mod rejection;
mod reload;
mod renewal;
mod request_context;
mod resources;
mod revoke;
mod role;
mod session_facts;
mod settings;
mod verified;
mod verifier;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::Guard;
use http::{Extensions, HeaderMap};

pub(crate) use self::authenticate::{Authentication, Pending};
pub(crate) use self::authorize::{Authorization, Cors, Refusal};
pub use self::builder::{AccessBuilder, Restore};
pub(crate) use self::caching::{CachePolicy, forbid_storing};
pub use self::carrier::Carrier;
pub use self::error::{ConfigError, RotationError};
pub(crate) use self::peer::{arrived_uri, nested_at};
pub use self::permission::Permission;
pub(crate) use self::permission::Watch;
pub use self::rejection::{Rejection, RejectionKind};
pub(crate) use self::renewal::{Renewal, set_renewed};
pub(crate) use self::request_context::RequestContext;
pub use self::resources::ResourceError;
#[allow(unused_imports, reason = "the proxy asks its rules about them as well")]
pub(crate) use self::resources::{Members, Resources};
pub use self::revoke::{RevocationError, SessionSummary};
pub use self::settings::EngineSettings;
pub use self::verifier::VerifierBuilder;

use self::carrier::Carriers;
use self::lasting::Lasting;
use self::peer::PeerSource;
use self::reload::Handle;
use self::role::Role;
use crate::address::{TrustedProxies, client_address};
use crate::application::{Applications, PublicOrigins};
use crate::clock::{Clock, Timestamp};
use crate::engine::explain::{Asked, Question, RequestExplanation};
use crate::facts::{Sender, Sources};
use crate::random::Random;
use crate::service_token::LiveServiceTokens;
use crate::token::keys::KeyState;

/// Everything a request is judged by. Cheap to clone; all layers made from clones share one state.
///
/// ```
/// use tower_access::Access;
///
/// // An origin behind Cloudflare Access, a tunnel, or a proxy of ours:
/// let access = Access::verifier(
///     "acme.cloudflareaccess.com",
///     "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc",
/// )?;
/// # Ok::<(), tower_access::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Access(Arc<Handle>);

#[derive(Debug)]
pub(crate) struct Engine {
    id: EngineId,
    /// For refusals, which are answered when the services may be gone.
    me: Weak<Self>,
    directory: Arc<Applications>,
    role: Role,
    lasting: Arc<Lasting>,
    service_tokens: Arc<LiveServiceTokens>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Where hosts are reached from outside.
    public_origins: Arc<PublicOrigins>,
    trusted_proxies: TrustedProxies,
    sources: Arc<Sources>,
    peer: PeerSource,
    carriers: Carriers,
    leeway: Duration,
}

/// Tells one engine from another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct EngineId(u64);

impl EngineId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Access {
    /// An engine for an origin behind an issuer: it verifies the tokens that arrive with requests,
    /// for one audience, and lets in everybody who has a good one.
    ///
    /// Keys are fetched when the first token arrives, from `/cdn-cgi/access/certs` on the team
    /// domain. Plain settings; more of them with [`Access::verifier_builder`].
    ///
    /// # Errors
    ///
    /// If the team domain or the audience tag is invalid.
    #[cfg(feature = "http-client")]
    pub fn verifier(team_domain: &str, audience: &str) -> Result<Self, ConfigError> {
        let builder = Self::verifier_builder(team_domain)?;
        builder.audience(audience.parse().map_err(ConfigError::new)?).build()
    }

    /// Returns the settings of an engine that verifies.
    ///
    /// # Errors
    ///
    /// If the team domain is invalid.
    pub fn verifier_builder(team_domain: &str) -> Result<VerifierBuilder, ConfigError> {
        VerifierBuilder::new(team_domain)
    }

    /// Returns the settings of an engine that runs the login and issues tokens.
    pub fn builder() -> AccessBuilder {
        AccessBuilder::new()
    }

    /// Why such a request would be decided as it would: which application, and what every policy
    /// and every rule comes to. Asks the policies that decide about live requests, whose verdicts
    /// have the same [`id`](crate::policy::Verdict::id).
    ///
    /// For people who ask: it takes time for every policy and rule there is, and changes nothing.
    /// What it says is not for strangers.
    ///
    /// ```
    /// # fn ask(access: &tower_access::Access) -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_access::explain::Question;
    ///
    /// let question = Question::about("https://wiki.example.com/docs").by_person("ada@example.com".parse()?);
    /// println!("{}", access.explain(&question));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn explain(&self, question: &Question) -> RequestExplanation {
        let engine = self.engine();
        Asked {
            directory: &engine.directory,
            service_tokens: &engine.service_tokens.table(),
            falls_back_from_service_tokens: !engine.service_tokens.is_strict(),
            knows_service_tokens: !engine.role.verifies(),
            usual_login: engine.role.usual_login(),
            now: engine.now(),
        }
        .explain(question)
    }

    /// How the keys stand that tokens are verified with, at this moment: for a readiness check.
    /// While nothing serves, asking begins a fetch beside it, so that a program nobody has sent a
    /// token yet becomes ready as well; that needs a Tokio runtime.
    ///
    /// ```
    /// # fn ready(access: &tower_access::Access) -> http::StatusCode {
    /// if access.key_state().serves() {
    ///     http::StatusCode::OK
    /// } else {
    ///     http::StatusCode::SERVICE_UNAVAILABLE
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn key_state(&self) -> KeyState {
        let engine = self.engine();
        engine.role.key_source().state(engine.now())
    }

    /// Replaces the signing key now, as after a suspicion; the one before it verifies until its
    /// overlap ends, and so does one that was announced and has not signed yet. Takes some tens of
    /// milliseconds, with large keys seconds, beside other tasks.
    ///
    /// The new key signs at once. Where keys are kept
    /// ([`build_with_kept_keys`](AccessBuilder::build_with_kept_keys)) other processes have to hear
    /// of it first: this returns when it is kept and announced, and all of them, this one among
    /// them, sign with it 5 seconds later.
    ///
    /// Eight earlier keys verify at most: a ninth rotation before the first overlap is over ends the
    /// oldest of them, and with it the tokens it signed.
    ///
    /// # Errors
    ///
    /// When this engine does not issue, another rotation of this engine is under way, the new key
    /// could not be made or kept, or eight others are announced and do not sign yet: then nothing
    /// has changed. Where a store lost its answer on the way, the new key may be there all the same;
    /// it is taken over then.
    pub async fn rotate_keys(&self) -> Result<(), RotationError> {
        let engine = self.engine_to_keep();
        let Some(login) = engine.login() else {
            return Err(RotationError::new("this engine issues no tokens"));
        };
        login.issuer.rotate(engine.now()).await.map_err(RotationError::new)
    }

    /// The engine in force, for a moment: not to be held while waiting.
    pub(crate) fn engine(&self) -> Guard<Arc<Engine>> {
        self.0.current()
    }

    /// The engine in force.
    fn engine_to_keep(&self) -> Arc<Engine> {
        Guard::into_inner(self.0.current())
    }

    /// The engine that authenticated a request, which may have been replaced since.
    pub(crate) fn engine_of(&self, context: &RequestContext) -> Option<Guard<Arc<Engine>>> {
        self.0.that(|engine| context.is_of(engine.id))
    }

    /// The engine that received a request, which may have been replaced since.
    pub(crate) fn engine_of_pending(&self, pending: &Pending) -> Option<Guard<Arc<Engine>>> {
        self.0.that(|engine| pending.is_of(engine.id))
    }
}

impl Engine {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whom a request comes from, as far as addresses go.
    pub(crate) fn sender(&self, headers: &HeaderMap, extensions: &Extensions) -> Sender {
        let sender = self.sender_again(headers, extensions);
        if !sender.is_trusted_proxy
            && let Some(peer) = sender.address
        {
            self.lasting.ignored_forwarding.note(peer, headers, || self.now());
        }
        sender
    }

    /// The same of a request that was looked at before.
    fn sender_again(&self, headers: &HeaderMap, extensions: &Extensions) -> Sender {
        let peer = self.peer.address(extensions);
        Sender {
            address: client_address(peer, headers, &self.trusted_proxies),
            is_trusted_proxy: peer.is_some_and(|peer| self.trusted_proxies.contains(peer)),
        }
    }
}
