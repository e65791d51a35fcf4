//! Values that are fetched in the background, cached, and refreshed.
//!
//! Each key has one fetch at a time, shared by all callers. A value is fresh for a while; then it is
//! refreshed in the background, and the old one is served until the new one arrives, up to an age.
//! After that age, or if there never was a value, a request waits, or proceeds without it. A fetch
//! that failed is not repeated before its cool-down is over.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, watch};

use crate::clock::Timestamp;

use super::deferred::Deferred;
use super::single_flight::{SingleFlight, elapsed};

/// Values by key, in bounded memory.
pub(crate) struct RefreshingCache<K, V> {
    entries: Cache<K, Arc<Entry<V>>>,
    times: Times,
    /// Permits of fetches under way.
    fetches: Arc<Semaphore>,
    /// Permits of requests that wait.
    waiting: Arc<Semaphore>,
}

/// Time limits of fetches and values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// The time for which a value is fresh.
    pub(crate) fresh_for: Duration,
    /// The age up to which a value is used while it cannot be refreshed.
    pub(crate) serve_up_to: Duration,
    /// The time between a failed fetch and the next one.
    pub(crate) cool_down: Duration,
    /// The time limit of a fetch.
    pub(crate) time_limit: Duration,
}

/// The condition for which a caller waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WaitPolicy {
    /// Nothing: takes the cached value. One that is no longer fresh is refreshed beside this request.
    Never,
    /// A value, where none is cached.
    IfAbsent,
    /// A value younger than this.
    IfOlderThan(Duration),
}

/// The result of a lookup.
#[derive(Debug)]
pub(crate) enum Lookup<V> {
    /// A cached value.
    Cached(V),
    /// A fetch is under way: await it, then call [`RefreshingCache::get`].
    Pending(Deferred),
    /// No value, and waiting does not help or was not wanted.
    Absent,
}

#[derive(Debug)]
struct Entry<V>(Mutex<State<V>>);

#[derive(Debug)]
struct State<V> {
    value: Option<Fetched<V>>,
    flight: SingleFlight,
}

#[derive(Clone, Debug)]
struct Fetched<V> {
    value: V,
    /// When its fetch was started.
    as_of: Timestamp,
}

impl<K, V> RefreshingCache<K, V>
where
    K: Clone + Eq + Hash,
    V: Clone + Send + 'static,
{
    /// Creates a cache for so many keys; the least used make room for others.
    pub(crate) fn new(max_keys: usize, times: Times) -> Self {
        Self {
            entries: Cache::new(max_keys),
            times,
            fetches: Arc::new(Semaphore::new(MAX_FETCHES)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        }
    }

    /// Looks a key up, and starts a fetch if one is due. A fetch that returns `None` has failed.
    pub(crate) fn look_up<'q, Q, F>(
        &self,
        key: &'q Q,
        now: Timestamp,
        wait: WaitPolicy,
        fetch: impl FnOnce() -> F,
    ) -> Lookup<V>
    where
        Q: Equivalent<K> + Hash,
        K: From<&'q Q>,
        F: Future<Output = Option<V>> + Send + 'static,
    {
        let entry = match (self.entries.get(key), wait) {
            (Some(entry), _) => entry,
            (None, WaitPolicy::Never) => return Lookup::Absent,
            (None, WaitPolicy::IfAbsent | WaitPolicy::IfOlderThan(_)) => self.entry(&K::from(key)),
        };
        let mut state = entry.state();
        let cached = state.servable(now, self.times);
        let fresh_for = match wait {
            WaitPolicy::Never | WaitPolicy::IfAbsent => self.times.fresh_for,
            WaitPolicy::IfOlderThan(age) => age.min(self.times.fresh_for),
        };
        if let Some(fetched) = cached.as_ref().filter(|fetched| fetched.age(now) < fresh_for) {
            return Lookup::Cached(fetched.value.clone());
        }
        // If no value can be served, only callers that wait cause a fetch.
        let running = match (&cached, wait) {
            (None, WaitPolicy::Never) => None,
            _ => self.join_or_start(&entry, &mut state, now, fetch),
        };
        drop(state);
        match (cached, running, wait) {
            (Some(fetched), _, WaitPolicy::Never | WaitPolicy::IfAbsent)
            | (Some(fetched), None, WaitPolicy::IfOlderThan(_)) => Lookup::Cached(fetched.value),
            (cached, Some(running), _) => match Arc::clone(&self.waiting).try_acquire_owned() {
                Ok(permit) => Lookup::Pending(Deferred::until_closed(running, permit)),
                Err(_) => cached.map_or(Lookup::Absent, |fetched| Lookup::Cached(fetched.value)),
            },
            (None, None, _) => Lookup::Absent,
        }
    }

    /// Returns the cached value. Fetches nothing.
    pub(crate) fn get<Q>(&self, key: &Q, now: Timestamp) -> Option<V>
    where
        Q: Equivalent<K> + Hash,
    {
        let fetched = self.entries.get(key)?.state().servable(now, self.times)?;
        Some(fetched.value)
    }

    /// Returns the entry of a key, the same for all callers at once.
    fn entry(&self, key: &K) -> Arc<Entry<V>> {
        match self.entries.get_or_insert_with(key, || Ok::<_, Infallible>(Arc::default())) {
            Ok(entry) => entry,
            Err(never) => match never {},
        }
    }

    /// Returns the running fetch, and starts one if needed; `None` during the cool-down, and while
    /// too many others are under way.
    fn join_or_start<F>(
        &self,
        entry: &Arc<Entry<V>>,
        state: &mut State<V>,
        now: Timestamp,
        fetch: impl FnOnce() -> F,
    ) -> Option<watch::Receiver<()>>
    where
        F: Future<Output = Option<V>> + Send + 'static,
    {
        let last_fetched = state.value.as_ref().map(|fetched| fetched.as_of);
        let has_failed = last_fetched != state.flight.last_start();
        let cool_down = if has_failed { self.times.cool_down } else { Duration::ZERO };
        state.flight.join_or_start(now, cool_down, || {
            let permit = Arc::clone(&self.fetches).try_acquire_owned().ok()?;
            let fetching = tokio::time::timeout(self.times.time_limit, fetch());
            let entry = Arc::clone(entry);
            Some(async move {
                if let Some(value) = fetching.await.ok().flatten() {
                    entry.state().value = Some(Fetched { value, as_of: now });
                }
                drop(permit);
            })
        })
    }
}

impl<K, V> fmt::Debug for RefreshingCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshingCache").field("times", &self.times).finish_non_exhaustive()
    }
}

impl<V> Default for Entry<V> {
    fn default() -> Self {
        Self(Mutex::new(State { value: None, flight: SingleFlight::default() }))
    }
}

impl<V> Entry<V> {
    fn state(&self) -> MutexGuard<'_, State<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone> State<V> {
    /// Returns the value while it is not too old to be served.
    fn servable(&self, now: Timestamp, times: Times) -> Option<Fetched<V>> {
        self.value.as_ref().filter(|fetched| fetched.age(now) < times.serve_up_to).cloned()
    }
}

impl<V> Fetched<V> {
    fn age(&self, now: Timestamp) -> Duration {
        elapsed(self.as_of, now)
    }
}

/// Fetches under way at one time, each a task.
const MAX_FETCHES: usize = 1_024;
/// Requests that wait at one time; others proceed without a value.
const MAX_WAITING: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    const TIMES: Times = Times {
        fresh_for: Duration::from_secs(300),
        serve_up_to: Duration::from_secs(3600),
        cool_down: Duration::from_secs(10),
        time_limit: Duration::from_secs(5),
    };

    #[derive(Clone, Debug, Eq, Hash, PartialEq)]
    struct Key(String);

    #[derive(Hash)]
    struct KeyRef<'a>(&'a str);

    impl Equivalent<Key> for KeyRef<'_> {
        fn equivalent(&self, key: &Key) -> bool {
            self.0 == key.0
        }
    }

    impl From<&KeyRef<'_>> for Key {
        fn from(asked: &KeyRef<'_>) -> Self {
            Self(asked.0.to_owned())
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + seconds)
    }

    struct World {
        cache: RefreshingCache<Key, u32>,
        asked: AtomicUsize,
    }

    impl World {
        fn new() -> Self {
            Self { cache: RefreshingCache::new(16, TIMES), asked: AtomicUsize::new(0) }
        }

        /// Looks, with an answer that is there at once.
        fn look(&self, seconds: u64, wait: WaitPolicy, answer: Option<u32>) -> Lookup<u32> {
            self.cache.look_up(&KeyRef("a"), at(seconds), wait, || {
                self.asked.fetch_add(1, Ordering::SeqCst);
                async move { answer }
            })
        }

        async fn ask(&self, seconds: u64, answer: Option<u32>) -> Option<u32> {
            match self.look(seconds, WaitPolicy::IfAbsent, answer) {
                Lookup::Cached(value) => Some(value),
                Lookup::Pending(wait) => {
                    wait.await;
                    self.cache.get(&KeyRef("a"), at(seconds))
                }
                Lookup::Absent => None,
            }
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    /// Lets tasks run that are ready.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_answer_is_asked_for_again_beside_the_requests() {
        let world = World::new();
        assert_eq!(world.ask(0, Some(1)).await, Some(1));
        assert_eq!(world.ask(299, Some(2)).await, Some(1));
        assert_eq!(world.asked(), 1);
        // Due: the old one counts until the new one is there.
        let now = world.look(300, WaitPolicy::Never, Some(2));
        assert!(matches!(now, Lookup::Cached(1)), "{now:?}");
        settle().await;
        let now = world.look(301, WaitPolicy::Never, Some(3));
        assert!(matches!(now, Lookup::Cached(2)), "{now:?}");
        assert_eq!(world.asked(), 2);
    }

    #[tokio::test]
    async fn an_old_answer_counts_while_there_is_no_other_and_not_for_ever() {
        let world = World::new();
        assert_eq!(world.ask(0, Some(1)).await, Some(1));
        for seconds in (300..3600).step_by(10) {
            assert_eq!(world.ask(seconds, None).await, Some(1), "{seconds}");
            settle().await;
        }
        let asked = world.asked();
        assert_eq!(asked, 1 + 330, "once each cool-down");
        assert_eq!(world.ask(3600, None).await, None);
        assert_eq!(world.ask(3601, Some(2)).await, None, "the cool-down");
        assert_eq!(world.asked(), asked + 1);
        assert_eq!(world.ask(3610, Some(2)).await, Some(2));
    }

    #[tokio::test]
    async fn recalling_asks_only_for_what_still_counts() {
        let world = World::new();
        for seconds in [0, 1] {
            assert!(matches!(world.look(seconds, WaitPolicy::Never, Some(1)), Lookup::Absent));
        }
        assert_eq!(world.asked(), 0);
        assert_eq!(world.ask(2, Some(1)).await, Some(1));
        let late = world.look(10_000, WaitPolicy::Never, Some(2));
        assert!(matches!(late, Lookup::Absent), "{late:?}");
        assert_eq!(world.asked(), 1);
    }

    #[tokio::test]
    async fn whoever_wants_a_young_answer_waits_and_falls_back_on_the_old_one() {
        let world = World::new();
        let young = WaitPolicy::IfOlderThan(Duration::from_secs(60));
        assert_eq!(world.ask(0, Some(1)).await, Some(1));
        assert!(matches!(world.look(59, young, Some(2)), Lookup::Cached(1)));
        let Lookup::Pending(wait) = world.look(60, young, None) else { panic!("no wait") };
        wait.await;
        assert_eq!(world.cache.get(&KeyRef("a"), at(60)), Some(1));
        assert!(matches!(world.look(61, young, Some(2)), Lookup::Cached(1)), "cooling down");
        let Lookup::Pending(wait) = world.look(70, young, Some(2)) else { panic!("no wait") };
        wait.await;
        assert_eq!(world.cache.get(&KeyRef("a"), at(70)), Some(2));
    }

    #[tokio::test]
    async fn pol_14_all_who_ask_at_once_share_one_question_and_keys_share_nothing() {
        let cache = Arc::new(RefreshingCache::<Key, u32>::new(64, TIMES));
        let (answer, answered) = oneshot::channel::<u32>();
        let mut answered = Some(answered);
        let mut waits = Vec::new();
        for _ in 0..100 {
            let found = cache.look_up(&KeyRef("a"), at(0), WaitPolicy::IfAbsent, || {
                let answered = answered.take().expect("one question");
                async move { answered.await.ok() }
            });
            let Lookup::Pending(wait) = found else { panic!("{found:?}") };
            waits.push(wait);
        }
        let other = cache.look_up(&KeyRef("b"), at(0), WaitPolicy::IfAbsent, || async { Some(2) });
        let Lookup::Pending(other) = other else { panic!("{other:?}") };
        other.await;
        assert_eq!(cache.get(&KeyRef("b"), at(0)), Some(2));
        assert_eq!(cache.get(&KeyRef("a"), at(0)), None);
        answer.send(1).unwrap();
        Deferred::all(waits).unwrap().await;
        assert_eq!(cache.get(&KeyRef("a"), at(0)), Some(1));
        assert_eq!(cache.get(&KeyRef("b"), at(0)), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn pol_12_a_question_that_hangs_ends_with_its_limit() {
        let cache = RefreshingCache::<Key, u32>::new(64, TIMES);
        let begun = tokio::time::Instant::now();
        let found = cache.look_up(&KeyRef("a"), at(0), WaitPolicy::IfAbsent, std::future::pending);
        let Lookup::Pending(wait) = found else { panic!("{found:?}") };
        wait.await;
        assert_eq!(begun.elapsed(), TIMES.time_limit);
        assert_eq!(cache.get(&KeyRef("a"), at(5)), None);
        let again = cache.look_up(&KeyRef("a"), at(9), WaitPolicy::IfAbsent, std::future::pending);
        assert!(matches!(again, Lookup::Absent), "{again:?}");
    }

    #[tokio::test]
    async fn pol_12_questions_waits_and_memory_are_bounded() {
        let cache = RefreshingCache::<Key, u32>::new(100, TIMES);
        let mut asked = Vec::new();
        let mut unknown = 0;
        for number in 0..2_000 {
            let name = number.to_string();
            let found = cache.look_up(
                &KeyRef(&name),
                at(0),
                WaitPolicy::IfAbsent,
                std::future::pending::<Option<u32>>,
            );
            match found {
                Lookup::Pending(wait) => asked.push(wait),
                Lookup::Absent => unknown += 1,
                Lookup::Cached(value) => panic!("{value}"),
            }
        }
        assert_eq!((asked.len(), unknown), (MAX_FETCHES, 2_000 - MAX_FETCHES));
        assert!(cache.entries.len() <= 100);
    }

    #[tokio::test]
    async fn an_answer_of_the_future_does_not_count() {
        let world = World::new();
        assert_eq!(world.ask(5_000, Some(1)).await, Some(1));
        assert_eq!(world.ask(4_999, Some(2)).await, Some(1), "requests out of order");
        assert_eq!(world.ask(0, Some(2)).await, Some(2), "the clock was set right");
        assert_eq!(world.ask(1, Some(3)).await, Some(2));
        assert_eq!(world.asked(), 2);
    }

    #[test]
    fn outside_a_runtime_nothing_is_known() {
        let cache = RefreshingCache::<Key, u32>::new(64, TIMES);
        let found = cache.look_up(&KeyRef("a"), at(0), WaitPolicy::IfAbsent, || async { Some(1) });
        assert!(matches!(found, Lookup::Absent));
    }
}
