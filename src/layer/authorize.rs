//! The layer that authorizes requests.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::authenticate::ContextSlot;
use super::body::AccessBody;
use super::inner_service_accessors;
use super::response::LayerResponse;
use crate::engine::{
    Access, Authorization, CachePolicy, ContextBox, Cors, Grant, Refusal, Rejection, Renewal,
    forbid_storing, set_renewed,
};
use crate::policy::{Outcome, Verdict};
use crate::session::cookie;
use crate::util::deferred::Deferred;
use crate::util::panics::caught;
use crate::util::response::{ResponseBytes, empty};

/// Evaluates the application's policies, and passes the request on or refuses it.
///
/// The inner service of an allowed request finds an [`Identity`](crate::Identity) in the extensions,
/// and the headers `Cf-Access-Jwt-Assertion` and `Cf-Access-Authenticated-User-Email` for an
/// upstream. It finds neither behind a `bypass` policy, or a `non_identity` policy without a service
/// token rule.
///
/// Caches in front of the layer know no policies. A response that not everyone would get, because
/// identity, address, country, certificate or another fact allowed the request, therefore has
/// `Cache-Control: private`, or the inner service's `no-store`. `public`, `s-maxage` and headers that
/// only shared caches read (`X-Accel-Expires`, `Surrogate-Control`, `CDN-Cache-Control` and similar)
/// are removed; `max-age` and similar directives stay for the browser's cache; an unreadable
/// `Cache-Control` becomes `private, no-store`. Behind a `bypass` policy for everyone the headers stay
/// as they are. See
/// [`insecure_allow_shared_caching`](crate::application::Application::insecure_allow_shared_caching).
///
/// If the application has [`cors_headers`](crate::application::Application::cors_headers), the layer
/// answers preflights, and all responses say which origins may read them. If access is revoked while
/// a response is streaming, because the session was revoked or the policies changed, its body ends
/// with an error. A request for an upgrade has an [`AccessGrant`](crate::AccessGrant) in its extensions, for the
/// connection after the response. A refusal is an empty response with a [`Rejection`] in its
/// extensions.
///
/// Needs an [`AuthenticateLayer`](crate::AuthenticateLayer) outside it; without one every request is
/// refused with 500.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct AuthorizeLayer {
    access: Access,
}

impl AuthorizeLayer {
    /// Makes a layer over this engine.
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
        let slot = request.extensions_mut().get_mut::<ContextSlot>();
        let context = slot.map(|ContextSlot(context)| context.take());
        let known = context.and_then(|context| {
            let engine = self.access.engine_for(&context)?;
            Some((context, engine))
        });
        let Some((context, engine)) = known else {
            let rejection = self.access.engine().refuse_unauthenticated(&request);
            return AuthorizeFuture { state: State::rejected(rejection) };
        };
        let state = match caught(|| engine.authorize(&mut request, context, true)) {
            None => State::rejected(engine.refuse_after_panic(&request)),
            Some(Err(deferred)) => {
                // The service that was polled ready serves this request; its clone stays.
                // https://docs.rs/tower/latest/tower/trait.Service.html#be-careful-when-cloning-inner-services
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                State::deferred(deferred, Waiting { inner, access: self.access.clone(), request })
            }
            Some(Ok(authorization)) => State::after(authorization, &mut self.inner, request),
        };
        AuthorizeFuture { state }
    }
}

pin_project! {
    /// The future of an [`AuthorizeService`].
    pub struct AuthorizeFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future, S::Response>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, F, T> {
        Inner {
            #[pin]
            future: F,
            verdict: Option<Verdict>,
            caching: CachePolicy,
            cors: Option<Box<Cors>>,
            grant: Option<Grant>,
            cookie: Option<Box<HeaderValue>>,
            renewing: Option<Box<Renewing<T>>>,
        },
        Answered { response: Option<Box<ResponseBytes>> },
        Rejected { refusal: Option<Box<Refusal>> },
        // The slow path: a policy needs a fact about the user that is not cached.
        Deferred { deferred: Deferred<ContextBox>, waiting: Option<Box<Waiting<S, B>>> },
    }
}

struct Waiting<S, B> {
    inner: S,
    access: Access,
    request: Request<B>,
}

/// A renewal that a response may wait for.
struct Renewing<T> {
    renewal: Renewal,
    /// The response that waits.
    held: Option<T>,
}

impl<S, B> State<S, B, S::Future, S::Response>
where
    S: Service<Request<B>>,
{
    fn deferred(deferred: Deferred<ContextBox>, waiting: Waiting<S, B>) -> Self {
        Self::Deferred { deferred, waiting: Some(Box::new(waiting)) }
    }

    /// Continues after a wait. The context is `None` if the wait ended in a panic.
    fn resume(context: Option<ContextBox>, waiting: Waiting<S, B>) -> Self {
        let Waiting { mut inner, access, mut request } = waiting;
        let Some(context) = context else {
            return Self::rejected(access.engine().refuse_after_panic(&request));
        };
        // Its engine may have been replaced too many times since.
        let Some(engine) = access.engine_for(&context) else {
            return Self::rejected(access.engine().refuse_unauthenticated(&request));
        };
        let authorized = caught(|| engine.authorize(&mut request, context, false));
        let rejection = match authorized {
            None => engine.refuse_after_panic(&request),
            Some(Ok(authorization)) => return Self::after(authorization, &mut inner, request),
            Some(Err(deferred)) => {
                drop(engine);
                return Self::deferred(deferred, Waiting { inner, access, request });
            }
        };
        Self::rejected(rejection)
    }

    fn rejected(rejection: Rejection) -> Self {
        Self::Rejected { refusal: Some(rejection.into()) }
    }

    /// Returns the state that follows an authorization.
    fn after(authorization: Authorization, inner: &mut S, request: Request<B>) -> Self {
        match authorization {
            Authorization::Allowed { verdict, caching, cors, grant, cookie, renewal } => {
                Self::Inner {
                    verdict: Some(verdict),
                    caching,
                    cors,
                    grant,
                    cookie,
                    renewing: renewal
                        .map(|renewal| Box::new(Renewing { renewal: *renewal, held: None })),
                    future: inner.call(request),
                }
            }
            Authorization::Answered(response) => Self::Answered { response: Some(response) },
            Authorization::Refused(refusal) => Self::Rejected { refusal: Some(refusal) },
        }
    }
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
        self.poll_response(context).map_ok(LayerResponse::into_response)
    }
}

impl<S, B, R> AuthorizeFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    pub(super) fn poll_response(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<LayerResponse<R>, S::Error>> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Inner {
                    future,
                    verdict,
                    caching,
                    cors,
                    grant,
                    cookie,
                    renewing,
                } => {
                    let held = renewing.as_mut().and_then(|renewing| renewing.held.take());
                    let response = match held {
                        Some(response) => response,
                        None => ready!(future.poll(context))?,
                    };
                    let renewed = match renewing {
                        None => Vec::new(),
                        Some(renewing) => match renewing.renewal.poll_lines(context) {
                            Poll::Ready(lines) => lines,
                            Poll::Pending => {
                                renewing.held = Some(response);
                                return Poll::Pending;
                            }
                        },
                    };
                    let grant = grant.take();
                    // Access may have been revoked before the response.
                    if let Some(grant) = grant.as_ref().filter(|it| !it.is_in_force()) {
                        let Some(rejection) = grant.refusal() else {
                            let mut response = AccessBody::response(empty(StatusCode::FORBIDDEN));
                            let verdict = Verdict::undecided(Outcome::Denied);
                            response.extensions_mut().insert(verdict);
                            return Poll::Ready(Ok(LayerResponse::Response(response)));
                        };
                        return Poll::Ready(Ok(LayerResponse::Refused(rejection.into())));
                    }
                    let mut response = response.map(|body| AccessBody::watched(body, grant));
                    if let Some(verdict) = verdict.take() {
                        response.extensions_mut().insert(verdict);
                    }
                    // An origin must not log users in or out of other applications.
                    cookie::remove_own_set_cookies(response.headers_mut());
                    set_renewed(response.headers_mut(), renewed);
                    // A cache in front must not serve it to users whom no policy allows.
                    caching.apply(response.headers_mut());
                    if let Some(cookie) = cookie.take() {
                        set_cookie(response.headers_mut(), *cookie);
                    }
                    if let Some(cors) = cors {
                        cors.apply(response.headers_mut());
                    }
                    return Poll::Ready(Ok(LayerResponse::Response(response)));
                }
                StateProjection::Answered { response } => {
                    let Some(response) = response.take() else { return Poll::Pending };
                    let mut response = AccessBody::response(*response);
                    // A preflight: no policies were evaluated.
                    response.extensions_mut().insert(Verdict::undecided(Outcome::Bypassed));
                    return Poll::Ready(Ok(LayerResponse::Response(response)));
                }
                StateProjection::Rejected { refusal } => {
                    let Some(refusal) = refusal.take() else { return Poll::Pending };
                    return Poll::Ready(Ok(LayerResponse::Refused(refusal)));
                }
                StateProjection::Deferred { deferred, waiting } => {
                    let context = match caught(|| Pin::new(deferred).poll(context)) {
                        Some(Poll::Pending) => return Poll::Pending,
                        Some(Poll::Ready(context)) => Some(context),
                        None => None,
                    };
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    State::resume(context, *waiting)
                }
            };
            state.set(next);
        }
    }
}

/// Adds the cookie that a service token was exchanged for. No cache may store it, whatever the inner
/// service says.
fn set_cookie(headers: &mut HeaderMap, cookie: HeaderValue) {
    headers.append(SET_COOKIE, cookie);
    forbid_storing(headers);
}
