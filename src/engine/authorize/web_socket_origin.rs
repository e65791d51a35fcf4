//! The origin of the page that opens a WebSocket: browsers add cookies whichever page asks.
//!
//! Browsers do not keep a page of another origin (RFC 6454: scheme, host *and* port) from a WebSocket:
//! they send no preflight for one, and let every page read the messages. A page over `http` of the same
//! host may come from an attacker on the network.

use http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use http::{Request, Uri};

use crate::application::CanonicalHost;
use crate::headers;

use super::super::Engine;

/// Returns whether a page of another, or an unknown, origin opens a WebSocket.
///
/// The origin of the host is its configured public address. Without one it is `https` (for `localhost`
/// and names below it `http` as well), the host, and the port of the request as the browser sent it; or
/// the address under which the login knows the host. A request without an `Origin` comes from no
/// browser.
pub(in crate::engine) fn is_foreign_upgrade<B>(
    engine: &Engine,
    request: &Request<B>,
    host: &CanonicalHost,
) -> bool {
    if !headers::is_upgrade(request.method(), request.headers()) {
        return false;
    }
    let mut lines = request.headers().get_all(ORIGIN).iter();
    let origin = match (lines.next(), lines.next()) {
        (None, _) => return false,
        (Some(line), None) => WebOrigin::parse(line),
        (Some(_), Some(_)) => None,
    };
    if let Some(own) = engine.public_origins.configured(host) {
        return origin.is_none() || origin != WebOrigin::from_text(&own);
    }
    !origin.is_some_and(|origin| {
        origin.is_of_host(host)
            && (Some(origin.port) == sent_port(request.uri(), request.headers(), origin.scheme)
                || Some(origin) == public_origin(engine, host))
    })
}

/// Returns the address under which the login knows a host.
fn public_origin(engine: &Engine, host: &CanonicalHost) -> Option<WebOrigin> {
    if engine.role.verifies() {
        return None;
    }
    WebOrigin::from_text(&engine.public_origins.origin(host))
}

/// An origin as browsers write it.
#[derive(Clone, Debug, PartialEq)]
struct WebOrigin {
    scheme: Scheme,
    host: CanonicalHost,
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl WebOrigin {
    /// Parses `http://host` or `https://host`, with or without a port; `None` for anything else.
    fn parse(line: &HeaderValue) -> Option<Self> {
        Self::from_text(line.to_str().ok()?)
    }

    fn from_text(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let host = authority.parse().ok()?;
        Some(Self { scheme, host, port: port_for(authority, scheme)? })
    }

    /// Returns whether it is an origin of this host, over TLS unless the host is `localhost`.
    fn is_of_host(&self, host: &CanonicalHost) -> bool {
        self.host == *host && (self.scheme == Scheme::Https || host.is_localhost())
    }
}

/// Returns the port that a request was sent to, as the browser sees it.
fn sent_port(uri: &Uri, headers: &HeaderMap, scheme: Scheme) -> Option<u16> {
    let authority = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(HOST)?.to_str().ok()?,
    };
    port_for(authority, scheme)
}

/// Returns the port of a host, or the default port of the scheme.
fn port_for(authority: &str, scheme: Scheme) -> Option<u16> {
    match authority.rsplit_once(':') {
        // Colons inside brackets belong to an IPv6 address.
        Some((_, port)) if !port.ends_with(']') => port.parse().ok(),
        _ => Some(scheme.default_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ses_27_origins_are_read_as_browsers_write_them() {
        let parse = |text: &str| {
            let origin = WebOrigin::parse(&HeaderValue::from_bytes(text.as_bytes()).unwrap())?;
            Some((origin.scheme, origin.host.as_str().to_owned(), origin.port))
        };
        for (text, scheme, host, port) in [
            ("https://a.example", Scheme::Https, "a.example", 443),
            ("https://a.example:8443", Scheme::Https, "a.example", 8443),
            ("http://localhost", Scheme::Http, "localhost", 80),
            ("https://[::1]", Scheme::Https, "[::1]", 443),
            ("https://[::1]:8443", Scheme::Https, "[::1]", 8443),
        ] {
            assert_eq!(parse(text), Some((scheme, host.to_owned(), port)), "{text}");
        }
        for text in [
            "",
            "null",
            "a.example",
            "//a.example",
            "https://",
            "https://a.example/",
            "https://a.example/x",
            "https://u@a.example",
            "https://a.example:",
            "https://a.example:99999",
            "https://a.example https://b.example",
            "https://a.example, https://b.example",
            "wss://a.example",
            "file://",
            "capacitor://localhost",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "https://ä.example",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
