//! Logins that get in each other's way: tabs, the back button, forms sent twice, several nodes, and
//! jars full of cookies of earlier days. Nobody goes round in circles, and nobody is kept out.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use http::header::COOKIE;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use proptest::prelude::*;
use tower::{Layer, Service, ServiceExt};
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::issuer::SigningKey;
use tower_access::policy::{Policy, Rule};
use tower_access::secret::MasterSecret;
use tower_access::store::MemoryStore;
use tower_access::token::TokenKind;
use tower_access::{Access, AccessLayer};

use crate::support::{
    self, Answer, Form, Mailbox, Origin, absolute, another_code, attribute, clock, query,
};

const TEAM: &str = "https://login.example.com";
const APPLICATIONS: [&str; 3] =
    ["https://wiki.example.com", "https://board.example.com", "https://vault.example.com"];
/// From a link whose time is over: to the page, to the login, to the application, to the page; and
/// one more where the way began in another browser.
const MOST_REDIRECTS: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);

type Browser = support::Browser<Cluster>;
type Node = tower_access::layer::AccessService<Origin>;

/// Some nodes behind a balancer that sends every request to any of them, and browsers' cookies as
/// a test wants them.
#[derive(Clone)]
struct Cluster {
    nodes: Arc<Vec<Node>>,
    turns: Arc<AtomicU64>,
    /// What stands before and behind a browser's own cookies.
    around: Arc<Mutex<(String, String)>>,
}

impl Service<Request<Full<Bytes>>> for Cluster {
    type Response = <Node as Service<Request<Full<Bytes>>>>::Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        let (before, behind) = self.around.lock().unwrap().clone();
        let own = request.headers().get(COOKIE).map(|own| own.to_str().unwrap().to_owned());
        let parts = [Some(before), own, Some(behind)].into_iter().flatten();
        let line: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        if !line.is_empty() {
            let line = HeaderValue::from_str(&line.join("; ")).unwrap();
            request.headers_mut().insert(COOKIE, line);
        }
        // Splitmix: no node follows another in any order.
        let turn = self.turns.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        let turn = (turn ^ turn >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let node = usize::try_from((turn ^ turn >> 27) % self.nodes.len() as u64).unwrap();
        Box::pin(self.nodes[node].clone().oneshot(request))
    }
}

struct World {
    cluster: Cluster,
    mail: Mailbox,
    clock: Arc<ManualClock>,
    key: SigningKey,
}

fn world(nodes: usize) -> World {
    let (mail, clock) = (Mailbox::default(), clock());
    let store = Arc::new(MemoryStore::new(Arc::clone(&clock), 10_000));
    let key = SigningKey::generate().unwrap();
    let copy = || SigningKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
    let node = |_| {
        let mut builder = Access::builder()
            .team_domain("login.example.com".parse().unwrap())
            .master_secret(MasterSecret::from_bytes([1; 32]))
            .signing_key(copy())
            .store(Arc::clone(&store))
            .mailer(mail.clone())
            .clock(Arc::clone(&clock));
        for (number, origin) in APPLICATIONS.into_iter().enumerate() {
            let host = origin.strip_prefix("https://").unwrap();
            let staff = Rule::email_domain("example.com").unwrap();
            let mut application = Application::new(host, host)
                .unwrap()
                .audience(audience(number).parse().unwrap())
                .policy(Policy::allow("staff").include(staff));
            if number == 1 {
                application = application.binding_cookie();
            }
            builder = builder.application(application);
        }
        AccessLayer::new(builder.build().unwrap()).layer(Origin::default())
    };
    let cluster = Cluster {
        nodes: Arc::new((0..nodes).map(node).collect()),
        turns: Arc::default(),
        around: Arc::default(),
    };
    World { cluster, mail, clock, key }
}

fn audience(number: usize) -> String {
    format!("{number:x}c").repeat(32)
}

impl World {
    fn browser(&self) -> Browser {
        Browser::new(self.cluster.clone())
    }

    /// From a protected page to the page that asks for the code, and the code.
    async fn ask_for_code(&self, browser: &mut Browser, url: &str, email: &str) -> (Form, String) {
        let before = self.mail.len();
        let form = support::ask_for_code(browser, url, email).await;
        (form, self.mail.code(before + 1).await)
    }

    /// Whatever a page says, a person who does what it offers ends at the application: by a link
    /// of its button, by the address, by the code.
    async fn goes_on(&self, browser: &mut Browser, url: &str, answer: Answer, email: &str) {
        let (mut url, mut answer) = (url.to_owned(), answer);
        for _ in 0..4 {
            if answer.text.starts_with("origin saw") {
                return;
            }
            let (next, page) = if answer.status() == StatusCode::FOUND {
                follow(browser, &absolute(&url, answer.location())).await
            } else if answer.text.contains("name=\"code\"") {
                let again = query(&url, "nonce").map(|_| url.clone());
                panic!("a person has no code for {again:?}");
            } else if answer.text.contains("name=\"email\"") {
                let before = self.mail.len();
                let sent = Form::of(&url, &answer.text).submit(browser, &[("email", email)]).await;
                assert_eq!(sent.status(), StatusCode::FOUND, "{}", sent.text);
                let code = self.mail.code(before + 1).await;
                let code_url = absolute(&url, sent.location());
                let page = browser.get(&code_url).await;
                let done =
                    Form::of(&code_url, &page.text).submit(browser, &[("code", &code)]).await;
                assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
                follow(browser, done.location()).await
            } else {
                let button = answer.text.split("<a class=\"button").nth(1);
                let button = button.unwrap_or_else(|| panic!("a dead end: {}", answer.text));
                follow(browser, &absolute(&url, &attribute(button, "href").unwrap())).await
            };
            (url, answer) = (next, page);
        }
        panic!("round in circles, at {url}: {}", answer.text);
    }
}

/// As a browser does; never far.
async fn follow(browser: &mut Browser, url: &str) -> (String, Answer) {
    let mut url = url.to_owned();
    for _ in 0..=MOST_REDIRECTS {
        let answer = browser.get(&url).await;
        if answer.status() != StatusCode::FOUND {
            return (url, answer);
        }
        url = absolute(&url, answer.location());
    }
    panic!("more than {MOST_REDIRECTS} redirects, the last to {url}");
}

/// The browser ends at a page of the application, and a reload stays there. (Where there are several
/// nodes, one may not have heard yet of a session that another has ended: then the reload goes by way
/// of the login, without a question.)
async fn is_in(browser: &mut Browser, url: &str, nodes: usize) {
    let (at, page) = follow(browser, url).await;
    assert!(page.text.starts_with("origin saw"), "{url}: {}", page.text);
    let again = if nodes == 1 { browser.get(&at).await } else { follow(browser, &at).await.1 };
    assert_eq!(again.text, page.text, "{at} twice");
}

/// Of all our cookies one on each host and path, however many logins there were.
fn jar_is_small(browser: &Browser) {
    for host in ["login", "wiki", "board", "vault"] {
        let count = browser.count_cookies(&format!("{host}.example.com"));
        assert!(count <= 5, "{host}: {count} cookies");
    }
}

/// How far a tab has come.
enum Tab {
    Closed,
    Refused(String),
    Asked(String, Form),
    Sent(Form, String),
    Arrived,
}

impl Tab {
    /// One step of a login.
    async fn step(self, world: &World, browser: &mut Browser, page: &str) -> Self {
        match self {
            Self::Closed => match browser.get(page).await {
                answer if answer.status() == StatusCode::OK => Self::Arrived,
                answer => Self::Refused(answer.location().to_owned()),
            },
            Self::Refused(login) => {
                let (url, answer) = follow(browser, &login).await;
                if answer.text.starts_with("origin saw") {
                    return Self::Arrived;
                }
                let form = Form::of(&url, &answer.text);
                Self::Asked(url, form)
            }
            Self::Asked(url, form) => {
                let before = world.mail.len();
                let sent = form.submit(browser, &[("email", "ada@example.com")]).await;
                assert_eq!(sent.status(), StatusCode::FOUND, "{}", sent.text);
                if sent.location().contains("/authorized?") {
                    // Another tab has logged in meanwhile.
                    let (url, answer) = follow(browser, sent.location()).await;
                    assert_eq!(url, page);
                    assert!(answer.text.starts_with("origin saw"), "{}", answer.text);
                    return Self::Arrived;
                }
                let code = world.mail.code(before + 1).await;
                let code_url = absolute(&url, sent.location());
                let answer = browser.get(&code_url).await;
                Self::Sent(Form::of(&code_url, &answer.text), code)
            }
            Self::Sent(form, code) => {
                let done = form.submit(browser, &[("code", &code)]).await;
                assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
                let (url, answer) = follow(browser, done.location()).await;
                assert_eq!(url, page);
                assert!(answer.text.starts_with("origin saw"), "{}", answer.text);
                Self::Arrived
            }
            Self::Arrived => Self::Arrived,
        }
    }
}

/// Five tabs of one browser take their steps in this order; then every one of them is in.
async fn tabs_arrive(world: &World, order: &[usize], page: impl Fn(usize) -> String) {
    let mut browser = world.browser();
    let mut tabs: [Tab; 5] = std::array::from_fn(|_| Tab::Closed);
    for &number in order {
        let tab = std::mem::replace(&mut tabs[number], Tab::Closed);
        tabs[number] = tab.step(world, &mut browser, &page(number)).await;
    }
    for (number, tab) in tabs.iter().enumerate() {
        assert!(matches!(tab, Tab::Arrived), "{order:?}: tab {number}");
        is_in(&mut browser, &page(number), world.cluster.nodes.len()).await;
    }
    jar_is_small(&browser);
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// Every tab's four steps, in any order.
fn orders() -> impl Strategy<Value = Vec<usize>> {
    let steps: Vec<usize> = (0..5).flat_map(|tab| [tab; 4]).collect();
    Just(steps).prop_shuffle()
}

#[test]
fn flow_06_five_tabs_that_all_have_a_code_finish_in_every_order() {
    let world = world(1);
    let begin: Vec<usize> = (0..3).flat_map(|_| 0..5).collect();
    run(async {
        for (round, last) in permutations(5).into_iter().enumerate() {
            let order = [&*begin, &*last].concat();
            // Of one application, and of three.
            let hosts = if round.is_multiple_of(2) { 1 } else { 3 };
            tabs_arrive(&world, &order, |tab| format!("{}/{tab}", APPLICATIONS[tab % hosts])).await;
            // Mail for one address is limited.
            world.clock.advance(25 * 60 * MINUTE);
        }
    });
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(count - 1);
    let insert = |order: &Vec<usize>, place: usize| {
        let mut order = order.clone();
        order.insert(place, count - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..count).map(|place| insert(order, place))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn flow_06_tabs_arrive_however_their_steps_are_mixed(
        order in orders(),
        hosts in 1..=3_usize,
        nodes in 1..=3_usize,
    ) {
        let world = world(nodes);
        run(tabs_arrive(&world, &order, |tab| format!("{}/{tab}", APPLICATIONS[tab % hosts])));
    }
}

#[tokio::test]
async fn flow_05_the_back_button_leads_on_after_a_code_was_used_and_after_logging_out() {
    let world = world(1);
    let email = "ada@example.com";
    let wiki = APPLICATIONS[0];
    // Everything the browser has in its history, and the forms on those pages.
    let mut browser = world.browser();
    let refused = browser.get(&format!("{wiki}/x")).await;
    let login_url = refused.location().to_owned();
    let address_form = Form::of(&login_url, &browser.get(&login_url).await.text);
    let sent = address_form.submit(&mut browser, &[("email", email)]).await;
    let code = world.mail.code(1).await;
    let code_url = absolute(TEAM, sent.location());
    let code_form = Form::of(&code_url, &browser.get(&code_url).await.text);
    let resend_url =
        format!("{TEAM}/cdn-cgi/access/resend-code?nonce={}", code_form.value("nonce"));
    let done = code_form.submit(&mut browser, &[("code", &code)]).await;
    let authorized_url = done.location().to_owned();
    is_in(&mut browser, &authorized_url, world.cluster.nodes.len()).await;
    for logged_out in [false, true] {
        for step in 0..6 {
            world.clock.advance(16 * MINUTE);
            let mut browser = browser.at(world.cluster.clone());
            if logged_out {
                let out = browser.get(&format!("{wiki}/cdn-cgi/access/logout")).await;
                assert_eq!(out.status(), StatusCode::OK);
                browser.get(&format!("{TEAM}/cdn-cgi/access/logout")).await;
            }
            let (url, answer) = match step {
                0 => (login_url.clone(), browser.get(&login_url).await),
                1 => (
                    address_form.action.clone(),
                    address_form.submit(&mut browser, &[("email", email)]).await,
                ),
                2 => (code_url.clone(), browser.get(&code_url).await),
                3 => (
                    code_form.action.clone(),
                    code_form.submit(&mut browser, &[("code", &code)]).await,
                ),
                4 => (resend_url.clone(), browser.get(&resend_url).await),
                _ => (authorized_url.clone(), browser.get(&authorized_url).await),
            };
            if !logged_out && step == 1 {
                // The address is asked for a code once more: there is a session all the same.
                assert_eq!(answer.status(), StatusCode::FOUND);
            } else {
                assert!(answer.set_cookie("CF_Authorization").is_none_or(|it| it.contains("1970")));
                world.goes_on(&mut browser, &url, answer, email).await;
            }
            world.goes_on_to(&mut browser, &format!("{wiki}/x"), email).await;
            jar_is_small(&browser);
        }
    }
}

impl World {
    /// A person types an address of an application and gets there.
    async fn goes_on_to(&self, browser: &mut Browser, url: &str, email: &str) {
        let (at, answer) = follow(browser, url).await;
        self.goes_on(browser, &at, answer, email).await;
        is_in(browser, url, self.cluster.nodes.len()).await;
    }
}

#[tokio::test]
async fn flow_05_a_form_that_is_sent_twice_does_no_harm() {
    let world = world(1);
    let wiki = APPLICATIONS[0];
    for at_once in [false, true] {
        // The address.
        let mut browser = world.browser();
        let email = if at_once { "ada@example.com" } else { "bob@example.com" };
        let (url, page) = follow(&mut browser, &format!("{wiki}/x")).await;
        let form = Form::of(&url, &page.text);
        let (before, typed) = (world.mail.len(), [("email", email)]);
        let (mut one, mut two) =
            (browser.at(world.cluster.clone()), browser.at(world.cluster.clone()));
        let (first, first_code, second) = if at_once {
            let (first, second) =
                join(form.submit(&mut one, &typed), form.submit(&mut two, &typed)).await;
            (first, None, second)
        } else {
            let first = form.submit(&mut one, &typed).await;
            let code = world.mail.code(before + 1).await;
            (first, Some(code), form.submit(&mut two, &typed).await)
        };
        assert_eq!([first.status(), second.status()], [StatusCode::FOUND; 2]);
        let newest = world.mail.code(before + 2).await;
        let code_url = absolute(TEAM, second.location());
        let form = Form::of(&code_url, &browser.get(&code_url).await.text);
        // The mail that came first belongs to the other page, and costs an attempt here at most.
        if let Some(code) = first_code.filter(|code| *code != newest) {
            let page = form.submit(&mut browser, &[("code", &code)]).await;
            assert!(page.text.contains("2 attempts"), "{}", page.text);
        }
        // The code.
        let typed = [("code", newest.as_str())];
        let (mut one, mut two) =
            (browser.at(world.cluster.clone()), browser.at(world.cluster.clone()));
        let answers = if at_once {
            join(form.submit(&mut one, &typed), form.submit(&mut two, &typed)).await.into()
        } else {
            [form.submit(&mut one, &typed).await, form.submit(&mut two, &typed).await]
        };
        let statuses = answers.each_ref().map(Answer::status);
        assert_eq!(statuses, [StatusCode::FOUND, StatusCode::FORBIDDEN]);
        let [done, refused] = answers;
        assert!(refused.text.contains("already been used"), "{}", refused.text);
        // The page of the second answer leads on, with the cookies of the first and without them.
        world.clock.advance(16 * MINUTE);
        let mut with = one.at(world.cluster.clone());
        world.goes_on(&mut with, &form.action, refused, email).await;
        assert_eq!(world.mail.len(), before + 2, "without another question");
        is_in(&mut one, done.location(), world.cluster.nodes.len()).await;
        let again = form.submit(&mut two, &typed).await;
        world.goes_on(&mut two, &form.action, again, email).await;
        jar_is_small(&one);
        jar_is_small(&two);
    }
}

#[tokio::test]
async fn otp_16_every_step_of_a_login_is_answered_by_any_node() {
    let world = world(3);
    for number in 0..20 {
        let email = format!("person{number}@example.com");
        let mut browser = world.browser();
        let url = format!("{}/x?{number}", APPLICATIONS[number % 3]);
        let (form, code) = world.ask_for_code(&mut browser, &url, &email).await;
        let code = if number.is_multiple_of(2) {
            let nonce = form.value("nonce");
            let resend = format!("{TEAM}/cdn-cgi/access/resend-code?nonce={nonce}");
            let before = world.mail.len();
            assert_eq!(browser.get(&resend).await.status(), StatusCode::FOUND);
            let newer = world.mail.code(before + 1).await;
            if newer != code {
                let dead = form.submit(&mut browser, &[("code", &code)]).await;
                assert!(dead.text.contains("2 attempts"), "{}", dead.text);
            }
            newer
        } else {
            let wrong = form.submit(&mut browser, &[("code", &another_code(&code))]).await;
            assert!(wrong.text.contains("2 attempts"), "{}", wrong.text);
            code
        };
        let mut without_session = browser.at(world.cluster.clone());
        let done = form.submit(&mut browser, &[("code", &code)]).await;
        assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
        let (at, page) = follow(&mut browser, done.location()).await;
        assert_eq!((&*at, &*page.text), (&*url, &*format!("origin saw /x?{number}")));
        let used = form.submit(&mut without_session, &[("code", &code)]).await;
        assert!(used.text.contains("already been used"), "{}", used.text);
        let again = form.submit(&mut browser, &[("code", &code)]).await;
        assert!(again.location().contains("/authorized?"), "the session leads on");
        is_in(&mut browser, &url, world.cluster.nodes.len()).await;
        jar_is_small(&browser);
    }
}

#[tokio::test]
async fn otp_01_otp_04_nodes_share_the_attempts_and_the_one_use() {
    let world = world(3);
    let url = format!("{}/x", APPLICATIONS[0]);
    let mut browser = world.browser();
    let (form, code) = world.ask_for_code(&mut browser, &url, "ada@example.com").await;
    let (form, wrong) = (&form, &another_code(&code));
    let guesses = (0..30).map(|_| {
        let mut browser = browser.at(world.cluster.clone());
        async move { form.submit(&mut browser, &[("code", wrong)]).await.status() }
    });
    assert!(join_all(guesses).await.iter().all(|status| *status == StatusCode::FORBIDDEN));
    let late = form.submit(&mut browser, &[("code", &code)]).await;
    assert_eq!(late.status(), StatusCode::FORBIDDEN, "the attempts are used up on every node");
    let (form, code) = world.ask_for_code(&mut browser, &url, "bob@example.com").await;
    let (form, code) = (&form, &code);
    let uses = (0..3).map(|_| {
        let mut browser = browser.at(world.cluster.clone());
        async move { form.submit(&mut browser, &[("code", code)]).await.status() }
    });
    let statuses = join_all(uses).await;
    let found = statuses.iter().filter(|status| **status == StatusCode::FOUND).count();
    assert_eq!(found, 1, "{statuses:?}");
}

/// Sixty cookies of ours that are good for nothing any more, twelve of each name.
fn stale(world: &World, strangers: &SigningKey) -> Vec<String> {
    let mut cookies = Vec::new();
    for number in 0..12_u64 {
        let mut claims = support::person(TEAM, &audience(number as usize % 3), "ada@example.com");
        let expired = number % 4 != 3;
        if expired {
            claims.exp = support::NOW - 60 * number - 1;
            claims.iat = claims.exp - 3600;
            claims.nbf = None;
        }
        // Those that are not too old are for an application that is gone, or signed by a key that is.
        let key = if number % 8 == 7 { strangers } else { &world.key };
        if !expired && number % 8 == 3 {
            claims.aud = tower_access::token::Audiences::single(&"ee".repeat(32));
        }
        cookies.push(format!("CF_Authorization={}", key.sign(&claims).unwrap()));
        claims.kind = TokenKind::Binding;
        cookies.push(format!("CF_Binding={}", key.sign(&claims).unwrap()));
        cookies.push(format!("CF_Session={number:032x}"));
        cookies.push(format!("CF_AppSession={:032x}", number + 100));
        cookies.push(format!("CF_Device={number:032x}.{}", "A".repeat(43)));
    }
    assert_eq!(cookies.len(), 60);
    cookies
}

#[tokio::test]
async fn ses_02_flow_07_jars_full_of_stale_cookies_neither_lock_out_nor_loop() {
    let world = world(1);
    let strangers = SigningKey::generate().unwrap();
    let cookies = stale(&world, &strangers);
    for round in 0..8 {
        // In another order each time: all before ours, all behind, and half and half.
        let mut cookies = cookies.clone();
        cookies.rotate_left(round * 7);
        if round % 2 == 1 {
            cookies.reverse();
        }
        let before = [60, 0, 30, 45][round % 4];
        let around = (cookies[..before].join("; "), cookies[before..].join("; "));
        *world.cluster.around.lock().unwrap() = around;
        let mut browser = world.browser();
        let email = format!("person{round}@example.com");
        for origin in APPLICATIONS {
            world.goes_on_to(&mut browser, &format!("{origin}/x"), &email).await;
        }
        assert_eq!(world.mail.len(), round + 1, "one login for all applications");
        jar_is_small(&browser);
    }
}

#[tokio::test]
async fn flow_07_the_cookies_of_yesterday_are_healed() {
    let world = world(1);
    let mut browser = world.browser();
    for day in 0..5 {
        for origin in APPLICATIONS {
            world.goes_on_to(&mut browser, &format!("{origin}/{day}"), "ada@example.com").await;
        }
        jar_is_small(&browser);
        world.clock.advance(25 * 60 * MINUTE);
    }
    assert_eq!(world.mail.len(), 5, "one login a day");
}

#[tokio::test]
async fn flow_06_a_thousand_scripts_without_a_session_keep_nobody_from_logging_in() {
    let world = world(1);
    let wiki = APPLICATIONS[0];
    let mut browser = world.browser();
    let (form, code) =
        world.ask_for_code(&mut browser, &format!("{wiki}/x"), "ada@example.com").await;
    let mut script = browser.at(world.cluster.clone());
    let mut fresh = world.browser();
    for browser in [&mut script, &mut fresh] {
        browser.headers.clear();
        browser.headers.push(("accept", "application/json".to_owned()));
        browser.headers.push(("sec-fetch-mode", "cors".to_owned()));
        browser.headers.push(("sec-fetch-dest", "empty".to_owned()));
    }
    for number in 0..1_000 {
        let caller = if number % 2 == 0 { &mut script } else { &mut fresh };
        let answer = caller.get(&format!("{wiki}/api/{number}")).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    assert!(fresh.count_cookies("wiki.example.com") <= 1);
    assert_eq!(world.mail.len(), 1);
    // The login that was under way goes on, with what the scripts left in the jar.
    let mut browser = script.at(world.cluster.clone());
    browser.headers = vec![("accept", "text/html".to_owned())];
    let done = form.submit(&mut browser, &[("code", &code)]).await;
    is_in(&mut browser, done.location(), world.cluster.nodes.len()).await;
    jar_is_small(&browser);
    // And one begins where scripts were first.
    fresh.headers = vec![("accept", "text/html".to_owned())];
    world.goes_on_to(&mut fresh, &format!("{wiki}/x"), "bob@example.com").await;
}
