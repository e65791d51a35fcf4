//! What goes on after it was let in: closed when the session is ended or the settings are others.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Extension;
use axum::extract::ws::{Message as Sent, WebSocket, WebSocketUpgrade};
use axum::routing::any;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{COOKIE, HOST};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tower::{Layer, ServiceExt};
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::issuer::SigningKey;
use tower_access::policy::{Policy, Rule};
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy, ServeLimits, serve};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::store::{MemoryStore, Store};
use tower_access::{Access, AccessBuilder, AccessGrant, AccessLayer};

use crate::support::{Mailbox, NOW, clock, person, two_copies_of_a_key};

const HOST_NAME: &str = "wiki.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const ADA: &str = "ada@example.com";
const EVE: &str = "eve@example.com";
/// What is promised.
const ONE_SECOND: Duration = Duration::from_secs(1);
/// Longest that something may take that has no promised time.
const PATIENCE: Duration = Duration::from_secs(20);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A service that never stops talking, behind a proxy or alone.
fn talker() -> Router {
    let ticks = || async {
        let ticks = futures_util::stream::unfold(0, |count: u64| async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let text = Bytes::from(format!("data: {count}\n\n"));
            Some((Ok::<_, Infallible>(Frame::data(text)), count + 1))
        });
        Response::new(Body::new(StreamBody::new(ticks)))
    };
    // One word, and silence.
    let silence = || async {
        let first = futures_util::stream::once(async {
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"first")))
        });
        let all = first.chain(futures_util::stream::pending());
        Response::new(Body::new(StreamBody::new(all)))
    };
    let late = || async {
        ASKED.add_permits(1);
        ANSWERED.acquire().await.unwrap().forget();
        "what was asked for"
    };
    Router::new()
        .route("/ws", any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }))
        .route("/ticks", any(ticks))
        .route("/silence", any(silence))
        .route("/late", any(late))
}

/// That somebody has asked for what comes late, and that it comes.
static ASKED: Semaphore = Semaphore::const_new(0);
static ANSWERED: Semaphore = Semaphore::const_new(0);

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

/// One node: an engine with a proxy behind it, on a socket.
struct Node {
    access: Access,
    address: SocketAddr,
}

/// What nodes share.
struct World {
    clock: Arc<ManualClock>,
    store: Arc<dyn Store>,
    key: SigningKey,
    origin: SocketAddr,
}

impl World {
    async fn new() -> Self {
        let clock = clock();
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock), 1_000));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, talker()).await });
        Self { clock, store, key: SigningKey::generate().unwrap(), origin }
    }

    fn settings(policies: Vec<Policy>) -> AccessBuilder {
        let wiki = Application::new("Wiki", HOST_NAME).unwrap();
        let wiki = wiki.audience(AUDIENCE.parse().unwrap());
        Access::builder()
            .application(policies.into_iter().fold(wiki, Application::policy))
            .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("secret")))
            .mailer(Mailbox::default())
    }

    async fn node(&self) -> Node {
        let copy = SigningKey::from_pkcs8_der(&self.key.to_pkcs8_der().unwrap()).unwrap();
        let access = Self::settings(vec![staff(), services()])
            .clock(Arc::clone(&self.clock))
            .store(Arc::clone(&self.store))
            .signing_key(copy)
            .build()
            .unwrap();
        let rule = IngressRule::parse(
            "",
            None,
            &format!("http://{}", self.origin),
            OriginSettings::default(),
        );
        let ingress = Ingress::new(vec![rule.unwrap()]).unwrap();
        let proxy = ReverseProxy::builder(ingress).build().unwrap();
        let service = AccessLayer::new(access.clone()).layer(proxy);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let never = std::future::pending::<()>();
        tokio::spawn(serve(listener, service, ServeLimits::default(), never));
        Node { access, address }
    }

    fn cookie(&self, email: &str, session: &str) -> String {
        let mut claims = person(&format!("https://{HOST_NAME}"), AUDIENCE, email);
        claims.identity_nonce = Some(session.to_owned());
        format!("CF_Authorization={}", self.key.sign(&claims).unwrap())
    }
}

fn staff() -> Policy {
    Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())
}

fn services() -> Policy {
    Policy::service_auth("services").include(Rule::any_valid_service_token())
}

impl Node {
    fn request(&self, path: &str) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = format!("http://{}{path}", self.address).parse().unwrap();
        request.headers_mut().insert(HOST, HeaderValue::from_static(HOST_NAME));
        request
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let mut request = self.request(path);
        for (name, value) in headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        tokio::time::timeout(PATIENCE, client.request(request)).await.unwrap().unwrap()
    }

    /// A stream that has begun.
    async fn stream(&self, path: &str, cookie: &str) -> Incoming {
        let answer = self.get(path, &[("cookie", cookie)]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let mut body = answer.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        body
    }

    async fn socket(&self, cookie: &str) -> Socket {
        let mut request = format!("ws://{}/ws", self.address).into_client_request().unwrap();
        request.headers_mut().insert(HOST, HeaderValue::from_static(HOST_NAME));
        request.headers_mut().insert(COOKIE, cookie.parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        assert!(says(&mut socket).await);
        socket
    }
}

/// Whether the other side still answers.
async fn says(socket: &mut Socket) -> bool {
    if socket.send(Message::text("hello")).await.is_err() {
        return false;
    }
    let answer =
        tokio::time::timeout(PATIENCE, socket.next()).await.expect("an answer, or the end");
    matches!(answer, Some(Ok(Message::Text(text))) if text.as_str() == "hello")
}

/// Waits until a stream breaks off, which must look like no good end.
async fn breaks_off(body: &mut Incoming) -> Duration {
    let began = Instant::now();
    loop {
        match tokio::time::timeout(PATIENCE, body.frame()).await.expect("an end") {
            Some(Ok(_)) => {}
            Some(Err(_)) => return began.elapsed(),
            None => panic!("it ended as if it were complete"),
        }
    }
}

async fn closes(socket: &mut Socket) -> Duration {
    let began = Instant::now();
    let next = tokio::time::timeout(PATIENCE, socket.next()).await.expect("an end");
    assert!(!matches!(next, Some(Ok(Message::Text(_) | Message::Binary(_)))), "{next:?}");
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_11_what_is_open_is_closed_within_a_second_on_every_node() {
    let world = World::new().await;
    let (here, there) = (world.node().await, world.node().await);
    let mut number = 0;
    for what in ["session", "person", "application", "everybody"] {
        // A session of its own each time, and a second after what was ended before.
        number += 1;
        world.clock.advance(Duration::from_secs(2));
        let session = format!("session{number}");
        let mut claims = person(&format!("https://{HOST_NAME}"), AUDIENCE, ADA);
        claims.identity_nonce = Some(session.clone());
        claims.iat = NOW + 2 * number;
        let cookie = format!("CF_Authorization={}", world.key.sign(&claims).unwrap());
        claims.identity_nonce = Some(format!("other{number}"));
        claims.email = Some(EVE.to_owned());
        let other = format!("CF_Authorization={}", world.key.sign(&claims).unwrap());
        let mut there_socket = there.socket(&cookie).await;
        let mut there_ticks = there.stream("/ticks", &cookie).await;
        let mut socket = here.socket(&cookie).await;
        let mut ticks = here.stream("/ticks", &cookie).await;
        let mut silence = here.stream("/silence", &cookie).await;
        let mut others = here.socket(&other).await;
        end(&here.access, what, &session).await;
        let ended = Instant::now();
        closes(&mut socket).await;
        breaks_off(&mut ticks).await;
        breaks_off(&mut silence).await;
        closes(&mut there_socket).await;
        breaks_off(&mut there_ticks).await;
        if matches!(what, "session" | "person") {
            assert!(says(&mut others).await, "{what}");
        } else {
            closes(&mut others).await;
        }
        assert!(ended.elapsed() < ONE_SECOND, "{what}: {:?}", ended.elapsed());
        let answer = there.get("/ticks", &[("cookie", &cookie)]).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{what}");
    }
}

async fn end(access: &Access, what: &str, session: &str) {
    match what {
        "session" => access.revoke_session(session).await.map(drop),
        "person" => access.revoke_user(&ADA.parse().unwrap()).await.map(drop),
        "application" => access.revoke_application(&AUDIENCE.parse().unwrap()).await,
        _ => access.revoke_everybody().await,
    }
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_12_whom_new_settings_do_not_admit_is_put_out_and_others_stay() {
    let world = World::new().await;
    let node = world.node().await;
    let (ada, eve) = (world.cookie(ADA, "a"), world.cookie(EVE, "e"));
    let mut of_ada = node.socket(&ada).await;
    let mut of_eve = node.socket(&eve).await;
    let mut ticks = node.stream("/ticks", &eve).await;
    let token = [("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "secret")];
    let answer = node.get("/ticks", &token).await;
    let mut of_ci = answer.into_body();

    // What contradicts itself changes nothing.
    let twice = Application::new("Again", HOST_NAME).unwrap().policy(staff());
    let wrong = World::settings(vec![staff()]).application(twice);
    assert!(node.access.reload(wrong).is_err());
    assert!(says(&mut of_eve).await);

    let without_eve = staff().exclude(Rule::email(EVE).unwrap());
    node.access.reload(World::settings(vec![without_eve, services()])).unwrap();
    assert!(closes(&mut of_eve).await < ONE_SECOND);
    assert!(breaks_off(&mut ticks).await < ONE_SECOND);
    assert!(says(&mut of_ada).await);
    assert!(of_ci.frame().await.unwrap().is_ok());
    let refused = node.get("/ticks", &[("cookie", &eve)]).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(node.get("/silence", &[("cookie", &ada)]).await.status(), StatusCode::OK);

    // A service token that is gone takes its streams with it.
    let mut settings = World::settings(vec![staff(), services()]);
    node.access.reload(settings).unwrap();
    settings = Access::builder().mailer(Mailbox::default()).application(
        Application::new("Wiki", HOST_NAME)
            .unwrap()
            .audience(AUDIENCE.parse().unwrap())
            .policy(staff())
            .policy(services()),
    );
    node.access.reload(settings).unwrap();
    assert!(breaks_off(&mut of_ci).await < ONE_SECOND);
    assert!(says(&mut of_ada).await);
    assert_eq!(node.get("/ticks", &token).await.status(), StatusCode::UNAUTHORIZED);
}

/// What somebody gets in the end who asked before something changed.
async fn late_answer(
    node: &Node,
    headers: &[(&str, &str)],
    change: impl Future<Output = ()>,
) -> (http::response::Parts, String) {
    let change = async {
        ASKED.acquire().await.unwrap().forget();
        change.await;
        ANSWERED.add_permits(1);
    };
    let (answer, ()) = tokio::join!(node.get("/late?x=1", headers), change);
    let (parts, body) = answer.into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!text.contains("what was asked for"), "{text}");
    (parts, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_17_an_answer_that_comes_after_the_end_is_not_handed_out() {
    let world = World::new().await;
    let node = world.node().await;
    let end = async || node.access.revoke_session("late").await.map(drop).unwrap();
    let cookie = world.cookie(ADA, "late");
    // A program hears no more than that.
    let (parts, text) = late_answer(&node, &[("cookie", &cookie)], end()).await;
    assert_eq!(parts.status, StatusCode::FORBIDDEN);
    assert!(text.contains("\"forbidden\""), "{text}");
    // A person goes where the next request would lead.
    let end = async || node.access.revoke_session("again").await.map(drop).unwrap();
    let cookie = world.cookie(ADA, "again");
    let browser = [("cookie", &*cookie), ("accept", "text/html")];
    let (parts, _) = late_answer(&node, &browser, end()).await;
    assert_eq!(parts.status, StatusCode::FOUND);
    let location = parts.headers["location"].to_str().unwrap();
    assert!(location.contains("/cdn-cgi/access/login/"), "{location}");
    assert!(location.contains("redirect_url=%2Flate%3Fx%3D1"), "{location}");
    // Who may not enter any more gets the page that says so.
    let cookie = world.cookie(ADA, "other");
    let browser = [("cookie", &*cookie), ("accept", "text/html")];
    let reload = async {
        let only_bob = Policy::allow("bob").include(Rule::email("bob@example.com").unwrap());
        node.access.reload(World::settings(vec![only_bob])).unwrap();
    };
    let (parts, text) = late_answer(&node, &browser, reload).await;
    assert_eq!(parts.status, StatusCode::FORBIDDEN);
    assert!(text.contains("No access to Wiki"), "{text}");
}

/// In a program of one's own the socket is the program's: it listens to the grant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_hears_when_an_upgraded_connection_has_to_end() {
    let (key, copy) = two_copies_of_a_key();
    let access = World::settings(vec![staff()]).clock(clock()).signing_key(copy).build().unwrap();
    let chat = |upgrade: WebSocketUpgrade, Extension(grant): Extension<AccessGrant>| async {
        upgrade.on_upgrade(async move |mut socket| {
            loop {
                tokio::select! {
                    message = socket.recv() => {
                        let Some(Ok(message)) = message else { return };
                        if socket.send(message).await.is_err() {
                            return;
                        }
                    }
                    () = grant.revoked() => {
                        let goodbye = Sent::Text("your session was ended".into());
                        let _ = socket.send(goodbye).await;
                        return;
                    }
                }
            }
        })
    };
    let app = Router::new().route("/ws", any(chat)).layer(AccessLayer::new(access.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let node = Node { access, address };
    let token = key.sign(&person(&format!("https://{HOST_NAME}"), AUDIENCE, ADA)).unwrap();
    let mut socket = node.socket(&format!("CF_Authorization={token}")).await;
    node.access.revoke_user(&ADA.parse().unwrap()).await.unwrap();
    let last = tokio::time::timeout(ONE_SECOND, socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(last, Message::text("your session was ended"));
}

/// As tests of programs do it, and programs that end.
#[tokio::test]
async fn an_answer_is_read_to_its_end_when_its_service_is_gone() {
    let (key, copy) = two_copies_of_a_key();
    let access = World::settings(vec![staff()]).clock(clock()).signing_key(copy).build().unwrap();
    let pieces = || async {
        let pieces = futures_util::stream::unfold(0, |count: u64| async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let piece = Ok::<_, Infallible>(Frame::data(Bytes::from(count.to_string())));
            (count < 5).then_some((piece, count + 1))
        });
        Response::new(Body::new(StreamBody::new(pieces)))
    };
    let app = Router::new().route("/", any(pieces)).layer(AccessLayer::new(access));
    let token = key.sign(&person(&format!("https://{HOST_NAME}"), AUDIENCE, ADA)).unwrap();
    let request = Request::get("/")
        .header(HOST, HOST_NAME)
        .header(COOKIE, format!("CF_Authorization={token}"));
    let answer = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "01234");
}

/// Nobody is left who could say that it has to end; and what is open keeps no store open.
#[tokio::test]
async fn what_is_open_ends_with_the_last_who_could_say_otherwise() {
    let (key, copy) = two_copies_of_a_key();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock(), 1_000));
    let settings = World::settings(vec![staff()]).clock(clock()).signing_key(copy);
    let access = settings.store(Arc::clone(&store)).build().unwrap();
    let inner = tower::service_fn(async |request: Request<Empty<Bytes>>| {
        let grant = request.extensions().get::<AccessGrant>().cloned();
        let mut answer = Response::new(Empty::<Bytes>::new());
        answer.extensions_mut().insert(grant.unwrap());
        Ok::<_, Infallible>(answer)
    });
    let service = AccessLayer::new(access.clone()).layer(inner);
    let token = key.sign(&person(&format!("https://{HOST_NAME}"), AUDIENCE, ADA)).unwrap();
    let request = Request::get("/")
        .header(HOST, HOST_NAME)
        .header(COOKIE, format!("CF_Authorization={token}"))
        .header("connection", "upgrade")
        .header("upgrade", "chat");
    let answer = service.oneshot(request.body(Empty::new()).unwrap()).await.unwrap();
    let grant = answer.extensions().get::<AccessGrant>().unwrap().clone();
    drop(answer);
    assert!(grant.is_in_force());
    let ended = tokio::spawn({
        let grant = grant.clone();
        async move { grant.revoked().await }
    });
    tokio::task::yield_now().await;
    drop(access);
    tokio::time::timeout(ONE_SECOND, ended).await.unwrap().unwrap();
    // What follows the store is ended by then, or soon.
    for _ in 0..100 {
        if Arc::strong_count(&store) == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("somebody still has the store");
}
