//! The proxy as a tower service: rule, origin, answer.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
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
use super::forward::Forwarding;
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
/// goes away ends the exchange with the origin. Every failure is an answer (400, 405, 502, 504), never
/// an error. Cheap to clone; clones share their connections.
///
/// The neighbour a request came from is read from its extension [`PeerAddress`]; without one it is
/// unknown and untrusted. Requests count as encrypted unless they are for `localhost` or a name
/// below it.
///
/// Origins are told the senders of a request in `X-Forwarded-For` and in `Forwarded`, the same in both:
/// all that a trusted proxy names in `X-Forwarded-For` (in `Forwarded`, where it sends no other), the
/// last 32 of them, and the neighbour. A sender whose address cannot be read is `unknown`.
///
/// See the [module docs](crate::proxy) for an example.
#[derive(Clone, Debug)]
pub struct ReverseProxy {
    inner: Arc<Inner>,
}

/// Collects what a [`ReverseProxy`] needs.
///
/// See the [module docs](crate::proxy) for an example.
#[derive(Clone, Debug)]
pub struct ReverseProxyBuilder {
    ingress: Ingress,
    trusted_proxies: TrustedProxies,
    public_addresses: PublicAddresses,
    response_header_timeout: Duration,
}

/// An ingress rule whose origin cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("ingress[{rule}]: {source}")]
pub struct ProxyError {
    rule: usize,
    source: BoxError,
}

/// The answer of a [`ReverseProxy`], on its way.
///
/// Dropping it ends the exchange with the origin.
pub struct ProxyFuture {
    inner: Pin<Box<dyn Future<Output = Response<ProxyBody>> + Send>>,
}

#[derive(Debug)]
struct Inner {
    ingress: Ingress,
    /// One for each rule, in the same order; none where no origin is behind it.
    upstreams: Vec<Option<Arc<Upstream>>>,
    trusted_proxies: TrustedProxies,
    public_addresses: PublicAddresses,
    response_header_timeout: Duration,
}

// === impl ReverseProxy ===

impl ReverseProxy {
    /// Begins a proxy over `ingress`.
    #[must_use]
    pub fn builder(ingress: Ingress) -> ReverseProxyBuilder {
        ReverseProxyBuilder {
            ingress,
            trusted_proxies: TrustedProxies::default(),
            public_addresses: PublicAddresses::new(),
            response_header_timeout: DEFAULT_RESPONSE_HEADER_TIMEOUT,
        }
    }

    /// The rules it was built from.
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
        let inner = Arc::clone(&self.inner);
        let is_head = request.method() == Method::HEAD;
        let answer = async move {
            let answer = inner.answer(request).await;
            if is_head { without_own_body(answer) } else { answer }
        };
        ProxyFuture { inner: Box::pin(answer) }
    }
}

// === impl ReverseProxyBuilder ===

impl ReverseProxyBuilder {
    /// Networks of proxies whose forwarding headers are true. Default: none.
    ///
    /// Whoever can send from these networks can claim any client address.
    #[must_use]
    pub fn trusted_proxies(mut self, networks: TrustedProxies) -> Self {
        self.trusted_proxies = networks;
        self
    }

    /// Sets which hosts are reached without TLS: what origins read in `X-Forwarded-Proto`. By default
    /// `localhost` and names below it.
    #[must_use]
    pub fn public_addresses(mut self, addresses: PublicAddresses) -> Self {
        self.public_addresses = addresses;
        self
    }

    /// Longest silence before an origin's answer begins, for rules without one of their own
    /// ([`OriginSettings::response_header_timeout`]); zero is no limit. Default 100 seconds.
    ///
    /// While the request's body still moves, the time begins anew. Bodies of answers and upgraded
    /// connections may take as long as they like.
    #[must_use]
    pub fn response_header_timeout(mut self, timeout: Duration) -> Self {
        self.response_header_timeout = timeout;
        self
    }

    /// Sets up the origins: reads certificate files, opens no connections.
    ///
    /// # Errors
    ///
    /// If a rule's settings cannot work, for example because its CA file is missing.
    pub fn build(self) -> Result<ReverseProxy, ProxyError> {
        self.build_after(None)
    }

    /// As [`build`](Self::build), in place of another proxy: goes on with its connections to origins
    /// that have not changed.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_after(self, earlier: Option<&ReverseProxy>) -> Result<ReverseProxy, ProxyError> {
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
    /// The zero-based number of the rule that is wrong.
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
    /// The connections to the same origin on the same terms. A file of certificate authorities may
    /// have others in it by now: then there are none.
    fn same_origin(&self, rule: &IngressRule) -> Option<Arc<Upstream>> {
        let is_same = |known: &IngressRule| {
            known.service == rule.service
                && known.origin.connects_like(&rule.origin)
                && known.origin.ca_pool.is_none()
        };
        let place = self.ingress.rules().position(is_same)?;
        self.upstreams.get(place).cloned().flatten()
    }

    async fn answer<B>(&self, request: Request<B>) -> Response<ProxyBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let json = prefers_json(request.headers());
        let (parts, body) = request.into_parts();
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return Failure::RefusedMethod.into_response(None, json);
        }
        let host = match RequestHost::of(&parts) {
            Ok(host) => host,
            Err(error) => return Failure::Malformed(error.into()).into_response(None, json),
        };
        let (name, path) = (host.canonical.as_str(), parts.uri.path());
        let (number, rule) = self.ingress.locate(name, path);
        let tells_spellings_apart = parts.extensions.get::<CaseSensitiveOrigin>().is_some();
        if !tells_spellings_apart && self.ingress.leads_elsewhere_when_folded(name, path, rule) {
            return Failure::LetterCase.into_response(Some(number), json);
        }
        let told_apart = (rule, tells_spellings_apart);
        if self.ingress.leads_elsewhere_when_reread(name, path, told_apart) {
            return Failure::AmbiguousPath.into_response(Some(number), json);
        }
        let upstream = match (rule.service.target(), self.upstreams.get(number)) {
            (Target::Status(status), _) => return fixed(status),
            (Target::HelloWorld, _) => return hello_world(),
            (Target::Origin { .. }, Some(Some(upstream))) => upstream,
            // There is one for each origin, because `build` made them from the same rules.
            (Target::Origin { .. }, _) => {
                return Failure::Unreachable("it was not set up".into())
                    .into_response(Some(number), json);
            }
        };
        match self.named_by_headers(&parts, &host) {
            Ok(None) => {}
            Ok(Some(status)) => return fixed(status),
            Err(failure) => return failure.into_response(Some(number), json),
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
        forwarding
            .exchange(parts, body)
            .await
            .unwrap_or_else(|failure| failure.into_response(Some(number), json))
    }

    /// The status that a rule has for another resource that a request names, as the target of a
    /// `MOVE`. Where that resource has an origin the request goes to the origin of its own rule.
    fn named_by_headers(
        &self,
        parts: &Parts,
        host: &RequestHost,
    ) -> Result<Option<StatusCode>, Failure> {
        let path = parts.uri.path();
        let resources = Resources::read(&parts.method, &parts.headers, &host.canonical, path)
            .map_err(|error| Failure::Malformed(error.into()))?;
        let tells_spellings_apart = parts.extensions.get::<CaseSensitiveOrigin>().is_some();
        for resource in resources.into_iter().flat_map(|resources| resources.named) {
            let (name, path) = (resource.host.as_str(), resource.path.served());
            let (_, rule) = self.ingress.locate(name, path);
            match rule.service.target() {
                Target::Origin { .. } => {}
                Target::Status(status) => return Ok(Some(status)),
                Target::HelloWorld => return Ok(Some(StatusCode::FORBIDDEN)),
            }
            if !tells_spellings_apart && self.ingress.leads_elsewhere_when_folded(name, path, rule)
            {
                return Err(Failure::LetterCase);
            }
            let told_apart = (rule, tells_spellings_apart);
            if self.ingress.leads_elsewhere_when_reread(name, path, told_apart) {
                return Err(Failure::AmbiguousPath);
            }
        }
        Ok(None)
    }
}

/// An answer to `HEAD`: over HTTP/2 nobody else removes a body of our own.
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
