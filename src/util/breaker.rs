//! A circuit breaker: after repeated failures a service is not called for a while.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

/// Counts failures, and rejects questions after too many in a row: an unreachable service
/// then costs one timeout now and then, not one for every user.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// No call is permitted before this time.
    rests_until: Option<Timestamp>,
    /// After the open period one question probes the service; others wait for its result.
    is_trying: bool,
}

/// A permitted call. Dropping it without a result counts as a failure.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    breaker: &'a Breaker,
    /// The time of its failure, if known.
    now: Timestamp,
    has_succeeded: bool,
    was_made: bool,
}

impl Breaker {
    /// Permits a call now; `None` while the breaker is open.
    pub(crate) fn attempt(&self, now: Timestamp) -> Option<Attempt<'_>> {
        let mut state = self.state();
        if let Some(end) = state.rests_until {
            // Setting the clock back does not extend the open period.
            let rests = now < end && end <= now.plus(OPEN_DURATION);
            if rests || state.is_trying {
                return None;
            }
            state.is_trying = true;
        }
        Some(Attempt { breaker: self, now, has_succeeded: false, was_made: true })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    pub(crate) fn succeeded(mut self) {
        self.has_succeeded = true;
    }

    pub(crate) fn failed(mut self, now: Timestamp) {
        self.now = now;
    }

    /// The call was not made.
    pub(crate) fn unused(mut self) {
        self.was_made = false;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut state = self.breaker.state();
        state.is_trying = false;
        if !self.was_made {
            return;
        }
        if self.has_succeeded {
            *state = State::default();
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures >= MAX_FAILURES {
            state.rests_until = Some(self.now.plus(OPEN_DURATION));
        }
    }
}

/// In a row. One user whose question fails does not affect the others.
const MAX_FAILURES: u32 = 3;
const OPEN_DURATION: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + seconds)
    }

    fn fail(breaker: &Breaker, seconds: u64) {
        breaker.attempt(at(seconds)).expect("no rest yet").failed(at(seconds));
    }

    #[test]
    fn pol_12_three_failures_in_a_row_are_a_rest_and_then_one_question_tries() {
        let breaker = Breaker::default();
        fail(&breaker, 0);
        fail(&breaker, 0);
        breaker.attempt(at(0)).unwrap().succeeded();
        for _ in 0..3 {
            fail(&breaker, 1);
        }
        assert!(breaker.attempt(at(1)).is_none());
        assert!(breaker.attempt(at(10)).is_none());
        let first = breaker.attempt(at(11)).unwrap();
        assert!(breaker.attempt(at(11)).is_none(), "one at a time");
        first.failed(at(16));
        assert!(breaker.attempt(at(25)).is_none(), "another rest");
        breaker.attempt(at(26)).unwrap().succeeded();
        let (one, two) = (breaker.attempt(at(26)), breaker.attempt(at(26)));
        assert!(one.is_some() && two.is_some(), "all is well");
    }

    #[test]
    fn a_question_that_is_dropped_has_failed_and_blocks_nobody() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            drop(breaker.attempt(at(0)));
        }
        assert!(breaker.attempt(at(9)).is_none());
        drop(breaker.attempt(at(10)));
        assert!(breaker.attempt(at(20)).is_some());
    }

    #[test]
    fn a_call_that_was_not_made_says_nothing() {
        let breaker = Breaker::default();
        for _ in 0..9 {
            breaker.attempt(at(0)).unwrap().unused();
        }
        for _ in 0..3 {
            fail(&breaker, 0);
        }
        breaker.attempt(at(10)).unwrap().unused();
        // The probe is still to be made.
        fail(&breaker, 10);
        assert!(breaker.attempt(at(19)).is_none());
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_rest_longer() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            fail(&breaker, 5_000);
        }
        assert!(breaker.attempt(at(5_001)).is_none());
        assert!(breaker.attempt(at(0)).is_some());
    }
}
