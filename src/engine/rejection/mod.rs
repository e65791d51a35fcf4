//! Refused requests, and the responses to them.

mod git;
mod grpc;
mod kind;
mod next_step;
mod reference;
mod refusal;
mod response;
mod returned;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::REFERER;
use http::header::{HeaderValue, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};

pub use self::kind::RejectionKind;
pub(crate) use self::refusal::Refusal;
pub(super) use self::returned::{is_visit, rejected_token};

use self::reference::Reference;
use super::Engine;
use super::authorize::Cors;
use super::peer::{arrived_uri, nested_at};
use super::resources::ResourceError;
use crate::application::{CanonicalHost, CompiledApplication, PathError};
use crate::audit::{self, Event, EventKind};
use crate::headers;
use crate::policy::VerdictId;
use crate::session::cookie;
use crate::token::TokenErrorKind;
use crate::util::response::{ResponseBytes, empty};

/// A refusal, in the extensions of the response.
///
/// [`AuthenticateLayer`](crate::AuthenticateLayer) and [`AuthorizeLayer`](crate::AuthorizeLayer)
/// return a bare response with it; [`LoginLayer`](crate::LoginLayer) renders a redirect, a page or
/// JSON. It stays in the extensions for outer layers:
///
/// ```
/// use http::Response;
/// use tower_access::Rejection;
/// use tower_access::policy::Verdict;
///
/// fn label<B>(response: &Response<B>) -> String {
///     let extensions = response.extensions();
///     match (extensions.get::<Rejection>(), extensions.get::<Verdict>()) {
///         (Some(rejection), _) => format!("refused: {}", rejection.kind()),
///         (None, Some(verdict)) => verdict.outcome().to_string(),
///         (None, None) => "not ours".to_owned(),
///     }
/// }
/// # assert_eq!(label(&Response::new(())), "not ours");
/// ```
#[derive(Clone)]
pub struct Rejection {
    kind: RejectionKind,
    reference: Reference,
    token_error: Option<TokenErrorKind>,
    pub(super) request: Arc<RejectedRequest>,
    /// The stored return target, if it is too long for the URL of the login.
    pub(super) stored_target: Option<crate::login::TargetId>,
}

/// What the response to a refusal depends on.
pub(super) struct RejectedRequest {
    /// The engine that refused. Keeps it alive: a response may outlive its service.
    engine: Option<Arc<Engine>>,
    pub(super) method: Method,
    pub(super) host: Option<CanonicalHost>,
    pub(super) path_and_query: String,
    pub(super) application: Option<Arc<CompiledApplication>>,
    pub(super) email: Option<String>,
    /// The operator's URL to redirect refused users to.
    pub(super) deny_url: Option<String>,
    /// The CORS headers of the response.
    pub(super) cors: Option<Box<Cors>>,
    /// The content type of a gRPC call.
    pub(super) grpc: Option<HeaderValue>,
    /// Sent by git or git-lfs: refused as text, and never with 401.
    pub(super) is_git: bool,
    pub(super) is_script: bool,
    /// Whether a page asks for a WebSocket, and not a program without a browser.
    pub(super) is_socket_of_page: bool,
    /// Sent by a browser in the background, for a part of a page or ahead of a visit.
    pub(super) is_background: bool,
    pub(super) wants_html: bool,
    /// The page of a form, by its `Referer`: 8 KiB at most.
    pub(super) referer: Option<String>,
    /// Whether it has a login cookie, so that the user can sign out.
    pub(super) has_session: bool,
    /// The cookie that ties a login to this browser, if it has one.
    pub(super) app_session: Option<String>,
    /// The path of the nested router whose layer refused it, if any.
    nested_at: Option<Box<str>>,
    /// The client's address.
    address: Option<IpAddr>,
}

/// A return target that has to be stored.
pub(crate) struct LongTarget {
    login: Arc<crate::login::Login>,
    host: CanonicalHost,
    target: crate::login::ReturnTarget,
    address: Option<IpAddr>,
    now: crate::clock::Timestamp,
}

impl LongTarget {
    /// Stores the target. If that fails, the login returns to a part of it.
    pub(crate) async fn store(self) -> Option<crate::login::TargetId> {
        let Self { login, host, target, address, now } = self;
        match login.store_target(&host, &target, address, now).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%error, "a long return target could not be stored: it is shortened");
                None
            }
        }
    }
}

/// What is known of a refused request in addition to the request itself.
#[derive(Debug, Default)]
pub(super) struct RejectionDetails {
    pub(super) host: Option<CanonicalHost>,
    pub(super) application: Option<Arc<CompiledApplication>>,
    pub(super) email: Option<String>,
    pub(super) token_error: Option<TokenErrorKind>,
    /// The id that an explanation of the request has as well.
    pub(super) verdict: Option<VerdictId>,
    pub(super) deny_url: Option<String>,
    pub(super) cors: Option<Box<Cors>>,
}

impl RejectedRequest {
    fn new(
        engine: Option<Arc<Engine>>,
        (method, version): (&Method, Version),
        uri: &Uri,
        headers: &HeaderMap,
        details: RejectionDetails,
    ) -> Self {
        let RejectionDetails {
            host,
            application,
            email,
            token_error: _,
            verdict: _,
            deny_url,
            cors,
        } = details;
        // A page of another origin cannot follow a redirect to the login, whatever its browser sends.
        let is_shared = cors.as_ref().is_some_and(|cors| cors.allows())
            && headers.contains_key(ORIGIN)
            && !headers::is_navigation(headers);
        let is_background = headers::is_background(headers);
        let grpc = grpc::content_type(method, version, headers).cloned();
        Self {
            engine,
            method: method.clone(),
            host,
            path_and_query: uri.path_and_query().map_or("/", PathAndQuery::as_str).to_owned(),
            application,
            email,
            deny_url,
            cors,
            is_git: grpc.is_none() && git::is_git(headers),
            grpc,
            is_script: is_shared || is_background || headers::is_script(headers),
            is_background,
            is_socket_of_page: headers::is_upgrade(method, headers) && headers.contains_key(ORIGIN),
            wants_html: headers::wants_html(headers),
            referer: referer(method, headers),
            has_session: cookie::values(headers, cookie::AUTHORIZATION).next().is_some(),
            app_session: cookie::values(headers, cookie::APP_SESSION)
                .find(|value| cookie::is_random(value))
                .map(str::to_owned),
            nested_at: None,
            address: None,
        }
    }

    /// Returns whether the refusal is rendered as a page.
    pub(super) fn wants_page(&self) -> bool {
        self.wants_html && !self.is_script && !self.is_git && self.grpc.is_none()
    }

    /// Returns whether a request that needs a login is redirected to it.
    fn is_sent_to_login(&self) -> bool {
        self.method == Method::GET
            && self.grpc.is_none()
            && !self.is_background
            && !self.is_script
            && !self.is_socket_of_page
    }
}

/// Reads the `Referer` of a form. A user who requested a page returns to that page instead.
fn referer(method: &Method, headers: &HeaderMap) -> Option<String> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut values = headers.get_all(REFERER).iter();
    let (first, second) = (values.next(), values.next());
    let referer = first.filter(|_| second.is_none())?.to_str().ok()?;
    (referer.len() <= MAX_REFERER).then(|| referer.to_owned())
}

/// Bytes.
const MAX_REFERER: usize = 8 << 10;

impl Engine {
    /// Refuses a request, and logs it under the reference that the response contains.
    pub(super) fn reject<B>(
        &self,
        kind: RejectionKind,
        request: &Request<B>,
        details: RejectionDetails,
    ) -> Rejection {
        let reference = match self.shared_state.has_system_random {
            true => Reference::from_system(),
            false => Reference::from_source(&*self.random),
        };
        let token_error = details.token_error;
        let sender = self.sender_uncounted(request.headers(), request.extensions()).address;
        audit::record(&refused(&kind, reference.as_str(), &details).address(sender));
        let uri = arrived_uri(request.uri(), request.extensions());
        let (line, headers) = ((request.method(), request.version()), request.headers());
        let nested_at = nested_at(request.extensions()).map(Into::into);
        let request = RejectedRequest::new(self.weak_self.upgrade(), line, uri, headers, details);
        let request = RejectedRequest { address: sender, nested_at, ..request };
        Rejection { kind, reference, token_error, request: Arc::new(request), stored_target: None }
    }
}

fn refused<'a>(
    kind: &'a RejectionKind,
    reference: &'a str,
    details: &'a RejectionDetails,
) -> Event<'a> {
    let event = |kind| {
        Event::new(kind)
            .reference(reference)
            .application(details.application.as_deref().map(CompiledApplication::audited))
            .host(details.host.as_ref().map(CanonicalHost::as_str))
            .token_error(details.token_error.map(TokenErrorKind::as_str))
    };
    match kind {
        RejectionKind::LoginRequired => event(EventKind::LoginRequired),
        RejectionKind::TooManyAttempts => event(EventKind::TooManyAttempts),
        reason => event(EventKind::RequestRefused)
            .reason(reason)
            .email(details.email.as_deref())
            .verdict(details.verdict.as_ref()),
    }
}

impl Engine {
    /// Refuses a request after a panic. Calls no code that may have caused it: neither the engine's
    /// clock nor its random generator.
    pub(crate) fn refuse_after_panic<B>(&self, request: &Request<B>) -> Rejection {
        let kind = RejectionKind::Internal;
        let reference = Reference::from_system();
        let event = Event::new(EventKind::RequestPanicked);
        audit::record(&event.reference(reference.as_str()).reason(&kind));
        let uri = arrived_uri(request.uri(), request.extensions());
        let (line, headers) = ((request.method(), request.version()), request.headers());
        let request = RejectedRequest::new(
            self.weak_self.upgrade(),
            line,
            uri,
            headers,
            RejectionDetails::default(),
        );
        Rejection {
            kind,
            reference,
            token_error: None,
            request: Arc::new(request),
            stored_target: None,
        }
    }
}

/// Returns whether a router nested at a path receives the requests for the login's endpoints.
fn can_hold_endpoints(nested_at: &str) -> bool {
    let mut endpoints = ["cdn-cgi", "access"].into_iter();
    let mut prefix = nested_at.split('/').filter(|segment| !segment.is_empty());
    prefix.all(|segment| {
        endpoints.next().is_some_and(|endpoint| segment.starts_with('{') || segment == endpoint)
    })
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("kind", &self.kind)
            .field("reference", &self.reference)
            .field("token_error", &self.token_error)
            .finish_non_exhaustive()
    }
}

impl Rejection {
    /// Sets the headers of every response to the refusal, bare or rendered: the challenge of a 401
    /// (RFC 9110, section 11.6.1), and `Retry-After` of a 429 or 503. Only the operator learns what
    /// exactly was wrong with a token.
    pub(crate) fn set_headers(&self, headers: &mut HeaderMap) {
        let challenge = match self.kind {
            RejectionKind::Token(_) => CHALLENGE_AFTER_TOKEN,
            _ => CHALLENGE,
        };
        match self.status() {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("60"));
            }
            _ => {}
        }
    }

    /// Sets the CORS headers of a response, bare or rendered.
    pub(crate) fn set_cors_headers(&self, headers: &mut HeaderMap) {
        if let Some(cors) = &self.request.cors {
            cors.apply(headers);
        }
    }

    /// Renders the response, by the engine that refused.
    pub(crate) fn response(&self) -> ResponseBytes {
        match &self.request.engine {
            Some(engine) => response::response_to(engine, self),
            None => empty(self.status()),
        }
    }

    /// Returns whether a layer inside a nested router refused it.
    pub(crate) fn is_of_nested_router(&self) -> bool {
        self.request.nested_at.is_some()
    }

    /// Warns once that the login's endpoints do not reach its layer.
    pub(crate) fn warn_of_nesting(&self) {
        let (Some(engine), Some(at)) = (&self.request.engine, &self.request.nested_at) else {
            return;
        };
        if self.kind == RejectionKind::LoginRequired
            && engine.login().is_some()
            && !can_hold_endpoints(at)
            && !engine.shared_state.has_warned_of_nesting.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                nested_at = &**at,
                "the login is 404: its layer is inside a nested router, which requests for \
                 /cdn-cgi/access/ do not reach; apply the layer to the outer router"
            );
        }
    }

    /// Returns the target to store before the response can be rendered, if the user is redirected to
    /// the login and the target is too long for its URL.
    pub(crate) fn long_target(&self) -> Option<LongTarget> {
        let request = &self.request;
        if self.kind != RejectionKind::LoginRequired || !request.is_sent_to_login() {
            return None;
        }
        let (engine, host) = (request.engine.as_ref()?, request.host.as_ref()?);
        let (login, application) = (engine.login()?, request.application.as_ref()?);
        let now = engine.now();
        let target = login.long_target((host, application), &request.path_and_query, now)?;
        let (login, host, address) = (Arc::clone(login), host.clone(), request.address);
        Some(LongTarget { login, host, target, address, now })
    }

    /// Adds the stored target.
    pub(crate) fn with_stored_target(self, stored: Option<crate::login::TargetId>) -> Self {
        Self { stored_target: stored, ..self }
    }

    /// Returns the reason.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the reference that links the response to its log line.
    #[must_use]
    pub fn reference(&self) -> &str {
        self.reference.as_str()
    }

    /// Returns the error of an invalid token of the request, also if a login is required because of
    /// it.
    #[must_use]
    pub fn token_error(&self) -> Option<TokenErrorKind> {
        self.token_error
    }

    /// Returns the name of the application of the request.
    #[must_use]
    pub fn application(&self) -> Option<&str> {
        self.request.application.as_ref().map(|application| &*application.application.name)
    }

    /// Returns the status of the bare response. A gRPC call gets 200 all the same, and the reason in
    /// `grpc-status`. git and git-lfs (by their `User-Agent`) get 403 instead of 401, at which they
    /// would delete the password that the user has saved for the host.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.status_by_kind() {
            StatusCode::UNAUTHORIZED if self.request.is_git => StatusCode::FORBIDDEN,
            status => status,
        }
    }

    fn status_by_kind(&self) -> StatusCode {
        match self.kind {
            RejectionKind::Path(PathError::TooLong) => StatusCode::URI_TOO_LONG,
            RejectionKind::Host
            | RejectionKind::Path(_)
            | RejectionKind::Resource(ResourceError::Ambiguous | ResourceError::TooMany)
            | RejectionKind::AmbiguousCredential => StatusCode::BAD_REQUEST,
            RejectionKind::NoApplication => StatusCode::NOT_FOUND,
            RejectionKind::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            RejectionKind::LoginRequired
            | RejectionKind::ServiceToken
            | RejectionKind::Token(_) => StatusCode::UNAUTHORIZED,
            RejectionKind::ServiceRequired if self.answers_401() => StatusCode::UNAUTHORIZED,
            RejectionKind::Denied
            | RejectionKind::Resource(_)
            | RejectionKind::ServiceRequired
            | RejectionKind::Preflight
            | RejectionKind::ForeignOrigin => StatusCode::FORBIDDEN,
            RejectionKind::KeysUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            RejectionKind::NotAuthenticated | RejectionKind::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// Returns whether a service token could open, and the request has no valid one.
    pub(super) fn needs_service_token(&self) -> bool {
        self.kind == RejectionKind::ServiceRequired
            && self
                .request
                .application
                .as_ref()
                .is_some_and(|it| it.policies.admits_service_tokens())
    }

    /// Returns whether no login gives access.
    pub(super) fn is_closed_to_users(&self) -> bool {
        self.request
            .application
            .as_ref()
            .is_some_and(|application| !application.policies.has_allow())
    }

    fn answers_401(&self) -> bool {
        self.request
            .application
            .as_ref()
            .is_some_and(|application| application.application.service_auth_401_redirect)
    }
}

/// The challenge in `WWW-Authenticate` (section 3.3 of the contract).
pub(super) const CHALLENGE: &str = "Cloudflare-Access";
const CHALLENGE_AFTER_TOKEN: &str = "Cloudflare-Access error=\"invalid_token\"";
