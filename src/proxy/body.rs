//! The bodies of responses.
//!
//! An origin's passes on one frame at a time, so a slow reader slows the origin and nothing is buffered.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use super::http1::OriginBody;

pin_project! {
    /// The body of a response: the origin's as it arrives, or a small one of the proxy.
    pub struct ProxyBody {
        #[pin]
        kind: Kind,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind {
        Origin { #[pin] body: OriginBody },
        Own { #[pin] body: Full<Bytes> },
    }
}

impl ProxyBody {
    pub(super) fn empty() -> Self {
        Self::own(Bytes::new())
    }

    pub(super) fn own(bytes: impl Into<Bytes>) -> Self {
        Self { kind: Kind::Own { body: Full::new(bytes.into()) } }
    }

    /// Returns the length of a body of the proxy.
    pub(super) fn own_length(&self) -> Option<u64> {
        match &self.kind {
            Kind::Origin { .. } => None,
            Kind::Own { body } => body.size_hint().exact(),
        }
    }

    pub(super) fn origin(body: OriginBody) -> Self {
        Self { kind: Kind::Origin { body } }
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.project().kind.project() {
            KindProjection::Origin { body } => body.poll_frame(cx),
            KindProjection::Own { body } => body
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Origin { body } => body.is_end_stream(),
            Kind::Own { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Origin { body } => body.size_hint(),
            Kind::Own { body } => body.size_hint(),
        }
    }
}

impl fmt::Debug for ProxyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyBody").finish_non_exhaustive()
    }
}
