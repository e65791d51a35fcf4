//! Tokens whose signature has been checked before.

use std::sync::Arc;

use quick_cache::sync::Cache;

/// A bounded cache of verified tokens, keyed by the whole token.
///
/// Only the signature check and the parsing are saved: time, audience and revocation are looked at
/// on every request. An entry belongs to one generation of the key set, so a key that has left the
/// set takes its entries with it. Only good tokens get in: junk cannot push them out.
#[derive(Debug)]
pub(crate) struct VerifiedTokens<T> {
    entries: Cache<Box<str>, Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u64,
    value: Arc<T>,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { generation: self.generation, value: Arc::clone(&self.value) }
    }
}

impl<T> VerifiedTokens<T> {
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self { entries: Cache::new(entries.max(1)) }
    }

    /// What was derived from `token` under this generation of keys.
    pub(crate) fn get(&self, token: &str, generation: u64) -> Option<Arc<T>> {
        let entry = self.entries.get(token)?;
        (entry.generation == generation).then_some(entry.value)
    }

    pub(crate) fn insert(&self, token: &str, generation: u64, value: Arc<T>) {
        self.entries.insert(token.into(), Entry { generation, value });
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jwt_26_an_entry_ends_with_its_generation_of_keys() {
        let cache = VerifiedTokens::with_capacity(8);
        cache.insert("a.b.c", 1, Arc::new(()));
        assert!(cache.get("a.b.c", 1).is_some());
        assert!(cache.get("a.b.c", 2).is_none());
        assert!(cache.get("a.b.d", 1).is_none());
    }

    #[test]
    fn jwt_27_dos_03_a_million_tokens_stay_within_the_bound() {
        let cache = VerifiedTokens::with_capacity(100);
        for number in 0..100_000 {
            cache.insert(&number.to_string(), 1, Arc::new(()));
        }
        assert!(cache.len() <= 128, "{}", cache.len());
    }
}
