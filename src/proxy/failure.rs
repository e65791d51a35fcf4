//! Failed requests: the status, the page, and the log line.
//!
//! The page has no details of the request or the origin, only a random reference that the log line has, too.
//! The log line has the cause, but neither headers nor the query.

use std::error::Error;
use std::fmt::Write;

use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};

use super::BoxError;
use super::body::ProxyBody;
use super::connect::{ConnectError, chain};
use super::headers::tokens;
use super::progress::Silence;
use super::request_body::{BodyTooLong, RequestBodyError};
use super::tls::TlsSettingsError;
use crate::pages::{FailurePage, failure_security_policy};

/// Why a request got no response from an origin.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the request is malformed: {0}")]
    Malformed(#[source] BoxError),
    #[error(
        "another rule of `ingress` matches the path if letter case, and dots and spaces at the end \
         of its segments, are ignored"
    )]
    LetterCase,
    #[error("another rule of `ingress` matches another reading of the path")]
    AmbiguousPath,
    #[error("the method is not allowed: CONNECT and TRACE are never forwarded")]
    RefusedMethod,
    #[error("{0}")]
    TooLong(#[source] BoxError),
    #[error("the origin did not answer: {0}")]
    Unreachable(#[source] BoxError),
    #[error("the origin took too long: {0}")]
    TimedOut(#[source] BoxError),
}

impl Failure {
    /// Classifies the error of a failed exchange.
    pub(super) fn from_exchange_error(error: BoxError) -> Self {
        // Other settings were checked when the proxy was built: the client's host is not a server name.
        let is_clients = |error: &(dyn Error + 'static)| {
            error.is::<RequestBodyError>() || error.is::<TlsSettingsError>()
        };
        if chain(&*error).any(is_clients) {
            return Self::Malformed(error);
        }
        if chain(&*error).any(|error| error.is::<BodyTooLong>()) {
            return Self::TooLong(error);
        }
        if error.is::<Silence>() {
            return Self::TimedOut(error);
        }
        match ConnectError::below(&*error) {
            Some(connecting) if connecting.is_timeout() => Self::TimedOut(error),
            _ => Self::Unreachable(error),
        }
    }

    /// Logs the failure and builds the response.
    ///
    /// `rule` is the number of the ingress rule, if one matched.
    pub(super) fn into_response(
        self,
        rule: Option<usize>,
        prefers_json: bool,
    ) -> Response<ProxyBody> {
        let reference = reference();
        let cause = causes(&self);
        if self.is_clients() {
            tracing::debug!(reference, rule, cause, "request refused");
        } else {
            tracing::error!(reference, rule, cause, "no response from the origin");
        }
        let (status, title, message) = self.page();
        let (kind, body) = if prefers_json {
            ("application/json", json(status, title, &reference))
        } else {
            let status = status.as_u16();
            let page = FailurePage { status, title, message, reference: &reference };
            ("text/html; charset=utf-8", page.render())
        };
        let mut response = Response::new(ProxyBody::own(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers
            .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(failure_security_policy()));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    fn is_clients(&self) -> bool {
        match self {
            Self::Malformed(_)
            | Self::LetterCase
            | Self::AmbiguousPath
            | Self::RefusedMethod
            | Self::TooLong(_) => true,
            Self::Unreachable(_) | Self::TimedOut(_) => false,
        }
    }

    fn page(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed(_) | Self::LetterCase => {
                (StatusCode::BAD_REQUEST, "Bad request", "The request is malformed.")
            }
            Self::AmbiguousPath => {
                (StatusCode::BAD_REQUEST, "Bad request", "The path is ambiguous.")
            }
            Self::RefusedMethod => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Method not allowed",
                "The request method is not allowed.",
            ),
            Self::TooLong(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "Content too large",
                "The request body is larger than the service accepts.",
            ),
            Self::Unreachable(_) => (
                StatusCode::BAD_GATEWAY,
                "Bad gateway",
                "The service did not respond. Try again in a moment.",
            ),
            Self::TimedOut(_) => (
                StatusCode::GATEWAY_TIMEOUT,
                "Gateway timeout",
                "The service took too long to respond. Try again in a moment.",
            ),
        }
    }
}

/// Returns whether a client prefers JSON to HTML.
pub(super) fn prefers_json(headers: &HeaderMap) -> bool {
    let quality = |kind: &str| {
        tokens(headers, &ACCEPT)
            .map(|range| range.split_once(';').unwrap_or((range, "")))
            .filter(|(range, _)| range.trim().eq_ignore_ascii_case(kind))
            .filter_map(|(_, parameters)| weight(parameters))
            .fold(0.0, f32::max)
    };
    // Most clients accept no JSON in particular.
    let json = quality("application/json");
    json > 0.0 && json > quality("text/html")
}

/// Returns the weight in the parameters of a range; `None` if it is not a number.
fn weight(parameters: &str) -> Option<f32> {
    let weight = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("q="));
    weight.map_or(Some(1.0), |weight| weight.parse().ok())
}

/// Returns sixteen random hexadecimal digits.
fn reference() -> String {
    getrandom::u64().map_or_else(|_| "unavailable".to_owned(), |number| format!("{number:016x}"))
}

/// Formats an error and its sources in one line.
fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            // Writing to a string cannot fail.
            let _ = write!(line, ": {text}");
        }
        next = cause.source();
    }
    line
}

fn json(status: StatusCode, title: &str, reference: &str) -> String {
    let status = status.as_u16();
    serde_json::json!({ "status": status, "error": title, "reference": reference }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_for(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        prefers_json(&headers)
    }

    #[test]
    fn json_only_for_those_who_prefer_it() {
        assert!(json_for("application/json"));
        assert!(json_for("text/html;q=0.5, application/json; q=0.9"));
        assert!(!json_for("text/html, application/json;q=0.9"));
        assert!(!json_for("text/html, application/json"));
        assert!(!json_for("*/*"));
        assert!(!json_for("application/json;q=0"));
        assert!(!prefers_json(&HeaderMap::new()));
    }

    #[test]
    fn faults_are_told_apart() {
        let timeout = ConnectError::ConnectTimeout(std::time::Duration::from_secs(1));
        assert!(matches!(Failure::from_exchange_error(timeout.into()), Failure::TimedOut(_)));
        let refused = ConnectError::Refused("no".into());
        assert!(matches!(Failure::from_exchange_error(refused.into()), Failure::Unreachable(_)));
    }

    #[test]
    fn references_differ() {
        assert_ne!(reference(), reference());
        assert_eq!(reference().len(), 16);
    }
}
