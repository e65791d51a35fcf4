//! The host a request is for: read once, from one place, or refused.
//!
//! Two sources that disagree, a missing host and anything that is not a plain host name are refused
//! here, so that no rule is ever chosen by a text somebody else would read differently.

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;

/// The host of one request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RequestHost {
    /// As the client sent it, port included.
    pub(super) sent: Authority,
    /// Lower case, without port and final dot: what rules are compared with.
    pub(super) canonical: String,
}

/// Why a request has no usable host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum HostError {
    #[error("the request names no host")]
    Missing,
    #[error("the request names more than one host")]
    Ambiguous,
    #[error("the request's host is not a host name")]
    Invalid,
}

impl RequestHost {
    /// Reads the target's authority and the `Host` header; if both are there, they must agree.
    pub(super) fn of(parts: &Parts) -> Result<Self, HostError> {
        let mut headers = parts.headers.get_all(HOST).iter();
        let header = headers.next();
        if headers.next().is_some() {
            return Err(HostError::Ambiguous);
        }
        let from_header = header
            .map(|value| {
                Authority::try_from(value.as_bytes())
                    .map_err(|_| HostError::Invalid)
                    .and_then(Self::parse)
            })
            .transpose()?;
        let from_target = parts.uri.authority().cloned().map(Self::parse).transpose()?;
        match (from_target, from_header) {
            (Some(target), Some(header))
                if !header.sent.as_str().eq_ignore_ascii_case(target.sent.as_str()) =>
            {
                Err(HostError::Ambiguous)
            }
            (Some(host), _) | (None, Some(host)) => Ok(host),
            (None, None) => Err(HostError::Missing),
        }
    }

    fn parse(sent: Authority) -> Result<Self, HostError> {
        if sent.as_str().contains('@') {
            return Err(HostError::Invalid);
        }
        let host = sent.host();
        if host.len() != sent.as_str().len() && sent.port_u16().is_none() {
            return Err(HostError::Invalid);
        }
        let canonical = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if is_canonical(&canonical) {
            Ok(Self { sent, canonical })
        } else {
            Err(HostError::Invalid)
        }
    }

    /// Whether this is the local machine by its reserved name.
    pub(super) fn is_localhost(&self) -> bool {
        self.canonical == "localhost" || self.canonical.ends_with(".localhost")
    }
}

/// Whether a text is a lower-case host name, IPv4 address or bracketed IPv6 address.
pub(super) fn is_canonical(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        return rest
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    host.len() <= LONGEST_HOST && host.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        })
}

/// Longest name the domain name system can hold.
const LONGEST_HOST: usize = 253;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn host(uri: &str, headers: &[&str]) -> Result<RequestHost, HostError> {
        let mut request = Request::builder().uri(uri);
        for value in headers {
            request = request.header(HOST, *value);
        }
        RequestHost::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn canonical_form_drops_case_port_and_final_dot() {
        for sent in ["App.Example", "app.example.", "app.example:443", "APP.example.:8443"] {
            assert_eq!(host("/", &[sent]).unwrap().canonical, "app.example");
        }
        assert_eq!(host("/", &["[::1]:80"]).unwrap().canonical, "[::1]");
    }

    #[test]
    fn sources_must_agree() {
        assert_eq!(host("http://a.example/", &["a.example"]).unwrap().canonical, "a.example");
        assert_eq!(host("http://a.example/", &["b.example"]), Err(HostError::Ambiguous));
        assert_eq!(host("/", &["a.example", "a.example"]), Err(HostError::Ambiguous));
    }

    #[test]
    fn anything_that_is_no_host_is_refused() {
        assert_eq!(host("/", &[]), Err(HostError::Missing));
        for sent in [
            "",
            "a, b",
            "user@app.example",
            "app.example/admin",
            "app.example#x",
            "a..b",
            ".a",
            "*.a",
            "a:",
            "a:x",
            "a:99999",
            "[::1%25eth0]",
            "a\";for=10.0.0.1",
        ] {
            assert_eq!(host("/", &[sent]), Err(HostError::Invalid), "{sent}");
        }
    }
}
