//! A key server that fails in every way, over real sockets.
//!
//! Whatever it does: tokens of known keys go through at once, nothing else opens, the engine says
//! how its keys stand, and when the server is well again so is the engine.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tower::util::ServiceFn;
use tower::{Layer, ServiceExt, service_fn};
use tower_access::clock::Clock;
use tower_access::issuer::{KeyRotation, SigningKey, SigningKeys};
use tower_access::layer::AccessService;
use tower_access::test_util::TestIssuer;
use tower_access::token::Algorithms;
use tower_access::token::keys::{HttpFetch, KeyState, RefreshPolicy, RemoteKeys};
use tower_access::{Access, AccessLayer};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const MIB: usize = 1024 * 1024;
/// Longer than the cool-down, also when a fetch took its five seconds before.
const A_WHILE: Duration = Duration::from_secs(30);
/// How many requests may wait for a fetch.
const MOST_WAITING: usize = 1024;

/// What the server does with a request.
#[derive(Clone, Debug)]
enum Mode {
    /// Sends these bytes and closes.
    Answer(Bytes),
    /// Sends nothing until it is told to do something else.
    Silent,
    /// Begins an answer, and goes on with one byte a second.
    Drip,
    /// A body of a hundred megabytes, after these headers.
    Huge(&'static str),
}

/// A key server under the test's control. The port is its own from the beginning.
#[derive(Clone, Debug)]
struct KeyServer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    certificate: Mutex<Option<Arc<ServerConfig>>>,
    running: Mutex<Option<JoinHandle<()>>>,
    /// Bound and not listening: keeps the port while the server is down.
    port: Mutex<Option<TcpSocket>>,
    connections: AtomicUsize,
    /// Connections that have not ended.
    open: AtomicUsize,
    /// Requests that arrived whole.
    asked: AtomicUsize,
    /// Bytes of bodies that were handed to the system.
    sent: AtomicUsize,
}

impl KeyServer {
    /// A server that is down: whoever connects is refused.
    fn down() -> Self {
        let port = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self(Arc::new(Inner {
            address: port.local_addr().unwrap(),
            mode: watch::Sender::new(Mode::Silent),
            certificate: Mutex::default(),
            running: Mutex::default(),
            port: Mutex::new(Some(port)),
            connections: AtomicUsize::default(),
            open: AtomicUsize::default(),
            asked: AtomicUsize::default(),
            sent: AtomicUsize::default(),
        }))
    }

    fn up() -> Self {
        let server = Self::down();
        server.start();
        server
    }

    fn start(&self) {
        let port = self.0.port.lock().unwrap().take().expect("a server that is down");
        let accepting = self.clone().accept(port.listen(1024).unwrap());
        *self.0.running.lock().unwrap() = Some(tokio::spawn(accepting));
    }

    /// Ends the server with all its connections.
    async fn stop(&self) {
        let running = self.0.running.lock().unwrap().take().expect("a server that is up");
        running.abort();
        running.await.unwrap_err();
        *self.0.port.lock().unwrap() = Some(socket(self.0.address));
    }

    async fn accept(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            self.0.connections.fetch_add(1, Ordering::SeqCst);
            self.0.open.fetch_add(1, Ordering::SeqCst);
            let server = self.clone();
            connections.spawn(async move {
                // Clients that go away or do not trust the certificate: what the tests are about.
                let _ = server.serve(stream).await;
                server.0.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let certificate = self.0.certificate.lock().unwrap().clone();
        match certificate {
            None => self.answer(stream).await,
            Some(config) => self.answer(TlsAcceptor::from(config).accept(stream).await?).await,
        }
    }

    async fn answer(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let mut modes = self.0.mode.subscribe();
        let mode = modes.wait_for(|mode| !matches!(mode, Mode::Silent)).await.unwrap().clone();
        match mode {
            Mode::Answer(bytes) => stream.write_all(&bytes).await?,
            Mode::Silent => unreachable!("it was waited for another mode"),
            Mode::Drip => {
                stream.write_all(head("200 OK", "content-length: 3600\r\n").as_bytes()).await?;
                loop {
                    self.send_body(&mut stream, b" ").await?;
                    tokio::time::sleep(SECOND).await;
                }
            }
            Mode::Huge(headers) => {
                stream.write_all(head("200 OK", headers).as_bytes()).await?;
                for _ in 0..HUGE / CHUNK {
                    self.send_body(&mut stream, &[b' '; CHUNK]).await?;
                }
            }
        }
        stream.shutdown().await
    }

    async fn send_body(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
    ) -> std::io::Result<()> {
        stream.write_all(bytes).await?;
        self.0.sent.fetch_add(bytes.len(), Ordering::SeqCst);
        Ok(())
    }

    fn set(&self, mode: Mode) {
        self.0.mode.send_replace(mode);
    }

    fn publish(&self, key_set: &[u8]) {
        self.set(Mode::Answer(response("200 OK", "", key_set)));
    }

    fn encrypt_with(&self, certificate: Arc<ServerConfig>) {
        *self.0.certificate.lock().unwrap() = Some(certificate);
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    fn sent(&self) -> usize {
        self.0.sent.load(Ordering::SeqCst)
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}/cdn-cgi/access/certs", self.0.address)
    }
}

const CHUNK: usize = 64 * 1024;
const HUGE: usize = 100 * MIB;

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    // What a connection may hold on its way is no part of what the client reads: keep it small.
    socket.set_send_buffer_size(64 * 1024).unwrap();
    socket.bind(address).unwrap();
    socket
}

fn head(status: &str, headers: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n")
}

fn response(status: &str, headers: &str, body: &[u8]) -> Bytes {
    let length = format!("content-length: {}\r\n{headers}", body.len());
    [head(status, &length).as_bytes(), body].concat().into()
}

type Page = fn(Request<Full<Bytes>>) -> Ready<Result<Response<Full<Bytes>>, Infallible>>;

/// An origin whose issuer's keys come from the server.
struct World {
    server: KeyServer,
    issuer: TestIssuer,
    access: Access,
    app: AccessService<ServiceFn<Page>>,
    /// A token of the issuer's first key, good for weeks.
    good: String,
}

impl World {
    fn new(server: KeyServer) -> Self {
        let fetch = HttpFetch::new(&server.url("http")).unwrap();
        Self::with(server, fetch, RefreshPolicy::default())
    }

    fn with(server: KeyServer, fetch: HttpFetch, policy: RefreshPolicy) -> Self {
        let issuer = TestIssuer::new();
        let access = issuer
            .verifier_builder()
            .audience(TestIssuer::AUDIENCE.parse().unwrap())
            .keys(RemoteKeys::with_policy(fetch, policy, Algorithms::default()))
            .build()
            .unwrap();
        let page: Page = |_| ready(Ok(Response::default()));
        let app = AccessLayer::new(access.clone()).layer(service_fn(page));
        server.publish(&issuer.key_set_json());
        let good = token_of(&issuer, "ada@example.com");
        Self { server, issuer, access, app, good }
    }

    /// One whose keys are loaded, from a server that is well.
    async fn well() -> Self {
        let world = Self::new(KeyServer::up());
        world.loads().await;
        world
    }

    async fn loads(&self) {
        assert_eq!(self.ask(&self.good).await, 200);
        assert_eq!(self.state(), KeyState::Fresh { keys: 1 });
    }

    fn state(&self) -> KeyState {
        self.access.key_state()
    }

    fn advance(&self, duration: Duration) {
        self.issuer.clock().advance(duration);
    }

    async fn answer(&self, token: &str) -> Response<()> {
        let request = Request::builder()
            .uri("/")
            .header("host", "app.example")
            .header("cf-access-jwt-assertion", token)
            .body(Full::default())
            .unwrap();
        self.app.clone().oneshot(request).await.unwrap().map(drop)
    }

    async fn ask(&self, token: &str) -> u16 {
        self.answer(token).await.status().as_u16()
    }

    /// The status of an answer that is there as soon as it is asked for; `None` for one that has
    /// to be waited for.
    fn ask_at_once(&self, token: &str) -> Option<u16> {
        self.ask(token).now_or_never()
    }

    /// Tokens of the first key go through without a wait, whether they were seen before or not.
    fn assert_good_flows(&self, when: &str) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // All test issuers of a process have the same first key; this one never gets another.
        let unseen = token_of(&TestIssuer::new(), &format!("ada-{number}@example.com"));
        assert_eq!(self.ask_at_once(&self.good), Some(200), "a token seen before: {when}");
        assert_eq!(self.ask_at_once(&unseen), Some(200), "a token not seen before: {when}");
    }

    /// A stranger causes a fetch, which fails: nobody else notices.
    async fn endures(&self, fault: &str) {
        let before = self.state();
        self.advance(A_WHILE);
        let mut stranger = Box::pin(self.ask(stranger()));
        assert_eq!((&mut stranger).now_or_never(), None, "a fetch is due: {fault}");
        self.assert_good_flows(fault);
        let refused = loop {
            match tokio::time::timeout(SECOND / 50, &mut stranger).await {
                Ok(status) => break status,
                Err(_) => self.assert_good_flows(fault),
            }
        };
        assert_eq!(refused, 401, "{fault}");
        self.assert_good_flows(fault);
        assert_eq!(self.state(), before, "{fault}");
    }

    /// The set's time is over, and the refresh that is due finds the fault as well.
    fn goes_stale(&self, fault: &str) {
        self.advance(HOUR);
        self.assert_good_flows(fault);
        assert!(matches!(self.state(), KeyState::Stale { keys: 1, .. }), "{fault}");
    }

    /// With a server that is well again the next refresh, beside good requests, brings a new key.
    async fn heals(&self) {
        self.issuer.rotate();
        self.server.publish(&self.issuer.key_set_json());
        self.advance(A_WHILE);
        eventually("the keys are fresh", || {
            self.assert_good_flows("healing");
            self.state() == KeyState::Fresh { keys: 2 }
        })
        .await;
        let new = token_of(&self.issuer, "ada@example.com");
        assert_eq!(self.ask(&new).await, 200, "the new key counts");
        assert_eq!(self.ask(stranger()).await, 401);
    }

    /// The whole story of a fault, whose fetches fail at once.
    async fn survives(&self, fault: &str) {
        self.endures(fault).await;
        self.goes_stale(fault);
        self.endures(fault).await;
        self.heals().await;
    }
}

/// The whole story of a server that is well, gives each of these answers, and is well again.
async fn survives_answers(answers: impl IntoIterator<Item = (&str, Bytes)>) {
    let world = World::well().await;
    let mut last = "";
    for (fault, answer) in answers {
        world.server.set(Mode::Answer(answer));
        let asked = world.server.asked();
        world.endures(fault).await;
        assert_eq!(world.server.asked(), asked + 1, "{fault}");
        last = fault;
    }
    world.survives(last).await;
}

/// The token of a person, by the issuer's newest key and its clock, good for a month.
fn token_of(issuer: &TestIssuer, email: &str) -> String {
    let mut claims = issuer.claims_for(email);
    claims.exp = claims.iat + 30 * DAY.as_secs();
    issuer.sign(&claims)
}

/// A token like ours, of a key that nobody publishes.
fn stranger() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| {
        let issuer = TestIssuer::new();
        issuer.rotate();
        token_of(&issuer, "eve@example.com")
    })
}

/// This token under another key id.
fn with_key_id(token: &str, key_id: &str) -> String {
    let header = json!({ "alg": "RS256", "kid": key_id, "typ": "JWT" });
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// Waits for what happens beside the requests: milliseconds, if no time limit has to pass.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    panic!("waited in vain: {what}");
}

#[tokio::test]
async fn key_13_down_at_the_start_it_answers_503_and_heals_by_itself() {
    let world = World::new(KeyServer::down());
    assert_eq!(world.state(), KeyState::NeverLoaded);
    for _ in 0..3 {
        for token in [&*world.good, stranger()] {
            let answer = world.answer(token).await;
            assert_eq!(answer.status(), 503);
            assert!(answer.headers().contains_key("retry-after"));
        }
        assert_eq!(world.state(), KeyState::NeverLoaded);
        world.advance(A_WHILE);
    }
    world.server.start();
    world.loads().await;
    assert_eq!(world.ask(stranger()).await, 401);
}

#[tokio::test]
async fn key_03_down_later_known_keys_serve_for_a_day() {
    let world = World::well().await;
    world.server.stop().await;
    world.endures("connection refused").await;
    world.goes_stale("connection refused");
    world.endures("connection refused").await;
    // 22 h 58 min more.
    world.advance(22 * HOUR + 58 * MINUTE);
    world.assert_good_flows("a day later");
    assert_eq!(world.ask(stranger()).await, 401);
    world.advance(MINUTE);
    let answer = world.answer(&world.good).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert!(matches!(world.state(), KeyState::Expired { .. }));
    world.server.start();
    world.advance(A_WHILE);
    world.loads().await;
    assert_eq!(world.ask(stranger()).await, 401);
}

#[tokio::test]
async fn key_03_key_04_key_09_a_server_that_never_answers() {
    let world = World::well().await;
    world.server.set(Mode::Silent);
    world.endures("silence").await;
    world.goes_stale("silence");
    eventually("another fetch hangs", || world.server.asked() == 3).await;
    world.assert_good_flows("silence, stale");
    world.heals().await;
    // The third request hung until it was answered; the fourth was the last stranger's.
    assert_eq!(world.server.asked(), 4);
}

#[tokio::test]
async fn key_04_a_server_that_sends_one_byte_a_second() {
    let world = World::well().await;
    world.server.set(Mode::Drip);
    world.endures("one byte a second").await;
    // Five seconds is the time limit; the rest is for a slow machine.
    assert!((1..=20).contains(&world.server.sent()), "{} bytes", world.server.sent());
    world.goes_stale("one byte a second");
    world.heals().await;
}

#[tokio::test]
async fn key_03_status_500() {
    let keys = TestIssuer::new().key_set_json();
    survives_answers([("500", response("500 Internal Server Error", "", &keys))]).await;
}

#[tokio::test]
async fn key_03_status_404() {
    let keys = TestIssuer::new().key_set_json();
    survives_answers([("404", response("404 Not Found", "", &keys))]).await;
}

#[tokio::test]
async fn key_05_redirects_are_not_followed() {
    let target = KeyServer::up();
    target.publish(&TestIssuer::new().key_set_json());
    let to = |status: &str, place: &str| {
        response(status, &format!("location: {place}\r\n"), &TestIssuer::new().key_set_json())
    };
    let elsewhere = target.url("http");
    survives_answers([
        ("301", to("301 Moved Permanently", &elsewhere)),
        ("302", to("302 Found", &elsewhere)),
        ("303", to("303 See Other", &elsewhere)),
        ("307", to("307 Temporary Redirect", &elsewhere)),
        ("308", to("308 Permanent Redirect", &elsewhere)),
        ("to a file", to("302 Found", "file:///etc/passwd")),
        ("to https", to("302 Found", &target.url("https"))),
        ("to itself", to("302 Found", "/cdn-cgi/access/certs")),
    ])
    .await;
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn key_06_html_with_status_200() {
    let page = b"<!doctype html><title>Sign in to the network</title>";
    survives_answers([("HTML", response("200 OK", "content-type: text/html\r\n", page))]).await;
}

#[tokio::test]
async fn key_06_truncated_json() {
    let keys = TestIssuer::new().key_set_json();
    let half = keys.slice(..keys.len() / 2);
    let whole = response("200 OK", "", &keys);
    let cut_off = whole.slice(..whole.len() - keys.len() / 2);
    let chunked = [
        head("200 OK", "transfer-encoding: chunked\r\n").as_bytes(),
        format!("{:x}\r\n", keys.len()).as_bytes(),
        &keys,
    ]
    .concat();
    survives_answers([
        ("half of the JSON", response("200 OK", "", &half)),
        ("half of the announced length", cut_off),
        ("chunks without an end", chunked.into()),
    ])
    .await;
}

#[tokio::test]
async fn key_06_an_empty_key_set() {
    survives_answers([
        ("no keys", response("200 OK", "", br#"{"keys":[]}"#)),
        (
            "no usable key",
            response("200 OK", "", br#"{"keys":[{"kty":"oct","k":"AA","kid":"a"}]}"#),
        ),
        ("no body", response("200 OK", "", b"")),
    ])
    .await;
}

#[tokio::test]
async fn key_04_a_body_of_a_hundred_megabytes_is_cut() {
    let world = World::well().await;
    for (fault, headers) in [
        ("of announced length", "content-length: 104857600\r\n"),
        ("of unknown length", "content-type: application/json\r\n"),
        ("said to be compressed", "content-encoding: gzip\r\n"),
    ] {
        world.server.set(Mode::Huge(headers));
        let before = world.server.sent();
        world.endures(fault).await;
        eventually("the client has hung up", || world.server.0.open.load(Ordering::SeqCst) == 0)
            .await;
        let sent = world.server.sent() - before;
        // One MiB is read; a receive buffer of the system holds 6 MiB at the most, if it was not
        // told otherwise.
        assert!((MIB..16 * MIB).contains(&sent), "{fault}: {sent} bytes");
    }
    world.survives("a hundred megabytes").await;
}

#[tokio::test]
async fn key_07_ten_thousand_keys_over_the_size_limit() {
    let mut document: Value = serde_json::from_slice(&TestIssuer::new().key_set_json()).unwrap();
    let key = document["keys"][0].clone();
    let keys = (0..10_000).map(|number| {
        let mut key = key.clone();
        key["kid"] = json!(format!("{number:064}"));
        key
    });
    document["keys"] = keys.chain([key.clone()]).collect();
    let text = document.to_string();
    assert!(text.len() > 4 * MIB);
    survives_answers([("10,000 keys", response("200 OK", "", text.as_bytes()))]).await;
}

#[tokio::test]
async fn key_07_ten_thousand_entries_of_junk_behind_a_good_key() {
    let world = World::well().await;
    world.issuer.rotate();
    let early = token_of(&world.issuer, "ada@example.com");
    let mut document: Value = serde_json::from_slice(&world.issuer.key_set_json()).unwrap();
    world.issuer.rotate();
    let late = token_of(&world.issuer, "ada@example.com");
    let newest: Value = serde_json::from_slice(&world.issuer.key_set_json()).unwrap();
    let entries = document["keys"].as_array_mut().unwrap();
    entries.extend((0..10_000).map(|number| json!({ "kty": "RSA", "kid": number.to_string() })));
    entries.push(newest["keys"][0].clone());
    let text = document.to_string();
    assert!(text.len() < MIB);
    world.server.publish(text.as_bytes());
    world.advance(A_WHILE);
    assert_eq!(world.ask(&early).await, 200, "a key in front");
    assert_eq!(world.state(), KeyState::Fresh { keys: 2 });
    world.assert_good_flows("junk");
    world.advance(A_WHILE);
    assert_eq!(world.ask(&late).await, 401, "nobody reads so far");
    assert_eq!(world.server.asked(), 3);
    // The document without junk brings the key, once its id may be asked for again.
    world.server.publish(&world.issuer.key_set_json());
    world.advance(MINUTE);
    assert_eq!(world.ask(&late).await, 200);
    assert_eq!(world.state(), KeyState::Fresh { keys: 3 });
}

#[tokio::test]
async fn key_01_key_08_a_key_server_that_rotates_every_second() {
    let server = KeyServer::up();
    let fetch = HttpFetch::new(&server.url("http")).unwrap();
    let world = World::with(server, fetch, RefreshPolicy::default().cool_down(SECOND));
    let rotation = KeyRotation::default().overlap(3 * SECOND);
    let key = || SigningKey::generate().unwrap();
    let keys =
        SigningKeys::new(key(), TestIssuer::ISSUER, rotation, world.issuer.clock().now()).unwrap();
    let token = || {
        keys.sign(&world.issuer.claims_for("ada@example.com"), world.issuer.clock().now()).unwrap()
    };
    let publish = || world.server.publish(&keys.key_set_json(world.issuer.clock().now()));
    let mut tokens = vec![token()];
    publish();
    assert_eq!(world.ask(&tokens[0]).await, 200);
    for second in 1..=8 {
        world.advance(SECOND);
        keys.rotate(key(), world.issuer.clock().now()).unwrap();
        publish();
        tokens.push(token());
        assert_eq!(world.ask(&tokens[second]).await, 200, "the newest key, second {second}");
        let published = tokens.len().min(4);
        assert_eq!(world.state(), KeyState::Fresh { keys: published }, "second {second}");
        let (withdrawn, published) = tokens.split_at(tokens.len() - published);
        for token in published {
            assert_eq!(world.ask_at_once(token), Some(200), "second {second}");
        }
        for token in withdrawn {
            assert_eq!(world.ask_at_once(token), Some(401), "second {second}");
        }
    }
    assert_eq!(world.server.asked(), 9);
    // A key that comes right after a fetch is found when the cool-down is over.
    keys.rotate(key(), world.issuer.clock().now()).unwrap();
    publish();
    let last = token();
    assert_eq!(world.ask(&last).await, 401);
    world.advance(SECOND);
    assert_eq!(world.ask(&last).await, 200);
    assert_eq!(world.server.asked(), 10);
}

/// A certificate authority of the test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn certify(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.unwrap())
    }
}

const RIGHT_NAME: &str = "127.0.0.1";

/// A world whose key server is certified by the authority that is trusted there.
async fn encrypted_world(authority: &Authority) -> World {
    let server = KeyServer::up();
    server.encrypt_with(authority.certify(RIGHT_NAME));
    let pem = authority.0.pem();
    let fetch = HttpFetch::with_authorities(&server.url("https"), pem.as_bytes()).unwrap();
    World::with(server, fetch, RefreshPolicy::default())
}

/// The whole story of a certificate that is not right.
async fn survives_certificate(authority: &Authority, wrong: Arc<ServerConfig>, fault: &str) {
    let world = encrypted_world(authority).await;
    world.loads().await;
    world.server.encrypt_with(wrong);
    let (asked, connections) = (world.server.asked(), world.server.connections());
    world.endures(fault).await;
    world.goes_stale(fault);
    world.endures(fault).await;
    assert_eq!(world.server.asked(), asked, "nothing is said to a server that is not trusted");
    assert!(world.server.connections() > connections);
    world.server.encrypt_with(authority.certify(RIGHT_NAME));
    world.heals().await;
}

#[tokio::test]
async fn key_05_tls_with_a_wrong_name() {
    let authority = Authority::new();
    for name in ["keys.example.com", "127.0.0.2"] {
        survives_certificate(&authority, authority.certify(name), name).await;
    }
}

#[tokio::test]
async fn key_05_tls_with_an_unknown_authority() {
    let authority = Authority::new();
    let unknown = Authority::new().certify(RIGHT_NAME);
    survives_certificate(&authority, unknown, "another authority").await;
    // The platform's authorities do not vouch for it: nothing loads in the first place.
    let server = KeyServer::up();
    server.encrypt_with(authority.certify(RIGHT_NAME));
    let fetch = HttpFetch::new(&server.url("https")).unwrap();
    let world = World::with(server, fetch, RefreshPolicy::default());
    assert_eq!(world.ask(&world.good).await, 503);
    assert_eq!(world.state(), KeyState::NeverLoaded);
    assert_eq!((world.server.connections(), world.server.asked()), (1, 0));
}

#[tokio::test]
async fn key_11_cache_headers_count_within_bounds() {
    for (headers, fresh_for) in [
        ("", HOUR),
        ("cache-control: max-age=1200\r\n", 20 * MINUTE),
        ("cache-control: public, max-age=1200\r\nage: 600\r\n", 10 * MINUTE),
        ("cache-control: max-age=0\r\n", MINUTE),
        ("cache-control: no-store\r\n", MINUTE),
        ("cache-control: max-age=1000000000000\r\n", 6 * HOUR),
    ] {
        let world = World::new(KeyServer::up());
        let publish = || {
            let keys = world.issuer.key_set_json();
            world.server.set(Mode::Answer(response("200 OK", headers, &keys)));
        };
        publish();
        world.loads().await;
        // Three seconds on either side: the fetch itself may have taken one.
        world.advance(fresh_for * 3 / 4 - 3 * SECOND);
        world.assert_good_flows(headers);
        tokio::time::sleep(SECOND / 50).await;
        assert_eq!(world.server.asked(), 1, "too early: {headers}");
        // Nobody waits for the refresh: it does not end before the server is told to answer.
        world.server.set(Mode::Silent);
        world.advance(6 * SECOND);
        world.assert_good_flows(headers);
        eventually("a refresh", || world.server.asked() == 2).await;
        world.advance(fresh_for / 4 - 6 * SECOND);
        assert_eq!(world.state(), KeyState::Fresh { keys: 1 }, "{headers}");
        world.advance(6 * SECOND);
        assert!(matches!(world.state(), KeyState::Stale { keys: 1, .. }), "{headers}");
        world.assert_good_flows(headers);
        world.issuer.rotate();
        publish();
        eventually("the new keys", || world.state() == KeyState::Fresh { keys: 2 }).await;
        assert_eq!(world.server.asked(), 2, "{headers}");
    }
}

type Asking<'a> = Pin<Box<dyn Future<Output = u16> + 'a>>;

/// Asks with every token; the statuses of those answered at once, and those that wait.
fn ask_all<'a>(world: &'a World, tokens: &'a [String]) -> (Vec<u16>, Vec<Asking<'a>>) {
    let (mut answered, mut waiting) = (Vec::new(), Vec::new());
    for token in tokens {
        let mut asking: Asking<'a> = Box::pin(world.ask(token));
        match (&mut asking).now_or_never() {
            Some(status) => answered.push(status),
            None => waiting.push(asking),
        }
    }
    (answered, waiting)
}

#[tokio::test]
async fn key_02_ten_thousand_unknown_key_ids_cause_one_fetch_per_cool_down() {
    let world = World::well().await;
    for round in 1..=2 {
        let flood = |part: &str| -> Vec<_> {
            let id = |number| format!("unknown-{round}-{part}-{number}");
            (0..10_000).map(|number| with_key_id(&world.good, &id(number))).collect()
        };
        let (during, after) = (flood("during"), flood("after"));
        world.advance(A_WHILE);
        world.server.set(Mode::Silent);
        let (answered, waiting) = ask_all(&world, &during);
        assert_eq!(waiting.len(), MOST_WAITING);
        assert_eq!(answered, vec![401; 10_000 - MOST_WAITING]);
        world.assert_good_flows("as many wait as may");
        eventually("the fetch hangs", || world.server.asked() == 1 + round).await;
        world.assert_good_flows("the fetch hangs");
        world.server.publish(&world.issuer.key_set_json());
        assert_eq!(join_all(waiting).await, vec![401; MOST_WAITING]);
        // The cool-down: nobody waits, nothing is fetched.
        let (answered, waiting) = ask_all(&world, &after);
        assert!(waiting.is_empty());
        assert_eq!(answered, vec![401; 10_000]);
        world.assert_good_flows("after the flood");
        assert_eq!(world.server.asked(), 1 + round);
        assert_eq!(world.state(), KeyState::Fresh { keys: 1 });
    }
}

#[tokio::test]
async fn key_02_the_same_unknown_key_id_causes_one_fetch_in_two_cool_downs() {
    let world = World::well().await;
    world.advance(A_WHILE);
    assert_eq!(world.ask(stranger()).await, 401);
    assert_eq!(world.server.asked(), 2);
    for _ in 0..19 {
        world.advance(SECOND);
        assert_eq!(world.ask_at_once(stranger()), Some(401));
        world.assert_good_flows("the same again");
    }
    world.advance(SECOND);
    assert_eq!(world.ask(stranger()).await, 401);
    assert_eq!(world.server.asked(), 3);
}

#[tokio::test]
async fn key_02_without_keys_as_many_wait_as_may_and_the_others_get_503() {
    let world = World::new(KeyServer::up());
    world.server.set(Mode::Silent);
    let tokens = vec![world.good.clone(); 3 * MOST_WAITING];
    let (answered, waiting) = ask_all(&world, &tokens);
    assert_eq!(answered, vec![503; 2 * MOST_WAITING]);
    world.server.publish(&world.issuer.key_set_json());
    assert_eq!(join_all(waiting).await, vec![200; MOST_WAITING]);
    assert_eq!(world.server.asked(), 1);
}
