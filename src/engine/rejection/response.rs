//! Renders a refusal: a redirect, a page, text, or JSON.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue, WWW_AUTHENTICATE,
};
use http::{Method, StatusCode};
use serde::Serialize;

use crate::headers;
use crate::util::response::{ResponseBytes, json, redirect};

use super::super::resources::ResourceError;
use super::super::{Engine, Role};
use super::next_step::{next_step, return_path};
use super::{CHALLENGE, Rejection, RejectionKind, git, grpc};

/// Renders the response to a refused request.
pub(super) fn response_to(engine: &Engine, rejection: &Rejection) -> ResponseBytes {
    if let Some(content_type) = &rejection.request.grpc {
        let (kind, status) = (rejection.kind(), rejection.status());
        let mut response = grpc::refusal(content_type, kind, status, message(rejection));
        if rejection.request.cors.as_ref().is_some_and(|cors| cors.allows()) {
            let outcome = HeaderValue::from_static("grpc-status, grpc-message");
            response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, outcome);
        }
        return with_client_headers(response, rejection);
    }
    let response = match rejection.kind() {
        RejectionKind::LoginRequired => ask_for_login(engine, rejection),
        _ => refuse(engine, rejection, None),
    };
    with_client_headers(response, rejection)
}

/// Renders a refusal that a login helps with (section 3.3 of the contract). GET and HEAD are redirected
/// to the login, whatever they accept. Scripts, pages that ask for a WebSocket, and unsafe methods cannot
/// follow a redirect, and get 401. A WebSocket without an `Origin` comes from a program: clients such as
/// cloudflared start their login only at a redirect. Background requests of browsers get 401 as well.
fn ask_for_login(engine: &Engine, rejection: &Rejection) -> ResponseBytes {
    let request = &rejection.request;
    let (location, cookie) = login_location(engine, rejection);
    // A background request starts no login: no redirect, no cookie. Browsers discard a prefetch or a
    // prerender with status 401, and send the request again at the visit.
    if request.is_background {
        return refuse(engine, rejection, location.as_deref());
    }
    let Some(location) = location else { return refuse(engine, rejection, None) };
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    let follows = !request.is_script && !request.is_socket_of_page;
    let mut response = if reads && follows {
        redirect(location)
    } else {
        refuse(engine, rejection, Some(&location))
    };
    let is_redirected = response.status() == StatusCode::FOUND;
    let lines = response.headers_mut();
    if is_redirected {
        lines.append(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    lines.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    if let Some(cookie) = cookie {
        lines.append(http::header::SET_COOKIE, cookie);
    }
    response
}

/// Returns the URL of the login, and the cookie that ties it to this browser.
fn login_location(engine: &Engine, rejection: &Rejection) -> (Option<String>, Option<HeaderValue>) {
    let request = &rejection.request;
    let (Some(host), Some(application)) = (&request.host, &request.application) else {
        return (None, None);
    };
    match &engine.role {
        Role::Verifying(verifying) => {
            let (issuer, audience) = (&*verifying.issuer, application.audience());
            let url = |target: &str| {
                // Some characters take three.
                let room = issuer.len() + host.as_str().len() + audience.len() + target.len() + 96;
                let mut url = String::with_capacity(room);
                url.extend([issuer, "/cdn-cgi/access/login/", host.as_str(), "?"]);
                let query = url.len();
                // Hexadecimal digits: there is nothing to escape.
                url.extend(["kid=", audience]);
                url::form_urlencoded::Serializer::for_suffix(url, query)
                    .append_pair("redirect_url", target)
                    .finish()
            };
            (Some(shortest_of(&return_path(engine, rejection), url)), None)
        }
        Role::Issuing(issuing) => {
            use crate::session::cookie;
            let login = &issuing.login;
            let now = engine.now();
            // The browser's cookie stays, because logins in other tabs are tied to it.
            let app_session = match &request.app_session {
                Some(value) => Some(value.clone()),
                None if request.is_background => None,
                None => match crate::random::hex::<16>(&*engine.random) {
                    Ok(value) => Some(value),
                    Err(_) => return (None, None),
                },
            };
            let path = return_path(engine, rejection);
            let target = (&*path, rejection.stored_target.as_ref());
            let tied_to = app_session.as_deref();
            let location = login.login_url((host, application), target, tied_to, now);
            let Some(app_session) = app_session else { return (Some(location), None) };
            let end = now.plus(cookie::APP_SESSION_LIFETIME);
            let cookie = cookie::SetCookie::new(cookie::APP_SESSION, &app_session, end);
            (Some(location), cookie.header(host))
        }
    }
}

/// Renders text for git, a page for a browser, and JSON for other clients.
fn refuse(engine: &Engine, rejection: &Rejection, login_url: Option<&str>) -> ResponseBytes {
    if rejection.request.is_git {
        let message = match rejection.kind() {
            RejectionKind::LoginRequired => GIT_CANNOT_LOG_IN,
            _ => message(rejection),
        };
        let response = git::refusal(rejection.status(), message, rejection.reference());
        return with_refusal_headers(response, rejection);
    }
    if rejection.request.wants_html && !rejection.request.is_script {
        if let Some(url) = deny_url(rejection) {
            return redirect(url);
        }
        return page(engine, rejection, login_url);
    }
    let text = RefusalText {
        error: code(rejection.kind()),
        login_url,
        message: message(rejection),
        reference: rejection.reference(),
    };
    // Text is always JSON.
    let text = serde_json::to_vec(&text).unwrap_or_default();
    with_refusal_headers(json(rejection.status(), text.into()), rejection)
}

/// A refusal as JSON.
#[derive(Serialize)]
struct RefusalText<'a> {
    error: &'static str,
    login_url: Option<&'a str>,
    message: &'static str,
    reference: &'a str,
}

fn page(engine: &Engine, rejection: &Rejection, login_url: Option<&str>) -> ResponseBytes {
    use crate::pages::{self, BuiltInPages, Denied, Forbidden, Page, Pages, Problem};

    let built_in = BuiltInPages;
    let login = engine.login();
    let pages: &dyn Pages = match login {
        Some(login) => &*login.pages,
        None => &built_in,
    };
    let request = &rejection.request;
    let reference = rejection.reference();
    let login_url = match (rejection.kind(), login_url) {
        (RejectionKind::Token(_), None) => login_location(engine, rejection).0,
        (_, url) => url.map(str::to_owned),
    };
    let next = next_step(engine, rejection, login_url);
    let host = request.host.as_ref().map(|host| host.as_str());
    let message = match next.advice {
        "" => page_message(rejection).to_owned(),
        advice => format!("{} {advice}", page_message(rejection)),
    };
    let content = match (rejection.kind(), &request.application, &request.email) {
        (RejectionKind::Denied, Some(application), Some(email)) => Page::Denied(Denied {
            application: &application.application.name,
            host,
            email: Some(email),
            message: application.application.custom_deny_message.as_deref(),
            reference,
            sign_out_url: next.url.as_deref(),
            retry_url: None,
            sessions_url: login.is_some().then_some("/cdn-cgi/access/sessions"),
        }),
        (RejectionKind::Denied | RejectionKind::ServiceRequired, ..)
            if !rejection.needs_service_token() =>
        {
            Page::Forbidden(Forbidden {
                host,
                reference,
                sign_out_url: next.url.as_deref(),
                home_url: next.home,
            })
        }
        _ => Page::Problem(
            Problem::new(title(rejection), &message)
                .host(host)
                .reference(reference)
                .retry(next.url.as_deref(), next.label)
                .home_url(next.home),
        ),
    };
    with_refusal_headers(pages::response(pages, rejection.status(), &content), rejection)
}

/// Returns what the page tells the user about the reason.
fn page_message(rejection: &Rejection) -> &'static str {
    match rejection.kind() {
        RejectionKind::LoginRequired if rejection.token_error().is_some() => {
            "What you have just sent was not saved. To keep it, go back in your browser and copy the \
             text before you log in again."
        }
        RejectionKind::LoginRequired => {
            "This site is for people who have logged in. What you have just sent was not saved: to \
             keep it, go back in your browser and copy the text first."
        }
        RejectionKind::Token(_) => {
            "This site does not accept the proof of your login. Please log in again. If that does \
             not help, show your system administrator this reference."
        }
        _ => message(rejection),
    }
}

/// Returns the URL of a login at an issuer, with as much of the target as fits into a response header of
/// a front server with a limit of 4 KiB: all of it, its path, or `/`.
fn shortest_of(path_and_query: &str, url: impl Fn(&str) -> String) -> String {
    // Browsers read two slashes at the start of a path as a host.
    if path_and_query.starts_with("//") || path_and_query.starts_with("/\\") {
        return url("/");
    }
    let path = path_and_query.split('?').next().unwrap_or_default();
    let whole = url(path_and_query);
    if whole.len() <= MAX_LOCATION {
        return whole;
    }
    let shortened = url(path);
    if shortened.len() <= MAX_LOCATION { shortened } else { url("/") }
}

/// Bytes: the rest of 4 KiB is for the other headers.
const MAX_LOCATION: usize = 3_072;

fn with_refusal_headers(mut response: ResponseBytes, rejection: &Rejection) -> ResponseBytes {
    rejection.set_headers(response.headers_mut());
    response
}

/// Adds the headers that command-line clients read from every refusal.
fn with_client_headers(mut response: ResponseBytes, rejection: &Rejection) -> ResponseBytes {
    let request = &rejection.request;
    let lines = response.headers_mut();
    if let Some(audience) = request.application.as_ref().and_then(|it| it.audience_header()) {
        lines.append(headers::AUD, audience.clone());
    }
    let known = request.application.as_ref().and(request.host.as_ref());
    if let Some(host) = known.and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        lines.append(headers::DOMAIN, host);
    }
    rejection.set_cors_headers(lines);
    response
}

/// Returns the operator's URL for refused users. Not with 401, which the application has asked for.
fn deny_url(rejection: &Rejection) -> Option<&str> {
    let is_denial =
        matches!(rejection.kind(), RejectionKind::Denied | RejectionKind::ServiceRequired);
    let url = rejection.request.deny_url.as_deref();
    url.filter(|_| is_denial && rejection.status() == StatusCode::FORBIDDEN)
}

fn title(rejection: &Rejection) -> &'static str {
    match rejection.status() {
        // A login does not help.
        _ if rejection.needs_service_token() => "Forbidden",
        _ if matches!(rejection.kind(), RejectionKind::Token(_)) => {
            "Your access could not be verified"
        }
        _ if rejection.kind() == RejectionKind::LoginRequired
            && rejection.token_error().is_some() =>
        {
            "Your session has ended"
        }
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::UNAUTHORIZED => "Please log in",
        StatusCode::SERVICE_UNAVAILABLE => "Not possible right now",
        StatusCode::INTERNAL_SERVER_ERROR => "Something went wrong",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::TOO_MANY_REQUESTS => "Too many attempts",
        _ => "This request cannot be read",
    }
}

/// Returns the machine-readable code, which reveals no more than status and message.
fn code(kind: RejectionKind) -> &'static str {
    match kind {
        RejectionKind::Host
        | RejectionKind::Path(_)
        | RejectionKind::Resource(ResourceError::Ambiguous | ResourceError::TooMany)
        | RejectionKind::AmbiguousCredential => "bad_request",
        RejectionKind::NoApplication => "not_found",
        RejectionKind::LoginRequired => "login_required",
        RejectionKind::ServiceToken => "invalid_service_token",
        RejectionKind::TooManyAttempts => "too_many_attempts",
        RejectionKind::Token(_) => "invalid_token",
        RejectionKind::ServiceRequired
        | RejectionKind::Denied
        | RejectionKind::Resource(_)
        | RejectionKind::Preflight
        | RejectionKind::ForeignOrigin => "forbidden",
        RejectionKind::KeysUnavailable => "unavailable",
        RejectionKind::NotAuthenticated | RejectionKind::Internal => "internal_error",
    }
}

const GIT_CANNOT_LOG_IN: &str = "A login is required, and git cannot log in by itself. Send a \
                                 token that this site accepts with git's setting http.extraHeader.";

/// Returns what the client may know about the reason.
fn message(rejection: &Rejection) -> &'static str {
    match rejection.kind() {
        _ if rejection.needs_service_token() && rejection.is_closed_to_users() => {
            "Only services have access here: a service token is required, in the headers \
             CF-Access-Client-Id and CF-Access-Client-Secret."
        }
        _ if rejection.needs_service_token() => {
            "A service token is required, in the headers CF-Access-Client-Id and \
             CF-Access-Client-Secret."
        }
        RejectionKind::Host => "The Host header is missing or ambiguous.",
        RejectionKind::Path(error) => error.description(),
        RejectionKind::Resource(ResourceError::Ambiguous | ResourceError::TooMany) => {
            "A header of the request names a resource in a way that is ambiguous."
        }
        RejectionKind::AmbiguousCredential => "A credential is repeated.",
        RejectionKind::NoApplication => "No application has this address.",
        RejectionKind::LoginRequired => "A login is required.",
        RejectionKind::ServiceToken => "The service token is invalid.",
        RejectionKind::TooManyAttempts => {
            "Too many invalid service tokens. Please try again in a minute."
        }
        RejectionKind::Token(_) => "The token is invalid.",
        RejectionKind::ServiceRequired
        | RejectionKind::Denied
        | RejectionKind::Resource(_)
        | RejectionKind::Preflight
        | RejectionKind::ForeignOrigin => "You don't have permission to view this.",
        RejectionKind::KeysUnavailable => {
            "Credentials cannot be checked right now. Please try again in a moment."
        }
        RejectionKind::NotAuthenticated | RejectionKind::Internal => {
            "The request could not be handled."
        }
    }
}
