//! A timeout for responses that restarts while the request's body is moving.
//!
//! An upload may take hours; an origin that received everything may not stay silent.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// When a request last made progress, shared between its body and the task that waits for the response.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    start: Instant,
    /// Milliseconds after `start`.
    last: Arc<AtomicU64>,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), last: Arc::default() }
    }

    /// Records progress.
    pub(super) fn mark(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// Runs `future`; returns `None` after `limit` without progress.
    pub(super) async fn watch<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut timer = pin!(sleep_until(self.last() + limit));
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            while timer.as_mut().poll(cx).is_ready() {
                let deadline = self.last() + limit;
                if deadline <= Instant::now() {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_wait() {
        let before = Instant::now();
        let progress = Progress::start();
        assert!(progress.watch(Duration::from_secs(5), pending::<()>()).await.is_none());
        assert_eq!(before.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn movement_extends_it() {
        let before = Instant::now();
        let progress = Progress::start();
        let moving = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(4)).await;
                progress.mark();
            }
            pending::<()>().await;
        };
        assert!(progress.watch(Duration::from_secs(5), moving).await.is_none());
        assert_eq!(before.elapsed().as_secs(), 17);
    }
}
