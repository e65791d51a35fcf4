//! Answers of others: asked for beside the requests, remembered, asked for again.
//!
//! One question at a time for each key, whoever wants to know. An answer is fresh for a while; then
//! it is asked for again beside the requests, and the old one counts until the new one is there, up
//! to an age. Beyond it, and where there never was one, a request waits, or does without. A
//! question that brought no answer is not asked again before its cool-down is over.

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, watch};

use crate::clock::Timestamp;
use crate::util::deferred::Deferred;

/// Answers by key, in bounded memory.
pub(crate) struct Remembered<K, V> {
    entries: Cache<K, Arc<Entry<V>>>,
    times: Times,
    /// Questions under way.
    questions: Arc<Semaphore>,
    /// Requests that wait.
    waiting: Arc<Semaphore>,
}

/// How long things take and last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// For how long an answer is fresh.
    pub(crate) fresh_for: Duration,
    /// Up to which age an answer counts that could not be asked for again.
    pub(crate) counts_up_to: Duration,
    /// Between a question without an answer and the next one.
    pub(crate) cool_down: Duration,
    /// How long a question may take.
    pub(crate) limit: Duration,
}

/// How much somebody is ready to do for an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effort {
    /// Takes what is there. What is no longer fresh is asked for again, beside this request.
    Recall,
    /// Waits where nothing is there.
    Wait,
    /// Waits where nothing is there that is younger than this.
    WaitFor(Duration),
}

/// What is remembered of a key.
#[derive(Debug)]
pub(crate) enum Recollection<V> {
    /// An answer that counts.
    Known(V),
    /// A question is under way: when it has ended, look with [`Remembered::recall`].
    Asked(Deferred),
    /// Nothing counts, and waiting does not help or was not wanted.
    Unknown,
}

impl<K, V> fmt::Debug for Remembered<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").field("times", &self.times).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Entry<V>(Mutex<State<V>>);

#[derive(Debug)]
struct State<V> {
    answer: Option<Answer<V>>,
    last_attempt: Option<Timestamp>,
    /// Ends when the question does.
    under_way: Option<watch::Receiver<()>>,
}

#[derive(Clone, Debug)]
struct Answer<V> {
    value: V,
    asked_at: Timestamp,
}

impl<K, V> Remembered<K, V>
where
    K: Clone + Eq + Hash,
    V: Clone + Send + 'static,
{
    /// Room for answers of so many keys; the least used make room for others.
    pub(crate) fn new(most: usize, times: Times) -> Self {
        Self {
            entries: Cache::new(most),
            times,
            questions: Arc::new(Semaphore::new(MOST_QUESTIONS)),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
        }
    }

    /// Looks a key up, and has it asked for where that is due. The question's answer is `None` when
    /// there is none. It runs as a task of its own: who goes away does not take it along.
    pub(crate) fn look<'q, Q, F>(
        &self,
        key: &'q Q,
        now: Timestamp,
        effort: Effort,
        question: impl FnOnce() -> F,
    ) -> Recollection<V>
    where
        Q: Equivalent<K> + Hash,
        K: From<&'q Q>,
        F: Future<Output = Option<V>> + Send + 'static,
    {
        let entry = match (self.entries.get(key), effort) {
            (Some(entry), _) => entry,
            (None, Effort::Recall) => return Recollection::Unknown,
            (None, Effort::Wait | Effort::WaitFor(_)) => self.entry(&K::from(key)),
        };
        let mut state = entry.state();
        let counts = state.counts(now, self.times);
        let fresh_for = match effort {
            Effort::Recall | Effort::Wait => self.times.fresh_for,
            Effort::WaitFor(age) => age.min(self.times.fresh_for),
        };
        if let Some(answer) = counts.as_ref().filter(|answer| answer.age(now) < fresh_for) {
            return Recollection::Known(answer.value.clone());
        }
        // Where nothing counts any more, asking is for those who are ready to wait for it.
        let under_way = match (&counts, effort) {
            (None, Effort::Recall) => None,
            _ => self.start(&entry, &mut state, now, question),
        };
        drop(state);
        match (counts, under_way, effort) {
            (Some(answer), _, Effort::Recall | Effort::Wait)
            | (Some(answer), None, Effort::WaitFor(_)) => Recollection::Known(answer.value),
            (answer, Some(under_way), _) => match Arc::clone(&self.waiting).try_acquire_owned() {
                Ok(place) => Recollection::Asked(Deferred::until_closed(under_way, place)),
                Err(_) => known(answer),
            },
            (None, None, _) => Recollection::Unknown,
        }
    }

    /// The answer that counts, if there is one. Asks nobody.
    pub(crate) fn recall<Q>(&self, key: &Q, now: Timestamp) -> Option<V>
    where
        Q: Equivalent<K> + Hash,
    {
        let entry = self.entries.get(key)?;
        let answer = entry.state().counts(now, self.times)?;
        Some(answer.value)
    }

    /// The place of a key, the same for all who ask at once.
    fn entry(&self, key: &K) -> Arc<Entry<V>> {
        let made = || Ok::<_, std::convert::Infallible>(Arc::new(Entry::new()));
        match self.entries.get_or_insert_with(key, made) {
            Ok(entry) => entry,
            Err(never) => match never {},
        }
    }

    /// The question under way, begun now if need be; `None` during the cool-down, and while too
    /// many others are under way.
    fn start<F>(
        &self,
        entry: &Arc<Entry<V>>,
        state: &mut State<V>,
        now: Timestamp,
        question: impl FnOnce() -> F,
    ) -> Option<watch::Receiver<()>>
    where
        F: Future<Output = Option<V>> + Send + 'static,
    {
        let under_way = state.under_way.as_ref().filter(|end| end.has_changed().is_ok());
        if let Some(under_way) = under_way {
            return Some(under_way.clone());
        }
        let is_cooling =
            state.last_attempt.is_some_and(|last| elapsed(last, now) < self.times.cool_down);
        let has_answered =
            state.answer.as_ref().map(|answer| answer.asked_at) == state.last_attempt;
        if is_cooling && !has_answered {
            return None;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::error!("nobody can be asked outside a Tokio runtime");
            return None;
        };
        let place = Arc::clone(&self.questions).try_acquire_owned().ok()?;
        let (ended, under_way) = watch::channel(());
        state.last_attempt = Some(now);
        state.under_way = Some(under_way.clone());
        let answering = tokio::time::timeout(self.times.limit, question());
        let entry = Arc::clone(entry);
        runtime.spawn(async move {
            let answer = answering.await.ok().flatten();
            if let Some(value) = answer {
                entry.state().answer = Some(Answer { value, asked_at: now });
            }
            drop((ended, place));
        });
        Some(under_way)
    }
}

impl<V> Entry<V> {
    fn new() -> Self {
        Self(Mutex::new(State { answer: None, last_attempt: None, under_way: None }))
    }

    fn state(&self) -> MutexGuard<'_, State<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone> State<V> {
    fn counts(&self, now: Timestamp, times: Times) -> Option<Answer<V>> {
        let answer = self.answer.as_ref()?;
        (answer.age(now) < times.counts_up_to).then(|| answer.clone())
    }
}

impl<V> Answer<V> {
    fn age(&self, now: Timestamp) -> Duration {
        elapsed(self.asked_at, now)
    }
}

/// The time since something happened. Requests that look at the clock at once need not arrive here
/// in order; what happened further in the future happened under a clock that has been set right
/// since, and nobody knows how long ago that is.
fn elapsed(then: Timestamp, now: Timestamp) -> Duration {
    if now >= then {
        now.since(then)
    } else if then.since(now) <= OUT_OF_ORDER {
        Duration::ZERO
    } else {
        Duration::MAX
    }
}

fn known<V>(answer: Option<Answer<V>>) -> Recollection<V> {
    answer.map_or(Recollection::Unknown, |answer| Recollection::Known(answer.value))
}

const OUT_OF_ORDER: Duration = Duration::from_secs(60);
/// Questions under way at one time, each a task.
const MOST_QUESTIONS: usize = 1_024;
/// Requests that wait at one time; others do without.
const MOST_WAITING: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    const TIMES: Times = Times {
        fresh_for: Duration::from_secs(300),
        counts_up_to: Duration::from_secs(3600),
        cool_down: Duration::from_secs(10),
        limit: Duration::from_secs(5),
    };

    #[derive(Clone, Debug, Eq, Hash, PartialEq)]
    struct Key(String);

    #[derive(Hash)]
    struct Asked<'a>(&'a str);

    impl Equivalent<Key> for Asked<'_> {
        fn equivalent(&self, key: &Key) -> bool {
            self.0 == key.0
        }
    }

    impl From<&Asked<'_>> for Key {
        fn from(asked: &Asked<'_>) -> Self {
            Self(asked.0.to_owned())
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + seconds)
    }

    struct World {
        remembered: Remembered<Key, u32>,
        asked: AtomicUsize,
    }

    impl World {
        fn new() -> Self {
            Self { remembered: Remembered::new(16, TIMES), asked: AtomicUsize::new(0) }
        }

        /// Looks, with an answer that is there at once.
        fn look(&self, seconds: u64, effort: Effort, answer: Option<u32>) -> Recollection<u32> {
            self.remembered.look(&Asked("a"), at(seconds), effort, || {
                self.asked.fetch_add(1, Ordering::SeqCst);
                async move { answer }
            })
        }

        async fn ask(&self, seconds: u64, answer: Option<u32>) -> Option<u32> {
            match self.look(seconds, Effort::Wait, answer) {
                Recollection::Known(value) => Some(value),
                Recollection::Asked(wait) => {
                    wait.await;
                    self.remembered.recall(&Asked("a"), at(seconds))
                }
                Recollection::Unknown => None,
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
        let now = world.look(300, Effort::Recall, Some(2));
        assert!(matches!(now, Recollection::Known(1)), "{now:?}");
        settle().await;
        let now = world.look(301, Effort::Recall, Some(3));
        assert!(matches!(now, Recollection::Known(2)), "{now:?}");
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
            assert!(matches!(world.look(seconds, Effort::Recall, Some(1)), Recollection::Unknown));
        }
        assert_eq!(world.asked(), 0);
        assert_eq!(world.ask(2, Some(1)).await, Some(1));
        let late = world.look(10_000, Effort::Recall, Some(2));
        assert!(matches!(late, Recollection::Unknown), "{late:?}");
        assert_eq!(world.asked(), 1);
    }

    #[tokio::test]
    async fn whoever_wants_a_young_answer_waits_and_falls_back_on_the_old_one() {
        let world = World::new();
        let young = Effort::WaitFor(Duration::from_secs(60));
        assert_eq!(world.ask(0, Some(1)).await, Some(1));
        assert!(matches!(world.look(59, young, Some(2)), Recollection::Known(1)));
        let Recollection::Asked(wait) = world.look(60, young, None) else { panic!("no wait") };
        wait.await;
        assert_eq!(world.remembered.recall(&Asked("a"), at(60)), Some(1));
        assert!(matches!(world.look(61, young, Some(2)), Recollection::Known(1)), "cooling down");
        let Recollection::Asked(wait) = world.look(70, young, Some(2)) else { panic!("no wait") };
        wait.await;
        assert_eq!(world.remembered.recall(&Asked("a"), at(70)), Some(2));
    }

    #[tokio::test]
    async fn pol_14_all_who_ask_at_once_share_one_question_and_keys_share_nothing() {
        let remembered = Arc::new(Remembered::<Key, u32>::new(64, TIMES));
        let (answer, answered) = oneshot::channel::<u32>();
        let mut answered = Some(answered);
        let mut waits = Vec::new();
        for _ in 0..100 {
            let found = remembered.look(&Asked("a"), at(0), Effort::Wait, || {
                let answered = answered.take().expect("one question");
                async move { answered.await.ok() }
            });
            let Recollection::Asked(wait) = found else { panic!("{found:?}") };
            waits.push(wait);
        }
        let other = remembered.look(&Asked("b"), at(0), Effort::Wait, || async { Some(2) });
        let Recollection::Asked(other) = other else { panic!("{other:?}") };
        other.await;
        assert_eq!(remembered.recall(&Asked("b"), at(0)), Some(2));
        assert_eq!(remembered.recall(&Asked("a"), at(0)), None);
        answer.send(1).unwrap();
        Deferred::all(waits).unwrap().await;
        assert_eq!(remembered.recall(&Asked("a"), at(0)), Some(1));
        assert_eq!(remembered.recall(&Asked("b"), at(0)), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn pol_12_a_question_that_hangs_ends_with_its_limit() {
        let remembered = Remembered::<Key, u32>::new(64, TIMES);
        let begun = tokio::time::Instant::now();
        let found = remembered.look(&Asked("a"), at(0), Effort::Wait, std::future::pending);
        let Recollection::Asked(wait) = found else { panic!("{found:?}") };
        wait.await;
        assert_eq!(begun.elapsed(), TIMES.limit);
        assert_eq!(remembered.recall(&Asked("a"), at(5)), None);
        let again = remembered.look(&Asked("a"), at(9), Effort::Wait, std::future::pending);
        assert!(matches!(again, Recollection::Unknown), "{again:?}");
    }

    #[tokio::test]
    async fn pol_12_questions_waits_and_memory_are_bounded() {
        let remembered = Remembered::<Key, u32>::new(100, TIMES);
        let mut asked = Vec::new();
        let mut unknown = 0;
        for number in 0..2_000 {
            let name = number.to_string();
            let found = remembered.look(
                &Asked(&name),
                at(0),
                Effort::Wait,
                std::future::pending::<Option<u32>>,
            );
            match found {
                Recollection::Asked(wait) => asked.push(wait),
                Recollection::Unknown => unknown += 1,
                Recollection::Known(value) => panic!("{value}"),
            }
        }
        assert_eq!((asked.len(), unknown), (MOST_QUESTIONS, 2_000 - MOST_QUESTIONS));
        assert!(remembered.entries.len() <= 100);
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
        let remembered = Remembered::<Key, u32>::new(64, TIMES);
        let found = remembered.look(&Asked("a"), at(0), Effort::Wait, || async { Some(1) });
        assert!(matches!(found, Recollection::Unknown));
    }
}
