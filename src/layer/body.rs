//! The body of a response: the inner service's, until access is revoked, or one of our own.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::engine::{Grant, GrantWatch, Refusal};
use crate::util::response::{ResponseBytes, forbid_caching};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Ends a response body with an error, so that a cut body does not look complete.
#[derive(Debug, thiserror::Error)]
#[error("response closed: access revoked")]
struct AccessRevoked;

pin_project! {
    /// The response body of the layers: the inner service's body, passed on as it is, or a body of
    /// the layers.
    ///
    /// If access is revoked while a response is streaming, its body ends with an error.
    #[derive(Debug)]
    pub struct AccessBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    #[derive(Debug)]
    enum Kind<B> {
        Inner { #[pin] body: B, watch: Option<GrantWatch> },
        Own { text: Option<Bytes> },
    }
}

impl<B> AccessBody<B> {
    /// Passes on the inner service's body.
    pub(super) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body, watch: None } }
    }

    /// Passes on the inner service's body until access is revoked.
    pub(super) fn watched(body: B, grant: Option<Grant>) -> Self {
        Self { kind: Kind::Inner { body, watch: grant.map(GrantWatch::new) } }
    }

    fn own(text: Bytes) -> Self {
        Self { kind: Kind::Own { text: (!text.is_empty()).then_some(text) } }
    }

    /// Makes a response of the layers.
    pub(super) fn response(response: ResponseBytes) -> Response<Self> {
        response.map(Self::own)
    }

    /// Makes the bare response to a refused request.
    pub(super) fn refusal(refusal: Refusal) -> Response<Self> {
        let rejection = &refusal.rejection;
        let mut response = Response::new(Self::own(Bytes::new()));
        *response.status_mut() = rejection.status();
        forbid_caching(response.headers_mut());
        rejection.set_headers(response.headers_mut());
        rejection.set_cors_headers(response.headers_mut());
        *response.extensions_mut() = refusal.into_extensions();
        response
    }
}

impl<B> Body for AccessBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body, watch } => {
                if watch.as_ref().is_some_and(|watch| !watch.is_in_force()) {
                    return Poll::Ready(Some(Err(AccessRevoked.into())));
                }
                match (body.poll_frame(context), watch) {
                    (Poll::Ready(frame), _) => {
                        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
                    }
                    (Poll::Pending, Some(watch)) => {
                        watch.poll_revoked(context).map(|()| Some(Err(AccessRevoked.into())))
                    }
                    (Poll::Pending, None) => Poll::Pending,
                }
            }
            KindProjection::Own { text } => {
                Poll::Ready(text.take().map(|text| Ok(Frame::data(text))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body, .. } => body.is_end_stream(),
            Kind::Own { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body, .. } => body.size_hint(),
            Kind::Own { text } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
        }
    }
}
