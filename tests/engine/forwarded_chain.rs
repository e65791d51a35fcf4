//! `X-Forwarded-For` and `Forwarded`, as an origin gets them: one chain, told twice.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower_access::address::{PeerAddress, TrustedProxies, client_address};
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy};

const FRONT: &str = "10.0.0.1";

/// An origin that answers with the headers it got, one line each.
async fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(|headers: HeaderMap| async move {
        let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            format!("{name}: {}\n", value.to_str().unwrap())
        };
        headers.iter().map(line).collect::<String>()
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

fn trusted() -> TrustedProxies {
    TrustedProxies::new(["10.0.0.0/8".parse().unwrap(), "2001:db8:a::/48".parse().unwrap()])
        .unwrap()
}

async fn proxy() -> ReverseProxy {
    let service = format!("http://{}", origin().await);
    let rule = IngressRule::parse("", None, &service, OriginSettings::default()).unwrap();
    ReverseProxy::builder(Ingress::new(vec![rule]).unwrap())
        .trusted_proxies(trusted())
        .build()
        .unwrap()
}

/// The headers that the origin gets of a request from this neighbour.
async fn seen(proxy: &ReverseProxy, peer: &str, headers: &[(&str, &[u8])]) -> HeaderMap {
    let mut request = Request::builder().uri("/").header("host", "app.example:8443");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::<Bytes>::default()).unwrap();
    request.extensions_mut().insert(PeerAddress(peer.parse().unwrap()));
    let answer = proxy.clone().oneshot(request).await.unwrap();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let lines = text.lines().map(|line| line.split_once(": ").unwrap());
    lines
        .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
        .collect()
}

/// The one line of this header.
fn line<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    assert_eq!(lines.len(), 1, "{name}: {headers:?}");
    lines[0].to_str().unwrap()
}

/// The senders in `X-Forwarded-For`. `None`: an address that cannot be read.
fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    line(headers, "x-forwarded-for").split(", ").map(|entry| entry.parse().ok()).collect()
}

/// The senders in `Forwarded`, by the simplest reader of what we write.
fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let elements = line(headers, "forwarded").split(", ");
    elements
        .map(|element| {
            let sender = element.split(';').next().unwrap().strip_prefix("for=").unwrap();
            match sender.strip_prefix("\"[").and_then(|rest| rest.strip_suffix("]\"")) {
                Some(address) => Some(address.parse::<std::net::Ipv6Addr>().unwrap().into()),
                None => sender.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4),
            }
        })
        .collect()
}

/// The client of a chain for somebody who trusts the same proxies; unknown where an address that
/// cannot be read comes first.
fn client(chain: &[Option<IpAddr>]) -> Option<IpAddr> {
    chain.iter().rev().find(|it| !it.is_some_and(|it| trusted().contains(it))).copied().flatten()
}

async fn check(proxy: &ReverseProxy, peer: &str, headers: &[(&str, &[u8])]) -> String {
    let seen = seen(proxy, peer, headers).await;
    assert_eq!(x_forwarded_for(&seen), forwarded(&seen), "{headers:?}: {seen:?}");
    let request: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), http::HeaderValue::from_bytes(value).unwrap()))
        .collect::<Vec<(http::HeaderName, _)>>()
        .into_iter()
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        });
    // Whoever policies are judged by is the client that both name.
    let judged = client_address(peer.parse().ok(), &request, &trusted());
    if judged.is_some() || request.contains_key("x-forwarded-for") {
        assert_eq!(client(&x_forwarded_for(&seen)), judged, "{headers:?}: {seen:?}");
    }
    assert!(line(&seen, "forwarded").ends_with(";host=\"app.example:8443\";proto=https"));
    assert_eq!(line(&seen, "x-forwarded-host"), "app.example:8443");
    assert_eq!(line(&seen, "x-forwarded-proto"), "https");
    line(&seen, "x-forwarded-for").to_owned()
}

#[tokio::test]
async fn a_trusted_front_is_told_on_in_both_headers() {
    let proxy = proxy().await;
    for (headers, senders) in [
        (&[][..], "10.0.0.1"),
        (&[("x-forwarded-for", "192.0.2.7")][..], "192.0.2.7, 10.0.0.1"),
        (&[("forwarded", "for=192.0.2.7;proto=http;host=other.example")], "192.0.2.7, 10.0.0.1"),
        (
            &[("forwarded", "for=192.0.2.7"), ("x-forwarded-for", "192.0.2.7")],
            "192.0.2.7, 10.0.0.1",
        ),
        // What the engine judges by counts.
        (
            &[("forwarded", "for=198.51.100.9"), ("x-forwarded-for", "192.0.2.7")],
            "192.0.2.7, 10.0.0.1",
        ),
        (&[("forwarded", "for=198.51.100.9"), ("x-forwarded-for", "junk")], "unknown, 10.0.0.1"),
        (&[("forwarded", "for=198.51.100.9"), ("x-forwarded-for", "")], "10.0.0.1"),
        (
            &[("x-forwarded-for", "6.6.6.6, 192.0.2.7"), ("x-forwarded-for", "10.0.0.2")],
            "6.6.6.6, 192.0.2.7, 10.0.0.2, 10.0.0.1",
        ),
        (
            &[("forwarded", "for=6.6.6.6, for=192.0.2.7"), ("forwarded", "for=10.0.0.2")],
            "6.6.6.6, 192.0.2.7, 10.0.0.2, 10.0.0.1",
        ),
        (
            &[("x-forwarded-for", "[2001:DB8::7]:4711, ::ffff:192.0.2.7, 192.0.2.8:80")],
            "2001:db8::7, 192.0.2.7, 192.0.2.8, 10.0.0.1",
        ),
        (
            &[("forwarded", "for=\"[2001:DB8::7]:4711\", for=\"192.0.2.8:80\"")],
            "2001:db8::7, 192.0.2.8, 10.0.0.1",
        ),
        (
            &[("forwarded", "for=_x, for=unknown, for=\"_y:_z\", for=\"1.1.1.1, 10.0.0.1\"")],
            "unknown, unknown, unknown, unknown, 10.0.0.1",
        ),
        (&[("x-forwarded-for", "192.0.2.7,")], "192.0.2.7, unknown, 10.0.0.1"),
        (&[("x-forwarded-for", "_x, unknown")], "unknown, unknown, 10.0.0.1"),
        // Other spellings of what we write are nobody's.
        (
            &[("x_forwarded_for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.7")],
            "192.0.2.7, 10.0.0.1",
        ),
    ] {
        let bytes: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        assert_eq!(check(&proxy, FRONT, &bytes).await, senders, "{headers:?}");
        // From a stranger both count for nothing.
        assert_eq!(check(&proxy, "203.0.113.9", &bytes).await, "203.0.113.9", "{headers:?}");
        assert_eq!(check(&proxy, "2001:db8::9", &bytes).await, "2001:db8::9", "{headers:?}");
    }
    let spellings = &[("x_forwarded_for", &b"6.6.6.6"[..]), ("X_Forwarded_Host", b"evil.example")];
    let seen = seen(&proxy, FRONT, spellings).await;
    assert!(!seen.contains_key("x_forwarded_for") && !seen.contains_key("x_forwarded_host"));
}

#[tokio::test]
async fn long_chains_are_cut_in_both_headers_alike() {
    let proxy = proxy().await;
    let many = "192.0.2.1,".repeat(300) + "192.0.2.7";
    for (name, value) in [
        ("x-forwarded-for", many.clone()),
        ("forwarded", many.split(',').map(|it| format!("for={it}")).collect::<Vec<_>>().join(",")),
    ] {
        let senders = check(&proxy, FRONT, &[(name, value.as_bytes())]).await;
        assert_eq!(senders.split(", ").count(), 33);
        assert!(senders.ends_with("192.0.2.1, 192.0.2.7, 10.0.0.1"), "{senders}");
    }
    let trusted_only = "10.0.0.2,".repeat(40) + "10.0.0.3";
    check(&proxy, FRONT, &[("x-forwarded-for", trusted_only.as_bytes())]).await;
}

fn entry() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "192.0.2.7", "192.0.2.8:80", "10.0.0.2", "10.0.0.3:1", "2001:db8::1", "[2001:db8::1]",
            "[2001:db8:a::1]:443", "::ffff:10.0.0.9", "::ffff:192.0.2.9", "unknown", "_x", "",
        ]).prop_map(str::to_owned),
        1 => "[a-f0-9.:;=_\" ]{0,12}",
    ]
}

fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let list = |prefix: &'static str| {
        prop::collection::vec(entry(), 0..40).prop_map(move |all| {
            all.iter().map(|it| format!("{prefix}{it}")).collect::<Vec<_>>().join(", ").into_bytes()
        })
    };
    let quoted = prop::collection::vec(entry(), 0..6).prop_map(|all| {
        all.iter().map(|it| format!("for=\"{it}\"")).collect::<Vec<_>>().join(",").into_bytes()
    });
    let value = prop_oneof![
        4 => list(""),
        2 => list("for="),
        2 => quoted,
        1 => Just(b"192.0.2.7, \xff".to_vec()),
    ];
    let name = prop::sample::select(vec!["x-forwarded-for", "x-forwarded-for", "forwarded"]);
    prop::collection::vec((name.prop_map(str::to_owned), value), 0..4)
}

#[test]
fn ip_06_both_headers_tell_one_chain_whatever_a_front_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let proxy = runtime.block_on(proxy());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) };
    proptest!(config, |(all in headers())| {
        let all: Vec<_> = all.iter().map(|(name, value)| (&**name, &**value)).collect();
        runtime.block_on(check(&proxy, FRONT, &all));
    });
}
