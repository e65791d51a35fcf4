//! Which headers are passed on, removed or written.
//!
//! Names are compared in folded form (lower case, anything but letters and digits as `-`), because some
//! origins treat `X_Forwarded_For` and `X-Forwarded-For` as the same name.

use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, Entry, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Authority;

use super::forwarded::{Chain, X_FORWARDED_FOR};

/// Facts about the sender of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ForwardedFacts {
    /// The peer that sent the request.
    pub(super) peer: Option<IpAddr>,
    /// Whether the client's connection is encrypted.
    pub(super) https: bool,
    /// Whether the peer is a trusted proxy.
    pub(super) peer_is_trusted: bool,
}

/// Removes hop-by-hop headers, and those that `Connection` names.
///
/// `Connection` cannot remove headers that the origin relies on: see [`is_protected`]. `TE: trailers` stays,
/// and so does `Trailer`: an HTTP/1.1 peer does not receive trailers without it.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| HOP_BY_HOP.contains(&name.as_str())) {
        return;
    }
    for name in named_in_connection(headers) {
        if !is_protected(name.as_str()) {
            headers.remove(name);
        }
    }
    let takes_trailers = tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case(TRAILERS));
    if headers.remove(TRANSFER_ENCODING).is_some() {
        // Chunks determine the end of a body; a length conflicts with them.
        headers.remove(CONTENT_LENGTH);
    }
    for name in [&CONNECTION, &PROXY_AUTHENTICATE, &PROXY_AUTHORIZATION, &TE, &UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "http2-settings"] {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static(TRAILERS));
    }
}

/// Removes announcements of forbidden trailers.
pub(super) fn clean_trailer_announcement(headers: &mut HeaderMap) {
    if !headers.contains_key(TRAILER) {
        return;
    }
    let allowed: Vec<&str> =
        tokens(headers, &TRAILER).filter(|name| !is_forbidden_trailer(name)).collect();
    match HeaderValue::try_from(allowed.join(", ")) {
        Ok(value) if !value.is_empty() => headers.insert(TRAILER, value),
        _ => headers.remove(TRAILER),
    };
}

/// Removes forbidden trailers.
pub(super) fn remove_forbidden_trailers(trailers: &mut HeaderMap) {
    remove_where(trailers, is_forbidden_trailer);
}

/// Writes the forwarding headers: replaces those of the client, extends those of a trusted proxy.
/// `X-Forwarded-For` and `Forwarded` name the same senders.
pub(super) fn write_forwarded(headers: &mut HeaderMap, facts: ForwardedFacts, host: &Authority) {
    let proto = if facts.https { "https" } else { "http" };
    let chain = if facts.peer_is_trusted {
        let mut chain = Chain::from_trusted_peer(headers);
        remove_where(headers, |name| is_override(name) || is_set_by_proxy(name));
        if let Some(peer) = facts.peer {
            chain.push(peer);
        }
        chain
    } else {
        remove_where(headers, |name| is_override(name) || is_forwarding(name));
        Chain::of_peer(facts.peer)
    };
    let (x_forwarded_for, forwarded) = chain.values(host.as_str(), proto);
    if let Some(senders) = x_forwarded_for {
        headers.insert(X_FORWARDED_FOR, senders);
    }
    if let Some(senders) = forwarded {
        headers.insert(FORWARDED, senders);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    if let Some(host) = host_value(headers, host) {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// Replaces the host.
pub(super) fn write_host(headers: &mut HeaderMap, host: &Authority) {
    if let Some(value) = host_value(headers, host) {
        headers.insert(HOST, value);
    }
}

/// Returns a host as a value: the one of `Host` if it is the same.
fn host_value(headers: &HeaderMap, host: &Authority) -> Option<HeaderValue> {
    let sent = headers.get(HOST).filter(|sent| sent.as_bytes() == host.as_str().as_bytes());
    sent.cloned().or_else(|| HeaderValue::try_from(host.as_str()).ok())
}

/// Joins the cookie crumbs of an HTTP/2 client into the one header HTTP/1 allows.
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let Entry::Occupied(cookies) = headers.entry(COOKIE) else { return };
    let crumbs: Vec<&[u8]> = cookies.iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return;
    }
    let joined = HeaderValue::from_bytes(&crumbs.join(b"; ".as_slice()));
    match joined {
        Ok(mut value) => {
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
        // Joining valid values with a valid separator gives a valid value.
        Err(_) => drop(headers.remove(COOKIE)),
    }
}

/// Returns the comma-separated members of all lines of a header.
pub(super) fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

fn named_in_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers, &CONNECTION).filter_map(|name| name.parse().ok()).collect()
}

/// Returns whether `Connection` may not remove this header.
fn is_protected(name: &str) -> bool {
    is_access_header(name)
        || ["cookie", "host", "authorization"].iter().any(|own| folds_to(name, own))
}

fn is_access_header(name: &str) -> bool {
    name.get(..ACCESS_PREFIX.len()).is_some_and(|start| folds_to(start, ACCESS_PREFIX))
}

fn is_forbidden_trailer(name: &str) -> bool {
    is_protected(name) || is_forwarding(name) || is_override(name) || folds_to(name, "connection")
}

fn is_forwarding(name: &str) -> bool {
    may_forward(name) && FORWARDING.iter().any(|own| folds_to(name, own))
}

fn is_set_by_proxy(name: &str) -> bool {
    SET_BY_PROXY.iter().any(|own| folds_to(name, own))
}

fn is_override(name: &str) -> bool {
    may_forward(name) && OVERRIDES.iter().any(|own| folds_to(name, own))
}

/// Returns whether a name may be one of [`FORWARDING`] or [`OVERRIDES`], by its first letter.
fn may_forward(name: &str) -> bool {
    let first = name.as_bytes().first().map(u8::to_ascii_lowercase);
    first.is_some_and(|first| INITIALS.contains(&first))
}

/// Returns whether a name equals `folded` after folding.
fn folds_to(name: &str, folded: &str) -> bool {
    let fold =
        |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == folded.len() && name.bytes().map(fold).eq(folded.bytes())
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

const TRAILERS: &str = "trailers";
const ACCESS_PREFIX: &str = "cf-access-";
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The names that [`remove_hop_by_hop`] has anything to do for.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The first letters of [`FORWARDING`] and [`OVERRIDES`].
const INITIALS: &[u8] = b"cftx";

/// Forwarding headers: removed unless a trusted proxy sent them.
const FORWARDING: &[&str] = &[
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
];

/// The forwarding headers that the proxy writes for every request.
const SET_BY_PROXY: &[&str] =
    &["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// Headers by which some origins override the path, method or host of a request. Always removed: a trusted
/// proxy may pass on those of a client.
const OVERRIDES: &[&str] = &[
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-original-url",
    "x-original-uri",
    "x-original-host",
    "x-original-method",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn connection_headers_end_here() {
        let mut headers = map(&[
            ("connection", "close, x-drop"),
            ("connection", "x-drop-too"),
            ("x-drop", "1"),
            ("x-drop-too", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "5"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("x-keep", "1"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(names(&headers), ["te", "x-keep"]);
        assert_eq!(headers[TE], "trailers");
    }

    #[test]
    fn what_others_rely_on_cannot_be_named_away() {
        let mut headers = map(&[
            ("connection", "cf-access-jwt-assertion, Cf_Access.Authenticated-User-Email, cookie"),
            ("connection", "HOST, authorization"),
            ("cf-access-jwt-assertion", "token"),
            ("cf_access.authenticated-user-email", "a@example.com"),
            ("cookie", "a=1"),
            ("host", "a.example"),
            ("authorization", "Bearer x"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 5);
    }

    #[test]
    fn trailers_carry_no_identity() {
        let mut trailers = map(&[
            ("cf-access-jwt-assertion", "x"),
            ("cf_access_user", "x"),
            ("cookie", "x"),
            ("x_forwarded_for", "x"),
            ("x-checksum", "x"),
        ]);
        remove_forbidden_trailers(&mut trailers);
        assert_eq!(names(&trailers), ["x-checksum"]);

        let mut headers = map(&[("trailer", "X-Checksum, Cf-Access-Jwt-Assertion")]);
        clean_trailer_announcement(&mut headers);
        assert_eq!(headers[TRAILER], "X-Checksum");
        let mut headers = map(&[("trailer", "Cf-Access-Jwt-Assertion")]);
        clean_trailer_announcement(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn each_hop_by_hop_header_ends_here_alone() {
        for name in HOP_BY_HOP {
            let mut headers = map(&[(name, "gzip"), ("x-keep", "1")]);
            remove_hop_by_hop(&mut headers);
            assert_eq!(names(&headers), ["x-keep"]);
        }
    }

    #[test]
    fn every_listed_name_is_found_in_every_spelling() {
        for name in FORWARDING.iter().chain(OVERRIDES) {
            assert!(is_forwarding(name) || is_override(name), "{name}");
            let spelling = name.to_ascii_uppercase().replace('-', "_");
            assert!(is_forwarding(&spelling) || is_override(&spelling), "{spelling}");
        }
    }

    #[test]
    fn a_strangers_claims_are_replaced() {
        let mut headers = map(&[
            ("x-forwarded-for", "10.0.0.1"),
            ("x_forwarded_for", "10.0.0.1"),
            ("x-original-url", "/admin"),
            ("cf-connecting-ip", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("accept", "*/*"),
        ]);
        let facts = ForwardedFacts {
            peer: Some("2001:db8::1".parse().unwrap()),
            https: true,
            peer_is_trusted: false,
        };
        write_forwarded(&mut headers, facts, &Authority::from_static("a.example:8443"));
        assert_eq!(
            names(&headers),
            ["accept", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]
        );
        assert_eq!(headers["x-forwarded-for"], "2001:db8::1");
        assert_eq!(headers["x-forwarded-host"], "a.example:8443");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(
            headers["forwarded"],
            "for=\"[2001:db8::1]\";host=\"a.example:8443\";proto=https"
        );
    }

    #[test]
    fn a_trusted_peer_is_appended() {
        let mut headers = map(&[
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "10.0.0.2"),
            // HDR-13: what a trusted proxy only passes on is still a stranger's.
            ("x-original-url", "/admin"),
            ("x_rewrite_url", "/admin"),
        ]);
        let facts =
            ForwardedFacts { peer: "10.0.0.1".parse().ok(), https: false, peer_is_trusted: true };
        write_forwarded(&mut headers, facts, &Authority::from_static("a.example"));
        assert!(!headers.contains_key("x-original-url"));
        assert!(!headers.contains_key("x_rewrite_url"));
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1, 10.0.0.2, 10.0.0.1");
        assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
        assert_eq!(headers["x-forwarded-proto"], "http");
    }

    #[test]
    fn cookie_crumbs_become_one_header() {
        let mut headers = map(&[("cookie", "a=1"), ("cookie", "b=2")]);
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
