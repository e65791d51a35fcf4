//! Strangers who guess codes and ask for mail, and the people they do not lock out.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_access::address::PeerAddress;
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer};

use crate::support::{
    Answer, Browser, Form, Mailbox, Origin, absolute, another_code, clock, query,
};

type Inner = tower_access::layer::AccessService<Origin>;

/// The service as a client at this address reaches it.
#[derive(Clone)]
struct FromAddress(Inner, IpAddr);

impl Service<Request<Full<Bytes>>> for FromAddress {
    type Response = Response<tower_access::layer::AccessBody<Full<Bytes>>>;
    type Error = Infallible;
    type Future = <Inner as Service<Request<Full<Bytes>>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Full<Bytes>>>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        request.extensions_mut().insert(PeerAddress(self.1));
        self.0.call(request)
    }
}

struct World {
    service: Inner,
    mail: Mailbox,
    clock: Arc<ManualClock>,
}

const WIKI: &str = "https://wiki.example.com";
const TEAM: &str = "https://login.example.com";
const ADA: &str = "ada@example.com";
const MINUTE: Duration = Duration::from_secs(60);

fn world() -> World {
    let (mail, clock) = (Mailbox::default(), clock());
    let staff = || Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(Application::new("Wiki", "wiki.example.com").unwrap().policy(staff()))
        .application(Application::new("Board", "board.example.com").unwrap().policy(staff()))
        .application(
            Application::new("Vault", "vault.example.com")
                .unwrap()
                .policy(Policy::allow("one").include(Rule::email("grace@example.com").unwrap())),
        )
        .mailer(mail.clone())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    World { service: AccessLayer::new(access).layer(Origin::default()), mail, clock }
}

/// A network of its own for each number.
fn network(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(number.wrapping_mul(2_654_435_761)))
}

impl World {
    fn browser_at(&self, address: IpAddr) -> Browser<FromAddress> {
        Browser::new(FromAddress(self.service.clone(), address))
    }

    /// From a protected page to the one that asks for the code; that page, and its form.
    async fn ask(&self, browser: &mut Browser<FromAddress>, email: &str) -> (Answer, Form) {
        self.ask_for(WIKI, browser, email).await
    }

    async fn ask_for(
        &self,
        application: &str,
        browser: &mut Browser<FromAddress>,
        email: &str,
    ) -> (Answer, Form) {
        let (url, page) = browser.visit(&format!("{application}/x")).await;
        let sent = Form::of(&url, &page.text).submit(browser, &[("email", email)]).await;
        assert_eq!(sent.status(), StatusCode::FOUND, "{}", sent.text);
        let url = absolute(TEAM, sent.location());
        let page = browser.get(&url).await;
        let form = Form::of(&url, &page.text);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        (page, form)
    }

    async fn newest_code(&self) -> String {
        self.mail.code(self.mail.len()).await
    }

    async fn enters(&self, browser: &mut Browser<FromAddress>, form: &Form, code: &str) {
        let done = form.submit(browser, &[("code", code)]).await;
        assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
        let (_, page) = browser.visit(done.location()).await;
        assert_eq!(page.text, "origin saw /x");
    }

    async fn logs_in(&self, browser: &mut Browser<FromAddress>, email: &str) -> String {
        let before = self.mail.len();
        let (_, form) = self.ask(browser, email).await;
        let code = self.mail.code(before + 1).await;
        self.enters(browser, &form, &code).await;
        code
    }

    /// Ten wrong codes of each of these networks. The logins were all begun before, while all was calm.
    async fn guess(&self, networks: std::ops::Range<u32>) {
        let mut logins = Vec::new();
        for number in networks {
            for login in 0..4 {
                let mut browser = self.browser_at(network(number));
                let email = format!("nobody{number}-{login}@evil.example");
                let (_, form) = self.ask(&mut browser, &email).await;
                logins.push((browser, form, if login < 3 { 3 } else { 1 }));
            }
        }
        for (mut browser, form, guesses) in logins {
            for _ in 0..guesses {
                let page = form.submit(&mut browser, &[("code", "111111")]).await;
                assert_eq!(page.status(), StatusCode::FORBIDDEN, "{}", page.text);
            }
        }
    }
}

/// What an answer says, without what is drawn for each login.
fn blank(answer: &Answer, email: &str, nonce: &str) -> String {
    let text = answer.text.replace(nonce, "N").replace(email, "E");
    let mut pieces = text.split("meta=");
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('&').unwrap().1)
}

/// OTP-21
#[tokio::test]
async fn otp_21_after_600_wrong_codes_of_61_networks_a_new_person_logs_in() {
    let world = world();
    let mut early = world.browser_at("192.0.2.9".parse().unwrap());
    let (_, form) = world.ask(&mut early, "early@example.com").await;
    let early_code = world.newest_code().await;
    assert_eq!(early_code.len(), 6);
    world.guess(1..62).await;
    let mut browser = world.browser_at("192.0.2.7".parse().unwrap());
    let code = world.logs_in(&mut browser, ADA).await;
    assert!((7..=9).contains(&code.len()), "{code}");
    // A code of before is too short by now: another one comes, and gets in.
    world.clock.advance(Duration::from_secs(10));
    let mails = world.mail.len();
    let page = form.submit(&mut early, &[("code", &early_code)]).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    assert!(page.text.contains("A longer code was sent"), "{}", page.text);
    let code = world.mail.code(mails + 1).await;
    assert!(page.text.contains(&format!("({} digits)", code.len())), "{}", page.text);
    let form = Form::of(TEAM, &page.text);
    let wrong = form.submit(&mut early, &[("code", &another_code(&code))]).await;
    assert!(wrong.text.contains("1 attempt left"), "two attempts: {}", wrong.text);
    world.enters(&mut early, &form, &code).await;
    // A day later all is calm.
    world.clock.advance(36 * 60 * MINUTE);
    let mut later = world.browser_at("192.0.2.8".parse().unwrap());
    assert_eq!(world.logs_in(&mut later, "bob@example.com").await.len(), 6);
}

/// OTP-21: to who may not log in the same is said.
#[tokio::test]
async fn otp_21_a_longer_code_is_promised_to_everybody() {
    let world = world();
    let mut pages = Vec::new();
    let mut logins = Vec::new();
    for email in ["ada@example.com", "eve@nowhere.exa"] {
        let mut browser = world.browser_at("192.0.2.7".parse().unwrap());
        let (_, form) = world.ask(&mut browser, email).await;
        logins.push((email, browser, form));
    }
    world.guess(1..62).await;
    for (email, mut browser, form) in logins {
        let page = form.submit(&mut browser, &[("code", "123456")]).await;
        let nonce = Form::of(TEAM, &page.text).value("nonce").to_owned();
        pages.push((page.status(), nonce.len(), blank(&page, email, &nonce)));
    }
    assert!(pages[0].2.contains("A longer code was sent"));
    assert_eq!(pages[0], pages[1]);
}

/// OTP-21: a browser that was there before is spared.
#[tokio::test]
async fn otp_21_a_browser_that_has_logged_in_keeps_its_six_digits() {
    let world = world();
    let mut browser = world.browser_at("192.0.2.7".parse().unwrap());
    world.logs_in(&mut browser, ADA).await;
    world.guess(1..62).await;
    browser.forget("wiki.example.com");
    browser.get(&format!("{TEAM}/cdn-cgi/access/logout")).await;
    let mut again = browser.at(FromAddress(world.service.clone(), "198.51.100.1".parse().unwrap()));
    again.post(&format!("{TEAM}/cdn-cgi/access/logout"), &[]).await;
    assert_eq!(world.logs_in(&mut again, ADA).await.len(), 6);
}

/// OTP-22
#[tokio::test]
async fn otp_22_strangers_who_ask_for_mail_keep_nobody_waiting() {
    let world = world();
    let home: IpAddr = "192.0.2.7".parse().unwrap();
    let mut known = world.browser_at(home);
    world.logs_in(&mut known, ADA).await;
    known.post(&format!("{TEAM}/cdn-cgi/access/logout"), &[]).await;
    world.clock.advance(60 * MINUTE - Duration::from_secs(1_790_000_000 % 3_600));
    let mut by_hour = Vec::new();
    for minute in 0..180_u32 {
        if minute % 60 == 0 {
            by_hour.push(world.mail.len());
        }
        for n in 0..2 {
            let mut stranger = world.browser_at(network(1_000 + 2 * minute + n));
            world.ask(&mut stranger, ADA).await;
        }
        world.clock.advance(MINUTE);
    }
    by_hour.push(world.mail.len());
    for hour in by_hour.windows(2) {
        let mails = hour[1] - hour[0];
        assert!((20..=22).contains(&mails), "{by_hour:?}");
    }
    // Somebody asks now, and again later in the same five minutes.
    let mut stranger = world.browser_at(network(7));
    for n in 20..40 {
        world.ask(&mut world.browser_at(network(n)), ADA).await;
    }
    let (page, strangers_form) = world.ask(&mut stranger, ADA).await;
    assert!(page.text.contains("Use the newest email"), "{}", page.text);
    world.clock.advance(Duration::from_secs(60));
    let mails = world.mail.len();
    // Elsewhere, in a new browser: the newest mail counts, which is there already.
    let mut elsewhere = world.browser_at("203.0.113.9".parse().unwrap());
    let (page, form) = world.ask(&mut elsewhere, ADA).await;
    assert_eq!(world.mail.len(), mails, "no mail more");
    let shared = world.newest_code().await;
    assert_eq!(shared.len(), 10);
    assert!(page.text.contains("(10 digits)"), "{}", page.text);
    world.enters(&mut elsewhere, &form, &shared).await;
    // It is dead for all others.
    let late = strangers_form.submit(&mut stranger, &[("code", &shared)]).await;
    assert_eq!(late.status(), StatusCode::FORBIDDEN, "{}", late.text);
    // Whoever asks after that gets another one, at once.
    let mut other = world.browser_at("203.0.113.10".parse().unwrap());
    let next = world.logs_in(&mut other, ADA).await;
    assert_ne!(next, shared);
    // In the network of the person: a mail of its own, and not a word about it.
    let before = world.mail.len();
    let mut at_home = world.browser_at(home);
    let (page, form) = world.ask(&mut at_home, ADA).await;
    let code = world.mail.code(before + 1).await;
    assert!(page.text.contains("Use the newest email"));
    world.enters(&mut at_home, &form, &code).await;
    // The browser of the person: as if nothing were.
    let before = world.mail.len();
    let (page, form) = world.ask(&mut known, ADA).await;
    assert!(page.text.contains("(6 digits)"), "{}", page.text);
    let code = world.mail.code(before + 1).await;
    world.enters(&mut known, &form, &code).await;
}

/// OTP-22: nor do those who ask for an application that does not let the address in.
#[tokio::test]
async fn otp_22_a_login_that_mails_nothing_uses_up_no_mail() {
    let world = world();
    for window in 0..6 {
        for n in 0..20 {
            let mut stranger = world.browser_at(network(100 * window + n));
            world.ask_for("https://vault.example.com", &mut stranger, ADA).await;
        }
        let mut browser = world.browser_at("203.0.113.9".parse().unwrap());
        let code = world.logs_in(&mut browser, ADA).await;
        assert_eq!(code.len(), 10, "a shared one");
        world.clock.advance(5 * MINUTE);
    }
}

/// OTP-22, OTP-09: no answer tells a network of the person, nor who may log in.
#[tokio::test]
async fn otp_22_answers_are_the_same_for_known_and_unknown_networks_and_addresses() {
    let world = world();
    let home: IpAddr = "192.0.2.7".parse().unwrap();
    world.logs_in(&mut world.browser_at(home), ADA).await;
    world.clock.advance(60 * MINUTE);
    for email in [ADA, "eve@nowhere.exa"] {
        for n in 0..30 {
            world.ask(&mut world.browser_at(network(n)), email).await;
        }
    }
    let mut answers = Vec::new();
    for (address, email) in [
        (home, ADA),
        ("203.0.113.9".parse().unwrap(), ADA),
        ("203.0.113.8".parse().unwrap(), "eve@nowhere.exa"),
    ] {
        let mut browser = world.browser_at(address);
        let (page, form) = world.ask(&mut browser, email).await;
        let nonce = form.value("nonce");
        let wrong = form.submit(&mut browser, &[("code", "0000000000")]).await;
        let resend = format!("{TEAM}/cdn-cgi/access/resend-code?nonce={nonce}");
        let again = browser.get(&resend).await;
        let again_nonce = query(again.location(), "nonce").unwrap();
        answers.push((
            (page.status(), blank(&page, email, nonce)),
            (wrong.status(), blank(&wrong, email, nonce)),
            (again.status(), again.location().replace(&again_nonce, "N")),
            (nonce.len(), again_nonce.len()),
        ));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

/// OTP-23: behind a proxy that is not trusted all have one address.
#[tokio::test]
async fn otp_23_wrong_codes_and_floods_of_one_close_the_login_to_none_behind_the_same_proxy() {
    let world = world();
    let proxy: IpAddr = "10.0.0.1".parse().unwrap();
    for _ in 0..4 {
        let mut guesser = world.browser_at(proxy);
        let (_, form) = world.ask(&mut guesser, "mallory@example.com").await;
        for _ in 0..3 {
            form.submit(&mut guesser, &[("code", "111111")]).await;
        }
    }
    let code = world.logs_in(&mut world.browser_at(proxy), ADA).await;
    assert_eq!(code.len(), 8, "longer, and not refused");
    for n in 0..60 {
        let email = format!("nobody{n}@evil.example");
        world.ask(&mut world.browser_at(proxy), &email).await;
    }
    for n in 0..20 {
        let code = world.logs_in(&mut world.browser_at(proxy), &format!("p{n}@example.com")).await;
        assert_eq!(code.len(), 10, "a shared one, of each address");
    }
    // A stranger behind the same proxy uses up an address's mails.
    for _ in 0..20 {
        world.ask(&mut world.browser_at(proxy), "bob@example.com").await;
    }
    let mut bob = world.browser_at(proxy);
    let (_, form) = world.ask(&mut bob, "bob@example.com").await;
    let code = world.newest_code().await;
    world.enters(&mut bob, &form, &code).await;
}
