//! How evaluators are asked.

use std::time::Duration;

use crate::util::refreshing_cache::Times;

/// How the services are asked that `external_evaluation` rules name.
///
/// A person is judged by an evaluator's latest answer. It is asked at the login, before a token is
/// issued, and at a request when no answer is remembered, as after a restart. From then on requests
/// wait for nobody: an answer that is due is asked for again beside them, and the one before it
/// counts until the new one is there.
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
    /// `None`: at the login alone.
    recheck_every: Option<Duration>,
    serve_up_to: Duration,
}

impl ExternalEvaluation {
    pub(crate) const MIN_TIMEOUT: Duration = Duration::from_millis(100);
    pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(30);
    pub(crate) const MIN_RECHECK: Duration = Duration::from_secs(10);
    pub(crate) const MAX_RECHECK: Duration = Duration::from_secs(24 * 3600);

    /// Five seconds for an answer, which is asked for again every five minutes and counts for an
    /// hour while it cannot be.
    #[must_use]
    pub fn new() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            recheck_every: Some(Duration::from_secs(300)),
            serve_up_to: Duration::from_secs(3600),
        }
    }

    /// Sets how long an evaluator has for an answer, with everything that belongs to it: 100 ms to
    /// 30 s; other values are moved into this range.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Self::MIN_TIMEOUT, Self::MAX_TIMEOUT);
        self
    }

    /// Sets after how long an answer is asked for again, once a request needs it: 10 s to 24 h;
    /// other values are moved into this range. Somebody an evaluator has changed its mind about is
    /// out after this time, and an answer's.
    #[must_use]
    pub fn recheck_every(mut self, interval: Duration) -> Self {
        self.recheck_every = Some(interval.clamp(Self::MIN_RECHECK, Self::MAX_RECHECK));
        self
    }

    /// Asks at the login alone, as Cloudflare does: an answer counts for as long as it is
    /// remembered, and until the person logs in again. What an evaluator thinks later is not heard.
    /// After a restart it is asked once more for everybody.
    #[must_use]
    pub fn only_at_login(mut self) -> Self {
        self.recheck_every = None;
        self
    }

    /// Sets up to which age an answer counts while the evaluator gives no other: an hour by
    /// default, never less than the time between two questions, seven days at most. Beyond it
    /// nobody knows what the evaluator would say, and its rule opens nothing.
    #[must_use]
    pub fn serve_stale_up_to(mut self, age: Duration) -> Self {
        self.serve_up_to = age.min(MAX_STALE);
        self
    }

    /// How long an evaluator has.
    pub(super) fn time_limit(&self) -> Duration {
        self.timeout
    }

    /// When answers are asked for again.
    pub(crate) fn times(&self) -> Times {
        // The limit of the question itself goes first; it knows what to say of it.
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
/// Between a question about a person that brought no answer and the next one.
const COOL_DOWN: Duration = Duration::from_secs(10);
/// Longer than any session.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);
