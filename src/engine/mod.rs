//! The engine all layers share: configuration, keys, store.
//!
//! An [`Access`] either *verifies* tokens that somebody else issues ([`Access::verifier`]), or
//! *issues* them itself and runs the login ([`Access::builder`]). It knows nothing of tower:
//! it takes requests as parts and returns decisions as values.
//!
//! The steps of a request are functions that take the engine as the first argument: the `use` lines of
//! a step's file show which other steps it needs. Other rooms call the methods of the engine.

mod access_grant;
mod assertion;
mod authenticate;
mod authorize;
mod builder;
mod caching;
mod credential;
mod error;
mod evaluators;
mod exchange;
pub mod explain;
mod linked_applications;
mod operate;
#[cfg(all(feature = "config", feature = "proxy"))]
mod operate_proxy;
mod options;
mod peer;
mod rejection;
mod reload;
mod renewal;
mod request_context;
mod resources;
mod revocation_watch;
mod revoke;
mod role;
mod session_facts;
mod session_refresh;
mod settings;
mod shared_state;
mod token_location;
mod verified;
mod verifier;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::Guard;
use http::{Extensions, HeaderMap};

pub use self::access_grant::AccessGrant;
pub(crate) use self::access_grant::{ContextBox, Grant, GrantWatch};
pub(crate) use self::authenticate::{Authentication, Pending};
pub(crate) use self::authorize::{Authorization, Cors};
pub use self::builder::{AccessBuilder, RestoreOptions};
pub(crate) use self::caching::{CachePolicy, forbid_storing};
pub use self::error::{ConfigError, RotationError};
pub(crate) use self::peer::{arrived_uri, nested_at};
pub(crate) use self::rejection::Refusal;
pub use self::rejection::{Rejection, RejectionKind};
pub(crate) use self::renewal::{Renewal, set_renewed};
pub use self::resources::ResourceError;
#[allow(unused_imports, reason = "the proxy asks its rules about them as well")]
pub(crate) use self::resources::{Members, Resources};
pub use self::revoke::{RevocationError, SessionSummary};
pub use self::settings::EngineSettings;
pub use self::token_location::TokenLocation;
pub use self::verifier::VerifierBuilder;

use self::peer::PeerSource;
use self::reload::Handle;
use self::role::Role;
use self::shared_state::SharedState;
use self::token_location::TokenLocations;
use crate::address::{TrustedProxies, client_address};
use crate::application::{Applications, PublicOrigins};
use crate::clock::{Clock, Timestamp};
use crate::engine::explain::{Question, RequestExplainer, RequestExplanation};
use crate::facts::{Sender, Sources};
use crate::random::Random;
use crate::service_token::LiveServiceTokens;
use crate::token::keys::KeyState;

/// The engine that judges requests. Cheap to clone; all layers made from clones share one state.
///
/// ```
/// use tower_access::Access;
///
/// // An origin behind Cloudflare Access, a tunnel, or a proxy of this crate:
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
    /// For refusals, whose responses may outlive the services.
    weak_self: Weak<Self>,
    applications: Arc<Applications>,
    role: Role,
    shared_state: Arc<SharedState>,
    service_tokens: Arc<LiveServiceTokens>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// The addresses under which clients reach the hosts.
    public_origins: Arc<PublicOrigins>,
    trusted_proxies: TrustedProxies,
    sources: Arc<Sources>,
    peer: PeerSource,
    token_locations: TokenLocations,
    leeway: Duration,
}

/// Identifies an engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct EngineId(u64);

impl EngineId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Access {
    /// Builds an engine for an origin behind an issuer: it verifies the tokens of requests for one
    /// audience, and allows every request with a valid one.
    ///
    /// Fetches keys when the first token arrives, from `/cdn-cgi/access/certs` on the team domain.
    /// For other settings see [`Access::verifier_builder`].
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

    /// Explains the decision about a request: the application, and the result of every policy and
    /// every rule. Evaluates the policies that decide about live requests, whose verdicts have the
    /// same [`id`](crate::policy::Verdict::id).
    ///
    /// For operators: it evaluates every policy and rule, which takes time, and changes nothing. Do
    /// not show the explanation to users.
    ///
    /// ```
    /// # fn explain(access: &tower_access::Access) -> Result<(), Box<dyn std::error::Error>> {
    /// use tower_access::explain::Question;
    ///
    /// let question = Question::new("https://wiki.example.com/docs").with_email("ada@example.com".parse()?);
    /// println!("{}", access.explain(&question));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn explain(&self, question: &Question) -> RequestExplanation {
        let engine = self.engine();
        let login_methods = engine.role.login_methods();
        RequestExplainer {
            applications: &engine.applications,
            service_tokens: &engine.service_tokens.table(),
            falls_back_from_service_tokens: !engine.service_tokens.is_strict(),
            knows_service_tokens: !engine.role.verifies(),
            logins: engine.role.known_logins(),
            login_methods: login_methods.as_deref(),
            now: engine.now(),
        }
        .explain(question)
    }

    /// Returns the state of the keys that verify tokens, for a readiness check. While no keys are
    /// usable, each call starts a fetch in the background, so that a program becomes ready before its
    /// first token arrives. The fetch needs a Tokio runtime.
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

    /// Rotates the signing key immediately, for example after a suspected leak. The previous key, and
    /// an announced key that has not signed yet, verify until their overlap ends. Takes some tens of
    /// milliseconds, with large keys seconds, and blocks no other task.
    ///
    /// The new key signs at once. If keys are stored
    /// ([`build_persistent`](AccessBuilder::build_persistent)), other processes have to learn of it
    /// first: this returns when the key is stored and announced, and all processes, including this
    /// one, sign with it 5 seconds later.
    ///
    /// At most eight earlier keys verify: a ninth rotation before the first overlap ends removes the
    /// oldest key, which invalidates the tokens it signed.
    ///
    /// # Errors
    ///
    /// If this engine does not issue tokens, another rotation of this engine is under way, the new
    /// key could not be made or stored, or eight announced keys do not sign yet. Then nothing has
    /// changed; but if the response of the store was lost, the new key may be stored and is used
    /// later.
    pub async fn rotate_keys(&self) -> Result<(), RotationError> {
        let engine = self.engine_owned();
        let Some(login) = engine.login() else {
            return Err(RotationError::new(
                "this engine verifies tokens; rotate the key at the issuer",
            ));
        };
        login.issuer.rotate(engine.now()).await.map_err(RotationError::new)
    }

    /// Returns the engine in force. Do not hold the guard across an await.
    pub(crate) fn engine(&self) -> Guard<Arc<Engine>> {
        self.0.current()
    }

    /// Returns the engine in force, to hold across an await.
    pub(crate) fn engine_owned(&self) -> Arc<Engine> {
        Guard::into_inner(self.0.current())
    }

    /// Returns the engine that authenticated a request; it may have been replaced since.
    pub(crate) fn engine_for(&self, context: &ContextBox) -> Option<Guard<Arc<Engine>>> {
        self.0.find(|engine| context.belongs_to(engine.id))
    }

    /// Returns the engine that received a request; it may have been replaced since.
    pub(crate) fn engine_for_pending(&self, pending: &Pending) -> Option<Guard<Arc<Engine>>> {
        self.0.find(|engine| pending.belongs_to(engine.id))
    }
}

impl Engine {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the address of the client, and counts ignored `X-Forwarded-For` headers.
    pub(crate) fn sender(&self, headers: &HeaderMap, extensions: &Extensions) -> Sender {
        let sender = self.sender_uncounted(headers, extensions);
        if !sender.is_trusted_proxy
            && let Some(peer) = sender.address
        {
            self.shared_state.ignored_forwarding.note(peer, headers, || self.now());
        }
        sender
    }

    /// Returns the address of the client of a request that was counted before.
    fn sender_uncounted(&self, headers: &HeaderMap, extensions: &Extensions) -> Sender {
        let peer = self.peer.address(extensions);
        Sender {
            address: client_address(peer, headers, &self.trusted_proxies),
            is_trusted_proxy: peer.is_some_and(|peer| self.trusted_proxies.contains(peer)),
        }
    }
}
