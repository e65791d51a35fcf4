//! Entries of the attack catalogue about what goes wrong inside: code of others that panics or never
//! returns, very large configurations, comparisons of secrets.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_access::address::Country;
use tower_access::application::{Application, Router};
use tower_access::clock::{Clock, ManualClock, Timestamp};
use tower_access::facts::{FactSource, PeerCertificate, RequestView};
use tower_access::identity::{Email, RiskLevel};
use tower_access::layer::AccessService;
use tower_access::login::mail::{Mail, MailFuture, Mailer};
use tower_access::pages::{self, Page, Pages};
use tower_access::policy::{
    Definitions, DevicePosture, Facts, Group, Outcome, Policies, Policy, Rule, Verdict,
};
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy};
use tower_access::random::{Random, RandomUnavailable, SystemRandom};
use tower_access::store::{MemoryStore, Store, StoreError};
use tower_access::test_util::TestIssuer;
use tower_access::token::keys::{FetchedKeys, KeyFetch, KeyFuture, RemoteKeys};
use tower_access::{Access, AccessBuilder, AccessLayer, Rejection, RejectionKind};

use crate::support::log::Log;
use crate::support::wire::{VERSIONS, Wire};
use crate::support::wrapping_store::{Hooks, WrappingStore};
use crate::support::{Answer, Browser, Form, Mailbox, Origin, ask_for_code, clock, log_in, send};

const WIKI: &str = "https://wiki.example.com";
const ADA: &str = "ada@example.com";

/// What code of others does.
#[derive(Clone, Debug, Default)]
struct Mood(Arc<AtomicU8>);

const WELL: u8 = 0;
const PANICS: u8 = 1;
const HANGS: u8 = 2;

impl Mood {
    fn set(&self, mood: u8) {
        self.0.store(mood, Ordering::SeqCst);
    }

    fn is(&self, mood: u8) -> bool {
        self.0.load(Ordering::SeqCst) == mood
    }

    /// Whoever has this mood at its heart.
    fn check(&self) {
        assert!(!self.is(PANICS), "a panic of a test");
    }
}

/// Everything that a program can bring along, of one mood each.
#[derive(Clone, Debug, Default)]
struct Callbacks {
    source: Mood,
    clock: Mood,
    random: Mood,
    pages: Mood,
    store: Mood,
    mailer: Mood,
}

#[derive(Debug)]
struct Source(Mood);

impl FactSource for Source {
    fn country(&self, _: &RequestView<'_>) -> Option<Country> {
        self.0.check();
        "FR".parse().ok()
    }

    fn certificate(&self, _: &RequestView<'_>) -> PeerCertificate {
        self.0.check();
        PeerCertificate::Missing
    }

    fn device_posture(&self, _: &RequestView<'_>) -> Option<Arc<DevicePosture>> {
        self.0.check();
        None
    }

    fn risk(&self, _: &RequestView<'_>, _: &Email) -> Option<RiskLevel> {
        self.0.check();
        Some(RiskLevel::Low)
    }
}

#[derive(Debug)]
struct Time(Arc<ManualClock>, Mood);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        self.1.check();
        self.0.now()
    }
}

#[derive(Debug)]
struct Dice(Mood);

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
        self.0.check();
        SystemRandom.fill(bytes)
    }
}

#[derive(Debug)]
struct Looks(Mood);

impl Pages for Looks {
    fn render(&self, page: &Page<'_>) -> String {
        self.0.check();
        pages::render(page)
    }

    fn content_security_policy(&self) -> &str {
        pages::content_security_policy()
    }
}

impl Hooks for Mood {
    async fn before(&self) -> Result<(), StoreError> {
        if self.is(HANGS) {
            std::future::pending::<()>().await;
        }
        self.check();
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Post(Mailbox, Mood);

impl Mailer for Post {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        self.1.check();
        if self.1.is(HANGS) {
            return Box::pin(std::future::pending());
        }
        self.0.deliver(mail)
    }
}

struct World {
    access: Access,
    service: AccessService<Origin>,
    origin: Origin,
    mail: Mailbox,
    moods: Callbacks,
    clock: Arc<ManualClock>,
}

/// Of people in France, logged in on the application's own host.
fn world() -> World {
    world_with(|builder| builder)
}

fn world_with(change: impl FnOnce(AccessBuilder) -> AccessBuilder) -> World {
    let (moods, mail, clock) = (Callbacks::default(), Mailbox::default(), clock());
    let (origin, store) = (Origin::default(), MemoryStore::new(Arc::clone(&clock), 10_000));
    let staff = || Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let french = staff().require(Rule::geo("FR").unwrap());
    let open = Policy::bypass("everyone").include(Rule::everyone());
    let builder = Access::builder()
        .application(Application::new("Wiki", "wiki.example.com").unwrap().policy(french))
        .application(Application::new("Board", "wiki.example.com/board").unwrap().policy(staff()))
        .application(Application::new("Open", "open.example.com").unwrap().policy(open))
        .fact_source(Source(moods.source.clone()))
        .clock(Time(Arc::clone(&clock), moods.clock.clone()))
        .random(Dice(moods.random.clone()))
        .pages(Looks(moods.pages.clone()))
        .store(Arc::new(WrappingStore::new(store, moods.store.clone())) as Arc<dyn Store>)
        .mailer(Post(mail.clone(), moods.mailer.clone()));
    let access = change(builder).build().unwrap();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    World { access, service, origin, mail, moods, clock }
}

impl World {
    fn browser(&self) -> Browser<AccessService<Origin>> {
        Browser::new(self.service.clone())
    }

    async fn works(&self) {
        let mut browser = self.browser();
        log_in(&mut browser, &self.mail, &format!("{WIKI}/"), ADA).await;
        // Time passes, so that no limit is met.
        self.clock.advance(Duration::from_secs(3600));
    }
}

fn get(host: &str, path: &str, lines: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let builder = Request::get(path).header("host", host);
    let builder = lines.iter().fold(builder, |it, (name, value)| it.header(*name, *value));
    builder.body(Full::default()).unwrap()
}

fn is_refused_after_panic(answer: &Answer) {
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "{}", answer.text);
    assert!(answer.header("cache-control").unwrap().contains("no-store"));
    for text in ["panic", "src/", "a test", "origin saw"] {
        assert!(!answer.text.contains(text), "{}", answer.text);
    }
}

#[tokio::test]
async fn dos_01_a_panic_on_a_requests_way_refuses_that_request() {
    let log = Log::of_this_test();
    let world = world();
    let mut browser = world.browser();
    log_in(&mut browser, &world.mail, &format!("{WIKI}/"), ADA).await;
    let cookie = format!(
        "CF_Authorization={}",
        browser.cookie("wiki.example.com", "CF_Authorization").unwrap()
    );
    let person = [("cookie", &*cookie)];
    let before = world.origin.count();
    for mood in [&world.moods.source, &world.moods.clock] {
        mood.set(PANICS);
        for lines in [&person[..], &[("cookie", &*cookie), ("accept", "text/html")]] {
            let answer = send(&world.service, get("wiki.example.com", "/", lines)).await;
            is_refused_after_panic(&answer);
            // The refusal looks like every other.
            if let Some(rejection) = answer.parts.extensions.get::<Rejection>() {
                assert_eq!(rejection.kind(), RejectionKind::Internal);
                let verdict = answer.parts.extensions.get::<Verdict>().unwrap();
                assert_eq!(verdict.outcome(), Outcome::Denied);
                let records = log.with("reference", rejection.reference());
                assert_eq!(records.len(), 1);
                assert!(answer.text.contains(rejection.reference()), "{}", answer.text);
            }
        }
        assert_eq!(world.origin.count(), before);
        mood.set(WELL);
        let answer = send(&world.service, get("wiki.example.com", "/", &person)).await;
        let rejection = answer.parts.extensions.get::<Rejection>();
        let why = rejection.map(|it| (it.kind(), it.token_error()));
        assert_eq!(answer.status(), StatusCode::OK, "nothing is left of it: {why:?}");
        world.origin.received.lock().unwrap().pop();
    }
    // Requests that have nothing to do with it go on meanwhile.
    world.moods.source.set(PANICS);
    world.moods.pages.set(PANICS);
    world.moods.store.set(PANICS);
    let answer = send(&world.service, get("open.example.com", "/", &[])).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn dos_01_a_panic_in_a_step_of_a_login_lets_nobody_in_and_leaves_nothing() {
    let world = world();
    let moods = &world.moods;
    for mood in [&moods.source, &moods.clock, &moods.random, &moods.pages, &moods.store] {
        let mut browser = world.browser();
        // A panic at each step; then the step is taken.
        let panicking = async |browser: &mut Browser<_>, url: &str| {
            mood.set(PANICS);
            let answer = browser.get(url).await;
            mood.set(WELL);
            assert!(!answer.text.contains("origin saw"));
            assert!(answer.set_cookie("CF_Authorization").is_none());
            answer
        };
        panicking(&mut browser, &format!("{WIKI}/")).await;
        let start = browser.get(&format!("{WIKI}/")).await.location().to_owned();
        panicking(&mut browser, &start).await;
        let page = browser.get(&start).await;
        let form = Form::of(&start, &page.text);
        mood.set(PANICS);
        let answer = form.submit(&mut browser, &[("email", ADA)]).await;
        assert!(answer.status().is_server_error() || answer.status() == StatusCode::FOUND);
        mood.set(WELL);
        let before = world.mail.len();
        world.clock.advance(Duration::from_secs(3600));
        let form = ask_for_code(&mut browser, &format!("{WIKI}/"), ADA).await;
        let code = world.mail.code(before + 1).await;
        mood.set(PANICS);
        let answer = form.submit(&mut browser, &[("code", &code)]).await;
        mood.set(WELL);
        if answer.status() == StatusCode::INTERNAL_SERVER_ERROR {
            is_refused_after_panic(&answer);
        } else {
            // Who renders no page is not asked on the way in.
            assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
        }
        world.clock.advance(Duration::from_secs(3600));
        world.works().await;
    }
}

#[tokio::test]
async fn dos_01_a_panic_while_a_session_is_looked_up_refuses_and_passes() {
    let world = world();
    let mut browser = world.browser();
    log_in(&mut browser, &world.mail, &format!("{WIKI}/"), ADA).await;
    // The session of the host lets into another application of it, if the store says so.
    world.moods.store.set(PANICS);
    let answer = browser.get(&format!("{WIKI}/board")).await;
    is_refused_after_panic(&answer);
    world.moods.store.set(WELL);
    assert_eq!(browser.get(&format!("{WIKI}/board")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn dos_01_mailers_that_panic_use_nothing_up() {
    let world = world();
    world.moods.mailer.set(PANICS);
    // More than may be under way at once.
    for number in 0..300 {
        let mut browser = world.browser();
        ask_for_code(&mut browser, &format!("{WIKI}/"), &format!("person{number}@example.com"))
            .await;
        world.clock.advance(Duration::from_secs(3600));
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    world.moods.mailer.set(WELL);
    world.works().await;
}

/// What a server of keys does.
#[derive(Debug)]
struct Server {
    keys: Bytes,
    mood: Mood,
    asked: Arc<AtomicUsize>,
}

impl KeyFetch for Server {
    fn fetch(&self) -> KeyFuture<'_> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.mood.check();
        if self.mood.is(HANGS) {
            return Box::pin(std::future::pending());
        }
        Box::pin(async { Ok(FetchedKeys::new(self.keys.clone())) })
    }
}

/// DOS-02 as well: a fetch that never ends is given up.
#[tokio::test(start_paused = true)]
async fn dos_01_a_fetch_of_keys_that_panics_or_hangs_is_no_answer_and_is_tried_again() {
    for mood in [PANICS, HANGS] {
        let (issuer, of_server, asked) = (TestIssuer::new(), Mood::default(), Arc::default());
        of_server.set(mood);
        let server = Server {
            keys: issuer.key_set_json(),
            mood: of_server.clone(),
            asked: Arc::clone(&asked),
        };
        let builder = issuer.verifier_builder().audience(TestIssuer::AUDIENCE.parse().unwrap());
        let access = builder.keys(RemoteKeys::new(server)).build().unwrap();
        let service = AccessLayer::new(access).layer(Origin::default());
        let token = issuer.token_for(ADA);
        let lines = [("cf-access-jwt-assertion", &*token)];
        let ask = async || send(&service, get("wiki.example.com", "/", &lines)).await.status();
        assert_eq!(ask().await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        of_server.set(WELL);
        issuer.clock().advance(Duration::from_secs(60));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(ask().await, StatusCode::OK);
    }
}

/// The server closes that connection; nobody else notices.
#[tokio::test]
async fn dos_01_a_panic_of_the_inner_service_opens_nothing_and_spares_the_others() {
    let world = world();
    let inner = tower::service_fn(|request: Request<hyper::body::Incoming>| async move {
        assert!(request.uri().path() != "/panic", "a panic of a test");
        Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::from("fine")))
    });
    let service = AccessLayer::new(world.access).layer(inner);
    for version in VERSIONS {
        let wire = Wire::to(service.clone(), version).await;
        for _ in 0..3 {
            let answer = wire.clone().oneshot(get("open.example.com", "/panic", &[])).await;
            assert!(answer.is_err(), "{answer:?}");
            let answer = send(&wire, get("open.example.com", "/", &[])).await;
            assert_eq!(answer.text, "fine");
        }
    }
}

#[tokio::test]
async fn dos_01_over_a_connection_the_refusal_arrives_and_the_connection_stays() {
    let world = world();
    for version in VERSIONS {
        let wire = Wire::to(world.service.clone(), version).await;
        let mut browser = Browser::new(wire.clone());
        log_in(&mut browser, &world.mail, &format!("{WIKI}/"), ADA).await;
        world.moods.source.set(PANICS);
        let requests = (0..20).map(|number| {
            let wire = wire.clone();
            async move {
                let host = if number % 2 == 0 { "open.example.com" } else { "wiki.example.com" };
                (number, send(&wire, get(host, "/", &[])).await.status())
            }
        });
        for (number, status) in futures_util::future::join_all(requests).await {
            let expected =
                if number % 2 == 0 { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
            assert_eq!(status, expected);
        }
        let refused = browser.get(&format!("{WIKI}/")).await;
        assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
        world.moods.source.set(WELL);
        assert_eq!(browser.get(&format!("{WIKI}/")).await.status(), StatusCode::OK);
        world.clock.advance(Duration::from_secs(3600));
    }
}

#[tokio::test(start_paused = true)]
async fn dos_02_a_store_that_never_answers_is_given_up() {
    let world = world();
    let mut browser = world.browser();
    log_in(&mut browser, &world.mail, &format!("{WIKI}/"), ADA).await;
    world.moods.store.set(HANGS);
    // A token that is good opens without the store.
    assert_eq!(browser.get(&format!("{WIKI}/")).await.status(), StatusCode::OK);
    // A session that would have to be looked up does not.
    let before = world.origin.count();
    let answer = browser.get(&format!("{WIKI}/board")).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "to the login");
    // Nor does a step of a login.
    let mut other = world.browser();
    let (url, page) = other.visit(&format!("{WIKI}/")).await;
    let form = Form::of(&url, &page.text);
    let answer = form.submit(&mut other, &[("email", ADA)]).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text);
    assert_eq!(world.origin.count(), before);
    world.moods.store.set(WELL);
    assert_eq!(browser.get(&format!("{WIKI}/board")).await.status(), StatusCode::OK);
    world.clock.advance(Duration::from_secs(3600));
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn dos_02_a_mailer_that_never_returns_holds_nobody_up() {
    let log = Log::of_this_test();
    let world = world();
    let given_up = || {
        // Other tests of this program have mailers that fail at once.
        let is_timeout = |error: &str| error.contains("no response in time");
        log.records().iter().filter(|it| it.field("error").is_some_and(is_timeout)).count()
    };
    let before = given_up();
    world.moods.mailer.set(HANGS);
    let mut browser = world.browser();
    let begun = tokio::time::Instant::now();
    ask_for_code(&mut browser, &format!("{WIKI}/"), ADA).await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "the answer does not wait");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(given_up(), before + 1);
    world.moods.mailer.set(WELL);
    world.clock.advance(Duration::from_secs(3600));
    world.works().await;
}

/// The work of a decision, as far as memory shows it: none is allocated, however many rules there are.
/// How often rules and destinations are looked at, unit tests count (`dos_04_…`); how long it takes, the
/// benches `policies` and `matching` say.
#[test]
fn dos_04_a_decision_allocates_no_more_for_ten_thousand_rules_and_applications() {
    let decisions = [10, 10_000].map(|count| {
        let mut staff = Policy::allow("staff");
        let mut groups = Vec::new();
        for n in 0..count {
            let email = Rule::email(&format!("person{n}@example.com")).unwrap();
            staff = staff.include(match n % 3 {
                0 => email,
                1 => Rule::ip(&format!("10.{}.{}.0/24", n / 256 % 256, n % 256)).unwrap(),
                _ => {
                    groups.push(Group::new(format!("g{n}")).include(email));
                    Rule::group(format!("g{n}"))
                }
            });
        }
        let definitions = Definitions::new(groups, []).unwrap();
        let policies = Policies::compile(&[staff], &definitions).unwrap();
        let (last, nobody): (Email, Email) = (
            format!("person{}@example.com", (count - 1) / 3 * 3).parse().unwrap(),
            "nobody@example.org".parse().unwrap(),
        );
        let destinations = (0..count).map(|n| (format!("app{n}.example.com").parse().unwrap(), n));
        let router = Router::new(destinations).unwrap();
        let host = format!("app{}.example.com", count - 1);
        let measured = allocation_counter::measure(|| {
            let of = |email| policies.evaluate(&Facts { email: Some(email), ..Facts::default() });
            assert_eq!(of(&last).outcome(), Outcome::Allowed);
            assert_eq!(of(&nobody).outcome(), Outcome::Denied);
            assert_eq!(router.locate(&host, "/a/b"), Some(&(count - 1)));
            assert_eq!(router.locate("nowhere.example.com", "/"), None);
        });
        measured.count_total
    });
    assert_eq!(decisions, [0, 0]);
}

/// Every own answer, of the layers and of the proxy: a body in answer to `HEAD` breaks an HTTP/2 stream.
#[tokio::test]
async fn a_head_is_answered_without_a_body() {
    let rule = |service| {
        let rule = IngressRule::parse("", None, service, OriginSettings::default()).unwrap();
        ReverseProxy::builder(Ingress::new(vec![rule]).unwrap()).build().unwrap()
    };
    let world = world();
    for version in VERSIONS {
        let mut wires = vec![Wire::to(world.service.clone(), version).await];
        for service in ["hello_world", "http://127.0.0.1:1"] {
            wires.push(Wire::to(rule(service), version).await);
        }
        for wire in wires {
            for (host, path) in [
                ("wiki.example.com", "/"),
                ("wiki.example.com", "/a%2fb"),
                ("wiki.example.com", "/cdn-cgi/access/certs"),
                ("wiki.example.com", "/cdn-cgi/access/nothing"),
                ("nowhere.example.com", "/"),
            ] {
                for accept in ["text/html", "*/*"] {
                    let lines = [("accept", accept), ("sec-fetch-mode", "cors")];
                    let read = send(&wire, get(host, path, &lines)).await;
                    let mut request = get(host, path, &lines);
                    *request.method_mut() = http::Method::HEAD;
                    let head = send(&wire, request).await;
                    assert_eq!(head.status(), read.status(), "{host}{path}");
                    assert_eq!(head.text, "", "{host}{path}");
                    let length = head.header("content-length").unwrap_or("0");
                    assert_eq!(length, read.text.len().to_string(), "{host}{path}");
                }
            }
        }
    }
}

/// Lines of the library that are not tests, with their places.
fn source_lines() -> Vec<(String, String)> {
    fn walk(folder: &Path, lines: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, lines);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
                let place = path.display().to_string();
                lines.extend(text.lines().map(|line| (place.clone(), line.trim().to_owned())));
            }
        }
    }
    let mut lines = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut lines);
    lines
}

/// A name that a secret, or what proves one, would have.
fn names_a_secret(operand: &str) -> bool {
    let operand = operand.replace(".as_bytes()", "");
    let last = operand.trim_end_matches([')', ',', ';', '{', '}', ' ']);
    let last = last.rsplit(['.', ' ', '(', ':', '&', '*', '!']).next().unwrap_or_default();
    ["code", "secret", "password", "mac", "tag", "proof", "nonce", "digest"].contains(&last)
        || last.ends_with("_mac")
        || last.ends_with("_secret")
        || last.ends_with("_hash")
}

/// Codes of countries; the nonce of a question in the answer, which is signed.
const NO_SECRETS: [&str; 2] = ["address/country.rs", "evaluator/ask.rs"];

/// A review rule: what a stranger could guess byte by byte is compared by `secret::equal`, and never by
/// `==`.
#[test]
fn otp_18_no_secret_is_compared_by_an_operator() {
    let lines = source_lines();
    assert!(lines.len() > 10_000);
    let compared: Vec<_> = lines
        .iter()
        .filter(|(_, line)| !line.starts_with("//") && !line.starts_with("assert"))
        .filter(|(place, _)| !NO_SECRETS.iter().any(|known| place.ends_with(known)))
        .filter(|(_, line)| {
            [" == ", " != "].iter().any(|operator| {
                line.match_indices(operator).any(|(place, _)| {
                    let (before, after) = (&line[..place], &line[place + operator.len()..]);
                    let after = after.split([' ', ';', '&', '|']).next().unwrap_or_default();
                    names_a_secret(before) || names_a_secret(after)
                })
            })
        })
        .collect();
    assert!(compared.is_empty(), "compare by `secret::equal`: {compared:#?}");
    // What does it in constant time is used where codes, tokens and secrets are compared.
    for (place, call) in [
        ("login/method/one_time_pin/", "equal("),
        ("login/method/one_time_pin/device.rs", "equal("),
        ("login/command_line/", "equal("),
        // Of service tokens and of the operator's token.
        ("secret/mod.rs", "ct_eq"),
        ("secret/text.rs", "ct_eq"),
    ] {
        let is_there = lines.iter().any(|(path, line)| path.contains(place) && line.contains(call));
        assert!(is_there, "{call} in {place}");
    }
}

#[test]
fn otp_18_the_rule_finds_what_it_is_for() {
    for operand in ["pending.code.mac", "&*self.secret", "typed_mac.as_bytes()", "(code"] {
        assert!(names_a_secret(operand), "{operand}");
    }
    for operand in ["status", "error.code()", "kind", "code.len()"] {
        assert!(!names_a_secret(operand), "{operand}");
    }
}
