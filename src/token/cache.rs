//! A cache of tokens with verified signatures.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::LocalKey;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Weighter};

use super::keys::KeySetId;

/// A bounded cache of verified tokens, found by the whole token.
///
/// It saves only the signature check and the parsing; time, audience and revocation are checked
/// on every request. An entry belongs to one key set, so when a key leaves the set, its
/// entries are no longer used. Only valid tokens are inserted: invalid ones cannot evict them.
///
/// An entry is found by a keyed hash of the end of its signature, which no two valid tokens share,
/// and the whole token is compared before the entry counts. The bound is in bytes.
///
/// Each thread copies the tokens it sees repeatedly into its own [`ThreadCache`]: cores that
/// serve one user at a time share no lock and no counter.
pub(crate) struct VerifiedTokens<T: 'static> {
    id: u64,
    entries: Cache<u64, Entry<T>, ByBytes>,
    hasher: DefaultHashBuilder,
    local: &'static LocalKey<RefCell<ThreadCache<T>>>,
}

/// A thread's copies of a few tokens, each in the slot given by its hash.
pub(crate) struct ThreadCache<T> {
    slots: Vec<Slot<T>>,
}

struct Slot<T> {
    /// The cache's id and the token's hash.
    key: (u64, u64),
    entry: Option<Entry<T>>,
    /// The last missed key. A second miss in a row promotes it.
    candidate: (u64, u64),
}

/// A cached value that contains its token.
pub(crate) trait CacheEntry {
    /// The whole token.
    fn token(&self) -> &[u8];

    /// The approximate size in bytes, without the token.
    const OVERHEAD: usize;

    /// The additional size of this value in bytes.
    fn extra(&self) -> usize {
        0
    }

    /// Copies the value without sharing anything that cores would contend for.
    fn copy(&self) -> Self;
}

#[derive(Debug)]
struct Entry<T> {
    keys: KeySetId,
    value: Arc<T>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { keys: self.keys, value: Arc::clone(&self.value) }
    }
}

#[derive(Clone, Copy, Debug)]
struct ByBytes;

impl<T: CacheEntry> Weighter<u64, Entry<T>> for ByBytes {
    fn weight(&self, _: &u64, entry: &Entry<T>) -> u64 {
        (entry.value.token().len() + T::OVERHEAD + entry.value.extra()) as u64
    }
}

impl<T: CacheEntry> VerifiedTokens<T> {
    /// Creates a cache of at most so many bytes, without the copies of each thread.
    pub(crate) fn with_capacity(
        bytes: usize,
        local: &'static LocalKey<RefCell<ThreadCache<T>>>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let hasher = DefaultHashBuilder::default();
        let entries = Cache::with(
            bytes / TYPICAL_ENTRY_BYTES,
            bytes as u64,
            ByBytes,
            hasher.clone(),
            DefaultLifecycle::default(),
        );
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), entries, hasher, local }
    }

    /// Returns the value derived from `token` under these keys.
    pub(crate) fn get(
        &self,
        token: &[u8],
        is_current: impl Fn(KeySetId) -> bool,
    ) -> Option<Arc<T>> {
        let hash = self.hash_of(token);
        let is_good = |entry: &Entry<T>| entry.value.token() == token && is_current(entry.keys);
        let local = self.local.try_with(|local| local.try_borrow().ok()?.get((self.id, hash)));
        if let Ok(Some(entry)) = local
            && is_good(&entry)
        {
            return Some(entry.value);
        }
        let entry = self.entries.get(&hash).filter(is_good)?;
        if token.len() <= MAX_COPIED_TOKEN_BYTES {
            let promote = |local: &RefCell<ThreadCache<T>>| {
                local.try_borrow_mut().map(|mut local| local.promote((self.id, hash), &entry))
            };
            // Fails only while the thread ends.
            self.local.try_with(promote).ok();
        }
        Some(entry.value)
    }

    pub(crate) fn insert(&self, keys: KeySetId, value: Arc<T>) {
        self.entries.insert(self.hash_of(value.token()), Entry { keys, value });
    }

    fn hash_of(&self, token: &[u8]) -> u64 {
        let end = token.len().saturating_sub(HASHED_BYTES);
        self.hasher.hash_one(token.get(end..).unwrap_or_default())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<T> ThreadCache<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new() }
    }

    fn get(&self, key: (u64, u64)) -> Option<Entry<T>> {
        let slot = self.slots.get(Self::index(key))?;
        if slot.key == key { slot.entry.clone() } else { None }
    }

    fn promote(&mut self, key: (u64, u64), entry: &Entry<T>)
    where
        T: CacheEntry,
    {
        if self.slots.is_empty() {
            let empty = || Slot { key: (0, 0), entry: None, candidate: (0, 0) };
            self.slots.resize_with(SLOTS, empty);
        }
        let Some(slot) = self.slots.get_mut(Self::index(key)) else { return };
        if slot.candidate == key {
            slot.key = key;
            slot.entry = Some(Entry { keys: entry.keys, value: Arc::new(entry.value.copy()) });
        } else {
            slot.candidate = key;
        }
    }

    fn index((_, hash): (u64, u64)) -> usize {
        // The low bits: fewer than any integer has.
        (hash % SLOTS as u64) as usize
    }
}

impl<T: CacheEntry> std::fmt::Debug for VerifiedTokens<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedTokens").field("entries", &self.entries.len()).finish()
    }
}

/// The number of bytes hashed: fewer than the shortest signature has.
const HASHED_BYTES: usize = 64;
/// Bounds of a thread's copies: their number, and the size of each token.
const SLOTS: usize = 32;
const MAX_COPIED_TOKEN_BYTES: usize = 4096;
/// For sizing tables; the bound is in bytes.
const TYPICAL_ENTRY_BYTES: usize = 1500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::keys::KeySet;

    struct Kept(Vec<u8>);

    thread_local! {
        static NEAR: RefCell<ThreadCache<Kept>> = const { RefCell::new(ThreadCache::new()) };
    }

    impl CacheEntry for Kept {
        const OVERHEAD: usize = 500;

        fn copy(&self) -> Self {
            Self(self.0.clone())
        }

        fn token(&self) -> &[u8] {
            &self.0
        }
    }

    fn kept(text: &str) -> Arc<Kept> {
        Arc::new(Kept(text.as_bytes().to_vec()))
    }

    #[test]
    fn jwt_26_an_entry_ends_with_its_keys() {
        let cache = VerifiedTokens::with_capacity(100_000, &NEAR);
        let (one, two) = (KeySet::default().id(), KeySet::default().id());
        cache.insert(one, kept("a.b.c"));
        assert!(cache.get(b"a.b.c", |keys| keys == one).is_some());
        assert!(cache.get(b"a.b.c", |keys| keys == two).is_none());
        assert!(cache.get(b"a.b.d", |keys| keys == one).is_none());
    }

    #[test]
    fn jwt_26_a_threads_copy_ends_with_its_keys_and_its_cache() {
        let cache = VerifiedTokens::with_capacity(100_000, &NEAR);
        let (one, two) = (KeySet::default().id(), KeySet::default().id());
        cache.insert(one, kept("a.b.c"));
        let seen: Vec<_> =
            (0..4).map(|_| cache.get(b"a.b.c", |keys| keys == one).unwrap()).collect();
        assert!(Arc::ptr_eq(&seen[0], &seen[1]));
        assert!(!Arc::ptr_eq(&seen[0], &seen[2]), "no copy of its own");
        assert!(Arc::ptr_eq(&seen[2], &seen[3]));
        assert!(cache.get(b"a.b.c", |keys| keys == two).is_none());
        let other = VerifiedTokens::with_capacity(100_000, &NEAR);
        assert!(other.get(b"a.b.c", |keys| keys == one).is_none());
        cache.insert(two, kept("a.b.c"));
        assert!(cache.get(b"a.b.c", |keys| keys == two).is_some());
    }

    #[test]
    fn jwt_27_dos_03_a_hundred_thousand_tokens_stay_within_the_bound() {
        let keys = KeySet::default().id();
        let cache = VerifiedTokens::with_capacity(1_000_000, &NEAR);
        let padding = "x".repeat(500);
        for number in 0..100_000 {
            cache.insert(keys, kept(&format!("{padding}{number}")));
        }
        assert!(cache.len() <= 1_000, "{}", cache.len());
        assert!(cache.len() >= 800, "{}", cache.len());
        cache.insert(keys, kept(&"y".repeat(2_000_000)));
        assert!(cache.entries.weight() <= 1_000_000);
    }
}
