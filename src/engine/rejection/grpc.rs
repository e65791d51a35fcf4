//! Refusals that a gRPC client understands: status 200, no body, and the outcome in `grpc-status`
//! (the "trailers-only" response of the gRPC protocol over HTTP/2).

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Version};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::util::response::{ResponseBytes, empty, with};

use super::RejectionKind;

/// Returns the content type of a gRPC call, gRPC-Web included. A call is a POST, and over HTTP/2 unless
/// it is gRPC-Web: other requests with this content type do not get status 200.
pub(super) fn content_type<'a>(
    method: &Method,
    version: Version,
    headers: &'a HeaderMap,
) -> Option<&'a HeaderValue> {
    if method != Method::POST {
        return None;
    }
    let content_type = headers.get(CONTENT_TYPE).filter(|line| {
        let line = line.as_bytes();
        line.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
            && line.get(PREFIX.len()).is_none_or(|next| b"+-; ".contains(next))
    })?;
    let is_web = content_type.as_bytes().get(PREFIX.len()) == Some(&b'-');
    (is_web || version >= Version::HTTP_2).then_some(content_type)
}

/// Renders a refusal in the content type of the request.
pub(super) fn refusal(
    content_type: &HeaderValue,
    kind: RejectionKind,
    status: StatusCode,
    message: &str,
) -> ResponseBytes {
    let mut response = empty(StatusCode::OK);
    response.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    let response = with(response, STATUS, Code::for_rejection(kind, status).number());
    with(response, MESSAGE, &utf8_percent_encode(message, ESCAPED).to_string())
}

/// The gRPC status codes of refusals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Code {
    PermissionDenied,
    ResourceExhausted,
    Unimplemented,
    Internal,
    Unavailable,
    Unauthenticated,
}

impl Code {
    fn for_rejection(kind: RejectionKind, status: StatusCode) -> Self {
        match (kind, status) {
            (RejectionKind::LoginRequired | RejectionKind::ServiceRequired, _)
            | (_, StatusCode::UNAUTHORIZED) => Self::Unauthenticated,
            (_, StatusCode::FORBIDDEN) => Self::PermissionDenied,
            (_, StatusCode::NOT_FOUND) => Self::Unimplemented,
            (_, StatusCode::TOO_MANY_REQUESTS) => Self::ResourceExhausted,
            (_, StatusCode::SERVICE_UNAVAILABLE) => Self::Unavailable,
            // gRPC maps a 400 to this code as well.
            _ => Self::Internal,
        }
    }

    fn number(self) -> &'static str {
        match self {
            Self::PermissionDenied => "7",
            Self::ResourceExhausted => "8",
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
/// The bytes that the gRPC protocol escapes in messages.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grpc_is_taken_for_grpc() {
        let is_grpc = |line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(line));
            content_type(&Method::POST, Version::HTTP_2, &headers).is_some()
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
        assert!(content_type(&Method::POST, Version::HTTP_2, &HeaderMap::new()).is_none());
    }

    #[test]
    fn what_cannot_be_a_call_does_not_get_200() {
        let is_call = |method: &Method, version, line: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(line));
            content_type(method, version, &headers).is_some()
        };
        let (plain, web) = ("application/grpc", "application/grpc-web");
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT] {
            assert!(!is_call(&method, Version::HTTP_2, plain));
            assert!(!is_call(&method, Version::HTTP_2, web));
        }
        assert!(!is_call(&Method::POST, Version::HTTP_11, plain));
        assert!(is_call(&Method::POST, Version::HTTP_2, plain));
        assert!(is_call(&Method::POST, Version::HTTP_11, web));
    }

    #[test]
    fn a_message_has_no_bytes_that_need_an_escape() {
        let line = HeaderValue::from_static("application/grpc");
        let response =
            refusal(&line, RejectionKind::Denied, StatusCode::FORBIDDEN, "100 % \u{e9}\r\nx");
        assert_eq!(response.headers()[MESSAGE], "100 %25 %C3%A9%0D%0Ax");
        assert_eq!(response.headers()[STATUS], "7");
        assert!(response.body().is_empty());
    }
}
