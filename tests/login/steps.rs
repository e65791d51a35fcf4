//! The login, step by step, through the layers.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::login::OneTimePin;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer};

use crate::support::{
    self, Browser, Form, Mailbox, Origin, absolute, another_code, ask_for_code, attribute, clock,
    query,
};

type Service = tower_access::layer::AccessService<Origin>;

struct World {
    access: Access,
    service: Service,
    origin: Origin,
    mail: Mailbox,
    clock: Arc<ManualClock>,
}

const WIKI: &str = "https://wiki.example.com";
const BOARD: &str = "https://board.example.com";
const TEAM: &str = "https://login.example.com";

fn world() -> World {
    world_with(Some("login.example.com"))
}

fn world_with(team: Option<&str>) -> World {
    let (mail, clock, origin) = (Mailbox::default(), clock(), Origin::default());
    let staff = || Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let no_interns =
        || Policy::deny("no interns").include(Rule::email("intern@example.com").unwrap());
    let mut builder = Access::builder()
        .application(
            Application::new("Wiki", "wiki.example.com")
                .unwrap()
                .policy(no_interns())
                .policy(staff()),
        )
        .application(Application::new("Board", "board.example.com").unwrap().policy(staff()))
        .application(
            Application::new("Vault", "vault.example.com")
                .unwrap()
                .policy(Policy::allow("chair").include(Rule::email("chair@example.com").unwrap())),
        )
        .mailer(mail.clone())
        .clock(Arc::clone(&clock));
    if let Some(team) = team {
        builder = builder.team_domain(team.parse().unwrap());
    }
    let access = builder.build().unwrap();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    World { access, service, origin, mail, clock }
}

impl World {
    fn browser(&self) -> Browser<Service> {
        Browser::new(self.service.clone())
    }

    /// From a protected page to the page that asks for the code.
    async fn ask_for_code(&self, browser: &mut Browser<Service>, url: &str, email: &str) -> Form {
        ask_for_code(browser, url, email).await
    }

    /// A whole login, up to the answer of the origin.
    async fn log_in(&self, browser: &mut Browser<Service>, url: &str, email: &str) -> String {
        support::log_in(browser, &self.mail, url, email).await
    }
}

#[tokio::test]
async fn a_person_logs_in_and_lands_on_the_page_first_asked_for() {
    let world = world();
    let mut browser = world.browser();
    let seen =
        world.log_in(&mut browser, &format!("{WIKI}/docs?q=a%20b&x=1"), "Ada@Example.com").await;
    assert_eq!(seen, "origin saw /docs?q=a%20b&x=1");
    let headers = world.origin.last().headers;
    assert_eq!(headers["cf-access-authenticated-user-email"], "ada@example.com");
    assert!(headers["cookie"].to_str().unwrap().starts_with("CF_Authorization="));
    // Once in, no more redirects.
    assert_eq!(browser.get(&format!("{WIKI}/other")).await.text, "origin saw /other");
}

#[tokio::test]
async fn the_chain_has_the_addresses_and_cookies_of_the_contract() {
    let world = world();
    let mut browser = world.browser();
    let refused = browser.get(&format!("{WIKI}/x?y")).await;
    assert_eq!(refused.status(), StatusCode::FOUND);
    assert!(
        refused.location().starts_with(&format!("{TEAM}/cdn-cgi/access/login/wiki.example.com?"))
    );
    assert_eq!(query(refused.location(), "redirect_url").as_deref(), Some("/x?y"));
    assert_eq!(query(refused.location(), "kid").unwrap().len(), 64);
    assert_eq!(refused.header("www-authenticate"), Some("Cloudflare-Access"));
    assert_eq!(refused.header("cf-access-domain"), Some("wiki.example.com"));
    let app_session = refused.set_cookie("CF_AppSession").unwrap();
    for part in ["HttpOnly", "SameSite=None", "Secure", "Path=/", "Expires="] {
        assert!(app_session.contains(part), "{app_session}");
    }
    let login = browser.get(refused.location()).await;
    assert_eq!(login.status(), StatusCode::OK);
    assert!(login.text.contains("Log in to Wiki"));
    assert_eq!(login.header("cf-access-domain"), Some("wiki.example.com"));
    assert!(login.set_cookie("CF_Session").unwrap().contains("Secure"));
    let form = Form::of(refused.location(), &login.text);
    assert!(
        form.action.starts_with(&format!("{TEAM}/cdn-cgi/access/verify-code/wiki.example.com?"))
    );
    for name in ["client_id", "connector_id", "connector_type", "redirect_url"] {
        assert!(form.hidden.iter().any(|(key, _)| key == name), "{name}");
    }
    let sent = form.submit(&mut browser, &[("email", "ada@example.com")]).await;
    assert!(query(sent.location(), "nonce").is_some());
    let code_url = absolute(TEAM, sent.location());
    let code_page = browser.get(&code_url).await;
    let form = Form::of(&code_url, &code_page.text);
    assert_eq!(form.action, format!("{TEAM}/cdn-cgi/access/callback"));
    let code = world.mail.code(1).await;
    let done = form.submit(&mut browser, &[("code", &code)]).await;
    assert!(done.location().starts_with(&format!("{WIKI}/cdn-cgi/access/authorized?nonce=")));
    assert!(query(done.location(), "state").is_some());
    let org = done.set_cookie("CF_Authorization").unwrap();
    assert!(org.contains("Path=/;") && org.contains("HttpOnly"), "{org}");
    assert!(done.set_cookie("CF_Device").unwrap().contains("SameSite=Strict"));
    let authorized = browser.get(done.location()).await;
    assert_eq!(authorized.status(), StatusCode::FOUND);
    assert_eq!(authorized.location(), format!("{WIKI}/x?y"));
    let app = authorized.set_cookie("CF_Authorization").unwrap();
    assert!(app.contains("Expires=") && app.contains("SameSite=None") && app.contains("HttpOnly"));
}

#[tokio::test]
async fn a_second_application_asks_nothing_and_a_foreign_one_says_no() {
    let world = world();
    let mut browser = world.browser();
    world.log_in(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let (_, page) = browser.visit(&format!("{BOARD}/minutes?year=2026")).await;
    assert_eq!(page.text, "origin saw /minutes?year=2026");
    assert_eq!(world.mail.len(), 1);
    let (url, page) = browser.visit("https://vault.example.com/").await;
    assert!(url.starts_with(TEAM));
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    assert!(page.text.contains("That account does not have access."), "{}", page.text);
    assert!(page.text.contains("ada@example.com"));
}

#[tokio::test]
async fn ses_08_ses_09_logging_out_ends_everything_everywhere() {
    let world = world();
    let mut browser = world.browser();
    world.log_in(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    browser.visit(&format!("{BOARD}/")).await;
    let stolen = browser.cookie("board.example.com", "CF_Authorization").unwrap();
    let team_token = browser.cookie("login.example.com", "CF_Authorization").unwrap();
    let out = browser.get(&format!("{WIKI}/cdn-cgi/access/logout")).await;
    assert_eq!(out.status(), StatusCode::OK);
    assert!(out.set_cookie("CF_Authorization").unwrap().contains("01 Jan 1970"));
    assert!(browser.cookie("wiki.example.com", "CF_Authorization").is_none());
    let before = world.origin.count();
    let (url, _) = browser.visit(&format!("{WIKI}/")).await;
    assert!(url.starts_with(&format!("{TEAM}/cdn-cgi/access/login/")), "{url}");
    let (url, _) = browser.visit(&format!("{BOARD}/")).await;
    assert!(url.starts_with(&format!("{TEAM}/cdn-cgi/access/login/")), "{url}");
    let mut thief = world.browser();
    thief.set_cookie("board.example.com", "CF_Authorization", &stolen);
    thief.set_cookie("login.example.com", "CF_Authorization", &team_token);
    let (url, _) = thief.visit(&format!("{BOARD}/")).await;
    assert!(url.starts_with(&format!("{TEAM}/cdn-cgi/access/login/")), "{url}");
    assert_eq!(world.origin.count(), before);
}

#[tokio::test]
async fn flow_09_another_site_cannot_log_a_person_out() {
    let world = world();
    let mut browser = world.browser();
    world.log_in(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let logout = format!("{WIKI}/cdn-cgi/access/logout");
    for header in [("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "image")] {
        browser.headers.push((header.0, header.1.to_owned()));
        let page = browser.get(&logout).await;
        assert!(page.text.contains("<form"), "{header:?}");
        browser.headers.pop();
        assert_eq!(browser.get(&format!("{WIKI}/")).await.status(), StatusCode::OK);
    }
    browser.headers.push(("sec-fetch-site", "cross-site".to_owned()));
    assert_eq!(browser.post(&logout, &[]).await.status(), StatusCode::FORBIDDEN);
    browser.headers.pop();
    assert_eq!(browser.get(&format!("{WIKI}/")).await.status(), StatusCode::OK);
    browser.headers.push(("sec-fetch-site", "same-origin".to_owned()));
    assert_eq!(browser.post(&logout, &[]).await.status(), StatusCode::OK);
    assert_eq!(browser.get(&format!("{WIKI}/")).await.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn otp_01_a_code_is_dead_after_three_wrong_attempts() {
    let world = world();
    let mut browser = world.browser();
    let form = world.ask_for_code(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let code = world.mail.code(1).await;
    let wrong = another_code(&code);
    for left in ["2 attempts", "1 attempt"] {
        let page = form.submit(&mut browser, &[("code", &wrong)]).await;
        assert_eq!(page.status(), StatusCode::FORBIDDEN);
        assert!(page.text.contains(left), "{}", page.text);
    }
    form.submit(&mut browser, &[("code", &wrong)]).await;
    let page = form.submit(&mut browser, &[("code", &code)]).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN, "the right code, too late");
    assert!(page.set_cookie("CF_Authorization").is_none());
}

#[tokio::test]
async fn otp_01_parallel_guesses_share_the_attempts() {
    let world = world();
    let mut browser = world.browser();
    let form =
        Arc::new(world.ask_for_code(&mut browser, &format!("{WIKI}/"), "ada@example.com").await);
    let code = world.mail.code(1).await;
    let session = browser.cookie("login.example.com", "CF_Session").unwrap();
    let guesses = (0..100).map(|n| {
        let (form, service, session) = (Arc::clone(&form), world.service.clone(), session.clone());
        let code = if n == 99 { code.clone() } else { another_code(&code) };
        async move {
            let mut browser = Browser::new(service);
            browser.set_cookie("login.example.com", "CF_Session", &session);
            form.submit(&mut browser, &[("code", &code)]).await.status()
        }
    });
    let statuses = futures_util::future::join_all(guesses).await;
    assert!(statuses.iter().all(|status| *status == StatusCode::FORBIDDEN));
}

#[tokio::test]
async fn otp_04_a_code_works_once() {
    let world = world();
    let mut browser = world.browser();
    let form = world.ask_for_code(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let code = world.mail.code(1).await;
    // The same browser, as if the first answer had not arrived.
    let mut without_session = browser.at(world.service.clone());
    assert_eq!(form.submit(&mut browser, &[("code", &code)]).await.status(), StatusCode::FOUND);
    let page = form.submit(&mut without_session, &[("code", &code)]).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    assert!(page.text.contains("already been used"), "{}", page.text);
}

#[tokio::test]
async fn otp_16_a_code_ends_after_five_minutes() {
    let world = world();
    let mut browser = world.browser();
    let form = world.ask_for_code(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let code = world.mail.code(1).await;
    world.clock.advance(Duration::from_secs(299));
    let wrong = form.submit(&mut browser, &[("code", &another_code(&code))]).await;
    assert!(wrong.text.contains("2 attempts"), "{}", wrong.text);
    world.clock.advance(Duration::from_secs(1));
    let page = form.submit(&mut browser, &[("code", &code)]).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    assert!(page.text.to_lowercase().contains("expired"), "{}", page.text);
}

#[tokio::test]
async fn otp_08_a_new_code_kills_the_earlier_one() {
    let world = world();
    let mut browser = world.browser();
    let form = world.ask_for_code(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let first = world.mail.code(1).await;
    let resend = format!("{TEAM}/cdn-cgi/access/resend-code?nonce={}", form.value("nonce"));
    assert_eq!(browser.get(&resend).await.status(), StatusCode::FOUND);
    let second = world.mail.code(2).await;
    if first != second {
        assert_eq!(
            form.submit(&mut browser, &[("code", &first)]).await.status(),
            StatusCode::FORBIDDEN
        );
    }
    assert_eq!(form.submit(&mut browser, &[("code", &second)]).await.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn otp_02_codes_are_sent_again_so_often_and_no_more() {
    let world = world();
    let mut browser = world.browser();
    let form = world.ask_for_code(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let resend = format!("{TEAM}/cdn-cgi/access/resend-code?nonce={}", form.value("nonce"));
    for _ in 0..2 {
        assert_eq!(browser.get(&resend).await.status(), StatusCode::FOUND);
    }
    let refused = browser.get(&resend).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.header("retry-after").is_some());
    // A login begun anew does not reset the browser.
    let (url, page) = browser.visit(&format!("{WIKI}/")).await;
    let again = Form::of(&url, &page.text);
    assert_eq!(
        again.submit(&mut browser, &[("email", "ada@example.com")]).await.status(),
        StatusCode::FOUND
    );
    let answer = again.submit(&mut browser, &[("email", "ada@example.com")]).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("retry-after"), Some("100"), "until the quarter of an hour is over");
    world.mail.code(4).await;
    // Nor does another browser reset the address: they share one mail in five minutes.
    for _ in 0..10 {
        let mut other = world.browser();
        world.ask_for_code(&mut other, &format!("{WIKI}/"), "ada@example.com").await;
    }
    world.mail.code(6).await;
    assert_eq!(world.mail.len(), 6, "five of their own, and one for all others");
}

#[tokio::test]
async fn otp_05_flow_05_a_code_is_bound_to_browser_address_and_login() {
    let world = world();
    let mut ada = world.browser();
    let form = world.ask_for_code(&mut ada, &format!("{WIKI}/"), "ada@example.com").await;
    let code = world.mail.code(1).await;
    // Another browser, without and with a login of its own.
    let mut other = world.browser();
    let page = form.submit(&mut other, &[("code", &code)]).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    assert!(page.text.contains("Invalid session"));
    let others = world.ask_for_code(&mut other, &format!("{WIKI}/"), "eve@example.com").await;
    world.mail.code(2).await;
    assert_eq!(form.submit(&mut other, &[("code", &code)]).await.status(), StatusCode::FORBIDDEN);
    let eves = world.mail.code(2).await;
    if eves != code {
        let page = others.submit(&mut other, &[("code", &code)]).await;
        assert_eq!(page.status(), StatusCode::FORBIDDEN);
    }
    // OTP-03: none of this has used up Ada's attempts.
    assert_eq!(form.submit(&mut ada, &[("code", &code)]).await.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn otp_06_the_address_is_fixed_when_the_login_begins() {
    let world = world();
    let mut browser = world.browser();
    let (url, page) = browser.visit(&format!("{WIKI}/")).await;
    let form = Form::of(&url, &page.text);
    let twice = [("email", "ada@example.com"), ("email", "eve@evil.example")];
    assert_eq!(form.submit(&mut browser, &twice).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(world.mail.len(), 0);
    let extra = [("email", "ada@example.com"), ("to", "eve@evil.example")];
    assert_eq!(form.submit(&mut browser, &extra).await.status(), StatusCode::FOUND);
    world.mail.code(1).await;
}

#[tokio::test]
async fn otp_09_no_answer_tells_who_may_log_in() {
    let world = world();
    let mut answers = Vec::new();
    for email in
        ["ada@example.com", "eve@evil.example", "intern@example.com", "no address", "a@b@c"]
    {
        let mut browser = world.browser();
        let (url, page) = browser.visit(&format!("{WIKI}/")).await;
        let sent = Form::of(&url, &page.text).submit(&mut browser, &[("email", email)]).await;
        let location = absolute(TEAM, sent.location());
        let nonce = query(&location, "nonce").unwrap();
        let blank = |text: &str| {
            let text = text.replace(&nonce, "N").replace(email, "E");
            // The signed part of the link that starts over belongs to the browser.
            let mut pieces = text.split("meta=");
            let first = pieces.next().unwrap().to_owned();
            pieces.fold(first, |text, piece| text + piece.split_once('&').unwrap().1)
        };
        let page = browser.get(&location).await;
        let wrong =
            Form::of(&location, &page.text).submit(&mut browser, &[("code", "000000")]).await;
        let headers = |answer: &support::Answer| {
            let mut names: Vec<_> = answer.parts.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        answers.push((
            (sent.status(), blank(&location), headers(&sent)),
            (page.status(), blank(&page.text), headers(&page)),
            (wrong.status(), blank(&wrong.text), headers(&wrong)),
        ));
    }
    world.mail.code(1).await;
    assert_eq!(world.mail.len(), 1, "mail for the one address that may log in");
    for answer in &answers[1..] {
        assert_eq!(answer, &answers[0]);
    }
}

#[tokio::test]
async fn otp_10_nothing_is_injected_through_an_address() {
    let world = world();
    for email in ["ada@example.com\r\nBcc: x@evil.example", "ada@example.com\n", "\0@example.com"] {
        let mut browser = world.browser();
        let (url, page) = browser.visit(&format!("{WIKI}/")).await;
        let answer = Form::of(&url, &page.text).submit(&mut browser, &[("email", email)]).await;
        assert!(
            answer.status().is_client_error() || email.trim() == "ada@example.com",
            "{email:?}"
        );
    }
    let mut browser = world.browser();
    let form =
        world.ask_for_code(&mut browser, &format!("{WIKI}/"), "\"><script>alert(1)</script>").await;
    let page = browser.get(&absolute(TEAM, &form.action)).await;
    assert!(!page.text.contains("<script>"));
}

#[tokio::test]
async fn flow_01_a_login_returns_to_its_application_only() {
    let world = world();
    for target in
        ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
    {
        let mut browser = world.browser();
        let start = browser.get(&format!("{WIKI}/")).await;
        let kid = query(start.location(), "kid").unwrap();
        let link = format!(
            "{TEAM}/cdn-cgi/access/login/wiki.example.com?kid={kid}&redirect_url={}",
            url::form_urlencoded::byte_serialize(target.as_bytes()).collect::<String>()
        );
        // A link that somebody else built, without `meta`, works and stays at home.
        let seen = world.log_in(&mut browser, &link, "ada@example.com").await;
        assert_eq!(seen, "origin saw /", "{target}");
    }
}

#[tokio::test]
async fn links_that_others_build_keep_their_page() {
    let world = world();
    let mut browser = world.browser();
    let start = world.browser().get(&format!("{WIKI}/")).await;
    let kid = query(start.location(), "kid").unwrap();
    let link = format!(
        "{TEAM}/cdn-cgi/access/login/wiki.example.com?kid={kid}&redirect_url=%2Fdocs%3Fa%3D1"
    );
    let seen = world.log_in(&mut browser, &link, "ada@example.com").await;
    assert_eq!(seen, "origin saw /docs?a=1");
    let head = browser.send("HEAD", &link, "").await;
    assert_eq!(head.header("cf-access-domain"), None, "a session is sent straight on");
    let head = world.browser().send("HEAD", &link, "").await;
    assert_eq!(head.header("cf-access-domain"), Some("wiki.example.com"));
}

#[tokio::test]
async fn unknown_applications_and_hosts_have_no_login() {
    let world = world();
    let kid = query(world.browser().get(&format!("{WIKI}/")).await.location(), "kid").unwrap();
    for url in [
        format!("{TEAM}/cdn-cgi/access/login"),
        format!("{TEAM}/cdn-cgi/access/login/evil.example"),
        format!("{TEAM}/cdn-cgi/access/login/evil.example?kid={kid}"),
        format!("{WIKI}/cdn-cgi/access/login/board.example.com?kid={kid}"),
        format!("{TEAM}/cdn-cgi/access/nothing"),
        "https://evil.example/cdn-cgi/access/certs".to_owned(),
    ] {
        assert_eq!(world.browser().get(&url).await.status(), StatusCode::NOT_FOUND, "{url}");
    }
}

#[tokio::test]
async fn flow_06_tabs_that_log_in_together_all_arrive() {
    let world = world();
    let mut browser = world.browser();
    let first = browser.get(&format!("{WIKI}/one")).await;
    let second = browser.get(&format!("{WIKI}/two")).await;
    assert_eq!(
        first.set_cookie("CF_AppSession").unwrap().split(';').next(),
        second.set_cookie("CF_AppSession").unwrap().split(';').next(),
        "tabs share the cookie"
    );
    let seen = world.log_in(&mut browser, second.location(), "ada@example.com").await;
    assert_eq!(seen, "origin saw /two");
    let (_, page) = browser.visit(first.location()).await;
    assert_eq!(page.text, "origin saw /one");
}

#[tokio::test]
async fn flow_05_a_grant_is_good_once_and_in_its_browser() {
    let world = world();
    let mut ada = world.browser();
    let form = world.ask_for_code(&mut ada, &format!("{WIKI}/x"), "ada@example.com").await;
    let code = world.mail.code(1).await;
    let done = form.submit(&mut ada, &[("code", &code)]).await;
    // Another browser is given the address: it gets no cookie, and Ada's grant is spent.
    let mut victim = world.browser();
    let answer = victim.get(done.location()).await;
    assert!(answer.set_cookie("CF_Authorization").is_none());
    // With a cookie of its own it is sent to log in itself.
    let mut victim = world.browser();
    victim.get(&format!("{WIKI}/")).await;
    let answer = victim.get(done.location()).await;
    assert!(answer.set_cookie("CF_Authorization").is_none());
    assert_eq!(answer.location(), format!("{WIKI}/x"));
    // Ada has a session and is let in all the same, without another question.
    let (_, page) = ada.visit(done.location()).await;
    assert_eq!(page.text, "origin saw /x");
}

#[tokio::test]
async fn ses_01_a_login_ends_the_session_before_it() {
    let world = world();
    let mut browser = world.browser();
    world.log_in(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let old = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
    // The same browser logs in as somebody else, through a login page opened before.
    let team = browser.cookie("login.example.com", "CF_Authorization").unwrap();
    browser.forget("login.example.com");
    browser.forget("wiki.example.com");
    let form = world.ask_for_code(&mut browser, &format!("{WIKI}/"), "bob@example.com").await;
    browser.set_cookie("login.example.com", "CF_Authorization", &team);
    let code = world.mail.code(2).await;
    assert_eq!(form.submit(&mut browser, &[("code", &code)]).await.status(), StatusCode::FOUND);
    let mut thief = world.browser();
    thief.set_cookie("wiki.example.com", "CF_Authorization", &old);
    assert_eq!(thief.get(&format!("{WIKI}/")).await.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn sessions_and_tokens_end_on_time() {
    let world = world();
    let mut browser = world.browser();
    world.log_in(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    world.clock.advance(Duration::from_secs(24 * 3600 - 1));
    assert_eq!(browser.get(&format!("{WIKI}/")).await.status(), StatusCode::OK);
    world.clock.advance(Duration::from_secs(1));
    let (url, _) = browser.visit(&format!("{WIKI}/")).await;
    assert!(url.starts_with(&format!("{TEAM}/cdn-cgi/access/login/")));
}

#[tokio::test]
async fn a_short_application_token_is_renewed_silently_while_the_session_lives() {
    let (mail, clock, origin) = (Mailbox::default(), clock(), Origin::default());
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .session_duration(Duration::from_secs(3600))
        .application(
            Application::new("Wiki", "wiki.example.com")
                .unwrap()
                .session_duration(Duration::ZERO)
                .policy(Policy::allow("all").include(Rule::everyone())),
        )
        .mailer(mail.clone())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    let world = World { access, service, origin, mail, clock };
    let mut browser = world.browser();
    world.log_in(&mut browser, &format!("{WIKI}/a"), "ada@example.com").await;
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(60));
        let refused = browser.get(&format!("{WIKI}/b")).await;
        assert_eq!(refused.status(), StatusCode::FOUND, "the token was for one page");
        let (_, page) = browser.visit(refused.location()).await;
        assert_eq!(page.text, "origin saw /b");
    }
    world.clock.advance(Duration::from_secs(3600));
    let (url, _) = browser.visit(&format!("{WIKI}/b")).await;
    assert!(url.starts_with(TEAM));
}

#[tokio::test]
async fn ses_10_a_revoked_person_cannot_pick_up_a_grant() {
    let world = world();
    let mut browser = world.browser();
    let form = world.ask_for_code(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let code = world.mail.code(1).await;
    let done = form.submit(&mut browser, &[("code", &code)]).await;
    world.access.revoke_user(&"ada@example.com".parse().unwrap()).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    let answer = browser.get(done.location()).await;
    assert!(answer.set_cookie("CF_Authorization").is_none());
    let (url, _) = browser.visit(&format!("{WIKI}/")).await;
    assert!(url.starts_with(TEAM), "{url}");
}

#[tokio::test]
async fn ses_02_cookies_planted_by_a_sibling_host_do_not_lock_out() {
    let world = world();
    let mut browser = world.browser();
    let form = world.ask_for_code(&mut browser, &format!("{WIKI}/x"), "ada@example.com").await;
    let code = world.mail.code(1).await;
    // More specific paths are sent first, and only to the login's own endpoints.
    let planted = "0123456789abcdef0123456789abcdef";
    browser.plant("login.example.com", "CF_Session", planted);
    browser.plant("wiki.example.com", "CF_AppSession", planted);
    browser.plant("wiki.example.com", "odd", "J\u{fc}rgen");
    let done = form.submit(&mut browser, &[("code", &code)]).await;
    assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
    let (_, page) = browser.visit(done.location()).await;
    assert_eq!(page.text, "origin saw /x");
}

#[tokio::test]
async fn otp_02_otp_23_wrong_codes_of_a_network_make_its_codes_longer_and_refuse_nobody() {
    let world = world();
    let mut longest = 0;
    // No address is known here: all are one network, which has a hundred wrong codes.
    for person in 0..40 {
        let mut browser = world.browser();
        let email = format!("person{person}@example.com");
        let form = world.ask_for_code(&mut browser, &format!("{WIKI}/"), &email).await;
        let code = world.mail.code(person + 1).await;
        assert!(code.len() >= longest);
        longest = code.len();
        for _ in 0..3 {
            let page = form.submit(&mut browser, &[("code", &another_code(&code))]).await;
            assert_eq!(page.status(), StatusCode::FORBIDDEN);
        }
    }
    assert_eq!(longest, 8);
    // What is no code at all is no guess.
    let mut browser = world.browser();
    let form = world.ask_for_code(&mut browser, &format!("{WIKI}/"), "nobody@evil.example").await;
    for _ in 0..200 {
        let page = form.submit(&mut browser, &[("code", "0")]).await;
        assert_eq!(page.status(), StatusCode::FORBIDDEN);
        assert!(page.text.contains("2 attempts left"), "{}", page.text);
    }
    let page = world.log_in(&mut world.browser(), &format!("{WIKI}/x"), "ada@example.com").await;
    assert_eq!(page, "origin saw /x");
}

#[tokio::test]
async fn ses_10_revoking_a_person_ends_their_sessions_at_once() {
    let world = world();
    let (mut ada, mut bob) = (world.browser(), world.browser());
    world.log_in(&mut ada, &format!("{WIKI}/"), "ada@example.com").await;
    world.log_in(&mut bob, &format!("{WIKI}/"), "bob@example.com").await;
    let revoke = async || world.access.revoke_user(&"ada@example.com".parse().unwrap()).await;
    // As many sessions as there were; the second time none is there any more.
    assert_eq!(revoke().await.unwrap(), 1);
    assert_eq!(revoke().await.unwrap(), 0);
    assert_eq!(world.access.revoke_user(&"nobody@example.com".parse().unwrap()).await.unwrap(), 0);
    let (url, _) = ada.visit(&format!("{WIKI}/")).await;
    assert!(url.starts_with(TEAM), "{url}");
    assert_eq!(bob.get(&format!("{WIKI}/")).await.status(), StatusCode::OK);
    world.clock.advance(Duration::from_secs(1));
    ada.forget("login.example.com");
    world.log_in(&mut ada, &format!("{WIKI}/"), "ada@example.com").await;
}

#[tokio::test]
async fn each_host_runs_its_own_login_without_a_team_domain() {
    let world = world_with(None);
    let mut browser = world.browser();
    let seen = world.log_in(&mut browser, &format!("{WIKI}/docs"), "ada@example.com").await;
    assert_eq!(seen, "origin saw /docs");
    let cookies = world.origin.last().headers["cookie"].to_str().unwrap().to_owned();
    assert_eq!(cookies.matches("CF_Authorization").count(), 1, "the session stays with the login");
    // The application token ends before the session does: no question is asked.
    let (url, page) = browser.visit(&format!("{WIKI}/more")).await;
    assert_eq!(
        (url.as_str(), page.text.as_str()),
        ("https://wiki.example.com/more", "origin saw /more")
    );
    // SES-07: nothing of one host is good on another.
    let token = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
    let mut thief = world.browser();
    thief.set_cookie("board.example.com", "CF_Authorization", &token);
    assert_eq!(thief.get(&format!("{BOARD}/")).await.status(), StatusCode::FOUND);
    let (url, _) = browser.visit(&format!("{BOARD}/")).await;
    assert!(url.starts_with(&format!("{BOARD}/cdn-cgi/access/login/board.example.com")));
    browser.get(&format!("{WIKI}/cdn-cgi/access/logout")).await;
    let (url, _) = browser.visit(&format!("{WIKI}/")).await;
    assert!(url.starts_with(&format!("{WIKI}/cdn-cgi/access/login/")));
}

#[tokio::test]
async fn the_identity_is_shown_to_its_bearer() {
    let world = world();
    let mut browser = world.browser();
    world.log_in(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let token = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
    let here = browser.get(&format!("{WIKI}/cdn-cgi/access/get-identity")).await;
    let mut origin = world.browser();
    origin.set_cookie("login.example.com", "CF_Authorization", &token);
    let there = origin.get(&format!("{TEAM}/cdn-cgi/access/get-identity")).await;
    assert_eq!(here.text, there.text);
    let identity: Value = serde_json::from_str(&here.text).unwrap();
    assert_eq!(identity["email"], "ada@example.com");
    assert_eq!(identity["idp"]["type"], "onetimepin");
    assert_eq!(identity["groups"], serde_json::json!([]));
    assert!(identity["name"].is_string() && identity["id"].is_string());
    let nobody = world.browser().get(&format!("{WIKI}/cdn-cgi/access/get-identity")).await;
    assert_eq!(
        (nobody.status().as_u16(), nobody.text.as_str()),
        (400, r#"{"err":"no app token set"}"#)
    );
    let mut other = world.browser();
    other.set_cookie("board.example.com", "CF_Authorization", &token);
    let foreign = other.get(&format!("{BOARD}/cdn-cgi/access/get-identity")).await;
    assert_eq!(foreign.status(), StatusCode::UNAUTHORIZED);
    world.access.revoke_user(&"ada@example.com".parse().unwrap()).await.unwrap();
    let revoked = browser.get(&format!("{WIKI}/cdn-cgi/access/get-identity")).await;
    assert_eq!(revoked.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_published_keys_verify_what_was_issued() {
    let world = world();
    let mut browser = world.browser();
    world.log_in(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let token = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
    for host in [TEAM, WIKI] {
        let certs = world.browser().get(&format!("{host}/cdn-cgi/access/certs")).await;
        assert_eq!(certs.header("content-type"), Some("application/json"));
        let document: Value = serde_json::from_str(&certs.text).unwrap();
        let key = &document["keys"][0];
        for field in ["kid", "kty", "alg", "use", "e", "n"] {
            assert!(key[field].is_string(), "{field}");
        }
        assert_eq!(document["public_cert"]["kid"], key["kid"]);
        assert_eq!(document["public_certs"][0]["cert"], document["public_cert"]["cert"]);
        assert!(
            document["public_cert"]["cert"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE")
        );
        // A library that knows nothing of us.
        let key = jsonwebtoken::DecodingKey::from_rsa_components(
            key["n"].as_str().unwrap(),
            key["e"].as_str().unwrap(),
        )
        .unwrap();
        let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_issuer(&[TEAM]);
        let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap().claims;
        assert_eq!(claims["type"], "app");
        assert_eq!(claims["email"], "ada@example.com");
        assert!(claims["aud"].is_array());
        assert!(claims["iat"].is_u64() && claims["exp"].is_u64() && claims["nbf"].is_u64());
        assert_eq!(claims["country"], "XX");
        assert_eq!(claims["identity_nonce"].as_str().unwrap().len(), 16);
    }
}

#[tokio::test]
async fn a_command_line_client_exchanges_its_team_token_by_head() {
    let world = world();
    let mut browser = world.browser();
    world.log_in(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let team_token = browser.cookie("login.example.com", "CF_Authorization").unwrap();
    let mut client = world.browser();
    let first = client.send("HEAD", &format!("{BOARD}/x"), "").await;
    assert_eq!(first.status(), StatusCode::FOUND);
    client.set_cookie("login.example.com", "CF_Authorization", &team_token);
    let second = client.send("HEAD", first.location(), "").await;
    assert_eq!(second.status(), StatusCode::FOUND);
    let third = client.send("HEAD", second.location(), "").await;
    assert_eq!(third.status(), StatusCode::FOUND);
    assert!(third.set_cookie("CF_Authorization").unwrap().contains("Expires="));
}

#[tokio::test]
async fn flow_15_every_endpoint_has_an_answer_for_every_request() {
    let world = world();
    let kid = query(world.browser().get(&format!("{WIKI}/")).await.location(), "kid").unwrap();
    let before = world.origin.count();
    for host in [TEAM, WIKI] {
        for path in [
            "certs",
            "get-identity",
            "logout",
            "authorized",
            "authorized?nonce=x&nonce=y",
            "login/wiki.example.com",
            "verify-code/wiki.example.com",
            "resend-code",
            "callback",
            "",
            "resend-code?nonce=1",
            "emailed-code",
            "emailed-code?nonce=1",
            "emailed-code/wiki.example.com",
            "../access/certs",
            "verify-code",
            "login",
            "login/",
            "login//x",
        ] {
            for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
                for body in ["", "nonce=1&code=2", "email=a%40b.example", "\u{1}%%%"] {
                    let separator = if path.contains('?') { '&' } else { '?' };
                    let url = format!("{host}/cdn-cgi/access/{path}{separator}kid={kid}");
                    let answer = world.browser().send(method, &url, body).await;
                    assert!(
                        !answer.status().is_server_error(),
                        "{method} {url}: {}",
                        answer.status()
                    );
                    assert!(
                        answer
                            .set_cookie("CF_Authorization")
                            .is_none_or(|line| line.contains("1970"))
                    );
                }
            }
        }
    }
    assert_eq!(world.origin.count(), before, "nothing below the prefix reaches the origin");
    assert_eq!(world.mail.len(), 0);
}

#[tokio::test]
async fn forms_of_other_sites_and_large_forms_are_refused() {
    let world = world();
    let mut browser = world.browser();
    let (url, page) = browser.visit(&format!("{WIKI}/")).await;
    let form = Form::of(&url, &page.text);
    browser.headers.push(("sec-fetch-site", "cross-site".to_owned()));
    assert_eq!(
        form.submit(&mut browser, &[("email", "ada@example.com")]).await.status(),
        StatusCode::FORBIDDEN
    );
    browser.headers.pop();
    browser.headers.push(("origin", "https://evil.example".to_owned()));
    assert_eq!(
        form.submit(&mut browser, &[("email", "ada@example.com")]).await.status(),
        StatusCode::FORBIDDEN
    );
    browser.headers.pop();
    let large = "a".repeat(20_000);
    assert_eq!(
        form.submit(&mut browser, &[("email", &large)]).await.status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    assert_eq!(world.mail.len(), 0);
}

#[tokio::test]
async fn host_10_forged_forwarding_headers_lead_nowhere() {
    let world = world();
    let mut browser = world.browser();
    for name in ["x-forwarded-host", "x-forwarded-server", "x-original-host"] {
        browser.headers.push((name, "evil.example".to_owned()));
    }
    browser.headers.push(("x-forwarded-proto", "http".to_owned()));
    let refused = browser.get(&format!("{WIKI}/")).await;
    assert!(refused.location().starts_with(&format!("{TEAM}/")));
    assert!(refused.set_cookie("CF_AppSession").unwrap().contains("Secure"));
    let page = browser.get(refused.location()).await;
    assert!(!page.text.contains("evil.example"));
}

#[tokio::test]
async fn flow_14_pages_come_with_headers_that_lock_them_down() {
    let world = world();
    let (_, page) = world.browser().visit(&format!("{WIKI}/")).await;
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "sha256-"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert!(page.header("cache-control").unwrap().contains("no-store"));
}

#[tokio::test]
async fn tokens_that_end_at_once_still_have_a_session_behind_them() {
    let (mail, clock, origin) = (Mailbox::default(), clock(), Origin::default());
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(
            Application::new("Wiki", "wiki.example.com")
                .unwrap()
                .session_duration(Duration::ZERO)
                .policy(Policy::allow("all").include(Rule::everyone())),
        )
        .mailer(mail.clone())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    let world = World { access, service, origin, mail, clock };
    let mut browser = world.browser();
    assert_eq!(
        world.log_in(&mut browser, &format!("{WIKI}/a"), "ada@example.com").await,
        "origin saw /a"
    );
}

#[tokio::test]
async fn ses_16_a_store_that_is_full_answers_503_and_opens_nothing() {
    let (mail, clock) = (Mailbox::default(), clock());
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(
            Application::new("Wiki", "wiki.example.com")
                .unwrap()
                .policy(Policy::allow("all").include(Rule::everyone())),
        )
        .one_time_pin(OneTimePin::new().attempts(3))
        .store(tower_access::store::MemoryStore::new(Arc::clone(&clock), 0))
        .mailer(mail.clone())
        .clock(clock)
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let mut browser: Browser<Service> = Browser::new(service);
    let (url, page) = browser.visit(&format!("{WIKI}/")).await;
    let form = Form::of(&url, &page.text);
    let answer = form.submit(&mut browser, &[("email", "ada@example.com")]).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(mail.len(), 0);
}

#[tokio::test]
async fn no_page_is_a_dead_end() {
    let world = world();
    let mut browser = world.browser();
    // The browser has lost its cookies: the code page leads back to the start.
    let (url, page) = browser.visit(&format!("{WIKI}/docs")).await;
    let sent =
        Form::of(&url, &page.text).submit(&mut browser, &[("email", "ada@example.com")]).await;
    let code_page = absolute(TEAM, sent.location());
    let page = world.browser().get(&code_page).await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN);
    let start = attribute(page.text.split("<a class=\"button").nth(1).unwrap(), "href").unwrap();
    assert_eq!(query(&start, "redirect_url").as_deref(), Some("/docs"));
    assert_eq!(world.browser().get(&absolute(TEAM, &start)).await.status(), StatusCode::OK);

    // Logged in, not allowed, logged out: the way back to the application is offered.
    world.log_in(&mut browser, &format!("{WIKI}/"), "ada@example.com").await;
    let (url, denied) = browser.visit("https://vault.example.com/").await;
    let links: Vec<_> =
        denied.text.split("<a ").skip(1).filter_map(|link| attribute(link, "href")).collect();
    let log_out = links.iter().find(|link| link.contains("/logout")).unwrap();
    let out = browser.get(&absolute(&url, log_out)).await;
    assert!(out.text.contains("href=\"https://vault.example.com/\""), "{}", out.text);

    // Only to an application of ours.
    for foreign in [
        "https://evil.example/",
        "//evil.example",
        "javascript:alert(1)",
        "https://wiki.example.com@evil.example/",
    ] {
        let link: String = url::form_urlencoded::byte_serialize(foreign.as_bytes()).collect();
        let out = browser.get(&format!("{TEAM}/cdn-cgi/access/logout?returnTo={link}")).await;
        assert!(!out.text.contains("evil"), "{foreign}");
    }
}

#[tokio::test]
async fn a_network_that_is_let_in_gives_nobody_a_token() {
    let (mail, clock, origin) = (Mailbox::default(), clock(), Origin::default());
    let peer = Arc::new(std::sync::Mutex::new(std::net::IpAddr::from([203, 0, 113, 9])));
    let source = Arc::clone(&peer);
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(
            Application::new("Wiki", "wiki.example.com")
                .unwrap()
                .policy(Policy::allow("all").include(Rule::everyone())),
        )
        .application(
            Application::new("Office", "office.example.com")
                .unwrap()
                .policy(Policy::bypass("desk").include(Rule::ip("192.0.2.0/24").unwrap()))
                .policy(Policy::allow("chair").include(Rule::email("chair@example.com").unwrap())),
        )
        .peer_address(move |_| Some(*source.lock().unwrap()))
        .mailer(mail.clone())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    let world = World { access, service, origin, mail, clock };
    let mut browser = world.browser();
    world.log_in(&mut browser, &format!("{WIKI}/"), "eve@evil.example").await;
    // Refused outside, and at the desk before the login is through: the office opens to the network,
    // and no token comes of it that would open it elsewhere.
    let refused = browser.get("https://office.example.com/x").await;
    assert_eq!(refused.status(), StatusCode::FOUND);
    *peer.lock().unwrap() = [192, 0, 2, 7].into();
    let (url, page) = browser.visit(refused.location()).await;
    assert_eq!(
        (url.as_str(), page.text.as_str()),
        ("https://office.example.com/x", "origin saw /x")
    );
    assert!(browser.cookie("office.example.com", "CF_Authorization").is_none());
    assert!(!world.origin.last().headers.contains_key("cf-access-jwt-assertion"));
}
