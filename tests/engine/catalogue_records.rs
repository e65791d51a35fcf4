//! Entries of the attack catalogue about what is written down: the log, metrics, references on pages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
use tower::Layer;
use tower_access::address::PeerAddress;
use tower_access::application::{Application, CorsHeaders};
use tower_access::issuer::SigningKey;
use tower_access::layer::AccessService;
use tower_access::policy::{Outcome, Policy, Rule, Verdict};
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::store::{MemoryStore, Store, StoreError};
use tower_access::test_util::TestIssuer;
use tower_access::{Access, AccessBuilder, AccessLayer, AuthorizeLayer, Rejection, RejectionKind};

use crate::support::log::{Log, Record};
use crate::support::wire::{VERSIONS, Wire};
use crate::support::wrapping_store::{Hooks, WrappingStore};
use crate::support::{
    self, Answer, Browser, Form, Mailbox, NOW, Origin, absolute, another_code, clock, person,
    query, send,
};

const WIKI: &str = "https://wiki.example.com";
const TEAM: &str = "https://login.example.com";
const CLIENT_ID: &str = "5d41402abc4b2a76b9719d911017c592.access";
const SECRET: &str = "8ca92a6528213c93b56190c5457fc8979fd26528c88d921a91357fefcd52bdad";

type Service = AccessService<Origin>;

struct World {
    access: Access,
    service: Service,
    origin: Origin,
    mail: Mailbox,
}

fn staff() -> Policy {
    Policy::allow("quiet-policy-name").include(Rule::email_domain("example.com").unwrap())
}

fn application(name: &str, domain: &str, policy: Policy) -> Application {
    Application::new(name, domain).unwrap().policy(policy)
}

fn builder(mail: &Mailbox) -> AccessBuilder {
    let chair =
        Policy::allow("quiet-chair-policy").include(Rule::email("chair@example.com").unwrap());
    let ci = || Policy::service_auth("quiet-ci-policy").include(Rule::service_token("ci"));
    let everyone = Policy::bypass("quiet-bypass").include(Rule::everyone());
    let shared = CorsHeaders::for_origins(["https://friend.example"]).unwrap();
    let machines = application("Machines", "machines.example.com", ci());
    Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(application("Wiki", "wiki.example.com", staff()))
        .application(application("Vault", "vault.example.com", chair))
        .application(application("Open", "open.example.com", everyone))
        .application(machines.read_service_tokens_from_header("Authorization").unwrap())
        .application(application("Shared", "shared.example.com", staff()).cors_headers(shared))
        .application(
            application("Passed", "passed.example.com", staff())
                .insecure_options_preflight_bypass(),
        )
        .service_token(ServiceToken::new("ci", CLIENT_ID, SecretHash::new(SECRET)))
        .mailer(mail.clone())
        .clock(clock())
}

fn world() -> World {
    let (mail, origin) = (Mailbox::default(), Origin::default());
    let access = builder(&mail).build().unwrap();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    World { access, service, origin, mail }
}

fn request(method: Method, host: &str, path: &str, lines: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let builder = Request::builder().method(method).uri(path).header("host", host);
    let builder = lines.iter().fold(builder, |it, (name, value)| it.header(*name, *value));
    builder.body(Full::default()).unwrap()
}

fn get(host: &str, path: &str, lines: &[(&str, &str)]) -> Request<Full<Bytes>> {
    request(Method::GET, host, path, lines)
}

/// Whether a line begins as every record does: a moment, then the level.
fn begins_a_record(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let moment = words.next().unwrap_or_default();
    let level = words.next().unwrap_or_default();
    moment.len() >= 20
        && moment.ends_with('Z')
        && moment.as_bytes()[10] == b'T'
        && ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level)
}

/// The longest text of a stranger in a record: an address has 254 characters at most, each of which
/// is escaped in ten.
const LONGEST_FIELD: usize = 2_560;

#[tokio::test]
async fn obs_01_whatever_a_stranger_sends_a_record_is_one_line() {
    let log = Log::of_this_test();
    let world = world();
    let hostile = [
        "\n2026-01-01T00:00:00.000000Z  INFO tower_access::audit: INJECTED",
        "\r\nINJECTED",
        "\u{1b}[31mINJECTED\u{1b}[0m",
        "\" INJECTED=\"1\" x=\"",
        "\u{2028}INJECTED",
        "\u{202e}INJECTED",
        "\u{0}INJECTED",
        "\u{85}INJECTED\u{9b}31m",
        "'); INJECTED --",
        "{\"INJECTED\":1}",
    ];
    let million = "x".repeat(1_000_000);
    for text in hostile.iter().copied().chain([&*million, &"\u{1f600}".repeat(240)]) {
        // An address that somebody types.
        for email in [text.to_owned(), format!("{text}@example.com"), format!("ada@{text}")] {
            let mut browser = Browser::new(world.service.clone());
            let (url, page) = browser.visit(&format!("{WIKI}/")).await;
            let form = Form::of(&url, &page.text);
            let answer = form.submit(&mut browser, &[("email", &email)]).await;
            assert!(answer.status().as_u16() < 500, "{}", answer.status());
            // And a code.
            if answer.status() == StatusCode::FOUND {
                let url = absolute(TEAM, answer.location());
                let page = browser.get(&url).await;
                let form = Form::of(&url, &page.text);
                form.submit(&mut browser, &[("code", &email)]).await;
            }
        }
        // A path, a query, whatever headers can carry.
        let escaped: String =
            text.bytes().take(20_000).map(|byte| format!("%{byte:02x}")).collect();
        let visible: String = text.chars().filter(|c| !c.is_control()).collect();
        for (host, path) in [
            ("wiki.example.com", format!("/{escaped}")),
            ("wiki.example.com", format!("/?q={escaped}")),
            ("vault.example.com", format!("/{escaped}")),
            ("nowhere.example.com", format!("/{escaped}")),
            ("login.example.com", format!("/cdn-cgi/access/login/wiki.example.com?kid={escaped}")),
            ("login.example.com", format!("/cdn-cgi/access/{escaped}")),
        ] {
            for name in ["user-agent", "referer", "cookie", "cf-access-token", "x-forwarded-for"] {
                let request = get(host, &path, &[(name, &visible)]);
                assert!(send(&world.service, request).await.status().as_u16() < 500);
            }
        }
        for host in [visible.get(..200).unwrap_or(&visible), "a b", "\u{ff}"] {
            let request = Request::get("/").header("host", host.as_bytes());
            if let Ok(request) = request.body(Full::default()) {
                assert!(send(&world.service, request).await.status().is_client_error());
            }
        }
        // A service token.
        let lines = [("cf-access-client-id", &*visible), ("cf-access-client-secret", &*visible)];
        send(&world.service, get("machines.example.com", "/", &lines)).await;
        let lines = [("cf-access-client-id", CLIENT_ID), ("cf-access-client-secret", &*visible)];
        send(&world.service, get("machines.example.com", "/", &lines)).await;
    }
    let text = log.text();
    let ours: Vec<_> = text.lines().filter(|line| line.contains(" tower_access")).collect();
    assert!(
        ours.iter().filter(|line| line.contains("injected")).count() > 5,
        "it is there, escaped"
    );
    for line in text.split_inclusive('\n') {
        let line = line.strip_suffix('\n').expect("a whole line");
        assert!(begins_a_record(line), "{line:.300}");
        assert!(!line.contains(char::is_control), "{line:.300}");
    }
    for record in log.records().iter().filter(|record| record.target.starts_with("tower_access")) {
        for (name, value) in &record.fields {
            assert!(value.len() <= LONGEST_FIELD, "{name} of {}", record.message());
        }
    }
}

/// Everything that ever was in a metric: its name and labels.
fn label_sets(snapshotter: &Snapshotter) -> BTreeSet<String> {
    let snapshot = snapshotter.snapshot().into_vec().into_iter();
    let name = |key: metrics_util::CompositeKey| {
        let labels = key.key().labels().map(|label| format!("{}={}", label.key(), label.value()));
        format!("{} {}", key.key().name(), labels.collect::<Vec<_>>().join(","))
    };
    snapshot.map(|(key, ..)| name(key)).collect()
}

#[tokio::test]
async fn obs_03_strangers_make_no_metrics_of_their_own() {
    // Of this thread, on which all of the test runs.
    let recorder = DebuggingRecorder::new();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let snapshotter = &recorder.snapshotter();
    let world = world();
    let issuer = TestIssuer::new();
    let french = Policy::bypass("french").include(Rule::geo("FR").unwrap());
    let verifying = issuer
        .verifier_builder()
        .application(
            application("Wiki", "wiki.example.com", staff())
                .audience(TestIssuer::AUDIENCE.parse().unwrap()),
        )
        .application(application("French", "*.french.example.com", french))
        .build()
        .unwrap();
    let verifying = AccessLayer::new(verifying).layer(Origin::default());
    let stranger = SigningKey::generate().unwrap();
    let flood = async |from: u32, to: u32| {
        for number in from..to {
            let host = format!("host{number}.french.example.com");
            let path = format!("/path{number}?user={number}");
            let email = format!("user{number}@example.com");
            let claims = issuer.claims_for(&email);
            for token in [
                issuer.sign(&claims),
                stranger.sign(&claims).unwrap(),
                issuer.token_for_service(&format!("client{number}.access")),
                format!("kid{number}.x.y"),
                format!("{number}"),
            ] {
                for host in [&host, "wiki.example.com", &format!("host{number}.example.com")] {
                    let line = ("cf-access-jwt-assertion", &*token);
                    send(&verifying, get(host, &path, &[line])).await;
                    let line = ("cf-access-token", &*token);
                    send(&world.service, get(host, &path, &[line])).await;
                }
            }
            let mut browser = Browser::new(world.service.clone());
            let (url, page) = browser.visit(&format!("{WIKI}{path}")).await;
            Form::of(&url, &page.text).submit(&mut browser, &[("email", &email)]).await;
        }
    };
    flood(0, 10).await;
    let few = label_sets(snapshotter);
    assert!(
        few.iter().any(|name| name.starts_with("tower_access_tokens_refused_total ")),
        "{few:?}"
    );
    assert!(
        few.iter().any(|name| name.starts_with("tower_access_missing_facts_total ")),
        "{few:?}"
    );
    flood(10, 100).await;
    let many = label_sets(snapshotter);
    assert!(many.len() <= few.len() + 2, "{:?}", many.difference(&few));
    for name in &many {
        assert!(name.starts_with("tower_access_"), "{name}");
        // A digit would be a stranger's.
        assert!(!name.contains(|c: char| c.is_ascii_digit()), "{name}");
    }
}

/// What a layer further out finds of an answer, whatever was decided.
fn verdict_of(answer: &Answer) -> &Verdict {
    answer.parts.extensions.get::<Verdict>().expect("a verdict on every answer")
}

#[tokio::test]
async fn obs_04_every_decision_leaves_a_verdict_and_every_refusal_a_record() {
    const PREFLIGHT: &[(&str, &str)] =
        &[("origin", "https://friend.example"), ("access-control-request-method", "PUT")];
    let log = Log::of_this_test();
    let world = world();
    let mut browser = Browser::new(world.service.clone());
    support::log_in(&mut browser, &world.mail, &format!("{WIKI}/"), "obs04@example.com").await;
    browser.visit("https://vault.example.com/").await;
    let cookie = format!(
        "CF_Authorization={}",
        browser.cookie("wiki.example.com", "CF_Authorization").unwrap()
    );
    let machine = [("cf-access-client-id", CLIENT_ID), ("cf-access-client-secret", SECRET)];
    let wrong = [("cf-access-client-id", CLIENT_ID), ("cf-access-client-secret", "wrong")];
    let person = [("cookie", &*cookie)];
    let g = Method::GET;
    let o = Method::OPTIONS;
    for (name, request, status, outcome, decided) in [
        ("allow", get("wiki.example.com", "/", &person), 200, Outcome::Allowed, true),
        ("service", get("machines.example.com", "/", &machine), 200, Outcome::ServiceAllowed, true),
        ("bypass", get("open.example.com", "/", &[]), 200, Outcome::Bypassed, true),
        ("login", get("wiki.example.com", "/", &[]), 302, Outcome::LoginRequired, false),
        (
            "prefetch",
            get("wiki.example.com", "/", &[("sec-purpose", "prefetch")]),
            401,
            Outcome::LoginRequired,
            false,
        ),
        ("wrong secret", get("machines.example.com", "/", &wrong), 401, Outcome::Denied, false),
        ("no service", get("machines.example.com", "/", &[]), 403, Outcome::Denied, false),
        (
            "preflight refused",
            request(o.clone(), "wiki.example.com", "/", PREFLIGHT),
            403,
            Outcome::LoginRequired,
            false,
        ),
        (
            "preflight answered",
            request(o.clone(), "shared.example.com", "/", PREFLIGHT),
            200,
            Outcome::Bypassed,
            false,
        ),
        (
            "preflight passed",
            request(o, "passed.example.com", "/", PREFLIGHT),
            200,
            Outcome::Bypassed,
            false,
        ),
        ("path", get("wiki.example.com", "/a%2fb", &[]), 400, Outcome::Denied, false),
        ("host", get("wiki.example.com:x", "/", &[]), 400, Outcome::Denied, false),
        (
            "long path",
            request(g, "wiki.example.com", &format!("/{}", "a".repeat(20_000)), &[]),
            414,
            Outcome::Denied,
            false,
        ),
        ("no application", get("nowhere.example.com", "/", &[]), 404, Outcome::Denied, false),
    ] {
        let answer = send(&world.service, request).await;
        assert_eq!(answer.status().as_u16(), status, "{name}: {}", answer.text);
        let verdict = verdict_of(&answer);
        assert_eq!(verdict.outcome(), outcome, "{name}");
        assert_eq!(verdict.policy().is_some(), decided, "{name}");
        let rejection = answer.parts.extensions.get::<Rejection>();
        assert_eq!(rejection.is_some(), !outcome.grants_access(), "{name}");
        let Some(rejection) = rejection else { continue };
        let records = log.with("reference", rejection.reference());
        let [record] = &records[..] else { panic!("{name}: {records:?}") };
        assert!(record.is_audit() && record.field("address").is_some(), "{name}: {record:?}");
        let is_login = rejection.kind() == RejectionKind::LoginRequired;
        assert_eq!(record.field("reason").is_none(), is_login, "{name}: {record:?}");
    }
    // Behind an issuer, and where a layer was forgotten.
    let issuer = TestIssuer::new();
    let access = issuer.access();
    let stack = AccessLayer::new(access.clone()).layer(Origin::default());
    for token in ["x", &issuer.token_for("ada@example.com")] {
        let request = get("wiki.example.com", "/", &[("cf-access-jwt-assertion", token)]);
        let answer = send(&stack, request).await;
        let opens = answer.status() == StatusCode::OK;
        assert_eq!(verdict_of(&answer).outcome().grants_access(), opens, "{token:.20}");
    }
    let alone = AuthorizeLayer::new(access).layer(Origin::default());
    let answer = send(&alone, get("wiki.example.com", "/", &[])).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(verdict_of(&answer).outcome(), Outcome::Denied);
    // What the login does is recorded under the same target.
    world.access.revoke_user(&"obs04@example.com".parse().unwrap()).await.unwrap();
    let of_person = |record: &&Record| {
        record.is_audit() && record.fields.values().any(|value| value.contains("obs04@example.com"))
    };
    let records = log.records();
    let messages: BTreeSet<_> =
        records.iter().filter(of_person).map(|record| record.message().to_owned()).collect();
    for message in ["one-time PIN requested", "logged in", "revoked"] {
        assert!(messages.contains(message), "{message} in {messages:?}");
    }
}

/// The reference that an answer shows: 16 hexadecimal digits.
fn references(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_hexdigit());
    words.filter(|word| word.len() == 16).map(str::to_owned).collect()
}

#[tokio::test]
async fn obs_07_a_refusal_shows_a_reference_and_no_policy() {
    let log = Log::of_this_test();
    let world = world();
    for version in VERSIONS {
        let wire = Wire::to(world.service.clone(), version).await;
        let mut person = Browser::new(wire.clone());
        support::log_in(&mut person, &world.mail, &format!("{WIKI}/"), "ada@example.com").await;
        let (_, denied_at_login) = person.visit("https://vault.example.com/").await;
        let page = [("accept", "text/html")];
        let script = [("x-requested-with", "XMLHttpRequest")];
        let wrong = [("cf-access-client-id", CLIENT_ID), ("cf-access-client-secret", "wrong")];
        let mut answers = vec![denied_at_login];
        for (host, path, lines) in [
            ("machines.example.com", "/", &page[..]),
            ("machines.example.com", "/", &script),
            ("machines.example.com", "/", &wrong),
            ("nowhere.example.com", "/", &page),
            ("nowhere.example.com", "/", &script),
            ("wiki.example.com", "/a%2fb", &page),
            ("wiki.example.com", "/a%2fb", &script),
            ("wiki.example.com", "/", &script),
        ] {
            answers.push(send(&wire, get(host, path, lines)).await);
        }
        for answer in answers {
            assert!(answer.status().is_client_error());
            let found: Vec<_> = references(&answer.text)
                .into_iter()
                .flat_map(|reference| log.with("reference", &reference))
                .filter(Record::is_audit)
                .collect();
            assert_eq!(found.len(), 1, "{}: {}", answer.status(), answer.text);
            for text in ["quiet-", "chair", "policy-", "example.com\",", SECRET, "tower_access"] {
                assert!(!answer.text.contains(text), "{text} in {}", answer.text);
            }
            assert!(
                !answer
                    .parts
                    .headers
                    .values()
                    .any(|value| { String::from_utf8_lossy(value.as_bytes()).contains("quiet-") })
            );
        }
    }
}

#[tokio::test]
async fn svc_06_a_service_token_reaches_no_upstream_no_log_and_no_page() {
    let log = Log::of_this_test();
    let world = world();
    let both = format!(
        "{{\"cf-access-client-id\": \"{CLIENT_ID}\", \"cf-access-client-secret\": \"{SECRET}\"}}"
    );
    let wrong_secret = "badbadbadbad6528213c93b56190c5457fc8979fd26528c88d921a91357fefcd";
    let shown: [&[(&str, &str)]; 7] = [
        &[("cf-access-client-id", CLIENT_ID), ("cf-access-client-secret", SECRET)],
        &[("cf-access-client-id", CLIENT_ID), ("cf-access-client-secret", wrong_secret)],
        &[("cf-access-client-id", SECRET), ("cf-access-client-secret", CLIENT_ID)],
        &[("cf_access_client_id", CLIENT_ID), ("cf_access_client_secret", SECRET)],
        &[("cf-access-client-secret", SECRET)],
        &[
            ("cf-access-client-id", CLIENT_ID),
            ("cf-access-client-secret", SECRET),
            ("cf-access-client-secret", wrong_secret),
        ],
        &[("authorization", &both)],
    ];
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let service = format!("http://{nowhere}");
    let rule = IngressRule::parse("", None, &service, OriginSettings::default()).unwrap();
    let proxy = ReverseProxy::builder(Ingress::new(vec![rule]).unwrap()).build().unwrap();
    let broken = AccessLayer::new(world.access.clone()).layer(proxy);
    let hosts =
        ["machines.example.com", "open.example.com", "wiki.example.com", "nowhere.example.com"];
    for version in VERSIONS {
        let wire = Wire::to(world.service.clone(), version).await;
        let broken = Wire::to(broken.clone(), version).await;
        let mut opened = 0;
        for lines in shown {
            for host in hosts {
                for accept in ["text/html", "application/json"] {
                    let mut lines = lines.to_vec();
                    lines.push(("accept", accept));
                    for wire in [&wire, &broken] {
                        let answer = send(wire, get(host, "/x", &lines)).await;
                        opened += usize::from(answer.status() == StatusCode::OK);
                        for secret in [SECRET, wrong_secret, CLIENT_ID] {
                            assert!(!answer.text.contains(secret), "{}", answer.text);
                            let head = format!("{:?}", answer.parts.headers);
                            assert!(!head.contains(secret), "{head}");
                        }
                    }
                }
            }
        }
        assert!(opened > 0, "one of them is good");
    }
    let received = world.origin.received.lock().unwrap();
    assert!(received.iter().any(|parts| parts.headers.contains_key("cf-access-jwt-assertion")));
    for parts in &*received {
        for (name, value) in &parts.headers {
            let folded = name.as_str().replace(['_', '.'], "-");
            assert!(!folded.starts_with("cf-access-client"), "{name}");
            // What an application reads no token from is the origin's own.
            let is_theirs =
                name == "authorization" && !parts.headers.contains_key("cf-access-jwt-assertion");
            let value = String::from_utf8_lossy(value.as_bytes());
            assert!(
                is_theirs || !value.contains(SECRET) && !value.contains(wrong_secret),
                "{name}"
            );
        }
    }
    for secret in [SECRET, wrong_secret] {
        assert!(!log.text().contains(secret));
    }
}

/// Whether a store is switched off.
#[derive(Debug)]
struct Switch(AtomicBool);

impl Hooks for Switch {
    async fn before(&self) -> Result<(), StoreError> {
        if self.0.load(Ordering::SeqCst) { Err(StoreError::new("it is away")) } else { Ok(()) }
    }
}

/// Every secret that a browser was given or sent, by what it is.
#[derive(Default)]
struct Secrets(Mutex<BTreeMap<String, String>>);

impl Secrets {
    fn add(&self, name: &str, value: &str) {
        assert!(value.len() >= 6, "{name}: {value}");
        self.0.lock().unwrap().insert(value.to_owned(), name.to_owned());
    }

    /// What an answer sets and where it leads.
    fn note(&self, answer: &Answer) {
        for line in answer.parts.headers.get_all("set-cookie") {
            let cookie = cookie::Cookie::parse(line.to_str().unwrap().to_owned()).unwrap();
            if cookie.value().len() >= 6 {
                self.add(cookie.name(), cookie.value());
            }
        }
        let location = answer.header("location").unwrap_or_default();
        for name in ["nonce", "meta", "state"] {
            if let Some(value) = query(location, name) {
                self.add(name, &value);
            }
        }
    }
}

/// OBS-02: all levels, the servers' and clients' own lines included.
#[tokio::test]
async fn otp_15_no_code_and_no_secret_is_in_the_log_in_a_metric_or_in_an_address() {
    let log = Log::of_this_test();
    // Of this thread, on which all of the test runs.
    let recorder = DebuggingRecorder::new();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let snapshotter = &recorder.snapshotter();
    let clock = clock();
    let (mail, origin, secrets) = (Mailbox::default(), Origin::default(), Secrets::default());
    let memory = MemoryStore::new(Arc::clone(&clock), 10_000);
    let store = Arc::new(WrappingStore::new(memory, Switch(AtomicBool::new(false))));
    let key = SigningKey::generate().unwrap();
    let access = builder(&mail)
        .clock(Arc::clone(&clock))
        .store(Arc::clone(&store) as Arc<dyn Store>)
        .signing_key(key)
        .build()
        .unwrap();
    for version in VERSIONS {
        let service = AccessLayer::new(access.clone()).layer(origin.clone());
        let mut browser = Browser::new(Wire::to(service, version).await);
        let email = format!("otp15-{}@example.com", if version == VERSIONS[0] { 1 } else { 2 });
        let mut codes = Vec::new();
        let mut addresses = Vec::new();
        // To the page that asks for the code, with a second one sent.
        let before = mail.len();
        let refused = browser.get(&format!("{WIKI}/docs")).await;
        secrets.note(&refused);
        let page = browser.get(refused.location()).await;
        secrets.note(&page);
        let form = Form::of(refused.location(), &page.text);
        let sent = form.submit(&mut browser, &[("email", &email)]).await;
        secrets.note(&sent);
        codes.push(mail.code(before + 1).await);
        let code_url = absolute(TEAM, sent.location());
        let page = browser.get(&code_url).await;
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        let form = Form::of(&code_url, &page.text);
        let resend = format!("{TEAM}/cdn-cgi/access/resend-code?nonce={}", form.value("nonce"));
        let again = browser.get(&resend).await;
        secrets.note(&again);
        codes.push(mail.code(before + 2).await);
        let code = codes[1].clone();
        // The link in the mail, as browsers send it, and as whoever follows it logs it.
        let letter = mail.last().text;
        let link = letter.lines().find(|line| line.starts_with("https://")).unwrap();
        let (page, fragment) = link.split_once('#').unwrap();
        assert_eq!(fragment, codes[1]);
        let linked = browser.get(link).await;
        assert_eq!(linked.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(linked.status(), StatusCode::OK);
        // A wrong one, an error, a refusal.
        let wrong = another_code(&code);
        form.submit(&mut browser, &[("code", &wrong)]).await;
        store.hooks.0.store(true, Ordering::SeqCst);
        let failed = form.submit(&mut browser, &[("code", &code)]).await;
        assert_eq!(failed.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(!failed.text.contains(&code));
        store.hooks.0.store(false, Ordering::SeqCst);
        // The right one, and on.
        let done = form.submit(&mut browser, &[("code", &code)]).await;
        secrets.note(&done);
        let landed = browser.get(done.location()).await;
        secrets.note(&landed);
        addresses.extend([refused, sent, again, done, landed].map(|it| it.location().to_owned()));
        addresses.push(page.to_owned());
        assert_eq!(browser.get(&format!("{WIKI}/docs")).await.status(), StatusCode::OK);
        secrets
            .add("assertion", origin.last().headers["cf-access-jwt-assertion"].to_str().unwrap());
        let (_, denied) = browser.visit("https://vault.example.com/").await;
        assert_eq!(denied.status(), StatusCode::FORBIDDEN);
        // Credentials that are no good are secrets as well.
        let foreign = SigningKey::generate().unwrap();
        let audience = query(&addresses[0], "kid").unwrap();
        let token = foreign.sign(&person(TEAM, &audience, &email)).unwrap();
        secrets.add("foreign token", &token);
        let mut stranger = Browser::new(browser_service(&access, &origin, version).await);
        stranger.set_cookie("wiki.example.com", "CF_Authorization", &token);
        stranger.get(&format!("{WIKI}/")).await;
        stranger.headers.push(("cf-access-token", token));
        stranger.headers.push(("cf-access-client-id", CLIENT_ID.to_owned()));
        stranger.headers.push(("cf-access-client-secret", SECRET.to_owned()));
        secrets.add("client secret", SECRET);
        for host in ["wiki", "machines", "open", "nowhere"] {
            stranger.get(&format!("https://{host}.example.com/")).await;
        }
        browser.get(&format!("{WIKI}/cdn-cgi/access/logout")).await;
        browser.get(&format!("{WIKI}/docs")).await;
        for code in codes {
            for address in &addresses {
                assert!(!address.contains(&code), "{address}");
            }
            secrets.add("code", &code);
        }
    }
    assert!(secrets.0.lock().unwrap().len() > 20);
    let (text, metrics) = (log.text(), label_sets(snapshotter));
    assert!(text.contains("TRACE") && text.contains("h2::") && text.contains("hyper"));
    for (secret, name) in &*secrets.0.lock().unwrap() {
        for line in text.lines() {
            // Six digits may be a part of a time; there they stand alone.
            let is_there = match name.as_str() {
                "code" => {
                    line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == secret)
                }
                _ => line.contains(secret.as_str()),
            };
            assert!(!is_there, "{name} {secret} in {line}");
        }
        assert!(!metrics.iter().any(|metric| metric.contains(secret.as_str())), "{name}");
    }
    assert_eq!(NOW, 1_790_000_000, "of the clock, no secret");
}

async fn browser_service(access: &Access, origin: &Origin, version: http::Version) -> Wire {
    Wire::to(AccessLayer::new(access.clone()).layer(origin.clone()), version).await
}

/// A record of an address that a trusted source told of is a record as well.
#[tokio::test]
async fn obs_04_a_record_names_the_address() {
    let log = Log::of_this_test();
    let world = world();
    let mut request = get("nowhere.example.com", "/", &[]);
    request.extensions_mut().insert(PeerAddress("192.0.2.77".parse().unwrap()));
    let answer = send(&world.service, request).await;
    let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
    let records = log.with("reference", rejection.reference());
    assert_eq!(records[0].field("address"), Some("192.0.2.77"));
}
