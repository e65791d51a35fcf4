//! The bodies of forwarded requests.
//!
//! They pass on one frame at a time, so a slow origin slows the client and nothing is buffered.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::BoxError;
use super::headers::remove_forbidden_trailers;
use super::progress::{Movement, Progress};

/// The client's body, without forbidden trailers.
pub(super) struct RequestBody {
    /// `None` if the request has no body.
    streaming: Option<Streaming>,
}

struct Streaming {
    inner: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
    movement: Movement,
}

/// A request body that is too long to be collected.
#[derive(Debug, thiserror::Error)]
#[error(
    "the request body is longer than {0} bytes, the limit for origins without chunked encoding: raise `max_collected_body_bytes`"
)]
pub(super) struct BodyTooLong(usize);

/// The client disconnected or sent an invalid body.
#[derive(Debug, thiserror::Error)]
#[error("the request body failed: {0}")]
pub(super) struct RequestBodyError(#[source] BoxError);

impl RequestBody {
    pub(super) fn new<B>(body: B, progress: &mut Progress) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        use http_body_util::BodyExt;
        let streaming = (!body.is_end_stream()).then(|| Streaming {
            inner: Box::pin(body.map_err(Into::into)),
            movement: progress.movement(),
        });
        Self { streaming }
    }

    /// Reads the whole body, for an origin that needs a `Content-Length`. Trailers are lost.
    pub(super) async fn collect(self, most: usize) -> Result<(usize, Bytes), BoxError> {
        use http_body_util::{BodyExt, LengthLimitError, Limited};
        let collected = Limited::new(self, most).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { BoxError::from(BodyTooLong(most)) } else { error }
        })?;
        let bytes = collected.to_bytes();
        Ok((bytes.len(), bytes))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let Some(Streaming { inner, movement }) = &mut self.streaming else {
            return Poll::Ready(None);
        };
        let frame = ready!(inner.as_mut().poll_frame(cx));
        movement.mark();
        Poll::Ready(frame.map(|frame| {
            let mut frame = frame.map_err(RequestBodyError)?;
            if let Some(trailers) = frame.trailers_mut() {
                remove_forbidden_trailers(trailers);
            }
            Ok(frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.streaming.as_ref().is_none_or(|body| body.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let empty = || SizeHint::with_exact(0);
        self.streaming.as_ref().map_or_else(empty, |body| body.inner.size_hint())
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}
