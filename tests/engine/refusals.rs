//! Refusals for programs: gRPC calls and scripts, which follow no redirect and read no page.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, ready};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceExt};
use tower_access::application::Application;
use tower_access::clock::Timestamp;
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::layer::AccessService;
use tower_access::policy::{Policy, Rule};
use tower_access::token::keys::{FetchError, KeyFetch, KeyFuture, RemoteKeys};
use tower_access::token::{ClaimName, TokenErrorKind as Kind, TokenKind};
use tower_access::{Access, AccessLayer, Rejection};

use crate::support::{Answer, Mailbox, NOW, Origin, clock, person, send};

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const SECOND: &str = "8b1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const ASSERTION: &str = "cf-access-jwt-assertion";
const GRPC: [&str; 3] =
    ["application/grpc", "application/grpc+proto", "application/grpc-web+proto"];

type Service = AccessService<Origin>;
type Lines<'a> = &'a [(&'a str, &'a str)];

struct World {
    access: Access,
    key: SigningKey,
    origin: Origin,
    service: Service,
    /// The header that carries tokens.
    header: &'static str,
}

fn applications() -> [Application; 2] {
    let chair = || Policy::allow("chair").include(Rule::email("chair@example.com").unwrap());
    let ci = || Policy::service_auth("ci").include(Rule::service_token("ci"));
    let new = |name, host| Application::new(name, host).unwrap();
    [
        new("App", "app.example").audience(AUDIENCE.parse().unwrap()).policy(chair()),
        new("Machines", "machines.example").audience(SECOND.parse().unwrap()).policy(ci()),
    ]
}

/// A copy of the one key of this process: a new one takes a while.
fn key() -> SigningKey {
    static DER: OnceLock<Vec<u8>> = OnceLock::new();
    let new = || SigningKey::generate().unwrap().to_pkcs8_der().unwrap().to_vec();
    SigningKey::from_pkcs8_der(DER.get_or_init(new)).unwrap()
}

fn issuing() -> World {
    let builder = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(key())
        .clock(clock());
    let builder = applications().into_iter().fold(builder, |it, one| it.application(one));
    World::new(builder.build().unwrap(), "cf-access-token")
}

fn verifying() -> World {
    let now = Timestamp::from_unix_seconds(NOW);
    let keys = PublishedKeys::new(&key(), &[], ISSUER, now).unwrap().key_set().clone();
    let builder = Access::verifier_builder("login.example.com").unwrap().keys(keys).clock(clock());
    let builder = applications().into_iter().fold(builder, |it, one| it.application(one));
    World::new(builder.build().unwrap(), ASSERTION)
}

/// The issuer's keys cannot be fetched.
fn without_keys() -> World {
    #[derive(Debug)]
    struct Away;
    impl KeyFetch for Away {
        fn fetch(&self) -> KeyFuture<'_> {
            Box::pin(async { Err(FetchError::new("unreachable")) })
        }
    }
    let keys = RemoteKeys::new(Away);
    let builder = Access::verifier_builder("login.example.com").unwrap().keys(keys).clock(clock());
    let builder = applications().into_iter().fold(builder, |it, one| it.application(one));
    World::new(builder.build().unwrap(), ASSERTION)
}

impl World {
    fn new(access: Access, header: &'static str) -> Self {
        let origin = Origin::default();
        let service = AccessLayer::new(access.clone()).layer(origin.clone());
        Self { access, key: key(), origin, service, header }
    }

    fn token(&self, email: &str) -> String {
        self.key.sign(&person(ISSUER, AUDIENCE, email)).unwrap()
    }
}

fn request(method: Method, host: &str, lines: Lines<'_>) -> Request<Full<Bytes>> {
    let builder = Request::builder()
        .method(method)
        .version(Version::HTTP_2)
        .uri("/pkg.Service/Call")
        .header("host", host);
    let builder = lines.iter().fold(builder, |it, (name, value)| it.header(*name, *value));
    builder.body(Full::default()).unwrap()
}

/// What gRPC clients are refused with, and where: world, host, token, code.
fn grpc_refusals() -> Vec<(World, &'static str, Option<String>, &'static str)> {
    let mut refusals = Vec::new();
    for new in [issuing, verifying] {
        let denied = |world: &World| Some(world.token("ada@example.com"));
        refusals.push((new(), "app.example", None, "16"));
        refusals.push((new(), "app.example", Some("a.b.c".to_owned()), "16"));
        let world = new();
        refusals.push((world, "machines.example", None, "16"));
        let world = new();
        let token = denied(&world);
        refusals.push((world, "app.example", token, "7"));
        refusals.push((new(), "nowhere.example", None, "12"));
        let world = new();
        let token = denied(&world);
        refusals.push((world, "nowhere.example", token, "12"));
    }
    let world = without_keys();
    let token = Some(world.token("chair@example.com"));
    refusals.push((world, "app.example", token, "14"));
    refusals
}

fn is_grpc_refusal(status: StatusCode, headers: &HeaderMap, content_type: &str, code: &str) {
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["grpc-status"], code, "{headers:?}");
    assert_eq!(headers[CONTENT_TYPE], content_type);
    assert!(!headers["grpc-message"].is_empty());
    assert!(!headers.contains_key(LOCATION), "never a redirect");
    assert!(!headers.contains_key(SET_COOKIE), "nothing a program would keep");
    assert!(headers["cache-control"].to_str().unwrap().contains("no-store"));
}

#[tokio::test]
async fn proto_09_flow_11_a_grpc_call_is_refused_in_the_words_of_grpc() {
    for (world, host, token, code) in grpc_refusals() {
        for content_type in GRPC {
            // What a browser would send makes no page and no redirect of it.
            for (method, more) in [
                (Method::POST, &[][..]),
                (Method::POST, &[("accept", "text/html"), ("sec-fetch-mode", "navigate")]),
                (Method::POST, &[("te", "trailers"), ("sec-fetch-mode", "cors")]),
            ] {
                let mut lines = vec![("content-type", content_type)];
                lines.extend(token.as_deref().map(|token| (world.header, token)));
                lines.extend(more);
                let request = request(method, host, &lines);
                let answer = world.service.clone().oneshot(request).await.unwrap();
                assert!(answer.extensions().get::<Rejection>().is_some());
                let (parts, body) = answer.into_parts();
                is_grpc_refusal(parts.status, &parts.headers, content_type, code);
                assert!(body.is_end_stream(), "{code}");
                assert_eq!(body.size_hint().exact(), Some(0));
                let body = body.collect().await.unwrap();
                assert!(body.trailers().is_none());
                assert!(body.to_bytes().is_empty());
            }
        }
        assert_eq!(world.origin.count(), 0);
    }
}

#[tokio::test]
async fn flow_11_what_is_not_quite_grpc_is_refused_as_usual() {
    let world = issuing();
    for content_type in ["application/grpcx", "application/json", "text/application/grpc"] {
        let lines = [("content-type", content_type)];
        let answer = send(&world.service, request(Method::POST, "app.example", &lines)).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{content_type}");
        assert_eq!(answer.header("grpc-status"), None);
    }
    // No call is a GET or comes over HTTP/1: whoever decides by status is not told 200.
    for (method, version, status) in
        [(Method::GET, Version::HTTP_2, 302), (Method::POST, Version::HTTP_11, 401)]
    {
        let mut request = request(method, "app.example", &[("content-type", GRPC[0])]);
        *request.version_mut() = version;
        let answer = send(&world.service, request).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.header("grpc-status"), None);
    }
}

/// A connection that keeps what it reads.
struct Recorded {
    socket: TcpStream,
    read: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(context, buffer))?;
        self.read.lock().unwrap().extend(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;

/// Type and flags of every frame of a stream that a server sent (RFC 9113, section 4.1).
fn frames(mut bytes: &[u8], stream: u32) -> Vec<(u8, u8)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & (u32::MAX >> 1);
        if id == stream {
            frames.push((head[3], head[4]));
        }
        bytes = rest.get(length..).unwrap_or_default();
    }
    frames
}

/// An answer over HTTP/2, and the frames it came in.
struct OverHttp2 {
    parts: http::response::Parts,
    ended_with_headers: bool,
    text: String,
    frames: Vec<(u8, u8)>,
}

/// Sends a request over a real connection, with prior knowledge that the server speaks HTTP/2.
async fn over_http2(service: Service, request: Request<Full<Bytes>>) -> OverHttp2 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let service = TowerToHyperService::new(service);
        server.serve_connection(TokioIo::new(socket), service).await
    });
    let read = Arc::new(Mutex::new(Vec::new()));
    let socket = TcpStream::connect(address).await.unwrap();
    let socket = TokioIo::new(Recorded { socket, read: Arc::clone(&read) });
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    let connection = tokio::spawn(connection);
    let (parts, body) = client.send_request(request).await.unwrap().into_parts();
    let ended_with_headers = body.is_end_stream();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    // What the server sends has arrived once the connection is closed.
    drop(client);
    connection.await.unwrap().unwrap();
    server.await.unwrap().unwrap();
    let frames = frames(&read.lock().unwrap(), 1);
    OverHttp2 { parts, ended_with_headers, text, frames }
}

#[tokio::test]
async fn proto_09_over_http2_the_refusal_is_one_frame_of_headers() {
    for (world, host, token, code) in grpc_refusals() {
        for content_type in GRPC {
            let builder = Request::post(format!("http://{host}/pkg.Service/Call"))
                .header(CONTENT_TYPE, content_type)
                .header("te", "trailers");
            let builder = token.iter().fold(builder, |it, token| it.header(world.header, token));
            let request = builder.body(Full::from("\0\0\0\0\0")).unwrap();
            let OverHttp2 { parts, ended_with_headers, text, frames } =
                over_http2(world.service.clone(), request).await;
            is_grpc_refusal(parts.status, &parts.headers, content_type, code);
            assert!(ended_with_headers, "{code}");
            assert_eq!(text, "");
            let headers: Vec<_> = frames.iter().filter(|(kind, _)| *kind == HEADERS).collect();
            assert_eq!(headers.len(), 1, "{frames:?}");
            assert_eq!(headers[0].1 & END_STREAM, END_STREAM, "{frames:?}");
            assert!(frames.iter().all(|(kind, _)| *kind != DATA), "{frames:?}");
        }
        assert_eq!(world.origin.count(), 0);
    }
}

/// The frames are told apart: a refusal with a body has one for it.
#[tokio::test]
async fn a_refusal_with_a_body_has_a_frame_of_data() {
    let world = issuing();
    let request = Request::post("http://app.example/").body(Full::default()).unwrap();
    let over = over_http2(world.service, request).await;
    assert_eq!(over.parts.status, StatusCode::UNAUTHORIZED);
    assert!(!over.ended_with_headers && over.text.contains("login_required"));
    assert!(over.frames.iter().any(|(kind, _)| *kind == DATA), "{:?}", over.frames);
}

fn is_json_refusal(answer: &Answer, error: &str) -> Value {
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.parts.headers.get(LOCATION).is_none(), "never a redirect");
    assert!(answer.header("content-type").unwrap().starts_with("application/json"));
    assert!(answer.header("cache-control").unwrap().contains("no-store"));
    let mut body: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(body["error"], error);
    assert!(body["message"].is_string());
    let reference = body["reference"].take();
    let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
    assert_eq!(reference, rejection.reference(), "ties the answer to the log");
    body
}

const SCRIPTS: [(&str, &str); 3] = [
    ("x-requested-with", "XMLHttpRequest"),
    ("sec-fetch-mode", "cors"),
    ("accept", "application/json"),
];

#[tokio::test]
async fn flow_11_a_script_gets_401_and_learns_where_the_login_is() {
    for world in [issuing(), verifying()] {
        for script in SCRIPTS {
            for lines in [&[script][..], &SCRIPTS] {
                let request = request(Method::POST, "app.example", lines);
                let answer = send(&world.service, request).await;
                let body = is_json_refusal(&answer, "login_required");
                let challenge: Vec<_> =
                    answer.parts.headers.get_all(WWW_AUTHENTICATE).iter().collect();
                assert_eq!(challenge, ["Cloudflare-Access"]);
                let login = format!("{ISSUER}/cdn-cgi/access/login/app.example?");
                assert!(body["login_url"].as_str().unwrap().starts_with(&login), "{body}");
            }
        }
        assert_eq!(world.origin.count(), 0);
    }
}

/// The claim of a name twice, as no JSON value has it.
struct Twice(Value, &'static str);

impl Serialize for Twice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.as_object().unwrap() {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry(self.1, &self.0[self.1])?;
        map.end()
    }
}

/// Tokens that are bad in every way there is, and what is wrong with each.
fn bad_tokens(world: &World) -> Vec<(String, Kind)> {
    let good = serde_json::to_value(person(ISSUER, AUDIENCE, "chair@example.com")).unwrap();
    let sign = |claims: &Value| world.key.sign(claims).unwrap();
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        sign(&claims)
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        sign(&claims)
    };
    let token = sign(&good);
    let parts: Vec<_> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("{token}") };
    let headed = |change: &dyn Fn(&mut Value)| {
        let mut header: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        change(&mut header);
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()))
    };
    let stranger = SigningKey::generate().unwrap();
    let list = json!([1]);
    vec![
        ("A".repeat(17_000), Kind::TooLarge),
        ("nonsense".to_owned(), Kind::Segments),
        (format!("{token}.e30.e30"), Kind::Encrypted),
        (format!("{header}.{payload}.{signature}="), Kind::Encoding),
        (format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode("[]")), Kind::Header),
        (headed(&|header| header["crit"] = json!(["exp"])), Kind::Critical),
        (headed(&|header| header["typ"] = json!("at+jwt")), Kind::MediaType),
        (headed(&|header| header["alg"] = json!("none")), Kind::Algorithm),
        (headed(&|header| drop(header["kid"].take())), Kind::Header),
        (headed(&|header| header["kid"] = json!("")), Kind::NoKeyId),
        (stranger.sign(&good).unwrap(), Kind::UnknownKey),
        (headed(&|header| header["more"] = json!(1)), Kind::Signature),
        (sign(&list), Kind::Payload),
        (
            world.key.sign(&Twice(good.clone(), "aud")).unwrap(),
            Kind::DuplicateClaim(ClaimName::Audience),
        ),
        (with("exp", json!("never")), Kind::WrongType(ClaimName::ExpiresAt)),
        (without("iat"), Kind::MissingClaim(ClaimName::IssuedAt)),
        (with("iss", json!(format!("{ISSUER}/"))), Kind::Issuer),
        (with("aud", json!([SECOND])), Kind::Audience),
        (with("type", json!("org")), Kind::Type),
        (with("exp", json!(NOW - 3600)), Kind::Expired),
        (with("nbf", json!(NOW + 3600)), Kind::NotYetValid),
        (with("exp", json!(NOW + 400 * 86_400)), Kind::Lifetime),
        (with("common_name", json!("ci.access")), Kind::Subject),
        (with("email", json!("revoked@example.com")), Kind::Revoked),
    ]
}

#[tokio::test]
async fn jwt_01_to_jwt_25_whatever_is_wrong_with_a_token_the_answer_is_the_same() {
    let world = verifying();
    world.access.revoke_user(&"revoked@example.com".parse().unwrap()).await.unwrap();
    let good = world.token("chair@example.com");
    let answer = send(&world.service, request(Method::POST, "app.example", &[(ASSERTION, &good)]));
    assert_eq!(answer.await.status(), StatusCode::OK);
    for lines in [&[][..], &SCRIPTS[..1], &SCRIPTS] {
        for method in [Method::GET, Method::POST] {
            let mut answers = Vec::new();
            let mut kinds = HashSet::new();
            for (token, kind) in bad_tokens(&world) {
                let lines: Vec<_> =
                    lines.iter().copied().chain([(ASSERTION, token.as_str())]).collect();
                let request = request(method.clone(), "app.example", &lines);
                let answer = send(&world.service, request).await;
                let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
                assert_eq!(rejection.token_error(), Some(kind), "{token:.30}");
                kinds.insert(kind);
                let body = is_json_refusal(&answer, "invalid_token");
                assert_eq!(body["login_url"], Value::Null, "it would bring the same token again");
                let challenge: Vec<_> =
                    answer.parts.headers.get_all(WWW_AUTHENTICATE).iter().collect();
                assert_eq!(challenge, ["Cloudflare-Access error=\"invalid_token\""]);
                answers.push((answer.parts.status, answer.parts.headers, body));
            }
            assert!(kinds.len() >= 20, "told apart inside: {kinds:?}");
            let first = answers.first().cloned();
            assert!(answers.into_iter().all(|answer| Some(answer) == first));
        }
    }
    assert_eq!(world.origin.count(), 1);
}

#[tokio::test]
async fn jwt_01_to_jwt_25_grpc_clients_see_no_difference_either() {
    let world = verifying();
    world.access.revoke_user(&"revoked@example.com".parse().unwrap()).await.unwrap();
    let mut answers = Vec::new();
    for (token, kind) in bad_tokens(&world) {
        let lines = [("content-type", GRPC[0]), (ASSERTION, token.as_str())];
        let answer = send(&world.service, request(Method::POST, "app.example", &lines)).await;
        is_grpc_refusal(answer.status(), &answer.parts.headers, GRPC[0], "16");
        let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
        assert_eq!(rejection.token_error(), Some(kind));
        answers.push((answer.parts.headers, answer.text));
    }
    let first = answers.first().cloned();
    assert!(answers.into_iter().all(|answer| Some(answer) == first));
}

#[tokio::test]
async fn jwt_01_to_jwt_25_where_we_issue_a_bad_token_is_sent_to_the_login() {
    let world = issuing();
    world.access.revoke_user(&"revoked@example.com".parse().unwrap()).await.unwrap();
    let blank = |text: &str| text.split("meta=").next().unwrap().to_owned();
    let mut answers = Vec::new();
    for (token, kind) in bad_tokens(&world) {
        let lines = [SCRIPTS[0], (world.header, token.as_str())];
        let answer = send(&world.service, request(Method::POST, "app.example", &lines)).await;
        let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
        assert_eq!(rejection.token_error(), Some(kind), "{token:.30}");
        let body = is_json_refusal(&answer, "login_required");
        assert_eq!(answer.header("www-authenticate"), Some("Cloudflare-Access"));
        let login = blank(body["login_url"].as_str().unwrap());
        let mut headers = answer.parts.headers.clone();
        // Drawn anew for every browser that brings none, and part of the address above.
        headers.remove(SET_COOKIE);
        headers.remove("content-length");
        answers.push((headers, login, body["message"].clone()));
    }
    let first = answers.first().cloned();
    assert!(answers.into_iter().all(|answer| Some(answer) == first));
    assert_eq!(world.origin.count(), 0);
    // The same goes for tokens of other kinds.
    let mut claims = person(ISSUER, AUDIENCE, "chair@example.com");
    claims.kind = TokenKind::Binding;
    let token = world.key.sign(&claims).unwrap();
    let lines = [SCRIPTS[0], (world.header, token.as_str())];
    let answer = send(&world.service, request(Method::POST, "app.example", &lines)).await;
    is_json_refusal(&answer, "login_required");
}
