//! Browsers and operators, over sockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tower::Service;

use super::cluster::HOST;
use crate::support::{Browser, Form, ask_for_code, code_in};

pub(crate) type Http = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn http() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

/// A service that is somewhere else. What cannot be reached answers with 599.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    address: SocketAddr,
    client: Http,
}

impl Wire {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self { address, client: http() }
    }

    pub(crate) async fn send(&self, mut request: Request<Full<Bytes>>) -> Response<Full<Bytes>> {
        let target = request.uri().path_and_query().unwrap().clone();
        *request.uri_mut() = format!("http://{}{target}", self.address).parse().unwrap();
        let exchange = async {
            let (parts, body) = self.client.request(request).await.ok()?.into_parts();
            Some(Response::from_parts(parts, Full::new(body.collect().await.ok()?.to_bytes())))
        };
        let answer = tokio::time::timeout(Duration::from_secs(30), exchange).await;
        answer.ok().flatten().unwrap_or_else(|| {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::from_u16(599).unwrap();
            answer
        })
    }
}

impl Service<Request<Full<Bytes>>> for Wire {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let wire = self.clone();
        Box::pin(async move { Ok(wire.send(request).await) })
    }
}

/// Somebody with a browser, at an address of their own.
pub(crate) struct Person {
    pub(crate) email: String,
    pub(crate) browser: Browser<Wire>,
}

impl Person {
    pub(crate) fn new(number: usize, address: SocketAddr) -> Self {
        let mut browser = Browser::new(Wire::to(address));
        let network = format!("10.{}.{}.7", number / 250, number % 250);
        browser.headers.push(("x-forwarded-for", network));
        Self { email: format!("person{number}@example.com"), browser }
    }

    pub(crate) fn url(path: &str) -> String {
        format!("https://{HOST}{path}")
    }

    /// The form that asks for the code, which is on its way.
    pub(crate) async fn ask_for_code(&mut self) -> Form {
        ask_for_code(&mut self.browser, &Self::url("/"), &self.email).await
    }

    /// From nothing to the page.
    pub(crate) async fn log_in(&mut self, mail: &super::cluster::Mail) {
        let form = self.ask_for_code().await;
        let code = mail.code(&self.email).await;
        self.type_code(&form, &code).await;
    }

    pub(crate) async fn type_code(&mut self, form: &Form, code: &str) {
        let answer = form.submit(&mut self.browser, &[("code", code)]).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
        let (_, page) = self.browser.visit(answer.location()).await;
        assert_eq!(page.status(), StatusCode::OK, "{}", page.text);
        assert!(page.text.contains("the page"), "{}", page.text);
    }

    /// The token the browser has.
    pub(crate) fn token(&self) -> String {
        self.browser.cookie_at(HOST, "CF_Authorization", "/").expect("a token")
    }

    /// The id of the session, which the token names.
    pub(crate) fn session(&self) -> String {
        session_of(&self.token())
    }
}

pub(crate) fn session_of(token: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    claims["identity_nonce"].as_str().unwrap().to_owned()
}

/// What a token gets for an answer.
pub(crate) async fn status(wire: &Wire, token: &str) -> StatusCode {
    let request = Request::get("/")
        .header("host", HOST)
        .header("cookie", format!("CF_Authorization={token}"))
        .body(Full::default())
        .unwrap();
    wire.send(request).await.status()
}

/// The admin listener of a node.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    pub(crate) wire: Wire,
    pub(crate) secret: String,
}

impl Operator {
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", self.secret))
            .header("content-type", "application/json")
            .body(Full::from(text))
            .unwrap();
        let (parts, body) = self.wire.send(request).await.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        (parts.status, serde_json::from_slice(&text).unwrap_or(Value::Null))
    }

    /// Something that has to succeed.
    pub(crate) async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer["result"].clone()
    }
}

/// The code in a mail as it is printed.
pub(crate) fn code_of(mail: &str) -> String {
    code_in(mail)
}
