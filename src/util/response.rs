//! Responses of our own, as opposed to those of an inner service.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};

/// A response with a complete body.
pub(crate) type ResponseBytes = Response<Bytes>;

/// Returns an empty response that no cache stores.
pub(crate) fn empty(status: StatusCode) -> ResponseBytes {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    // Room for what every kind of response adds: a map that grows is built twice.
    response.headers_mut().reserve(USUAL_HEADERS);
    forbid_caching(response.headers_mut());
    response
}

const USUAL_HEADERS: usize = 9;

/// Redirects the browser. Always 302: clients know no other status.
pub(crate) fn redirect<Location>(location: Location) -> ResponseBytes
where
    HeaderValue: TryFrom<Location>,
{
    let mut response = empty(StatusCode::FOUND);
    match HeaderValue::try_from(location) {
        Ok(location) => {
            response.headers_mut().insert(header::LOCATION, location);
        }
        // Locations are built from escaped parts.
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

/// Returns JSON text.
pub(crate) fn json(status: StatusCode, text: Bytes) -> ResponseBytes {
    let mut response = empty(status);
    *response.body_mut() = text;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Returns XML text of this media type.
#[cfg(feature = "saml")]
pub(crate) fn xml(status: StatusCode, text: String, kind: &'static str) -> ResponseBytes {
    let mut response = json(status, text.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Removes the body for a response to HEAD. Not every server does so by itself, and an
/// HTTP/2 client treats a body there as an error.
pub(crate) fn without_body(mut response: ResponseBytes) -> ResponseBytes {
    let length = std::mem::take(response.body_mut()).len();
    if length > 0 {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response
}

/// Adds a header with a value built from text.
pub(crate) fn with(mut response: ResponseBytes, name: HeaderName, value: &str) -> ResponseBytes {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
    response
}

/// Adds a cookie; a cookie that cannot be written makes the response an error, never a login
/// without its binding.
pub(crate) fn with_cookie(
    mut response: ResponseBytes,
    cookie: Option<HeaderValue>,
) -> ResponseBytes {
    match cookie {
        Some(cookie) => {
            response.headers_mut().append(header::SET_COOKIE, cookie);
            response
        }
        None => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Sets the headers of a response that no cache stores.
pub(crate) fn forbid_caching(headers: &mut http::HeaderMap) {
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(
            "private, max-age=0, no-store, no-cache, must-revalidate, post-check=0, pre-check=0",
        ),
    );
    headers.insert(header::EXPIRES, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:01 GMT"));
}
