//! Tokens whose signature has been checked before.

use std::hash::BuildHasher;
use std::sync::Arc;

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
pub(crate) struct VerifiedTokens<T> {
    entries: Cache<u64, Entry<T>, ByBytes>,
    hasher: DefaultHashBuilder,
}

/// What is kept of a token: it has the token itself.
pub(crate) trait Signed {
    /// The whole token.
    fn token(&self) -> &[u8];

    /// How many bytes it takes, about, beside the token.
    const OVERHEAD: usize;
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
        (entry.value.token().len() + T::OVERHEAD) as u64
    }
}

impl<T: Signed> VerifiedTokens<T> {
    /// A cache of at most so many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let hasher = DefaultHashBuilder::default();
        let entries = Cache::with(
            bytes / USUAL_ENTRY,
            bytes as u64,
            ByBytes,
            hasher.clone(),
            DefaultLifecycle::default(),
        );
        Self { entries, hasher }
    }

    /// What was derived from `token` under these keys.
    pub(crate) fn get(
        &self,
        token: &[u8],
        is_current: impl Fn(KeySetId) -> bool,
    ) -> Option<Arc<T>> {
        let entry = self.entries.get(&self.place_of(token))?;
        (entry.value.token() == token && is_current(entry.keys)).then_some(entry.value)
    }

    pub(crate) fn insert(&self, keys: KeySetId, value: Arc<T>) {
        self.entries.insert(self.place_of(value.token()), Entry { keys, value });
    }

    fn place_of(&self, token: &[u8]) -> u64 {
        let end = token.len().saturating_sub(END_OF_SIGNATURE);
        self.hasher.hash_one(token.get(end..).unwrap_or_default())
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<T: Signed> std::fmt::Debug for VerifiedTokens<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedTokens").field("entries", &self.entries.len()).finish()
    }
}

/// Less than the shortest signature there is.
const END_OF_SIGNATURE: usize = 64;
/// For sizing tables; the bound is in bytes.
const USUAL_ENTRY: usize = 1500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::keys::KeySet;

    struct Kept(Vec<u8>);

    impl Signed for Kept {
        const OVERHEAD: usize = 500;

        fn token(&self) -> &[u8] {
            &self.0
        }
    }

    fn kept(text: &str) -> Arc<Kept> {
        Arc::new(Kept(text.as_bytes().to_vec()))
    }

    #[test]
    fn jwt_26_an_entry_ends_with_its_keys() {
        let cache = VerifiedTokens::with_capacity(100_000);
        let (one, two) = (KeySet::default().id(), KeySet::default().id());
        cache.insert(one, kept("a.b.c"));
        assert!(cache.get(b"a.b.c", |keys| keys == one).is_some());
        assert!(cache.get(b"a.b.c", |keys| keys == two).is_none());
        assert!(cache.get(b"a.b.d", |keys| keys == one).is_none());
    }

    #[test]
    fn jwt_27_dos_03_a_hundred_thousand_tokens_stay_within_the_bound() {
        let keys = KeySet::default().id();
        let cache = VerifiedTokens::with_capacity(1_000_000);
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
