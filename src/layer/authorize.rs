//! Whether the request may pass.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{CACHE_CONTROL, HeaderValue};
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::authenticate::Slot;
use super::body::AccessBody;
use super::inner_service_accessors;
use crate::access::{Access, Cors, Passage, Rejection};
use crate::answer::Answer;
use crate::policy::{Outcome, Verdict};
use crate::session::cookie;

/// Asks the application's policies, and lets the request through or refuses it.
///
/// On access the inner service finds an [`Identity`](crate::Identity) in the extensions, and the
/// headers `Cf-Access-Jwt-Assertion` and `Cf-Access-Authenticated-User-Email` for an upstream.
/// Behind a `bypass` policy, or one of decision `non_identity` that asks for no service token, it
/// finds neither. Where the application has
/// [`cors_headers`](crate::application::Application::cors_headers), preflights are answered here and
/// all answers say who may read them. A refusal is an empty answer with a [`Rejection`] in its extensions.
///
/// Stands inside an [`AuthenticateLayer`](crate::AuthenticateLayer); without one every request is
/// refused with 500.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthorizeLayer {
    access: Access,
}

impl AuthorizeLayer {
    /// A layer that asks this engine.
    pub fn new(access: Access) -> Self {
        Self { access }
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = AuthorizeService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthorizeService { inner, access: self.access.clone() }
    }
}

/// The service of an [`AuthorizeLayer`].
#[derive(Clone, Debug)]
pub struct AuthorizeService<S> {
    inner: S,
    access: Access,
}

impl<S> AuthorizeService<S> {
    inner_service_accessors!();
}

impl<S, B, R> Service<Request<B>> for AuthorizeService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<AccessBody<R>>;
    type Error = S::Error;
    type Future = AuthorizeFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let engine = self.access.engine();
        let admission =
            request.extensions_mut().get_mut::<Slot>().and_then(|Slot(waiting)| waiting.take());
        let state = match admission.filter(|admission| engine.made(admission)) {
            None => State::Rejected {
                refusal: Some(Box::new((engine.refuse_unauthenticated(&request), None))),
            },
            Some(admission) => match engine.authorize(&mut request, &admission) {
                Passage::Inner { verdict, cors } => State::Inner {
                    is_personal: verdict.outcome() != Outcome::Bypassed && admission.is_personal(),
                    verdict: Some(verdict),
                    cors,
                    future: self.inner.call(request),
                },
                Passage::Answered(answer) => State::Answered { answer: Some(answer) },
                Passage::Refused(refusal) => State::Rejected { refusal: Some(refusal) },
            },
        };
        AuthorizeFuture { state }
    }
}

pin_project! {
    /// The future of an [`AuthorizeService`].
    #[derive(Debug)]
    pub struct AuthorizeFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[derive(Debug)]
    enum State<F> {
        Inner {
            #[pin]
            future: F,
            verdict: Option<Verdict>,
            is_personal: bool,
            cors: Option<Box<Cors>>,
        },
        Answered { answer: Option<Box<Answer>> },
        Rejected { refusal: Option<Box<(Rejection, Option<Verdict>)>> },
    }
}

impl<F, R, E> Future for AuthorizeFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<AccessBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Inner { future, verdict, is_personal, cors } => {
                let mut response = ready!(future.poll(context))?.map(AccessBody::inner);
                if let Some(verdict) = verdict.take() {
                    response.extensions_mut().insert(verdict);
                }
                // An origin cannot log people in or out of other applications.
                cookie::keep_ours(response.headers_mut());
                // A cache shared by several people must not hand one's answer to another.
                if *is_personal {
                    let private = || HeaderValue::from_static("private");
                    response.headers_mut().entry(CACHE_CONTROL).or_insert_with(private);
                }
                if let Some(cors) = cors {
                    cors.apply(response.headers_mut());
                }
                Poll::Ready(Ok(response))
            }
            StateProjection::Answered { answer } => {
                let Some(answer) = answer.take() else { return Poll::Pending };
                Poll::Ready(Ok(AccessBody::answer(*answer)))
            }
            StateProjection::Rejected { refusal } => {
                let Some(refusal) = refusal.take() else { return Poll::Pending };
                let (rejection, verdict) = *refusal;
                let mut response = AccessBody::refusal(rejection);
                if let Some(verdict) = verdict {
                    response.extensions_mut().insert(verdict);
                }
                Poll::Ready(Ok(response))
            }
        }
    }
}
