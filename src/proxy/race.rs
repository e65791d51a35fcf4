//! Runs a busy future until it ends, or a quiet one does.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Which future ended first.
#[derive(Debug)]
pub(super) enum First<A, B> {
    Busy(A),
    Quiet(B),
}

/// Runs both until one ends. Polls the quiet one only after it was woken: a poll of `busy` costs nothing
/// more, however often it happens.
pub(super) async fn race<A, B>(mut busy: Pin<&mut A>, quiet: B) -> First<A::Output, B::Output>
where
    A: Future,
    B: Future,
{
    let mut quiet = pin!(quiet);
    let bell = Arc::new(Bell { has_rung: AtomicBool::new(true), task: Mutex::default() });
    let ringing = Waker::from(Arc::clone(&bell));
    let mut task: Option<Waker> = None;
    poll_fn(move |cx| {
        if let Poll::Ready(output) = busy.as_mut().poll(cx) {
            return Poll::Ready(First::Busy(output));
        }
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            task = Some(cx.waker().clone());
            bell.set_task(task.clone());
        }
        if bell.take() {
            return quiet.as_mut().poll(&mut Context::from_waker(&ringing)).map(First::Quiet);
        }
        Poll::Pending
    })
    .await
}

/// Records that the quiet future was woken, and wakes the task of both.
#[derive(Debug)]
struct Bell {
    has_rung: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Bell {
    fn set_task(&self, task: Option<Waker>) {
        // A waker is valid even after a panic.
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = task;
    }

    /// Returns whether it has rung since the last call.
    fn take(&self) -> bool {
        self.has_rung.load(Ordering::Relaxed) && self.has_rung.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        // The lock is free again before the task runs.
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_to_end_decides() {
        let both_ready = race(pin!(ready(1)), ready(2)).await;
        assert!(matches!(both_ready, First::Busy(1)));
        let started = Instant::now();
        let quiet = race(pin!(pending::<()>()), sleep(Duration::from_secs(5))).await;
        assert!(matches!(quiet, First::Quiet(())));
        let busy = race(pin!(sleep(Duration::from_secs(4))), sleep(Duration::from_secs(5))).await;
        assert!(matches!(busy, First::Busy(())));
        assert_eq!(started.elapsed(), Duration::from_secs(9));
    }

    #[tokio::test(start_paused = true)]
    async fn the_quiet_future_is_polled_only_when_it_was_woken() {
        let mut busy_polls = 0;
        let mut quiet_polls = 0;
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        let busy = poll_fn(|cx| {
            while busy_polls < 100 && tick.poll_tick(cx).is_ready() {
                busy_polls += 1;
            }
            if busy_polls < 100 { Poll::Pending } else { Poll::Ready(()) }
        });
        let mut timers = [20, 40, 1_000].map(|at| Box::pin(sleep(Duration::from_millis(at))));
        let quiet = poll_fn(|cx| {
            quiet_polls += 1;
            let mut ended = true;
            for timer in &mut timers {
                ended &= timer.is_elapsed() || timer.as_mut().poll(cx).is_ready();
            }
            if ended { Poll::Ready(()) } else { Poll::Pending }
        });
        assert!(matches!(race(pin!(busy), quiet).await, First::Busy(())));
        assert_eq!((busy_polls, quiet_polls), (100, 3));
    }

    #[tokio::test]
    async fn it_moves_to_another_task() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut racing = Box::pin(async move { race(pin!(pending::<()>()), receiver).await });
        let polled = poll_fn(|cx| Poll::Ready(racing.as_mut().poll(cx).is_ready())).await;
        assert!(!polled);
        let moved = tokio::spawn(racing);
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        assert!(matches!(moved.await.unwrap(), First::Quiet(Ok(7))));
    }
}
