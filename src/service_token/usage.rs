//! When a token was last used: kept without making a request wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Timestamp;

/// What is known of the use of one token in this process, and of what was said about it.
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// Seconds since 1970; 0: never.
    last: AtomicU64,
    /// The last use that was written to the store, or is about to be.
    written: AtomicU64,
    /// The last day (since 1970, and one) its end was warned of.
    warned: AtomicU64,
}

impl Usage {
    /// Notes a use. Whether it is to be written: once a minute at most.
    pub(super) fn record(&self, now: Timestamp) -> bool {
        let now = now.as_unix_seconds();
        if self.last.load(Ordering::Relaxed) < now {
            self.last.fetch_max(now, Ordering::Relaxed);
        }
        let written = self.written.load(Ordering::Relaxed);
        if now < written.saturating_add(WRITE_INTERVAL.as_secs()) {
            return false;
        }
        // One of the requests that find it due.
        let order = (Ordering::Relaxed, Ordering::Relaxed);
        self.written.compare_exchange(written, now, order.0, order.1).is_ok()
    }

    /// The last use in this process.
    pub(super) fn last(&self) -> Option<Timestamp> {
        let last = self.last.load(Ordering::Relaxed);
        (last > 0).then(|| Timestamp::from_unix_seconds(last))
    }

    /// Whether this is the first time on this day that a token's end is to be warned of.
    pub(super) fn is_first_warning(&self, now: Timestamp) -> bool {
        let day = day(now) + 1;
        self.warned.swap(day, Ordering::Relaxed) != day
    }
}

/// Whether a token that ends then is to be warned of.
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
