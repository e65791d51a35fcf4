//! The layer that authenticates requests.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::AccessBody;
use super::inner_service_accessors;
use super::response::LayerResponse;
use crate::engine::{Access, Authentication, ContextBox, Pending, Refusal, Rejection};
use crate::util::deferred::Deferred;
use crate::util::panics::caught;

/// Locates the application of a request and verifies its credential.
///
/// Removes every copy and spelling of the identity headers, from every sender. Brings host and path
/// into canonical form; refuses an ambiguous request, and one that no application covers. Leaves the
/// assertion of an issuer in place only if it is valid. A valid credential becomes an
/// [`Identity`](crate::Identity) in the request's extensions. **A request without a credential passes
/// without an identity**: an inner [`AuthorizeLayer`](crate::AuthorizeLayer), or a handler that
/// requires the identity, has to refuse it.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthenticateLayer {
    access: Access,
}

impl AuthenticateLayer {
    /// Makes a layer over this engine.
    pub fn new(access: Access) -> Self {
        Self { access }
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = AuthenticateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthenticateService { inner, access: self.access.clone() }
    }
}

/// The service of an [`AuthenticateLayer`].
#[derive(Clone, Debug)]
pub struct AuthenticateService<S> {
    inner: S,
    access: Access,
}

impl<S> AuthenticateService<S> {
    inner_service_accessors!();
}

impl<S, B, R> Service<Request<B>> for AuthenticateService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<AccessBody<R>>;
    type Error = S::Error;
    type Future = AuthenticateFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let engine = self.access.engine();
        let state = match caught(|| engine.authenticate(&mut request)) {
            None => State::after_panic(engine.refuse_after_panic(&request)),
            Some(Authentication::Done(context)) => {
                State::Inner { future: pass(&mut self.inner, request, context) }
            }
            Some(Authentication::Rejected(refusal)) => State::Rejected { refusal: Some(refusal) },
            Some(Authentication::Deferred(deferred)) => {
                // The service that was polled ready serves this request; its clone stays.
                // https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                let access = self.access.clone();
                State::Deferred {
                    deferred,
                    waiting: Some(Box::new(Waiting { inner, access, request })),
                }
            }
        };
        AuthenticateFuture { state }
    }
}

pin_project! {
    /// The future of an [`AuthenticateService`].
    pub struct AuthenticateFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, F> {
        Inner { #[pin] future: F },
        Rejected { refusal: Option<Box<Refusal>> },
        // The slow path: the token names an unknown key, or a session is looked up.
        Deferred { deferred: Deferred<Pending>, waiting: Option<Box<Waiting<S, B>>> },
    }
}

impl<S, B, F> State<S, B, F> {
    fn after_panic(rejection: Rejection) -> Self {
        Self::Rejected { refusal: Some(rejection.into()) }
    }
}

struct Waiting<S, B> {
    inner: S,
    access: Access,
    request: Request<B>,
}

impl<S, B> std::fmt::Debug for AuthenticateFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticateFuture").finish_non_exhaustive()
    }
}

impl<S, B, R> Future for AuthenticateFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<AccessBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = self.poll_response(context, |future, context| {
            future.poll(context).map_ok(LayerResponse::inner)
        });
        response.map_ok(LayerResponse::into_response)
    }
}

impl<S, B> AuthenticateFuture<S, B>
where
    S: Service<Request<B>>,
{
    /// Polls for the response; `poll` polls the inner service's future.
    pub(super) fn poll_response<R>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        poll: impl FnOnce(
            Pin<&mut S::Future>,
            &mut Context<'_>,
        ) -> Poll<Result<LayerResponse<R>, S::Error>>,
    ) -> Poll<Result<LayerResponse<R>, S::Error>> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Inner { future } => {
                    return poll(future, context);
                }
                StateProjection::Rejected { refusal } => {
                    let Some(refusal) = refusal.take() else { return Poll::Pending };
                    return Poll::Ready(Ok(LayerResponse::Refused(refusal)));
                }
                StateProjection::Deferred { deferred, waiting } => {
                    let pending = match caught(|| Pin::new(deferred).poll(context)) {
                        Some(Poll::Pending) => return Poll::Pending,
                        Some(Poll::Ready(pending)) => Some(pending),
                        None => None,
                    };
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    let Waiting { mut inner, access, mut request } = *waiting;
                    let engine =
                        pending.as_ref().and_then(|pending| access.engine_for_pending(pending));
                    // Its engine may have been replaced too many times since.
                    let engine = engine.unwrap_or_else(|| access.engine());
                    let resumed =
                        pending.and_then(|pending| caught(|| engine.resume(pending, &mut request)));
                    match resumed {
                        Some(Ok(context)) => {
                            State::Inner { future: pass(&mut inner, request, context) }
                        }
                        Some(Err(refusal)) => State::Rejected { refusal: Some(refusal) },
                        None => State::after_panic(engine.refuse_after_panic(&request)),
                    }
                }
            };
            state.set(next);
        }
    }
}

/// Holds the request context in the extensions. The `AuthorizeLayer` takes the context, and leaves the
/// extension, whose removal is slower.
#[derive(Clone, Debug)]
pub(super) struct ContextSlot(pub(super) ContextBox);

/// Passes a request on with its context.
fn pass<S, B>(inner: &mut S, mut request: Request<B>, context: ContextBox) -> S::Future
where
    S: Service<Request<B>>,
{
    if let Some(identity) = context.identity().cloned() {
        request.extensions_mut().insert(identity);
    }
    request.extensions_mut().insert(ContextSlot(context));
    inner.call(request)
}
