//! Time as an argument.
//!
//! This crate reads the wall clock only through a [`Clock`]; pure functions take a [`Timestamp`]. A
//! test moves a [`ManualClock`] and never sleeps.

mod duration;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use self::duration::{DurationError, GoDuration};

/// A source of time.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Returns the present time, in whole seconds.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// A moment in whole seconds since 1970-01-01T00:00:00Z.
///
/// Sixty-four bits: 2038 and 2106 are ordinary years. Arithmetic saturates.
///
/// ```
/// use std::time::Duration;
/// use tower_access::clock::Timestamp;
///
/// let issued = Timestamp::from_unix_seconds(1_790_000_000);
/// let expires = issued.plus(Duration::from_secs(60));
/// assert_eq!(expires.as_unix_seconds(), 1_790_000_060);
/// assert_eq!(expires.since(issued), Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Creates the time so many seconds after the Unix epoch.
    #[must_use]
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Returns the seconds since the Unix epoch.
    #[must_use]
    pub const fn as_unix_seconds(self) -> u64 {
        self.0
    }

    /// Returns the time `duration` later; parts of a second are dropped.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// Returns the time `duration` earlier; parts of a second are dropped.
    #[must_use]
    pub const fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// Returns the time since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// The system's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(elapsed.as_secs())
    }
}

/// A clock that is moved by hand, for tests.
///
/// ```
/// use std::time::Duration;
/// use tower_access::clock::{Clock, ManualClock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::from_unix_seconds(100));
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now(), Timestamp::from_unix_seconds(105));
/// ```
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// Creates a clock that returns `now` until it is moved.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicU64::new(now.as_unix_seconds()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(duration.as_secs(), Ordering::SeqCst);
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_unix_seconds(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let last = Timestamp::from_unix_seconds(u64::MAX);
        assert_eq!(last.plus(Duration::from_secs(1)), last);
        let first = Timestamp::from_unix_seconds(0);
        assert_eq!(first.minus(Duration::from_secs(1)), first);
        assert_eq!(first.since(last), Duration::ZERO);
    }

    #[test]
    fn ses_26_seconds_beyond_2106_are_kept_exactly() {
        let late = Timestamp::from_unix_seconds(u64::from(u32::MAX)).plus(Duration::from_secs(7));
        assert_eq!(late.as_unix_seconds(), 4_294_967_302);
    }
}
