//! The link in the mail: it fills in the code in the browser that asked, and does nothing elsewhere.
//!
//! The page's script needs a browser, see `tests/browser`. Here the code is taken from the link's fragment
//! as the script does it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::layer::AccessService;
use tower_access::login::{OneTimePin, OneTimePinLimits};
use tower_access::policy::{Policy, Rule};
use tower_access::store::MemoryStore;
use tower_access::{Access, AccessBuilder, AccessLayer};

use crate::support::ledger::Ledger;
use crate::support::wire::{VERSIONS, Wire};
use crate::support::{
    self, Answer, Form, Mailbox, Origin, absolute, another_code, ask_for_code, attribute, clock,
};

type Browser = support::Browser<AccessService<Origin>>;

const TEAM: &str = "https://login.example.com";
const WIKI: &str = "https://wiki.example.com";
const BOARD: &str = "https://board.example.com";
const ADA: &str = "ada@example.com";
const ELSEWHERE: &str = "This link works in another browser";

struct World {
    service: AccessService<Origin>,
    store: Arc<Ledger>,
    mail: Mailbox,
    clock: Arc<ManualClock>,
}

fn world() -> World {
    world_with(|builder| builder.team_domain("login.example.com".parse().unwrap()))
}

fn world_with_pin(pin: OneTimePin) -> World {
    world_with(|it| it.team_domain("login.example.com".parse().unwrap()).one_time_pin(pin))
}

fn world_with(settings: impl FnOnce(AccessBuilder) -> AccessBuilder) -> World {
    let (clock, mail) = (clock(), Mailbox::default());
    let store = Ledger::new(MemoryStore::new(Arc::clone(&clock), 10_000));
    let staff = || Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let application = |name, host| Application::new(name, host).unwrap().policy(staff());
    let builder = Access::builder()
        .application(application("Wiki", "wiki.example.com"))
        .application(application("Board", "board.example.com"))
        .store(Arc::clone(&store))
        .mailer(mail.clone())
        .clock(Arc::clone(&clock));
    let access = settings(builder).build().unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    World { service, store, mail, clock }
}

/// The link of a mail, apart from the code in its fragment; and that code.
#[derive(Clone, Debug)]
struct Link {
    page: String,
    code: String,
}

fn link_in(text: &str) -> Option<Link> {
    let line = text.lines().find(|line| line.contains("://"))?;
    let (page, code) = line.split_once('#').unwrap();
    Some(Link { page: page.to_owned(), code: code.to_owned() })
}

impl World {
    fn browser(&self) -> Browser {
        Browser::new(self.service.clone())
    }

    /// Asks for a code for a page; gives the link of the mail, and the form that waits in the tab.
    async fn ask(&self, browser: &mut Browser, url: &str, email: &str) -> (Link, Form) {
        let before = self.mail.len();
        let form = ask_for_code(browser, url, email).await;
        (self.link(before + 1).await, form)
    }

    /// The link of the newest mail, once there are so many.
    async fn link(&self, mails: usize) -> Link {
        let code = self.mail.code(mails).await;
        let mail = self.mail.last();
        let link = link_in(&mail.text).expect("a link in the mail");
        assert_eq!(link.code, code);
        assert!(mail.html.contains(&format!("href=\"{}#{}\"", link.page, link.code)));
        link
    }
}

/// Presses the button of the page that the link opened.
async fn press(browser: &mut Browser, page: &Answer, code: &str) -> Answer {
    Form::of(TEAM, &page.text).submit(browser, &[("code", code)]).await
}

/// Follows the link and presses the button.
async fn follow(browser: &mut Browser, link: &Link) -> Answer {
    let page = browser.get(&link.page).await;
    assert_eq!(page.status(), StatusCode::OK, "{}", page.text);
    press(browser, &page, &link.code).await
}

async fn arrives(browser: &mut Browser, answer: &Answer, at: &str) {
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    let (url, page) = browser.visit(answer.location()).await;
    assert_eq!(url, at);
    assert!(page.text.starts_with("origin saw"), "{}", page.text);
}

#[tokio::test]
async fn the_link_and_one_button_log_in_the_browser_that_asked() {
    for version in VERSIONS {
        let world = world();
        let mut browser = support::Browser::new(Wire::to(world.service.clone(), version).await);
        ask_for_code(&mut browser, &format!("{WIKI}/docs?a=1"), ADA).await;
        let link = world.link(1).await;
        assert!(link.page.starts_with(&format!("{TEAM}/cdn-cgi/access/emailed-code?nonce=")));
        assert!(link.page.len() < 900, "a usual one: {}", link.page.len());
        let page = browser.get(&link.page).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert!(page.header("cache-control").unwrap().contains("no-store"));
        assert_eq!(page.text.matches("<button").count(), 1, "{}", page.text);
        assert_eq!(page.text.matches("<form").count(), 1, "{}", page.text);
        // Only the browser knows the code: the server was not told.
        assert!(!page.text.contains(&link.code), "{}", page.text);
        let done = Form::of(TEAM, &page.text).submit(&mut browser, &[("code", &link.code)]).await;
        assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
        let (url, page) = browser.visit(done.location()).await;
        assert_eq!(url, format!("{WIKI}/docs?a=1"));
        assert!(page.text.starts_with("origin saw"), "{}", page.text);
    }
}

/// Section 10 of the contract: elsewhere, mail scanners that follow the link use up the code.
#[tokio::test]
async fn otp_12_mail_scanners_that_follow_the_link_use_up_nothing() {
    let world = world();
    let mut browser = world.browser();
    let (link, _) = world.ask(&mut browser, &format!("{WIKI}/x"), ADA).await;
    let before = world.store.kinds();
    let whole = format!("{}&code={}", link.page, link.code);
    for _ in 0..250 {
        let mut scanner = world.browser();
        for (method, url) in [("GET", &link.page), ("HEAD", &link.page), ("GET", &whole)] {
            let answer = scanner.send(method, url, "").await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        }
        // What posts every form that it finds finds none.
        assert!(!scanner.get(&link.page).await.text.contains("<form"));
        assert_eq!(scanner.count_cookies("login.example.com"), 0);
    }
    let page = browser.get(&link.page).await;
    for line in [("sec-purpose", "prefetch"), ("sec-fetch-dest", "image"), ("purpose", "prefetch")]
    {
        browser.headers.push((line.0, line.1.to_owned()));
        for method in ["GET", "HEAD"] {
            for _ in 0..100 {
                let answer = browser.send(method, &link.page, "").await;
                assert_eq!(answer.status(), StatusCode::OK);
                assert!(!answer.parts.headers.contains_key("set-cookie"));
            }
        }
        browser.headers.pop();
    }
    assert_eq!(browser.get(&link.page).await.text, page.text);
    for method in ["POST", "PUT", "DELETE"] {
        let answer = browser.send(method, &link.page, "").await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    assert_eq!(world.store.kinds(), before, "not a byte");
    assert_eq!(world.mail.len(), 1);
    // All attempts are left.
    let wrong = press(&mut browser, &page, &another_code(&link.code)).await;
    assert!(wrong.text.contains("You have 2 attempts left."), "{}", wrong.text);
    let done = follow(&mut browser, &link).await;
    arrives(&mut browser, &done, &format!("{WIKI}/x")).await;
}

#[tokio::test]
async fn otp_05_another_browser_is_told_where_to_open_the_link_and_nothing_else() {
    let world = world();
    let mut browser = world.browser();
    let (link, form) = world.ask(&mut browser, &format!("{WIKI}/secret-page"), ADA).await;
    let (mut new, mut asking, mut eve, mut phone) =
        (world.browser(), world.browser(), world.browser(), world.browser());
    let (of_bob, _) = world.ask(&mut asking, &format!("{WIKI}/"), "bob@example.com").await;
    for (email, browser) in [("eve@example.com", &mut eve), (ADA, &mut phone)] {
        support::log_in(browser, &world.mail, &format!("{WIKI}/"), email).await;
    }
    // Of this login; of one that was never begun; of one that is over.
    let invented = format!("{}A", &link.page[..link.page.len() - 1]);
    let invented = if invented == link.page { format!("{invented}A") } else { invented };
    let over = of_bob.page.clone();
    let done = follow(&mut asking, &of_bob).await;
    arrives(&mut asking, &done, &format!("{WIKI}/")).await;
    let mut answers = Vec::new();
    for browser in [&mut new, &mut eve, &mut phone] {
        for page in [&link.page, &invented, &over] {
            let answer = browser.get(page).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
            assert!(!answer.parts.headers.contains_key("set-cookie"));
            assert!(answer.text.contains(ELSEWHERE), "{}", answer.text);
            let shown = ["ada", "bob", "Wiki", "wiki.example", "secret", "<a ", "<form", "<dl"];
            for part in shown {
                assert!(!answer.text.contains(part), "{part} in {}", answer.text);
            }
            let headers = answer.parts.headers.clone();
            answers.push((answer.text, headers));
        }
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]));
    // Nor does it help to post what the page of the asking browser would post.
    for browser in [&mut new, &mut eve] {
        let answer = form.submit(browser, &[("code", &link.code)]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    }
    let done = follow(&mut browser, &link).await;
    arrives(&mut browser, &done, &format!("{WIKI}/secret-page")).await;
}

#[tokio::test]
async fn otp_16_a_link_ends_with_its_code() {
    let world = world();
    let mut browser = world.browser();
    let (link, _) = world.ask(&mut browser, &format!("{WIKI}/x"), ADA).await;
    let open = browser.get(&link.page).await;
    world.clock.advance(Duration::from_secs(300));
    let ended = browser.get(&link.page).await;
    assert!(ended.text.contains("That code has expired."), "{}", ended.text);
    assert!(!ended.text.contains("<form"), "{}", ended.text);
    let late = press(&mut browser, &open, &link.code).await;
    assert_eq!(late.status(), StatusCode::FORBIDDEN);
    assert!(late.text.contains("That code has expired."), "{}", late.text);
    // Half an hour later the whole login is over.
    world.clock.advance(Duration::from_secs(1_800));
    let over = browser.get(&link.page).await;
    assert_eq!(over.status(), StatusCode::FORBIDDEN);
    assert!(over.text.contains("Log in again"), "{}", over.text);
}

#[tokio::test]
async fn otp_04_a_link_works_once() {
    let world = world();
    let mut browser = world.browser();
    let (link, _) = world.ask(&mut browser, &format!("{WIKI}/x"), ADA).await;
    let mut without_session = browser.at(world.service.clone());
    let done = follow(&mut browser, &link).await;
    arrives(&mut browser, &done, &format!("{WIKI}/x")).await;
    let used = without_session.get(&link.page).await;
    assert_eq!(used.status(), StatusCode::FORBIDDEN);
    assert!(used.text.contains("This One-Time PIN has already been used"), "{}", used.text);
    assert!(!used.text.contains("<form"), "{}", used.text);
}

#[tokio::test]
async fn otp_08_a_second_code_ends_the_first_link() {
    let world = world();
    let mut browser = world.browser();
    let (first, form) = world.ask(&mut browser, &format!("{WIKI}/x"), ADA).await;
    let resend = format!("{TEAM}/cdn-cgi/access/resend-code?nonce={}", form.value("nonce"));
    assert_eq!(browser.get(&resend).await.status(), StatusCode::FOUND);
    let second = world.link(2).await;
    if first.code != second.code {
        let refused = follow(&mut browser, &first).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(refused.text.contains("You have 2 attempts left."), "{}", refused.text);
    }
    let done = follow(&mut browser, &second).await;
    arrives(&mut browser, &done, &format!("{WIKI}/x")).await;
}

#[tokio::test]
async fn otp_01_a_changed_code_in_a_link_is_a_guess_like_any_other() {
    let world = world();
    let mut browser = world.browser();
    let (link, form) = world.ask(&mut browser, &format!("{WIKI}/x"), ADA).await;
    let changed = Link { code: another_code(&link.code), ..link.clone() };
    let typed = form.submit(&mut browser, &[("code", &changed.code)]).await;
    assert!(typed.text.contains("You have 2 attempts left."), "{}", typed.text);
    let linked = follow(&mut browser, &changed).await;
    assert!(linked.text.contains("You have 1 attempt left."), "{}", linked.text);
    let linked = follow(&mut browser, &changed).await;
    assert!(linked.text.contains("Too many wrong codes."), "{}", linked.text);
    let right = follow(&mut browser, &link).await;
    assert_eq!(right.status(), StatusCode::FORBIDDEN);
    assert!(right.text.contains("Too many wrong codes."), "{}", right.text);
    // They count towards the day as well: over its budget, a code is too short for a link, too.
    let limits = OneTimePinLimits::new().wrong_codes_per_day(10);
    let world = world_with_pin(OneTimePin::new().limits(limits));
    let mut browser = world.browser();
    let (link, _) = world.ask(&mut browser, &format!("{WIKI}/x"), ADA).await;
    let mut strangers = Vec::new();
    for _ in 0..4 {
        let mut stranger = world.browser();
        let form = ask_for_code(&mut stranger, &format!("{WIKI}/"), "eve@evil.example").await;
        strangers.push((stranger, form));
    }
    for (stranger, form) in &mut strangers {
        for _ in 0..3 {
            form.submit(stranger, &[("code", "111111")]).await;
        }
    }
    let short = follow(&mut browser, &link).await;
    assert!(short.text.contains("A longer code was sent."), "{}", short.text);
    let longer = world.link(2).await;
    assert!(longer.code.len() > 6 && longer.page != link.page, "{longer:?}");
    let done = follow(&mut browser, &longer).await;
    arrives(&mut browser, &done, &format!("{WIKI}/x")).await;
}

#[tokio::test]
async fn flow_06_each_tab_has_a_link_of_its_own() {
    let world = world();
    for order in [[0, 1], [1, 0]] {
        let mut browser = world.browser();
        let targets = [format!("{WIKI}/{}", order[0]), format!("{BOARD}/{}", order[1])];
        let mut links = Vec::new();
        for target in &targets {
            links.push(world.ask(&mut browser, target, ADA).await.0);
        }
        let done = follow(&mut browser, &links[order[0]]).await;
        arrives(&mut browser, &done, &targets[order[0]]).await;
        // The other one leads on, without a question.
        let writes = world.store.kinds();
        let page = browser.get(&links[order[1]].page).await;
        assert_eq!(world.store.kinds(), writes, "looking writes nothing");
        arrives_by_page(&mut browser, &page, &targets[order[1]]).await;
    }
}

/// A redirect would take the fragment along: the code, to an application.
async fn arrives_by_page(browser: &mut Browser, page: &Answer, at: &str) {
    assert_eq!(page.status(), StatusCode::OK, "{}", page.text);
    assert!(!page.parts.headers.contains_key("location"));
    assert!(page.text.contains("You are logged in"), "{}", page.text);
    let refresh = attribute(&page.text, "content=\"0; url").or_else(|| {
        let rest = page.text.split_once("content=\"0; url=")?.1;
        attribute(&format!("href=\"{}\"", rest.split('"').next()?), "href")
    });
    let next = absolute(TEAM, &refresh.expect("a page that goes on by itself"));
    assert!(!next.contains('#'), "{next}");
    let (url, page) = browser.visit(&next).await;
    assert_eq!(url, at);
    assert!(page.text.starts_with("origin saw"), "{}", page.text);
}

#[tokio::test]
async fn flow_05_who_has_logged_in_meanwhile_goes_on_to_the_page() {
    let world = world();
    let mut browser = world.browser();
    let (link, form) = world.ask(&mut browser, &format!("{WIKI}/x"), ADA).await;
    // In the same tab, by typing the code.
    let done = form.submit(&mut browser, &[("code", &link.code)]).await;
    arrives(&mut browser, &done, &format!("{WIKI}/x")).await;
    for _ in 0..3 {
        let page = browser.get(&link.page).await;
        arrives_by_page(&mut browser, &page, &format!("{WIKI}/x")).await;
    }
    // As somebody else: the login of this link goes on.
    let mut browser = world.browser();
    let (link, _) = world.ask(&mut browser, &format!("{WIKI}/y"), ADA).await;
    let (of_bob, _) = world.ask(&mut browser, &format!("{BOARD}/z"), "bob@example.com").await;
    let done = follow(&mut browser, &of_bob).await;
    arrives(&mut browser, &done, &format!("{BOARD}/z")).await;
    let done = follow(&mut browser, &link).await;
    arrives(&mut browser, &done, &format!("{WIKI}/y")).await;
}

#[tokio::test]
async fn otp_22_a_code_that_logins_share_has_no_link() {
    let limits = OneTimePinLimits::new().mails_per_address(1).mails_per_known_network(1);
    let world = world_with_pin(OneTimePin::new().limits(limits));
    let mut first = world.browser();
    world.ask(&mut first, &format!("{WIKI}/"), ADA).await;
    let mut second = world.browser();
    let form = ask_for_code(&mut second, &format!("{WIKI}/x"), ADA).await;
    let code = world.mail.code(2).await;
    let mail = world.mail.last();
    assert!(mail.text.contains("all requests within some minutes"), "{}", mail.text);
    for part in [&mail.text, &mail.html] {
        assert!(!part.contains("://") && !part.contains("<a "), "{part}");
    }
    let done = form.submit(&mut second, &[("code", &code)]).await;
    arrives(&mut second, &done, &format!("{WIKI}/x")).await;
}

#[tokio::test]
async fn mails_have_no_link_where_that_is_switched_off() {
    let world = world_with_pin(OneTimePin::new().link_in_mail(false));
    let mut browser = world.browser();
    let form = ask_for_code(&mut browser, &format!("{WIKI}/x"), ADA).await;
    let code = world.mail.code(1).await;
    let mail = world.mail.last();
    for part in [&mail.text, &mail.html] {
        assert!(!part.contains("://") && !part.contains("link"), "{part}");
    }
    let done = form.submit(&mut browser, &[("code", &code)]).await;
    arrives(&mut browser, &done, &format!("{WIKI}/x")).await;
}

#[tokio::test]
async fn a_link_contains_neither_the_address_nor_the_page() {
    let world = world();
    let mut browser = world.browser();
    let (link, _) = world.ask(&mut browser, &format!("{WIKI}/secret-page"), ADA).await;
    let (_, nonce) = link.page.split_once("nonce=").unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(nonce).unwrap();
    for word in ["ada", "example", "secret", "wiki", &link.code] {
        assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
        let (_, query) = link.page.split_once('?').unwrap();
        assert!(!query.contains("secret") && !query.contains("ada@") && !query.contains("ada%"));
    }
}

#[tokio::test]
async fn without_a_team_domain_the_link_leads_to_the_host_of_the_application() {
    let world = world_with(|builder| builder);
    let mut browser = world.browser();
    for (origin, path) in [(WIKI, "/x"), (BOARD, "/y")] {
        let (link, _) = world.ask(&mut browser, &format!("{origin}{path}"), ADA).await;
        assert!(link.page.starts_with(&format!("{origin}/cdn-cgi/access/emailed-code?nonce=")));
        let page = browser.get(&link.page).await;
        let form = Form::of(&link.page, &page.text);
        let done = form.submit(&mut browser, &[("code", &link.code)]).await;
        arrives(&mut browser, &done, &format!("{origin}{path}")).await;
    }
}

#[tokio::test]
async fn flow_03_links_stay_short_and_are_left_out_before_they_are_long() {
    let world = world();
    let long = |number: u32| format!("{WIKI}/x?{number}={}", "a".repeat(1_500));
    let mut browser = world.browser();
    let (link, _) = world.ask(&mut browser, &long(0), ADA).await;
    assert!(link.page.len() < 1_100, "its target is stored: {}", link.page.len());
    let done = follow(&mut browser, &link).await;
    arrives(&mut browser, &done, &long(0)).await;
    // The store has no room for another target: it is in the nonce, and the mail has only the code.
    let mut browser = world.browser();
    for number in 1..1_100 {
        let refused = world.browser().get(&format!("{}{}", long(number), "a".repeat(3_000))).await;
        assert_eq!(refused.status(), StatusCode::FOUND);
    }
    let (url, page) = browser.visit(&long(1_000)).await;
    let sent = Form::of(&url, &page.text).submit(&mut browser, &[("email", ADA)]).await;
    let url = absolute(&url, sent.location());
    assert!(url.len() > 2_500, "{}", url.len());
    let form = Form::of(&url, &browser.get(&url).await.text);
    let code = world.mail.code(2).await;
    assert!(link_in(&world.mail.last().text).is_none());
    let done = form.submit(&mut browser, &[("code", &code)]).await;
    arrives(&mut browser, &done, &long(1_000)).await;
}
