//! Requests for the login's endpoints: recognized, read within bounds, and answered.

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
use crate::clock::Timestamp;
use crate::engine::{Access, arrived_uri};
use crate::facts::Sender;
use crate::login::metadata::is_metadata_request;
use crate::login::{EndpointRequest, Login, MAX_FORM_BYTES, OWN_PREFIX, is_own};
use crate::pages::{self, Page, Problem};
use crate::util::response::{ResponseBytes, empty};

/// What a request is for.
pub(super) enum Destination {
    /// The inner service.
    Inner,
    /// The metadata of the application.
    Metadata(ResponseBytes),
    /// An endpoint of the login.
    Endpoint(Endpoint),
}

/// Returns whether the login answers a request.
pub(super) fn destination<B>(access: &Access, request: &Request<B>) -> Destination {
    let engine = access.engine();
    let Some(login) = engine.login() else { return Destination::Inner };
    if is_metadata_request(request.headers())
        && let Some(response) = metadata(login, request, engine.now())
    {
        return Destination::Metadata(response);
    }
    match own_target(login, request) {
        None => Destination::Inner,
        Some((host, path)) => Destination::Endpoint(Endpoint {
            login: Arc::clone(login),
            host,
            path,
            sender: engine.sender(request.headers(), request.extensions()),
            now: engine.now(),
        }),
    }
}

/// Returns the response to a client that asks which application a request is for. `None` for the
/// login's own endpoints, and if no application has the host.
fn metadata<B>(login: &Login, request: &Request<B>, now: Timestamp) -> Option<ResponseBytes> {
    let uri = arrived_uri(request.uri(), request.extensions());
    let path = CanonicalPath::parse_with_ambiguities(uri.path()).ok()?;
    if is_own(path.as_str()) {
        return None;
    }
    let host = CanonicalHost::from_request(request.uri(), request.headers()).ok()?;
    login.metadata(&host, &path, now)
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

/// Returns host and canonical path of a request for a login endpoint. `None` for ambiguous requests
/// as well: authentication refuses them.
fn own_target<B>(login: &Login, request: &Request<B>) -> Option<(CanonicalHost, String)> {
    let uri = arrived_uri(request.uri(), request.extensions());
    if !may_be_own(uri.path()) {
        return None;
    }
    let path = CanonicalPath::parse(uri.path()).ok()?;
    if !is_own(path.as_str()) && !path.as_str().starts_with(TRANSFER) {
        return None;
    }
    let host = CanonicalHost::from_request(request.uri(), request.headers()).ok()?;
    let is_ours = is_own(path.as_str()) || login.transfer_key(&host, path.as_str()).is_some();
    is_ours.then(|| (host, path.as_str().to_owned()))
}

/// A request for a login endpoint, before its body is read.
#[derive(Clone)]
pub(super) struct Endpoint {
    login: Arc<Login>,
    host: CanonicalHost,
    path: String,
    sender: Sender,
    now: Timestamp,
}

impl Endpoint {
    async fn answer<B>(self, request: Request<B>) -> ResponseBytes
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let cross_site = self.login.cross_site_form(&self.path);
        let max_bytes = cross_site.map_or(MAX_FORM_BYTES, |form| form.max_bytes);
        let body = if parts.method == Method::POST {
            match tokio::time::timeout(BODY_TIME_LIMIT, read(body, max_bytes)).await {
                Ok(Ok(body)) => body,
                Ok(Err(status)) => return empty(status),
                Err(_) => return empty(StatusCode::REQUEST_TIMEOUT),
            }
        } else {
            Bytes::new()
        };
        let (login, host) = (Arc::clone(&self.login), self.host.clone());
        // The answer of an identity provider. It says which login it is for, and its browser has to know
        // that login.
        if parts.method == Method::POST && cross_site.is_some_and(|form| form.is_it(&body)) {
            let mut endpoint = self;
            let answered = endpoint.call(Request::from_parts(parts, body));
            return match within(ANSWER_TIME_LIMIT, answered).await {
                Some(Ok(answer)) => answer,
                Some(Err(never)) => match never {},
                None => too_slow(&login, &host),
            };
        }
        if body.len() > MAX_FORM_BYTES {
            return empty(StatusCode::PAYLOAD_TOO_LARGE);
        }
        // All other forms of other sites are refused before anything else is read.
        let csrf = CsrfLayer::new();
        // Proxies in front may remove the port from `Host`, which the layer compares by default.
        let csrf = match login.origins.configured(&self.host) {
            Some(own) if is_of_another_port(&parts.headers, &own) => {
                return foreign(&login, &self.host);
            }
            Some(own) => csrf.add_trusted_origin(own).unwrap_or_default(),
            None => csrf,
        };
        let refused = (Arc::clone(&login), host.clone());
        let csrf =
            csrf.with_rejection_response(move |_: ProtectionError| foreign(&refused.0, &refused.1));
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

/// Returns whether the canonical form of a path may be a login endpoint: without an escape, only the
/// path itself can. Nearly every request is spared a second parse of its path.
fn may_be_own(path: &str) -> bool {
    path.starts_with(OWN_PREFIX) || path.starts_with(TRANSFER) || path.contains('%')
}

/// Returns whether a page of another origin sends the form, by a browser without `Sec-Fetch-Site`.
fn is_of_another_port(headers: &HeaderMap, own: &str) -> bool {
    !headers.contains_key("sec-fetch-site")
        && headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes() != own.as_bytes())
}

async fn read<B>(body: B, max_bytes: usize) -> Result<Bytes, StatusCode>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, max_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Returns the output of a future that is ready in time. Without a Tokio runtime there is no limit.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => tokio::time::timeout(limit, future).await.ok(),
        Err(_) => Some(future.await),
    }
}

/// Returns the response if the store, or another service that the login asks, does not respond.
fn too_slow(login: &Login, host: &CanonicalHost) -> ResponseBytes {
    let kind = EventKind::LoginTimedOut { limit: ANSWER_TIME_LIMIT };
    audit::record(&Event::new(kind).host(host.as_str()));
    let start = login.directory.landing_path(host);
    let page = Problem::new(
        "Logging in is not possible right now",
        "Please try again in a few minutes: go back in your browser, or start again.",
    )
    .host(host.as_str())
    .retry(start.as_deref(), "Start again");
    pages::response(&*login.pages, StatusCode::SERVICE_UNAVAILABLE, &Page::Problem(page))
}

fn foreign(login: &Login, host: &CanonicalHost) -> ResponseBytes {
    let start = login.directory.landing_path(host);
    let page = Problem::new(
        "This form was sent by another site",
        "For your safety it was not accepted. Please open the application and log in there.",
    )
    .host(host.as_str())
    .retry(start.as_deref(), "Open the application");
    pages::response(&*login.pages, StatusCode::FORBIDDEN, &Page::Problem(page))
}

/// The path below which command-line clients get their tokens.
const TRANSFER: &str = "/transfer/";
/// How long a form may take to arrive.
const BODY_TIME_LIMIT: Duration = Duration::from_secs(10);
/// Longer than the longest legitimate wait: command-line clients wait half a minute for a token.
const ANSWER_TIME_LIMIT: Duration = Duration::from_secs(45);
