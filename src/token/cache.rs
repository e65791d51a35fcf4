//! Tokens whose signature has been checked before.

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
/// Only the signature check and the parsing are saved: time, audience and revocation are looked at
/// on every request. An entry belongs to one key set, so a key that has left the set takes its
/// entries with it. Only good tokens get in: junk cannot push them out.
///
/// An entry is found by a keyed hash of the end of its signature, which no two good tokens share,
/// and the whole token is compared before the entry counts. The bound is in bytes.
///
/// Tokens that a thread sees again and again it has copies of, in a [`Near`] of its own: cores that
/// serve one person at a time share no lock and no counter.
pub(crate) struct VerifiedTokens<T: 'static> {
    id: u64,
    entries: Cache<u64, Entry<T>, ByBytes>,
    hasher: DefaultHashBuilder,
    near: &'static LocalKey<RefCell<Near<T>>>,
}

/// A thread's copies of a few tokens, each in the place its hash says.
pub(crate) struct Near<T> {
    places: Vec<Place<T>>,
}

struct Place<T> {
    /// Which cache's, and which token's.
    key: (u64, u64),
    entry: Option<Entry<T>>,
    /// What was asked for last and is not here: the second time it moves in.
    wanted: (u64, u64),
}

/// What is kept of a token: it has the token itself.
pub(crate) trait Signed {
    /// The whole token.
    fn token(&self) -> &[u8];

    /// How many bytes it takes, about, beside the token.
    const OVERHEAD: usize;

    /// How many more bytes this one takes.
    fn extra(&self) -> usize {
        0
    }

    /// A copy that shares nothing with this one that cores would contend for.
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

impl<T: Signed> Weighter<u64, Entry<T>> for ByBytes {
    fn weight(&self, _: &u64, entry: &Entry<T>) -> u64 {
        (entry.value.token().len() + T::OVERHEAD + entry.value.extra()) as u64
    }
}

impl<T: Signed> VerifiedTokens<T> {
    /// A cache of at most so many bytes, beside the copies of each thread.
    pub(crate) fn with_capacity(bytes: usize, near: &'static LocalKey<RefCell<Near<T>>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let hasher = DefaultHashBuilder::default();
        let entries = Cache::with(
            bytes / USUAL_ENTRY,
            bytes as u64,
            ByBytes,
            hasher.clone(),
            DefaultLifecycle::default(),
        );
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), entries, hasher, near }
    }

    /// What was derived from `token` under these keys.
    pub(crate) fn get(
        &self,
        token: &[u8],
        is_current: impl Fn(KeySetId) -> bool,
    ) -> Option<Arc<T>> {
        let hash = self.hash_of(token);
        let is_good = |entry: &Entry<T>| entry.value.token() == token && is_current(entry.keys);
        let near = self.near.try_with(|near| near.try_borrow().ok()?.get((self.id, hash)));
        if let Ok(Some(entry)) = near
            && is_good(&entry)
        {
            return Some(entry.value);
        }
        let entry = self.entries.get(&hash).filter(is_good)?;
        if token.len() <= LARGEST_NEAR {
            let moved_in = |near: &RefCell<Near<T>>| {
                near.try_borrow_mut().map(|mut near| near.want((self.id, hash), &entry))
            };
            // A thread that ends has no copies any more.
            self.near.try_with(moved_in).ok();
        }
        Some(entry.value)
    }

    pub(crate) fn insert(&self, keys: KeySetId, value: Arc<T>) {
        self.entries.insert(self.hash_of(value.token()), Entry { keys, value });
    }

    fn hash_of(&self, token: &[u8]) -> u64 {
        let end = token.len().saturating_sub(END_OF_SIGNATURE);
        self.hasher.hash_one(token.get(end..).unwrap_or_default())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<T> Near<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new() }
    }

    fn get(&self, key: (u64, u64)) -> Option<Entry<T>> {
        let place = self.places.get(Self::index(key))?;
        if place.key == key { place.entry.clone() } else { None }
    }

    fn want(&mut self, key: (u64, u64), entry: &Entry<T>)
    where
        T: Signed,
    {
        if self.places.is_empty() {
            let empty = || Place { key: (0, 0), entry: None, wanted: (0, 0) };
            self.places.resize_with(PLACES, empty);
        }
        let Some(place) = self.places.get_mut(Self::index(key)) else { return };
        if place.wanted == key {
            place.key = key;
            place.entry = Some(Entry { keys: entry.keys, value: Arc::new(entry.value.copy()) });
        } else {
            place.wanted = key;
        }
    }

    fn index((_, hash): (u64, u64)) -> usize {
        // The low bits: fewer than any integer has.
        (hash % PLACES as u64) as usize
    }
}

impl<T: Signed> std::fmt::Debug for VerifiedTokens<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedTokens").field("entries", &self.entries.len()).finish()
    }
}

/// Less than the shortest signature there is.
const END_OF_SIGNATURE: usize = 64;
/// Copies a thread has at most, and how large a token is that is copied.
const PLACES: usize = 32;
const LARGEST_NEAR: usize = 4096;
/// For sizing tables; the bound is in bytes.
const USUAL_ENTRY: usize = 1500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::keys::KeySet;

    struct Kept(Vec<u8>);

    thread_local! {
        static NEAR: RefCell<Near<Kept>> = const { RefCell::new(Near::new()) };
    }

    impl Signed for Kept {
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
