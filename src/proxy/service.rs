//! The proxy as a tower service.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use crate::address::{PeerAddress, TrustedProxies};
use crate::application::{CaseSensitiveOrigin, PublicAddresses};
use crate::engine::Resources;

use super::BoxError;
use super::body::ProxyBody;
use super::failure::{Failure, prefers_json};
use super::forward::{Exchange, Forwarding};
use super::headers::ForwardedFacts;
use super::host::RequestHost;
use super::ingress::{Ingress, IngressRule};
#[cfg(doc)]
use super::origin::OriginSettings;
use super::origin_service::Target;
use super::upstream::Upstream;

/// A reverse proxy over an [`Ingress`].
///
/// Streams both directions: nothing is buffered, a slow reader slows the sender, and a client that
/// disconnects ends the exchange with the origin. Every failure is a response (400, 405, 413, 502, 504),
/// never an error. Cheap to clone; clones share their connections.
///
/// The peer of a request is read from its extension [`PeerAddress`]; without one it is unknown and
/// untrusted. Requests count as encrypted unless they are for `localhost` or a name below it.
///
/// `X-Forwarded-For` and `Forwarded` name the same senders to the origin: the last 32 that a trusted proxy
/// names in `X-Forwarded-For` (or in `Forwarded`, if it sends no other), and the peer. A sender with an
/// unreadable address is `unknown`.
///
/// See the [module docs](crate::proxy) for an example.
#[derive(Clone, Debug)]
pub struct ReverseProxy {
    inner: Arc<Inner>,
}

/// Builds a [`ReverseProxy`].
///
/// See the [module docs](crate::proxy) for an example.
#[derive(Clone, Debug)]
pub struct ReverseProxyBuilder {
    ingress: Ingress,
    trusted_proxies: TrustedProxies,
    public_addresses: PublicAddresses,
    response_header_timeout: Duration,
}

/// An ingress rule with invalid origin settings. Its source is the cause.
#[derive(Debug, thiserror::Error)]
#[error("ingress[{rule}]: {source}")]
pub struct ProxyError {
    rule: usize,
    source: BoxError,
}

/// The future of a response of a [`ReverseProxy`].
///
/// Dropping it ends the exchange with the origin.
pub struct ProxyFuture {
    inner: Pin<Box<dyn Future<Output = Response<ProxyBody>> + Send>>,
}

#[derive(Debug)]
struct Inner {
    ingress: Ingress,
    /// One for each rule, in the same order; `None` for a rule without an origin.
    upstreams: Vec<Option<Arc<Upstream>>>,
    trusted_proxies: TrustedProxies,
    public_addresses: PublicAddresses,
    response_header_timeout: Duration,
}

/// A request that an origin receives.
struct Prepared {
    exchange: Exchange,
    /// The number of its rule.
    rule: usize,
    /// Whether the client prefers JSON if it fails.
    json: bool,
}

// === impl ReverseProxy ===

impl ReverseProxy {
    /// Creates a builder for a proxy over `ingress`.
    #[must_use]
    pub fn builder(ingress: Ingress) -> ReverseProxyBuilder {
        ReverseProxyBuilder {
            ingress,
            trusted_proxies: TrustedProxies::default(),
            public_addresses: PublicAddresses::new(),
            response_header_timeout: DEFAULT_RESPONSE_HEADER_TIMEOUT,
        }
    }

    /// Returns the rules.
    #[must_use]
    pub fn ingress(&self) -> &Ingress {
        &self.inner.ingress
    }
}

impl<B> Service<Request<B>> for ReverseProxy
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ProxyBody>;
    type Error = Infallible;
    type Future = ProxyFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ProxyFuture {
        let is_head = request.method() == Method::HEAD;
        let for_method = move |answer| if is_head { without_own_body(answer) } else { answer };
        match self.inner.prepare(request) {
            // Kept small: it is copied to the heap for every request.
            Ok(Prepared { exchange, rule, json }) => ProxyFuture {
                inner: Box::pin(async move {
                    let answer = exchange.run().await;
                    for_method(
                        answer.unwrap_or_else(|failure| failure.into_response(Some(rule), json)),
                    )
                }),
            },
            Err(answer) => ProxyFuture { inner: Box::pin(ready(for_method(*answer))) },
        }
    }
}

// === impl ReverseProxyBuilder ===

impl ReverseProxyBuilder {
    /// Sets the networks of trusted proxies. Default: none.
    ///
    /// Every client in these networks can claim any client address.
    #[must_use]
    pub fn trusted_proxies(mut self, networks: TrustedProxies) -> Self {
        self.trusted_proxies = networks;
        self
    }

    /// Sets which hosts are reached without TLS, for `X-Forwarded-Proto`. Default: `localhost` and names
    /// below it.
    #[must_use]
    pub fn public_addresses(mut self, addresses: PublicAddresses) -> Self {
        self.public_addresses = addresses;
        self
    }

    /// Sets the longest silence before an origin's response begins, for rules without their own
    /// [`OriginSettings::response_header_timeout`]; zero means no limit. Default: 100 seconds.
    ///
    /// The time restarts while the request's body is moving. Bodies of responses and upgraded connections
    /// have no limit.
    #[must_use]
    pub fn response_header_timeout(mut self, timeout: Duration) -> Self {
        self.response_header_timeout = timeout;
        self
    }

    /// Sets up the origins: reads certificate files, opens no connections.
    ///
    /// # Errors
    ///
    /// If a rule's settings are invalid, for example because its CA file is missing.
    pub fn build(self) -> Result<ReverseProxy, ProxyError> {
        self.build_reusing(None)
    }

    /// As [`build`](Self::build), but reuses the connections of an earlier proxy to origins that have not
    /// changed.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_reusing(self, earlier: Option<&ReverseProxy>) -> Result<ReverseProxy, ProxyError> {
        let upstreams = self
            .ingress
            .rules()
            .enumerate()
            .map(|(number, rule)| match earlier.and_then(|proxy| proxy.inner.same_origin(rule)) {
                Some(upstream) => Ok(Some(upstream)),
                None => upstream(rule).map_err(|source| ProxyError { rule: number, source }),
            })
            .collect::<Result<_, _>>()?;
        Ok(ReverseProxy {
            inner: Arc::new(Inner {
                ingress: self.ingress,
                upstreams,
                trusted_proxies: self.trusted_proxies,
                public_addresses: self.public_addresses,
                response_header_timeout: self.response_header_timeout,
            }),
        })
    }
}

fn upstream(rule: &IngressRule) -> Result<Option<Arc<Upstream>>, BoxError> {
    match rule.service.target() {
        Target::Origin { tls, address } => {
            Upstream::new(tls, address, &rule.origin).map(|upstream| Some(Arc::new(upstream)))
        }
        Target::Status(_) | Target::HelloWorld => Ok(None),
    }
}

// === impl ProxyError ===

impl ProxyError {
    /// Returns the zero-based number of the wrong rule.
    #[must_use]
    pub fn rule(&self) -> usize {
        self.rule
    }
}

// === impl ProxyFuture ===

impl Future for ProxyFuture {
    type Output = Result<Response<ProxyBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ProxyFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyFuture").finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    /// Returns the connections to the same origin with the same settings; `None` if a file of certificate
    /// authorities is configured, which may have changed.
    fn same_origin(&self, rule: &IngressRule) -> Option<Arc<Upstream>> {
        let is_same = |known: &IngressRule| {
            known.service == rule.service
                && known.origin.has_same_connection_settings(&rule.origin)
                && known.origin.ca_pool.is_none()
        };
        let place = self.ingress.rules().position(is_same)?;
        self.upstreams.get(place).cloned().flatten()
    }

    /// Prepares the exchange with an origin. Returns the response of a request that has none.
    fn prepare<B>(&self, request: Request<B>) -> Result<Prepared, Box<Response<ProxyBody>>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let json = prefers_json(request.headers());
        let refuse = |failure: Failure, rule| Err(Box::new(failure.into_response(rule, json)));
        let (parts, body) = request.into_parts();
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return refuse(Failure::RefusedMethod, None);
        }
        let host = match RequestHost::from_parts(&parts) {
            Ok(host) => host,
            Err(error) => return refuse(Failure::Malformed(error.into()), None),
        };
        let (name, path) = (host.canonical.as_str(), parts.uri.path());
        let (number, rule) = self.ingress.locate(name, path);
        let is_case_sensitive = parts.extensions.get::<CaseSensitiveOrigin>().is_some();
        if !is_case_sensitive && self.ingress.changes_rule_when_folded(name, path, rule) {
            return refuse(Failure::LetterCase, Some(number));
        }
        let rule_and_case = (rule, is_case_sensitive);
        if self.ingress.changes_rule_when_reinterpreted(name, path, rule_and_case) {
            return refuse(Failure::AmbiguousPath, Some(number));
        }
        let upstream = match (rule.service.target(), self.upstreams.get(number)) {
            (Target::Status(status), _) => return Err(Box::new(fixed(status))),
            (Target::HelloWorld, _) => return Err(Box::new(hello_world())),
            (Target::Origin { .. }, Some(Some(upstream))) => upstream,
            // Never happens: `build` creates one for each origin.
            (Target::Origin { .. }, _) => {
                return refuse(
                    Failure::Unreachable("the origin is not set up".into()),
                    Some(number),
                );
            }
        };
        match self.named_by_headers(&parts, &host) {
            Ok(None) => {}
            Ok(Some(status)) => return Err(Box::new(fixed(status))),
            Err(failure) => return refuse(failure, Some(number)),
        }
        let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
        let forwarding = Forwarding {
            upstream,
            sent_host: &host.sent,
            host_override: rule.origin.http_host_header.as_ref(),
            facts: ForwardedFacts {
                peer,
                https: !self.public_addresses.is_http(&host.canonical),
                peer_is_trusted: peer.is_some_and(|peer| self.trusted_proxies.contains(peer)),
            },
            response_header_timeout: rule
                .origin
                .response_header_timeout
                .unwrap_or(self.response_header_timeout),
        };
        Ok(Prepared { exchange: forwarding.prepare(parts, body), rule: number, json })
    }

    /// Returns the status that a rule has for another resource that the request's headers name, such as the
    /// target of a `MOVE`; `None` if every such resource has an origin.
    fn named_by_headers(
        &self,
        parts: &Parts,
        host: &RequestHost,
    ) -> Result<Option<StatusCode>, Failure> {
        let path = parts.uri.path();
        let resources = Resources::read(&parts.method, &parts.headers, &host.canonical, path)
            .map_err(|error| Failure::Malformed(error.into()))?;
        let is_case_sensitive = parts.extensions.get::<CaseSensitiveOrigin>().is_some();
        for resource in resources.into_iter().flat_map(|resources| resources.named) {
            let (name, path) = (resource.host.as_str(), resource.path.served());
            let (_, rule) = self.ingress.locate(name, path);
            match rule.service.target() {
                Target::Origin { .. } => {}
                Target::Status(status) => return Ok(Some(status)),
                Target::HelloWorld => return Ok(Some(StatusCode::FORBIDDEN)),
            }
            if !is_case_sensitive && self.ingress.changes_rule_when_folded(name, path, rule) {
                return Err(Failure::LetterCase);
            }
            let rule_and_case = (rule, is_case_sensitive);
            if self.ingress.changes_rule_when_reinterpreted(name, path, rule_and_case) {
                return Err(Failure::AmbiguousPath);
            }
        }
        Ok(None)
    }
}

/// Removes the proxy's own body from a response to `HEAD`: hyper does not do so over HTTP/2.
fn without_own_body(mut answer: Response<ProxyBody>) -> Response<ProxyBody> {
    if let Some(length) = answer.body().own_length().filter(|length| *length > 0) {
        *answer.body_mut() = ProxyBody::empty();
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    answer
}

fn fixed(status: StatusCode) -> Response<ProxyBody> {
    let mut response = Response::new(ProxyBody::empty());
    *response.status_mut() = status;
    response
}

fn hello_world() -> Response<ProxyBody> {
    let mut response = Response::new(ProxyBody::own(HELLO_WORLD));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    response
}

const DEFAULT_RESPONSE_HEADER_TIMEOUT: Duration = Duration::from_secs(100);

const HELLO_WORLD: &str = "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
    <title>Hello, world</title></head>\n\
    <body><h1>Hello, world</h1><p>The proxy works; there is no origin behind this rule.</p></body>\n\
    </html>\n";
