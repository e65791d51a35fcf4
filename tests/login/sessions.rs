//! How long sessions and tokens live, and how they are renewed, through the layers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt};
use tower_access::application::{Application, SameSite};
use tower_access::clock::{Clock, ManualClock};
use tower_access::policy::{Policy, Rule};
use tower_access::store::{
    MemoryStore, Store, StoreChange, StoreError, StoreFuture, StoreOutcome, WriteCondition,
};
use tower_access::{Access, AccessBuilder, AccessLayer};

use crate::support::{self, Answer, Browser, Mailbox, clock};

const WIKI: &str = "https://wiki.example.com";
const TEAM: &str = "https://login.example.com";
const ADA: &str = "ada@example.com";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

type Inner = tower::util::BoxCloneSyncService<
    Request<Full<Bytes>>,
    Response<Full<Bytes>>,
    std::convert::Infallible,
>;
type Service = tower_access::layer::AccessService<Inner>;

/// A store that counts what it is asked for sessions, and fails, is slow or loses them on request.
#[derive(Debug)]
struct Watched {
    memory: MemoryStore,
    reads: AtomicUsize,
    replaces: AtomicUsize,
    is_away: AtomicUsize,
    /// No revocation is written.
    is_full: AtomicBool,
    /// How long a read of a session takes, in milliseconds.
    slow: AtomicU64,
    /// Sessions are gone after so many more reads.
    lose_after: AtomicUsize,
}

impl Watched {
    fn new(clock: Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryStore::new(clock, 10_000),
            reads: AtomicUsize::new(0),
            replaces: AtomicUsize::new(0),
            is_away: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
            slow: AtomicU64::new(0),
            lose_after: AtomicUsize::new(usize::MAX),
        })
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl Store for Watched {
    fn apply(&self, change: StoreChange) -> StoreFuture<'_, StoreOutcome> {
        match &change {
            StoreChange::Write { condition: WriteCondition::Equals(_), .. } => {
                self.replaces.fetch_add(1, Ordering::SeqCst);
            }
            StoreChange::PutMember { set, .. }
                if set.starts_with("revocations/") && self.is_full.load(Ordering::SeqCst) =>
            {
                return Box::pin(async { Err(StoreError::new("full")) });
            }
            _ => {}
        }
        self.memory.apply(change)
    }

    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            if !key.starts_with("session/") {
                return self.memory.get(key).await;
            }
            self.reads.fetch_add(1, Ordering::SeqCst);
            let slow = self.slow.load(Ordering::SeqCst);
            if slow > 0 {
                tokio::time::sleep(Duration::from_millis(slow)).await;
            }
            if self.is_away.load(Ordering::SeqCst) > 0 {
                return Err(StoreError::new("away"));
            }
            let left = self.lose_after.load(Ordering::SeqCst);
            if left == 0 {
                return Ok(None);
            }
            self.lose_after.store(left.saturating_sub(1), Ordering::SeqCst);
            self.memory.get(key).await
        })
    }
    fn members<'a>(&'a self, set: &'a str) -> StoreFuture<'a, Vec<(String, Bytes)>> {
        self.memory.members(set)
    }
    fn notify<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, ()> {
        self.memory.notify(channel)
    }
    fn notified<'a>(&'a self, channel: &'a str, seen: u64) -> StoreFuture<'a, u64> {
        self.memory.notified(channel, seen)
    }
}

struct World {
    access: Access,
    service: Service,
    store: Arc<Watched>,
    mail: Mailbox,
    clock: Arc<ManualClock>,
}

/// An application of this kind, and a login on another host.
fn world(
    application: impl FnOnce(Application) -> Application,
    settings: impl FnOnce(AccessBuilder) -> AccessBuilder,
) -> World {
    let (mail, clock) = (Mailbox::default(), clock());
    let store = Watched::new(Arc::clone(&clock));
    let wiki = Application::new("Wiki", "wiki.example.com")
        .unwrap()
        .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap()));
    let builder = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(application(wiki))
        .store(Arc::clone(&store))
        .mailer(mail.clone())
        .clock(Arc::clone(&clock));
    let access = settings(builder).build().unwrap();
    let service = AccessLayer::new(access.clone()).layer(inner());
    World { access, service, store, mail, clock }
}

/// Answers with a line, and with what the request asks for: `/header?NAME=VALUE`.
fn inner() -> Inner {
    Inner::new(tower::service_fn(|request: Request<Full<Bytes>>| async move {
        let mut answer = Response::new(Full::from(format!("origin saw {}", request.uri())));
        let query = request.uri().query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if let (Ok(name), Ok(value)) =
                (name.parse::<http::HeaderName>(), value.parse::<http::HeaderValue>())
            {
                answer.headers_mut().insert(name, value);
            }
        }
        Ok(answer)
    }))
}

impl World {
    fn browser(&self) -> Browser<Service> {
        Browser::new(self.service.clone())
    }

    async fn logged_in(&self) -> Browser<Service> {
        let mut browser = self.browser();
        support::log_in(&mut browser, &self.mail, &format!("{WIKI}/"), ADA).await;
        browser
    }

    fn now(&self) -> u64 {
        self.clock.now().as_unix_seconds()
    }
}

fn claims(token: &str) -> serde_json::Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// When the token ends that an answer renews; `None` where it renews none.
fn renewed_until(answer: &Answer) -> Option<u64> {
    let line = answer.set_cookie("CF_Authorization")?;
    let token = line.split(['=', ';']).nth(1).unwrap();
    claims(token)["exp"].as_u64()
}

fn hour_and_day(world: impl FnOnce(Application) -> Application) -> World {
    self::world(|app| world(app.session_duration(HOUR)), |it| it.session_duration(24 * HOUR))
}

#[tokio::test]
async fn an_active_person_gets_a_fresh_cookie_after_half_of_its_life_and_without_a_redirect() {
    let world = hour_and_day(|app| app);
    let mut browser = world.logged_in().await;
    let first = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
    world.clock.advance(30 * MINUTE);
    let reads = world.store.reads();
    let early = browser.get(&format!("{WIKI}/a")).await;
    assert!(renewed_until(&early).is_none() && world.store.reads() == reads, "nothing is due");
    world.clock.advance(MINUTE);
    let answer = browser.get(&format!("{WIKI}/a")).await;
    assert_eq!((answer.status(), answer.text.as_str()), (StatusCode::OK, "origin saw /a"));
    assert_eq!(renewed_until(&answer), Some(world.now() + 3600));
    let line = answer.set_cookie("CF_Authorization").unwrap();
    assert!(line.contains("; HttpOnly; SameSite=None; Secure; Path=/; Expires="), "{line}");
    assert_eq!(answer.header("cache-control"), Some("private"));
    assert_ne!(browser.cookie("wiki.example.com", "CF_Authorization").unwrap(), first);
    // The fresh one is as good as any.
    let reads = world.store.reads();
    let answer = browser.get(&format!("{WIKI}/b")).await;
    assert!(renewed_until(&answer).is_none());
    assert_eq!(world.store.reads(), reads);
}

#[tokio::test]
async fn ses_13_renewals_never_pass_the_end_of_the_session() {
    let world = hour_and_day(|app| app);
    let mut browser = world.logged_in().await;
    let end = world.now() + 24 * 3600;
    let mut renewals = 0;
    while world.now() + 60 < end {
        world.clock.advance(10 * MINUTE);
        if world.now() >= end {
            break;
        }
        let answer = browser.get(&format!("{WIKI}/a")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{} s before the end", end - world.now());
        if let Some(until) = renewed_until(&answer) {
            renewals += 1;
            assert!(until <= end, "{until} > {end}");
        }
    }
    assert!(renewals > 20, "{renewals}");
    world.clock.advance(10 * MINUTE);
    let (url, _) = browser.visit(&format!("{WIKI}/a")).await;
    assert!(url.starts_with(TEAM), "{url}");
}

#[tokio::test]
async fn the_renewed_cookies_are_those_of_the_login_binding_and_path_included() {
    let world = hour_and_day(|app| {
        let docs = app.binding_cookie().same_site_cookie(SameSite::Lax);
        docs.insecure_cookie_for_scripts()
    });
    let mut browser = world.logged_in().await;
    world.clock.advance(31 * MINUTE);
    let answer = browser.get(&format!("{WIKI}/a")).await;
    let line = answer.set_cookie("CF_Authorization").unwrap();
    assert!(!line.contains("HttpOnly") && line.contains("SameSite=Lax"), "{line}");
    let binding = answer.set_cookie("CF_Binding").unwrap();
    assert!(binding.contains("HttpOnly") && binding.contains("SameSite=Lax"), "{binding}");
    assert_eq!(browser.get(&format!("{WIKI}/b")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_application_with_paths_of_its_own_renews_its_cookie_there() {
    let (mail, clock) = (Mailbox::default(), clock());
    let docs = Application::new("Docs", "wiki.example.com/docs")
        .unwrap()
        .session_duration(HOUR)
        .path_cookie()
        .policy(Policy::allow("all").include(Rule::everyone()));
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .session_duration(24 * HOUR)
        .application(docs)
        .mailer(mail.clone())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let mut browser = Browser::new(AccessLayer::new(access).layer(inner()));
    support::log_in(&mut browser, &mail, &format!("{WIKI}/docs/a"), ADA).await;
    clock.advance(31 * MINUTE);
    let answer = browser.get(&format!("{WIKI}/docs/b")).await;
    let lines: Vec<_> = answer.parts.headers.get_all(SET_COOKIE).iter().collect();
    let paths: Vec<_> = lines
        .iter()
        .map(|line| line.to_str().unwrap().split("; Path=").nth(1).unwrap())
        .map(|rest| rest.split(';').next().unwrap())
        .collect();
    assert_eq!(paths, ["/docs", "/cdn-cgi/access"], "as the login has set them");
}

#[tokio::test]
async fn a_token_for_one_page_and_a_token_in_a_header_are_not_renewed() {
    let world = world(|app| app.session_duration(Duration::ZERO), |it| it);
    let mut browser = world.logged_in().await;
    world.clock.advance(Duration::from_secs(6));
    let answer = browser.get(&format!("{WIKI}/a")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(renewed_until(&answer).is_none());
    world.clock.advance(Duration::from_secs(4));
    assert_eq!(browser.get(&format!("{WIKI}/a")).await.status(), StatusCode::FOUND);

    let world = hour_and_day(|app| app);
    let browser = world.logged_in().await;
    let token = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
    world.clock.advance(31 * MINUTE);
    let mut program = world.browser();
    program.headers = vec![("cf-access-token", token)];
    let answer = program.get(&format!("{WIKI}/a")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(renewed_until(&answer).is_none());
}

#[tokio::test]
async fn upgrades_and_answers_that_end_cookies_or_are_for_everybody_carry_no_renewal() {
    let world = hour_and_day(|app| app);
    let mut browser = world.logged_in().await;
    world.clock.advance(31 * MINUTE);
    for query in ["cache-control=public", "clear-site-data=%22cookies%22"] {
        let answer = browser.get(&format!("{WIKI}/a?{query}")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(renewed_until(&answer).is_none(), "{query}");
    }
    let plain = browser.headers.clone();
    browser.headers.push(("connection", "upgrade".to_owned()));
    browser.headers.push(("upgrade", "websocket".to_owned()));
    browser.headers.push(("origin", WIKI.to_owned()));
    let answer = browser.get(&format!("{WIKI}/socket")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(renewed_until(&answer).is_none());
    browser.headers = plain;
    assert!(renewed_until(&browser.get(&format!("{WIKI}/a")).await).is_some());
}

/// What a hundred requests get that come at once with one cookie.
async fn at_once(world: &World, cookie: &str, count: usize) -> Vec<Option<u64>> {
    let requests = (0..count).map(|_| {
        let request = Request::builder()
            .uri("/a")
            .header("host", "wiki.example.com")
            .header("cookie", cookie)
            .body(Full::default())
            .unwrap();
        let service = world.service.clone();
        tokio::spawn(async move {
            let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
            let text = body.collect().await.unwrap().to_bytes();
            let answer = Answer { parts, text: String::from_utf8(text.to_vec()).unwrap() };
            assert_eq!(answer.status(), StatusCode::OK);
            renewed_until(&answer)
        })
    });
    let mut seen = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        seen.push(request.await.unwrap());
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ses_17_a_hundred_requests_at_once_cause_one_renewal() {
    let world = hour_and_day(|app| app);
    let browser = world.logged_in().await;
    let token = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
    world.clock.advance(31 * MINUTE);
    let reads = world.store.reads();
    let seen = at_once(&world, &format!("CF_Authorization={token}"), 100).await;
    assert_eq!(world.store.reads(), reads + 2, "once before it is signed and once after");
    let renewed: Vec<_> = seen.iter().flatten().collect();
    assert!(!renewed.is_empty());
    assert!(renewed.iter().all(|until| **until == world.now() + 3600));
    // Who still has the old one gets what was made.
    let late = at_once(&world, &format!("CF_Authorization={token}"), 3).await;
    assert_eq!(late, [Some(world.now() + 3600); 3]);
    assert_eq!(world.store.reads(), reads + 2);
}

#[tokio::test]
async fn ses_17_nothing_is_renewed_that_has_been_ended_before_or_meanwhile() {
    // Ended while the token is signed: the record is gone when it is looked at again.
    let world = hour_and_day(|app| app);
    let mut browser = world.logged_in().await;
    world.clock.advance(31 * MINUTE);
    world.store.lose_after.store(1, Ordering::SeqCst);
    let answer = browser.get(&format!("{WIKI}/a")).await;
    assert_eq!(answer.status(), StatusCode::OK, "this token lives");
    assert!(renewed_until(&answer).is_none());
    world.store.lose_after.store(usize::MAX, Ordering::SeqCst);
    // The record is gone, though nobody has been told so.
    world.clock.advance(Duration::from_secs(6));
    world.store.lose_after.store(0, Ordering::SeqCst);
    assert!(renewed_until(&browser.get(&format!("{WIKI}/a")).await).is_none());
    world.store.lose_after.store(usize::MAX, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(6));
    assert!(renewed_until(&browser.get(&format!("{WIKI}/a")).await).is_some());

    // Ended after a token was made: who still brings the old one gets nothing at all.
    let world = hour_and_day(|app| app);
    let mut browser = world.logged_in().await;
    let token = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
    world.clock.advance(31 * MINUTE);
    assert!(renewed_until(&browser.get(&format!("{WIKI}/a")).await).is_some());
    let fresh = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
    browser.get(&format!("{TEAM}/cdn-cgi/access/logout")).await;
    for token in [token, fresh] {
        let mut thief = world.browser();
        thief.set_cookie("wiki.example.com", "CF_Authorization", &token);
        let answer = thief.get(&format!("{WIKI}/a")).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        assert!(renewed_until(&answer).is_none());
    }
}

#[tokio::test]
async fn ses_17_an_application_whose_tokens_were_voided_hands_out_none_that_was_made_before() {
    let world = hour_and_day(|app| app.audience("7a".repeat(32).parse().unwrap()));
    let mut browser = world.logged_in().await;
    let token = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
    world.clock.advance(31 * MINUTE);
    assert!(renewed_until(&browser.get(&format!("{WIKI}/a")).await).is_some());
    world.access.revoke_application(&"7a".repeat(32).parse().unwrap()).await.unwrap();
    let mut other = world.browser();
    other.set_cookie("wiki.example.com", "CF_Authorization", &token);
    assert_eq!(other.get(&format!("{WIKI}/a")).await.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn ses_16_a_store_that_is_away_or_slow_holds_nobody_up() {
    let world = hour_and_day(|app| app);
    let mut browser = world.logged_in().await;
    world.clock.advance(31 * MINUTE);
    world.store.is_away.store(1, Ordering::SeqCst);
    let answer = browser.get(&format!("{WIKI}/a")).await;
    assert_eq!((answer.status(), renewed_until(&answer)), (StatusCode::OK, None));
    world.store.is_away.store(0, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(6));
    // Too slow for this answer, in time for a later one.
    world.store.slow.store(300, Ordering::SeqCst);
    let begun = std::time::Instant::now();
    let answer = browser.get(&format!("{WIKI}/a")).await;
    assert_eq!((answer.status(), renewed_until(&answer)), (StatusCode::OK, None));
    assert!(begun.elapsed() < Duration::from_millis(280), "{:?}", begun.elapsed());
    let mut seen = None;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        seen = renewed_until(&browser.get(&format!("{WIKI}/a")).await);
        if seen.is_some() {
            break;
        }
    }
    assert!(seen.is_some());
}

#[tokio::test]
async fn ses_10_what_was_ended_while_the_store_was_full_is_written_once_there_is_room() {
    let world = hour_and_day(|app| app);
    let mut browser = world.logged_in().await;
    let id = world.access.sessions_of(&ADA.parse().unwrap()).await.unwrap()[0].id.clone();
    world.store.is_full.store(true, Ordering::SeqCst);
    assert!(world.access.revoke_session(&id).await.is_err());
    assert_eq!(browser.get(&format!("{WIKI}/a")).await.status(), StatusCode::FOUND, "here at once");
    let set = format!("revocations/{}", world.now() / 3600);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(world.store.memory.members(&set).await.unwrap().is_empty());
    // Nobody has to say it again.
    world.store.is_full.store(false, Ordering::SeqCst);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if !world.store.memory.members(&set).await.unwrap().is_empty() {
            return;
        }
    }
    panic!("it was never written");
}

#[tokio::test]
async fn ses_12_a_policy_that_does_not_allow_any_more_renews_nothing() {
    let world = hour_and_day(|app| app);
    let mut browser = world.logged_in().await;
    let wiki = Application::new("Wiki", "wiki.example.com").unwrap().session_duration(HOUR);
    let only_eve = Policy::allow("eve").include(Rule::email("eve@example.com").unwrap());
    let settings = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .session_duration(24 * HOUR)
        .mailer(world.mail.clone())
        .application(wiki.policy(only_eve));
    world.access.reload(settings).unwrap();
    world.clock.advance(31 * MINUTE);
    let answer = browser.get(&format!("{WIKI}/a")).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(renewed_until(&answer).is_none());
}

fn idle_world() -> World {
    world(|app| app, |it| it.session_duration(24 * HOUR).idle_timeout(40 * MINUTE))
}

#[tokio::test]
async fn ses_13_who_is_active_stays_and_who_is_not_has_gone_after_one_to_one_and_a_quarter() {
    let idle = 40 * MINUTE;
    // How long after the last noticed request the last one comes: 0 to a quarter of the idle time.
    for unnoticed in [0, 1, 5, 9, 10] {
        let world = idle_world();
        let mut browser = world.logged_in().await;
        // Active for six hours.
        for _ in 0..36 {
            world.clock.advance(10 * MINUTE + Duration::from_secs(1));
            let answer = browser.get(&format!("{WIKI}/a")).await;
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(renewed_until(&answer), Some(world.now() + 50 * 60));
        }
        world.clock.advance(unnoticed * MINUTE);
        let answer = browser.get(&format!("{WIKI}/a")).await;
        assert_eq!((answer.status(), renewed_until(&answer)), (StatusCode::OK, None));
        let mut other = browser.at(world.service.clone());
        world.clock.advance(idle - Duration::from_secs(1));
        let answer = other.get(&format!("{WIKI}/a")).await;
        assert_eq!(answer.status(), StatusCode::OK, "not before one idle time: {unnoticed}");
    }
    for unnoticed in [0, 5, 10] {
        let world = idle_world();
        let mut browser = world.logged_in().await;
        world.clock.advance(unnoticed * MINUTE);
        assert_eq!(browser.get(&format!("{WIKI}/a")).await.status(), StatusCode::OK);
        world.clock.advance(idle + idle / 4);
        let (url, _) = browser.visit(&format!("{WIKI}/a")).await;
        assert!(url.starts_with(&format!("{TEAM}/cdn-cgi/access/login/")), "{unnoticed}: {url}");
        assert!(world.access.sessions_of(&ADA.parse().unwrap()).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn ses_17_seeing_a_person_never_brings_a_session_back() {
    let world = idle_world();
    let mut browser = world.logged_in().await;
    let id = world.access.sessions_of(&ADA.parse().unwrap()).await.unwrap()[0].id.clone();
    world.clock.advance(11 * MINUTE);
    assert!(renewed_until(&browser.get(&format!("{WIKI}/a")).await).is_some());
    assert_eq!(world.store.replaces.load(Ordering::SeqCst), 1);
    world.store.slow.store(20, Ordering::SeqCst);
    world.clock.advance(11 * MINUTE);
    let page = format!("{WIKI}/a");
    let request = browser.get(&page);
    let (answer, ended) = tokio::join!(request, async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        world.access.revoke_session(&id).await
    });
    ended.unwrap();
    let _ = answer;
    world.store.slow.store(0, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(world.store.memory.get(&format!("session/{id}")).await.unwrap().is_none());
    let (url, _) = browser.visit(&format!("{WIKI}/a")).await;
    assert!(url.starts_with(TEAM));
}

#[tokio::test]
async fn an_idle_timeout_is_no_longer_life() {
    let world = world(|app| app, |it| it.session_duration(HOUR).idle_timeout(50 * MINUTE));
    let mut browser = world.logged_in().await;
    let end = world.now() + 3600;
    for _ in 0..3 {
        world.clock.advance(15 * MINUTE);
        let answer = browser.get(&format!("{WIKI}/a")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(renewed_until(&answer).is_none_or(|until| until <= end));
    }
    world.clock.advance(15 * MINUTE);
    let (url, _) = browser.visit(&format!("{WIKI}/a")).await;
    assert!(url.starts_with(TEAM));
}
