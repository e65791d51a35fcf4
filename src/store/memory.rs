//! The store of a single process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Clock, Timestamp};

use super::channels::Channels;
use super::keys::{key_kind, member_key};
use super::{Store, StoreChange, StoreError, StoreFuture, StoreOutcome, WriteCondition};

/// A store in memory; a restart loses everything.
///
/// Every kind of record (the part of a key before the first `/`) holds at most `entries_per_kind`
/// entries. Beyond that, new ones are refused until old ones expire.
///
/// ```
/// use tower_access::clock::SystemClock;
/// use tower_access::store::MemoryStore;
///
/// let store = MemoryStore::new(SystemClock, 100_000);
/// ```
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    entries_per_kind: usize,
    kinds: Mutex<HashMap<Box<str>, Records>>,
    channels: Channels,
}

/// The records of one kind.
#[derive(Default)]
struct Records {
    /// By key; members of a set by the set's name, a line feed, and their own name.
    entries: BTreeMap<Box<str>, Entry>,
    /// The same entries by expiry.
    by_end: BTreeSet<(Timestamp, Box<str>)>,
}

struct Entry {
    end: Timestamp,
    value: Value,
}

enum Value {
    Bytes(Bytes),
    Count(u64),
}

impl MemoryStore {
    /// Returns an empty store with this bound on the entries of each kind, members of sets included.
    #[must_use]
    pub fn new(clock: impl Clock, entries_per_kind: usize) -> Self {
        Self {
            clock: Arc::new(clock),
            entries_per_kind,
            kinds: Mutex::default(),
            channels: Channels::default(),
        }
    }

    /// Runs on the records of a key's kind, after removing expired ones.
    fn with_records<T>(&self, key: &str, run: impl FnOnce(&mut Records, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let kind = key_kind(key);
        let mut kinds: MutexGuard<'_, _> =
            self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let records = kinds.entry(kind.into()).or_default();
        records.drop_expired(now);
        run(records, now)
    }

    fn write(
        &self,
        key: &str,
        value: Bytes,
        lifetime: Duration,
        condition: &WriteCondition,
    ) -> Result<StoreOutcome, StoreError> {
        self.with_records(key, |records, now| {
            let is_met = condition.is_met_by(records.bytes(key));
            if is_met {
                records.remove(key);
                records.add(key, Value::Bytes(value), now.plus(lifetime), self.entries_per_kind)?;
            }
            Ok(StoreOutcome::Written(is_met))
        })
    }

    fn remove(&self, key: &str) -> StoreOutcome {
        StoreOutcome::Taken(self.with_records(key, |records, _| match records.remove(key)?.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Count(_) => None,
        }))
    }

    fn increment(&self, key: &str, add: u64, lifetime: Duration) -> Result<u64, StoreError> {
        self.with_records(key, |records, now| {
            if let Some(entry) = records.entries.get_mut(key) {
                let Value::Count(count) = &mut entry.value else {
                    return Err(StoreError::new("a counter has the key of a value"));
                };
                *count = count.saturating_add(add);
                return Ok(*count);
            }
            if add > 0 {
                records.add(key, Value::Count(add), now.plus(lifetime), self.entries_per_kind)?;
            }
            Ok(add)
        })
    }
}

impl Records {
    fn drop_expired(&mut self, now: Timestamp) {
        while let Some((end, _)) = self.by_end.first()
            && *end <= now
            && let Some((_, key)) = self.by_end.pop_first()
        {
            self.entries.remove(&key);
        }
    }

    fn bytes(&self, key: &str) -> Option<&Bytes> {
        match &self.entries.get(key)?.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Count(_) => None,
        }
    }

    fn add(
        &mut self,
        key: &str,
        value: Value,
        end: Timestamp,
        bound: usize,
    ) -> Result<(), StoreError> {
        if self.entries.len() >= bound {
            return Err(StoreError::new("full"));
        }
        self.entries.insert(key.into(), Entry { end, value });
        self.by_end.insert((end, key.into()));
        Ok(())
    }

    fn remove(&mut self, key: &str) -> Option<Entry> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.by_end.remove(&(entry.end, key));
        Some(entry)
    }

    fn members(&self, set: &str) -> Vec<(String, Bytes)> {
        let before = member_key(set, "");
        let all = self.entries.range::<str, _>((Bound::Excluded(&*before), Bound::Unbounded));
        all.map_while(|(key, entry)| Some((key.strip_prefix(&*before)?, entry)))
            .filter_map(|(member, entry)| match &entry.value {
                Value::Bytes(bytes) => Some((member.to_owned(), bytes.clone())),
                Value::Count(_) => None,
            })
            .collect()
    }
}

impl Store for MemoryStore {
    fn apply(&self, change: StoreChange) -> StoreFuture<'_, StoreOutcome> {
        Box::pin(async move {
            match change {
                StoreChange::Write { key, value, lifetime, condition } => {
                    self.write(&key, value, lifetime, &condition)
                }
                StoreChange::Take { key } => Ok(self.remove(&key)),
                StoreChange::Count { key, add, lifetime } => {
                    self.increment(&key, add, lifetime).map(StoreOutcome::Sum)
                }
                StoreChange::PutMember { set, member, value, lifetime } => {
                    let key = member_key(&set, &member);
                    self.write(&key, value, lifetime, &WriteCondition::Always)
                }
                StoreChange::TakeMember { set, member } => {
                    Ok(self.remove(&member_key(&set, &member)))
                }
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(
            async move { Ok(self.with_records(key, |records, _| records.bytes(key).cloned())) },
        )
    }

    fn members<'a>(&'a self, set: &'a str) -> StoreFuture<'a, Vec<(String, Bytes)>> {
        Box::pin(async move { Ok(self.with_records(set, |records, _| records.members(set))) })
    }

    fn notify<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.channels.notify(channel);
            Ok(())
        })
    }

    fn notified<'a>(&'a self, channel: &'a str, seen: u64) -> StoreFuture<'a, u64> {
        Box::pin(self.channels.notified(channel, seen))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("entries_per_kind", &self.entries_per_kind)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const MINUTE: Duration = Duration::from_secs(60);

    fn store(bound: usize) -> (Arc<ManualClock>, MemoryStore) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(1_000)));
        (Arc::clone(&clock), MemoryStore::new(clock, bound))
    }

    #[tokio::test]
    async fn a_value_lives_as_long_as_it_was_given() {
        let (clock, store) = store(10);
        store.put("a/1", Bytes::from_static(b"x"), MINUTE).await.unwrap();
        clock.advance(Duration::from_secs(59));
        assert_eq!(store.get("a/1").await.unwrap().unwrap(), "x");
        clock.advance(Duration::from_secs(1));
        assert!(store.get("a/1").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn otp_04_a_value_is_taken_once() {
        let (_, store) = store(10);
        store.put("a/1", Bytes::from_static(b"x"), MINUTE).await.unwrap();
        assert!(store.take("a/1").await.unwrap().is_some());
        assert!(store.take("a/1").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn otp_01_a_counter_keeps_its_first_lifetime() {
        let (clock, store) = store(10);
        assert_eq!(store.count("a/1", 1, MINUTE).await.unwrap(), 1);
        clock.advance(Duration::from_secs(59));
        assert_eq!(store.count("a/1", 1, MINUTE).await.unwrap(), 2);
        clock.advance(Duration::from_secs(1));
        assert_eq!(store.count("a/1", 1, MINUTE).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn dos_03_a_flood_of_one_kind_is_bounded_and_leaves_the_others_alone() {
        let (clock, store) = store(3);
        store.put("session/1", Bytes::new(), MINUTE).await.unwrap();
        for number in 0..1_000 {
            let _ = store.put(&format!("pin/{number}"), Bytes::new(), MINUTE).await;
        }
        assert!(store.put("pin/x", Bytes::new(), MINUTE).await.is_err());
        assert!(store.get("session/1").await.unwrap().is_some());
        assert!(store.get("pin/0").await.unwrap().is_some());
        clock.advance(MINUTE);
        store.put("pin/x", Bytes::new(), MINUTE).await.unwrap();
    }

    #[tokio::test]
    async fn replacing_a_value_replaces_its_end() {
        let (clock, store) = store(1);
        store.put("a/1", Bytes::from_static(b"x"), MINUTE).await.unwrap();
        store.put("a/1", Bytes::from_static(b"y"), 2 * MINUTE).await.unwrap();
        clock.advance(MINUTE);
        assert_eq!(store.get("a/1").await.unwrap().unwrap(), "y");
    }

    #[tokio::test]
    async fn ses_16_of_two_that_insert_one_does_and_a_changed_value_is_not_replaced() {
        let (clock, store) = store(10);
        let value = Bytes::from_static;
        assert!(store.insert("a/1", value(b"x"), MINUTE).await.unwrap());
        assert!(!store.insert("a/1", value(b"y"), MINUTE).await.unwrap());
        assert!(!store.replace("a/1", b"y", value(b"z"), MINUTE).await.unwrap());
        assert!(store.replace("a/1", b"x", value(b"z"), 2 * MINUTE).await.unwrap());
        clock.advance(MINUTE);
        assert_eq!(store.take("a/1").await.unwrap().unwrap(), "z");
        assert!(!store.replace("a/1", b"z", value(b"x"), MINUTE).await.unwrap());
        assert!(store.get("a/1").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn members_have_lifetimes_of_their_own() {
        let (clock, store) = store(10);
        let put = |set, member, life| store.put_member(set, member, Bytes::from(member), life);
        put("a/1", "x", MINUTE).await.unwrap();
        put("a/1", "y", 2 * MINUTE).await.unwrap();
        put("a/10", "z", MINUTE).await.unwrap();
        store.put("a/1", Bytes::new(), MINUTE).await.unwrap();
        assert_eq!(store.members("a/1").await.unwrap().len(), 2);
        clock.advance(MINUTE);
        assert_eq!(store.members("a/1").await.unwrap(), [("y".to_owned(), Bytes::from("y"))]);
        assert!(store.take_member("a/1", "y").await.unwrap().is_some());
        assert!(store.take_member("a/1", "y").await.unwrap().is_none());
        assert!(store.members("a/1").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_listens_hears_of_a_change_that_was_before_or_comes() {
        let (_, store) = store(10);
        let store = Arc::new(store);
        store.notify("a").await.unwrap();
        assert_eq!(store.notified("a", 0).await.unwrap(), 1);
        let listening = Arc::clone(&store);
        let heard = tokio::spawn(async move { listening.notified("a", 1).await.unwrap() });
        tokio::task::yield_now().await;
        assert!(!heard.is_finished());
        store.notify("b").await.unwrap();
        store.notify("a").await.unwrap();
        assert_eq!(heard.await.unwrap(), 2);
    }
}
