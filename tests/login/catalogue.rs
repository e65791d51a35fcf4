//! Entries of the attack catalogue about logins, over real connections: what begins one, where it
//! leads, what it takes from strangers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tower::Layer;
use tower_access::application::{Application, CorsHeaders};
use tower_access::clock::ManualClock;
use tower_access::login::mail::{Mail, MailFuture, Mailer};
use tower_access::policy::{Policy, Rule};
use tower_access::test_util::TestIssuer;
use tower_access::{Access, AccessBuilder, AccessLayer};

use crate::support::log::{Log, Record};
use crate::support::wire::{VERSIONS, Wire};
use crate::support::{
    self, Answer, Browser, Form, Mailbox, Origin, absolute, another_code, ask_for_code, clock,
    query, send,
};

const WIKI: &str = "https://wiki.example.com";
const TEAM: &str = "https://login.example.com";
const ADA: &str = "ada@example.com";

/// Mail that arrived, whole.
#[derive(Clone, Debug, Default)]
struct Letters {
    mailbox: Mailbox,
    all: Arc<Mutex<Vec<Mail>>>,
}

impl Mailer for Letters {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        self.all.lock().unwrap().push(mail.clone());
        self.mailbox.deliver(mail)
    }
}

impl Letters {
    fn len(&self) -> usize {
        self.mailbox.len()
    }

    async fn code(&self, count: usize) -> String {
        self.mailbox.code(count).await
    }

    fn last(&self) -> Mail {
        self.all.lock().unwrap().last().unwrap().clone()
    }
}

struct World {
    access: Access,
    origin: Origin,
    mail: Letters,
    clock: Arc<ManualClock>,
}

fn staff() -> Policy {
    Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())
}

fn wiki() -> Application {
    Application::new("Wiki", "wiki.example.com").unwrap().policy(staff())
}

fn builder(mail: &Letters, clock: &Arc<ManualClock>) -> AccessBuilder {
    let everyone = || Policy::bypass("everyone").include(Rule::everyone());
    let open = |domain| Application::new("Open", domain).unwrap().policy(everyone());
    Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(open("open.example.com"))
        .application(open("wiki.example.com/cdn-cgi"))
        .application(open("wiki.example.com/cdn-cgi/access"))
        .mailer(mail.clone())
        .clock(Arc::clone(clock))
}

fn world_with(change: impl FnOnce(AccessBuilder) -> AccessBuilder) -> World {
    let (mail, clock, origin) = (Letters::default(), clock(), Origin::default());
    let access = change(builder(&mail, &clock)).build().unwrap();
    World { access, origin, mail, clock }
}

fn world() -> World {
    world_with(|builder| builder.application(wiki()))
}

impl World {
    async fn wire(&self, version: http::Version) -> Wire {
        let service = AccessLayer::new(self.access.clone()).layer(self.origin.clone());
        Wire::to(service, version).await
    }

    async fn browser(&self, version: http::Version) -> Browser<Wire> {
        Browser::new(self.wire(version).await)
    }

    async fn log_in(&self, browser: &mut Browser<Wire>, url: &str) {
        support::log_in(browser, &self.mail.mailbox, url, ADA).await;
    }
}

fn request(method: Method, host: &str, path: &str, lines: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let builder = Request::builder().method(method).uri(path).header("host", host);
    let builder = lines.iter().fold(builder, |it, (name, value)| it.header(*name, *value));
    builder.body(Full::default()).unwrap()
}

/// Waits a while for mail that must not come.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Whether the origin was asked for this path: with an authority before it over HTTP/2.
fn saw(answer: &Answer, path: &str) -> bool {
    let seen = answer.text.strip_prefix("origin saw ").unwrap_or_default();
    seen.starts_with('/') && seen == path || seen.starts_with("http") && seen.ends_with(path)
}

/// What browsers send on their own.
const BACKGROUND: [&[(&str, &str)]; 14] = [
    &[("sec-purpose", "prefetch"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
    &[("sec-purpose", "prefetch;prerender"), ("sec-fetch-mode", "navigate")],
    &[("sec-purpose", "prefetch;anonymous-client-ip")],
    &[("purpose", "prefetch"), ("accept", "text/html")],
    &[("x-moz", "prefetch")],
    &[("x-purpose", "preview"), ("accept", "text/html")],
    // An icon, a source map's script, and other parts of pages.
    &[("sec-fetch-dest", "image"), ("sec-fetch-mode", "no-cors")],
    &[("sec-fetch-dest", "script"), ("sec-fetch-mode", "no-cors")],
    &[("sec-fetch-dest", "style"), ("sec-fetch-mode", "no-cors")],
    &[("sec-fetch-dest", "font"), ("sec-fetch-mode", "cors")],
    &[("sec-fetch-dest", "manifest"), ("sec-fetch-mode", "cors")],
    &[("sec-fetch-dest", "serviceworker"), ("service-worker", "script")],
    &[("sec-fetch-dest", "video"), ("accept", "text/html")],
    &[("sec-fetch-dest", "image")],
];

fn begins_nothing(answer: &Answer, status: StatusCode, what: &str) {
    assert_eq!(answer.status(), status, "{what}");
    assert!(!answer.parts.headers.contains_key("location"), "{what}");
    assert!(!answer.parts.headers.contains_key("set-cookie"), "{what}");
    assert!(answer.header("cache-control").unwrap().contains("no-store"), "{what}");
}

/// What may follow a redirect to the login, as before.
const VISITS: [&[(&str, &str)]; 5] = [
    &[],
    &[("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
    &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
    &[("accept", "image/avif,image/webp,*/*")],
    &[("purpose", "other")],
];

#[tokio::test]
async fn flow_12_what_browsers_fetch_on_their_own_begins_no_login() {
    let issuer = TestIssuer::new();
    let verifying = issuer.verifier_builder().application(wiki()).build().unwrap();
    let own_login = world_with(|_| {
        let (mail, clock) = (Mailbox::default(), clock());
        Access::builder().application(wiki()).mailer(mail).clock(clock)
    });
    let origin = Origin::default();
    for access in [world().access, own_login.access, verifying] {
        for version in VERSIONS {
            let service = AccessLayer::new(access.clone()).layer(origin.clone());
            let wire = Wire::to(service, version).await;
            for lines in BACKGROUND {
                for method in [Method::GET, Method::HEAD, Method::POST] {
                    let what = format!("{method} {lines:?}");
                    let is_read = method == Method::GET;
                    let request = request(method, "wiki.example.com", "/favicon.ico", lines);
                    let answer = send(&wire, request).await;
                    begins_nothing(&answer, StatusCode::UNAUTHORIZED, &what);
                    assert_eq!(answer.header("www-authenticate"), Some("Cloudflare-Access"));
                    if is_read {
                        let body: Value = serde_json::from_str(&answer.text).unwrap();
                        assert_eq!(body["error"], "login_required", "{what}");
                        let login = body["login_url"].as_str().unwrap();
                        assert!(
                            login.contains("/cdn-cgi/access/login/wiki.example.com?"),
                            "{what}"
                        );
                        assert!(!login.contains("meta="), "it is tied to no browser: {what}");
                    }
                }
            }
            for lines in VISITS {
                for method in [Method::GET, Method::HEAD] {
                    let request = request(method, "wiki.example.com", "/favicon.ico", lines);
                    let answer = send(&wire, request).await;
                    assert_eq!(answer.status(), StatusCode::FOUND, "{lines:?}");
                }
            }
        }
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn flow_12_a_prefetch_of_a_person_who_is_logged_in_is_answered() {
    let world = world();
    for version in VERSIONS {
        let mut browser = world.browser(version).await;
        world.log_in(&mut browser, &format!("{WIKI}/")).await;
        for lines in BACKGROUND {
            let added: Vec<_> =
                lines.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            browser.headers.extend(added);
            let answer = browser.get(&format!("{WIKI}/logo.png")).await;
            assert!(saw(&answer, "/logo.png"), "{lines:?}: {}", answer.text);
            browser.headers.truncate(1);
        }
    }
}

#[tokio::test]
async fn flow_12_no_step_of_a_login_is_taken_ahead_of_a_visit() {
    let world = world();
    for version in VERSIONS {
        let before = world.mail.len();
        let mut browser = world.browser(version).await;
        let refused = browser.get(&format!("{WIKI}/")).await;
        let form = ask_for_code(&mut browser, &format!("{WIKI}/"), ADA).await;
        let code = world.mail.code(before + 1).await;
        let resend = format!("{TEAM}/cdn-cgi/access/resend-code?nonce={}", form.value("nonce"));
        let ahead = ("sec-purpose", "prefetch".to_owned());
        let image = ("sec-fetch-dest", "image".to_owned());
        for line in [&ahead, &image] {
            browser.headers.push(line.clone());
            for url in [refused.location(), &resend] {
                let answer = browser.get(url).await;
                begins_nothing(&answer, StatusCode::FORBIDDEN, url);
            }
            browser.headers.pop();
        }
        settle().await;
        assert_eq!(world.mail.len(), before + 1, "no code is mailed ahead of a visit");
        // The code that was mailed counts, and so does the grant that it leads to.
        let done = form.submit(&mut browser, &[("code", &code)]).await;
        browser.headers.push(ahead.clone());
        let answer = browser.get(done.location()).await;
        begins_nothing(&answer, StatusCode::FORBIDDEN, "authorized");
        browser.headers.pop();
        let (_, page) = browser.visit(done.location()).await;
        assert!(saw(&page, "/"), "{}", page.text);
        // A person who points at a link is not logged out.
        for line in [ahead, ("purpose", "prefetch".to_owned()), ("x-moz", "prefetch".to_owned())] {
            browser.headers.push(line);
            let page = browser.get(&format!("{WIKI}/cdn-cgi/access/logout")).await;
            assert!(page.text.contains("<form"), "{}", page.text);
            assert!(!page.parts.headers.contains_key("set-cookie"));
            browser.headers.pop();
            assert_eq!(browser.get(&format!("{WIKI}/")).await.status(), StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn flow_13_a_refusal_has_nothing_of_the_inner_service_and_hands_on_no_body() {
    let marked = |status: StatusCode| {
        tower::service_fn(move |_: Request<hyper::body::Incoming>| async move {
            let answer = http::Response::builder().status(status).header("x-inner", "yes");
            Ok::<_, std::convert::Infallible>(answer.body(Full::<Bytes>::from("INNER")).unwrap())
        })
    };
    let vault = Policy::allow("chair").include(Rule::email("chair@example.com").unwrap());
    let vault = Application::new("Vault", "vault.example.com").unwrap().policy(vault);
    let world = world_with(|builder| builder.application(wiki()).application(vault));
    for version in VERSIONS {
        let mut browser = world.browser(version).await;
        world.log_in(&mut browser, &format!("{WIKI}/")).await;
        let wire =
            Wire::to(AccessLayer::new(world.access.clone()).layer(marked(StatusCode::OK)), version);
        let mut browser = browser.at(wire.await);
        let inside = browser.get(&format!("{WIKI}/")).await;
        assert_eq!((&*inside.text, inside.header("x-inner")), ("INNER", Some("yes")));
        for (method, url) in [
            ("GET", "https://vault.example.com/"),
            ("POST", "https://vault.example.com/"),
            ("PUT", "https://vault.example.com/upload"),
            ("GET", "https://nowhere.example.com/"),
            ("POST", "https://wiki.example.com/a%2fb"),
            ("GET", "https://login.example.com/cdn-cgi/access/login/wiki.example.com"),
            ("POST", "https://wiki.example.com/cdn-cgi/access/nothing"),
        ] {
            let answer = browser.send(method, url, "THE-BODY-OF-THE-REQUEST").await;
            assert_ne!(answer.status(), StatusCode::OK, "{method} {url}");
            assert_eq!(answer.header("x-inner"), None, "{method} {url}");
            for text in ["INNER", "THE-BODY"] {
                assert!(!answer.text.contains(text), "{method} {url}: {}", answer.text);
            }
        }
    }
    // The inner service is not even asked.
    let before = world.origin.count();
    let wire = world.wire(VERSIONS[0]).await;
    for method in [Method::GET, Method::POST, Method::PUT] {
        let mut request = request(method, "vault.example.com", "/", &[]);
        *request.body_mut() = Full::from("THE-BODY-OF-THE-REQUEST");
        let answer = send(&wire, request).await;
        assert!(!answer.text.contains("THE-BODY"));
    }
    assert_eq!(world.origin.count(), before);
}

/// The prefix is Cloudflare's, which clients know by heart: no setting moves it.
#[tokio::test]
async fn flow_17_one_prefix_is_the_logins_own_on_every_host() {
    let world = world();
    let hosts =
        ["wiki.example.com", "open.example.com", "login.example.com", "nowhere.example.com"];
    for version in VERSIONS {
        let wire = world.wire(version).await;
        for host in hosts {
            for path in ["", "/", "/certs", "/login/wiki.example.com", "/of/years/to/come?x=1"] {
                for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
                    let path = format!("/cdn-cgi/access{path}");
                    let answer = send(&wire, request(method, host, &path, &[])).await;
                    assert!(!answer.text.contains("origin saw"), "{host}{path}");
                }
            }
        }
        assert_eq!(world.origin.count(), 0, "not even to an application that names the prefix");
        // And nothing else is.
        for path in ["/cdn-cgi/accessory", "/cdn-cgi/access.html", "/cdn-cgi/trace"] {
            for host in ["wiki.example.com", "open.example.com"] {
                let answer = send(&wire, request(Method::GET, host, path, &[])).await;
                assert!(saw(&answer, path), "{host}: {}", answer.text);
            }
        }
        world.origin.received.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn flow_10_a_link_of_another_site_adds_nothing_to_a_login() {
    let world = world();
    let hostile = "&prompt=none&scope=admin&acr_values=0&ui_locales=xx&login_hint=eve%40evil.example\
                   &connector_id=evil&idp=evil&return_to=https://evil.example/&email=eve%40evil.example";
    for version in VERSIONS {
        let mut browser = world.browser(version).await;
        let start = browser.get(&format!("{WIKI}/docs")).await.location().to_owned();
        let plain = browser.get(&start).await;
        let page = browser.get(&format!("{start}{hostile}")).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.text, plain.text, "the page knows nothing of them");
        // What it does know is there once.
        for name in ["kid", "redirect_url", "meta"] {
            let twice = browser.get(&format!("{start}&{name}=x")).await;
            assert_eq!(twice.status(), StatusCode::BAD_REQUEST, "{name}");
        }
        // Nor do fields of the form say where it leads.
        let before = world.mail.len();
        let mut form = Form::of(&start, &page.text);
        for (name, value) in &mut form.hidden {
            *value = format!("https://evil.example/{name}");
        }
        let sent = form.submit(&mut browser, &[("email", ADA), ("scope", "admin")]).await;
        assert!(!sent.location().contains("evil"), "{}", sent.location());
        let code_url = absolute(TEAM, sent.location());
        let code = world.mail.code(before + 1).await;
        let form = Form::of(&code_url, &browser.get(&code_url).await.text);
        let done = form.submit(&mut browser, &[("code", &code), ("next", "//evil.example")]).await;
        let (url, _) = browser.visit(done.location()).await;
        assert_eq!(url, format!("{WIKI}/docs"));
    }
}

/// There is no provider to come back from: the callback takes a typed code, by `POST` alone.
#[tokio::test]
async fn flow_08_a_callback_that_nobody_asked_for_does_nothing_and_echoes_nothing() {
    const SCRIPT: &str = "%3Cscript%3Ealert(1)%3C/script%3E";
    let world = world();
    for version in VERSIONS {
        let before = world.mail.len();
        let mut browser = world.browser(version).await;
        let form = ask_for_code(&mut browser, &format!("{WIKI}/"), ADA).await;
        let code = world.mail.code(before + 1).await;
        let nonce = form.value("nonce").to_owned();
        let of_provider = format!(
            "code={code}&nonce={nonce}&state=x&iss=https://evil.example&error={SCRIPT}\
             &error_description={SCRIPT}"
        );
        for host in [TEAM, WIKI] {
            for (method, step, body) in [
                ("GET", "callback", ""),
                ("HEAD", "callback", ""),
                ("POST", "callback", ""),
                ("POST", "callback", &*format!("error={SCRIPT}&state={SCRIPT}")),
                ("POST", "callback", &*format!("code={SCRIPT}&nonce={SCRIPT}")),
                ("GET", "authorized", ""),
            ] {
                let url = format!("{host}/cdn-cgi/access/{step}?{of_provider}");
                let answer = browser.send(method, &url, body).await;
                assert!(answer.set_cookie("CF_Authorization").is_none(), "{method} {url}");
                assert!(!answer.text.contains("<script"), "{}", answer.text);
                if let Some(location) = answer.header("location") {
                    assert!(!location.contains("evil") && !location.contains("script"));
                }
            }
        }
        // The code has not been used up by any of it; then it works, once.
        let mut without_session = browser.at(world.wire(version).await);
        let done = form.submit(&mut browser, &[("code", &code)]).await;
        assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
        let again = form.submit(&mut without_session, &[("code", &code)]).await;
        assert_eq!(again.status(), StatusCode::FORBIDDEN);
        // So does the grant: a second one who brings it gets no cookie.
        let cookie = |answer: &Answer| answer.set_cookie("CF_Authorization").is_some();
        assert!(cookie(&browser.get(done.location()).await));
        assert!(!cookie(&browser.get(done.location()).await));
    }
}

#[tokio::test]
async fn flow_04_no_list_of_hosts_or_origins_is_a_pattern() {
    let shared = CorsHeaders::for_origins(["https://app.example.com"]).unwrap();
    let world = world_with(|builder| builder.application(wiki().cors_headers(shared)));
    let near = [
        "https://wikiXexample.com",
        "https://wiki.example.com.evil.example",
        "https://wiki.example.com@evil.example",
        "https://xwiki.example.com",
        "https://wiki-example.com",
        "http://wiki.example.com",
        "https://wiki.example.com:8443",
        "//wiki.example.com",
        "null",
    ];
    for version in VERSIONS {
        let mut browser = world.browser(version).await;
        let start = browser.get(&format!("{WIKI}/docs")).await.location().to_owned();
        let (kid, meta) = (query(&start, "kid").unwrap(), query(&start, "meta").unwrap());
        let login = |host: &str, target: &str| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("kid", &*kid), ("meta", &*meta), ("redirect_url", target)])
                .finish();
            format!("{TEAM}/cdn-cgi/access/login/{host}?{query}")
        };
        // Only the application's own origin is followed.
        let page = browser.get(&login("wiki.example.com", &format!("{WIKI}/a"))).await;
        assert_eq!(Form::of(TEAM, &page.text).value("redirect_url"), "/a");
        for origin in near {
            let page = browser.get(&login("wiki.example.com", &format!("{origin}/a"))).await;
            let target = Form::of(TEAM, &page.text).value("redirect_url").to_owned();
            assert_eq!(target, "/", "{origin}");
        }
        for host in ["wikiXexample.com", "wiki.example.com.evil.example", "xwiki.example.com"] {
            let page = browser.get(&login(host, "/a")).await;
            assert_eq!(page.status(), StatusCode::NOT_FOUND, "{host}");
        }
        // Only a listed origin may read.
        let wire = world.wire(version).await;
        let allowed = async |origin: &str| {
            let lines = [("origin", origin), ("sec-fetch-mode", "cors")];
            let request = request(Method::GET, "wiki.example.com", "/", &lines);
            send(&wire, request).await.header("access-control-allow-origin").map(str::to_owned)
        };
        assert_eq!(
            allowed("https://app.example.com").await.as_deref(),
            Some("https://app.example.com")
        );
        for origin in [
            "https://appXexample.com",
            "https://app.example.com.evil.example",
            "https://xapp.example.com",
            "http://app.example.com",
            "https://app.example.com:8443",
            "null",
        ] {
            assert_eq!(allowed(origin).await, None, "{origin}");
        }
        // A logout leads to hosts of ours alone.
        for origin in near.into_iter().filter(|origin| !origin.contains("//wiki.example.com")) {
            let out = format!("{TEAM}/cdn-cgi/access/logout?returnTo={origin}/a");
            let page = browser.get(&out).await;
            assert!(!page.text.contains(&format!("{origin}/a")), "{origin}: {}", page.text);
        }
    }
}

/// No cookie is put together from parts: a token stands in one cookie or is none.
#[tokio::test]
async fn ses_06_parts_of_a_token_in_several_cookies_are_no_token() {
    let world = world();
    for version in VERSIONS {
        let mut browser = world.browser(version).await;
        world.log_in(&mut browser, &format!("{WIKI}/")).await;
        let token = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
        let (first, second) = token.split_at(token.len() / 2);
        let wire = world.wire(version).await;
        let before = world.origin.count();
        for names in [
            ["CF_Authorization", "CF_Authorization.1"],
            ["CF_Authorization.0", "CF_Authorization.1"],
            ["CF_Authorization_0", "CF_Authorization_1"],
            ["CF_AuthorizationC1", "CF_AuthorizationC2"],
            ["CF_Authorization", "CF_Authorization"],
            ["CF_Authorization.-1", "CF_Authorization.99999999"],
        ] {
            for (one, other) in [(first, second), (second, first), (first, first)] {
                for count in ["", "; CF_Authorization=chunks:2", "; CF_Authorization=99999999"] {
                    let line = format!("{}={one}; {}={other}{count}", names[0], names[1]);
                    let lines = [("cookie", line.as_str())];
                    let request = request(Method::GET, "wiki.example.com", "/", &lines);
                    assert_eq!(send(&wire, request).await.status(), StatusCode::FOUND, "{names:?}");
                }
            }
        }
        assert_eq!(world.origin.count(), before);
        // Parts beside the whole do not lock anybody out.
        let line = format!("CF_Authorization.0={first}; CF_Authorization={token}");
        let lines = [("cookie", line.as_str())];
        let request = request(Method::GET, "wiki.example.com", "/", &lines);
        assert_eq!(send(&wire, request).await.status(), StatusCode::OK);
    }
}

/// When a token ends, by what it says itself.
fn end_of(token: &str) -> u64 {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap()
}

/// What a browser is remembered by only spares it to wait for others: there is no "remember me".
#[tokio::test]
async fn ses_14_a_browser_that_was_here_before_has_the_limits_of_everybody() {
    let hour = Duration::from_secs(3600);
    let world = world_with(|builder| builder.application(wiki().session_duration(hour)));
    for version in VERSIONS {
        let mut browser = world.browser(version).await;
        world.log_in(&mut browser, &format!("{WIKI}/")).await;
        let device = browser.cookie("login.example.com", "CF_Device").unwrap();
        let first = browser.cookie("wiki.example.com", "CF_Authorization").unwrap();
        assert_eq!(end_of(&first), 3600);
        world.clock.advance(hour);
        assert_eq!(browser.get(&format!("{WIKI}/")).await.status(), StatusCode::FOUND);
        // The device alone is no session.
        let mut alone = world.browser(version).await;
        alone.set_cookie("login.example.com", "CF_Device", &device);
        alone.set_cookie("wiki.example.com", "CF_Device", &device);
        let (_, page) = alone.visit(&format!("{WIKI}/")).await;
        assert!(page.text.contains("name=\"email\""), "{}", page.text);
        // Its attempts are counted: the code is dead after as many as everybody has.
        let before = world.mail.len();
        let form = ask_for_code(&mut alone, &format!("{WIKI}/"), ADA).await;
        let code = world.mail.code(before + 1).await;
        let mut attempts = 0;
        let last = loop {
            let page = form.submit(&mut alone, &[("code", &another_code(&code))]).await;
            assert_eq!(page.status(), StatusCode::FORBIDDEN);
            attempts += 1;
            if page.text.contains("Too many wrong codes") || attempts == 10 {
                break page;
            }
        };
        assert!(attempts < 10, "{}", last.text);
        let page = form.submit(&mut alone, &[("code", &code)]).await;
        assert_eq!(page.status(), StatusCode::FORBIDDEN);
        // And a login with it lasts as long as every other.
        world.clock.advance(hour);
        world.log_in(&mut alone, &format!("{WIKI}/")).await;
        let second = alone.cookie("wiki.example.com", "CF_Authorization").unwrap();
        assert_eq!(end_of(&second), 3600);
        world.clock.advance(hour);
        assert_eq!(alone.get(&format!("{WIKI}/")).await.status(), StatusCode::FOUND);
        world.clock.advance(24 * hour);
    }
}

#[tokio::test]
async fn otp_12_looking_uses_up_nothing_and_logs_nobody_in() {
    let world = world();
    for version in VERSIONS {
        let before = world.mail.len();
        let mut browser = world.browser(version).await;
        let start = browser.get(&format!("{WIKI}/")).await.location().to_owned();
        let form = ask_for_code(&mut browser, &format!("{WIKI}/"), ADA).await;
        let code = world.mail.code(before + 1).await;
        let nonce = form.value("nonce").to_owned();
        let addresses = [
            start,
            format!("{TEAM}/cdn-cgi/access/callback?code={code}&nonce={nonce}"),
            format!("{TEAM}/cdn-cgi/access/verify-code/wiki.example.com?nonce={nonce}&code={code}"),
            format!("{WIKI}/cdn-cgi/access/authorized?nonce={nonce}&code={code}"),
            format!("{WIKI}/?code={code}&nonce={nonce}"),
        ];
        // Software that looks at mails, and the browser itself.
        let mut scanner = world.browser(version).await;
        for url in &addresses {
            for method in ["HEAD", "GET", "GET"] {
                let answers =
                    [scanner.send(method, url, "").await, browser.send(method, url, "").await];
                for answer in answers {
                    assert!(answer.set_cookie("CF_Authorization").is_none(), "{method} {url}");
                }
            }
        }
        // Nor does whoever has the code without the browser get in.
        let stolen = form.submit(&mut scanner, &[("code", &code)]).await;
        assert_eq!(stolen.status(), StatusCode::FORBIDDEN);
        assert_eq!(world.mail.len(), before + 1);
        let done = form.submit(&mut browser, &[("code", &code)]).await;
        assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
    }
}

#[tokio::test]
async fn otp_13_nothing_in_the_mail_comes_from_the_request() {
    let world = world();
    let forged = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-server", "evil.example"),
        ("x-original-url", "https://evil.example/"),
        ("forwarded", "host=evil.example;proto=gopher"),
        ("x-host", "evil.example"),
        ("referer", "https://evil.example/"),
    ];
    for version in VERSIONS {
        let before = world.mail.len();
        let mut browser = world.browser(version).await;
        browser.headers.extend(forged.map(|(name, value)| (name, value.to_owned())));
        let _ = ask_for_code(&mut browser, &format!("{WIKI}/"), ADA).await;
        world.mail.code(before + 1).await;
        let mail = world.mail.last();
        // The link leads to the login, and what follows the address is ours.
        let link = "https://login.example.com/cdn-cgi/access/emailed-code?nonce=";
        let without_link = |part: &str| {
            let Some((before, rest)) = part.split_once(link) else { return part.to_owned() };
            let rest =
                rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "-_#".contains(c));
            format!("{}{rest}", before.trim_end_matches("href=\""))
        };
        assert!(mail.text.contains(link) && mail.html.contains(link));
        for part in [&mail.subject, &mail.text, &mail.html].map(|part| without_link(part)) {
            for text in ["evil", "gopher", "://", "href"] {
                assert!(!part.contains(text), "{text} in {part}");
            }
        }
        assert!(mail.text.contains("wiki.example.com"), "{}", mail.text);
        assert_eq!(mail.to.as_str(), ADA);
        // A host that runs no login mails nothing.
        let (url, page) = browser.visit(&format!("{WIKI}/")).await;
        let mut form = Form::of(&url, &page.text);
        form.action = form.action.replace("login.example.com", "evil.example");
        browser.set_cookie("evil.example", "CF_Session", &"0".repeat(32));
        let answer = form.submit(&mut browser, &[("email", ADA)]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        settle().await;
        assert_eq!(world.mail.len(), before + 1);
    }
}

type Change = fn(&World) -> AccessBuilder;

/// What may change between a code that is sent and one that is typed.
fn changes() -> [(&'static str, Change); 4] {
    [
        ("the address was removed", |world| {
            let bob = Policy::allow("bob").include(Rule::email("bob@example.com").unwrap());
            let wiki = Application::new("Wiki", "wiki.example.com").unwrap().policy(bob);
            builder(&world.mail, &world.clock).application(wiki)
        }),
        ("the address is blocked", |world| {
            let deny = Policy::deny("no ada").include(Rule::email(ADA).unwrap());
            let wiki = Application::new("Wiki", "wiki.example.com").unwrap();
            builder(&world.mail, &world.clock).application(wiki.policy(deny).policy(staff()))
        }),
        ("a condition was added", |world| {
            let policy = staff().require(Rule::ip("192.0.2.0/24").unwrap());
            let wiki = Application::new("Wiki", "wiki.example.com").unwrap().policy(policy);
            builder(&world.mail, &world.clock).application(wiki)
        }),
        ("the application is gone", |world| builder(&world.mail, &world.clock)),
    ]
}

#[tokio::test]
async fn otp_19_what_was_changed_since_the_code_was_sent_counts() {
    for (name, change) in changes() {
        for version in VERSIONS {
            let world = world();
            let mut browser = world.browser(version).await;
            let form = ask_for_code(&mut browser, &format!("{WIKI}/"), ADA).await;
            let code = world.mail.code(1).await;
            world.access.reload(change(&world)).unwrap();
            let answer = form.submit(&mut browser, &[("code", &code)]).await;
            if answer.status() == StatusCode::FOUND {
                let _ = browser.visit(answer.location()).await;
            }
            assert!(browser.cookie("wiki.example.com", "CF_Authorization").is_none(), "{name}");
            let answer = browser.get(&format!("{WIKI}/")).await;
            assert_ne!(answer.status(), StatusCode::OK, "{name}");
            assert_eq!(world.origin.count(), 0, "{name}");
        }
    }
    // Between the code and the way back to the application as well.
    for (name, change) in changes() {
        let world = world();
        let mut browser = world.browser(VERSIONS[0]).await;
        let form = ask_for_code(&mut browser, &format!("{WIKI}/"), ADA).await;
        let code = world.mail.code(1).await;
        let answer = form.submit(&mut browser, &[("code", &code)]).await;
        world.access.reload(change(&world)).unwrap();
        let _ = browser.visit(answer.location()).await;
        assert!(browser.cookie("wiki.example.com", "CF_Authorization").is_none(), "{name}");
        assert_eq!(world.origin.count(), 0, "{name}");
    }
    // A change that lets somebody in sends nothing afterwards: the code was never mailed.
    let world = world_with(|builder| {
        let bob = Policy::allow("bob").include(Rule::email("bob@example.com").unwrap());
        builder.application(Application::new("Wiki", "wiki.example.com").unwrap().policy(bob))
    });
    let mut browser = world.browser(VERSIONS[0]).await;
    let form = ask_for_code(&mut browser, &format!("{WIKI}/"), ADA).await;
    world.access.reload(builder(&world.mail, &world.clock).application(wiki())).unwrap();
    let answer = form.submit(&mut browser, &[("code", "123456")]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.mail.len(), 0);
}

#[tokio::test]
async fn otp_20_a_code_that_nobody_used_is_in_the_log() {
    let log = Log::of_this_test();
    let world = world();
    for (version, email) in
        VERSIONS.into_iter().zip(["never-used-1@example.com", "never-used-2@example.com"])
    {
        let mut browser = world.browser(version).await;
        let _ = ask_for_code(&mut browser, &format!("{WIKI}/"), email).await;
        let records = log.with("email", email);
        // Others follow, of its mail.
        let requested = |record: &&Record| record.field("event") == Some("pin_requested");
        assert_eq!(records.iter().filter(requested).count(), 1, "{records:?}");
        let record = &records[0];
        assert!(record.is_audit() && record.message().contains("requested"), "{record:?}");
        assert_eq!(record.field("application"), Some("Wiki"));
        assert!(record.field("address").is_some() && record.field("eligible").is_some());
        // Nobody has logged in with it.
        assert!(!records.iter().any(|record| record.message() == "logged in"));
    }
    let mut browser = world.browser(VERSIONS[0]).await;
    support::log_in(&mut browser, &world.mail.mailbox, &format!("{WIKI}/"), "used@example.com")
        .await;
    let records = log.with("email", "used@example.com");
    assert!(records.iter().any(|record| record.message() == "logged in"), "{records:?}");
}
