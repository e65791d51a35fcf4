//! What benches of the layers share: a service that does nothing, and requests for it.
#![allow(unreachable_pub, reason = "a module of several benches")]

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tower::{Layer, Service};
use tower_access::layer::{AuthenticateService, AuthorizeService};
use tower_access::{Access, AuthenticateLayer, AuthorizeLayer, headers};

pub type Layers = AuthenticateService<AuthorizeService<Nothing>>;

/// A service that does nothing.
#[derive(Clone)]
pub struct Nothing;

impl Service<Request<Empty<Bytes>>> for Nothing {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Empty::new())))
    }
}

pub fn layers(access: Access) -> Layers {
    AuthenticateLayer::new(access.clone()).layer(AuthorizeLayer::new(access).layer(Nothing))
}

/// One request through the layers; a token whose key is known waits for nothing.
pub fn pass(service: &mut Layers, request: Request<Empty<Bytes>>) -> StatusCode {
    let mut future = std::pin::pin!(service.call(request));
    let mut context = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(Ok(response)) => response.status(),
        _ => unreachable!("a token whose key is known waits for nothing"),
    }
}

fn request() -> http::request::Builder {
    Request::builder()
        .uri("/docs/page?x=1")
        .header("host", "wiki.example.com")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0")
        .header("accept", "text/html,application/xhtml+xml")
        .header("accept-language", "en,pt;q=0.7")
        .header("accept-encoding", "gzip, br")
        .header("referer", "https://wiki.example.com/")
        .header("sec-fetch-dest", "document")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-site", "same-origin")
}

pub fn with_header(token: &str) -> Request<Empty<Bytes>> {
    request().header(headers::JWT_ASSERTION, token).body(Empty::new()).unwrap()
}

pub fn with_cookie(token: &str) -> Request<Empty<Bytes>> {
    let cookie = format!("theme=dark; CF_Authorization={token}");
    request().header("cookie", cookie).body(Empty::new()).unwrap()
}

/// The request as a server makes it: room for its headers, one put in after the other.
pub fn clone(request: &Request<Empty<Bytes>>) -> Request<Empty<Bytes>> {
    let mut copy = Request::new(Empty::new());
    *copy.uri_mut() = request.uri().clone();
    copy.headers_mut().reserve(request.headers().len());
    for (name, value) in request.headers() {
        copy.headers_mut().append(name.clone(), value.clone());
    }
    copy
}
