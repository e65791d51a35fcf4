//! Key ids that were looked for and not found.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::clock::Timestamp;

/// A bounded set of key ids that a refresh did not find: for a while they cause no further refresh.
/// Only hashes are kept, so that long ids cost no more than short ones. Invented ids evict other
/// invented ids.
#[derive(Debug, Default)]
pub(super) struct UnknownKeys {
    hasher: RandomState,
    seen: VecDeque<(u64, Timestamp)>,
}

impl UnknownKeys {
    /// Returns whether this id was looked for a short while ago.
    pub(super) fn contains(&self, key_id: &str, now: Timestamp, for_long: Duration) -> bool {
        let hash = self.hasher.hash_one(key_id);
        self.seen
            .iter()
            .any(|(seen, since)| *seen == hash && now >= *since && now.since(*since) < for_long)
    }

    pub(super) fn insert(&mut self, key_id: &str, now: Timestamp) {
        if self.seen.len() >= MAX_IDS {
            self.seen.pop_front();
        }
        self.seen.push_back((self.hasher.hash_one(key_id), now));
    }

    pub(super) fn clear(&mut self) {
        self.seen.clear();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.seen.len()
    }
}

const MAX_IDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_02_the_memory_of_unknown_ids_is_bounded_and_short() {
        let mut unknown = UnknownKeys::default();
        let at = Timestamp::from_unix_seconds;
        for number in 0..100_000 {
            unknown.insert(&format!("key {number}"), at(100));
        }
        assert_eq!(unknown.len(), MAX_IDS);
        let contains = |id, now| unknown.contains(id, at(now), Duration::from_secs(20));
        assert!(contains("key 99999", 119));
        assert!(!contains("key 99999", 120));
        assert!(!contains("key 99999", 99), "the clock was set back");
        assert!(!contains("key 0", 100));
    }
}
