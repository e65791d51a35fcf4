//! The body of an answer: the inner service's, or one of ours.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::access::Rejection;
use crate::answer::Answer;

pin_project! {
    /// The inner service's body, passed on as it is, or an answer of our own.
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
        Inner { #[pin] body: B },
        Own { text: Option<Bytes> },
    }
}

impl<B> AccessBody<B> {
    pub(super) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body } }
    }

    fn own(text: Bytes) -> Self {
        Self { kind: Kind::Own { text: (!text.is_empty()).then_some(text) } }
    }

    /// An answer of ours.
    pub(super) fn answer(answer: Answer) -> Response<Self> {
        answer.map(Self::own)
    }

    /// The bare answer to a refused request.
    pub(super) fn refusal(rejection: Rejection) -> Response<Self> {
        let mut response = Response::new(Self::own(Bytes::new()));
        *response.status_mut() = rejection.status();
        rejection.describe(response.headers_mut());
        rejection.share(response.headers_mut());
        response.extensions_mut().insert(rejection);
        response
    }
}

impl<B: Body<Data = Bytes>> Body for AccessBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Inner { body } => body.poll_frame(context),
            KindProjection::Own { text } => {
                Poll::Ready(text.take().map(|text| Ok(Frame::data(text))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Own { text } => text.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Own { text } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
        }
    }
}
