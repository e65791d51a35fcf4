//! Several applications on one host: whoever goes from one to another is not sent in circles, is
//! not logged out, and where the host runs the login, is not even redirected.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tower::Layer;
use tower_access::application::{Application, SameSite};
use tower_access::clock::ManualClock;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessBuilder, AccessLayer};

use crate::support::{self, Browser, Mailbox, Origin, clock};

type Service = tower_access::layer::AccessService<Origin>;

const HOST: &str = "https://apps.example.com";
const TEAM: &str = "https://login.example.com";
const ADA: &str = "ada@example.com";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

struct World {
    access: Access,
    service: Service,
    origin: Origin,
    mail: Mailbox,
    clock: Arc<ManualClock>,
}

/// An application on the one host, open to everybody of the house.
fn app(name: &str, path: &str) -> Application {
    Application::new(name, &format!("apps.example.com{path}"))
        .unwrap()
        .session_duration(HOUR)
        .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap()))
}

fn world(
    applications: impl IntoIterator<Item = Application>,
    settings: impl FnOnce(AccessBuilder) -> AccessBuilder,
) -> World {
    let (mail, clock, origin) = (Mailbox::default(), clock(), Origin::default());
    let builder = Access::builder()
        .session_duration(24 * HOUR)
        .mailer(mail.clone())
        .clock(Arc::clone(&clock));
    let builder = applications.into_iter().fold(builder, AccessBuilder::application);
    let access = settings(builder).build().unwrap();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    World { access, service, origin, mail, clock }
}

/// Three applications, one below another, without a team domain.
fn three(change: impl Fn(Application) -> Application) -> World {
    let all = [("A", "/a"), ("B", "/b"), ("Nested", "/a/nested")];
    world(all.map(|(name, path)| change(app(name, path))), |it| it)
}

impl World {
    async fn logged_in(&self) -> Browser<Service> {
        let mut browser = Browser::new(self.service.clone());
        support::log_in(&mut browser, &self.mail, &format!("{HOST}/a"), ADA).await;
        browser
    }
}

async fn enters_at_once(browser: &mut Browser<Service>, path: &str) -> support::Answer {
    let answer = browser.get(&format!("{HOST}{path}")).await;
    assert_eq!(
        (answer.status(), answer.text.as_str()),
        (StatusCode::OK, &*format!("origin saw {path}"))
    );
    answer
}

#[tokio::test]
async fn who_goes_from_one_application_to_another_sees_no_redirect() {
    type Change = fn(Application) -> Application;
    let changes: [Change; 5] = [
        |it| it,
        Application::path_cookie,
        Application::binding_cookie,
        |it| it.path_cookie().binding_cookie(),
        |it| it.same_site_cookie(SameSite::Strict),
    ];
    for change in changes {
        let world = three(change);
        let mut browser = world.logged_in().await;
        let first = enters_at_once(&mut browser, "/b/x").await;
        assert!(first.set_cookie("CF_Authorization").is_some());
        assert_eq!(first.header("cache-control"), Some("private"));
        for _ in 0..10 {
            for path in ["/a/x", "/b/x", "/a/nested/x", "/b/y", "/a/nested", "/a"] {
                enters_at_once(&mut browser, path).await;
                let seen = world.origin.last().headers;
                assert_eq!(seen["cf-access-authenticated-user-email"], ADA);
                assert!(seen.contains_key("cf-access-jwt-assertion"));
                let cookies = seen.get("cookie").map_or("", |line| line.to_str().unwrap());
                assert!(!cookies.contains("CF_HostSession"), "{cookies}");
            }
        }
        assert_eq!(world.mail.len(), 1);
        // What the origin gets is for the application that was asked.
        enters_at_once(&mut browser, "/b").await;
        let of_b = world.origin.last().headers["cf-access-jwt-assertion"].clone();
        enters_at_once(&mut browser, "/a").await;
        assert_ne!(of_b, world.origin.last().headers["cf-access-jwt-assertion"]);
    }
}

#[tokio::test]
async fn back_and_forth_signs_a_token_once_for_each_application() {
    let world = three(|it| it);
    let mut browser = world.logged_in().await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        for path in ["/b", "/a/nested"] {
            world.clock.advance(Duration::from_secs(1));
            enters_at_once(&mut browser, path).await;
            seen.insert(world.origin.last().headers["cf-access-jwt-assertion"].clone());
        }
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn posts_and_scripts_and_sockets_cross_as_well_and_other_sites_do_not() {
    let world = three(|it| it);
    let at_a = world.logged_in().await;
    let cross = async |method: &str, headers: &[(&'static str, &str)]| {
        // Each time from A.
        let mut browser = at_a.at(world.service.clone());
        browser.headers.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
        browser.send(method, &format!("{HOST}/b/x"), "").await.status()
    };
    for (method, headers) in [
        ("GET", &[][..]),
        ("HEAD", &[]),
        ("POST", &[("sec-fetch-site", "same-origin")]),
        ("GET", &[("sec-fetch-mode", "cors"), ("x-requested-with", "XMLHttpRequest")]),
        ("GET", &[("connection", "upgrade"), ("upgrade", "websocket"), ("origin", HOST)]),
    ] {
        assert_eq!(cross(method, headers).await, StatusCode::OK, "{method} {headers:?}");
    }
    for (method, headers) in [
        ("GET", &[("sec-fetch-site", "cross-site")][..]),
        ("POST", &[("sec-fetch-site", "cross-site")]),
        ("GET", &[("connection", "upgrade"), ("upgrade", "websocket")]),
        (
            "GET",
            &[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("origin", "https://evil.example"),
            ],
        ),
    ] {
        let status = cross(method, headers).await;
        assert!(
            status == StatusCode::FOUND || status == StatusCode::UNAUTHORIZED,
            "{method} {headers:?}: {status}"
        );
    }
}

#[tokio::test]
async fn jwt_17_ses_07_a_cookie_of_one_application_is_worth_nothing_at_another() {
    let world = three(|it| it);
    let browser = world.logged_in().await;
    let of_a = browser.cookie_at("apps.example.com", "CF_Authorization", "/").unwrap();
    let host = browser.cookie("apps.example.com", "CF_HostSession").unwrap();
    for (name, value) in [
        ("CF_Authorization", &of_a),
        ("CF_HostSession", &of_a),
        ("CF_Authorization", &host),
        ("CF_Binding", &host),
    ] {
        let mut thief = Browser::new(world.service.clone());
        thief.set_cookie("apps.example.com", name, value);
        let status = thief.get(&format!("{HOST}/b")).await.status();
        assert_eq!(status, StatusCode::FOUND, "{name}");
    }
}

#[tokio::test]
async fn ses_08_ses_09_after_a_logout_the_session_of_the_host_lets_nobody_in() {
    let world = three(Application::path_cookie);
    let mut browser = world.logged_in().await;
    enters_at_once(&mut browser, "/b").await;
    let host = browser.cookie("apps.example.com", "CF_HostSession").unwrap();
    let out = browser.get(&format!("{HOST}/cdn-cgi/access/logout")).await;
    let cleared = out.set_cookie("CF_HostSession").unwrap();
    assert!(cleared.contains("Path=/;") && cleared.contains("01 Jan 1970"), "{cleared}");
    let mut thief = Browser::new(world.service.clone());
    thief.set_cookie("apps.example.com", "CF_HostSession", &host);
    for path in ["/a", "/b", "/a/nested"] {
        assert_eq!(thief.get(&format!("{HOST}{path}")).await.status(), StatusCode::FOUND);
    }
    // Nor after an operator has ended it.
    let mut browser = world.logged_in().await;
    enters_at_once(&mut browser, "/b").await;
    world.clock.advance(Duration::from_secs(2));
    world.access.revoke_user(&ADA.parse().unwrap()).await.unwrap();
    for path in ["/a", "/b", "/a/nested"] {
        assert_eq!(browser.get(&format!("{HOST}{path}")).await.status(), StatusCode::FOUND);
    }
}

#[tokio::test]
async fn who_may_not_enter_is_told_so_and_one_page_at_a_time_asks_the_login() {
    let board = Application::new("Board", "apps.example.com/board")
        .unwrap()
        .policy(Policy::allow("chair").include(Rule::email("chair@example.com").unwrap()));
    let vault = app("Vault", "/vault").session_duration(Duration::ZERO);
    let network = Application::new("Open", "apps.example.com/open")
        .unwrap()
        .policy(Policy::bypass("all").include(Rule::everyone()));
    let world = world([app("A", "/a"), board, vault, network], |it| it);
    let mut browser = world.logged_in().await;
    let answer = browser.get(&format!("{HOST}/board")).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(answer.text.contains(ADA) && answer.set_cookie("CF_Authorization").is_none());
    assert_eq!(browser.get(&format!("{HOST}/vault")).await.status(), StatusCode::FOUND);
    let (_, page) = browser.visit(&format!("{HOST}/vault")).await;
    assert_eq!(page.text, "origin saw /vault");
    enters_at_once(&mut browser, "/open").await;
    assert!(!world.origin.last().headers.contains_key("cf-access-jwt-assertion"));
    enters_at_once(&mut browser, "/a").await;
}

#[tokio::test]
async fn ses_13_the_session_of_the_host_ends_with_the_session() {
    let world = three(|it| it);
    let mut browser = world.logged_in().await;
    for _ in 0..23 {
        world.clock.advance(HOUR);
        enters_at_once(&mut browser, "/b").await;
        enters_at_once(&mut browser, "/a").await;
    }
    world.clock.advance(HOUR);
    for path in ["/a", "/b"] {
        assert_eq!(browser.get(&format!("{HOST}{path}")).await.status(), StatusCode::FOUND);
    }
}

#[tokio::test]
async fn the_cookie_of_the_host_is_strict_where_an_application_is() {
    for (same_site, expected) in
        [(SameSite::None, "SameSite=Lax"), (SameSite::Strict, "SameSite=Strict")]
    {
        let world = world([app("A", "/a"), app("B", "/b").same_site_cookie(same_site)], |it| it);
        let mut browser = Browser::new(world.service.clone());
        let form = support::ask_for_code(&mut browser, &format!("{HOST}/a"), ADA).await;
        let code = world.mail.code(1).await;
        let answer = form.submit(&mut browser, &[("code", &code)]).await;
        let line = answer.set_cookie("CF_HostSession").unwrap();
        for part in [expected, "HttpOnly", "Secure", "Path=/;"] {
            assert!(line.contains(part), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_at_once_to_all_applications_are_all_let_in() {
    for change in [|it| it, |it: Application| it.path_cookie().binding_cookie()] {
        let world = three(change);
        let browser = world.logged_in().await;
        let paths = ["/a/x", "/b/x", "/a/nested/x"];
        let requests: Vec<_> = (0..120)
            .map(|number| {
                let mut browser = browser.at(world.service.clone());
                tokio::spawn(async move {
                    for step in 0..5 {
                        enters_at_once(&mut browser, paths[(number + step) % 3]).await;
                    }
                })
            })
            .collect();
        for request in requests {
            request.await.unwrap();
        }
        assert_eq!(world.mail.len(), 1);
    }
}

#[tokio::test]
async fn where_another_host_runs_the_login_crossings_end_after_a_few_steps() {
    for change in [|it| it, |it: Application| it.path_cookie()] {
        let applications = [change(app("A", "/a")), change(app("B", "/b"))];
        let team = |it: AccessBuilder| it.team_domain("login.example.com".parse().unwrap());
        let world = world(applications, team);
        let browser = world.logged_in().await;
        assert!(browser.cookie("apps.example.com", "CF_HostSession").is_none());
        let both = (0..20).map(|number| {
            let mut browser = browser.at(world.service.clone());
            async move {
                for step in 0..4 {
                    let path = ["/a/x", "/b/x"][(number + step) % 2];
                    // At most ten redirects, or it panics.
                    let (_, page) = browser.visit(&format!("{HOST}{path}")).await;
                    assert_eq!(page.text, format!("origin saw {path}"));
                }
            }
        });
        for crossing in both {
            crossing.await;
        }
        assert_eq!(world.mail.len(), 1);
        // One browser, whose tabs cross at the same time: each takes the other's cookie away.
        let mut tabs = browser.at(world.service.clone());
        let (mut first, mut second) = (format!("{HOST}/a/1"), format!("{HOST}/b/1"));
        let mut steps = 0;
        while !(first.is_empty() && second.is_empty()) {
            for url in [&mut first, &mut second] {
                if url.is_empty() {
                    continue;
                }
                let answer = tabs.get(url).await;
                *url = match answer.status() {
                    StatusCode::FOUND => answer.location().to_owned(),
                    status => {
                        assert_eq!(status, StatusCode::OK);
                        String::new()
                    }
                };
            }
            steps += 1;
            assert!(steps < 12, "{first} {second}");
        }
        let _ = TEAM;
    }
}

#[tokio::test]
async fn an_idle_session_lets_nobody_cross() {
    let world = world([app("A", "/a"), app("B", "/b")], |it| it.idle_timeout(20 * MINUTE));
    let mut browser = world.logged_in().await;
    for _ in 0..10 {
        world.clock.advance(15 * MINUTE);
        enters_at_once(&mut browser, "/b").await;
        enters_at_once(&mut browser, "/a").await;
    }
    world.clock.advance(25 * MINUTE);
    assert_eq!(browser.get(&format!("{HOST}/b")).await.status(), StatusCode::FOUND);
}
