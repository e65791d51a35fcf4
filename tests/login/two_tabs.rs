//! Pages of a login that are still open, or come back, when the person has logged in: in another tab,
//! by the back button, by a reload. Every order of steps ends in a login.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use proptest::prelude::*;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::{Clock, ManualClock};
use tower_access::layer::AccessService;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer};

use crate::support::wire::{VERSIONS, Wire};
use crate::support::{self, Answer, Form, Mailbox, Origin, absolute, another_code, clock};

const TEAM: &str = "https://login.example.com";
const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
/// Nobody but Bob may enter the last.
const APPLICATIONS: [&str; 3] =
    ["https://wiki.example.com", "https://board.example.com", "https://vault.example.com"];

type Browser = support::Browser<AccessService<Origin>>;

struct World {
    service: AccessService<Origin>,
    origin: Origin,
    mail: Mailbox,
    clock: Arc<ManualClock>,
}

fn world_with(team_domain: bool) -> World {
    let (clock, origin, mail) = (clock(), Origin::default(), Mailbox::default());
    let staff = || Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let bob = || Policy::allow("bob").include(Rule::email(BOB).unwrap());
    let builder = Access::builder()
        .application(Application::new("Wiki", "wiki.example.com").unwrap().policy(staff()))
        .application(Application::new("Board", "board.example.com").unwrap().policy(staff()))
        .application(Application::new("Vault", "vault.example.com").unwrap().policy(bob()))
        .mailer(mail.clone())
        .clock(Arc::clone(&clock));
    let builder = match team_domain {
        true => builder.team_domain("login.example.com".parse().unwrap()),
        false => builder,
    };
    let service = AccessLayer::new(builder.build().unwrap()).layer(origin.clone());
    World { service, origin, mail, clock }
}

fn world() -> World {
    world_with(true)
}

/// A tab that waits for its code.
struct Tab {
    target: String,
    address_page: (String, String),
    code_url: String,
    form: Form,
    code: String,
}

impl World {
    fn browser(&self) -> Browser {
        Browser::new(self.service.clone())
    }

    /// A new tab, up to the page for the code.
    async fn open(&self, browser: &mut Browser, target: &str, email: &str) -> Tab {
        let (url, page) = browser.visit(target).await;
        assert_eq!(page.status(), StatusCode::OK, "{}", page.text);
        self.ask(browser, target, (url, page.text), email).await
    }

    async fn ask(
        &self,
        browser: &mut Browser,
        target: &str,
        (url, text): (String, String),
        email: &str,
    ) -> Tab {
        let before = self.mail.len();
        let sent = Form::of(&url, &text).submit(browser, &[("email", email)]).await;
        let code_url = absolute(&url, sent.location());
        let form = Form::of(&code_url, &browser.get(&code_url).await.text);
        let code = self.mail.code(before + 1).await;
        Tab { target: target.to_owned(), address_page: (url, text), code_url, form, code }
    }

    /// An answer that leads to the page of a tab.
    async fn arrives(&self, browser: &mut Browser, answer: Answer, tab: &Tab) {
        assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
        let at = absolute(&tab.code_url, answer.location());
        let (url, page) = browser.visit(&at).await;
        assert_eq!(url, tab.target);
        assert!(page.text.starts_with("origin saw"), "{}", page.text);
    }
}

fn resend(tab: &Tab) -> String {
    let host = url::Url::parse(&tab.code_url).unwrap();
    let origin = host.origin().ascii_serialization();
    format!("{origin}/cdn-cgi/access/resend-code?nonce={}", tab.form.value("nonce"))
}

/// What a person does on a page of a login.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Goes back to the page for the address, and sends it again.
    TypeAddress,
    Reload,
    TypeCode,
    /// The code of the other tab's mail.
    TypeOtherCode,
    TypeWrongCode,
    TypeNoCode,
    Resend,
}

const STEPS: [Step; 7] = [
    Step::TypeAddress,
    Step::Reload,
    Step::TypeCode,
    Step::TypeOtherCode,
    Step::TypeWrongCode,
    Step::TypeNoCode,
    Step::Resend,
];

async fn take(step: Step, browser: &mut Browser, tab: &Tab, other: &Tab) -> Answer {
    let typed = |code: &str| [("code", code.to_owned())];
    let code = match step {
        Step::TypeAddress => {
            let (url, text) = &tab.address_page;
            return Form::of(url, text).submit(browser, &[("email", ADA)]).await;
        }
        Step::Reload => return browser.get(&tab.code_url).await,
        Step::Resend => return browser.get(&resend(tab)).await,
        Step::TypeCode => typed(&tab.code),
        Step::TypeOtherCode => typed(&other.code),
        Step::TypeWrongCode => typed(&another_code(&tab.code)),
        Step::TypeNoCode => typed("hello"),
    };
    let [(name, code)] = &code;
    tab.form.submit(browser, &[(name, code)]).await
}

#[tokio::test]
async fn flow_05_when_one_tab_has_logged_in_every_step_of_the_other_leads_on() {
    for team_domain in [true, false] {
        for application in [APPLICATIONS[0], APPLICATIONS[1]] {
            if !team_domain && application != APPLICATIONS[0] {
                // Each host has a login of its own.
                continue;
            }
            for step in STEPS {
                let world = world_with(team_domain);
                let mut browser = world.browser();
                let first = world.open(&mut browser, &format!("{}/1", APPLICATIONS[0]), ADA).await;
                let second = world.open(&mut browser, &format!("{application}/2"), ADA).await;
                let done = first.form.submit(&mut browser, &[("code", &first.code)]).await;
                world.arrives(&mut browser, done, &first).await;
                let mails = world.mail.len();
                for (tab, other) in [(&second, &first), (&first, &second)] {
                    for _ in 0..2 {
                        let answer = take(step, &mut browser, tab, other).await;
                        world.arrives(&mut browser, answer, tab).await;
                    }
                }
                assert_eq!(world.mail.len(), mails, "{step:?}: no other mail");
                // However long after.
                world.clock.advance(Duration::from_secs(3_600));
                let answer = take(step, &mut browser, &second, &first).await;
                world.arrives(&mut browser, answer, &second).await;
                assert_eq!(world.mail.len(), mails, "{step:?}: no other mail");
            }
        }
    }
}

#[tokio::test]
async fn flow_06_tabs_that_were_begun_at_once_all_arrive() {
    let world = world();
    // Neither request had a cookie: each answer sets one, and the later one stays.
    for late in [0, 1] {
        let mut browser = world.browser();
        let mut pages = Vec::new();
        for number in [0, 1] {
            let mut tab = world.browser();
            let target = format!("{}/{number}", APPLICATIONS[0]);
            let (url, page) = tab.visit(&target).await;
            let cookies =
                [("wiki.example.com", "CF_AppSession"), ("login.example.com", "CF_Session")]
                    .map(|(host, name)| (host, name, tab.cookie(host, name).unwrap()));
            pages.push((target, (url, page.text), cookies));
        }
        for (host, name, value) in &pages[late].2 {
            browser.set_cookie(host, name, value);
        }
        let mut tabs = Vec::new();
        for (target, page, _) in pages {
            tabs.push(world.ask(&mut browser, &target, page, ADA).await);
        }
        let mails = world.mail.len();
        for tab in &tabs {
            let done = tab.form.submit(&mut browser, &[("code", &tab.code)]).await;
            world.arrives(&mut browser, done, tab).await;
        }
        assert_eq!(world.mail.len(), mails);
        world.clock.advance(Duration::from_secs(3_600));
    }
}

/// The browser forgets what is too old; these tests' browsers do not, so it is taken from them.
#[tokio::test]
async fn a_page_that_was_open_for_hours_begins_a_login_that_lasts() {
    let world = world();
    let mut browser = world.browser();
    let (url, page) = browser.visit(&format!("{}/1", APPLICATIONS[0])).await;
    let own = browser.cookie("login.example.com", "CF_Session").unwrap();
    world.clock.advance(Duration::from_secs(4 * 3_600 - 60));
    let sent = Form::of(&url, &page.text).submit(&mut browser, &[("email", ADA)]).await;
    let line = sent.set_cookie("CF_Session").unwrap();
    assert!(line.starts_with(&format!("CF_Session={own};")), "{line}");
    let end = clock();
    end.advance(Duration::from_secs(8 * 3_600 - 60));
    let end = time::OffsetDateTime::from_unix_timestamp(
        i64::try_from(end.now().as_unix_seconds()).unwrap(),
    );
    let hour = format!("{:02}:{:02}:", end.unwrap().hour(), end.unwrap().minute());
    assert!(line.contains(&hour), "{line}");
    // Where it is gone, a session leads on all the same.
    let tab = world.open(&mut browser, &format!("{}/1", APPLICATIONS[0]), ADA).await;
    let done = tab.form.submit(&mut browser, &[("code", &tab.code)]).await;
    world.arrives(&mut browser, done, &tab).await;
    let session = browser.cookie("login.example.com", "CF_Authorization").unwrap();
    browser.forget("login.example.com");
    browser.set_cookie("login.example.com", "CF_Authorization", &session);
    for step in STEPS {
        let answer = take(step, &mut browser, &tab, &tab).await;
        world.arrives(&mut browser, answer, &tab).await;
    }
}

#[tokio::test]
async fn otp_08_the_page_of_before_takes_the_newest_code() {
    let world = world();
    let mut browser = world.browser();
    let tab = world.open(&mut browser, &format!("{}/1", APPLICATIONS[0]), ADA).await;
    let mut older = browser.at(world.service.clone());
    assert_eq!(browser.get(&resend(&tab)).await.status(), StatusCode::FOUND);
    let newest = world.mail.code(2).await;
    if tab.code != newest {
        let dead = tab.form.submit(&mut older, &[("code", &tab.code)]).await;
        assert_eq!(dead.status(), StatusCode::FORBIDDEN, "an older code is dead");
    }
    let done = tab.form.submit(&mut older, &[("code", &newest)]).await;
    world.arrives(&mut older, done, &tab).await;
}

#[tokio::test]
async fn otp_05_the_session_of_somebody_else_opens_nothing_new() {
    let world = world();
    let mut browser = world.browser();
    let vault = format!("{}/secret", APPLICATIONS[2]);
    let ada = world.open(&mut browser, &format!("{}/1", APPLICATIONS[0]), ADA).await;
    let bob = world.open(&mut browser, &vault, BOB).await;
    let done = ada.form.submit(&mut browser, &[("code", &ada.code)]).await;
    world.arrives(&mut browser, done, &ada).await;
    let seen = world.origin.count();
    for step in [Step::Reload, Step::TypeNoCode, Step::TypeWrongCode] {
        let answer = take(step, &mut browser, &bob, &ada).await;
        assert_ne!(answer.status(), StatusCode::FOUND, "{step:?}");
        assert!(answer.text.contains("name=\"code\""), "{step:?}: {}", answer.text);
    }
    // What a policy keeps from Ada stays so, whatever page it is asked from.
    let (_, denied) = browser.visit(&vault).await;
    assert_eq!(denied.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.origin.count(), seen);
    // Bob's code lets Bob in.
    let done = bob.form.submit(&mut browser, &[("code", &bob.code)]).await;
    world.arrives(&mut browser, done, &bob).await;
}

#[tokio::test]
async fn after_a_logout_the_pages_of_before_lead_nowhere_by_themselves() {
    let world = world();
    let mut browser = world.browser();
    let tab = world.open(&mut browser, &format!("{}/1", APPLICATIONS[0]), ADA).await;
    let done = tab.form.submit(&mut browser, &[("code", &tab.code)]).await;
    world.arrives(&mut browser, done, &tab).await;
    // With every cookie the browser had before, as a thief of them has it.
    let mut thief = browser.at(world.service.clone());
    browser.get(&format!("{TEAM}/cdn-cgi/access/logout")).await;
    for step in [Step::Reload, Step::TypeCode, Step::Resend] {
        for browser in [&mut browser, &mut thief] {
            let answer = take(step, browser, &tab, &tab).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{step:?}: {}", answer.text);
            assert!(answer.text.contains("<a class=\"button\""), "there is a way on");
        }
    }
}

#[tokio::test]
async fn flow_12_a_page_that_is_fetched_ahead_uses_no_session() {
    let world = world();
    let mut browser = world.browser();
    let tab = world.open(&mut browser, &format!("{}/1", APPLICATIONS[0]), ADA).await;
    let done = tab.form.submit(&mut browser, &[("code", &tab.code)]).await;
    world.arrives(&mut browser, done, &tab).await;
    browser.headers.push(("sec-purpose", "prefetch".to_owned()));
    let ahead = browser.get(&tab.code_url).await;
    assert_ne!(ahead.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn flow_05_a_code_page_leads_on_over_real_connections() {
    for version in VERSIONS {
        let world = world();
        let mut browser = support::Browser::new(Wire::to(world.service.clone(), version).await);
        let target = format!("{}/1", APPLICATIONS[0]);
        let form = support::ask_for_code(&mut browser, &target, ADA).await;
        let code = world.mail.code(1).await;
        for _ in 0..2 {
            let done = form.submit(&mut browser, &[("code", &code)]).await;
            let (_, page) = browser.visit(done.location()).await;
            assert!(page.text.contains("/1"), "{}", page.text);
        }
        let head = browser.send("HEAD", &format!("{}?nonce={}", form.action, "x"), "").await;
        assert_ne!(head.status(), StatusCode::OK, "{version:?}");
    }
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The model: attempts are left or not, a tab has a newest code, and somebody is in or not.
    #[test]
    fn flow_05_two_tabs_end_in_a_login_in_every_order(
        steps in proptest::collection::vec((0..2_usize, 0..STEPS.len()), 0..9),
        one_application in any::<bool>(),
        one_target in any::<bool>(),
    ) {
        run(async {
            let world = world();
            let mut browser = world.browser();
            let second = APPLICATIONS[usize::from(!one_application)];
            let path = if one_target { "1" } else { "2" };
            let mut tabs = [
                world.open(&mut browser, &format!("{}/1", APPLICATIONS[0]), ADA).await,
                world.open(&mut browser, &format!("{second}/{path}"), ADA).await,
            ];
            let (mut wrong, mut resent, mut is_in) = ([0_u32; 2], [0_u32; 2], false);
            for (number, step) in steps {
                let step = STEPS[step];
                let mails = world.mail.len();
                let answer = take(step, &mut browser, &tabs[number], &tabs[1 - number]).await;
                if is_in {
                    world.arrives(&mut browser, answer, &tabs[number]).await;
                    assert_eq!(world.mail.len(), mails, "{step:?}");
                    continue;
                }
                let is_right = match step {
                    Step::TypeCode => true,
                    Step::TypeOtherCode => tabs[0].code == tabs[1].code,
                    _ => false,
                };
                match step {
                    Step::TypeAddress => {
                        // That is another login, in this tab.
                        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
                            continue;
                        }
                        let target = tabs[number].target.clone();
                        let page = tabs[number].address_page.clone();
                        let code_url = absolute(&page.0, answer.location());
                        let form = Form::of(&code_url, &browser.get(&code_url).await.text);
                        let code = world.mail.code(mails + 1).await;
                        tabs[number] = Tab { target, address_page: page, code_url, form, code };
                        (wrong[number], resent[number]) = (0, 0);
                    }
                    Step::Reload => assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text),
                    Step::Resend if resent[number] < 2 && answer.status() == StatusCode::FOUND => {
                        tabs[number].code = world.mail.code(mails + 1).await;
                        (wrong[number], resent[number]) = (0, resent[number] + 1);
                    }
                    Step::Resend => {
                        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
                    }
                    Step::TypeNoCode => assert_eq!(answer.status(), StatusCode::FORBIDDEN),
                    _ if is_right && wrong[number] < 3 => {
                        world.arrives(&mut browser, answer, &tabs[number]).await;
                        is_in = true;
                    }
                    _ => {
                        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{}", answer.text);
                        wrong[number] += 1;
                    }
                }
            }
            // Whoever has a code that was not used up by wrong ones needs no other mail.
            for number in [0, 1] {
                if !is_in && wrong[number] >= 3 {
                    continue;
                }
                let mails = world.mail.len();
                let answer =
                    take(Step::TypeCode, &mut browser, &tabs[number], &tabs[1 - number]).await;
                world.arrives(&mut browser, answer, &tabs[number]).await;
                assert_eq!(world.mail.len(), mails);
                is_in = true;
            }
        });
    }
}
