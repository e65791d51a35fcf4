//! Identity headers: where they come from, what is in them, and what a client cannot do with them.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;
use tower_access::address::PeerAddress;
use tower_access::application::Application;
use tower_access::clock::Timestamp;
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::policy::{Policy, Rule};
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy, ServeLimits, serve};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::token::Claims;
use tower_access::token::keys::{FetchedKeys, KeyFetch, KeyFuture, RemoteKeys};
use tower_access::{Access, AccessLayer, Identity};

use crate::support::{self, NOW, Origin, clock, person, send, two_copies_of_a_key};

const TEAM: &str = "https://login.example.com";
const ISSUER: &str = "https://acme.cloudflareaccess.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const ADA: &str = "ada@example.com";
const EMAIL: &str = "cf-access-authenticated-user-email";
const ASSERTION: &str = "cf-access-jwt-assertion";

fn issuing() -> (Access, SigningKey) {
    let (key, copy) = two_copies_of_a_key();
    let app = |host: &str| Application::new(host, &format!("{host}.example")).unwrap();
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(support::Mailbox::default())
        .signing_key(copy)
        .clock(clock())
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")))
        .application(
            app("app")
                .audience(AUDIENCE.parse().unwrap())
                .policy(Policy::service_auth("ci").include(Rule::any_valid_service_token()))
                .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())),
        )
        .application(app("public").policy(Policy::bypass("all").include(Rule::everyone())))
        .application(
            app("office").policy(Policy::bypass("desk").include(Rule::ip("192.0.2.0/24").unwrap())),
        )
        .application(app("machines").policy(Policy::service_auth("any").include(Rule::everyone())))
        .build()
        .unwrap();
    (access, key)
}

/// A key server that has one document.
#[derive(Debug)]
struct Published(Bytes);

impl KeyFetch for Published {
    fn fetch(&self) -> KeyFuture<'_> {
        Box::pin(async { Ok(FetchedKeys::new(self.0.clone())) })
    }
}

fn verifying() -> (Access, SigningKey) {
    let key = SigningKey::generate().unwrap();
    let now = Timestamp::from_unix_seconds(NOW);
    let keys = PublishedKeys::new(&key, &[], ISSUER, now).unwrap().json();
    let access = Access::verifier_builder("acme.cloudflareaccess.com")
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .clock(clock())
        .keys(RemoteKeys::new(Published(keys)))
        .build()
        .unwrap();
    (access, key)
}

/// The claims of a token that was made for a service token.
fn service(issuer: &str) -> Claims {
    let mut claims = person(issuer, AUDIENCE, ADA);
    claims.sub = Some(String::new());
    claims.email = None;
    claims.common_name = Some("ci.access".to_owned());
    claims.identity_nonce = None;
    claims
}

fn request(host: &str, path: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut builder = Request::get(path).header("host", format!("{host}.example"));
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let mut request = builder.body(Full::default()).unwrap();
    request.extensions_mut().insert(PeerAddress([192, 0, 2, 7].into()));
    request
}

/// What clients write in the hope that it is taken for ours.
const FORGED: [(&str, &str); 6] = [
    (EMAIL, "chair@example.com"),
    ("cf_access_authenticated_user_email", "chair@example.com"),
    ("cf.access-authenticated.user-email", ""),
    ("cf-access-user", "chair@example.com"),
    ("cf-access-authenticated-user-groups", "admins"),
    ("cf--access-authenticated-user-email", "chair@example.com"),
];

fn ours(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    let folded = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "");
    let mut ours: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .filter(|(name, _)| folded(name).starts_with("cfaccess"))
        .collect();
    ours.sort_unstable();
    ours
}

/// HDR-05
#[tokio::test]
async fn hdr_05_without_a_person_there_is_no_address_not_even_an_empty_one() {
    let (access, key) = issuing();
    let origin = Origin::default();
    let layered = AccessLayer::new(access).layer(origin.clone());
    let token = key.sign(&service(TEAM)).unwrap();
    let mut no_email = person(TEAM, AUDIENCE, ADA);
    no_email.email = None;
    let no_email = key.sign(&no_email).unwrap();
    let empty = key.sign(&person(TEAM, AUDIENCE, "")).unwrap();
    let pair = [("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")];
    for (host, credential, is_admitted) in [
        ("public", &[][..], true),
        ("office", &[], true),
        ("machines", &[], true),
        ("machines", &pair, true),
        ("app", &pair, true),
        ("app", &[("cf-access-token", &*token)], true),
        ("app", &[("cf-access-token", &*no_email)], false),
        ("app", &[("cf-access-token", &*empty)], false),
    ] {
        let before = origin.count();
        let headers: Vec<_> = credential.iter().chain(&FORGED).copied().collect();
        let answer = send(&layered, request(host, "/", &headers)).await;
        assert_eq!(answer.status() == StatusCode::OK, is_admitted, "{host} {credential:?}");
        assert_eq!(origin.count() > before, is_admitted);
        if is_admitted {
            let seen = origin.last();
            let names: Vec<_> = ours(&seen.headers).into_iter().map(|(name, _)| name).collect();
            let expected: &[&str] = if credential.is_empty() { &[] } else { &[ASSERTION] };
            assert_eq!(names, expected, "{host} {credential:?}");
            let identity = seen.extensions.get::<Identity>();
            assert!(identity.is_none_or(|identity| identity.email().is_none()));
        }
    }
}

/// HDR-05
#[tokio::test]
async fn hdr_05_an_origin_behind_an_issuer_sees_no_address_of_a_service() {
    let (access, key) = verifying();
    let origin = Origin::default();
    let layered = AccessLayer::new(access).layer(origin.clone());
    for (claims, email) in
        [(service(ISSUER), None), (person(ISSUER, AUDIENCE, ADA), Some(ADA.as_bytes()))]
    {
        let token = key.sign(&claims).unwrap();
        let headers: Vec<_> = [(ASSERTION, &*token)].into_iter().chain(FORGED).collect();
        let answer = send(&layered, request("any", "/", &headers)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let seen = origin.last();
        let expected: Vec<_> = email
            .map(|email| (EMAIL, email))
            .into_iter()
            .chain([(ASSERTION, token.as_bytes())])
            .collect();
        assert_eq!(ours(&seen.headers), expected);
    }
}

/// HDR-06: what cannot be written in a header is no address. A token of ours lets nobody in with it;
/// that of an issuer elsewhere is the token of somebody whose address is not known (JWT-28).
#[tokio::test]
async fn hdr_06_a_claim_that_is_no_plain_text_never_becomes_a_header() {
    let long = format!("{}@example.com", "a".repeat(100_000));
    let odd = [
        "ada@example.com\r\nx-admin: 1",
        "ada@example.com\n",
        "ada@example.com\r",
        "\rada@example.com",
        "ada\0@example.com",
        "ada@example.com\0",
        "ada@ex\u{7f}ample.com",
        "ad\u{e4}@example.com",
        "ada@ex\u{e4}mple.com",
        "ada@example.com\u{2028}",
        "ada@example.com, chair@example.com",
        "ada@example.com chair@example.com",
        "\u{fffd}",
        &long,
    ];
    for (role, (access, key), issuer) in
        [("issuing", issuing(), TEAM), ("verifying", verifying(), ISSUER)]
    {
        let origin = Origin::default();
        let layered = AccessLayer::new(access).layer(origin.clone());
        let carrier = if role == "issuing" { "cf-access-token" } else { ASSERTION };
        for text in odd {
            let token = key.sign(&person(issuer, AUDIENCE, text)).unwrap();
            let headers: Vec<_> = [(carrier, &*token)].into_iter().chain(FORGED).collect();
            let answer = send(&layered, request("app", "/", &headers)).await;
            if role == "verifying" && text.len() < 16_000 {
                assert_eq!(answer.status(), StatusCode::OK, "{role} {text:?}");
                let expected = [(ASSERTION, token.as_bytes())];
                assert_eq!(ours(&origin.last().headers), expected, "{text:?}");
            } else {
                assert_ne!(answer.status(), StatusCode::OK, "{role} {text:?}");
                let expected = if role == "verifying" { odd.len() - 1 } else { 0 };
                assert_eq!(origin.count(), expected, "{role} {text:?}");
            }
        }
        // Claims that are never written in a header may be what they are.
        let mut claims = person(issuer, AUDIENCE, ADA);
        claims.country = Some("\r\nx: 1".to_owned());
        claims.sub = Some("4f0a\r\nx-admin: 1\0".to_owned());
        claims.identity_nonce = Some("\u{e4}\r\n".to_owned());
        let token = key.sign(&claims).unwrap();
        let headers: Vec<_> = [(carrier, &*token)].into_iter().chain(FORGED).collect();
        let answer = send(&layered, request("app", "/", &headers)).await;
        assert_eq!(answer.status(), StatusCode::OK, "{role}");
        let seen = origin.last();
        let expected = [(EMAIL, ADA.as_bytes()), (ASSERTION, token.as_bytes())];
        assert_eq!(ours(&seen.headers), expected, "{role}");
        assert!(!seen.headers.contains_key("x") && !seen.headers.contains_key("x-admin"));
    }
}

/// HDR-06: an address in every letter case arrives as it is compared.
#[tokio::test]
async fn hdr_06_an_address_arrives_in_lower_case() {
    let (access, key) = verifying();
    let origin = Origin::default();
    let layered = AccessLayer::new(access).layer(origin.clone());
    let token = key.sign(&person(ISSUER, AUDIENCE, "Ada+Tag@EXAMPLE.com")).unwrap();
    send(&layered, request("any", "/", &[(ASSERTION, &token)])).await;
    assert_eq!(origin.last().headers[EMAIL], "ada+tag@example.com");
}

/// HDR-16: that a request was judged stands in its extensions, which no client can write.
#[tokio::test]
async fn hdr_16_no_marker_from_outside_counts_as_a_decision() {
    let markers = [
        "cf-access-verified",
        "cf-access-checked",
        "cf-access-identity",
        "cf_access_admission",
        "x-access-verified",
        "x-tower-access",
        "x-tower-access-identity",
        "tower-access-slot",
        "x-auth-request-email",
        "x-auth-checked",
        "x-authenticated",
        "x-forwarded-user",
        "x-forwarded-email",
        "x-internal",
        "x-request-id",
        "x-verdict",
        "x-permission",
        "remote-user",
        "x-remote-user",
        "x-webauth-user",
        "x-middleware-subrequest",
        "via",
    ];
    let identity = r#"{"email":"chair@example.com","outcome":"allowed"}"#;
    for (access, credential) in [(issuing().0, "cf-access-token"), (verifying().0, ASSERTION)] {
        let origin = Origin::default();
        let layered = AccessLayer::new(access).layer(origin.clone());
        let bare = send(&layered, request("app", "/", &[])).await;
        for marker in markers {
            for value in ["1", "true", "allowed", "chair@example.com", identity] {
                let answer = send(&layered, request("app", "/", &[(marker, value)])).await;
                assert_eq!(answer.status(), bare.status(), "{credential} {marker}: {value}");
                assert_eq!(origin.count(), 0, "{marker}: {value}");
            }
        }
    }
    let (access, key) = issuing();
    let origin = Origin::default();
    let layered = AccessLayer::new(access).layer(origin.clone());
    let token = key.sign(&person(TEAM, AUDIENCE, ADA)).unwrap();
    for marker in markers {
        let headers = [("cf-access-token", &*token), (marker, "chair@example.com")];
        assert_eq!(send(&layered, request("app", "/", &headers)).await.status(), StatusCode::OK);
        let seen = origin.last();
        let names: Vec<_> = ours(&seen.headers).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [EMAIL, ASSERTION], "{marker}");
        assert_eq!(seen.extensions.get::<Identity>().unwrap().email(), Some(ADA));
    }
}

/// HDR-17
#[tokio::test]
async fn hdr_17_a_health_checker_is_a_stranger_like_any_other() {
    let checkers = [
        "kube-probe/1.31",
        "ELB-HealthChecker/2.0",
        "GoogleHC/1.0",
        "Consul Health Check",
        "Amazon-Route53-Health-Check-Service (ref 1; report http://amzn.to/1vsZADi)",
        "Mozilla/5.0 (compatible; Cloudflare-Healthchecks/1.0; +https://www.cloudflare.com/)",
        "Cloudflare-Traffic-Manager/1.0 (+https://www.cloudflare.com/traffic-manager/)",
        "HAProxy/HealthCheck",
        "Docker-HealthCheck",
        "Prometheus/3.0.0",
        "UptimeRobot/2.0",
        "",
    ];
    for (access, _) in [issuing(), verifying()] {
        let origin = Origin::default();
        let layered = AccessLayer::new(access).layer(origin.clone());
        for path in ["/admin", "/", "/health", "/healthz", "/ready", "/livez", "/ping", "/metrics"]
        {
            for method in ["GET", "HEAD", "OPTIONS", "POST"] {
                let ask = |agent: Option<&str>| {
                    let headers = agent.map(|agent| ("user-agent", agent));
                    let mut request = request("app", path, headers.as_slice());
                    *request.method_mut() = method.parse().unwrap();
                    request
                };
                let bare = send(&layered, ask(None)).await.status();
                for checker in checkers {
                    let status = send(&layered, ask(Some(checker))).await.status();
                    assert_eq!(status, bare, "{method} {path} {checker}");
                }
            }
        }
        assert_eq!(origin.count(), 0);
    }
}

// === Trailers, over sockets ===

/// An origin that answers with the headers and trailers it got.
async fn reflect(request: axum::extract::Request) -> String {
    let (parts, body) = request.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned().unwrap_or_default();
    let list = |prefix: &str, headers: &HeaderMap| -> String {
        headers.iter().map(|(name, value)| format!("{prefix} {name}: {value:?}\n")).collect()
    };
    list("header", &parts.headers) + &list("trailer", &trailers) + "end"
}

/// The layers around the proxy, in front of that origin.
async fn proxy() -> (SocketAddr, SigningKey) {
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", behind.local_addr().unwrap());
    let router = Router::new().fallback(any(reflect));
    tokio::spawn(async move { axum::serve(behind, router).await });
    let rule = IngressRule::parse("", None, &target, OriginSettings::default()).unwrap();
    let proxy = ReverseProxy::builder(Ingress::new(vec![rule]).unwrap()).build().unwrap();
    let (access, key) = issuing();
    let service = AccessLayer::new(access).layer(proxy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let never = std::future::pending::<()>();
    tokio::spawn(serve(listener, service, ServeLimits::default(), never));
    (address, key)
}

const TRAILERS: [(&str, &str); 7] = [
    (EMAIL, "chair@example.com"),
    ("cf_access_authenticated_user_email", "chair@example.com"),
    (ASSERTION, "forged"),
    ("cf-access-token", "forged"),
    ("cookie", "CF_Authorization=forged"),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-checksum", "1"),
];

async fn over_http1(address: SocketAddr, headers: &str, trailers: &[(&str, &str)]) -> String {
    let names: Vec<_> = trailers.iter().map(|(name, _)| *name).collect();
    let lines: String =
        trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "POST /x HTTP/1.1\r\nhost: app.example\r\nconnection: close, cf-access-jwt-assertion\r\n\
         te: trailers\r\ntrailer: {}\r\n{headers}transfer-encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\n{lines}\r\n",
        names.join(", ")
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap();
    answer
}

async fn over_http2(
    address: SocketAddr,
    headers: &[(&str, &str)],
    trailers: &[(&str, &str)],
) -> (StatusCode, String) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut map = HeaderMap::new();
    for (name, value) in trailers {
        map.append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    // Without a length: with one, HTTP/1.1 towards the origin has no room for trailers.
    let frames = [Frame::data(Bytes::from_static(b"hi")), Frame::trailers(map)];
    let frames = frames.map(Ok::<_, std::convert::Infallible>);
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let names: Vec<_> = trailers.iter().map(|(name, _)| *name).collect();
    let mut request = Request::post("http://app.example/x").header("trailer", names.join(", "));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = sender.send_request(request.body(body).unwrap()).await.unwrap();
    let status = answer.status();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(text.to_vec()).unwrap())
}

/// HDR-04
#[tokio::test]
async fn hdr_04_trailers_carry_no_identity_over_either_protocol() {
    let (address, key) = proxy().await;
    let token = key.sign(&person(TEAM, AUDIENCE, ADA)).unwrap();
    let first = over_http1(address, &format!("cf-access-token: {token}\r\n"), &TRAILERS).await;
    let (_, second) = over_http2(address, &[("cf-access-token", &token)], &TRAILERS).await;
    for seen in [first, second] {
        assert!(seen.contains("header cf-access-authenticated-user-email: \"ada@example.com\"\n"));
        assert!(seen.contains("trailer x-checksum: \"1\"\n"), "{seen}");
        let trailers: Vec<_> = seen.lines().filter(|line| line.starts_with("trailer ")).collect();
        assert_eq!(trailers.len(), 1, "{seen}");
        for gone in ["chair@example.com", "forged", "192.0.2.7"] {
            assert!(!seen.contains(gone), "{gone}: {seen}");
        }
        let announced = seen.lines().find(|line| line.starts_with("header trailer: "));
        assert!(announced.is_none_or(|line| line == "header trailer: \"x-checksum\""), "{seen}");
    }
}

/// HDR-04
#[tokio::test]
async fn hdr_04_a_credential_in_a_trailer_is_none() {
    let (address, key) = proxy().await;
    let token = key.sign(&person(TEAM, AUDIENCE, ADA)).unwrap();
    let cookie = format!("CF_Authorization={token}");
    for trailers in [
        &[("cf-access-token", &*token)][..],
        &[("cookie", &cookie)],
        &[("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")],
    ] {
        let answer = over_http1(address, "", trailers).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert_eq!(over_http2(address, &[], trailers).await.0, StatusCode::UNAUTHORIZED);
    }
}
