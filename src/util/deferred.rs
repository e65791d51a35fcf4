//! A wait for work that runs in the background.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, watch};

/// A wait for keys, a session or a fact: await it, then look it up again.
///
/// Most report only that the work has ended, not its result. Dropping it does not cancel work that
/// runs as a task of its own.
#[must_use = "nobody waits until it is awaited"]
pub struct Deferred<T = ()>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> Deferred<T> {
    /// Wraps a future. The caller bounds its time, and how many of them there are.
    pub fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Box::pin(work))
    }
}

impl Deferred {
    /// Waits until the sender is dropped, whose task bounds its own time. The permit, one of a
    /// bounded number of waits, is returned then, and when the wait is dropped.
    pub(crate) fn until_closed(
        mut receiver: watch::Receiver<()>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self::new(async move {
            // An error: the sender is gone, which is what is waited for.
            receiver.changed().await.unwrap_or_default();
            drop(permit);
        })
    }

    /// Waits for all of them; `None` if it is absent.
    pub(crate) fn all(waits: impl IntoIterator<Item = Self>) -> Option<Self> {
        waits.into_iter().reduce(Self::and)
    }

    /// Waits for both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self::new(async {
            self.await;
            other.await;
        })
    }
}

impl<T> Future for Deferred<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.0.as_mut().poll(context)
    }
}

impl<T> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deferred(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    #[tokio::test]
    async fn all_waits_for_each_of_them_and_none_is_no_wait() {
        assert!(Deferred::all([]).is_none());
        let (senders, waits): (Vec<_>, Vec<_>) = (0..3)
            .map(|_| {
                let (sender, receiver) = oneshot::channel::<()>();
                (sender, Deferred::new(async { receiver.await.unwrap_or_default() }))
            })
            .unzip();
        let mut all = Deferred::all(waits).unwrap();
        for sender in senders.into_iter().rev() {
            assert!(poll_once(&mut all).await.is_pending());
            drop(sender);
        }
        assert!(poll_once(&mut all).await.is_ready());
    }

    #[tokio::test]
    async fn a_wait_returns_its_permit_however_it_is_over() {
        let permits = Arc::new(Semaphore::new(1));
        let wait = |receiver| {
            let permit = Arc::clone(&permits).try_acquire_owned().unwrap();
            Deferred::until_closed(receiver, permit)
        };
        let (sender, receiver) = watch::channel(());
        let mut first = wait(receiver.clone());
        assert!(poll_once(&mut first).await.is_pending());
        drop(first);
        let mut second = wait(receiver);
        drop(sender);
        assert!(poll_once(&mut second).await.is_ready());
        assert_eq!(permits.available_permits(), 1, "the second is still there");
    }

    async fn poll_once(wait: &mut Deferred) -> Poll<()> {
        std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *wait).poll(context))).await
    }
}
