//! An origin behind an issuer: keys that come, change, fail and flood.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::{ManualClock, Timestamp};
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::layer::AccessService;
use tower_access::policy::{Policy, Rule};
use tower_access::token::Algorithms;
use tower_access::token::keys::{
    FetchError, FetchedKeys, HttpFetch, KeyFetch, KeyFuture, KeyState, RefreshPolicy, RemoteKeys,
};
use tower_access::{Access, AccessLayer};

use crate::support::{NOW, Origin, clock, person, query, send, two_copies_of_a_key};

const ISSUER: &str = "https://acme.cloudflareaccess.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

/// A key server under the test's control.
#[derive(Clone, Debug, Default)]
struct KeyServer {
    document: Arc<Mutex<Option<Bytes>>>,
    asked: Arc<AtomicUsize>,
    /// Held while the server takes its time.
    pace: Arc<tokio::sync::Mutex<()>>,
}

impl KeyServer {
    fn publish(&self, current: &SigningKey, previous: &[&SigningKey]) {
        let now = Timestamp::from_unix_seconds(NOW);
        let keys = PublishedKeys::new(current, previous, ISSUER, now).unwrap();
        *self.document.lock().unwrap() = Some(keys.json());
    }

    fn answer(&self, text: Option<&'static str>) {
        *self.document.lock().unwrap() = text.map(|text| Bytes::from_static(text.as_bytes()));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl KeyFetch for KeyServer {
    fn fetch(&self) -> KeyFuture<'_> {
        Box::pin(async {
            self.asked.fetch_add(1, Ordering::SeqCst);
            drop(self.pace.lock().await);
            let document = self.document.lock().unwrap().clone();
            document.map(FetchedKeys::new).ok_or_else(|| FetchError::new("unreachable"))
        })
    }
}

struct World {
    server: KeyServer,
    clock: Arc<ManualClock>,
    origin: Origin,
    access: Access,
    service: AccessService<Origin>,
}

fn world() -> World {
    let (server, origin) = (KeyServer::default(), Origin::default());
    let (access, clock) = access(RemoteKeys::new(server.clone()));
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    World { server, clock, origin, access, service }
}

fn access(keys: RemoteKeys) -> (Access, Arc<ManualClock>) {
    let clock = clock();
    let access = Access::verifier_builder("acme.cloudflareaccess.com")
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .keys(keys)
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    (access, clock)
}

impl World {
    async fn ask(&self, token: &str) -> u16 {
        ask(&self.service, token).await
    }
}

async fn ask(service: &AccessService<Origin>, token: &str) -> u16 {
    let request = Request::builder()
        .uri("/")
        .header("host", "app.example")
        .header("cf-access-jwt-assertion", token);
    send(service, request.body(Full::default()).unwrap()).await.status().as_u16()
}

fn token(key: &SigningKey) -> String {
    let mut claims = person(ISSUER, AUDIENCE, "ada@example.com");
    claims.exp = NOW + 30 * 86_400;
    key.sign(&claims).unwrap()
}

#[tokio::test]
async fn key_01_a_new_key_is_found_when_its_first_token_arrives() {
    let world = world();
    let (first, second) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    world.server.publish(&first, &[]);
    assert_eq!(world.ask(&token(&first)).await, 200);
    assert_eq!(world.server.asked(), 1);
    world.server.publish(&second, &[&first]);
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(world.ask(&token(&second)).await, 200);
    assert_eq!(world.ask(&token(&first)).await, 200);
    assert_eq!(world.server.asked(), 2);
}

#[tokio::test]
async fn key_01_requests_with_one_new_key_share_the_fetch() {
    let world = world();
    let (first, second) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    world.server.publish(&first, &[]);
    assert_eq!(world.ask(&token(&first)).await, 200);
    world.server.publish(&second, &[&first]);
    world.clock.advance(Duration::from_secs(31));
    let token = token(&second);
    let asked = futures_util::future::join_all((0..5).map(|_| world.ask(&token))).await;
    assert_eq!(asked, [200; 5]);
    assert_eq!(world.server.asked(), 2);
}

#[tokio::test]
async fn key_13_whoever_only_asks_whether_it_is_ready_gets_it_ready() {
    let world = world();
    let key = SigningKey::generate().unwrap();
    assert_eq!(world.access.key_state(), KeyState::NeverLoaded);
    settle().await;
    assert_eq!((world.access.key_state(), world.server.asked()), (KeyState::NeverLoaded, 1));
    world.server.publish(&key, &[]);
    world.clock.advance(Duration::from_secs(2));
    let _ = world.access.key_state();
    settle().await;
    assert_eq!(world.access.key_state(), KeyState::Fresh { keys: 1 });
    assert_eq!(world.server.asked(), 2);
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn key_08_another_runtime_keeps_the_set_fresh_as_well() {
    let world = world();
    let key = SigningKey::generate().unwrap();
    world.server.publish(&key, &[]);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    assert_eq!(runtime().block_on(world.ask(&token(&key))), 200);
    world.clock.advance(Duration::from_secs(3600));
    runtime().block_on(async {
        // This request finds the refresh due, and with it a task to do the next ones.
        assert_eq!(world.ask(&token(&key)).await, 200);
        settle().await;
        assert_eq!(world.server.asked(), 2);
        tokio::time::sleep(Duration::from_secs(3600)).await;
    });
    assert!(world.server.asked() >= 3, "{}", world.server.asked());
}

#[tokio::test]
async fn key_11_no_set_is_fresh_for_longer_than_it_serves() {
    let server = KeyServer::default();
    let key = SigningKey::generate().unwrap();
    server.publish(&key, &[]);
    let policy = RefreshPolicy::default()
        .fresh_for(Duration::from_secs(6 * 3600))
        .serve_stale_up_to(Duration::from_secs(3600));
    let (access, clock) =
        access(RemoteKeys::with_policy(server.clone(), policy, Algorithms::default()));
    let service = AccessLayer::new(access).layer(Origin::default());
    let token = token(&key);
    assert_eq!(ask(&service, &token).await, 200);
    // Before its hour is over it is refreshed beside a request, so nobody ever waits.
    clock.advance(Duration::from_secs(2701));
    assert_eq!(ask(&service, &token).await, 200);
    settle().await;
    clock.advance(Duration::from_secs(1000));
    let request = Request::get("http://app.example/").header("cf-access-jwt-assertion", &token);
    let answer = send(&service, request.body(Full::default()).unwrap()).now_or_never();
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn key_02_a_flood_of_unknown_keys_causes_one_fetch() {
    let world = world();
    let key = SigningKey::generate().unwrap();
    world.server.publish(&key, &[]);
    assert_eq!(world.ask(&token(&key)).await, 200);
    world.clock.advance(Duration::from_secs(31));
    let good = token(&key);
    let (_, rest) = good.split_once('.').unwrap();
    let strangers = (0..10_000).map(|number| {
        use base64::Engine;
        let header = format!(r#"{{"alg":"RS256","kid":"unknown-{number}","typ":"JWT"}}"#);
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
        let (service, token) = (world.service.clone(), format!("{header}.{rest}"));
        async move { ask(&service, &token).await }
    });
    let statuses = futures_util::future::join_all(strangers).await;
    assert!(statuses.iter().all(|status| *status == 401));
    assert_eq!(world.server.asked(), 2);
    assert_eq!(world.ask(&good).await, 200);
}

#[tokio::test]
async fn key_03_key_06_keys_stay_when_a_fetch_fails() {
    let world = world();
    let (key, stranger) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    world.server.publish(&key, &[]);
    assert_eq!(world.ask(&token(&key)).await, 200);
    for answer in [None, Some("{\"keys\":[]}"), Some("<html>"), Some("{}")] {
        world.server.answer(answer);
        world.clock.advance(Duration::from_secs(31));
        assert_eq!(world.ask(&token(&stranger)).await, 401);
        assert_eq!(world.ask(&token(&key)).await, 200, "{answer:?}");
    }
    assert_eq!(world.server.asked(), 5);
}

#[tokio::test]
async fn key_08_a_key_that_was_withdrawn_is_forgotten_within_the_hour() {
    let world = world();
    let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    world.server.publish(&old, &[]);
    let token = token(&old);
    assert_eq!(world.ask(&token).await, 200);
    world.server.publish(&new, &[]);
    world.clock.advance(Duration::from_secs(3601));
    // The refresh happens beside this request; JWT-26: the cached token goes with its key.
    assert_eq!(world.ask(&token).await, 200);
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.ask(&token).await, 401);
}

#[tokio::test(start_paused = true)]
async fn key_08_a_key_withdrawn_overnight_opens_nothing_in_the_morning() {
    let world = world();
    let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    world.server.publish(&old, &[]);
    let token = token(&old);
    assert_eq!(world.ask(&token).await, 200);
    world.server.publish(&new, &[]);
    // Nobody asks for hours: the set is kept fresh all the same.
    world.clock.advance(Duration::from_secs(8 * 3600));
    tokio::time::sleep(Duration::from_secs(8 * 3600)).await;
    assert_eq!(world.ask(&token).await, 401);
    assert!((9..=12).contains(&world.server.asked()), "{}", world.server.asked());
}

#[tokio::test]
async fn keys_fetched_under_a_clock_that_was_ahead_are_fetched_again() {
    let world = world();
    let (old, new) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    world.server.publish(&old, &[]);
    let token = token(&old);
    world.clock.advance(Duration::from_secs(10 * 86_400));
    assert_eq!(world.ask(&token).await, 200);
    world.server.publish(&new, &[]);
    world.clock.set(Timestamp::from_unix_seconds(NOW));
    // Nobody waits for the refresh, which happens beside this request.
    assert_eq!(world.ask(&token).await, 200);
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.ask(&token).await, 401);
}

#[tokio::test]
async fn key_03_keys_that_cannot_be_refreshed_for_a_day_open_nothing() {
    let world = world();
    let key = SigningKey::generate().unwrap();
    world.server.publish(&key, &[]);
    let token = token(&key);
    assert_eq!(world.ask(&token).await, 200);
    world.server.answer(None);
    for _ in 0..23 {
        world.clock.advance(Duration::from_secs(3600));
        assert_eq!(world.ask(&token).await, 200);
    }
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(world.ask(&token).await, 503);
    world.server.publish(&key, &[]);
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(world.ask(&token).await, 200);
}

#[tokio::test]
async fn key_09_who_needs_known_keys_only_does_not_wait() {
    let world = world();
    let key = SigningKey::generate().unwrap();
    world.server.publish(&key, &[]);
    let good = token(&key);
    assert_eq!(world.ask(&good).await, 200);
    world.clock.advance(Duration::from_secs(31));
    let slow = world.server.pace.clone().lock_owned().await;
    let (service, strange) = (world.service.clone(), token(&SigningKey::generate().unwrap()));
    let waiting = tokio::spawn(async move { ask(&service, &strange).await });
    while world.server.asked() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.ask(&good).await, 200);
    assert!(!waiting.is_finished());
    drop(slow);
    assert_eq!(waiting.await.unwrap(), 401);
}

#[tokio::test]
async fn key_13_without_keys_nothing_opens_and_it_recovers_by_itself() {
    let world = world();
    let key = SigningKey::generate().unwrap();
    let token = token(&key);
    assert_eq!(world.ask(&token).await, 503);
    assert_eq!(world.ask(&token).await, 503);
    assert_eq!(world.server.asked(), 1, "a cool-down even then");
    world.server.publish(&key, &[]);
    world.clock.advance(Duration::from_secs(3));
    assert_eq!(world.ask(&token).await, 200);
    assert_eq!(world.origin.count(), 1);
}

#[tokio::test]
async fn a_request_that_goes_away_does_not_cancel_the_fetch() {
    let world = world();
    let key = SigningKey::generate().unwrap();
    world.server.publish(&key, &[]);
    let slow = world.server.pace.clone().lock_owned().await;
    let (service, first) = (world.service.clone(), token(&key));
    let leaving = tokio::spawn(async move { ask(&service, &first).await });
    while world.server.asked() < 1 {
        tokio::task::yield_now().await;
    }
    leaving.abort();
    let _ = leaving.await;
    drop(slow);
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.ask(&token(&key)).await, 200);
    assert_eq!(world.server.asked(), 1);
}

#[tokio::test]
async fn without_an_assertion_a_browser_is_sent_to_the_issuers_login() {
    let world = world();
    let request = Request::builder().uri("/docs?q=1").header("host", "app.example");
    let answer = send(&world.service, request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    let location = answer.location();
    assert!(location.starts_with(&format!("{ISSUER}/cdn-cgi/access/login/app.example?")));
    assert_eq!(query(location, "kid").as_deref(), Some(AUDIENCE));
    assert_eq!(query(location, "redirect_url").as_deref(), Some("/docs?q=1"));
    assert_eq!(world.server.asked(), 0, "nothing to fetch keys for");
}

#[tokio::test]
async fn hdr_09_the_assertion_counts_then_the_cookie_and_never_two() {
    let world = world();
    let key = SigningKey::generate().unwrap();
    world.server.publish(&key, &[]);
    let good = token(&key);
    let cookie = format!("CF_Authorization={good}");
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = Request::builder().uri("/").header("host", "app.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(&world.service, request.body(Full::default()).unwrap()).await.status().as_u16()
    };
    assert_eq!(ask(&[("cookie", &cookie)]).await, 200);
    assert_eq!(ask(&[("cf-access-jwt-assertion", "a.b.c"), ("cookie", &cookie)]).await, 401);
    let twice = [("cf-access-jwt-assertion", good.as_str()), ("cf-access-jwt-assertion", "a.b.c")];
    assert_eq!(ask(&twice).await, 400);
    let joined = format!("{good}, a.b.c");
    assert_eq!(ask(&[("cf-access-jwt-assertion", &joined)]).await, 401);
    // What the edge takes for a credential is none at the origin.
    assert_eq!(ask(&[("cf-access-token", &good)]).await, 302);
}

#[tokio::test]
async fn policies_apply_to_verified_claims() {
    let (key, _) = two_copies_of_a_key();
    let server = KeyServer::default();
    server.publish(&key, &[]);
    let access = Access::verifier_builder("acme.cloudflareaccess.com")
        .unwrap()
        .application(
            Application::new("App", "app.example")
                .unwrap()
                .audience(AUDIENCE.parse().unwrap())
                .policy(Policy::service_auth("ci").include(Rule::service_token("ci.access")))
                .policy(Policy::allow("ada").include(Rule::email("ada@example.com").unwrap())),
        )
        .keys(RemoteKeys::new(server))
        .clock(clock())
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let mut service_claims = person(ISSUER, AUDIENCE, "");
    service_claims.email = None;
    service_claims.sub = Some(String::new());
    service_claims.common_name = Some("ci.access".to_owned());
    let mut other_service = service_claims.clone();
    other_service.common_name = Some("other.access".to_owned());
    for (claims, status) in [
        (person(ISSUER, AUDIENCE, "ada@example.com"), 200),
        (person(ISSUER, AUDIENCE, "eve@example.com"), 403),
        (service_claims, 200),
        (other_service, 403),
    ] {
        assert_eq!(ask(&service, &key.sign(&claims).unwrap()).await, status);
    }
}

#[tokio::test]
async fn keys_are_fetched_over_http_within_bounds() {
    let key = SigningKey::generate().unwrap();
    let now = Timestamp::from_unix_seconds(NOW);
    let document = PublishedKeys::new(&key, &[], ISSUER, now).unwrap().json();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new()
        .route("/good", axum::routing::get(move || async move { document }))
        .route(
            "/moved",
            axum::routing::get(|| async { axum::response::Redirect::temporary("/good") }),
        )
        .route("/large", axum::routing::get(|| async { vec![b' '; 2 * 1024 * 1024] }))
        .route("/error", axum::routing::get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    for (path, status) in [("good", 200), ("moved", 503), ("large", 503), ("error", 503)] {
        let access = Access::verifier_builder("acme.cloudflareaccess.com")
            .unwrap()
            .audience(AUDIENCE.parse().unwrap())
            .certs_url(format!("http://{address}/{path}"))
            .clock(clock())
            .build()
            .unwrap();
        let service = AccessLayer::new(access).layer(Origin::default());
        assert_eq!(ask(&service, &token(&key)).await, status, "{path}");
    }
}

#[test]
fn key_05_key_12_addresses_of_keys_are_checked_when_the_layer_is_built() {
    for url in [
        "http://acme.cloudflareaccess.com/certs",
        "http://10.0.0.1/certs",
        "http://localhost.evil.example/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "https://user@acme.example/",
        "nonsense",
    ] {
        assert!(HttpFetch::new(url).is_err(), "{url}");
    }
    for url in [
        "https://acme.example/certs",
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://localhost:1/",
    ] {
        assert!(HttpFetch::new(url).is_ok(), "{url}");
    }
    for team in ["acme", "a/../b.example", "acme.evil.example#", ""] {
        assert!(Access::verifier(team, AUDIENCE).is_err(), "{team}");
    }
    let error = Access::verifier("acme.cloudflareaccess.com", "abc").unwrap_err();
    assert!(
        format!("{error:?}").contains("64 lower-case hexadecimal digits"),
        "`?` in main says what to do"
    );
    for audience in ["", "ABC", &AUDIENCE[1..], &AUDIENCE.to_uppercase()] {
        assert!(Access::verifier("acme.cloudflareaccess.com", audience).is_err(), "{audience}");
    }
}
