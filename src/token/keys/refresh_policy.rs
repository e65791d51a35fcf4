//! The schedule for refreshing keys.

use std::time::Duration;

/// The refresh interval of keys, and the age up to which they are used.
///
/// ```
/// use std::time::Duration;
/// use tower_access::token::keys::RefreshPolicy;
///
/// // Withdrawn keys are used for an hour at most, even if the issuer is unreachable.
/// let policy = RefreshPolicy::default().serve_stale_up_to(Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RefreshPolicy {
    pub(super) fresh_for: Duration,
    pub(super) serve_up_to: Duration,
    pub(super) cool_down: Duration,
}

impl RefreshPolicy {
    /// Sets for how long a set is fresh if its server sends no lifetime: an hour by default. Both
    /// lifetimes are moved into the range from one minute to six hours. A set is
    /// refreshed in the background after three quarters of the time.
    #[must_use]
    pub fn fresh_for(mut self, duration: Duration) -> Self {
        self.fresh_for = bounded(duration);
        self
    }

    /// Sets the age up to which a set is used while it cannot be refreshed: a day by default, a
    /// minute at least. No set is fresh for longer.
    #[must_use]
    pub fn serve_stale_up_to(mut self, age: Duration) -> Self {
        self.serve_up_to = age.max(Duration::from_secs(60));
        self
    }

    /// Sets the minimum time between two fetches for unknown key ids: ten seconds by default, one
    /// second at least.
    #[must_use]
    pub fn cool_down(mut self, duration: Duration) -> Self {
        self.cool_down = duration.max(Duration::from_secs(1));
        self
    }
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_secs(3600),
            serve_up_to: Duration::from_secs(24 * 3600),
            cool_down: Duration::from_secs(10),
        }
    }
}

pub(super) fn bounded(fresh_for: Duration) -> Duration {
    fresh_for.clamp(Duration::from_secs(60), Duration::from_secs(6 * 3600))
}
