//! An issuer's published keys, kept up to date beside the requests.
//!
//! Readers never wait for a writer: the set in use is swapped as a whole. A request whose key is
//! known never waits; one that names an unknown key waits for one refresh per cool-down, shared by
//! all. Before the set's time is over it is refreshed in the background. When that fails the set
//! goes on serving, stale, up to a limit; beyond it nothing is verified, and nothing opens.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::metrics;
use crate::token::algorithm::Algorithms;

use super::unknown::UnknownKeys;
use super::{Deferred, KeySet, KeySetId, KeySource, KeyState};

/// Fetches the text of a key set.
///
/// `HttpFetch` (feature `http-client`) is the usual one; another transport brings its own. Whatever
/// it does, ten seconds are all it gets.
pub trait KeyFetch: Send + Sync + fmt::Debug + 'static {
    /// Fetches the key set's JSON text, within bounds of time and size of its own.
    fn fetch(&self) -> KeyFuture<'_>;
}

/// What [`KeyFetch::fetch`] returns.
pub type KeyFuture<'a> = Pin<Box<dyn Future<Output = Result<FetchedKeys, FetchError>> + Send + 'a>>;

/// The text of a key set, and for how long its server says it is good.
#[derive(Clone, Debug)]
pub struct FetchedKeys {
    text: Bytes,
    max_age: Option<Duration>,
}

impl FetchedKeys {
    /// A key set's JSON text.
    #[must_use]
    pub fn new(text: impl Into<Bytes>) -> Self {
        Self { text: text.into(), max_age: None }
    }

    /// For how long the server says the text is good; [`RefreshPolicy`] bounds it.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }
}

/// A key set that could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(Box<dyn std::error::Error + Send + Sync>);

impl FetchError {
    /// Wraps whatever went wrong.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// When keys are fetched again, and for how long they serve.
///
/// ```
/// use std::time::Duration;
/// use tower_access::token::keys::RefreshPolicy;
///
/// // Keys that an issuer withdraws are good for an hour at the most, even if it is unreachable.
/// let policy = RefreshPolicy::default().serve_stale_up_to(Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefreshPolicy {
    fresh_for: Duration,
    serve_up_to: Duration,
    cool_down: Duration,
}

impl RefreshPolicy {
    /// For how long a set is fresh when its server does not say: an hour by default. What the
    /// server says, and this, is moved into the range from one minute to six hours. A set is
    /// refreshed in the background after three quarters of the time.
    #[must_use]
    pub fn fresh_for(mut self, duration: Duration) -> Self {
        self.fresh_for = bounded(duration);
        self
    }

    /// Up to which age a set serves while it cannot be refreshed: a day by default, a minute at
    /// least. No set is fresh for longer.
    #[must_use]
    pub fn serve_stale_up_to(mut self, age: Duration) -> Self {
        self.serve_up_to = age.max(Duration::from_secs(60));
        self
    }

    /// The least time between two fetches that unknown key ids cause: ten seconds by default, one
    /// second at least.
    #[must_use]
    pub fn cool_down(mut self, duration: Duration) -> Self {
        self.cool_down = duration.max(Duration::from_secs(1));
        self
    }
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_secs(3600),
            serve_up_to: Duration::from_secs(24 * 3600),
            cool_down: Duration::from_secs(10),
        }
    }
}

fn bounded(fresh_for: Duration) -> Duration {
    fresh_for.clamp(Duration::from_secs(60), Duration::from_secs(6 * 3600))
}

/// The key set of an issuer, kept up to date.
///
/// Clones share one set. The first fetch happens when the first token arrives, within a Tokio
/// runtime that has its timers enabled; from then on a task of that runtime keeps the set fresh
/// until the last clone is dropped.
///
/// ```no_run
/// use tower_access::Access;
/// use tower_access::token::keys::{HttpFetch, RemoteKeys};
///
/// let keys = RemoteKeys::new(HttpFetch::new("https://keys.internal.example.com/certs")?);
/// let access = Access::verifier_builder("acme.cloudflareaccess.com")?
///     .audience("7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc".parse()?)
///     .keys(keys)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RemoteKeys(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    fetch: Box<dyn KeyFetch>,
    policy: RefreshPolicy,
    algorithms: Algorithms,
    current: ArcSwap<Option<Loaded>>,
    /// Read without the lock to see whether a refresh is due.
    refresh_due: AtomicU64,
    flight: Mutex<Flight>,
    /// Whether a task keeps the set fresh; it ends with its runtime. Outside of the lock: a runtime
    /// that shuts down ends the task while it is being started.
    is_kept: AtomicBool,
    waiting: Arc<Semaphore>,
    /// Whether they are the issuer's, which readiness and metrics speak of.
    are_issuers: bool,
}

#[derive(Clone, Debug)]
struct Loaded {
    keys: KeySet,
    loaded_at: Timestamp,
    fresh_until: Timestamp,
}

#[derive(Debug, Default)]
struct Flight {
    last_attempt: Option<Timestamp>,
    /// Ends when the fetch under way ends.
    under_way: Option<watch::Receiver<()>>,
    unknown: UnknownKeys,
    /// The engine's time when it was last heard of, for that task.
    heard: Option<(Timestamp, Instant)>,
    logged: Option<&'static str>,
}

impl Flight {
    fn fetch_under_way(&self) -> Option<&watch::Receiver<()>> {
        self.under_way.as_ref().filter(|fetch| fetch.has_changed().is_ok())
    }
}

impl RemoteKeys {
    /// Keys that are fetched when the first token asks for one: RS256 keys, the usual times.
    #[must_use]
    pub fn new(fetch: impl KeyFetch) -> Self {
        Self::with(fetch, RefreshPolicy::default(), Algorithms::default())
    }

    /// Keys of these algorithms, fetched by this policy.
    #[must_use]
    pub fn with(fetch: impl KeyFetch, policy: RefreshPolicy, algorithms: Algorithms) -> Self {
        Self::of(fetch, policy, algorithms, true)
    }

    /// RS256 keys of a service that is not the issuer.
    #[cfg(feature = "http-client")]
    pub(crate) fn of_service(fetch: impl KeyFetch, policy: RefreshPolicy) -> Self {
        Self::of(fetch, policy, Algorithms::default(), false)
    }

    fn of(
        fetch: impl KeyFetch,
        policy: RefreshPolicy,
        algorithms: Algorithms,
        are_issuers: bool,
    ) -> Self {
        Self(Arc::new(Shared {
            fetch: Box::new(fetch),
            policy,
            algorithms,
            current: ArcSwap::default(),
            refresh_due: AtomicU64::new(0),
            flight: Mutex::default(),
            is_kept: AtomicBool::new(false),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            are_issuers,
        }))
    }

    /// Whether this set may still serve; begins a refresh beside the requests where one is due.
    fn serves(&self, loaded: &Loaded, now: Timestamp) -> bool {
        let shared = &self.0;
        let due = shared.refresh_due.load(Ordering::Relaxed);
        let next = now.plus(shared.policy.cool_down).as_unix_seconds();
        // Keys loaded in the future were loaded under a clock that has been set right since.
        let was_set_back = now < loaded.loaded_at && due > next;
        if now.as_unix_seconds() >= due || was_set_back {
            // One of the requests that find a refresh due begins it; the others take no lock.
            let changed = shared.refresh_due.compare_exchange(
                due,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if changed.is_ok() {
                shared.start_fetch(&mut shared.flight(), now);
            }
        }
        now.since(loaded.loaded_at) < shared.policy.serve_up_to
    }
}

impl KeySource for RemoteKeys {
    fn current(&self, now: Timestamp) -> Option<KeySet> {
        let current = self.0.current.load();
        let loaded = Option::as_ref(&current)?;
        self.serves(loaded, now).then(|| loaded.keys.clone())
    }

    fn is_current(&self, id: KeySetId, now: Timestamp) -> bool {
        let current = self.0.current.load();
        Option::as_ref(&current)
            .is_some_and(|loaded| loaded.keys.id() == id && self.serves(loaded, now))
    }

    fn look_for(&self, key_id: &str, now: Timestamp) -> Option<Deferred> {
        let shared = &self.0;
        let place = Arc::clone(&shared.waiting).try_acquire_owned().ok()?;
        let mut flight = shared.flight();
        let serves = shared.state(now).serves();
        let is_unknown = flight.unknown.contains(key_id, now, 2 * shared.policy.cool_down);
        // A fetch that is under way may bring it to everybody who asks for it meanwhile.
        if serves && is_unknown && flight.fetch_under_way().is_none() {
            return None;
        }
        let under_way = shared.start_fetch(&mut flight, now)?;
        if serves && !is_unknown {
            flight.unknown.insert(key_id, now);
        }
        Some(Deferred::until_closed(under_way, place))
    }

    /// Begins a fetch when nothing serves: who waits for this state before sending anything is
    /// not kept waiting for ever.
    fn state(&self, now: Timestamp) -> KeyState {
        let state = self.0.state(now);
        if !state.serves() {
            self.0.start_fetch(&mut self.0.flight(), now);
        }
        state
    }
}

impl Shared {
    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self, now: Timestamp) -> KeyState {
        match Option::as_ref(&self.current.load()) {
            None => KeyState::NeverLoaded,
            Some(Loaded { loaded_at, .. }) if now.since(*loaded_at) >= self.policy.serve_up_to => {
                KeyState::Expired { loaded_at: *loaded_at }
            }
            Some(Loaded { keys, fresh_until, .. }) if now < *fresh_until => {
                KeyState::Fresh { keys: keys.len() }
            }
            Some(Loaded { keys, loaded_at, .. }) => {
                KeyState::Stale { keys: keys.len(), loaded_at: *loaded_at }
            }
        }
    }

    /// The fetch under way, begun now if need be; `None` during the cool-down.
    fn start_fetch(
        self: &Arc<Self>,
        flight: &mut Flight,
        now: Timestamp,
    ) -> Option<watch::Receiver<()>> {
        if let Some(under_way) = flight.fetch_under_way() {
            return Some(under_way.clone());
        }
        let cool_down = match &**self.current.load() {
            Some(_) => self.policy.cool_down,
            None => self.policy.cool_down.min(COOL_DOWN_WITHOUT_KEYS),
        };
        let cooling =
            flight.last_attempt.is_some_and(|last| now >= last && now.since(last) < cool_down);
        if cooling {
            return None;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::error!("keys cannot be fetched outside a Tokio runtime");
            return None;
        };
        let (ended, under_way) = watch::channel(());
        flight.last_attempt = Some(now);
        flight.heard = Some((now, Instant::now()));
        flight.under_way = Some(under_way.clone());
        let shared = Arc::clone(self);
        // A task of its own: a client that goes away does not cancel the fetch for the others.
        runtime.spawn(async move {
            shared.refresh(now).await;
            drop(ended);
        });
        if !self.is_kept.swap(true, Ordering::AcqRel) {
            runtime.spawn(keep_fresh(Keeper(Arc::downgrade(self))));
        }
        Some(under_way)
    }

    async fn refresh(&self, begun: Timestamp) {
        let clock = Instant::now();
        let fetched = tokio::time::timeout(FETCH_TIME_LIMIT, self.fetch.fetch()).await;
        let loaded = match fetched {
            Ok(Ok(FetchedKeys { text, max_age })) => KeySet::from_jwks_for(&text, self.algorithms)
                .map(|keys| (keys, max_age))
                .map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {FETCH_TIME_LIMIT:?}")),
        };
        let now = begun.plus(clock.elapsed());
        if self.are_issuers {
            metrics::key_fetch(loaded.is_ok());
        }
        let outcome = match loaded {
            Ok((keys, max_age)) => {
                let fresh_for = bounded(max_age.unwrap_or(self.policy.fresh_for));
                let fresh_for = fresh_for.min(self.policy.serve_up_to);
                self.replace(keys, now, fresh_for);
                Ok(())
            }
            Err(error) => {
                self.refresh_at(now.plus(self.policy.cool_down));
                Err(error)
            }
        };
        self.note(outcome, now);
    }

    fn replace(&self, keys: KeySet, now: Timestamp, fresh_for: Duration) {
        // Tokens verified with the same keys stay verified.
        let keys = match &**self.current.load() {
            Some(earlier) if earlier.keys.is_same_as(&keys) => earlier.keys.clone(),
            _ => keys,
        };
        let loaded = Loaded { keys, loaded_at: now, fresh_until: now.plus(fresh_for) };
        self.current.store(Arc::new(Some(loaded)));
        self.refresh_at(now.plus(fresh_for * 3 / 4));
    }

    /// The engine's time, as far as it can be told without asking it.
    fn time(&self) -> Timestamp {
        let heard = self.flight().heard;
        heard.map_or_else(Timestamp::default, |(then, at)| then.plus(at.elapsed()))
    }

    fn refresh_at(&self, moment: Timestamp) {
        self.refresh_due.store(moment.as_unix_seconds(), Ordering::Relaxed);
    }

    /// Says how the keys stand, whenever that has changed.
    fn note(&self, outcome: Result<(), String>, now: Timestamp) {
        let state = self.state(now);
        let mut flight = self.flight();
        if outcome.is_err() {
            // A server that was away may have had the key.
            flight.unknown.clear();
        }
        let failing = outcome.is_err();
        let name = if failing && state.serves() { "failing" } else { state.as_str() };
        let changed = flight.logged.replace(name) != Some(name);
        drop(flight);
        if !self.are_issuers {
            match outcome {
                Ok(()) => tracing::debug!(?state, "keys of an evaluator are loaded"),
                Err(error) => {
                    tracing::warn!(%error, ?state, "keys of an evaluator could not be fetched");
                }
            }
            return;
        }
        metrics::key_state(state.as_str(), state.keys());
        match outcome {
            Ok(()) if changed => tracing::info!(?state, "the issuer's keys are loaded"),
            Ok(()) => tracing::debug!(?state, "the issuer's keys are refreshed"),
            Err(error) if changed => {
                tracing::error!(%error, ?state, "the issuer's keys could not be fetched");
            }
            Err(error) => tracing::debug!(%error, ?state, "the keys still cannot be fetched"),
        }
    }
}

/// The task that keeps a set fresh. However it ends, another one may be started.
struct Keeper(Weak<Shared>);

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.is_kept.store(false, Ordering::Release);
        }
    }
}

/// Refreshes the set before its time is over, whether requests come or not.
async fn keep_fresh(keeper: Keeper) {
    loop {
        let Some(pause) = keeper.0.upgrade().map(|shared| {
            let due = shared.refresh_due.load(Ordering::Relaxed);
            Timestamp::from_unix_seconds(due).since(shared.time())
        }) else {
            return;
        };
        tokio::time::sleep(pause.max(SHORTEST_PAUSE)).await;
        let Some(shared) = keeper.0.upgrade() else { return };
        let now = shared.time();
        if now.as_unix_seconds() >= shared.refresh_due.load(Ordering::Relaxed) {
            let under_way = shared.start_fetch(&mut shared.flight(), now);
            drop(shared);
            if let Some(mut under_way) = under_way {
                under_way.changed().await.unwrap_or_default();
            }
        }
    }
}

/// Between two fetches while there is no key at all, so that a start before the issuer's recovers
/// quickly.
const COOL_DOWN_WITHOUT_KEYS: Duration = Duration::from_secs(2);
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// Whatever the transport does.
const FETCH_TIME_LIMIT: Duration = Duration::from_secs(10);
/// Requests that wait for a refresh at one time; others are answered without it.
const MOST_WAITING: usize = 1024;
