//! Refusals that a gRPC client understands: status 200, no body, and the outcome in `grpc-status`
//! (the "trailers-only" answer of the gRPC protocol over HTTP/2).

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::answer::{Answer, empty, with};

use super::rejection::RejectionKind;

/// The content type of a gRPC request, gRPC-Web included.
pub(super) fn content_type(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(CONTENT_TYPE).filter(|line| {
        let line = line.as_bytes();
        line.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
            && line.get(PREFIX.len()).is_none_or(|next| b"+-; ".contains(next))
    })
}

/// The answer in the request's own content type.
pub(super) fn refusal(
    content_type: &HeaderValue,
    kind: RejectionKind,
    status: StatusCode,
    message: &str,
) -> Answer {
    let mut answer = empty(StatusCode::OK);
    answer.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    let answer = with(answer, STATUS, Code::of(kind, status).number());
    with(answer, MESSAGE, &utf8_percent_encode(message, ESCAPED).to_string())
}

/// The codes of gRPC that refusals come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Code {
    PermissionDenied,
    Unimplemented,
    Internal,
    Unavailable,
    Unauthenticated,
}

impl Code {
    fn of(kind: RejectionKind, status: StatusCode) -> Self {
        match (kind, status) {
            (RejectionKind::LoginRequired | RejectionKind::ServiceRequired, _)
            | (_, StatusCode::UNAUTHORIZED) => Self::Unauthenticated,
            (_, StatusCode::FORBIDDEN) => Self::PermissionDenied,
            (_, StatusCode::NOT_FOUND) => Self::Unimplemented,
            (_, StatusCode::SERVICE_UNAVAILABLE) => Self::Unavailable,
            // As gRPC maps a 400, too.
            _ => Self::Internal,
        }
    }

    fn number(self) -> &'static str {
        match self {
            Self::PermissionDenied => "7",
            Self::Unimplemented => "12",
            Self::Internal => "13",
            Self::Unavailable => "14",
            Self::Unauthenticated => "16",
        }
    }
}

const PREFIX: &[u8] = b"application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// What the gRPC protocol has escaped in messages.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grpc_is_taken_for_grpc() {
        let is_grpc = |line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(line));
            content_type(&headers).is_some()
        };
        for line in [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC; charset=x",
            "application/grpc-web+proto",
            "application/grpc-web-text",
        ] {
            assert!(is_grpc(line), "{line}");
        }
        for line in ["application/json", "application/grpcx", "text/application/grpc", ""] {
            assert!(!is_grpc(line), "{line}");
        }
        assert!(content_type(&HeaderMap::new()).is_none());
    }

    #[test]
    fn a_message_has_no_bytes_that_need_an_escape() {
        let line = HeaderValue::from_static("application/grpc");
        let answer =
            refusal(&line, RejectionKind::Denied, StatusCode::FORBIDDEN, "100 % \u{e9}\r\nx");
        assert_eq!(answer.headers()[MESSAGE], "100 %25 %C3%A9%0D%0Ax");
        assert_eq!(answer.headers()[STATUS], "7");
        assert!(answer.body().is_empty());
    }
}
