//! Evaluators asked over real sockets: at the login, at requests, again and again.
//!
//! Whatever an evaluator does: only a signed yes to this very question opens.

#[allow(dead_code, reason = "it has a `main` of its own")]
#[path = "../../examples/evaluator.rs"]
mod example;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::{ManualClock, Timestamp};
use tower_access::evaluation::Responder;
use tower_access::facts::ExternalEvaluation;
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::layer::AccessService;
use tower_access::policy::{Evaluator, Group, Policy, Rule};
use tower_access::store::MemoryStore;
use tower_access::token::keys::KeySet;
use tower_access::{Access, AccessBuilder, AccessLayer};

use crate::support::sockets::{Act, Arrived, Server};
use crate::support::{
    Browser, Mailbox, NOW, Origin, ask_for_code, clock, log_in, send, two_copies_of_a_key,
};

const HOST: &str = "wiki.example.com";
const WIKI: &str = "https://wiki.example.com/";
const TEAM: &str = "https://login.example.com";
const ADA: &str = "ada@example.com";
const MINUTE: Duration = Duration::from_secs(60);
/// What evaluators have for an answer in these tests.
const LIMIT: Duration = Duration::from_secs(2);
/// Longer than any cool-down.
const A_WHILE: Duration = Duration::from_secs(11);

type Service = AccessService<Origin>;

/// What an evaluator says of people.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mood {
    /// Yes to these addresses, no to others.
    Only(&'static str),
    Everybody,
    Nobody,
    Fault(Fault),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    Silence,
    Closed,
    InternalError,
    NoContent,
    Redirect,
    Flood,
    LargerThanAllowed,
    Drip,
    NotJson,
    List,
    Unsigned,
    WithoutSignature,
    OldNonce,
    WithoutNonce,
    ForeignKey,
    UnknownKey,
    Expired,
    WithoutEnd,
    TextForTrue,
    TheQuestionItself,
}

const FAULTS: [Fault; 20] = [
    Fault::Silence,
    Fault::Closed,
    Fault::InternalError,
    Fault::NoContent,
    Fault::Redirect,
    Fault::Flood,
    Fault::LargerThanAllowed,
    Fault::Drip,
    Fault::NotJson,
    Fault::List,
    Fault::Unsigned,
    Fault::WithoutSignature,
    Fault::OldNonce,
    Fault::WithoutNonce,
    Fault::ForeignKey,
    Fault::UnknownKey,
    Fault::Expired,
    Fault::WithoutEnd,
    Fault::TextForTrue,
    Fault::TheQuestionItself,
];

/// An evaluator under the test's control.
#[derive(Clone)]
struct Evaluating {
    server: Server,
    mood: Arc<Mutex<Mood>>,
    key: Arc<Mutex<Arc<SigningKey>>>,
    /// The claims of the questions that arrived.
    questions: Arc<Mutex<Vec<Value>>>,
    /// The last of their tokens.
    token: Arc<Mutex<String>>,
    keys_asked: Arc<AtomicUsize>,
    /// What `keys_url` does instead of showing the key.
    keys: Arc<Mutex<Option<Act>>>,
}

impl Evaluating {
    async fn start(mood: Mood) -> Self {
        let mood = Arc::new(Mutex::new(mood));
        let key = Arc::new(Mutex::new(Arc::new(kept_key(0))));
        let questions = Arc::new(Mutex::new(Vec::new()));
        let token = Arc::new(Mutex::new(String::new()));
        let keys_asked = Arc::new(AtomicUsize::new(0));
        let keys = Arc::new(Mutex::new(None::<Act>));
        let foreign = kept_key(1);
        let decide = {
            let (mood, key, questions) =
                (Arc::clone(&mood), Arc::clone(&key), Arc::clone(&questions));
            let (token, keys_asked) = (Arc::clone(&token), Arc::clone(&keys_asked));
            let keys = Arc::clone(&keys);
            move |arrived: &Arrived| {
                let key = Arc::clone(&key.lock().unwrap());
                if arrived.path() == "/keys" {
                    keys_asked.fetch_add(1, Ordering::SeqCst);
                    if let Some(act) = &*keys.lock().unwrap() {
                        return act.clone();
                    }
                    let now = Timestamp::from_unix_seconds(NOW);
                    let published = PublishedKeys::new(&key, &[], "evaluator", now).unwrap();
                    return Act::json(published.json());
                }
                assert!(arrived.head.starts_with("POST /evaluate "), "{}", arrived.head);
                let body: Value = serde_json::from_slice(&arrived.body).unwrap();
                let question = body["token"].as_str().unwrap();
                question.clone_into(&mut token.lock().unwrap());
                let claims = payload(question);
                questions.lock().unwrap().push(claims.clone());
                let mood = *mood.lock().unwrap();
                act(mood, &claims, question, &key, &foreign)
            }
        };
        Self { server: Server::start(decide).await, mood, key, questions, token, keys_asked, keys }
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn asked(&self) -> usize {
        self.questions.lock().unwrap().len()
    }

    fn evaluator(&self) -> Evaluator {
        Evaluator::new(&self.server.url("/evaluate"), &self.server.url("/keys")).unwrap()
    }

    fn rule(&self) -> Rule {
        Rule::ExternalEvaluation(Box::new(self.evaluator()))
    }

    /// Waits until so many questions have arrived.
    async fn is_asked(&self, times: usize) {
        let begun = Instant::now();
        while self.asked() < times {
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody asks");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// One of three keys that are made once: making keys takes long.
fn kept_key(number: usize) -> SigningKey {
    static KEYS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let made = |_| SigningKey::generate().unwrap().to_pkcs8_der().unwrap().to_vec();
    SigningKey::from_pkcs8_der(&KEYS.get_or_init(|| (0..3).map(made).collect())[number]).unwrap()
}

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn act(mood: Mood, question: &Value, token: &str, key: &SigningKey, foreign: &SigningKey) -> Act {
    let good = json!({
        "success": true, "iat": question["iat"], "exp": question["exp"], "nonce": question["nonce"],
    });
    let with = |member: &str, value: Value| {
        let mut claims = good.clone();
        claims[member] = value;
        claims
    };
    let without = |member: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(member);
        claims
    };
    let token_of = |token: &str| Act::json(json!({ "token": token }).to_string());
    let signed = |claims: &Value| token_of(&key.sign(claims).unwrap());
    let yes = key.sign(&good).unwrap();
    let (input, signature) = yes.rsplit_once('.').unwrap();
    match mood {
        Mood::Everybody => signed(&good),
        Mood::Nobody => signed(&with("success", json!(false))),
        Mood::Only(email) => {
            signed(&with("success", json!(question["identity"]["email"] == email)))
        }
        Mood::Fault(fault) => match fault {
            Fault::Silence => Act::Hang,
            Fault::Closed => Act::Close,
            Fault::Flood => Act::Flood,
            Fault::Drip => Act::Drip,
            Fault::InternalError => Act::Answer {
                status: "500 Internal Server Error",
                headers: String::new(),
                body: json!({ "token": yes }).to_string().into(),
            },
            Fault::NoContent => Act::status("204 No Content"),
            Fault::Redirect => Act::Answer {
                status: "307 Temporary Redirect",
                headers: "location: /evaluate?again\r\n".to_owned(),
                body: json!({ "token": yes }).to_string().into(),
            },
            Fault::LargerThanAllowed => {
                Act::json(json!({ "token": yes, "more": "x".repeat(65_536) }).to_string())
            }
            Fault::NotJson => Act::json("yes"),
            Fault::List => Act::json(json!([yes]).to_string()),
            Fault::Unsigned => Act::json(good.to_string()),
            Fault::WithoutSignature => {
                let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
                let claims = URL_SAFE_NO_PAD.encode(good.to_string());
                token_of(&format!("{header}.{claims}."))
            }
            Fault::OldNonce => signed(&with("nonce", json!("0123456789abcdef0123456789abcdef"))),
            Fault::WithoutNonce => signed(&without("nonce")),
            // The right key's id and another one's signature.
            Fault::ForeignKey => {
                assert_ne!(signature.len(), 0);
                let other = foreign.sign(&good).unwrap();
                token_of(&format!("{input}.{}", other.rsplit_once('.').unwrap().1))
            }
            Fault::UnknownKey => token_of(&foreign.sign(&good).unwrap()),
            Fault::Expired => signed(&with("exp", json!(NOW - 5))),
            Fault::WithoutEnd => signed(&without("exp")),
            Fault::TextForTrue => signed(&with("success", json!("true"))),
            Fault::TheQuestionItself => token_of(token),
        },
    }
}

/// A store that outlives its engine.
type Kept = Arc<MemoryStore>;

/// An engine that asks, and what outlives it.
struct World {
    clock: Arc<ManualClock>,
    mail: Mailbox,
    store: Kept,
    key: SigningKey,
    policies: Vec<Policy>,
    settings: ExternalEvaluation,
    service: Service,
}

impl World {
    /// Staff whom the evaluator says yes to.
    fn new(evaluating: &Evaluating) -> Self {
        Self::with(vec![staff().require(evaluating.rule())])
    }

    fn with(policies: Vec<Policy>) -> Self {
        Self::asking(policies, ExternalEvaluation::new().timeout(LIMIT))
    }

    fn asking(policies: Vec<Policy>, settings: ExternalEvaluation) -> Self {
        let clock = clock();
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock), 1_000));
        let (key, copy) = (kept_key(2), kept_key(2));
        let mail = Mailbox::default();
        let builder = builder(&policies, settings, &clock, &mail, &store);
        let service = layers(builder.signing_key(copy));
        Self { clock, mail, store, key, policies, settings, service }
    }

    /// Another engine with the same key and store: a restart, or another node.
    fn restarted(&self) -> Service {
        let copy = SigningKey::from_pkcs8_der(&self.key.to_pkcs8_der().unwrap()).unwrap();
        let builder = builder(&self.policies, self.settings, &self.clock, &self.mail, &self.store);
        layers(builder.signing_key(copy))
    }

    fn browser(&self) -> Browser<Service> {
        Browser::new(self.service.clone())
    }

    /// The status of the page that the right code leads to.
    async fn try_to_log_in(&self, browser: &mut Browser<Service>, email: &str) -> StatusCode {
        let before = self.mail.len();
        let form = ask_for_code(browser, WIKI, email).await;
        let code = self.mail.code(before + 1).await;
        let answer = form.submit(browser, &[("code", &code)]).await;
        if answer.status() != StatusCode::FOUND {
            return answer.status();
        }
        browser.visit(answer.location()).await.1.status()
    }

    /// The application token of somebody who has logged in.
    async fn token(&self, email: &str) -> String {
        let mut browser = self.browser();
        log_in(&mut browser, &self.mail, WIKI, email).await;
        browser.cookie(HOST, "CF_Authorization").unwrap()
    }
}

fn staff() -> Policy {
    Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())
}

fn builder(
    policies: &[Policy],
    settings: ExternalEvaluation,
    clock: &Arc<ManualClock>,
    mail: &Mailbox,
    store: &Kept,
) -> AccessBuilder {
    let wiki = Application::new("Wiki", HOST).unwrap().session_duration(30 * 24 * 60 * MINUTE);
    let wiki = policies.iter().cloned().fold(wiki, Application::policy);
    Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(wiki)
        .external_evaluation(settings)
        .mailer(mail.clone())
        .store(store.clone())
        .clock(Arc::clone(clock))
}

fn layers(builder: AccessBuilder) -> Service {
    AccessLayer::new(builder.build().unwrap()).layer(Origin::default())
}

/// The status of a request with a token: 302 sends to the login.
async fn ask(service: &Service, token: &str) -> u16 {
    let request = Request::get("/")
        .header("host", HOST)
        .header("accept", "text/html")
        .header("cookie", format!("CF_Authorization={token}"))
        .body(Full::default())
        .unwrap();
    send(service, request).await.status().as_u16()
}

#[tokio::test]
async fn a_question_says_who_it_is_about_and_is_no_token_of_theirs() {
    let evaluating = Evaluating::start(Mood::Only(ADA)).await;
    let world = World::new(&evaluating);
    let mut browser = world.browser();
    log_in(&mut browser, &world.mail, WIKI, ADA).await;
    // Asked once for both steps of the login and the request after it.
    assert_eq!(evaluating.asked(), 1);
    let question = evaluating.questions.lock().unwrap()[0].clone();
    assert_eq!(question["iss"], TEAM);
    assert_eq!(question["iat"], NOW);
    assert_eq!(question["exp"], NOW + 60);
    assert_eq!(question["nonce"].as_str().unwrap().len(), 32);
    let mut members: Vec<_> = question.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["exp", "iat", "identity", "iss", "nonce"]);
    // The same object as at `get-identity`.
    let answer = browser.get(&format!("{WIKI}cdn-cgi/access/get-identity")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(question["identity"], serde_json::from_str::<Value>(&answer.text).unwrap());
    assert_eq!(question["identity"]["email"], ADA);
    // Whoever is asked cannot enter with the question.
    let token = evaluating.token.lock().unwrap().clone();
    assert_eq!(ask(&world.service, &token).await, 302);

    let mut others = world.browser();
    assert_eq!(world.try_to_log_in(&mut others, "bob@example.com").await, StatusCode::FORBIDDEN);
}

/// DOS-02: also where it never answers.
#[tokio::test]
async fn pol_12_whatever_goes_wrong_is_no_answer_and_bounded() {
    for fault in FAULTS {
        let evaluating = Evaluating::start(Mood::Fault(fault)).await;
        let world = World::new(&evaluating);
        let mut browser = world.browser();
        let begun = Instant::now();
        let status = world.try_to_log_in(&mut browser, ADA).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{fault:?}");
        assert_eq!(evaluating.asked(), 1, "{fault:?}");
        assert!(begun.elapsed() < LIMIT + Duration::from_secs(3), "{fault:?}");
        assert!(evaluating.server.flooded() < 32 * 1024 * 1024, "{fault:?}");

        // All is well again: so is the person, who has a session already.
        evaluating.set(Mood::Everybody);
        world.clock.advance(A_WHILE);
        let (_, page) = browser.visit(WIKI).await;
        assert_eq!(page.status(), StatusCode::OK, "{fault:?}");
    }
}

#[tokio::test]
async fn pol_12_no_answer_keeps_out_where_a_yes_would() {
    for fault in [Fault::Silence, Fault::OldNonce, Fault::InternalError] {
        for excluded in [true, false] {
            let evaluating = Evaluating::start(Mood::Fault(fault)).await;
            let rule = evaluating.rule();
            let policies = if excluded {
                vec![staff().exclude(rule)]
            } else {
                vec![Policy::deny("suspended").include(rule), staff()]
            };
            let world = World::with(policies);
            let mut browser = world.browser();
            let status = world.try_to_log_in(&mut browser, ADA).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{fault:?}");
            evaluating.set(Mood::Nobody);
            world.clock.advance(A_WHILE);
            assert_eq!(browser.visit(WIKI).await.1.status(), StatusCode::OK, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn removed_access_ends_with_the_next_recheck_and_no_request_waits_for_it() {
    let evaluating = Evaluating::start(Mood::Everybody).await;
    let world = World::new(&evaluating);
    let token = world.token(ADA).await;
    assert_eq!(evaluating.asked(), 1);
    evaluating.set(Mood::Nobody);
    world.clock.advance(5 * MINUTE - Duration::from_secs(1));
    for _ in 0..3 {
        assert_eq!(ask(&world.service, &token).await, 200);
    }
    assert_eq!(evaluating.asked(), 1, "not due yet");
    world.clock.advance(Duration::from_secs(1));
    // The old answer counts until the new one is there.
    assert_eq!(ask(&world.service, &token).await, 200);
    evaluating.is_asked(2).await;
    let begun = Instant::now();
    while ask(&world.service, &token).await == 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody hears the answer");
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&world.service, &token).await, 403);
    assert_eq!(evaluating.asked(), 2);

    // A change of mind opens again.
    evaluating.set(Mood::Everybody);
    world.clock.advance(5 * MINUTE);
    let begun = Instant::now();
    while ask(&world.service, &token).await != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody hears the answer");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn pol_12_an_old_answer_counts_for_an_hour_while_the_evaluator_is_away() {
    let evaluating = Evaluating::start(Mood::Everybody).await;
    let world = World::new(&evaluating);
    let token = world.token(ADA).await;
    evaluating.set(Mood::Fault(Fault::Closed));
    for _ in 0..11 {
        world.clock.advance(5 * MINUTE);
        assert_eq!(ask(&world.service, &token).await, 200);
    }
    evaluating.is_asked(2).await;
    world.clock.advance(5 * MINUTE);
    assert_eq!(ask(&world.service, &token).await, 403, "an hour");
    evaluating.set(Mood::Everybody);
    let begun = Instant::now();
    while ask(&world.service, &token).await != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not recover");
        world.clock.advance(A_WHILE);
    }
}

#[tokio::test]
async fn after_a_restart_requests_wait_for_one_question() {
    let evaluating = Evaluating::start(Mood::Everybody).await;
    let world = World::new(&evaluating);
    let token = world.token(ADA).await;
    let service = world.restarted();
    let statuses = join_all((0..50).map(|_| ask(&service, &token))).await;
    assert_eq!(statuses, vec![200; 50]);
    assert_eq!(evaluating.asked(), 2, "one before, one after");

    // Another one finds the evaluator gone: nobody enters, and nobody waits twice.
    evaluating.set(Mood::Fault(Fault::Silence));
    let service = world.restarted();
    let begun = Instant::now();
    let statuses = join_all((0..50).map(|_| ask(&service, &token))).await;
    assert_eq!(statuses, vec![403; 50]);
    assert!(begun.elapsed() >= LIMIT);
    let begun = Instant::now();
    assert_eq!(ask(&service, &token).await, 403);
    assert!(begun.elapsed() < LIMIT, "its cool-down");
    assert_eq!(evaluating.asked(), 3);
    evaluating.set(Mood::Everybody);
    world.clock.advance(A_WHILE);
    assert_eq!(ask(&service, &token).await, 200);
}

#[tokio::test]
async fn pol_12_a_dead_evaluator_costs_a_few_time_limits_and_not_one_for_everybody() {
    let evaluating = Evaluating::start(Mood::Everybody).await;
    let world = World::new(&evaluating);
    let mut tokens = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        tokens.push(world.token(&format!("{name}@example.com")).await);
    }
    let before = evaluating.asked();
    evaluating.set(Mood::Fault(Fault::Silence));
    let service = world.restarted();
    let begun = Instant::now();
    for token in &tokens[..3] {
        assert_eq!(ask(&service, token).await, 403);
    }
    assert!(begun.elapsed() >= 3 * LIMIT);
    let begun = Instant::now();
    for token in &tokens[3..] {
        assert_eq!(ask(&service, token).await, 403);
    }
    assert!(begun.elapsed() < LIMIT);
    assert_eq!(evaluating.asked(), before + 3);
    evaluating.set(Mood::Everybody);
    world.clock.advance(A_WHILE);
    for token in &tokens {
        assert_eq!(ask(&service, token).await, 200);
    }
}

#[tokio::test]
async fn pol_13_pol_14_no_two_people_share_an_answer() {
    let evaluating = Evaluating::start(Mood::Everybody).await;
    let world = World::new(&evaluating);
    let mut people = Vec::new();
    for name in ["ada", "a.b", "a", "b", "a_b", "ada.x"] {
        let email = format!("{name}@example.com");
        people.push((world.token(&email).await, email));
    }
    evaluating.set(Mood::Only(ADA));
    let service = world.restarted();
    let all: Vec<_> = (0..20).flat_map(|_| &people).collect();
    let statuses = join_all(all.iter().map(|(token, _)| ask(&service, token))).await;
    for ((_, email), status) in all.iter().zip(statuses) {
        assert_eq!(status, if email == ADA { 200 } else { 403 }, "{email}");
    }
    assert_eq!(evaluating.asked(), 2 * people.len());
    // Two sessions of one person are two questions as well.
    world.token(ADA).await;
    assert_eq!(evaluating.asked(), 2 * people.len() + 1);
}

#[tokio::test]
async fn nobody_is_asked_where_it_makes_no_difference() {
    let evaluating = Evaluating::start(Mood::Everybody).await;
    let world = World::with(vec![
        Policy::allow("chair").include(Rule::email("chair@example.com").unwrap()),
        Policy::deny("interns").include(Rule::email("intern@example.com").unwrap()),
        staff().require(evaluating.rule()),
    ]);
    world.token("chair@example.com").await;
    let (token, fresh) = (world.token(ADA).await, world.restarted());
    assert_eq!(evaluating.asked(), 1, "only for one of them");
    // Somebody who is kept out in any case, and somebody with no token at all.
    assert_eq!(ask(&fresh, "").await, 302);
    assert_eq!(ask(&fresh, &token.replace('.', "x")).await, 302);
    assert_eq!(evaluating.asked(), 1);
}

#[tokio::test]
async fn a_new_key_of_the_evaluator_is_fetched() {
    let evaluating = Evaluating::start(Mood::Everybody).await;
    let world = World::new(&evaluating);
    let token = world.token(ADA).await;
    *evaluating.key.lock().unwrap() = Arc::new(SigningKey::generate().unwrap());
    evaluating.set(Mood::Nobody);
    world.clock.advance(5 * MINUTE);
    let begun = Instant::now();
    while ask(&world.service, &token).await == 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody hears the answer");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(evaluating.asked(), 2);
    assert_eq!(evaluating.keys_asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn pol_12_without_keys_there_is_no_answer() {
    for act in [Act::Hang, Act::status("500 Oops"), Act::Flood, Act::json("{\"keys\":[]}")] {
        let evaluating = Evaluating::start(Mood::Everybody).await;
        *evaluating.keys.lock().unwrap() = Some(act.clone());
        let world = World::new(&evaluating);
        let mut browser = world.browser();
        let begun = Instant::now();
        assert_eq!(world.try_to_log_in(&mut browser, ADA).await, StatusCode::FORBIDDEN, "{act:?}");
        assert!(begun.elapsed() < LIMIT + Duration::from_secs(3), "{act:?}");
        *evaluating.keys.lock().unwrap() = None;
        // The fetch that hangs is the keys' own, and has five seconds.
        let begun = Instant::now();
        loop {
            world.clock.advance(A_WHILE);
            if browser.visit(WIKI).await.1.status() == StatusCode::OK {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "{act:?}");
        }
    }
}

#[test]
fn the_file_says_how_evaluators_are_asked_and_refuses_them_behind_an_issuer() {
    use tower_access::config::{Config, Role};

    let rule = "{ external_evaluation: { evaluate_url: 'https://e.example/', keys_url: 'https://e.example/keys' } }";
    let file = |access: &str, rule: &str| {
        format!(
            "access:\n{access}  applications:\n    - name: Wiki\n      domain: wiki.example.com\n      aud: {}\n      policies:\n        - name: Staff\n          decision: allow\n          include: [ {rule} ]\n",
            "a".repeat(64)
        )
    };
    let settings = |more: &str| {
        let text = file(&format!("  mail: console\n{more}"), rule);
        let config = Config::parse(&text, "f").map_err(|error| error.to_string())?;
        config.access().unwrap();
        let Role::Issuing { external_evaluation, .. } = config.access.role else { panic!() };
        Ok::<_, String>(external_evaluation)
    };
    let usual = ExternalEvaluation::new();
    assert_eq!(settings("").unwrap(), usual);
    let both = settings("  external_evaluation: { timeout: 2s, recheck_every: 1m }\n").unwrap();
    assert_eq!(both, usual.timeout(Duration::from_secs(2)).recheck_every(MINUTE));
    let never = settings("  external_evaluation: { recheck_every: login }\n").unwrap();
    assert_eq!(never, usual.only_at_login());
    for (more, place) in [
        ("{ timeout: 1h }", "external_evaluation.timeout"),
        ("{ timeout: soon }", "external_evaluation.timeout"),
        ("{ recheck_every: 1s }", "external_evaluation.recheck_every"),
        ("{ recheck_every: never }", "external_evaluation.recheck_every"),
        ("{ recheck: 1m }", "external_evaluation"),
    ] {
        let error = settings(&format!("  external_evaluation: {more}\n")).unwrap_err();
        assert!(error.contains(place), "{error}");
    }

    let issuer =
        |more: &str| format!("  issuer: {{ team_domain: acme.cloudflareaccess.com{more} }}\n");
    let error = Config::parse(&file(&issuer(""), rule), "f").unwrap_err().to_string();
    assert!(
        error.contains("policies[0].include[0].external_evaluation: ")
            && error.contains("issuer's signing key"),
        "{error}"
    );
    let groups = format!("{}  groups: [ {{ name: asked, include: [ {rule} ] }} ]\n", issuer(""));
    let error = Config::parse(&file(&groups, "{ everyone: {} }"), "f").unwrap_err().to_string();
    assert!(error.contains("access.groups[0].include[0].external_evaluation"), "{error}");
    for (more, asked) in
        [("", false), (", get_identity: true", true), (", get_identity: false", false)]
    {
        let config = Config::parse(&file(&issuer(more), "{ everyone: {} }"), "f").unwrap();
        config.access().unwrap();
        let Role::Verifying { get_identity, .. } = config.access.role else { panic!() };
        assert_eq!(get_identity, asked);
    }
}

#[tokio::test]
async fn only_at_login_asks_at_logins_alone() {
    let evaluating = Evaluating::start(Mood::Everybody).await;
    let settings = ExternalEvaluation::new().timeout(LIMIT).only_at_login();
    let world = World::asking(vec![staff().require(evaluating.rule())], settings);
    let mut browser = world.browser();
    log_in(&mut browser, &world.mail, WIKI, ADA).await;
    evaluating.set(Mood::Nobody);
    world.clock.advance(7 * 24 * 60 * MINUTE);
    assert_eq!(browser.get(WIKI).await.status(), StatusCode::OK);
    assert_eq!(evaluating.asked(), 1);
    // Without the application's cookie the session is asked for another one: that is a login.
    browser.forget(HOST);
    assert_eq!(browser.visit(WIKI).await.1.status(), StatusCode::FORBIDDEN);
    assert_eq!(evaluating.asked(), 2);
}

#[tokio::test]
async fn several_evaluators_are_asked_at_once() {
    let first = Evaluating::start(Mood::Everybody).await;
    let second = Evaluating::start(Mood::Nobody).await;
    let world = World::with(vec![staff().require(first.rule()).exclude(second.rule())]);
    let token = world.token(ADA).await;
    assert_eq!((first.asked(), second.asked()), (1, 1));
    first.set(Mood::Fault(Fault::Silence));
    second.set(Mood::Fault(Fault::Silence));
    let service = world.restarted();
    let begun = Instant::now();
    assert_eq!(ask(&service, &token).await, 403);
    assert!(begun.elapsed() < 2 * LIMIT);
}

#[tokio::test]
async fn the_example_evaluator_lets_in_whom_it_is_told_to() {
    let (key, copy) = two_copies_of_a_key();
    let now = Timestamp::from_unix_seconds(NOW);
    let team: KeySet = PublishedKeys::new(&key, &[], TEAM, now).unwrap().key_set().clone();
    let time = clock();
    let responder = Responder::new(team, SigningKey::generate().unwrap()).unwrap();
    let responder = responder.clock(Arc::clone(&time));
    let app = example::app(responder, [ADA.parse().unwrap()].into_iter().collect());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let evaluator = Evaluator::new(&format!("{here}/evaluate"), &format!("{here}/keys")).unwrap();
    let rule = Rule::ExternalEvaluation(Box::new(evaluator));
    let (mail, store) = (Mailbox::default(), Arc::new(MemoryStore::new(Arc::clone(&time), 99)));
    let policies = [staff().require(rule)];
    let builder = builder(&policies, ExternalEvaluation::new(), &time, &mail, &store);
    let service = layers(builder.signing_key(copy));
    log_in(&mut Browser::new(service.clone()), &mail, WIKI, ADA).await;
    let mut other = Browser::new(service);
    let form = ask_for_code(&mut other, WIKI, "bob@example.com").await;
    let code = mail.code(2).await;
    let answer = form.submit(&mut other, &[("code", &code)]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[test]
fn who_only_verifies_cannot_ask() {
    let rule = || {
        let evaluator =
            Evaluator::new("https://eval.example.com/", "https://eval.example.com/keys");
        Rule::ExternalEvaluation(Box::new(evaluator.unwrap()))
    };
    let application = |policy: Policy| {
        Access::verifier_builder("acme.cloudflareaccess.com").unwrap().application(
            Application::new("Wiki", HOST)
                .unwrap()
                .audience("a".repeat(64).parse().unwrap())
                .policy(policy),
        )
    };
    let error = application(staff().require(rule())).build().unwrap_err().to_string();
    assert!(error.contains("external_evaluation") && error.contains("signing key"), "{error}");
    let asked = Group::new("asked").include(rule());
    let through = application(staff().require(Rule::group("asked"))).group(asked.clone());
    assert!(through.build().is_err());
    // A group that no application refers to asks nobody.
    assert!(application(staff()).group(asked).build().is_ok());
}
