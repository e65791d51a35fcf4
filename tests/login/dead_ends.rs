//! No page for a person is a dead end: it says where it is, what happened, and what to do next.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::Timestamp;
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::layer::AccessService;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer, AuthorizeLayer, LoginLayer};

use crate::support::{self, Answer, Mailbox, NOW, Origin, absolute, clock, person, query, send};

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const PAGE: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

struct World {
    key: SigningKey,
    origin: Origin,
    service: AccessService<Origin>,
    /// Whether people log in here.
    is_issuing: bool,
}

fn applications() -> Vec<Application> {
    let chair = || Policy::allow("chair").include(Rule::email("chair@example.com").unwrap());
    let new = |name, host| Application::new(name, host).unwrap();
    let second = AUDIENCE.replacen('7', "8", 1);
    vec![
        new("Wiki", "wiki.example.com").audience(AUDIENCE.parse().unwrap()).policy(chair()),
        new("Shop", "shop.example.com/admin").audience(second.parse().unwrap()).policy(chair()),
    ]
}

fn worlds() -> [World; 2] {
    let (issuing_key, key) = support::two_copies_of_a_key();
    let now = Timestamp::from_unix_seconds(NOW);
    let keys = PublishedKeys::new(&key, &[], ISSUER, now).unwrap().key_set().clone();
    let issuing = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(issuing_key)
        .clock(clock());
    let issuing = applications().into_iter().fold(issuing, |it, one| it.application(one));
    let verifying =
        Access::verifier_builder("login.example.com").unwrap().keys(keys).clock(clock());
    let verifying = applications().into_iter().fold(verifying, |it, one| it.application(one));
    let world = |access: Access, is_issuing| {
        let key = SigningKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
        let origin = Origin::default();
        let service = AccessLayer::new(access).layer(origin.clone());
        World { key, origin, service, is_issuing }
    };
    [world(issuing.build().unwrap(), true), world(verifying.build().unwrap(), false)]
}

impl World {
    async fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
        let url: url::Url = url.parse().unwrap();
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", url.host_str().unwrap())
            .header("accept", PAGE)
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(&self.service, request.body(Full::new(Bytes::from("text=abcd"))).unwrap()).await
    }

    /// The cookie of a person who may not enter.
    fn cookie_of(&self, email: &str) -> String {
        format!("CF_Authorization={}", self.key.sign(&person(ISSUER, AUDIENCE, email)).unwrap())
    }

    fn expired_cookie(&self) -> String {
        let mut claims = person(ISSUER, AUDIENCE, "chair@example.com");
        (claims.iat, claims.exp) = (NOW - 9_000, NOW - 3_600);
        claims.nbf = claims.nbf.map(|_| NOW - 9_000);
        format!("CF_Authorization={}", self.key.sign(&claims).unwrap())
    }
}

/// Where the links and buttons of a page lead.
fn links(page_url: &str, html: &str) -> Vec<String> {
    let body = html.split("<main>").nth(1).unwrap();
    let links = body.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    links
        .map(|link| absolute(page_url, &link.replace("&amp;", "&").replace("&#38;", "&")))
        .collect()
}

#[tokio::test]
async fn every_refusal_says_where_what_and_what_next() {
    for world in worlds() {
        let denied = world.cookie_of("ada@example.com");
        let cookie = [("cookie", &*denied)];
        let wiki = "https://wiki.example.com";
        let service = [("cf-access-client-id", "x.access"), ("cf-access-client-secret", "wrong")];
        let socket = [
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("cookie", &*denied),
            ("origin", "https://evil.example"),
        ];
        for (method, url, headers, status, advice) in [
            ("GET", format!("{wiki}/docs"), &cookie[..], 403, "does not have access"),
            ("GET", format!("{wiki}/docs"), &socket, 403, "does not have access"),
            ("POST", format!("{wiki}/docs"), &[], 401, "not saved"),
            ("PUT", format!("{wiki}/docs"), &[], 401, "not saved"),
            ("GET", format!("{wiki}/a//b"), &[], 400, "Check the address"),
            ("GET", "https://nothing.example.com/x".to_owned(), &[], 404, "Check the address"),
            ("GET", "https://shop.example.com/".to_owned(), &[], 404, "Check the address"),
            ("GET", format!("{wiki}/docs"), &service, 401, "client id and secret"),
        ] {
            let what = format!("{method} {url}, issuing: {}", world.is_issuing);
            let page = world.ask(method, &url, headers).await;
            if page.status() == StatusCode::FOUND && !world.is_issuing {
                continue;
            }
            assert_eq!(page.status().as_u16(), status, "{what}: {}", page.text);
            assert!(page.header("content-type").unwrap().starts_with("text/html"), "{what}");
            let host = url.split('/').nth(2).unwrap();
            assert!(page.text.contains(host), "{what}: where\n{}", page.text);
            assert!(page.text.contains(advice), "{what}: what next\n{}", page.text);
            assert!(page.text.contains("<h1>"), "{what}: what\n{}", page.text);
            for link in links(&url, &page.text) {
                let is_elsewhere = link.starts_with(ISSUER) && !world.is_issuing;
                assert!(
                    link.starts_with(&format!("https://{host}/")) || link.starts_with(ISSUER),
                    "{what}: {link}"
                );
                if is_elsewhere {
                    continue;
                }
                let next = world.ask("GET", &link, &[]).await;
                assert!(
                    !next.status().is_client_error(),
                    "{what}: {link} leads to {}",
                    next.status()
                );
            }
        }
        assert_eq!(world.origin.count(), 0);
    }
}

/// FLOW-02: a path that begins with two slashes is another host to a browser, wherever a page has it as a
/// link.
#[tokio::test]
async fn flow_02_no_link_leads_to_another_host() {
    let targets =
        ["//evil.example/x", "//evil.example", "/\\evil.example/x", "///evil.example/x?q"];
    let wiki = || {
        Application::new("Wiki", "wiki.example.com")
            .unwrap()
            .insecure_allow_doubled_slashes()
            .insecure_allow_backslashes()
            .insecure_allow_unescaped_characters()
            .policy(Policy::allow("chair").include(Rule::email("chair@example.com").unwrap()))
    };
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .clock(clock())
        .application(wiki())
        .build()
        .unwrap();
    let ask = |target: &str, headers: &[(&str, &str)]| {
        let mut request =
            Request::get(target).header("host", "wiki.example.com").header("accept", PAGE);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(Bytes::new())).unwrap()
    };
    // Too many attempts, and something of ours that fails.
    let guarded = AccessLayer::new(access.clone()).layer(Origin::default());
    let alone =
        LoginLayer::new(access.clone()).layer(AuthorizeLayer::new(access).layer(Origin::default()));
    let wrong = "f".repeat(64);
    let token = [
        ("cf-access-client-id", "0123456789abcdef0123456789abcdef.access"),
        ("cf-access-client-secret", &*wrong),
    ];
    let mut seen = Vec::new();
    for _ in 0..100 {
        for target in targets {
            let page = send(&guarded, ask(target, &token)).await;
            assert_no_other_host(&page.text);
            seen.push(page.status().as_u16());
        }
    }
    assert!(seen.contains(&429), "{seen:?}");
    // Nor does the address of an issuer's login hold one.
    let verifier = Access::verifier_builder("login.example.com")
        .unwrap()
        .clock(clock())
        .application(wiki().audience(AUDIENCE.parse().unwrap()))
        .build()
        .unwrap();
    let verifying = AccessLayer::new(verifier).layer(Origin::default());
    for target in targets {
        let answer = send(&verifying, ask(target, &[])).await;
        assert!(!answer.header("location").unwrap_or_default().contains("evil"), "{target}");
    }
    for target in targets {
        let page = send(&alone, ask(target, &[])).await;
        assert_eq!(page.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_no_other_host(&page.text);
    }
}

fn assert_no_other_host(html: &str) {
    let body = html.split("<main>").nth(1).unwrap();
    for link in body.split("href=\"").skip(1) {
        let link = link.split('"').next().unwrap();
        let is_local = link.starts_with('/') && !link[1..].starts_with(['/', '\\']);
        assert!(is_local || link.starts_with(ISSUER), "{link}");
    }
}

/// Whoever has no account is not told to use another one.
#[tokio::test]
async fn another_account_is_offered_to_those_who_have_one() {
    let access = Access::builder()
        .mailer(Mailbox::default())
        .clock(clock())
        .application(
            Application::new("Wiki", "wiki.example.com")
                .unwrap()
                .policy(Policy::deny("nobody").include(Rule::everyone())),
        )
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    for (cookie, is_offered) in [("other=1", false), ("CF_Authorization=x", true)] {
        let request = Request::get("/x")
            .header("host", "wiki.example.com")
            .header("accept", PAGE)
            .header("cookie", cookie);
        let page = send(&service, request.body(Full::new(Bytes::new())).unwrap()).await;
        assert_eq!(page.status(), StatusCode::FORBIDDEN);
        assert_eq!(page.text.contains("Use another account"), is_offered, "{cookie}");
    }
}

/// What a page of an unknown host says is what it says of the host of an application elsewhere: no more
/// than a plain request.
#[tokio::test]
async fn a_page_offers_no_front_page_that_is_not_there() {
    for world in worlds() {
        for url in ["https://nothing.example.com/x", "https://shop.example.com/x"] {
            let page = world.ask("GET", url, &[]).await;
            assert_eq!(page.status(), StatusCode::NOT_FOUND);
            assert_eq!(links(url, &page.text), [""; 0], "{url}");
        }
        let page = world.ask("GET", "https://wiki.example.com/a//b", &[]).await;
        assert_eq!(links("https://wiki.example.com/a", &page.text), ["https://wiki.example.com/"]);
        // On the front page itself there is nothing to go to.
        let page = world.ask("GET", "https://shop.example.com/", &[]).await;
        assert_eq!(links("https://shop.example.com/", &page.text), [""; 0]);
    }
}

/// FLOW-01, FLOW-15: a form that is sent after the session ended is not forwarded, and its sender comes
/// back to the page it was on.
#[tokio::test]
async fn flow_15_a_form_after_the_session_leads_back_to_its_page() {
    let own = "https://wiki.example.com";
    let long = format!("{own}/edit?q={}", "x".repeat(9_000));
    for world in worlds() {
        let expired = world.expired_cookie();
        for (referer, target) in [
            (Some("https://wiki.example.com/edit?id=3"), "/edit?id=3"),
            (Some("https://wiki.example.com/edit?id=3#text"), "/edit?id=3"),
            (Some("https://wiki.example.com/"), "/"),
            (Some("https://wiki.example.com"), "/"),
            // Another scheme, host or port, and what only looks like this one.
            (Some("http://wiki.example.com/edit"), "/"),
            (Some("https://wiki.example.com:8443/edit"), "/"),
            (Some("https://wiki.example.com.evil.example/edit"), "/"),
            (Some("https://wiki.example.com@evil.example/edit"), "/"),
            (Some("https://evil.example/edit"), "/"),
            (Some("//evil.example/edit"), "/"),
            (Some("/edit"), "/"),
            (Some("https://wiki.example.com//evil.example"), "/"),
            (Some("https://wiki.example.com/\\evil.example"), "/"),
            (Some("https://wiki.example.com/cdn-cgi/access/logout"), "/"),
            (Some("javascript:alert(1)"), "/"),
            (Some(&*long), "/"),
            (None, "/"),
        ] {
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                for cookie in [Some(&*expired), None] {
                    let headers: Vec<_> =
                        [referer.map(|it| ("referer", it)), cookie.map(|it| ("cookie", it))]
                            .into_iter()
                            .flatten()
                            .collect();
                    let url = format!("{own}/save?id=3");
                    let page = world.ask(method, &url, &headers).await;
                    let what = format!("{method} {referer:?} {}", world.is_issuing);
                    assert_eq!(page.status(), StatusCode::UNAUTHORIZED, "{what}");
                    assert_eq!(
                        page.text.contains("Your session has ended"),
                        cookie.is_some(),
                        "{what}"
                    );
                    assert!(page.text.contains("was not saved"), "{what}");
                    assert!(page.text.contains("go back in your browser and copy"), "{what}");
                    let login = links(&url, &page.text);
                    let login =
                        login.iter().find(|link| link.contains("/cdn-cgi/access/login/")).unwrap();
                    assert!(login.starts_with(ISSUER), "{what}: {login}");
                    assert_eq!(query(login, "redirect_url").as_deref(), Some(target), "{what}");
                    assert!(
                        !page.text.contains("evil.example") && !page.text.contains("/save"),
                        "{what}"
                    );
                }
            }
        }
        // By what a browser says of a form of its own page, and of one of another site.
        for (site, origin, referer, target) in [
            ("same-origin", own, "https://wiki.example.com/edit?id=3", "/edit?id=3"),
            ("cross-site", "https://evil.example", "https://evil.example/edit", "/"),
        ] {
            let headers = [("sec-fetch-site", site), ("origin", origin), ("referer", referer)];
            let page = world.ask("POST", &format!("{own}/save"), &headers).await;
            assert_eq!(page.status(), StatusCode::UNAUTHORIZED, "{site}");
            let login = links(own, &page.text);
            let returns_to = |link: &String| query(link, "redirect_url").as_deref() == Some(target);
            assert!(login.iter().any(returns_to), "{site}: {login:?}");
        }
        // Two are none.
        let twice =
            [("referer", "https://wiki.example.com/a"), ("referer", "https://wiki.example.com/b")];
        let page = world.ask("POST", &format!("{own}/save"), &twice).await;
        let login = links(own, &page.text);
        assert!(login.iter().any(|link| query(link, "redirect_url").as_deref() == Some("/")));
        assert_eq!(world.origin.count(), 0);
    }
}

/// FLOW-11: programs get JSON with the address of the login, as before.
#[tokio::test]
async fn flow_11_json_has_the_login() {
    for world in worlds() {
        let request = Request::post("/save?id=3")
            .header("host", "wiki.example.com")
            .header("accept", "application/json")
            .header("referer", "https://wiki.example.com/edit");
        let answer = send(&world.service, request.body(Full::new(Bytes::new())).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let json: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
        let login = json["login_url"].as_str().unwrap();
        assert_eq!(query(login, "redirect_url").as_deref(), Some("/save?id=3"));
    }
}

/// FLOW-14
#[tokio::test]
async fn flow_14_nothing_of_a_request_is_markup_on_these_pages() {
    for world in worlds() {
        for path in ["/%22%3E%3Cscript%3E//x", "/'-alert(1)-'//", "/</pre>//", "/docs?\"><script>"]
        {
            let request = Request::post(path.replace(['<', '>', '"'], "%22"))
                .header("host", "wiki.example.com")
                .header("accept", PAGE)
                .header("referer", "https://wiki.example.com/\"><script>alert(1)</script>");
            let answer = send(&world.service, request.body(Full::new(Bytes::new())).unwrap()).await;
            assert!(!answer.text.contains("<script"), "{path}: {}", answer.text);
        }
    }
}
