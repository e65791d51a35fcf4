//! The login's endpoints, and the looks of refusals.

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
use super::inner_service_accessors;
use crate::audit::{self, Event, EventKind};
use crate::engine::{Access, Rejection, nested_at};
use crate::util::panics::caught;
use crate::util::response::{ResponseBytes, empty, without_body};

/// Answers everything below `/cdn-cgi/access/` and gives refusals their looks.
///
/// Where the engine runs the login, its endpoints are answered here and never reach the inner
/// service; and so are requests of command-line clients that ask which application is there
/// (`cf-access-metadata-request: true`), on every path. A bare refusal from inside becomes a redirect
/// to the login, a page, or JSON: a person and a program get what they can use.
///
/// What a browser fetches on its own begins no login: a prefetch or prerender (`Sec-Purpose`,
/// `Purpose`, `X-Purpose`, `X-Moz`) and a part of a page (an image, an icon, a script, …, by
/// `Sec-Fetch-Dest`) get 401 as JSON, without a redirect and without a cookie; the browser throws it
/// away and asks again when somebody visits the page. A browser that sends none of these headers is
/// sent to the login.
///
/// Scripts in a page get the same 401: by `X-Requested-With: XMLHttpRequest`, or by a
/// `Sec-Fetch-Mode` other than `navigate` with `Sec-Fetch-Site` or `Sec-Fetch-Dest`. Node.js sends
/// `Sec-Fetch-Mode` alone, and is redirected like every other client.
///
/// git and git-lfs, by a `User-Agent` that begins with `git/` or `git-lfs/`, read refusals as text and
/// get 403 in place of 401: at a 401 git deletes the password that a person has saved for the host.
/// The redirect of `GET` stays. What a client calls itself changes no verdict.
///
/// Its place is around the outermost router: inside of `Router::nest`, and with `Router::route_layer`,
/// requests for the endpoints do not reach it, and the login is 404.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct LoginLayer {
    access: Access,
}

impl LoginLayer {
    /// A layer that asks this engine.
    pub fn new(access: Access) -> Self {
        Self { access }
    }
}

impl<S> Layer<S> for LoginLayer {
    type Service = LoginService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LoginService { inner, access: self.access.clone(), is_joined: false }
    }
}

impl LoginLayer {
    /// As [`layer`](Layer::layer), right around the layers that refuse.
    pub(super) fn around<S>(&self, inner: S) -> LoginService<S> {
        LoginService { is_joined: true, ..self.layer(inner) }
    }
}

/// The service of a [`LoginLayer`].
#[derive(Clone, Debug)]
pub struct LoginService<S> {
    inner: S,
    access: Access,
    /// Whether nothing is between this and the layers that refuse: then they know whether a nested
    /// router is around this.
    is_joined: bool,
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
        let is_nested = self.is_joined || nested_at(request.extensions()).is_some();
        match caught(|| super::endpoint::find(&self.access, &request)) {
            Some(super::endpoint::Found::None) => {}
            Some(super::endpoint::Found::Metadata(answer)) => {
                return LoginFuture::ready(answer, is_head);
            }
            Some(super::endpoint::Found::Endpoint(endpoint)) => {
                let answer = Box::pin(super::endpoint::answer(endpoint, request));
                return LoginFuture { state: State::Endpoint { answer }, is_head, is_nested };
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
        // Whether a refusal of a nested router is one of a router that is around this as well.
        is_nested: bool,
    }
}

/// The login's own endpoints may take their time; nothing else is boxed.
type EndpointFuture = Pin<Box<dyn Future<Output = ResponseBytes> + Send>>;

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Inner { #[pin] future: F },
        Endpoint { answer: EndpointFuture },
    }
}

impl<F> LoginFuture<F> {
    fn ready(answer: ResponseBytes, is_head: bool) -> Self {
        let answer = Box::pin(std::future::ready(answer));
        Self { state: State::Endpoint { answer }, is_head, is_nested: false }
    }
}

/// The answer in place of one whose making ended in a panic.
fn after_panic() -> ResponseBytes {
    audit::record(&Event::new(EventKind::LoginPanicked));
    empty(StatusCode::INTERNAL_SERVER_ERROR)
}

fn warn_of_nesting(rejection: &Rejection) {
    let _ = caught(|| rejection.warn_of_nesting());
}

/// The answer to a refusal, or what it waits for.
enum Answered {
    Now(ResponseBytes),
    Later(EndpointFuture),
}

/// Gives a refusal its looks, in the extensions of the response that it was on.
fn answer_to(rejection: &Rejection, extensions: Extensions) -> Answered {
    if let Some(target) = caught(|| rejection.long_target()).flatten() {
        let rejection = rejection.clone();
        return Answered::Later(Box::pin(async move {
            let stored = super::endpoint::within(STORE_TIME_LIMIT, target.store()).await.flatten();
            let rejection = rejection.with_stored_target(stored);
            dressed(&rejection, extensions)
        }));
    }
    Answered::Now(dressed(rejection, extensions))
}

fn dressed(rejection: &Rejection, extensions: Extensions) -> ResponseBytes {
    let mut answer: Response<Bytes> = caught(|| rejection.answer()).unwrap_or_else(after_panic);
    *answer.extensions_mut() = extensions;
    answer
}

/// Clients wait a second for the redirect to a login.
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
        let mut this = self.project();
        let bare =
            |answer: ResponseBytes| if *this.is_head { without_body(answer) } else { answer };
        if let StateProjection::Inner { future } = this.state.as_mut().project() {
            let response = ready!(future.poll(context))?;
            let Some(rejection) = response.extensions().get::<Rejection>().cloned() else {
                return Poll::Ready(Ok(response.map(AccessBody::inner)));
            };
            if *this.is_nested && rejection.is_of_nested_router() {
                warn_of_nesting(&rejection);
            }
            let extensions = response.into_parts().0.extensions;
            match answer_to(&rejection, extensions) {
                Answered::Now(answer) => {
                    return Poll::Ready(Ok(AccessBody::answer(bare(answer))));
                }
                Answered::Later(answer) => this.state.set(State::Endpoint { answer }),
            }
        }
        let StateProjection::Endpoint { answer } = this.state.project() else {
            return Poll::Ready(Ok(AccessBody::answer(after_panic())));
        };
        let answer = match caught(|| answer.as_mut().poll(context)) {
            Some(answer) => ready!(answer),
            None => after_panic(),
        };
        Poll::Ready(Ok(AccessBody::answer(bare(answer))))
    }
}
