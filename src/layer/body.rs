//! The body of an answer: the inner service's as long as it may go on, or one of ours.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::engine::{Permission, Rejection, RejectionKind, Watch};
use crate::policy::{Outcome, Verdict};
use crate::util::response::{ResponseBytes, forbid_caching};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why an answer breaks off: never as if it were complete.
#[derive(Debug, thiserror::Error)]
#[error("the session was ended, or may not go on")]
struct Ended;

pin_project! {
    /// The inner service's body, passed on as it is, or an answer of our own.
    ///
    /// Breaks off with an error when the request would not be let in any more.
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
        Inner { #[pin] body: B, watch: Option<Watch> },
        Own { text: Option<Bytes> },
    }
}

impl<B> AccessBody<B> {
    pub(super) fn inner(body: B) -> Self {
        Self { kind: Kind::Inner { body, watch: None } }
    }

    /// The inner service's body, as long as its request is permitted.
    pub(super) fn watched(body: B, permission: Option<Permission>) -> Self {
        Self { kind: Kind::Inner { body, watch: permission.map(Watch::new) } }
    }

    fn own(text: Bytes) -> Self {
        Self { kind: Kind::Own { text: (!text.is_empty()).then_some(text) } }
    }

    /// An answer of ours.
    pub(super) fn answer(answer: ResponseBytes) -> Response<Self> {
        answer.map(Self::own)
    }

    /// The bare answer to a refused request, with a verdict that no policies gave.
    pub(super) fn refusal(rejection: Rejection) -> Response<Self> {
        let outcome = match rejection.kind() {
            RejectionKind::LoginRequired => Outcome::LoginRequired,
            _ => Outcome::Denied,
        };
        let mut response = Response::new(Self::own(Bytes::new()));
        *response.status_mut() = rejection.status();
        forbid_caching(response.headers_mut());
        rejection.describe(response.headers_mut());
        rejection.share(response.headers_mut());
        response.extensions_mut().insert(rejection);
        response.extensions_mut().insert(Verdict::undecided(outcome));
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
                if watch.as_ref().is_some_and(|watch| !watch.permission().is_in_force()) {
                    return Poll::Ready(Some(Err(Ended.into())));
                }
                match (body.poll_frame(context), watch) {
                    (Poll::Ready(frame), _) => {
                        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
                    }
                    (Poll::Pending, Some(watch)) => {
                        watch.poll_ended(context).map(|()| Some(Err(Ended.into())))
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
