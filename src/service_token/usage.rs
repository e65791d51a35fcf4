//! When a token was last used, recorded without delaying a request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;

/// The last use of one token in this process, and its last expiry warning.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// Seconds since 1970; 0: never.
    last: AtomicU64,
    /// The last use that was written to the store, or is being written.
    written: AtomicU64,
    /// The day of the last expiry warning, in days since 1970 plus one.
    warned: AtomicU64,
}

impl Usage {
    /// Records a use. Returns whether to write it: once a minute at most.
    pub(super) fn record(&self, now: Timestamp) -> bool {
        let now = now.as_unix_seconds();
        if self.last.load(Ordering::Relaxed) < now {
            self.last.fetch_max(now, Ordering::Relaxed);
        }
        let written = self.written.load(Ordering::Relaxed);
        if now < written.saturating_add(WRITE_INTERVAL.as_secs()) {
            return false;
        }
        // Only one of the requests that find it due writes.
        let order = (Ordering::Relaxed, Ordering::Relaxed);
        self.written.compare_exchange(written, now, order.0, order.1).is_ok()
    }

    /// Returns the last use in this process.
    pub(super) fn last(&self) -> Option<Timestamp> {
        let last = self.last.load(Ordering::Relaxed);
        (last > 0).then(|| Timestamp::from_unix_seconds(last))
    }

    /// Returns whether this is the first expiry warning of the day.
    pub(super) fn is_first_warning(&self, now: Timestamp) -> bool {
        let day = day(now) + 1;
        self.warned.swap(day, Ordering::Relaxed) != day
    }
}

/// Returns whether a token with this end needs a warning.
pub(super) fn expires_soon(end: Timestamp, now: Timestamp) -> bool {
    now < end && end <= now.plus(WARN_BEFORE)
}

/// Days since 1970.
pub(super) fn day(now: Timestamp) -> u64 {
    now.as_unix_seconds() / 86_400
}

const WRITE_INTERVAL: Duration = Duration::from_secs(60);
/// One week (section 11).
const WARN_BEFORE: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn a_use_is_written_once_a_minute_and_never_goes_back() {
        let usage = Usage::default();
        assert!(usage.last().is_none());
        assert!(usage.record(at(1_000)));
        assert!(!usage.record(at(1_059)));
        assert!(!usage.record(at(1_001)));
        assert_eq!(usage.last(), Some(at(1_059)));
        assert!(usage.record(at(1_060)));
        assert!(!usage.record(at(1_060)));
    }

    #[test]
    fn an_end_is_warned_of_in_its_last_week_once_a_day() {
        let week = 7 * 86_400;
        assert!(!expires_soon(at(week + 1), at(0)));
        assert!(expires_soon(at(week), at(0)) && expires_soon(at(1), at(0)));
        assert!(!expires_soon(at(5), at(5)));
        let usage = Usage::default();
        assert!(usage.is_first_warning(at(10)) && !usage.is_first_warning(at(86_399)));
        assert!(usage.is_first_warning(at(86_400)));
    }
}
