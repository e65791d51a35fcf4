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
use crate::access::{Access, Admission, Rejection};
use crate::policy::{Outcome, Verdict};
use crate::session::cookie;

/// Asks the application's policies, and lets the request through or refuses it.
///
/// On access the inner service finds an [`Identity`](crate::Identity) in the extensions, and the
/// headers `Cf-Access-Jwt-Assertion` and `Cf-Access-Authenticated-User-Email` for an upstream.
/// Behind a `bypass` policy, or one of decision `non_identity` that asks for no service token, it
/// finds neither. A refusal is an empty answer with a [`Rejection`] in its extensions.
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
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<AccessBody<R>>;
    type Error = S::Error;
    type Future = AuthorizeFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let engine = self.access.engine();
        let admission =
            request.extensions_mut().get_mut::<Slot>().and_then(|Slot(waiting)| waiting.take());
        let Some(mut admission) = admission.filter(|admission| engine.made(admission)) else {
            let refusal = Some(Box::new((engine.refuse_unauthenticated(&request), None)));
            return AuthorizeFuture { state: State::Rejected { refusal } };
        };
        let state = match engine.judge_or_wait(&mut admission) {
            Ok(verdict) => decided(&self.access, &mut self.inner, request, &admission, verdict),
            Err(wait) => {
                // The service that was polled ready goes along; its clone stays.
                // https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                let access = self.access.clone();
                let waiting = Waiting { inner, access, request, admission };
                State::Waiting { wait: Box::pin(wait.ended()), waiting: Some(Box::new(waiting)) }
            }
        };
        AuthorizeFuture { state }
    }
}

/// Does what a verdict says.
fn decided<S, B>(
    access: &Access,
    inner: &mut S,
    mut request: Request<B>,
    admission: &Admission,
    verdict: Verdict,
) -> State<S, B, S::Future>
where
    S: Service<Request<B>>,
{
    match access.engine().authorize(&mut request, admission, verdict) {
        Ok(verdict) => State::Inner {
            is_personal: verdict.outcome() != Outcome::Bypassed && admission.identity().is_some(),
            verdict: Some(verdict),
            future: inner.call(request),
        },
        Err((rejection, verdict)) => {
            State::Rejected { refusal: Some(Box::new((rejection, Some(verdict)))) }
        }
    }
}

pin_project! {
    /// The future of an [`AuthorizeService`].
    pub struct AuthorizeFuture<S, B>
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
        Inner { #[pin] future: F, verdict: Option<Verdict>, is_personal: bool },
        Rejected { refusal: Option<Box<(Rejection, Option<Verdict>)>> },
        // The slow path: somebody is asked about the person, and nobody knows the answer yet.
        Waiting {
            wait: Pin<Box<dyn Future<Output = ()> + Send>>,
            waiting: Option<Box<Waiting<S, B>>>,
        },
    }
}

struct Waiting<S, B> {
    inner: S,
    access: Access,
    request: Request<B>,
    admission: Admission,
}

impl<S, B> std::fmt::Debug for AuthorizeFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorizeFuture").finish_non_exhaustive()
    }
}

impl<S, B, R> Future for AuthorizeFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<AccessBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Inner { future, verdict, is_personal } => {
                    let response = ready!(future.poll(context))?;
                    let personal = *is_personal;
                    return Poll::Ready(Ok(passed_on(response, verdict.take(), personal)));
                }
                StateProjection::Rejected { refusal } => {
                    let Some(refusal) = refusal.take() else { return Poll::Pending };
                    let (rejection, verdict) = *refusal;
                    let mut response = AccessBody::refusal(rejection);
                    if let Some(verdict) = verdict {
                        response.extensions_mut().insert(verdict);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProjection::Waiting { wait, waiting } => {
                    ready!(wait.as_mut().poll(context));
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    let Waiting { mut inner, access, request, mut admission } = *waiting;
                    let verdict = access.engine().judge_now(&mut admission);
                    decided(&access, &mut inner, request, &admission, verdict)
                }
            };
            state.set(next);
        }
    }
}

/// The inner service's answer on its way out.
fn passed_on<R>(
    response: Response<R>,
    verdict: Option<Verdict>,
    is_personal: bool,
) -> Response<AccessBody<R>> {
    let mut response = response.map(AccessBody::inner);
    if let Some(verdict) = verdict {
        response.extensions_mut().insert(verdict);
    }
    // An origin cannot log people in or out of other applications.
    cookie::keep_ours(response.headers_mut());
    // A cache shared by several people must not hand one's answer to another.
    if is_personal {
        let private = || HeaderValue::from_static("private");
        response.headers_mut().entry(CACHE_CONTROL).or_insert_with(private);
    }
    response
}
