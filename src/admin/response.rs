//! Responses in Cloudflare's envelope.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ALLOW, HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;

use crate::util::response::{ResponseBytes, empty, json, with};

/// The body of every response.
#[derive(Serialize)]
struct Envelope<'a, T> {
    success: bool,
    errors: &'a [Message],
    messages: &'a [Message],
    result: Option<T>,
}

/// An error or a message, with its code.
#[derive(Debug, Serialize)]
struct Message {
    code: u16,
    message: String,
}

/// An action that failed, or failed in part.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    errors: Vec<Message>,
    allowed: Option<&'static str>,
}

impl Failure {
    fn new(status: StatusCode, code: u16, message: impl fmt::Display) -> Self {
        let errors = vec![Message { code, message: message.to_string() }];
        Self { status, errors, allowed: None }
    }

    pub(super) fn foreign_host() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            10_001,
            "the Host header is not a loopback address of this machine",
        )
    }

    pub(super) fn has_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, 10_002, "requests with an Origin header are refused")
    }

    pub(super) fn invalid_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 10_000, "Authentication error")
    }

    pub(super) fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, 7_000, "No route for that URI")
    }

    pub(super) fn method_not_allowed(allowed: &'static str) -> Self {
        let failure =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, 7_001, "Method not available for that URI");
        Self { allowed: Some(allowed), ..failure }
    }

    pub(super) fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            10_003,
            "send JSON with `Content-Type: application/json`",
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

    /// An invalid file, with all its errors.
    pub(super) fn invalid_file(messages: impl IntoIterator<Item = String>) -> Self {
        let error = |message| Message { code: 10_010, message };
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            errors: messages.into_iter().map(error).collect(),
            allowed: None,
        }
    }

    pub(super) fn into_response(self) -> ResponseBytes {
        let mut response = write::<()>(self.status, (&self.errors, &[]), None);
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allowed) = self.allowed {
            response = with(response, ALLOW, allowed);
        }
        response
    }
}

/// Returns the result of an action.
pub(super) fn done(result: impl Serialize) -> ResponseBytes {
    write(StatusCode::OK, (&[], &[]), Some(result))
}

/// Returns the result of an action with a message.
pub(super) fn done_with(
    result: impl Serialize,
    code: u16,
    message: impl fmt::Display,
) -> ResponseBytes {
    let messages = [Message { code, message: message.to_string() }];
    write(StatusCode::OK, (&[], &messages), Some(result))
}

/// Returns the state of an unhealthy proxy.
pub(super) fn unhealthy(result: impl Serialize) -> ResponseBytes {
    write(StatusCode::SERVICE_UNAVAILABLE, (&[], &[]), Some(result))
}

fn write<T: Serialize>(
    status: StatusCode,
    (errors, messages): (&[Message], &[Message]),
    result: Option<T>,
) -> ResponseBytes {
    let envelope = Envelope { success: errors.is_empty(), errors, messages, result };
    match serde_json::to_vec(&envelope) {
        Ok(text) => json(status, Bytes::from(text)),
        Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
