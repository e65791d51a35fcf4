//! The layer that serves the login's endpoints and renders refusals.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Extensions, Method, Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::AccessBody;
use super::endpoint::{self, Destination};
use super::inner_service_accessors;
use super::response::LayerResponse;
use crate::audit::{self, Event, EventKind};
use crate::engine::{Access, Rejection, nested_at};
use crate::util::panics::caught;
use crate::util::response::{ResponseBytes, empty, without_body};

/// Serves the endpoints below `/cdn-cgi/access/` and renders refusals.
///
/// If the engine runs the login, its endpoints are answered here and never reach the inner service.
/// The same holds, on every path, for command-line clients that ask for the application of a path
/// (`cf-access-metadata-request: true`). A bare refusal of an inner layer becomes a redirect to the
/// login, a page, or JSON, by what the client can use.
///
/// Background requests of a browser start no login: a prefetch or prerender (`Sec-Purpose`,
/// `Purpose`, `X-Purpose`, `X-Moz`) and a part of a page (an image, an icon, a script, …, by
/// `Sec-Fetch-Dest`) get 401 as JSON, without a redirect and without a cookie; the browser discards
/// it and requests the page again at a visit. A browser that sends none of these headers is
/// redirected to the login.
///
/// Scripts in a page get the same 401: by `X-Requested-With: XMLHttpRequest`, or by a
/// `Sec-Fetch-Mode` other than `navigate` with `Sec-Fetch-Site` or `Sec-Fetch-Dest`. Node.js sends
/// only `Sec-Fetch-Mode`, and is redirected like every other client.
///
/// git and git-lfs, by a `User-Agent` that begins with `git/` or `git-lfs/`, get refusals as text, and
/// 403 instead of 401: at a 401 git deletes the password that the user has saved for the host. A
/// `GET` is redirected all the same. The `User-Agent` changes no verdict.
///
/// Apply it around the outermost router: inside `Router::nest`, and with `Router::route_layer`,
/// requests for the endpoints do not reach it, and the login is 404.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct LoginLayer {
    access: Access,
}

impl LoginLayer {
    /// Makes a layer over this engine.
    pub fn new(access: Access) -> Self {
        Self { access }
    }
}

impl<S> Layer<S> for LoginLayer {
    type Service = LoginService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LoginService { inner, access: self.access.clone(), is_direct: false }
    }
}

impl LoginLayer {
    /// Wraps the layers that refuse directly; otherwise as [`layer`](Layer::layer).
    pub(super) fn layer_directly<S>(&self, inner: S) -> LoginService<S> {
        LoginService { is_direct: true, ..self.layer(inner) }
    }
}

/// The service of a [`LoginLayer`].
#[derive(Clone, Debug)]
pub struct LoginService<S> {
    inner: S,
    access: Access,
    /// Whether this wraps the layers that refuse directly: then they see the same nested router as
    /// this one.
    is_direct: bool,
}

impl<S> LoginService<S> {
    inner_service_accessors!();
}

impl<S, B, R> Service<Request<B>> for LoginService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<AccessBody<R>>;
    type Error = S::Error;
    type Future = LoginFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_head = request.method() == Method::HEAD;
        let is_nested = self.is_direct || nested_at(request.extensions()).is_some();
        match caught(|| endpoint::destination(&self.access, &request)) {
            Some(Destination::Inner) => {}
            Some(Destination::Metadata(response)) => {
                return LoginFuture::ready(response, is_head);
            }
            Some(Destination::Endpoint(endpoint)) => {
                let response = Box::pin(endpoint::answer(endpoint, request));
                return LoginFuture { state: State::Endpoint { response }, is_head, is_nested };
            }
            None => return LoginFuture::ready(after_panic(), is_head),
        }
        LoginFuture { state: State::Inner { future: self.inner.call(request) }, is_head, is_nested }
    }
}

pin_project! {
    /// The future of a [`LoginService`].
    pub struct LoginFuture<F> {
        #[pin]
        state: State<F>,
        is_head: bool,
        // Whether a nested router that refuses is around this service as well.
        is_nested: bool,
    }
}

/// Only responses of the login's endpoints are boxed.
type EndpointFuture = Pin<Box<dyn Future<Output = ResponseBytes> + Send>>;

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Inner { #[pin] future: F },
        Endpoint { response: EndpointFuture },
    }
}

impl<F> LoginFuture<F> {
    fn ready(response: ResponseBytes, is_head: bool) -> Self {
        let response = Box::pin(std::future::ready(response));
        Self { state: State::Endpoint { response }, is_head, is_nested: false }
    }
}

/// Returns the response if rendering one ended in a panic.
fn after_panic() -> ResponseBytes {
    audit::record(&Event::new(EventKind::LoginPanicked));
    empty(StatusCode::INTERNAL_SERVER_ERROR)
}

fn warn_of_nesting(rejection: &Rejection) {
    let _ = caught(|| rejection.warn_of_nesting());
}

/// A rendered refusal, or a future that renders it.
enum Rendered {
    Now(ResponseBytes),
    Later(EndpointFuture),
}

/// Renders a refusal, with the extensions of the bare response.
fn render(rejection: &Rejection, extensions: Extensions) -> Rendered {
    if let Some(target) = caught(|| rejection.long_target()).flatten() {
        let rejection = rejection.clone();
        return Rendered::Later(Box::pin(async move {
            let stored = endpoint::within(STORE_TIME_LIMIT, target.store()).await.flatten();
            let rejection = rejection.with_stored_target(stored);
            rendered(&rejection, extensions)
        }));
    }
    Rendered::Now(rendered(rejection, extensions))
}

fn rendered(rejection: &Rejection, extensions: Extensions) -> ResponseBytes {
    let mut response: Response<Bytes> = caught(|| rejection.response()).unwrap_or_else(after_panic);
    *response.extensions_mut() = extensions;
    response
}

/// How long a redirect to the login waits for the store.
const STORE_TIME_LIMIT: std::time::Duration = std::time::Duration::from_millis(500);

impl<F> std::fmt::Debug for LoginFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoginFuture").finish_non_exhaustive()
    }
}

impl<F, R, E> Future for LoginFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<AccessBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_response(context, |future, context| {
            future.poll(context).map_ok(LayerResponse::inner)
        })
    }
}

impl<F> LoginFuture<F> {
    /// Polls for the response; `poll` polls the inner future.
    pub(super) fn poll_response<R, E>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut F>, &mut Context<'_>) -> Poll<Result<LayerResponse<R>, E>>,
    ) -> Poll<Result<Response<AccessBody<R>>, E>> {
        let mut this = self.project();
        let for_method =
            |response: ResponseBytes| if *this.is_head { without_body(response) } else { response };
        if let StateProjection::Inner { future } = this.state.as_mut().project() {
            let (rejection, extensions) = match ready!(poll(future, context))? {
                LayerResponse::Refused(refusal) => {
                    (refusal.rejection.clone(), refusal.into_extensions())
                }
                LayerResponse::Response(response) => {
                    let Some(rejection) = response.extensions().get::<Rejection>().cloned() else {
                        return Poll::Ready(Ok(response));
                    };
                    (rejection, response.into_parts().0.extensions)
                }
            };
            if *this.is_nested && rejection.is_of_nested_router() {
                warn_of_nesting(&rejection);
            }
            match render(&rejection, extensions) {
                Rendered::Now(response) => {
                    return Poll::Ready(Ok(AccessBody::response(for_method(response))));
                }
                Rendered::Later(response) => this.state.set(State::Endpoint { response }),
            }
        }
        let StateProjection::Endpoint { response } = this.state.project() else {
            return Poll::Ready(Ok(AccessBody::response(after_panic())));
        };
        let response = match caught(|| response.as_mut().poll(context)) {
            Some(response) => ready!(response),
            None => after_panic(),
        };
        Poll::Ready(Ok(AccessBody::response(for_method(response))))
    }
}
