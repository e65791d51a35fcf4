//! Why a request does not reach the inner service.

mod git;
mod grpc;
mod kind;
mod next_step;
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
pub(super) use self::returned::{is_visit, rejected_token};

use super::Engine;
use super::authorize::Cors;
use super::peer::{arrived_uri, nested_at};
use super::resources::ResourceError;
use crate::application::{CanonicalHost, CompiledApplication, PathError};
use crate::audit::{self, Event, EventKind};
use crate::headers;
use crate::policy::VerdictId;
use crate::random::SystemRandom;
use crate::session::cookie;
use crate::token::TokenErrorKind;
use crate::util::response::{ResponseBytes, empty};

/// A request that was refused, in the extensions of the answer.
///
/// [`AuthenticateLayer`](crate::AuthenticateLayer) and [`AuthorizeLayer`](crate::AuthorizeLayer)
/// leave it on a bare answer; [`LoginLayer`](crate::LoginLayer) makes a redirect, a page or JSON
/// of it. It stays in the extensions for layers further out:
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
    reference: Arc<str>,
    token_error: Option<TokenErrorKind>,
    pub(super) request: Arc<RejectedRequest>,
    /// Where the login finds a target that is too long for its address.
    pub(super) stored_target: Option<crate::login::TargetId>,
}

/// What an answer needs to know of the request. Made for refusals only.
pub(super) struct RejectedRequest {
    /// Whose refusal it is: services may be gone before their answers are.
    engine: Option<Arc<Engine>>,
    pub(super) method: Method,
    pub(super) host: Option<CanonicalHost>,
    pub(super) path_and_query: String,
    pub(super) protected: Option<Arc<CompiledApplication>>,
    pub(super) email: Option<String>,
    /// The page of the operator's that takes the place of a refusal.
    pub(super) deny_url: Option<String>,
    /// What the answer says to pages of other origins.
    pub(super) cors: Option<Box<Cors>>,
    /// The content type of a gRPC call.
    pub(super) grpc: Option<HeaderValue>,
    /// Sent by git or git-lfs: refused with a text, and never with 401.
    pub(super) is_git: bool,
    pub(super) is_script: bool,
    /// Whether a page asked for a WebSocket, and not a program without a browser.
    pub(super) is_socket_of_page: bool,
    /// Sent by a browser on its own, for a part of a page or ahead of a visit.
    pub(super) is_background: bool,
    pub(super) wants_html: bool,
    /// The page that a form was on, as the browser tells it: 8 KiB at most.
    pub(super) referer: Option<String>,
    /// Whether it brings a cookie of a login, so that there is an account to give up.
    pub(super) has_session: bool,
    /// The cookie that ties a login to this browser, where it has one.
    pub(super) app_session: Option<String>,
    /// Where the nested router lies that refused it, if one did.
    nested_at: Option<Box<str>>,
    /// The address it came from.
    address: Option<IpAddr>,
}

/// A target that has to be stored.
pub(crate) struct LongTarget {
    login: Arc<crate::login::Login>,
    host: CanonicalHost,
    target: crate::login::ReturnTarget,
    address: Option<IpAddr>,
    now: crate::clock::Timestamp,
}

impl LongTarget {
    /// Stores it. Where that fails the login returns to a part of it.
    pub(crate) async fn store(self) -> Option<crate::login::TargetId> {
        let Self { login, host, target, address, now } = self;
        match login.store_target(&host, &target, address, now).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%error, "a long return target is not stored: it is shortened");
                None
            }
        }
    }
}

/// What is known of a refused request beside the request itself.
#[derive(Debug, Default)]
pub(super) struct About {
    pub(super) host: Option<CanonicalHost>,
    pub(super) protected: Option<Arc<CompiledApplication>>,
    pub(super) email: Option<String>,
    pub(super) token_error: Option<TokenErrorKind>,
    /// What an explanation of the request has as well.
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
        about: About,
    ) -> Self {
        let About { host, protected, email, token_error: _, verdict: _, deny_url, cors } = about;
        // A page of another origin can follow no redirect to the login, whatever its browser says.
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
            protected,
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

    /// Whether a refusal is a page.
    pub(super) fn is_read_by_a_person(&self) -> bool {
        self.wants_html && !self.is_script && !self.is_git && self.grpc.is_none()
    }

    /// Whether the answer to a request that needs a login leads a person there.
    fn is_sent_to_login(&self) -> bool {
        self.method == Method::GET
            && self.grpc.is_none()
            && !self.is_background
            && !self.is_script
            && !self.is_socket_of_page
    }
}

/// Of a form alone: whoever asks for a page comes back to that page.
fn referer(method: &Method, headers: &HeaderMap) -> Option<String> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut values = headers.get_all(REFERER).iter();
    let (first, second) = (values.next(), values.next());
    let referer = first.filter(|_| second.is_none())?.to_str().ok()?;
    (referer.len() <= LONGEST_REFERER).then(|| referer.to_owned())
}

/// Bytes.
const LONGEST_REFERER: usize = 8 << 10;

impl Engine {
    /// Refuses a request, and leaves a line in the log under the reference its sender gets.
    pub(super) fn reject<B>(
        &self,
        kind: RejectionKind,
        request: &Request<B>,
        about: About,
    ) -> Rejection {
        let reference =
            crate::random::hex::<8>(&*self.random).unwrap_or_else(|_| "none".to_owned());
        let token_error = about.token_error;
        let sender = self.sender_again(request.headers(), request.extensions()).address;
        audit::record(&refused(&kind, &reference, &about).address(sender));
        let uri = arrived_uri(request.uri(), request.extensions());
        let (line, headers) = ((request.method(), request.version()), request.headers());
        let nested_at = nested_at(request.extensions()).map(Into::into);
        let request = RejectedRequest::new(self.me.upgrade(), line, uri, headers, about);
        let request = RejectedRequest { address: sender, nested_at, ..request };
        Rejection {
            kind,
            reference: reference.into(),
            token_error,
            request: Arc::new(request),
            stored_target: None,
        }
    }
}

fn refused<'a>(kind: &'a RejectionKind, reference: &'a str, about: &'a About) -> Event<'a> {
    let event = |kind| {
        Event::new(kind)
            .reference(reference)
            .application(about.protected.as_deref().map(CompiledApplication::audited))
            .host(about.host.as_ref().map(CanonicalHost::as_str))
            .token_error(about.token_error.map(TokenErrorKind::as_str))
    };
    match kind {
        RejectionKind::LoginRequired => event(EventKind::LoginRequired),
        RejectionKind::TooManyAttempts => event(EventKind::TooManyAttempts),
        reason => event(EventKind::RequestRefused)
            .reason(reason)
            .email(about.email.as_deref())
            .verdict(about.verdict.as_ref()),
    }
}

impl Engine {
    /// Refuses a request whose way ended in a panic. Calls no code that may have caused it: neither
    /// the engine's clock nor its random generator.
    pub(crate) fn refuse_after_panic<B>(&self, request: &Request<B>) -> Rejection {
        let kind = RejectionKind::Internal;
        let reference =
            crate::random::hex::<8>(&SystemRandom).unwrap_or_else(|_| "none".to_owned());
        let event = Event::new(EventKind::RequestPanicked);
        audit::record(&event.reference(&reference).reason(&kind));
        let uri = arrived_uri(request.uri(), request.extensions());
        let (line, headers) = ((request.method(), request.version()), request.headers());
        let request = RejectedRequest::new(self.me.upgrade(), line, uri, headers, About::default());
        Rejection {
            kind,
            reference: reference.into(),
            token_error: None,
            request: Arc::new(request),
            stored_target: None,
        }
    }
}

/// Whether a router that is nested there gets the requests for the login's endpoints.
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
    /// What every answer to the refusal says, bare or dressed: how to come in after a 401 (RFC 9110,
    /// section 11.6.1), and when to come again after a 429 or 503. What exactly was wrong with a token is
    /// for the operator alone.
    pub(crate) fn describe(&self, headers: &mut HeaderMap) {
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

    /// Says on an answer, bare or dressed, what pages of other origins may do with it.
    pub(crate) fn share(&self, headers: &mut HeaderMap) {
        if let Some(cors) = &self.request.cors {
            cors.apply(headers);
        }
    }

    /// The answer its sender gets, of the engine that refused.
    pub(crate) fn answer(&self) -> ResponseBytes {
        match &self.request.engine {
            Some(engine) => response::response_to(engine, self),
            None => empty(self.status()),
        }
    }

    /// Whether a layer inside of a nested router refused it.
    pub(crate) fn is_of_nested_router(&self) -> bool {
        self.request.nested_at.is_some()
    }

    /// Warns once that people are sent to a login that does not reach its layer.
    pub(crate) fn warn_of_nesting(&self) {
        let (Some(engine), Some(at)) = (&self.request.engine, &self.request.nested_at) else {
            return;
        };
        if self.kind == RejectionKind::LoginRequired
            && engine.login().is_some()
            && !can_hold_endpoints(at)
            && !engine.lasting.knows_of_nesting.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                nested_at = &**at,
                "the login is 404: its layer is inside of a nested router, which requests for \
                 /cdn-cgi/access/ do not reach; apply the layer to the outer router"
            );
        }
    }

    /// What has to be stored before the answer can be made: a person is sent to the login, and the
    /// target is too long for its address.
    pub(crate) fn long_target(&self) -> Option<LongTarget> {
        let request = &self.request;
        if self.kind != RejectionKind::LoginRequired || !request.is_sent_to_login() {
            return None;
        }
        let (engine, host) = (request.engine.as_ref()?, request.host.as_ref()?);
        let (login, protected) = (engine.login()?, request.protected.as_ref()?);
        let now = engine.now();
        let target = login.long_target((host, protected), &request.path_and_query, now)?;
        let (login, host, address) = (Arc::clone(login), host.clone(), request.address);
        Some(LongTarget { login, host, target, address, now })
    }

    /// The same, with the target stored.
    pub(crate) fn with_stored_target(self, stored: Option<crate::login::TargetId>) -> Self {
        Self { stored_target: stored, ..self }
    }

    /// Why.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// What ties the answer to its line in the log.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// What was wrong with the token the request brought, if it brought one that was not good: also
    /// where a login is asked for, since a login mends it.
    #[must_use]
    pub fn token_error(&self) -> Option<TokenErrorKind> {
        self.token_error
    }

    /// The application the request was for.
    #[must_use]
    pub fn application(&self) -> Option<&str> {
        self.request.protected.as_ref().map(|protected| &*protected.application.name)
    }

    /// The status of the bare answer. A gRPC call gets 200 all the same, and the reason in
    /// `grpc-status`. git and git-lfs (by their `User-Agent`) get 403 in place of 401, at which they
    /// would delete the password that a person has saved for the host.
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

    /// Whether a service token could open, and the request has proved none.
    pub(super) fn needs_service_token(&self) -> bool {
        self.kind == RejectionKind::ServiceRequired
            && self.request.protected.as_ref().is_some_and(|it| it.policies.admits_service_tokens())
    }

    /// Whether nobody gets in by a login.
    pub(super) fn is_closed_to_people(&self) -> bool {
        self.request.protected.as_ref().is_some_and(|protected| !protected.policies.has_allow())
    }

    fn answers_401(&self) -> bool {
        self.request
            .protected
            .as_ref()
            .is_some_and(|protected| protected.application.service_auth_401_redirect)
    }
}

/// Named in `WWW-Authenticate` (section 3.3 of the contract).
pub(super) const CHALLENGE: &str = "Cloudflare-Access";
const CHALLENGE_AFTER_TOKEN: &str = "Cloudflare-Access error=\"invalid_token\"";
