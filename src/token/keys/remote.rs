//! An issuer's published keys, refreshed in the background.
//!
//! Readers never wait for a writer: the set in use is swapped as a whole. A request whose key is
//! known never waits; a request with an unknown key waits for one refresh per cool-down, shared by
//! all. The set is refreshed in the background before it expires. If that fails, the set
//! is used stale up to a limit; beyond it every token is refused.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::metrics;
use crate::token::algorithm::{Algorithms, KeyAlgorithms};
use crate::util::deferred::Deferred;
use crate::util::single_flight::SingleFlight;

use super::fetch::{FetchedKeys, KeyFetch};
use super::refresh_policy::{RefreshPolicy, bounded};
use super::unknown::UnknownKeys;
use super::{KeySet, KeySetId, KeySource, KeyState};

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
    algorithms: KeyAlgorithms,
    current: ArcSwap<Option<Loaded>>,
    /// Read without the lock, to check whether a refresh is due.
    refresh_due: AtomicU64,
    flight: Mutex<Flight>,
    /// Whether a task refreshes the set on schedule; it ends with its runtime. Outside of the lock: a
    /// runtime that shuts down ends the task while it is being started.
    has_refresher: AtomicBool,
    waiting: Arc<Semaphore>,
    owner: Owner,
}

/// The owner of the keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Owner {
    /// The issuer, whose keys readiness and metrics report.
    Issuer,
    Evaluator,
    #[cfg(feature = "oidc")]
    Provider,
}

impl Owner {
    fn as_str(self) -> &'static str {
        match self {
            Self::Issuer => "the issuer",
            Self::Evaluator => "an evaluator",
            #[cfg(feature = "oidc")]
            Self::Provider => "an identity provider",
        }
    }
}

#[derive(Clone, Debug)]
struct Loaded {
    keys: KeySet,
    loaded_at: Timestamp,
    fresh_until: Timestamp,
}

#[derive(Debug, Default)]
struct Flight {
    fetch: SingleFlight,
    unknown: UnknownKeys,
    /// The engine's time when a fetch was last started, for the task that refreshes on schedule.
    engine_time: Option<(Timestamp, Instant)>,
    logged: Option<&'static str>,
}

impl RemoteKeys {
    /// Creates a source that fetches RS256 keys at the first token, with the default policy.
    #[must_use]
    pub fn new(fetch: impl KeyFetch) -> Self {
        Self::with_policy(fetch, RefreshPolicy::default(), Algorithms::default())
    }

    /// Creates a source of keys of these algorithms, fetched by this policy.
    #[must_use]
    pub fn with_policy(
        fetch: impl KeyFetch,
        policy: RefreshPolicy,
        algorithms: Algorithms,
    ) -> Self {
        Self::from_parts(fetch, policy, KeyAlgorithms::Allowed(algorithms), Owner::Issuer)
    }

    /// Creates a source of an external evaluator's RS256 keys.
    pub(crate) fn for_evaluator(fetch: impl KeyFetch, policy: RefreshPolicy) -> Self {
        let algorithms = KeyAlgorithms::Allowed(Algorithms::default());
        Self::from_parts(fetch, policy, algorithms, Owner::Evaluator)
    }

    /// Creates a source of an identity provider's keys, of every algorithm.
    #[cfg(feature = "oidc")]
    pub(crate) fn for_provider(fetch: impl KeyFetch, policy: RefreshPolicy) -> Self {
        Self::from_parts(fetch, policy, KeyAlgorithms::OfProvider, Owner::Provider)
    }

    fn from_parts(
        fetch: impl KeyFetch,
        policy: RefreshPolicy,
        algorithms: KeyAlgorithms,
        owner: Owner,
    ) -> Self {
        Self(Arc::new(Shared {
            fetch: Box::new(fetch),
            policy,
            algorithms,
            current: ArcSwap::default(),
            refresh_due: AtomicU64::new(0),
            flight: Mutex::default(),
            has_refresher: AtomicBool::new(false),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            owner,
        }))
    }

    /// Whether this set may still be used; starts a background refresh if one is due.
    fn serves(&self, loaded: &Loaded, now: Timestamp) -> bool {
        let shared = &self.0;
        let due = shared.refresh_due.load(Ordering::Relaxed);
        let next = now.plus(shared.policy.cool_down).as_unix_seconds();
        // Keys loaded in the future were loaded before the clock was set back.
        let was_set_back = now < loaded.loaded_at && due > next;
        if now.as_unix_seconds() >= due || was_set_back {
            // Of the requests that find a refresh due, one starts it; the others take no lock.
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
        let permit = Arc::clone(&shared.waiting).try_acquire_owned().ok()?;
        let mut flight = shared.flight();
        let serves = shared.state(now).serves();
        let is_unknown = flight.unknown.contains(key_id, now, 2 * shared.policy.cool_down);
        // A running fetch may find it for every request that waits for it.
        if serves && is_unknown && flight.fetch.running().is_none() {
            return None;
        }
        let running = shared.start_fetch(&mut flight, now)?;
        if serves && !is_unknown {
            flight.unknown.insert(key_id, now);
        }
        Some(Deferred::until_closed(running, permit))
    }

    /// Starts a fetch if no usable set exists: a caller that waits for this state before sending anything
    /// does not wait forever.
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

    /// Returns the running fetch, or starts one; `None` during the cool-down.
    fn start_fetch(
        self: &Arc<Self>,
        flight: &mut Flight,
        now: Timestamp,
    ) -> Option<watch::Receiver<()>> {
        let cool_down = match &**self.current.load() {
            Some(_) => self.policy.cool_down,
            None => self.policy.cool_down.min(COOL_DOWN_WITHOUT_KEYS),
        };
        let Flight { fetch, engine_time, .. } = flight;
        fetch.join_or_start(now, cool_down, || {
            *engine_time = Some((now, Instant::now()));
            if !self.has_refresher.swap(true, Ordering::AcqRel) {
                tokio::spawn(refresh_on_schedule(Refresher(Arc::downgrade(self))));
            }
            let shared = Arc::clone(self);
            Some(async move { shared.refresh(now).await })
        })
    }

    async fn refresh(&self, begun: Timestamp) {
        let clock = Instant::now();
        let fetched = tokio::time::timeout(FETCH_TIME_LIMIT, self.fetch.fetch()).await;
        let loaded = match fetched {
            Ok(Ok(FetchedKeys { text, max_age })) => KeySet::from_published(&text, self.algorithms)
                .map(|keys| (keys, max_age))
                .map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no response within {FETCH_TIME_LIMIT:?}")),
        };
        let now = begun.plus(clock.elapsed());
        if self.owner == Owner::Issuer {
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

    /// Returns the engine's time, extrapolated from the last fetch.
    fn time(&self) -> Timestamp {
        let known = self.flight().engine_time;
        known.map_or_else(Timestamp::default, |(then, at)| then.plus(at.elapsed()))
    }

    fn refresh_at(&self, moment: Timestamp) {
        self.refresh_due.store(moment.as_unix_seconds(), Ordering::Relaxed);
    }

    /// Logs the state of the keys if it changed.
    fn note(&self, outcome: Result<(), String>, now: Timestamp) {
        let state = self.state(now);
        let mut flight = self.flight();
        if outcome.is_err() {
            // A server that was unreachable may have the key.
            flight.unknown.clear();
        }
        let failing = outcome.is_err();
        let name = if failing && state.serves() { "failing" } else { state.as_str() };
        let changed = flight.logged.replace(name) != Some(name);
        drop(flight);
        if self.owner != Owner::Issuer {
            let owner = self.owner.as_str();
            match outcome {
                Ok(()) => tracing::debug!(?state, "keys of {owner} are loaded"),
                Err(error) => {
                    tracing::warn!(%error, ?state, "keys of {owner} could not be fetched");
                }
            }
            return;
        }
        metrics::key_state(state.as_str(), state.keys());
        match outcome {
            Ok(()) if changed => tracing::info!(?state, "the issuer's keys are loaded"),
            Ok(()) => tracing::debug!(?state, "the issuer's keys were refreshed"),
            Err(error) if changed => {
                tracing::error!(%error, ?state, "the issuer's keys could not be fetched");
            }
            Err(error) => tracing::debug!(%error, ?state, "the keys still cannot be fetched"),
        }
    }
}

/// The guard of the task that refreshes on schedule. However the task ends, another may start.
struct Refresher(Weak<Shared>);

impl Drop for Refresher {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.has_refresher.store(false, Ordering::Release);
        }
    }
}

/// Refreshes the set before it expires, whether requests arrive or not.
async fn refresh_on_schedule(refresher: Refresher) {
    loop {
        let Some(pause) = refresher.0.upgrade().map(|shared| {
            let due = shared.refresh_due.load(Ordering::Relaxed);
            Timestamp::from_unix_seconds(due).since(shared.time())
        }) else {
            return;
        };
        tokio::time::sleep(pause.max(MIN_PAUSE)).await;
        let Some(shared) = refresher.0.upgrade() else { return };
        let now = shared.time();
        if now.as_unix_seconds() >= shared.refresh_due.load(Ordering::Relaxed) {
            let running = shared.start_fetch(&mut shared.flight(), now);
            drop(shared);
            if let Some(mut running) = running {
                running.changed().await.unwrap_or_default();
            }
        }
    }
}

/// The time between two fetches while no key is loaded, so that a start before the issuer's recovers
/// quickly.
const COOL_DOWN_WITHOUT_KEYS: Duration = Duration::from_secs(2);
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// The time limit of a fetch, for every transport.
const FETCH_TIME_LIMIT: Duration = Duration::from_secs(10);
/// The maximum number of requests that wait for a refresh; others do not wait.
const MAX_WAITING: usize = 1024;
