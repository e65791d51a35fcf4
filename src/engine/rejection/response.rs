//! From a refusal to what its sender sees: a redirect, a page, or JSON.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_EXPOSE_HEADERS, HeaderName, HeaderValue,
    WWW_AUTHENTICATE,
};
use http::{Method, StatusCode};

use crate::headers;
use crate::util::response::{ResponseBytes, json, redirect, with};

use super::super::resources::ResourceError;
use super::super::{Engine, Role};
use super::next_step::{next_step, return_path};
use super::{CHALLENGE, Rejection, RejectionKind, git, grpc};

/// The answer to a refused request.
pub(super) fn response_to(engine: &Engine, rejection: &Rejection) -> ResponseBytes {
    if let Some(content_type) = &rejection.request.grpc {
        let (kind, status) = (rejection.kind(), rejection.status());
        let mut answer = grpc::refusal(content_type, kind, status, message(rejection));
        if rejection.request.cors.as_ref().is_some_and(|cors| cors.allows()) {
            let outcome = HeaderValue::from_static("grpc-status, grpc-message");
            answer.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, outcome);
        }
        return describe(answer, rejection);
    }
    let answer = match rejection.kind() {
        RejectionKind::LoginRequired => ask_for_login(engine, rejection),
        _ => refuse(engine, rejection, None),
    };
    describe(answer, rejection)
}

/// Section 3.3: GET and HEAD are sent to the login, whatever they accept; scripts, pages that ask
/// for a WebSocket and unsafe methods cannot follow, and get 401. A socket without an `Origin` is a
/// program's: carriers such as cloudflared's begin their login at the redirect, and at nothing
/// else. What browsers fetch on their own gets 401 as well.
fn ask_for_login(engine: &Engine, rejection: &Rejection) -> ResponseBytes {
    let request = &rejection.request;
    let (location, cookie) = login_location(engine, rejection);
    // What a browser fetches on its own begins no login: no redirect, no cookie. Browsers throw
    // away a prefetch or a prerender that was answered 401, and ask again at the visit.
    if request.is_background {
        return refuse(engine, rejection, location.as_deref());
    }
    let Some(location) = location else { return refuse(engine, rejection, None) };
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    let follows = !request.is_script && !request.is_socket_of_page;
    let answer = if reads && follows {
        redirect(&location)
    } else {
        refuse(engine, rejection, Some(&location))
    };
    let mut answer = match answer.status() {
        StatusCode::FOUND => with(answer, WWW_AUTHENTICATE, CHALLENGE),
        _ => answer,
    };
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    if let Some(cookie) = cookie {
        answer.headers_mut().append(http::header::SET_COOKIE, cookie);
    }
    answer
}

/// Where the login is, and the cookie that ties it to this browser.
fn login_location(engine: &Engine, rejection: &Rejection) -> (Option<String>, Option<HeaderValue>) {
    let request = &rejection.request;
    let (Some(host), Some(protected)) = (&request.host, &request.protected) else {
        return (None, None);
    };
    match &engine.role {
        Role::Verifying(verifying) => {
            let issuer = verifying.team_domain.issuer();
            let url = |target: &str| {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("kid", protected.audience())
                    .append_pair("redirect_url", target)
                    .finish();
                format!("{issuer}/cdn-cgi/access/login/{host}?{query}")
            };
            (Some(shortest_of(&return_path(engine, rejection), url)), None)
        }
        Role::Issuing(issuing) => {
            use crate::session::cookie;
            let login = &issuing.login;
            let now = engine.now();
            // The one the browser has stays good: logins in other tabs are tied to it.
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
            let location = login.login_url((host, protected), target, tied_to, now);
            let Some(app_session) = app_session else { return (Some(location), None) };
            let end = now.plus(cookie::APP_SESSION_LIFETIME);
            let cookie = cookie::SetCookie::new(cookie::APP_SESSION, &app_session, end);
            (Some(location), cookie.header(host))
        }
    }
}

/// A text for git, a page for a person, JSON for everybody else.
fn refuse(engine: &Engine, rejection: &Rejection, login_url: Option<&str>) -> ResponseBytes {
    if rejection.request.is_git {
        let message = match rejection.kind() {
            RejectionKind::LoginRequired => GIT_CANNOT_LOG_IN,
            _ => message(rejection),
        };
        let answer = git::refusal(rejection.status(), message, rejection.reference());
        return described(answer, rejection);
    }
    if rejection.request.wants_html && !rejection.request.is_script {
        if let Some(url) = deny_url(rejection) {
            return redirect(url);
        }
        return page(engine, rejection, login_url);
    }
    let text = serde_json::json!({
        "error": code(rejection.kind()),
        "message": message(rejection),
        "login_url": login_url,
        "reference": rejection.reference(),
    });
    described(json(rejection.status(), text.to_string().into()), rejection)
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
    let content = match (rejection.kind(), &request.protected, &request.email) {
        (RejectionKind::Denied, Some(protected), Some(email)) => Page::Denied(Denied {
            application: &protected.application.name,
            host,
            email: Some(email),
            message: protected.application.custom_deny_message.as_deref(),
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
    described(pages::response(pages, rejection.status(), &content), rejection)
}

/// What a person may know of the reason.
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

/// The address of a login elsewhere, for as much of a target as the head of an answer can hold where
/// front servers take 4 KiB: all of it, its path, or `/`.
fn shortest_of(path_and_query: &str, url: impl Fn(&str) -> String) -> String {
    // To a browser two slashes begin the name of a host.
    if path_and_query.starts_with("//") || path_and_query.starts_with("/\\") {
        return url("/");
    }
    let path = path_and_query.split('?').next().unwrap_or_default();
    let whole = url(path_and_query);
    if whole.len() <= LONGEST_LOCATION {
        return whole;
    }
    let shortened = url(path);
    if shortened.len() <= LONGEST_LOCATION { shortened } else { url("/") }
}

/// What is left of 4 KiB is for the other headers.
const LONGEST_LOCATION: usize = 3_072;

fn described(mut answer: ResponseBytes, rejection: &Rejection) -> ResponseBytes {
    rejection.describe(answer.headers_mut());
    answer
}

/// Command-line clients read these from every refusal.
fn describe(answer: ResponseBytes, rejection: &Rejection) -> ResponseBytes {
    let add = |answer, name: HeaderName, value: Option<&str>| match value {
        Some(value) => with(answer, name, value),
        None => answer,
    };
    let request = &rejection.request;
    let answer = add(
        answer,
        headers::AUD,
        request.protected.as_deref().map(|protected| protected.audience()),
    );
    let known = request.protected.as_ref().and(request.host.as_ref());
    let mut answer = add(answer, headers::DOMAIN, known.map(|host| host.as_str()));
    rejection.share(answer.headers_mut());
    answer
}

/// The operator's page for those who are refused; a 401 was asked for by name.
fn deny_url(rejection: &Rejection) -> Option<&str> {
    let is_denial =
        matches!(rejection.kind(), RejectionKind::Denied | RejectionKind::ServiceRequired);
    let url = rejection.request.deny_url.as_deref();
    url.filter(|_| is_denial && rejection.status() == StatusCode::FORBIDDEN)
}

fn title(rejection: &Rejection) -> &'static str {
    match rejection.status() {
        // A login would not help.
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

/// Machine-readable; says no more than the status and the message do.
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

/// What a stranger may know of the reason.
fn message(rejection: &Rejection) -> &'static str {
    match rejection.kind() {
        _ if rejection.needs_service_token() && rejection.is_closed_to_people() => {
            "Only services may enter here: a service token is required, in the headers \
             CF-Access-Client-Id and CF-Access-Client-Secret."
        }
        _ if rejection.needs_service_token() => {
            "A service token is required, in the headers CF-Access-Client-Id and \
             CF-Access-Client-Secret."
        }
        RejectionKind::Host => "The Host header is missing or ambiguous.",
        RejectionKind::Path(error) => error.in_words(),
        RejectionKind::Resource(ResourceError::Ambiguous | ResourceError::TooMany) => {
            "A header of the request names a resource in a way that is ambiguous."
        }
        RejectionKind::AmbiguousCredential => "A credential is there more than once.",
        RejectionKind::NoApplication => "No application is reached under this address.",
        RejectionKind::LoginRequired => "A login is required.",
        RejectionKind::ServiceToken => "The service token is not good.",
        RejectionKind::TooManyAttempts => {
            "Too many service tokens were not good. Please try again in a minute."
        }
        RejectionKind::Token(_) => "The token is not good.",
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
