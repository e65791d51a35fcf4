//! Logins that are begun by hand: addresses of the login without the name of an application, from
//! bookmarks and native applications.

use http::{StatusCode, Version};
use tower::Layer;
use tower_access::application::Application;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessBuilder, AccessLayer};

use crate::support::wire::{VERSIONS, Wire};
use crate::support::{self, Answer, Browser, Mailbox, Origin, query};

const WIKI: &str = "https://wiki.example.com";
const TEAM: &str = "https://login.example.com";
const ADA: &str = "ada@example.com";

struct World {
    access: Access,
    origin: Origin,
    mail: Mailbox,
}

fn staff() -> Policy {
    Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())
}

fn application(name: &str, domain: &str) -> Application {
    Application::new(name, domain).unwrap().policy(staff())
}

fn world(change: impl FnOnce(AccessBuilder) -> AccessBuilder) -> World {
    let (origin, mail) = (Origin::default(), Mailbox::default());
    let builder = Access::builder().mailer(mail.clone()).clock(support::clock());
    World { access: change(builder).build().unwrap(), origin, mail }
}

/// Each host runs its own login.
fn own_login() -> World {
    world(|builder| builder.application(application("Wiki", "wiki.example.com")))
}

/// Several hosts, of which one has applications of every kind.
fn team() -> World {
    world(|builder| {
        let open = Policy::bypass("everyone").include(Rule::everyone());
        let machines = Policy::service_auth("machines").include(Rule::any_valid_service_token());
        builder
            .team_domain("login.example.com".parse().unwrap())
            .application(application("Wiki", "wiki.example.com"))
            .application(application("Board", "board.example.com/admin"))
            .application(application("Any", "*.apps.example.com"))
            .application(Application::new("Open", "wiki.example.com/open").unwrap().policy(open))
            .application(Application::new("API", "wiki.example.com/api").unwrap().policy(machines))
    })
}

impl World {
    async fn browser(&self, version: Version) -> Browser<Wire> {
        let service = AccessLayer::new(self.access.clone()).layer(self.origin.clone());
        Browser::new(Wire::to(service, version).await)
    }

    /// A new browser logs in by this address, and the application sees that.
    async fn leads_to(&self, version: Version, url: &str, expected: &str) {
        let mut browser = self.browser(version).await;
        support::log_in(&mut browser, &self.mail, url, ADA).await;
        let arrived = self.origin.last();
        assert_eq!(arrived.uri.path_and_query().unwrap().as_str(), expected, "{url}");
        let host = url::Url::parse(url).unwrap();
        // Now that there is a session, no question is asked.
        let mails = self.mail.len();
        let (at, page) = browser.visit(url).await;
        assert!(at.ends_with(expected) && page.text.starts_with("origin saw"), "{host}: {at}");
        assert_eq!(self.mail.len(), mails);
    }
}

fn begins(answer: &Answer, login: &str, target: &str) {
    assert_eq!(answer.status(), StatusCode::FOUND);
    let location = answer.location();
    assert!(location.starts_with(&format!("{login}?kid=")), "{location}");
    assert_eq!(query(location, "redirect_url").as_deref(), Some(target));
}

#[tokio::test]
async fn an_address_without_an_application_begins_the_login_of_its_own_host() {
    for version in VERSIONS {
        let world = own_login();
        let login = format!("{WIKI}/cdn-cgi/access/login/wiki.example.com");
        for (address, target) in [
            ("login?redirect_url=/api/v1/health", "/api/v1/health"),
            ("login?redirect_url=%2Fdocs%3Fa%3D1", "/docs?a=1"),
            ("login", "/"),
            ("login/", "/"),
            ("login?kid=", "/"),
            ("login?kid=0000&redirect_url=%2Fdocs", "/docs"),
            ("login/wiki.example.com?redirect_url=%2Fdocs", "/docs"),
            ("login/WIKI.example.com?redirect_url=%2Fdocs", "/docs"),
            ("login/wiki.example.com?kid=0000&redirect_url=%2Fdocs", "/docs"),
            ("login/wiki.example.com?meta=old&redirect_url=%2Fdocs", "/docs"),
            ("login/wiki.example.com?redirect_url=https://wiki.example.com/docs", "/docs"),
            ("login?redirect_url=https://evil.example/docs", "/"),
            ("login?redirect_url=//evil.example/docs", "/"),
            ("login?redirect_url=/cdn-cgi/access/login", "/"),
        ] {
            let url = format!("{WIKI}/cdn-cgi/access/{address}");
            for method in ["GET", "HEAD"] {
                let answer = world.browser(version).await.send(method, &url, "").await;
                begins(&answer, &login, target);
            }
        }
        for address in ["login?redirect_url=/api/v1/health", "login/wiki.example.com?kid=00"] {
            let target = if address.contains("health") { "/api/v1/health" } else { "/" };
            let url = format!("{WIKI}/cdn-cgi/access/{address}");
            world.leads_to(version, &url, target).await;
        }
    }
}

#[tokio::test]
async fn an_address_on_a_host_without_login_leads_to_the_team_domain() {
    for version in VERSIONS {
        let world = team();
        for host in [WIKI, TEAM] {
            let login = format!("{TEAM}/cdn-cgi/access/login/wiki.example.com");
            for address in [
                "login/wiki.example.com?redirect_url=%2Fdocs",
                "login/wiki.example.com?kid=0000&redirect_url=%2Fdocs",
                "login?redirect_url=%2Fdocs",
            ] {
                if host == TEAM && !address.contains("wiki") {
                    continue;
                }
                let url = format!("{host}/cdn-cgi/access/{address}");
                for method in ["GET", "HEAD"] {
                    let answer = world.browser(version).await.send(method, &url, "").await;
                    begins(&answer, &login, "/docs");
                }
                world.leads_to(version, &url, "/docs").await;
            }
        }
        // A wildcard names no host; the address does.
        let url = format!("{TEAM}/cdn-cgi/access/login/x.apps.example.com?redirect_url=/a");
        world.leads_to(version, &url, "/a").await;
    }
}

/// The application a link names may have moved, or have got another tag.
#[tokio::test]
async fn a_stale_tag_is_none() {
    let world = team();
    let mut browser = world.browser(Version::HTTP_11).await;
    let wiki = query(browser.get(&format!("{WIKI}/")).await.location(), "kid").unwrap();
    let url = format!(
        "{TEAM}/cdn-cgi/access/login/board.example.com?kid={wiki}&redirect_url=/admin/users"
    );
    let answer = browser.get(&url).await;
    begins(&answer, &format!("{TEAM}/cdn-cgi/access/login/board.example.com"), "/admin/users");
    assert_ne!(query(answer.location(), "kid").unwrap(), wiki);
    // A form of a page from before as well.
    let old = format!("{TEAM}/cdn-cgi/access/verify-code/wiki.example.com?kid=00&redirect_url=/x");
    let answer = browser.post(&old, &[("email", ADA)]).await;
    begins(&answer, &format!("{TEAM}/cdn-cgi/access/login/wiki.example.com"), "/x");
    assert_eq!(world.mail.len(), 0);
}

#[tokio::test]
async fn what_names_no_application_is_a_page_with_a_way_on() {
    let world = team();
    for version in VERSIONS {
        let mut browser = world.browser(version).await;
        for url in [
            format!("{TEAM}/cdn-cgi/access/login"),
            format!("{TEAM}/cdn-cgi/access/login?redirect_url=/docs"),
            format!("{TEAM}/cdn-cgi/access/login?kid=0000"),
            format!("{TEAM}/cdn-cgi/access/login/nowhere.example.com?redirect_url=/"),
            format!("{TEAM}/cdn-cgi/access/login/board.example.com?redirect_url=/public"),
            format!("{TEAM}/cdn-cgi/access/login/board.example.com?redirect_url=//evil.example"),
            format!("{TEAM}/cdn-cgi/access/login/wiki.example.com/x"),
            format!("{TEAM}/cdn-cgi/access/login/login.example.com"),
            format!("{WIKI}/cdn-cgi/access/login/board.example.com?redirect_url=/admin"),
            format!("{WIKI}/cdn-cgi/access/login/x.apps.example.com"),
        ] {
            let answer = browser.get(&url).await;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{url}");
            assert!(answer.text.contains("Open the address of the application"), "{}", answer.text);
            assert!(answer.set_cookie("CF_AppSession").is_none());
            let head = browser.send("HEAD", &url, "").await;
            assert_eq!(head.status(), StatusCode::NOT_FOUND);
        }
        // No host that is known is told apart from one that is not.
        let page = async |url: &str| world.browser(version).await.get(url).await.text;
        let unknown = page(&format!("{TEAM}/cdn-cgi/access/login/nowhere.example.com")).await;
        let elsewhere =
            page(&format!("{TEAM}/cdn-cgi/access/login/board.example.com?redirect_url=/x")).await;
        assert_eq!(unknown, elsewhere);
        for name in ["Wiki", "Board", "wiki.example", "apps.example"] {
            assert!(!unknown.contains(name), "{unknown}");
        }
    }
}

/// The answer is what a plain request would get, or leads to it.
#[tokio::test]
async fn nobody_learns_more_than_by_a_plain_request() {
    let world = team();
    for host in [WIKI, TEAM] {
        for path in ["/open/x", "/api/x"] {
            let mut browser = world.browser(Version::HTTP_11).await;
            let url =
                format!("{host}/cdn-cgi/access/login/wiki.example.com?kid=1&redirect_url={path}");
            let answer = browser.get(&url).await;
            assert_eq!(answer.status(), StatusCode::FOUND);
            assert_eq!(answer.location(), format!("{WIKI}{path}"));
            assert!(answer.set_cookie("CF_AppSession").is_none());
        }
    }
}

#[tokio::test]
async fn one_host_alone_is_meant_by_the_team_domain() {
    let one = |domains: &[&'static str]| {
        let domains = domains.to_vec();
        world(move |builder| {
            let builder = builder.team_domain("login.example.com".parse().unwrap());
            domains
                .into_iter()
                .fold(builder, |it, domain| it.application(application(domain, domain)))
        })
    };
    let version = Version::HTTP_11;
    let bare = format!("{TEAM}/cdn-cgi/access/login");
    let login = format!("{TEAM}/cdn-cgi/access/login/wiki.example.com");
    let answer = one(&["wiki.example.com"]).browser(version).await.get(&bare).await;
    begins(&answer, &login, "/");
    // Where nothing covers the root, where people enter.
    let answer = one(&["wiki.example.com/admin"]).browser(version).await.get(&bare).await;
    begins(&answer, &login, "/admin");
    // Two applications, and nothing says which.
    for domains in [
        &["wiki.example.com/a", "wiki.example.com/b"][..],
        &["wiki.example.com", "board.example.com"],
        &["*.example.com"],
    ] {
        let answer = one(domains).browser(version).await.get(&bare).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{domains:?}");
    }
    let two = one(&["wiki.example.com/a", "wiki.example.com/b"]);
    let answer = two.browser(version).await.get(&format!("{bare}?redirect_url=/b/x")).await;
    begins(&answer, &login, "/b/x");
}

#[tokio::test]
async fn a_login_by_hand_is_tied_to_its_browser_and_takes_one_round() {
    let world = own_login();
    let mut browser = world.browser(Version::HTTP_11).await;
    let answer = browser.get(&format!("{WIKI}/cdn-cgi/access/login?redirect_url=/x")).await;
    assert!(query(answer.location(), "meta").is_some());
    let cookie = answer.set_cookie("CF_AppSession").unwrap().to_owned();
    let again = browser.get(&format!("{WIKI}/cdn-cgi/access/login?redirect_url=/x")).await;
    assert_eq!(
        again.set_cookie("CF_AppSession").unwrap().split(';').next(),
        cookie.split(';').next(),
        "the one it has stays"
    );
    let form = support::ask_for_code(&mut browser, answer.location(), ADA).await;
    let code = world.mail.code(1).await;
    let done = form.submit(&mut browser, &[("code", &code)]).await;
    let entered = browser.get(done.location()).await;
    assert_eq!(entered.location(), format!("{WIKI}/x"));
    assert!(entered.set_cookie("CF_Authorization").is_some());
}

#[tokio::test]
async fn flow_15_a_login_by_hand_takes_no_other_request() {
    let world = own_login();
    let url = format!("{WIKI}/cdn-cgi/access/login?redirect_url=/x");
    for version in VERSIONS {
        let mut browser = world.browser(version).await;
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = browser.send(method, &url, "").await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        }
        for twice in ["kid=1&kid=2", "redirect_url=/a&redirect_url=/b"] {
            let url = format!("{WIKI}/cdn-cgi/access/login?{twice}");
            let answer = browser.get(&url).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{twice}");
        }
        browser.headers.push(("sec-purpose", "prefetch".to_owned()));
        let ahead = browser.get(&url).await;
        assert_eq!(ahead.status(), StatusCode::FORBIDDEN);
    }
}
