//! Routes a request to its endpoint.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderValue};
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use crate::headers;
use crate::util::response::{ResponseBytes, empty, json, with};

use super::method::EndpointCall;
use super::{EndpointRequest, Login, OWN_PREFIX, Refusal, command_line};

/// Finds the endpoint by host and exact path, and runs it.
pub(super) async fn route(
    login: &Login,
    request: &EndpointRequest,
) -> Result<ResponseBytes, Refusal> {
    if let Some(key) = login.transfer_key(&request.host, &request.path) {
        return match check(request, &[Method::GET]) {
            Some(refusal) => Ok(refusal),
            None => login.transfer(request, key).await,
        };
    }
    let host = request.host.as_str();
    let on_application = login.directory.has_host(host);
    let on_team_domain =
        login.team_domain.as_ref().map_or(on_application, |team| *team.host() == request.host);
    if !on_application && !on_team_domain {
        return Ok(login.problem(
            request,
            StatusCode::NOT_FOUND,
            "Unable to find your Access organization!",
            "This host belongs to none of the applications.",
        ));
    }
    let path = request.path.strip_prefix(OWN_PREFIX).unwrap_or_default();
    let mut parts = path.trim_start_matches('/').splitn(2, '/');
    let (step, argument) = (parts.next().unwrap_or_default(), parts.next());
    // A canonical path has the brackets of an IPv6 address as escapes.
    let argument = argument.map(|host| percent_decode_str(host).decode_utf8_lossy());
    // A prefetch or an image must not begin a login, mail a code or use up a grant.
    // (`logout` and `cli` ask before they act.)
    let is_visit = matches!(step, "login" | "authorized" | "refresh-identity")
        || login.methods.refuses_background(step);
    if is_visit && headers::is_background(&request.headers) {
        return Ok(empty(StatusCode::FORBIDDEN));
    }
    match (step, argument.as_deref()) {
        ("certs", None) => read_only(request, || key_set(login.issuer.key_set_json(request.now))),
        ("get-identity", None) => match check(request, READS) {
            Some(refusal) => Ok(refusal),
            None => Ok(login.identity(request).await),
        },
        ("logout", None) => match check(request, READS_AND_POST) {
            Some(refusal) => Ok(refusal),
            None => login.sign_out(request).await,
        },
        ("signed-out", None) => {
            Ok(check(request, READS).unwrap_or_else(|| login.signed_out_at_provider(request)))
        }
        ("backchannel-logout", None) if on_team_domain => match check(request, &[Method::POST]) {
            Some(refusal) => Ok(refusal),
            None => Ok(login.back_channel_logout(request).await),
        },
        ("refresh-identity", None) => match check(request, READS) {
            Some(refusal) => Ok(refusal),
            None if on_team_domain => login.refresh_identity(request).await,
            None => Ok(login.to_refresh_identity(request)),
        },
        ("authorized", None) if on_application => match check(request, READS) {
            Some(refusal) => Ok(refusal),
            None => login.authorized(request).await,
        },
        ("login", argument) => {
            match (check(request, READS), argument.filter(|it| !it.is_empty())) {
                (Some(refusal), _) => Ok(refusal),
                (None, Some(app_host)) if on_team_domain => login.sign_in(request, app_host).await,
                (None, app_host) => login.start_without_application(request, app_host).await,
            }
        }
        ("cli", None) if on_application && command_line::IS_AVAILABLE => {
            match check(request, READS) {
                Some(refusal) => Ok(refusal),
                None => login.start_client_login(request),
            }
        }
        ("cli", Some(app_host)) if on_team_domain && command_line::IS_AVAILABLE => {
            match check(request, READS_AND_POST) {
                Some(refusal) => Ok(refusal),
                None => login.client_approval(request, app_host).await,
            }
        }
        ("sessions", None) => match check(request, READS_AND_POST) {
            Some(refusal) => Ok(refusal),
            None if on_team_domain => login.own_sessions(request).await,
            None => Ok(login.to_own_sessions(request)),
        },
        (name, host) if on_team_domain && login.methods.has_endpoint(name, host) => {
            login.methods.answer(login, EndpointCall { request, name, host }).await
        }
        (first, second) => {
            let document = on_team_domain.then(|| provider_document(login, request, first, second));
            Ok(document.flatten().unwrap_or_else(|| {
                login.problem(
                    request,
                    StatusCode::NOT_FOUND,
                    "There is nothing here",
                    "This address is reserved for the login, but does not exist.",
                )
            }))
        }
    }
}

/// Returns a document about this site for an identity provider, at `NAME` or `ID/NAME`.
fn provider_document(
    login: &Login,
    request: &EndpointRequest,
    first: &str,
    second: Option<&str>,
) -> Option<ResponseBytes> {
    let id = second.map(|_| percent_decode_str(first).decode_utf8_lossy());
    let name = second.unwrap_or(first);
    let document = login.methods.provider_document((login, request), id.as_deref(), name)?;
    Some(check(request, READS).unwrap_or(document))
}

/// Returns the key set, cacheable for 5 minutes: validators fetch a new key when they see its first token.
fn key_set(text: Bytes) -> ResponseBytes {
    let mut answer = json(StatusCode::OK, text);
    answer.headers_mut().remove(EXPIRES);
    let for_a_while = HeaderValue::from_static("public, max-age=300");
    answer.headers_mut().insert(CACHE_CONTROL, for_a_while);
    answer
}

fn read_only(
    request: &EndpointRequest,
    answer: impl FnOnce() -> ResponseBytes,
) -> Result<ResponseBytes, Refusal> {
    Ok(check(request, READS).unwrap_or_else(answer))
}

/// Returns the response to an unsupported method, or to a body that is not a form.
pub(super) fn check(request: &EndpointRequest, allowed: &[Method]) -> Option<ResponseBytes> {
    if !allowed.contains(&request.method) {
        let names: Vec<_> = allowed.iter().map(Method::as_str).collect();
        return Some(with(empty(StatusCode::METHOD_NOT_ALLOWED), ALLOW, &names.join(", ")));
    }
    let is_form = || {
        request
            .headers
            .get(CONTENT_TYPE)
            .and_then(|line| line.to_str().ok())
            .and_then(|line| line.split(';').next())
            .is_some_and(|kind| {
                kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
            })
    };
    (request.method == Method::POST && !request.body.is_empty() && !is_form())
        .then(|| empty(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

const READS: &[Method] = &[Method::GET, Method::HEAD];
const READS_AND_POST: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
