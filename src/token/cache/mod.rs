//! A cache of tokens with verified signatures.

mod thread;
mod weight;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::LocalKey;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Weighter};

use super::keys::KeySetId;
use crate::secret::{equal, sha256};

pub(crate) use self::thread::ThreadCache;
use self::thread::{SlotKey, is_copied};
pub(crate) use self::weight::allocated;
use self::weight::{PLACE_BYTES, TYPICAL_ENTRY_BYTES, capacity};

/// A bounded cache of verified tokens, found by the whole token.
///
/// It saves only the signature check and the parsing; time, audience and revocation are checked
/// on every request. An entry belongs to one key set, so when a key leaves the set, its
/// entries are no longer used. Only valid tokens are inserted: invalid ones cannot evict them.
///
/// An entry holds what the token says in compact form, and in place of the token its SHA-256 digest,
/// over all of it: header, payload and signature as they were sent. Whoever wants an entry for a
/// token that was never verified has to find a second text with the same digest. SHA-256 needs no
/// secret for that, and a signature by the issuer rests on it already. Entries are looked up by a
/// fast keyed hash of the end of the signature, which no two valid tokens share; that hash proves
/// nothing, and only decides whether the digest is worth computing: an unknown token costs none.
///
/// The bound is in bytes, and covers all that an entry takes.
///
/// Each thread unpacks the tokens that it sees repeatedly into its own [`ThreadCache`], with the
/// token itself for the comparison: cores that serve one user at a time share no lock and no
/// counter, and compute no digest.
pub(crate) struct VerifiedTokens<T: CacheEntry + 'static> {
    id: u64,
    entries: Cache<u64, Arc<Entry<T::Packed>>, ByBytes>,
    hasher: DefaultHashBuilder,
    local: &'static LocalKey<RefCell<ThreadCache<T>>>,
}

/// What is known of a token.
pub(crate) trait CacheEntry: Sized {
    /// Its compact form, without the token.
    type Packed: Packed;

    /// Returns the whole token.
    fn token(&self) -> &[u8];

    /// Returns the compact form; `None` if this token is not to be cached.
    fn pack(&self) -> Option<Self::Packed>;

    /// Restores the value from its compact form and its token.
    fn unpack(packed: &Self::Packed, token: &[u8]) -> Option<Self>;
}

/// The compact form of a value.
pub(crate) trait Packed {
    /// Returns how many bytes it takes in memory beside the structure itself.
    fn heap_bytes(&self) -> usize;
}

/// An entry that all threads share.
#[derive(Debug)]
struct Entry<P> {
    keys: KeySetId,
    /// The digest of the whole token.
    digest: [u8; 32],
    packed: P,
}

#[derive(Clone, Copy, Debug)]
struct ByBytes;

impl<P: Packed> Weighter<u64, Arc<Entry<P>>> for ByBytes {
    fn weight(&self, _: &u64, entry: &Arc<Entry<P>>) -> u64 {
        // The two counters of an `Arc` are beside its value.
        let shared = allocated(2 * size_of::<usize>() + size_of::<Entry<P>>());
        (PLACE_BYTES + shared + entry.packed.heap_bytes()) as u64
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
            capacity(bytes),
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
        let key = SlotKey { cache: self.id, hash };
        let local = self.local.try_with(|local| local.try_borrow().ok()?.get(key, token));
        if let Ok(Some((keys, value))) = local
            && is_current(keys)
        {
            return Some(value);
        }
        let entry = self.entries.get(&hash)?;
        if !is_current(entry.keys) || !equal(&entry.digest, &sha256(token)) {
            return None;
        }
        let value = Arc::new(T::unpack(&entry.packed, token)?);
        if is_copied(token) {
            let promote = |local: &RefCell<ThreadCache<T>>| {
                local.try_borrow_mut().map(|mut local| local.promote(key, entry.keys, &value))
            };
            // Fails only while the thread ends.
            self.local.try_with(promote).ok();
        }
        Some(value)
    }

    /// Adds a token that was verified with these keys.
    pub(crate) fn insert(&self, keys: KeySetId, value: &T) {
        if self.entries.capacity() == 0 {
            return;
        }
        if let Some(packed) = value.pack() {
            let token = value.token();
            let entry = Entry { keys, digest: sha256(token), packed };
            self.entries.insert(self.hash_of(token), Arc::new(entry));
        }
    }

    fn hash_of(&self, token: &[u8]) -> u64 {
        let end = token.len().saturating_sub(HASHED_BYTES);
        self.hasher.hash_one(token.get(end..).unwrap_or_default())
    }
}

impl<T: CacheEntry> std::fmt::Debug for VerifiedTokens<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedTokens").field("entries", &self.entries.len()).finish()
    }
}

/// The number of bytes hashed: fewer than the shortest signature has.
const HASHED_BYTES: usize = 64;
