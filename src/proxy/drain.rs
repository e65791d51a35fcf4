//! Draining: reads and discards the rest of a request body within bounds once the response is known.
//!
//! If a server closes a connection with unread bytes, the system sends a reset, which can destroy a
//! response that the client has not read yet; nginx and Caddy turn it into a 502. hyper stops reading once
//! a body is dropped, so a separate task reads the rest of a dropped body while the response is sent.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::Request;
use http::header::EXPECT;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::activity::{Activity, Running};

/// The body of a request that [`serve()`](super::serve()) received.
///
/// If it is dropped unread, the server reads and discards the rest while it sends the response, within
/// [`max_drained_bytes`](super::ServeLimits::max_drained_bytes),
/// [`drain_timeout`](super::ServeLimits::drain_timeout) and
/// [`max_drains`](super::ServeLimits::max_drains). A client that waits for `100 Continue` does not
/// have to send its body.
pub struct IncomingBody {
    body: Option<Incoming>,
    /// `None` once everything has been read.
    unread: Option<UnreadBody>,
}

/// Bounds on all bodies that one server drains.
#[derive(Debug)]
pub(super) struct Drains {
    slots: Arc<Semaphore>,
    limits: DrainLimits,
}

/// Bounds on one body that is drained.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct DrainLimits {
    pub(super) bytes: u64,
    pub(super) timeout: Duration,
    /// Longest time in which nothing arrives.
    pub(super) silence: Duration,
}

/// A body that may still receive data.
#[derive(Debug)]
struct UnreadBody {
    drains: Arc<Drains>,
    activity: Arc<Activity>,
    /// Whether the client waits for `100 Continue`, which reading would send.
    awaits_continue: bool,
}

impl IncomingBody {
    /// Wraps the body of a request as hyper received it.
    pub(super) fn wrap(
        request: Request<Incoming>,
        drains: &Arc<Drains>,
        activity: &Arc<Activity>,
    ) -> Request<Self> {
        let is_empty = request.body().is_end_stream();
        activity.set_sized_body(!is_empty && request.body().size_hint().exact().is_some());
        if is_empty {
            activity.receive();
            return request.map(|body| Self { body: Some(body), unread: None });
        }
        let unread = UnreadBody {
            drains: Arc::clone(drains),
            activity: Arc::clone(activity),
            awaits_continue: request.headers().contains_key(EXPECT),
        };
        request.map(|body| Self { body: Some(body), unread: Some(unread) })
    }
}

impl Body for IncomingBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if let Some(unread) = &mut this.unread {
            unread.awaits_continue = false;
        }
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        let is_failed = matches!(frame, Some(Err(_)));
        if (frame.is_none() || is_failed || body.is_end_stream())
            && let Some(unread) = this.unread.take()
            && !is_failed
        {
            unread.activity.receive();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        if let (Some(body), Some(unread)) = (self.body.take(), self.unread.take()) {
            unread.drain(body);
        }
    }
}

impl fmt::Debug for IncomingBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingBody").finish_non_exhaustive()
    }
}

impl Drains {
    pub(super) fn new(max_drains: usize, limits: DrainLimits) -> Self {
        Self { slots: Arc::new(Semaphore::new(max_drains.min(Semaphore::MAX_PERMITS))), limits }
    }
}

impl UnreadBody {
    /// Reads the rest in the background, if the limits allow it. Otherwise dropping the body makes hyper close
    /// the connection, or reset the stream, after the response.
    fn drain(self, body: Incoming) {
        if self.awaits_continue {
            return;
        }
        let Ok(slot) = Arc::clone(&self.drains.slots).try_acquire_owned() else {
            tracing::debug!("connection closed: too many request bodies are being drained");
            return;
        };
        let Ok(runtime) = Handle::try_current() else { return };
        // A connection on which a body is drained is not idle. The task ends with the connection, because
        // the body then fails.
        let running = Running::begin(&self.activity);
        runtime.spawn(async move {
            if self.drains.limits.discard(body).await {
                self.activity.receive();
            }
            drop((running, slot));
        });
    }
}

impl DrainLimits {
    /// Reads and discards a body. Returns whether it ended within the limits.
    async fn discard<B: Body + Unpin>(self, body: B) -> bool {
        tokio::time::timeout(self.timeout, self.discard_frames(body)).await.unwrap_or(false)
    }

    async fn discard_frames<B: Body + Unpin>(self, mut body: B) -> bool {
        let mut left = self.bytes;
        loop {
            let frame = match tokio::time::timeout(self.silence, body.frame()).await {
                Ok(None) => return true,
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) | Err(_) => return false,
            };
            let length = frame.data_ref().map_or(0, Buf::remaining);
            let cost = u64::try_from(length).unwrap_or(u64::MAX).max(MIN_FRAME_COST);
            match left.checked_sub(cost) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
    }
}

/// Fewest bytes that a frame counts: tiny and empty chunks cost time, too.
const MIN_FRAME_COST: u64 = 64;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{Full, StreamBody};

    use super::*;

    const LIMITS: DrainLimits = DrainLimits {
        bytes: 1_000,
        timeout: Duration::from_secs(30),
        silence: Duration::from_secs(5),
    };

    /// Sends one frame again and again.
    struct Endless(&'static [u8]);

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.0)))))
        }
    }

    /// Never sends anything.
    struct Stalled;

    impl Body for Stalled {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit_of_bytes() {
        assert!(LIMITS.discard(Full::new(Bytes::from(vec![0; 1_000]))).await);
        assert!(!LIMITS.discard(Full::new(Bytes::from(vec![0; 1_001]))).await);
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_left_even_where_its_frames_are_empty() {
        for frame in [&b"some"[..], b""] {
            assert!(!LIMITS.discard(Endless(frame)).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stalls_is_left() {
        let begun = tokio::time::Instant::now();
        assert!(!LIMITS.discard(Stalled).await);
        assert_eq!(begun.elapsed(), LIMITS.silence);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_drips_is_left_after_the_timeout() {
        let begun = tokio::time::Instant::now();
        let drops = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"x"))), ()))
        });
        assert!(!LIMITS.discard(StreamBody::new(Box::pin(drops))).await);
        assert_eq!(begun.elapsed(), LIMITS.timeout);
    }

    #[tokio::test]
    async fn a_broken_body_has_no_end() {
        let frames = futures_util::stream::iter([Err::<Frame<Bytes>, _>("broken")]);
        assert!(!LIMITS.discard(StreamBody::new(frames)).await);
    }
}
