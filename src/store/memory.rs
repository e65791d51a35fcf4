//! The store of a single process.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Clock, Timestamp};

use super::{Store, StoreError, StoreFuture};

/// Keeps everything in memory; a restart forgets it.
///
/// Every kind of record (what stands before the first `/` of a key) holds at most as many entries
/// as the store was made for. Over that, new ones are refused until old ones expire.
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
    kinds: Mutex<HashMap<Box<str>, Shelf>>,
}

/// The records of one kind.
#[derive(Default)]
struct Shelf {
    entries: HashMap<Box<str>, Entry>,
    /// The same entries by the end of their life.
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
    /// An empty store for so many entries of each kind.
    #[must_use]
    pub fn new(clock: impl Clock, entries_per_kind: usize) -> Self {
        Self { clock: Arc::new(clock), entries_per_kind, kinds: Mutex::default() }
    }

    /// Runs on the shelf of a key after what has expired is off it.
    fn on_shelf<T>(&self, key: &str, run: impl FnOnce(&mut Shelf, Timestamp) -> T) -> T {
        let now = self.clock.now();
        let kind = key.split_once('/').map_or("", |(kind, _)| kind);
        let mut kinds: MutexGuard<'_, _> =
            self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let shelf = kinds.entry(kind.into()).or_default();
        shelf.drop_expired(now);
        run(shelf, now)
    }

    fn insert(&self, key: &str, value: Bytes, lifetime: Duration) -> Result<(), StoreError> {
        self.on_shelf(key, |shelf, now| {
            shelf.remove(key);
            shelf.add(key, Value::Bytes(value), now.plus(lifetime), self.entries_per_kind)
        })
    }

    fn increment(&self, key: &str, add: u64, lifetime: Duration) -> Result<u64, StoreError> {
        self.on_shelf(key, |shelf, now| {
            if let Some(entry) = shelf.entries.get_mut(key) {
                let Value::Count(count) = &mut entry.value else {
                    return Err(StoreError::new("a counter has the key of a value"));
                };
                *count = count.saturating_add(add);
                return Ok(*count);
            }
            if add > 0 {
                shelf.add(key, Value::Count(add), now.plus(lifetime), self.entries_per_kind)?;
            }
            Ok(add)
        })
    }
}

impl Shelf {
    fn drop_expired(&mut self, now: Timestamp) {
        while let Some((end, _)) = self.by_end.first()
            && *end <= now
            && let Some((_, key)) = self.by_end.pop_first()
        {
            self.entries.remove(&key);
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
}

impl Store for MemoryStore {
    fn put<'a>(&'a self, key: &'a str, value: Bytes, lifetime: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.insert(key, value, lifetime) })
    }

    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            Ok(self.on_shelf(key, |shelf, _| match shelf.entries.get(key) {
                Some(Entry { value: Value::Bytes(bytes), .. }) => Some(bytes.clone()),
                Some(Entry { value: Value::Count(_), .. }) | None => None,
            }))
        })
    }

    fn take<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            Ok(self.on_shelf(key, |shelf, _| match shelf.remove(key)?.value {
                Value::Bytes(bytes) => Some(bytes),
                Value::Count(_) => None,
            }))
        })
    }

    fn count<'a>(&'a self, key: &'a str, add: u64, lifetime: Duration) -> StoreFuture<'a, u64> {
        Box::pin(async move { self.increment(key, add, lifetime) })
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
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_seconds(1_000)));
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
}
