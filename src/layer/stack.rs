//! The three layers as one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::authenticate::{AuthenticateFuture, AuthenticateLayer, AuthenticateService};
use super::authorize::{AuthorizeLayer, AuthorizeService};
use super::body::AccessBody;
use super::login::{LoginFuture, LoginLayer, LoginService};
use crate::engine::Access;

/// [`LoginLayer`], [`AuthenticateLayer`] and [`AuthorizeLayer`], in this order from the outside.
///
/// If the engine runs the login, apply it to the outermost router with `Router::layer`: inside
/// `Router::nest`, and with `Router::route_layer`, requests for `/cdn-cgi/access/` do not reach it,
/// and the login is 404. The log warns the first time that a nested layer redirects to such a login.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_access::{Access, AccessLayer};
///
/// let access = Access::verifier(
///     "acme.cloudflareaccess.com",
///     "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc",
/// )?;
/// let app: Router =
///     Router::new().route("/", get(|| async { "inside" })).layer(AccessLayer::new(access));
/// # Ok::<(), tower_access::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AccessLayer {
    access: Access,
}

impl AccessLayer {
    /// Makes the three layers over one engine.
    pub fn new(access: Access) -> Self {
        Self { access }
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = AccessService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let inner = AuthorizeLayer::new(self.access.clone()).layer(inner);
        let inner = AuthenticateLayer::new(self.access.clone()).layer(inner);
        AccessService { stack: LoginLayer::new(self.access.clone()).layer_directly(inner) }
    }
}

/// The service of an [`AccessLayer`].
#[derive(Clone, Debug)]
pub struct AccessService<S> {
    stack: LoginService<AuthenticateService<AuthorizeService<S>>>,
}

impl<S> AccessService<S> {
    /// Returns the inner service.
    pub fn get_ref(&self) -> &S {
        self.stack.get_ref().get_ref().get_ref()
    }

    /// Returns the inner service, mutable.
    pub fn get_mut(&mut self) -> &mut S {
        self.stack.get_mut().get_mut().get_mut()
    }

    /// Unwraps the inner service.
    pub fn into_inner(self) -> S {
        self.stack.into_inner().into_inner().into_inner()
    }
}

impl<S, B, R> Service<Request<B>> for AccessService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<AccessBody<R>>;
    type Error = S::Error;
    type Future = AccessFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.stack.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        AccessFuture { future: self.stack.call(request) }
    }
}

pin_project! {
    /// The future of an [`AccessService`].
    pub struct AccessFuture<S, B>
    where
        S: Service<Request<B>>,
        AuthorizeService<S>: Service<Request<B>>,
    {
        #[pin]
        future: LoginFuture<AuthenticateFuture<AuthorizeService<S>, B>>,
    }
}

impl<S, B> std::fmt::Debug for AccessFuture<S, B>
where
    S: Service<Request<B>>,
    AuthorizeService<S>: Service<Request<B>>,
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessFuture").finish_non_exhaustive()
    }
}

impl<S, B, R> Future for AccessFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Output = Result<Response<AccessBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The innermost layer's response goes outside as it is.
        self.project().future.poll_response(context, |future, context| {
            future.poll_response(context, |future, context| future.poll_response(context))
        })
    }
}
