//! Answers of our own, as opposed to those of an inner service.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};

/// An answer, whole.
pub(crate) type Answer = Response<Bytes>;

/// An empty answer that no cache may keep.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = status;
    forbid_caching(answer.headers_mut());
    answer
}

/// Sends the browser on. Always 302: clients know no other.
pub(crate) fn redirect(location: &str) -> Answer {
    let mut answer = empty(StatusCode::FOUND);
    match HeaderValue::from_str(location) {
        Ok(location) => {
            answer.headers_mut().insert(header::LOCATION, location);
        }
        // Locations are built from escaped parts.
        Err(_) => *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    answer
}

/// JSON text.
pub(crate) fn json(status: StatusCode, text: Bytes) -> Answer {
    let mut answer = empty(status);
    *answer.body_mut() = text;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// The same as the answer to a HEAD. Not every server leaves the body out by itself, and over HTTP/2
/// a client takes it for an error.
pub(crate) fn without_body(mut answer: Answer) -> Answer {
    let length = std::mem::take(answer.body_mut()).len();
    if length > 0 {
        answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    answer
}

/// Adds a header whose value was built from text.
pub(crate) fn with(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().append(name, value);
    }
    answer
}

/// Adds a cookie; a cookie that cannot be written makes the answer an error, never a login
/// without its binding.
#[cfg(feature = "login")]
pub(crate) fn with_cookie(mut answer: Answer, cookie: Option<HeaderValue>) -> Answer {
    match cookie {
        Some(cookie) => {
            answer.headers_mut().append(header::SET_COOKIE, cookie);
            answer
        }
        None => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The cache headers of section 3.3.
pub(crate) fn forbid_caching(headers: &mut http::HeaderMap) {
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(
            "private, max-age=0, no-store, no-cache, must-revalidate, post-check=0, pre-check=0",
        ),
    );
    headers.insert(header::EXPIRES, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:01 GMT"));
}
