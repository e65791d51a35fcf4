//! When a connection without exchanges has to end.
//!
//! A timer that each exchange sets and cancels would cost more than the rest of the bookkeeping. Instead each
//! connection looks twice in the idle timeout whether anything has happened.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::activity::Activity;

/// Watches the idle time of one connection.
#[derive(Debug)]
pub(super) struct Idleness {
    activity: Arc<Activity>,
    /// Until the first request this is the only limit: the protocol is not known yet.
    first_request: Instant,
    interval: Duration,
}

/// How a connection has to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Close {
    /// After the exchanges that are running.
    Gracefully,
    AtOnce,
}

impl Idleness {
    /// Starts with a new connection.
    pub(super) fn new(
        activity: Arc<Activity>,
        header_read_timeout: Duration,
        idle_timeout: Duration,
    ) -> Self {
        let interval = idle_timeout.max(MIN_IDLE_TIMEOUT) / INTERVALS;
        Self { activity, first_request: Instant::now() + header_read_timeout, interval }
    }

    /// Waits until the connection has been idle for the timeout, and at most half as long again; or until the
    /// first request is late.
    pub(super) async fn is_over(&self) -> Close {
        self.idle_for(INTERVALS).await
    }

    /// Waits until a connection that is closing has been idle for half the timeout.
    pub(super) async fn is_over_while_closing(&self) -> Close {
        self.idle_for(1).await
    }

    async fn idle_for(&self, intervals: u32) -> Close {
        let mut idle_before = None;
        let mut idle_intervals = 0;
        loop {
            let begun = self.activity.begun();
            let idle = (begun > 0 && self.activity.is_quiet()).then_some(begun);
            idle_intervals =
                if idle.is_some() && idle == idle_before { idle_intervals + 1 } else { 0 };
            idle_before = idle;
            if idle_intervals == intervals {
                return Close::Gracefully;
            }
            let now = Instant::now();
            let mut next = now + self.interval;
            if begun == 0 {
                if now >= self.first_request {
                    return Close::AtOnce;
                }
                next = next.min(self.first_request);
            }
            sleep_until(next).await;
        }
    }
}

const MIN_IDLE_TIMEOUT: Duration = Duration::from_millis(10);
/// In how many intervals nothing may have happened.
const INTERVALS: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::activity::Running;

    const HEAD: Duration = Duration::from_secs(15);
    const IDLE: Duration = Duration::from_secs(60);

    fn watched() -> (Idleness, Arc<Activity>) {
        let activity = Arc::new(Activity::default());
        (Idleness::new(Arc::clone(&activity), HEAD, IDLE), activity)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_has_its_own_time() {
        for idle in [IDLE, Duration::from_secs(1)] {
            let started = Instant::now();
            let idleness = Idleness::new(Arc::default(), HEAD, idle);
            assert_eq!(idleness.is_over().await, Close::AtOnce);
            assert_eq!(started.elapsed(), HEAD);
        }
    }

    /// The end of a long exchange counts, not its beginning.
    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_the_end_of_its_last_exchange() {
        for (begin, length) in [(0, 0), (0, 1), (10, 29), (10, 100), (14, 601), (3, 3_599)] {
            let (idleness, activity) = watched();
            let exchanging = async {
                tokio::time::sleep(Duration::from_secs(begin)).await;
                let running = Running::begin(&activity);
                tokio::time::sleep(Duration::from_secs(length)).await;
                drop(running);
                Instant::now()
            };
            let (ended, close) = tokio::join!(exchanging, idleness.is_over());
            assert_eq!(close, Close::Gracefully);
            let idle = ended.elapsed();
            assert!(IDLE <= idle && idle <= IDLE + IDLE / 2, "{begin} {length}: {idle:?}");
            let closing = Instant::now();
            idleness.is_over_while_closing().await;
            assert!(closing.elapsed() <= IDLE / 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_regular_requests_is_not_idle() {
        let (idleness, activity) = watched();
        let exchanging = async {
            for _ in 0..100 {
                drop(Running::begin(&activity));
                tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            biased;
            () = exchanging => {}
            close = idleness.is_over() => unreachable!("{close:?}"),
        }
    }
}
