//! Where a login returns to: long addresses, whole or with a word about it, under the 4 KiB of head
//! that front servers take from an upstream.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode, Version};
use http_body_util::Full;
use tower::Layer;
use tower_access::address::PeerAddress;
use tower_access::application::{Application, SameSite};
use tower_access::clock::ManualClock;
use tower_access::policy::{Policy, Rule};
use tower_access::store::MemoryStore;
use tower_access::test_util::TestIssuer;
use tower_access::{Access, AccessLayer};

use crate::support::ledger::Ledger;
use crate::support::wire::{VERSIONS, Wire};
use crate::support::{
    Answer, Browser, Form, Mailbox, Origin, absolute, attribute, clock, query, send,
};

const WIKI: &str = "https://wiki.example.com";
const BOARD: &str = "https://board.example.com";
const TEAM: &str = "https://login.example.com";
const ADA: &str = "ada@example.com";
const SHORTENED: &str = "is too long to return to";

struct World {
    access: Access,
    origin: Origin,
    mail: Mailbox,
    store: Arc<Ledger>,
    clock: Arc<ManualClock>,
}

/// Who runs the login, and what the wiki's cookies are like.
#[derive(Clone, Copy, Debug)]
enum Setup {
    TeamDomain,
    OwnHost,
    Strict,
    Bound,
}

const SETUPS: [Setup; 4] = [Setup::TeamDomain, Setup::OwnHost, Setup::Strict, Setup::Bound];

fn staff() -> Policy {
    Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())
}

fn world(setup: Setup) -> World {
    let (clock, origin, mail) = (clock(), Origin::default(), Mailbox::default());
    let store = Ledger::new(MemoryStore::new(Arc::clone(&clock), 100_000));
    let wiki = Application::new("Wiki", "wiki.example.com").unwrap().policy(staff());
    let wiki = match setup {
        Setup::TeamDomain | Setup::OwnHost => wiki,
        Setup::Strict => wiki.same_site_cookie(SameSite::Strict),
        Setup::Bound => wiki.binding_cookie(),
    };
    let builder = Access::builder()
        .application(wiki)
        .application(Application::new("Board", "board.example.com").unwrap().policy(staff()))
        .mailer(mail.clone())
        .store(Arc::clone(&store))
        .clock(Arc::clone(&clock));
    let builder = match setup {
        Setup::OwnHost => builder,
        _ => builder.team_domain("login.example.com".parse().unwrap()),
    };
    World { access: builder.build().unwrap(), origin, mail, store, clock }
}

/// A browser that follows pages which go on by themselves, and measures every head.
struct Visitor {
    browser: Browser<Wire>,
    longest_head: usize,
    /// All that was shown on the way.
    pages: Vec<String>,
}

impl Visitor {
    async fn of(world: &World, version: Version) -> Self {
        let service = AccessLayer::new(world.access.clone()).layer(world.origin.clone());
        let browser = Browser::new(Wire::to(service, version).await);
        Self { browser, longest_head: 0, pages: Vec::new() }
    }

    fn see(&mut self, answer: Answer) -> Answer {
        self.longest_head = self.longest_head.max(head_len(&answer));
        if !answer.text.starts_with("origin saw") {
            self.pages.push(answer.text.clone());
        }
        answer
    }

    /// Goes to an address, and on until a page asks something or the origin has answered.
    async fn visit(&mut self, url: &str) -> (String, Answer) {
        let answer = self.browser.get(url).await;
        let answer = self.see(answer);
        self.go_on(url.to_owned(), answer).await
    }

    async fn go_on(&mut self, mut url: String, mut answer: Answer) -> (String, Answer) {
        for _ in 0..12 {
            let Some(next) = next_of(&url, &answer) else { return (url, answer) };
            let following = self.browser.get(&next).await;
            (url, answer) = (next, self.see(following));
        }
        panic!("round in circles, at {url}");
    }

    /// The whole login, from the page that asks for an address.
    async fn log_in(&mut self, mail: &Mailbox, url: &str) -> (String, Answer) {
        let (page_url, page) = self.visit(url).await;
        assert_eq!(page.status(), StatusCode::OK, "{}", page.text);
        let before = mail.len();
        let form = Form::of(&page_url, &page.text);
        let sent = form.submit(&mut self.browser, &[("email", ADA)]).await;
        assert_eq!(sent.status(), StatusCode::FOUND, "{}", sent.text);
        let (code_url, page) = {
            let sent = self.see(sent);
            self.go_on(page_url, sent).await
        };
        let code = mail.code(before + 1).await;
        let form = Form::of(&code_url, &page.text);
        let done = form.submit(&mut self.browser, &[("code", &code)]).await;
        let done = self.see(done);
        self.go_on(code_url, done).await
    }

    fn saw(&self, text: &str) -> bool {
        self.pages.iter().any(|page| page.contains(text))
    }
}

/// Where an answer leads without being asked.
fn next_of(url: &str, answer: &Answer) -> Option<String> {
    if answer.status() == StatusCode::FOUND {
        return Some(absolute(url, answer.location()));
    }
    let refresh = answer.header("refresh").map(str::to_owned).or_else(|| {
        let meta = answer.text.split("<meta http-equiv=\"refresh\"").nth(1)?;
        attribute(meta, "content")
    })?;
    Some(refresh.split_once("url=").unwrap().1.to_owned())
}

fn head_len(answer: &Answer) -> usize {
    let lines =
        answer.parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    "HTTP/1.1 302 Found\r\n".len() + lines.sum::<usize>() + 2
}

/// Path and query of this length. What is in it neither compresses nor, for the last, survives an
/// address unescaped.
fn target(length: usize, alphabet: &str) -> String {
    let mut seed = 7_u32;
    let mut target = "/app/dash?_g=".to_owned();
    while target.len() < length {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let place = usize::try_from(seed >> 16).unwrap() % alphabet.len();
        target.push(char::from(alphabet.as_bytes()[place]));
    }
    target
}

const PLAIN: &str = "x";
const DENSE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const ESCAPED: &str = "(),:;!*&=+/?@$~";

/// The path and query that the origin was asked for.
fn arrived(world: &World) -> String {
    world.origin.last().uri.path_and_query().unwrap().as_str().to_owned()
}

#[tokio::test]
async fn flow_03_targets_up_to_eight_kib_come_back_whole() {
    for setup in SETUPS {
        for version in VERSIONS {
            let world = world(setup);
            for (length, alphabet) in [
                (2_048, PLAIN),
                (2_049, PLAIN),
                (2_300, DENSE),
                (2_048, ESCAPED),
                (3_500, ESCAPED),
                (6_000, DENSE),
                (8_192, DENSE),
                (8_192, ESCAPED),
            ] {
                let mut visitor = Visitor::of(&world, version).await;
                let target = target(length, alphabet);
                let (_, page) = visitor.log_in(&world.mail, &format!("{WIKI}{target}")).await;
                let what = format!("{setup:?} {version:?} {length}");
                assert!(page.text.starts_with("origin saw"), "{what}: {}", page.text);
                assert!(arrived(&world) == target, "{what}");
                assert!(visitor.longest_head <= 4_096, "{what}: {}", visitor.longest_head);
                assert!(!visitor.saw(SHORTENED), "{what}");
                // Mail for one address is limited.
                world.clock.advance(Duration::from_secs(3_600));
            }
        }
    }
}

#[tokio::test]
async fn flow_03_a_long_target_comes_back_without_a_question_as_well() {
    let world = world(Setup::TeamDomain);
    for version in VERSIONS {
        let mut visitor = Visitor::of(&world, version).await;
        visitor.log_in(&world.mail, &format!("{WIKI}/")).await;
        let mails = world.mail.len();
        for length in [600, 2_040, 4_000, 8_000] {
            visitor.browser.forget("board.example.com");
            let target = target(length, DENSE);
            visitor.visit(&format!("{BOARD}{target}")).await;
            assert!(arrived(&world) == target, "{length}");
        }
        assert_eq!(world.mail.len(), mails);
        assert!(visitor.longest_head <= 4_096, "{}", visitor.longest_head);
    }
}

#[tokio::test]
async fn flow_03_of_a_target_over_eight_kib_the_path_comes_back_and_a_page_says_so() {
    for setup in SETUPS {
        let world = world(setup);
        let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
        let (_, page) =
            visitor.log_in(&world.mail, &format!("{WIKI}{}", target(16_000, DENSE))).await;
        assert_eq!(page.text, "origin saw /app/dash", "{setup:?}");
        assert!(visitor.saw(SHORTENED), "{setup:?}");
        assert!(visitor.longest_head <= 4_096);
    }
    // A path that is long itself.
    let world = world(Setup::TeamDomain);
    let path = format!("/{}", "a".repeat(5_000));
    let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
    visitor.log_in(&world.mail, &format!("{WIKI}{path}?{}", "x".repeat(9_000))).await;
    assert!(arrived(&world) == path);
    assert!(visitor.saw(SHORTENED));
}

#[tokio::test]
async fn flow_03_who_is_not_asked_to_log_in_is_told_on_the_way() {
    let world = world(Setup::TeamDomain);
    let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
    visitor.log_in(&world.mail, &format!("{WIKI}/")).await;
    visitor.pages.clear();
    let (url, page) = visitor.visit(&format!("{BOARD}{}", target(16_000, DENSE))).await;
    assert!(page.text.contains(SHORTENED), "{}", page.text);
    let button = page.text.split("<a class=\"button").nth(1).unwrap();
    let next = absolute(&url, &attribute(button, "href").unwrap());
    assert_eq!(next, format!("{BOARD}/app/dash"));
    let (_, page) = visitor.visit(&next).await;
    assert_eq!(page.text, "origin saw /app/dash");
    // Where the page is loaded again, it leads on.
    let (_, page) = visitor.visit(&url).await;
    assert_eq!(page.text, "origin saw /app/dash");
}

#[tokio::test]
async fn usual_targets_travel_in_the_address_and_leave_nothing() {
    let world = world(Setup::TeamDomain);
    for length in [20, 512, 513, 2_048] {
        let target = target(length, PLAIN);
        for method in ["GET", "HEAD"] {
            let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
            let answer = visitor.browser.send(method, &format!("{WIKI}{target}"), "").await;
            assert_eq!(answer.status(), StatusCode::FOUND);
            let login = answer.location();
            assert!(
                login.starts_with(&format!("{TEAM}/cdn-cgi/access/login/wiki.example.com?kid="))
            );
            assert_eq!(query(login, "redirect_url").as_deref(), Some(&*target), "{method}");
            assert_eq!(query(login, "target"), None);
            visitor.browser.get(login).await;
        }
    }
    assert_eq!(world.store.records("return-target"), 0);
}

#[tokio::test]
async fn a_long_target_has_the_redirect_that_clients_look_for() {
    let world = world(Setup::TeamDomain);
    for version in VERSIONS {
        for (method, records) in [("HEAD", 0), ("GET", 1)] {
            let mut visitor = Visitor::of(&world, version).await;
            let url = format!("{WIKI}{}", target(6_000, DENSE));
            let answer = visitor.browser.send(method, &url, "").await;
            assert_eq!(answer.status(), StatusCode::FOUND);
            let login = answer.location();
            assert!(
                login.starts_with(&format!("{TEAM}/cdn-cgi/access/login/wiki.example.com?kid="))
            );
            assert_eq!(query(login, "redirect_url").as_deref(), Some("/app/dash"));
            assert_eq!(answer.header("cf-access-domain"), Some("wiki.example.com"));
            assert!(answer.header("cf-access-aud").is_some());
            assert!(answer.set_cookie("CF_AppSession").is_some());
            if version == Version::HTTP_11 {
                assert_eq!(world.store.records("return-target"), records, "{method}");
            }
        }
    }
}

/// The way of a command-line client that has a session token.
#[tokio::test]
async fn a_head_gets_its_token_whatever_it_asks_for() {
    let world = world(Setup::TeamDomain);
    let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
    visitor.log_in(&world.mail, &format!("{WIKI}/")).await;
    for length in [2_048, 8_000, 16_000] {
        visitor.browser.forget("board.example.com");
        let mut url = format!("{BOARD}{}", target(length, DENSE));
        loop {
            let answer = visitor.browser.send("HEAD", &url, "").await;
            assert_eq!(answer.status(), StatusCode::FOUND, "{length}: {url}");
            assert!(head_len(&answer) <= 4_096);
            if url.contains("/authorized?") {
                assert!(answer.set_cookie("CF_Authorization").is_some());
                assert!(answer.location().starts_with(&format!("{BOARD}/app/dash")));
                break;
            }
            url = answer.location().to_owned();
        }
    }
}

#[tokio::test]
async fn a_link_that_others_build_may_be_long() {
    let world = world(Setup::TeamDomain);
    let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
    let refused = visitor.browser.get(&format!("{WIKI}/")).await;
    let kid = query(refused.location(), "kid").unwrap();
    for alphabet in [DENSE, ESCAPED] {
        let target = target(8_192, alphabet);
        let link = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("kid", &*kid), ("redirect_url", &*target)])
            .finish();
        let link = format!("{TEAM}/cdn-cgi/access/login/wiki.example.com?{link}");
        let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
        visitor.log_in(&world.mail, &link).await;
        assert!(arrived(&world) == target);
        assert!(visitor.longest_head <= 4_096);
    }
}

#[tokio::test]
async fn flow_02_a_long_target_leads_to_no_other_host() {
    let world = world(Setup::TeamDomain);
    let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
    let kid = |answer: &Answer| query(answer.location(), "kid").unwrap();
    let wiki = visitor.browser.get(&format!("{WIKI}{}", target(6_000, DENSE))).await;
    let board = visitor.browser.get(&format!("{BOARD}/")).await;
    let long = "x".repeat(6_000);
    for redirect_url in [
        format!("https://evil.example/{long}"),
        format!("//evil.example/?{long}"),
        format!("/%5cevil.example?{long}"),
        format!("https://wiki.example.com.evil.example/?{long}"),
        format!("https://evil.example/?{}", "x".repeat(16_000)),
    ] {
        let link = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("kid", &*kid(&wiki)), ("redirect_url", &redirect_url)])
            .finish();
        let link = format!("{TEAM}/cdn-cgi/access/login/wiki.example.com?{link}");
        let page = visitor.browser.get(&link).await;
        assert_eq!(Form::of(TEAM, &page.text).value("redirect_url"), "/", "{}", page.text);
    }
    // The name of another host's target, and what is none.
    let stored = query(wiki.location(), "target").unwrap();
    for name in [&*stored, "0123456789abcdef0123456789abcdef", "../../grant/x", "", &long] {
        let link = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("kid", &*kid(&board)), ("redirect_url", "/b"), ("target", name)])
            .finish();
        let link = format!("{TEAM}/cdn-cgi/access/login/board.example.com?{link}");
        let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
        let (_, page) = visitor.log_in(&world.mail, &link).await;
        assert_eq!(page.text, "origin saw /b", "{name:.40}");
        world.clock.advance(Duration::from_secs(1_200));
    }
}

#[tokio::test]
async fn flow_06_tabs_with_long_targets_all_arrive() {
    let world = world(Setup::TeamDomain);
    let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
    let targets = [6_000, 7_000, 8_000].map(|length| target(length, DENSE));
    let mut pages = Vec::new();
    for target in &targets {
        pages.push(visitor.visit(&format!("{WIKI}{target}")).await);
    }
    let (url, page) = &pages[1];
    let sent = Form::of(url, &page.text).submit(&mut visitor.browser, &[("email", ADA)]).await;
    let (code_url, page) = visitor.go_on(url.clone(), sent).await;
    let code = world.mail.code(1).await;
    let form = Form::of(&code_url, &page.text);
    let done = form.submit(&mut visitor.browser, &[("code", &code)]).await;
    let authorized = done.location().to_owned();
    visitor.go_on(code_url, done).await;
    assert!(arrived(&world) == targets[1]);
    // The page that went on by itself, loaded again.
    visitor.visit(&authorized).await;
    assert!(arrived(&world) == targets[1]);
    for ((url, _), target) in pages.iter().zip(&targets) {
        visitor.visit(url).await;
        assert!(&arrived(&world) == target);
    }
    assert_eq!(world.mail.len(), 1);
    assert_eq!(visitor.browser.count_cookies("wiki.example.com"), 2);
}

#[tokio::test]
async fn a_target_that_is_gone_is_told_of() {
    let world = world(Setup::TeamDomain);
    let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
    let refused = visitor.browser.get(&format!("{WIKI}{}", target(6_000, DENSE))).await;
    world.clock.advance(Duration::from_secs(3 * 3_600));
    let login = refused.location().to_owned();
    let (_, page) = visitor.log_in(&world.mail, &login).await;
    assert_eq!(page.text, "origin saw /app/dash");
    assert!(visitor.saw(SHORTENED));
}

/// A stranger's request from an address of its own.
fn stranger(address: u32, target: &str) -> Request<Full<bytes::Bytes>> {
    let address = Ipv4Addr::from(address.wrapping_mul(2_654_435_761));
    Request::get(target)
        .header("host", "wiki.example.com")
        .extension(PeerAddress(IpAddr::V4(address)))
        .body(Full::default())
        .unwrap()
}

#[tokio::test]
async fn dos_03_strangers_leave_a_bounded_number_of_long_targets() {
    let world = world(Setup::TeamDomain);
    let service = AccessLayer::new(world.access.clone()).layer(world.origin.clone());
    let long = target(8_100, DENSE);
    // One target, however often it is asked for.
    for _ in 0..200 {
        send(&service, stranger(1, &long)).await;
    }
    assert_eq!(world.store.records("return-target"), 1);
    // Many, of one network.
    for number in 0..200 {
        send(&service, stranger(2, &format!("/{number}{long}"))).await;
    }
    assert!(world.store.records("return-target") <= 1 + 128);
    // Many, of many: so many in half an hour.
    for number in 0..1_200 {
        let answer = send(&service, stranger(3 + number, &format!("/x{number}{long}"))).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
    }
    assert_eq!(world.store.records("return-target"), 1_024);
    // What others are left with then: the path, with a word; and usual addresses as ever.
    let last = send(&service, stranger(9_999, &format!("/docs?{long}"))).await;
    assert_eq!(query(last.location(), "redirect_url").as_deref(), Some("/docs"));
    assert_eq!(query(last.location(), "shortened").as_deref(), Some("true"));
    let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
    let usual = target(2_048, DENSE);
    let (page_url, page) = visitor.visit(&format!("{WIKI}{usual}")).await;
    let sent =
        Form::of(&page_url, &page.text).submit(&mut visitor.browser, &[("email", ADA)]).await;
    assert_eq!(sent.status(), StatusCode::OK, "a page, no redirect");
    let page = visitor.see(sent);
    let again = page.text.split("<a href=\"").nth(1).unwrap();
    let again = absolute(TEAM, &attribute(&format!("href=\"{again}"), "href").unwrap());
    let (_, page) = visitor.visit(&again).await;
    let code = world.mail.code(2).await;
    let done = Form::of(TEAM, &page.text).submit(&mut visitor.browser, &[("code", &code)]).await;
    assert!(head_len(&done) <= 4_096);
    visitor.go_on(TEAM.to_owned(), done).await;
    assert!(arrived(&world) == usual);
    assert!(visitor.longest_head <= 4_096 && !visitor.saw(SHORTENED));
    world.clock.advance(Duration::from_secs(1_800));
    let later = send(&service, stranger(9_999, &format!("/docs?{long}"))).await;
    assert!(query(later.location(), "target").is_some());
}

#[tokio::test]
async fn what_no_person_follows_leaves_no_target() {
    let world = world(Setup::TeamDomain);
    let service = AccessLayer::new(world.access.clone()).layer(world.origin.clone());
    for (method, name, value) in [
        ("GET", "sec-purpose", "prefetch"),
        ("GET", "x-requested-with", "XMLHttpRequest"),
        ("POST", "accept", "text/html"),
        ("PUT", "accept", "text/html"),
    ] {
        let mut request = stranger(1, &target(6_000, DENSE));
        *request.method_mut() = method.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let answer = send(&service, request).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(head_len(&answer) <= 4_096);
    }
    assert_eq!(world.store.records("return-target"), 0);
}

#[tokio::test]
async fn a_verifier_sends_as_much_of_a_target_as_a_head_holds() {
    let issuer = TestIssuer::new();
    let wiki = Application::new("Wiki", "wiki.example.com").unwrap().policy(staff());
    let access = issuer.verifier_builder().application(wiki).build().unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let path = format!("/{}", "a".repeat(5_000));
    for (target, kept) in [
        (target(2_048, DENSE), target(2_048, DENSE)),
        (target(6_000, DENSE), "/app/dash".to_owned()),
        (format!("{path}?x"), "/".to_owned()),
    ] {
        let answer = send(&service, stranger(1, &target)).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        assert_eq!(query(answer.location(), "redirect_url").as_deref(), Some(&*kept));
        assert!(head_len(&answer) <= 4_096);
    }
}

#[tokio::test]
async fn whoever_is_denied_can_try_again_with_the_whole_target() {
    let (clock, mail) = (clock(), Mailbox::default());
    let bob = Policy::allow("bob").include(Rule::email("bob@example.com").unwrap());
    let board = Application::new("Board", "board.example.com").unwrap().policy(bob);
    let wiki = Application::new("Wiki", "wiki.example.com").unwrap().policy(staff());
    let access = Access::builder()
        .application(wiki)
        .application(board)
        .team_domain("login.example.com".parse().unwrap())
        .mailer(mail.clone())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let store = Ledger::new(MemoryStore::new(Arc::clone(&clock), 10));
    let world = World { access, origin: Origin::default(), mail, store, clock };
    let mut visitor = Visitor::of(&world, Version::HTTP_11).await;
    visitor.log_in(&world.mail, &format!("{WIKI}/")).await;
    let refused = visitor.browser.get(&format!("{BOARD}{}", target(8_000, DENSE))).await;
    let name = query(refused.location(), "target").unwrap();
    let (url, page) = visitor.visit(refused.location()).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    assert!(visitor.longest_head <= 4_096);
    let links = page.text.split("href=\"").skip(1);
    let links: Vec<_> = links.map(|link| link.split('"').next().unwrap()).collect();
    assert!(links.iter().all(|link| link.len() <= 3_072), "front servers take these");
    let again = links.iter().find(|link| link.contains(&name)).expect("a link that tries again");
    let again = absolute(&url, &again.replace("&#38;", "&"));
    let (_, page) = visitor.visit(&again).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN, "denied again, and nothing is lost");
}

#[tokio::test]
async fn a_store_that_takes_no_target_shortens_it_at_once() {
    let clock = clock();
    let wiki = Application::new("Wiki", "wiki.example.com").unwrap().policy(staff());
    let access = Access::builder()
        .application(wiki)
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .store(Arc::new(MemoryStore::new(Arc::clone(&clock), 3)))
        .clock(clock)
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    for number in 0..6 {
        let long = format!("/docs?{number}{}", "x".repeat(6_000));
        let answer = send(&service, stranger(1, &long)).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        assert_eq!(query(answer.location(), "redirect_url").as_deref(), Some("/docs"));
        assert_eq!(query(answer.location(), "target").is_some(), number < 3, "{number}");
        assert_eq!(query(answer.location(), "shortened").is_some(), number >= 3, "{number}");
    }
}
