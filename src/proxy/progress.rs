//! A timeout for responses that restarts while the request's body is moving.
//!
//! An upload may take hours; an origin that received everything may not stay silent.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::connect::limit;

/// When a request last made progress, and how long it may make none.
#[derive(Debug)]
pub(super) struct Progress {
    start: Instant,
    limit: Option<Duration>,
    movement: Option<Movement>,
}

/// When a request's body last moved, shared between the body and the task that waits for the response.
#[derive(Clone, Debug)]
pub(super) struct Movement {
    start: Instant,
    /// Milliseconds after `start`.
    last: Arc<AtomicU64>,
}

/// A timer that can be used again: resetting it to a later time is far cheaper than a new one.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

/// The origin sent no response, and the request's body did not move.
#[derive(Debug, thiserror::Error)]
#[error("no response within {0:?}")]
pub(super) struct Silence(Duration);

impl Progress {
    /// `longest` is the longest time without progress; zero means no limit.
    pub(super) fn start(longest: Duration) -> Self {
        Self { start: Instant::now(), limit: limit(longest), movement: None }
    }

    pub(super) fn started(&self) -> Instant {
        self.start
    }

    /// Counts movement of the request's body as progress.
    pub(super) fn movement(&mut self) -> Movement {
        let new = || Movement { start: self.start, last: Arc::default() };
        self.movement.get_or_insert_with(new).clone()
    }

    /// Runs `future` until it ends or there is too long no progress.
    ///
    /// # Errors
    ///
    /// If there was no progress.
    pub(super) async fn watch<F: Future>(&self, future: F) -> Result<F::Output, Silence> {
        let (mut future, mut timer) = (pin!(future), Timer::default());
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll_silence(&mut timer, cx).map(Err),
        })
        .await
    }

    /// Ready when there has been no progress for too long.
    pub(super) fn poll_silence(&self, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<Silence> {
        let Some(limit) = self.limit else { return Poll::Pending };
        let deadline = self.movement.as_ref().map_or(self.start, Movement::last) + limit;
        let timer = timer.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).map(|()| Silence(limit))
    }
}

impl Movement {
    /// Records that the body has moved.
    pub(super) fn mark(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_wait() {
        let before = Instant::now();
        assert!(Progress::start(LIMIT).watch(pending::<()>()).await.is_err());
        assert_eq!(before.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn movement_extends_it() {
        let before = Instant::now();
        let mut progress = Progress::start(LIMIT);
        let movement = progress.movement();
        let moving = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(4)).await;
                movement.mark();
            }
            pending::<()>().await;
        };
        assert!(progress.watch(moving).await.is_err());
        assert_eq!(before.elapsed().as_secs(), 17);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_serves_one_request_after_another() {
        let mut timer = Timer::default();
        for longest in [5, 7, 2, 2] {
            let progress = Progress::start(Duration::from_secs(longest));
            poll_fn(|cx| progress.poll_silence(&mut timer, cx)).await;
            assert_eq!(progress.started().elapsed().as_secs(), longest);
        }
        let unlimited = Progress::start(Duration::ZERO);
        let silence = poll_fn(|cx| unlimited.poll_silence(&mut timer, cx));
        assert!(tokio::time::timeout(100 * LIMIT, silence).await.is_err());
    }
}
