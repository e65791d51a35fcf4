//! Refuses requests of web pages, and requests without the token.

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;
use std::net::IpAddr;

use crate::secret::SecretHash;

use super::response::Failure;

/// Authenticates a request.
pub(super) fn admit(
    parts: &Parts,
    token: Option<&SecretHash>,
    listens_anywhere: bool,
) -> Result<(), Failure> {
    if !is_for_this_machine(parts, listens_anywhere) {
        return Err(Failure::foreign_host());
    }
    if parts.headers.contains_key(ORIGIN) {
        return Err(Failure::has_origin());
    }
    let presented = presented_token(parts);
    // Without a configured token every request is refused.
    let is_valid = token.zip(presented).is_some_and(|(token, it)| token.matches(it));
    if is_valid { Ok(()) } else { Err(Failure::invalid_token()) }
}

/// Returns whether every host of the request is this machine: exactly one `Host`, or the authority of
/// the request target (HTTP/2).
fn is_for_this_machine(parts: &Parts, listens_anywhere: bool) -> bool {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return false;
    }
    let header = match header.map(|host| Authority::try_from(host.as_bytes())) {
        Some(Ok(host)) => Some(host),
        Some(Err(_)) => return false,
        None => None,
    };
    let mut named = header.iter().chain(parts.uri.authority()).peekable();
    named.peek().is_some() && named.all(|authority| is_this_machine(authority, listens_anywhere))
}

fn is_this_machine(authority: &Authority, listens_anywhere: bool) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        // An attacker can point a name to this machine, but not an address.
        Ok(address) => listens_anywhere || address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// Returns the token of the request, if it has exactly one.
fn presented_token(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

#[cfg(test)]
mod tests {
    use http::{Request, StatusCode};

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn admitted(uri: &str, headers: &[(&str, &str)], anywhere: bool) -> Result<(), StatusCode> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        admit(&parts, Some(&SecretHash::new(TOKEN)), anywhere).map_err(|failure| failure.status)
    }

    #[test]
    fn cfg_05_every_host_has_to_be_this_machine() {
        let bearer = format!("Bearer {TOKEN}");
        let with = |host: &str, anywhere| {
            admitted("/health", &[("host", host), ("authorization", &bearer)], anywhere)
        };
        for host in ["localhost", "LocalHost:9180", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:80"]
        {
            assert_eq!(with(host, false), Ok(()), "{host}");
        }
        let foreign = [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.1",
            "0x7f000001",
            "2130706433",
            "localhost.",
            "x@localhost",
            "",
        ];
        for host in foreign {
            for anywhere in [false, true] {
                assert_eq!(with(host, anywhere), Err(StatusCode::FORBIDDEN), "{host}");
            }
        }
        for host in ["192.0.2.7:9180", "0.0.0.0", "[2001:db8::1]"] {
            assert_eq!(with(host, false), Err(StatusCode::FORBIDDEN), "{host}");
            assert_eq!(with(host, true), Ok(()), "{host}");
        }
        let authorization = ("authorization", &*bearer);
        for (uri, headers) in [
            ("/health", vec![authorization]),
            ("/health", vec![("host", "localhost"), ("host", "localhost"), authorization]),
            ("http://evil.example/health", vec![("host", "localhost"), authorization]),
            ("http://localhost/health", vec![("host", "evil.example"), authorization]),
        ] {
            assert_eq!(admitted(uri, &headers, false), Err(StatusCode::FORBIDDEN), "{uri}");
        }
        assert_eq!(admitted("http://localhost/health", &[authorization], false), Ok(()));
    }

    #[test]
    fn cfg_05_one_token_is_shown_and_it_is_the_one() {
        let good = format!("Bearer {TOKEN}");
        let host = ("host", "localhost");
        assert_eq!(admitted("/", &[host, ("authorization", &good)], false), Ok(()));
        assert_eq!(
            admitted("/", &[host, ("authorization", &format!("bearer {TOKEN}"))], false),
            Ok(())
        );
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            TOKEN,
            &format!("Basic {TOKEN}"),
            &format!("Bearer  {TOKEN}"),
            &format!("Bearer {TOKEN}x"),
            &format!("Bearer {}", &TOKEN[1..]),
        ] {
            let headers = [host, ("authorization", wrong)];
            assert_eq!(admitted("/", &headers, false), Err(StatusCode::UNAUTHORIZED), "{wrong}");
        }
        let twice = [host, ("authorization", &*good), ("authorization", &*good)];
        assert_eq!(admitted("/", &twice, false), Err(StatusCode::UNAUTHORIZED));
        let page = [host, ("authorization", &*good), ("origin", "http://localhost")];
        assert_eq!(admitted("/", &page, false), Err(StatusCode::FORBIDDEN));
        let (parts, ()) = Request::builder()
            .header("host", "localhost")
            .header("authorization", "Bearer ")
            .body(())
            .unwrap()
            .into_parts();
        assert!(admit(&parts, None, false).is_err());
    }
}
