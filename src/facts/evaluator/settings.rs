//! Settings for calls to evaluators.

use std::time::Duration;

use crate::util::refreshing_cache::Times;

/// Settings for calls to the services that `external_evaluation` rules name.
///
/// An evaluator's latest result decides about a user. It is called at the login, before a token is
/// issued, and at a request if no result is cached, as after a restart. Later requests do not wait:
/// a due result is refreshed in the background, and the previous one counts until then.
///
/// ```
/// use std::time::Duration;
/// use tower_access::facts::ExternalEvaluation;
///
/// let evaluation = ExternalEvaluation::new()
///     .timeout(Duration::from_secs(2))
///     .recheck_every(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExternalEvaluation {
    timeout: Duration,
    /// `None`: at the login only.
    recheck_every: Option<Duration>,
    serve_up_to: Duration,
}

impl ExternalEvaluation {
    pub(crate) const MIN_TIMEOUT: Duration = Duration::from_millis(100);
    pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(30);
    pub(crate) const MIN_RECHECK: Duration = Duration::from_secs(10);
    pub(crate) const MAX_RECHECK: Duration = Duration::from_secs(24 * 3600);

    /// Creates the defaults: a timeout of five seconds, a recheck every five minutes, and stale
    /// results for up to an hour.
    #[must_use]
    pub fn new() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            recheck_every: Some(Duration::from_secs(300)),
            serve_up_to: Duration::from_secs(3600),
        }
    }

    /// Sets the timeout of a whole call: 100 ms to 30 s; other values are moved into this range.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Self::MIN_TIMEOUT, Self::MAX_TIMEOUT);
        self
    }

    /// Sets the age at which a result is refreshed, once a request needs it: 10 s to 24 h; other
    /// values are moved into this range. A user whom an evaluator now refuses loses access after this
    /// time plus the time of one call.
    #[must_use]
    pub fn recheck_every(mut self, interval: Duration) -> Self {
        self.recheck_every = Some(interval.clamp(Self::MIN_RECHECK, Self::MAX_RECHECK));
        self
    }

    /// Calls evaluators at the login only, as Cloudflare does: a result counts for as long as it is
    /// cached, and until the user logs in again. Later changes at the evaluator have no effect. After
    /// a restart it is called once more for each user.
    #[must_use]
    pub fn only_at_login(mut self) -> Self {
        self.recheck_every = None;
        self
    }

    /// Sets the age up to which a result counts while the evaluator fails: an hour by default, at
    /// least the recheck interval, at most seven days. An older result is unknown, and its rule
    /// allows nothing.
    #[must_use]
    pub fn serve_stale_up_to(mut self, age: Duration) -> Self {
        self.serve_up_to = age.min(MAX_STALE);
        self
    }

    /// Returns the timeout of a call.
    pub(super) fn time_limit(&self) -> Duration {
        self.timeout
    }

    /// Returns the lifetimes of cached results.
    pub(crate) fn times(&self) -> Times {
        // The question's own timeout ends first; its error is more precise.
        let time_limit = self.timeout + Duration::from_secs(1);
        let cool_down = COOL_DOWN;
        match self.recheck_every {
            Some(fresh_for) => {
                let serve_up_to = self.serve_up_to.max(fresh_for + time_limit);
                Times { fresh_for, serve_up_to, cool_down, time_limit }
            }
            None => Times { fresh_for: FOR_EVER, serve_up_to: FOR_EVER, cool_down, time_limit },
        }
    }
}

impl Default for ExternalEvaluation {
    fn default() -> Self {
        Self::new()
    }
}

const MAX_STALE: Duration = Duration::from_secs(7 * 86_400);
/// The time between a failed question about a user and the next one.
const COOL_DOWN: Duration = Duration::from_secs(10);
/// Longer than any session.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);
