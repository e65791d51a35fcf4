//! Idle limits across configuration changes: a session that ended under one limit stays ended under
//! every later one.
//!
//! A session records its own idle end, under the limit at its last activity. The store also records
//! the current limit. When a longer limit follows, it records up to which last activity sessions had
//! already ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::store::{Store, StoreError};

/// The current idle limit, and what earlier limits have ended. Shared by all engines of a process.
#[derive(Debug)]
pub(super) struct IdleLimits {
    /// In seconds; `NO_LIMIT` if unlimited.
    limit: AtomicU64,
    /// Sessions with their last activity at this second or before have ended.
    ended_up_to: AtomicU64,
}

/// The stored record.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Record {
    limit: Option<u64>,
    ended_up_to: u64,
}

impl IdleLimits {
    pub(super) fn new() -> Self {
        Self { limit: AtomicU64::new(NO_LIMIT), ended_up_to: AtomicU64::new(0) }
    }

    /// Returns whether a session with this last activity ended under an earlier limit.
    pub(super) fn is_past_limit(&self, seen_at: Timestamp) -> bool {
        seen_at.as_unix_seconds() <= self.ended_up_to.load(Ordering::Relaxed)
    }

    /// Sets the limit. Returns whether it has changed.
    pub(super) fn set(&self, limit: Option<Duration>, now: Timestamp) -> bool {
        let next = limit.map_or(NO_LIMIT, |limit| limit.as_secs());
        let before = self.limit.swap(next, Ordering::AcqRel);
        if before < next {
            self.raise(ended_by(before, now));
        }
        before != next
    }

    fn raise(&self, ended_up_to: u64) {
        self.ended_up_to.fetch_max(ended_up_to, Ordering::AcqRel);
    }

    /// Merges the stored record, and writes the current limit. The stored limit is treated as in force
    /// until now.
    pub(super) async fn sync(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        for _ in 0..MAX_ATTEMPTS {
            let present = store.get(RECORD).await?;
            // Fail closed: an unreadable record ends every session up to now.
            let unreadable = Record { limit: None, ended_up_to: now.as_unix_seconds() };
            let known: Record = match &present {
                Some(text) => serde_json::from_slice(text).unwrap_or(unreadable),
                None => Record::default(),
            };
            self.raise(known.ended_up_to);
            let limit = self.limit.load(Ordering::Acquire);
            if let Some(before) = known.limit.filter(|before| *before < limit) {
                self.raise(ended_by(before, now));
            }
            let record = Record {
                limit: (limit != NO_LIMIT).then_some(limit),
                ended_up_to: self.ended_up_to.load(Ordering::Acquire),
            };
            // Without a record there is no limit, and there never was one.
            if record == known {
                return Ok(());
            }
            let text = serde_json::to_vec(&record).map_err(StoreError::new)?.into();
            let is_written = match &present {
                Some(present) => store.replace(RECORD, present, text, STORED_FOR).await?,
                None => store.insert(RECORD, text, STORED_FOR).await?,
            };
            if is_written {
                return Ok(());
            }
        }
        Err(StoreError::new("other processes keep changing the idle limit; try again"))
    }
}

/// Returns the latest activity of a session that this limit has ended by now.
fn ended_by(limit: u64, now: Timestamp) -> u64 {
    now.as_unix_seconds().saturating_sub(limit)
}

const NO_LIMIT: u64 = u64::MAX;
const RECORD: &str = "session-limits/idle";
const STORED_FOR: Duration = Duration::from_secs(100 * 365 * 86_400);
const MAX_ATTEMPTS: usize = 8;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::ManualClock;
    use crate::store::MemoryStore;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minutes: u32) -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000).plus(minutes * MINUTE)
    }

    #[tokio::test]
    async fn ses_10_what_one_limit_has_ended_no_longer_one_brings_back() {
        let clock = Arc::new(ManualClock::new(at(0)));
        let store = MemoryStore::new(clock, 10);
        let first = IdleLimits::new();
        first.set(Some(5 * MINUTE), at(0));
        first.sync(&store, at(0)).await.unwrap();
        assert!(!first.is_past_limit(at(0)));
        first.set(Some(60 * MINUTE), at(20));
        assert!(first.is_past_limit(at(15)) && !first.is_past_limit(at(16)));
        // A shorter one ends what it ends by itself.
        first.set(Some(10 * MINUTE), at(30));
        assert!(!first.is_past_limit(at(16)));
        first.sync(&store, at(30)).await.unwrap();
        // After a restart: the limit before counts up to that.
        for limit in [None, Some(60 * MINUTE)] {
            let restarted = IdleLimits::new();
            restarted.set(limit, at(50));
            restarted.sync(&store, at(50)).await.unwrap();
            assert!(
                restarted.is_past_limit(at(40)) && !restarted.is_past_limit(at(41)),
                "{limit:?}"
            );
        }
    }
}
