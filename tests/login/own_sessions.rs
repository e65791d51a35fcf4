//! The page where a person sees from where they are logged in.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer};

use crate::support::{self, Browser, Form, Mailbox, Origin, clock};

type Service = tower_access::layer::AccessService<Origin>;

const WIKI: &str = "https://wiki.example.com";
const TEAM: &str = "https://login.example.com";
const PAGE: &str = "https://login.example.com/cdn-cgi/access/sessions";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0";

struct World {
    access: Access,
    service: Service,
    mail: Mailbox,
    clock: Arc<ManualClock>,
}

fn world() -> World {
    let (mail, clock) = (Mailbox::default(), clock());
    let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(Application::new("Wiki", "wiki.example.com").unwrap().policy(staff))
        .peer_address(|_| Some([203, 0, 113, 9].into()))
        .mailer(mail.clone())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let service = AccessLayer::new(access.clone()).layer(Origin::default());
    World { access, service, mail, clock }
}

impl World {
    async fn logged_in(&self, email: &str, says: &str) -> Browser<Service> {
        let mut browser = Browser::new(self.service.clone());
        browser.headers.push(("user-agent", says.to_owned()));
        support::log_in(&mut browser, &self.mail, &format!("{WIKI}/"), email).await;
        self.clock.advance(Duration::from_secs(60));
        browser
    }
}

async fn is_in(browser: &mut Browser<Service>) -> bool {
    browser.get(&format!("{WIKI}/")).await.status() == StatusCode::OK
}

#[tokio::test]
async fn a_person_sees_their_sessions_and_nobody_elses() {
    let world = world();
    let mut first = world.logged_in("ada@example.com", FIREFOX).await;
    world.logged_in("ada@example.com", "curl/8.5.0").await;
    world.logged_in("eve@example.com", "Opera of Eve").await;
    let page = first.get(PAGE).await;
    assert_eq!(page.status(), StatusCode::OK);
    for part in [
        "ada@example.com",
        "Firefox on Linux (this one)",
        "curl/8.5.0</dd>",
        "203.0.113.9",
        "21 September 2026, 14:13 UTC, by onetimepin",
        "21 September 2026, 14:14 UTC",
    ] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    assert!(!page.text.contains("Eve") && !page.text.contains("eve@"), "{}", page.text);
    assert!(page.header("cache-control").unwrap().contains("no-store"));
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    let told = world.access.sessions_of(&"ada@example.com".parse().unwrap()).await.unwrap();
    let browsers: Vec<_> = told.iter().map(|session| session.browser.as_deref().unwrap()).collect();
    assert_eq!(browsers, ["curl/8.5.0", "Firefox on Linux"]);
    assert!(told.iter().all(|session| session.last_seen == session.started_at));
}

#[tokio::test]
async fn ses_10_one_session_is_ended_or_all_others_or_all() {
    let world = world();
    let mut first = world.logged_in("ada@example.com", FIREFOX).await;
    let mut second = world.logged_in("ada@example.com", "second").await;
    let mut third = world.logged_in("ada@example.com", "third").await;
    let mut eve = world.logged_in("eve@example.com", "eve").await;
    let told = world.access.sessions_of(&"ada@example.com".parse().unwrap()).await.unwrap();
    let id =
        |name: &str| told.iter().find(|it| it.browser.as_deref() == Some(name)).unwrap().id.clone();
    let answer = first.post(PAGE, &[("end", &id("second"))]).await;
    assert_eq!((answer.status(), answer.location()), (StatusCode::FOUND, PAGE));
    assert!(!is_in(&mut second).await && is_in(&mut third).await && is_in(&mut first).await);
    assert!(!first.get(PAGE).await.text.contains("second"));
    first.post(PAGE, &[("end", "others")]).await;
    assert!(!is_in(&mut third).await && is_in(&mut first).await && is_in(&mut eve).await);
    let mut fourth = world.logged_in("ada@example.com", "fourth").await;
    let page = fourth.post(PAGE, &[("end", "all")]).await;
    assert!(page.text.contains("You are logged out"), "{}", page.text);
    assert!(page.set_cookie("CF_Authorization").unwrap().contains("01 Jan 1970"));
    assert!(!is_in(&mut first).await && !is_in(&mut fourth).await && is_in(&mut eve).await);
}

#[tokio::test]
async fn the_first_form_of_the_page_logs_out_here() {
    let world = world();
    let mut browser = world.logged_in("ada@example.com", FIREFOX).await;
    let page = browser.get(PAGE).await;
    let answer = Form::of(PAGE, &page.text).submit(&mut browser, &[]).await;
    assert!(answer.text.contains("You are logged out"));
    assert!(!is_in(&mut browser).await);
}

#[tokio::test]
async fn nobody_ends_what_is_not_theirs_and_no_other_site_ends_anything() {
    let world = world();
    let mut ada = world.logged_in("ada@example.com", FIREFOX).await;
    let mut eve = world.logged_in("eve@example.com", "eve").await;
    let of_ada = world.access.sessions_of(&"ada@example.com".parse().unwrap()).await.unwrap();
    // The answer is that to any id.
    let known = eve.post(PAGE, &[("end", &of_ada[0].id)]).await;
    let unknown = eve.post(PAGE, &[("end", "AAAAAAAAAAAAAAAA")]).await;
    assert_eq!((known.status(), unknown.status()), (StatusCode::FOUND, StatusCode::FOUND));
    assert!(is_in(&mut ada).await && is_in(&mut eve).await);
    for form in [&[][..], &[("end", "")], &[("end", "all"), ("end", "others")]] {
        assert_eq!(ada.post(PAGE, form).await.status(), StatusCode::BAD_REQUEST, "{form:?}");
    }
    for header in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
    ] {
        ada.headers.push((header.0, header.1.to_owned()));
        let answer = ada.post(PAGE, &[("end", "all")]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{header:?}");
        ada.headers.pop();
    }
    assert!(is_in(&mut ada).await);
    let mut stranger = Browser::new(world.service.clone());
    let answer = stranger.post(PAGE, &[("end", "all")]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(ada.send("DELETE", PAGE, "").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    // An application's token is no session.
    let token = ada.cookie("wiki.example.com", "CF_Authorization").unwrap();
    stranger.set_cookie("login.example.com", "CF_Authorization", &token);
    assert_eq!(stranger.get(PAGE).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_is_not_logged_in_finds_a_way_to_and_other_hosts_lead_there() {
    let world = world();
    let mut browser = Browser::new(world.service.clone());
    let (url, page) = browser.visit(&format!("{WIKI}/cdn-cgi/access/sessions")).await;
    assert!(url.starts_with(PAGE), "{url}");
    assert_eq!(page.status(), StatusCode::UNAUTHORIZED);
    assert!(page.text.contains("You are not logged in"));
    assert!(page.text.contains(&format!("href=\"{WIKI}/\"")), "{}", page.text);
    let page = browser.get(&format!("{PAGE}?returnTo=https%3A%2F%2Fevil.example%2F")).await;
    assert!(!page.text.contains("evil") && !page.text.contains("href=\"http"), "{}", page.text);
    let mut ada = world.logged_in("ada@example.com", FIREFOX).await;
    let (_, page) = ada.visit(&format!("{WIKI}/cdn-cgi/access/sessions")).await;
    assert!(page.text.contains("Where you are logged in"));
    // After a logout the same as before.
    ada.get(&format!("{TEAM}/cdn-cgi/access/logout")).await;
    assert_eq!(ada.get(PAGE).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn flow_14_what_a_browser_says_of_itself_is_escaped() {
    let world = world();
    for said in ["\"><script>alert(1)</script>", "'-alert(1)-'", "</pre><b>"] {
        let mut browser = world.logged_in("ada@example.com", said).await;
        let page = browser.get(PAGE).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert!(!page.text.contains(said), "{}", page.text);
    }
}
