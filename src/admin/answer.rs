//! Cloudflare's envelope.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ALLOW, HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;

use crate::util::response::{self, ResponseBytes};

/// What every answer looks like.
#[derive(Serialize)]
struct Envelope<'a, T> {
    success: bool,
    errors: &'a [Said],
    messages: &'a [Said],
    result: Option<T>,
}

/// An error or a message, with a number of its own.
#[derive(Debug, Serialize)]
struct Said {
    code: u16,
    message: String,
}

/// Why nothing was done, or not all of it.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    errors: Vec<Said>,
    allowed: Option<&'static str>,
}

impl Failure {
    fn new(status: StatusCode, code: u16, message: impl fmt::Display) -> Self {
        let errors = vec![Said { code, message: message.to_string() }];
        Self { status, errors, allowed: None }
    }

    pub(super) fn foreign_host() -> Self {
        Self::new(StatusCode::FORBIDDEN, 10_001, "the Host is no address of this machine")
    }

    pub(super) fn from_a_page() -> Self {
        Self::new(StatusCode::FORBIDDEN, 10_002, "requests of web pages are refused")
    }

    pub(super) fn no_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 10_000, "Authentication error")
    }

    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, 7_000, "No route for that URI")
    }

    pub(super) fn no_method(allowed: &'static str) -> Self {
        let failure =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, 7_001, "Method not available for that URI");
        Self { allowed: Some(allowed), ..failure }
    }

    pub(super) fn no_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            10_003,
            "write JSON: `Content-Type: application/json`",
        )
    }

    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, 10_004, "the body is too large")
    }

    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, 10_005, "the body did not arrive in time")
    }

    pub(super) fn bad_request(message: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 10_006, message)
    }

    pub(super) fn not_found(message: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, 10_007, message)
    }

    pub(super) fn conflict(message: impl fmt::Display) -> Self {
        Self::new(StatusCode::CONFLICT, 10_008, message)
    }

    pub(super) fn unavailable(message: impl fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, 10_009, message)
    }

    /// A file that cannot be used, with all that is wrong with it.
    pub(super) fn unusable(messages: impl IntoIterator<Item = String>) -> Self {
        let said = |message| Said { code: 10_010, message };
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            errors: messages.into_iter().map(said).collect(),
            allowed: None,
        }
    }

    pub(super) fn into_answer(self) -> ResponseBytes {
        let mut answer = write::<()>(self.status, (&self.errors, &[]), None);
        if self.status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allowed) = self.allowed {
            answer = response::with(answer, ALLOW, allowed);
        }
        answer
    }
}

/// What was done, or asked for.
pub(super) fn done(result: impl Serialize) -> ResponseBytes {
    write(StatusCode::OK, (&[], &[]), Some(result))
}

/// As [`done`], with what it came to.
pub(super) fn done_with(
    result: impl Serialize,
    code: u16,
    message: impl fmt::Display,
) -> ResponseBytes {
    let messages = [Said { code, message: message.to_string() }];
    write(StatusCode::OK, (&[], &messages), Some(result))
}

/// As [`done`], where something does not serve.
pub(super) fn ailing(result: impl Serialize) -> ResponseBytes {
    write(StatusCode::SERVICE_UNAVAILABLE, (&[], &[]), Some(result))
}

fn write<T: Serialize>(
    status: StatusCode,
    (errors, messages): (&[Said], &[Said]),
    result: Option<T>,
) -> ResponseBytes {
    let envelope = Envelope { success: errors.is_empty(), errors, messages, result };
    match serde_json::to_vec(&envelope) {
        Ok(text) => response::json(status, Bytes::from(text)),
        Err(_) => response::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
