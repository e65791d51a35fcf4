//! From a request to the login's endpoints: reading it whole, within bounds.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::ORIGIN;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_layer::Layer;
use tower_service::Service;

use crate::application::{CanonicalHost, CanonicalPath};
use crate::audit::{self, Event, EventKind};
use crate::engine::{Access, arrived_uri};
use crate::facts::Sender;
use crate::login::metadata::is_asked;
use crate::login::{EndpointRequest, LARGEST_FORM, Login, OWN_PREFIX, is_own};
use crate::pages::{self, Page, Problem};
use crate::util::response::{ResponseBytes, empty};

/// What a request is for.
pub(super) enum Found {
    /// The inner service.
    None,
    /// The application's metadata.
    Metadata(ResponseBytes),
    /// An endpoint of the login.
    Endpoint(Endpoint),
}

/// Finds out whether the login answers a request.
pub(super) fn find<B>(access: &Access, request: &Request<B>) -> Found {
    if let Some(answer) = metadata(access, request) {
        return Found::Metadata(answer);
    }
    of(access, request).map_or(Found::None, Found::Endpoint)
}

/// The login's endpoint a request is for; `None` when it is for the inner service.
fn of<B>(access: &Access, request: &Request<B>) -> Option<Endpoint> {
    let engine = access.engine();
    let login = engine.login()?;
    let (host, path) = own_target(login, request)?;
    Some(Endpoint {
        login: Arc::clone(login),
        host,
        path,
        sender: engine.sender(request.headers(), request.extensions()),
        now: engine.now(),
    })
}

/// The answer to a client that asks which application a request is for; `None` when it does not, or
/// no application has the host. What the login itself answers is no application.
fn metadata<B>(access: &Access, request: &Request<B>) -> Option<ResponseBytes> {
    let engine = access.engine();
    let login = engine.login()?;
    if !is_asked(request.headers()) {
        return None;
    }
    let uri = arrived_uri(request.uri(), request.extensions());
    let path = CanonicalPath::parse_with_ambiguities(uri.path()).ok()?;
    if is_own(path.as_str()) {
        return None;
    }
    let host = CanonicalHost::of_request(request.uri(), request.headers()).ok()?;
    login.metadata(&host, &path, engine.now())
}

/// Answers a request for an endpoint.
pub(super) fn answer<B>(
    endpoint: Endpoint,
    request: Request<B>,
) -> impl Future<Output = ResponseBytes> + Send + 'static
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    endpoint.answer(request)
}

/// Host and canonical path of a request for an endpoint of ours. What cannot be read without
/// doubt is no such request: authentication refuses it.
fn own_target<B>(login: &Login, request: &Request<B>) -> Option<(CanonicalHost, String)> {
    let uri = arrived_uri(request.uri(), request.extensions());
    if !may_be_own(uri.path()) {
        return None;
    }
    let path = CanonicalPath::parse(uri.path()).ok()?;
    if !is_own(path.as_str()) && !path.as_str().starts_with(TRANSFER) {
        return None;
    }
    let host = CanonicalHost::of_request(request.uri(), request.headers()).ok()?;
    let is_ours = is_own(path.as_str()) || login.transfer_key(&host, path.as_str()).is_some();
    is_ours.then(|| (host, path.as_str().to_owned()))
}

/// What is known of the request before its body is read.
#[derive(Clone)]
pub(super) struct Endpoint {
    login: Arc<Login>,
    host: CanonicalHost,
    path: String,
    sender: Sender,
    now: crate::clock::Timestamp,
}

impl Endpoint {
    async fn answer<B>(self, request: Request<B>) -> ResponseBytes
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let body = if parts.method == Method::POST {
            match tokio::time::timeout(BODY_TIME_LIMIT, read(body)).await {
                Ok(Ok(body)) => body,
                Ok(Err(status)) => return empty(status),
                Err(_) => return empty(StatusCode::REQUEST_TIMEOUT),
            }
        } else {
            Bytes::new()
        };
        // Forms of other sites are refused before anything else is looked at.
        let login = Arc::clone(&self.login);
        let csrf = CsrfLayer::new();
        // Proxies in front may cut the port off `Host`, which is compared otherwise.
        let csrf = match login.origins.configured(&self.host) {
            Some(own) if is_of_another_port(&parts.headers, &own) => {
                return foreign(&login, &self.host);
            }
            Some(own) => csrf.add_trusted_origin(own).unwrap_or_default(),
            None => csrf,
        };
        let host = self.host.clone();
        let csrf = csrf.with_rejection_response(move |_: ProtectionError| foreign(&login, &host));
        let (login, host) = (Arc::clone(&self.login), self.host.clone());
        let answered = csrf.layer(self).call(Request::from_parts(parts, body));
        match within(ANSWER_TIME_LIMIT, answered).await {
            Some(Ok(answer)) => answer,
            Some(Err(never)) => match never {},
            None => too_slow(&login, &host),
        }
    }
}

impl Service<Request<Bytes>> for Endpoint {
    type Response = ResponseBytes;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<ResponseBytes, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let Self { login, host, path, sender, now } = self.clone();
        let (parts, body) = request.into_parts();
        let request = EndpointRequest {
            method: parts.method,
            host,
            path,
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers,
            extensions: parts.extensions,
            body,
            sender,
            now,
        };
        Box::pin(async move { Ok(login.answer(&request).await) })
    }
}

/// Whether the canonical form of a path may be one of ours: without an escape a path is its own. Spares
/// nearly every request a second reading of its path.
fn may_be_own(path: &str) -> bool {
    path.starts_with(OWN_PREFIX) || path.starts_with(TRANSFER) || path.contains('%')
}

/// Whether a page of another origin sends a form, by a browser that says no more than that.
fn is_of_another_port(headers: &HeaderMap, own: &str) -> bool {
    !headers.contains_key("sec-fetch-site")
        && headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes() != own.as_bytes())
}

async fn read<B>(body: B) -> Result<Bytes, StatusCode>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, LARGEST_FORM).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// The output of a future that is ready in time. Outside a Tokio runtime nobody measures time.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => tokio::time::timeout(limit, future).await.ok(),
        Err(_) => Some(future.await),
    }
}

/// The answer where a store, or whoever else the login asks, is silent.
fn too_slow(login: &Login, host: &CanonicalHost) -> ResponseBytes {
    let kind = EventKind::LoginTimedOut { limit: ANSWER_TIME_LIMIT };
    audit::record(&Event::new(kind).host(host.as_str()));
    let start = login.directory.entrance(host);
    let page = Problem::new(
        "Logging in is not possible right now",
        "Please try again in a few minutes: go back in your browser, or start again.",
    )
    .host(host.as_str())
    .retry(start.as_deref(), "Start again");
    pages::response(&*login.pages, StatusCode::SERVICE_UNAVAILABLE, &Page::Problem(page))
}

fn foreign(login: &Login, host: &CanonicalHost) -> ResponseBytes {
    let start = login.directory.entrance(host);
    let page = Problem::new(
        "This form was sent by another site",
        "For your safety it was not accepted. Please open the application and log in there.",
    )
    .host(host.as_str())
    .retry(start.as_deref(), "Open the application");
    pages::response(&*login.pages, StatusCode::FORBIDDEN, &Page::Problem(page))
}

/// Where command-line clients get their tokens.
const TRANSFER: &str = "/transfer/";
/// A form is small: whoever takes longer is not filling it in.
const BODY_TIME_LIMIT: Duration = Duration::from_secs(10);
/// Longer than anybody waits who may: command-line clients wait half a minute for their token.
const ANSWER_TIME_LIMIT: Duration = Duration::from_secs(45);
