//! The engine all layers share: configuration, keys, store.
//!
//! An [`Access`] either *verifies* tokens that somebody else issues ([`Access::verifier`]), or
//! *issues* them itself and runs the login ([`Access::builder`]). It knows nothing of tower:
//! requests come in as parts, decisions go out as values.

mod authenticate;
mod authorize;
mod beside;
mod builder;
mod caching;
mod carrier;
mod cors;
mod credential;
mod crossing;
mod dress;
mod exchange;
pub mod explain;
mod further;
mod git;
mod grpc;
mod issuing;
mod lasting;
mod linked;
mod next_step;
mod operate;
mod oversight;
mod peer;
mod permission;
mod rejection;
mod reload;
mod renewal;
mod resources;
mod returned;
mod revoke;
mod session_facts;
mod single_header;
mod verifier;
mod verify;
mod web_socket_origin;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::Guard;

pub(crate) use self::authenticate::{Admission, Resumption, Step};
pub(crate) use self::authorize::{Passage, Unsettled};
pub use self::builder::{AccessBuilder, Restore};
pub(crate) use self::caching::{CachePolicy, forbid_storing};
pub use self::carrier::Carrier;
pub(crate) use self::cors::Cors;
pub(crate) use self::peer::arrived_uri;
pub(crate) use self::peer::nested_at;
pub use self::permission::Permission;
pub(crate) use self::permission::Watch;
pub use self::rejection::{Rejection, RejectionKind};
pub use self::resources::ResourceError;
#[allow(unused_imports, reason = "the proxy asks its rules about them as well")]
pub(crate) use self::resources::{Members, Resources};
pub use self::revoke::RevocationError;
pub use self::revoke::SessionSummary;
pub use self::verifier::VerifierBuilder;

pub(crate) use self::renewal::{Renewal, set_renewed};

use self::carrier::Carriers;
use self::lasting::Lasting;
use self::peer::PeerSource;
use self::reload::Handle;
#[cfg(feature = "config")]
pub(crate) use self::reload::Settings;
use self::verifier::Verifying;
use crate::address::TrustedProxies;
use crate::application::{Application, Directory, PublicOrigins};
use crate::clock::{Clock, Timestamp};
use crate::engine::explain::{Asked, Question, RequestExplanation};
use crate::facts::Sources;
use crate::identity::Attributes;
use crate::policy::{Definitions, Evaluator, Rule};
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
    directory: Arc<Directory>,
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

/// Who issues the tokens decides which credentials count.
#[derive(Debug)]
enum Role {
    /// Somebody else: the assertion header, then the cookie.
    Verifying(Verifying),
    /// We do: the `cf-access-token` header, the cookie, service tokens. An assertion header from
    /// outside is no credential.
    Issuing(Box<issuing::Issuing>),
}

impl Role {
    fn verifies(&self) -> bool {
        matches!(self, Self::Verifying(_))
    }

    /// What is known of everybody who logs in here, where that is one thing.
    fn usual_login(&self) -> Option<&Attributes> {
        match self {
            Self::Verifying(_) => None,
            Self::Issuing(issuing) => issuing.login.methods.usual_login(),
        }
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
    /// When the team domain or the audience tag is none.
    #[cfg(feature = "http-client")]
    pub fn verifier(team_domain: &str, audience: &str) -> Result<Self, ConfigError> {
        Self::verifier_builder(team_domain)?.audience(audience)?.build()
    }

    /// Settings of an engine that verifies.
    ///
    /// # Errors
    ///
    /// When the team domain is none.
    pub fn verifier_builder(team_domain: &str) -> Result<VerifierBuilder, ConfigError> {
        VerifierBuilder::new(team_domain)
    }

    /// Settings of an engine that runs the login and issues tokens.
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
        engine.key_source().state(engine.now())
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
        match &engine.role {
            Role::Issuing(issuing) => {
                let rotated = issuing.login.issuer.rotate(engine.now()).await;
                rotated.map_err(|error| RotationError(Box::new(error)))
            }
            Role::Verifying(_) => Err(RotationError("this engine issues no tokens".into())),
        }
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
    pub(crate) fn engine_that_made(&self, admission: &Admission) -> Option<Guard<Arc<Engine>>> {
        self.0.that(|engine| engine.made(admission))
    }
}

/// The evaluators that rules of applications and groups name.
fn evaluators_named(applications: &[Application], definitions: &Definitions) -> Vec<Evaluator> {
    let of_policies = applications
        .iter()
        .flat_map(|application| &application.policies)
        .flat_map(|policy| [&policy.include, &policy.require, &policy.exclude]);
    let of_groups = definitions
        .groups()
        .iter()
        .flat_map(|group| [&group.include, &group.require, &group.exclude]);
    let mut evaluators: Vec<Evaluator> = of_policies
        .chain(of_groups)
        .flatten()
        .filter_map(|rule| match rule {
            Rule::ExternalEvaluation(evaluator) => Some((**evaluator).clone()),
            _ => None,
        })
        .collect();
    evaluators.sort();
    evaluators.dedup();
    evaluators
}

/// A signing key that was not replaced.
#[derive(Debug, thiserror::Error)]
#[error("the signing key was not replaced: {0}")]
pub struct RotationError(Box<dyn std::error::Error + Send + Sync>);

impl Engine {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Settings an [`Access`] cannot be built from.
///
/// ```
/// use tower_access::Access;
///
/// let error = Access::verifier("acme", "…").unwrap_err();
/// assert!(error.to_string().contains("acme.cloudflareaccess.com"));
/// ```
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct ConfigError(Box<dyn std::error::Error + Send + Sync>);

/// As it is displayed: `?` in `main` prints this.
impl std::fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl ConfigError {
    pub(crate) fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// Bytes of verified tokens that are kept: some ten thousand of the usual size.
const VERIFIED_TOKENS: usize = 16 * 1024 * 1024;
