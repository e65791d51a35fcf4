//! Settings of applications that change what is answered, each through real layers: pages of other
//! origins, denial pages, cookie paths, service tokens in one header, login methods.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderValue, VARY};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tower::{Layer, service_fn};
use tower_access::address::PeerAddress;
use tower_access::application::{Application, CorsHeaders};
use tower_access::clock::Timestamp;
use tower_access::explain::Question;
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::layer::AccessService;
use tower_access::login::OneTimePin;
use tower_access::policy::{Outcome, Policy, Rule, Verdict};
use tower_access::secret::{MasterSecret, SecretHash};
use tower_access::service_token::ServiceToken;
use tower_access::store::MemoryStore;
use tower_access::{
    Access, AccessLayer, AuthenticateLayer, AuthorizeLayer, Identity, Rejection, RejectionKind,
};

use crate::support::{
    Answer, Browser, Form, Mailbox, NOW, Origin, ask_for_code, clock, log_in, person, query, send,
    two_copies_of_a_key,
};

const HOST: &str = "app.example";
const TEAM: &str = "login.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const UI: &str = "https://ui.example";
const EVIL: &str = "https://evil.example";
const ADA: &str = "ada@example.com";
const EVE: &str = "eve@elsewhere.example";
const SECRET: &str = r#"{"cf-access-client-id": "ci.access", "cf-access-client-secret": "s3cret"}"#;

type Lines<'a> = &'a [(&'a str, &'a str)];
type Service = AccessService<Origin>;

struct World {
    access: Access,
    key: SigningKey,
    origin: Origin,
    service: Service,
    mail: Mailbox,
}

/// One engine over these applications, with a service token.
fn world(applications: impl IntoIterator<Item = Application>) -> World {
    world_with(OneTimePin::new(), applications)
}

fn world_with(pin: OneTimePin, applications: impl IntoIterator<Item = Application>) -> World {
    let (key, copy) = two_copies_of_a_key();
    let (mail, origin) = (Mailbox::default(), Origin::default());
    let builder = Access::builder()
        .team_domain(TEAM.parse().unwrap())
        .mailer(mail.clone())
        .signing_key(copy)
        .clock(clock())
        .one_time_pin(pin)
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")));
    let builder = applications.into_iter().fold(builder, |it, one| it.application(one));
    let access = builder.build().unwrap();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    World { access, key, origin, service, mail }
}

impl World {
    async fn ask(&self, method: &str, path: &str, lines: Lines<'_>) -> Answer {
        send(&self.service, request(method, path, lines)).await
    }

    fn cookie(&self, email: &str) -> String {
        let issuer = format!("https://{TEAM}");
        let token = self.key.sign(&person(&issuer, AUDIENCE, email)).unwrap();
        format!("CF_Authorization={token}")
    }
}

fn request(method: &str, path: &str, lines: Lines<'_>) -> Request<Full<Bytes>> {
    let builder = Request::builder().method(method).uri(path).header("host", HOST);
    let builder = lines.iter().fold(builder, |it, (name, value)| it.header(*name, *value));
    builder.body(Full::default()).unwrap()
}

/// People of example.com, and the service `ci`.
fn app() -> Application {
    Application::new("App", HOST)
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .policy(Policy::service_auth("ci").include(Rule::service_token("ci")))
        .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap()))
}

fn cors() -> CorsHeaders {
    CorsHeaders::for_origins([UI])
        .unwrap()
        .methods([Method::GET, Method::PUT])
        .all_headers()
        .max_age(600)
        .unwrap()
        .credentials()
        .unwrap()
}

/// What an answer grants: origin, and whether with credentials.
fn granted(answer: &Answer) -> (Option<&str>, Option<&str>) {
    (
        answer.header("access-control-allow-origin"),
        answer.header("access-control-allow-credentials"),
    )
}

const WITH_CREDENTIALS: (Option<&str>, Option<&str>) = (Some(UI), Some("true"));
const NOTHING: (Option<&str>, Option<&str>) = (None, None);

fn kind(answer: &Answer) -> RejectionKind {
    answer.parts.extensions.get::<Rejection>().unwrap().kind()
}

// Pages of other origins.

fn preflight(origin: &str) -> Vec<(&str, &str)> {
    vec![
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-a,authorization"),
    ]
}

#[tokio::test]
async fn meth_04_a_preflight_is_answered_before_the_origin() {
    let world = world([app().cors_headers(cors())]);
    let answer = world.ask("OPTIONS", "/x", &preflight(UI)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(granted(&answer), WITH_CREDENTIALS);
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, PUT"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("x-a,authorization"));
    assert_eq!(answer.header("access-control-max-age"), Some("600"));
    assert_eq!(
        answer.header("vary"),
        Some("Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
    );
    assert_eq!(answer.text, "");
    for origin in [EVIL, "null", "https://ui.example.evil.example", "https://app.example"] {
        let answer = world.ask("OPTIONS", "/x", &preflight(origin)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin}");
        assert_eq!(kind(&answer), RejectionKind::Preflight);
        assert_eq!(granted(&answer), NOTHING, "{origin}");
        assert!(!answer.parts.headers.contains_key("access-control-allow-methods"));
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    // No preflight, but a request for which somebody has to log in.
    let answer = world.ask("OPTIONS", "/x", &[("origin", UI)]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.origin.count(), 0);
}

#[tokio::test]
async fn without_the_setting_a_preflight_is_refused_and_no_answer_is_shared() {
    let world = world([app()]);
    let answer = world.ask("OPTIONS", "/", &preflight(UI)).await;
    assert_eq!((answer.status(), granted(&answer)), (StatusCode::FORBIDDEN, NOTHING));
    let cookie = world.cookie(ADA);
    let answer = world.ask("GET", "/", &[("origin", UI), ("cookie", &cookie)]).await;
    assert_eq!((answer.status(), granted(&answer)), (StatusCode::OK, NOTHING));
    assert!(!answer.parts.headers.contains_key(VARY));
}

#[tokio::test]
async fn an_answer_is_shared_with_a_listed_origin_alone() {
    let world = world([app().cors_headers(cors())]);
    let cookie = world.cookie(ADA);
    for (origin, grant) in [
        (Some(UI), WITH_CREDENTIALS),
        (Some(EVIL), NOTHING),
        (Some("null"), NOTHING),
        (Some("https://app.example"), NOTHING),
        (None, NOTHING),
    ] {
        let mut lines = vec![("cookie", cookie.as_str())];
        lines.extend(origin.map(|origin| ("origin", origin)));
        let answer = world.ask("GET", "/", &lines).await;
        // It is no gate: the request itself was good.
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(granted(&answer), grant, "{origin:?}");
        assert_eq!(answer.header("vary"), Some("Origin"), "{origin:?}");
    }
}

#[tokio::test]
async fn the_origins_own_grants_do_not_widen_the_setting() {
    let access = world([app().cors_headers(cors())]);
    let generous = service_fn(|request: Request<Full<Bytes>>| async move {
        let mut response = Response::new(Full::<Bytes>::default());
        let headers = response.headers_mut();
        let asking = request.headers()["origin"].clone();
        headers.insert("access-control-allow-origin", asking);
        headers.insert("access-control-allow-credentials", HeaderValue::from_static("true"));
        headers.insert("access-control-expose-headers", HeaderValue::from_static("x-total"));
        headers.insert("vary", HeaderValue::from_static("accept-encoding"));
        Ok::<_, Infallible>(response)
    });
    let service = AccessLayer::new(access.access.clone()).layer(generous);
    let cookie = access.cookie(ADA);
    for (origin, grant) in [(EVIL, NOTHING), (UI, WITH_CREDENTIALS)] {
        let lines = [("origin", origin), ("cookie", cookie.as_str())];
        let answer = send(&service, request("GET", "/", &lines)).await;
        assert_eq!(granted(&answer), grant);
        let count = |name| answer.parts.headers.get_all(name).iter().count();
        assert!(count("access-control-allow-origin") <= 1);
        assert_eq!(answer.header("access-control-expose-headers"), Some("x-total"));
        let vary: Vec<_> = answer.parts.headers.get_all(VARY).iter().collect();
        assert_eq!(vary, ["accept-encoding", "Origin"]);
    }
}

#[tokio::test]
async fn flow_11_a_script_of_a_listed_origin_can_read_why_it_was_refused() {
    let world = world([app().cors_headers(cors())]);
    let eve = world.cookie(EVE);
    let bad = [("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "wrong")];
    for (lines, status, error) in [
        (&[][..], 401, "login_required"),
        (&[("accept", "text/html")][..], 401, "login_required"),
        (&[("sec-fetch-mode", "cors")][..], 401, "login_required"),
        (&[("cookie", eve.as_str())][..], 403, "forbidden"),
        (&bad[..], 401, "invalid_service_token"),
    ] {
        for (origin, grant) in [(UI, WITH_CREDENTIALS), (EVIL, NOTHING)] {
            let mut all = vec![("origin", origin), ("sec-fetch-site", "cross-site")];
            all.extend_from_slice(lines);
            let answer = world.ask("GET", "/a", &all).await;
            if origin == UI {
                assert_eq!(answer.status(), status, "{lines:?}");
                let body: Value = serde_json::from_str(&answer.text).unwrap();
                assert_eq!(body["error"], error, "{lines:?}");
                assert_eq!(granted(&answer), grant);
            } else {
                assert_eq!(answer.header("access-control-allow-origin"), None, "{lines:?}");
            }
            assert_eq!(answer.header("vary"), Some("Origin"), "{origin} {lines:?}");
        }
    }
    // A page that is about to be shown goes to the login as ever.
    let lines = [("origin", UI), ("sec-fetch-mode", "navigate")];
    let answer = world.ask("GET", "/a", &lines).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    let grpc = [("origin", UI), ("content-type", "application/grpc-web+proto")];
    let answer = world.ask("POST", "/s/m", &grpc).await;
    assert_eq!(answer.header("grpc-status"), Some("16"));
    assert_eq!(granted(&answer), WITH_CREDENTIALS);
    assert_eq!(answer.header("access-control-expose-headers"), Some("grpc-status, grpc-message"));
}

#[tokio::test]
async fn without_credentials_nothing_says_that_they_are_allowed() {
    let listed = CorsHeaders::for_origins([UI]).unwrap();
    for (cors, origin, vary) in
        [(listed, UI, Some("Origin")), (CorsHeaders::for_all_origins(), "*", None)]
    {
        let world = world([app().cors_headers(cors)]);
        let cookie = world.cookie(ADA);
        for lines in [&[("origin", UI)][..], &[("origin", UI), ("cookie", &cookie)]] {
            let answer = world.ask("GET", "/", lines).await;
            assert_eq!(granted(&answer), (Some(origin), None), "{lines:?}");
            assert_eq!(answer.header("vary"), vary);
        }
        let answer = world.ask("OPTIONS", "/", &preflight(UI)).await;
        assert_eq!(granted(&answer), (Some(origin), None));
        assert_eq!(answer.header("access-control-allow-methods"), None);
    }
}

#[tokio::test]
async fn bare_refusals_and_verifying_engines_share_as_well() {
    let World { access, key, .. } = world([app().cors_headers(cors())]);
    let bare = AuthenticateLayer::new(access.clone())
        .layer(AuthorizeLayer::new(access).layer(Origin::default()));
    let answer = send(&bare, request("GET", "/", &[("origin", UI)])).await;
    assert_eq!((answer.status(), granted(&answer)), (StatusCode::UNAUTHORIZED, WITH_CREDENTIALS));

    let issuer = format!("https://{TEAM}");
    let now = Timestamp::from_unix_seconds(NOW);
    let keys = PublishedKeys::new(&key, &[], &issuer, now).unwrap().key_set().clone();
    let access = Access::verifier_builder(TEAM)
        .unwrap()
        .keys(keys)
        .clock(clock())
        .application(app().cors_headers(cors()))
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let answer = send(&service, request("OPTIONS", "/", &preflight(UI))).await;
    assert_eq!((answer.status(), granted(&answer)), (StatusCode::OK, WITH_CREDENTIALS));
    let token = key.sign(&person(&issuer, AUDIENCE, ADA)).unwrap();
    let lines = [("origin", UI), ("cf-access-jwt-assertion", token.as_str())];
    let answer = send(&service, request("GET", "/", &lines)).await;
    assert_eq!((answer.status(), granted(&answer)), (StatusCode::OK, WITH_CREDENTIALS));
}

// Preflights for the origin to answer.

#[tokio::test]
async fn meth_04_options_reach_the_origin_without_identity_or_cookies() {
    let world = world([app().insecure_options_preflight_bypass()]);
    let cookies = format!("{}; CF_AppSession=1; theme=dark", world.cookie(ADA));
    let token = world.cookie(ADA).split_once('=').unwrap().1.to_owned();
    let forged = [
        ("cf-access-authenticated-user-email", "admin@example.com"),
        ("Cf_Access-Jwt.Assertion", "forged"),
        ("cf-access-token", token.as_str()),
        ("cookie", cookies.as_str()),
        ("authorization", "Bearer x"),
    ];
    for lines in [preflight(EVIL), Vec::new()] {
        let before = world.origin.count();
        let all: Vec<_> = lines.into_iter().chain(forged).collect();
        let answer = world.ask("OPTIONS", "/admin", &all).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let verdict = answer.parts.extensions.get::<Verdict>().unwrap();
        assert_eq!(verdict.outcome(), Outcome::Bypassed);
        assert_eq!(world.origin.count(), before + 1);
        let seen = world.origin.last();
        assert!(seen.extensions.get::<Identity>().is_none());
        assert!(!seen.headers.keys().any(|name| name.as_str().starts_with("cf")));
        assert_eq!(seen.headers["cookie"], "theme=dark");
        assert_eq!(seen.headers["authorization"], "Bearer x");
    }
}

#[tokio::test]
async fn meth_02_nothing_but_a_plain_options_request_goes_unchecked() {
    let other = Application::new("Other", "app.example/other").unwrap();
    let world = world([app().insecure_options_preflight_bypass(), other]);
    for (method, path, line, status) in [
        ("OPTIONS", "/", ("upgrade", "websocket"), 401),
        ("OPTIONS", "/", ("upgrade", "h2c"), 401),
        ("OPTIONS", "/", ("x-http-method-override", "DELETE"), 401),
        ("OPTIONS", "/", ("x-method-override", "GET"), 401),
        ("GET", "/", ("x-http-method-override", "OPTIONS"), 302),
        ("options", "/", ("x", "y"), 401),
        ("POST", "/", ("x", "y"), 401),
        ("OPTIONS", "/other", ("x", "y"), 403),
        ("OPTIONS", "/a/..%2fother", ("x", "y"), 400),
    ] {
        let answer = world.ask(method, path, &[line, ("connection", "upgrade")]).await;
        assert_eq!(answer.status(), status, "{method} {path} {line:?}");
    }
    assert_eq!(world.origin.count(), 0);
}

#[test]
fn an_explanation_knows_what_comes_before_the_policies() {
    let question = |method: &str| {
        let json =
            serde_json::json!({ "request": { "url": "https://app.example/", "method": method } });
        serde_json::from_value::<Question>(json).unwrap()
    };
    let open = world([app().insecure_options_preflight_bypass()]).access;
    let explained = open.explain(&question("OPTIONS"));
    assert_eq!((explained.outcome, explained.id), (Outcome::Bypassed, None));
    assert!(explained.reason.contains("options_preflight_bypass"), "{explained}");
    assert_eq!(open.explain(&question("GET")).outcome, Outcome::LoginRequired);
    let shared = world([app().cors_headers(cors())]).access;
    let explained = shared.explain(&question("OPTIONS"));
    assert_eq!(explained.outcome, Outcome::LoginRequired);
    assert!(explained.notes[0].contains("cors_headers"), "{explained}");

    let picky = world([app().allowed_login_method("onetimepin")]).access;
    for (method, outcome) in [("onetimepin", Outcome::Allowed), ("okta", Outcome::LoginRequired)] {
        let mut question = Question::new("https://app.example/").with_email(ADA.parse().unwrap());
        question.identity.login_method = Some(method.into());
        let explained = picky.explain(&question);
        assert_eq!(explained.outcome, outcome, "{explained}");
        assert_eq!(explained.notes.is_empty(), outcome == Outcome::Allowed);
    }
}

#[test]
fn two_ways_to_answer_preflights_exclude_each_other() {
    let both = app().cors_headers(cors()).insecure_options_preflight_bypass();
    let error = Access::builder().mailer(Mailbox::default()).application(both).build();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`App`: `options_preflight_bypass` and `cors_headers`"), "{error}");
}

// Pages for those who are refused.

const NO_ACCESS: &str = "https://help.example/no-access?from=app";
const NO_ENTRY: &str = "https://help.example/no-entry";

fn with_deny_urls(application: Application) -> Application {
    application.custom_deny_url(NO_ACCESS).unwrap().custom_non_identity_deny_url(NO_ENTRY).unwrap()
}

/// People of example.com in the office network.
fn office() -> Application {
    Application::new("App", HOST).unwrap().audience(AUDIENCE.parse().unwrap()).policy(
        Policy::allow("staff")
            .include(Rule::email_domain("example.com").unwrap())
            .require(Rule::ip("192.0.2.0/24").unwrap()),
    )
}

async fn from(world: &World, address: &str, path: &str, lines: Lines<'_>) -> Answer {
    let mut request = request("GET", path, lines);
    let address: IpAddr = address.parse().unwrap();
    request.extensions_mut().insert(PeerAddress(address));
    send(&world.service, request).await
}

#[tokio::test]
async fn flow_01_a_browser_that_is_refused_goes_where_the_setting_says() {
    let world = world([with_deny_urls(office())]);
    let (ada, eve) = (world.cookie(ADA), world.cookie(EVE));
    let page = ("accept", "text/html,*/*");
    let (inside, outside) = ("192.0.2.7", "198.51.100.7");
    for (address, cookie, url) in [
        // Refused for who they are.
        (inside, Some(&eve), Some(NO_ACCESS)),
        // Refused for where they are: nobody gets in from there.
        (outside, Some(&eve), Some(NO_ENTRY)),
        (outside, Some(&ada), Some(NO_ENTRY)),
        (outside, None, Some(NO_ENTRY)),
        // Not refused.
        (inside, Some(&ada), None),
    ] {
        let mut lines = vec![page];
        lines.extend(cookie.map(|cookie| ("cookie", cookie.as_str())));
        let path = "/x?returnTo=https://evil.example&url=//evil.example";
        let answer = from(&world, address, path, &lines).await;
        match url {
            Some(url) => {
                assert_eq!((answer.status(), answer.location()), (StatusCode::FOUND, url));
                assert!(answer.header("cache-control").unwrap().contains("no-store"));
                assert_eq!(kind(&answer), RejectionKind::Denied);
            }
            None => assert_eq!(answer.status(), StatusCode::OK),
        }
    }
    // Nobody is asked to log in who could not get in: the login itself says the same.
    let login = format!("/cdn-cgi/access/login/{HOST}?kid={AUDIENCE}&redirect_url=%2F");
    let mut request = Request::builder().uri(&login).header("host", TEAM);
    request = request.header("accept", "text/html");
    let mut request = request.body(Full::default()).unwrap();
    request.extensions_mut().insert(PeerAddress(outside.parse().unwrap()));
    let answer = send(&world.service, request).await;
    assert_eq!((answer.status(), answer.location()), (StatusCode::FOUND, NO_ENTRY));
}

#[tokio::test]
async fn flow_11_programs_are_refused_plainly_all_the_same() {
    let world = world([with_deny_urls(office())]);
    let eve = world.cookie(EVE);
    for lines in [
        &[][..],
        &[("accept", "application/json")],
        &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")],
        &[("accept", "text/html"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
    ] {
        let all: Vec<_> = lines.iter().copied().chain([("cookie", eve.as_str())]).collect();
        for address in ["192.0.2.7", "198.51.100.7"] {
            let answer = from(&world, address, "/", &all).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{lines:?}");
            let body: Value = serde_json::from_str(&answer.text).unwrap();
            assert_eq!(body["error"], "forbidden");
        }
    }
    let grpc = [("content-type", "application/grpc-web"), ("cookie", eve.as_str())];
    let answer = world.ask("POST", "/", &[&grpc[..], &[("accept", "text/html")]].concat()).await;
    assert_eq!(answer.header("grpc-status"), Some("7"));
}

#[tokio::test]
async fn where_only_services_enter_no_login_would_help() {
    let machines = || {
        Application::new("App", HOST)
            .unwrap()
            .policy(Policy::service_auth("any").include(Rule::any_valid_service_token()))
    };
    let page = [("accept", "text/html")];
    let answer = world([with_deny_urls(machines())]).ask("GET", "/", &page).await;
    assert_eq!((answer.status(), answer.location()), (StatusCode::FOUND, NO_ENTRY));
    // A 401 was asked for by name.
    let named = machines().service_auth_401_redirect();
    let answer = world([with_deny_urls(named)]).ask("GET", "/", &page).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    // Each address for its own refusals.
    let other = machines().custom_deny_url(NO_ACCESS).unwrap();
    let answer = world([other]).ask("GET", "/", &page).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(answer.text.contains("Forbidden"));
}

#[tokio::test]
async fn a_login_that_ends_in_a_refusal_ends_there_as_well() {
    // The same address may log in to the one, and not to the other.
    let wiki = Application::new("Wiki", "wiki.example")
        .unwrap()
        .policy(Policy::allow("all").include(Rule::everyone()));
    let world = world([with_deny_urls(app()), wiki]);
    let mut browser = Browser::new(world.service.clone());
    log_in(&mut browser, &world.mail, "https://wiki.example/", EVE).await;
    let asked = browser.get(&format!("https://{HOST}/x")).await;
    let answer = browser.get(asked.location()).await;
    assert_eq!((answer.status(), answer.location()), (StatusCode::FOUND, NO_ACCESS));
    assert_eq!(answer.header("cf-access-aud"), Some(AUDIENCE));
}

#[test]
fn flow_03_nobody_is_sent_in_circles() {
    let build = |applications: Vec<Application>| {
        let builder = Access::builder().mailer(Mailbox::default());
        applications.into_iter().fold(builder, |it, one| it.application(one)).build()
    };
    let own = || app().custom_deny_url("https://app.example/denied").unwrap();
    let error = build(vec![own()]).unwrap_err().to_string();
    assert!(error.contains("`https://app.example/denied` belongs to the app"), "{error}");
    let elsewhere = Application::new("Denied", "app.example/denied")
        .unwrap()
        .policy(Policy::bypass("all").include(Rule::everyone()));
    assert!(build(vec![own(), elsewhere]).is_ok());
    let own = app().custom_non_identity_deny_url("https://APP.example./%64enied").unwrap();
    assert!(build(vec![own]).is_err());
}

// Cookies that are kept to a path.

fn at(path: &str) -> Application {
    Application::new(path, &format!("{HOST}{path}"))
        .unwrap()
        .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap()))
}

/// A login, and the answer that sets the application's cookies.
async fn authorized(world: &World, browser: &mut Browser<Service>, path: &str) -> Answer {
    let form = ask_for_code(browser, &format!("https://{HOST}{path}"), ADA).await;
    let code = world.mail.code(world.mail.len().max(1)).await;
    let done = form.submit(browser, &[("code", &code)]).await;
    let answer = browser.get(done.location()).await;
    assert_eq!(answer.location(), format!("https://{HOST}{path}"));
    answer
}

/// Names, values and paths of the cookies an answer sets.
fn cookies(answer: &Answer) -> Vec<(String, String, String)> {
    let lines = answer.parts.headers.get_all("set-cookie").iter();
    lines
        .map(|line| cookie::Cookie::parse(line.to_str().unwrap().to_owned()).unwrap())
        .map(|it| (it.name().to_owned(), it.value().to_owned(), it.path().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn ses_07_the_cookie_has_the_path_of_the_application() {
    for (path_cookie, expected) in [
        (false, &[("CF_Authorization", "/"), ("CF_Binding", "/")][..]),
        (
            true,
            &[
                ("CF_Authorization", "/docs"),
                ("CF_Authorization", "/cdn-cgi/access"),
                ("CF_Binding", "/docs"),
            ],
        ),
    ] {
        let docs = at("/docs").binding_cookie();
        let world = world([if path_cookie { docs.path_cookie() } else { docs }]);
        let mut browser = Browser::new(world.service.clone());
        let answer = authorized(&world, &mut browser, "/docs/a?b").await;
        let set = cookies(&answer);
        let paths: Vec<_> =
            set.iter().map(|(name, _, path)| (name.as_str(), path.as_str())).collect();
        assert_eq!(paths, expected);
        for line in answer.parts.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            assert!(line.contains("Secure") && line.contains("HttpOnly"), "{line}");
        }
        let answer = browser.get(&format!("https://{HOST}/docs/a")).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn ses_07_two_applications_on_one_host_leave_each_other_their_cookies() {
    for keeps in [false, true] {
        let both = ["/docs", "/wiki"].map(at);
        let world = world(both.map(|it| if keeps { it.path_cookie() } else { it }));
        let mut browser = Browser::new(world.service.clone());
        log_in(&mut browser, &world.mail, &format!("https://{HOST}/docs"), ADA).await;
        // Without a question.
        let (_, answer) = browser.visit(&format!("https://{HOST}/wiki")).await;
        assert_eq!(answer.text, "origin saw /wiki");
        // And back: with one cookie for both there is another detour.
        let answer = browser.get(&format!("https://{HOST}/docs")).await;
        assert_eq!(answer.status() == StatusCode::OK, keeps);
    }
}

#[tokio::test]
async fn ses_08_ses_09_a_logout_ends_the_session_and_clears_every_path() {
    let world = world([at("/docs").path_cookie(), at("/wiki").path_cookie(), at("/plain")]);
    let mut browser = Browser::new(world.service.clone());
    let set = authorized(&world, &mut browser, "/docs").await;
    let token = cookies(&set)[0].1.clone();
    browser.visit(&format!("https://{HOST}/wiki")).await;
    let answer = browser.get(&format!("https://{HOST}/cdn-cgi/access/get-identity")).await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text);
    let answer = browser.post(&format!("https://{HOST}/cdn-cgi/access/logout"), &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let cleared = cookies(&answer);
    for name in ["CF_Authorization", "CF_Binding"] {
        for path in ["/", "/docs", "/wiki"] {
            let is = |(n, v, p): &(String, String, String)| n == name && v.is_empty() && p == path;
            assert!(cleared.iter().any(is), "{name} {path}");
        }
    }
    assert!(browser.cookie(HOST, "CF_Authorization").is_none());
    // What was copied before is void, here and at the login.
    let stolen = format!("CF_Authorization={token}");
    let answer = world.ask("GET", "/docs", &[("cookie", &stolen)]).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    let (url, page) = browser.visit(&format!("https://{HOST}/docs")).await;
    assert!(url.contains("/cdn-cgi/access/login/") && page.text.contains("<form"), "{url}");
}

#[tokio::test]
async fn where_each_host_runs_its_login_the_sessions_cookie_is_left_alone() {
    let mail = Mailbox::default();
    let access = Access::builder()
        .mailer(mail.clone())
        .clock(clock())
        .application(at("/docs").path_cookie())
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let mut browser = Browser::new(service);
    log_in(&mut browser, &mail, &format!("https://{HOST}/docs"), ADA).await;
    let answer = browser.post(&format!("https://{HOST}/cdn-cgi/access/logout"), &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(browser.cookie(HOST, "CF_Authorization").is_none());
    let (url, _) = browser.visit(&format!("https://{HOST}/docs")).await;
    assert!(url.contains("/cdn-cgi/access/login/"), "the session is over: {url}");
}

#[test]
fn a_wildcard_has_no_cookie_path() {
    let builder = Access::builder().mailer(Mailbox::default());
    let error = builder.application(at("/docs/*").path_cookie()).build().unwrap_err().to_string();
    assert!(error.contains("`path_cookie_attribute` needs literal paths"), "{error}");
}

// Service tokens in one header.

fn single_header() -> World {
    let reads = |it: Application| it.read_service_tokens_from_header("Authorization").unwrap();
    let public = Application::new("Public", "app.example/public")
        .unwrap()
        .policy(Policy::bypass("all").include(Rule::everyone()));
    let plain = Application::new("Plain", "app.example/plain")
        .unwrap()
        .policy(Policy::service_auth("ci").include(Rule::service_token("ci")))
        .policy(Policy::bypass("all").include(Rule::everyone()));
    world([reads(app()), reads(public), plain])
}

#[tokio::test]
async fn svc_01_a_service_token_in_one_header_opens_and_stays_here() {
    let world = single_header();
    let answer = world.ask("GET", "/", &[("authorization", SECRET)]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let seen = world.origin.last();
    assert_eq!(seen.extensions.get::<Identity>().unwrap().client_id(), Some("ci.access"));
    assert!(seen.headers.contains_key("cf-access-jwt-assertion"));
    assert!(!holds_secret(&seen.headers));
    // Behind a bypass as well.
    let answer = world.ask("GET", "/public", &[("authorization", SECRET)]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let seen = world.origin.last();
    assert!(seen.extensions.get::<Identity>().is_none() && !holds_secret(&seen.headers));
    // Where it is not read it is the origin's own.
    let answer = world.ask("GET", "/plain", &[("authorization", SECRET)]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(world.origin.last().extensions.get::<Identity>().is_none());
    assert_eq!(world.origin.last().headers["authorization"], SECRET);
}

fn holds_secret(headers: &HeaderMap) -> bool {
    headers.contains_key("authorization")
        || headers.values().any(|value| value.to_str().is_ok_and(|text| text.contains("s3cret")))
}

#[tokio::test]
async fn svc_01_svc_03_nothing_but_one_good_token_counts() {
    let world = single_header();
    let wrong = SECRET.replace("s3cret", "wrong");
    let half = r#"{"cf-access-client-id": "ci.access"}"#;
    let two = [("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")];
    let ada = world.cookie(ADA);
    for lines in [
        &[("authorization", wrong.as_str())][..],
        &[("authorization", half)],
        &[("authorization", SECRET), ("authorization", SECRET)],
        &[("authorization", SECRET), ("authorization", "Bearer x")],
        // Both ways at once: which of them counts?
        &[("authorization", SECRET), two[0], two[1]],
        &[("authorization", SECRET), two[0]],
        // It was meant to count, and so nothing else does.
        &[("authorization", half), ("cookie", ada.as_str())],
    ] {
        let answer = world.ask("GET", "/", lines).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{lines:?}");
        assert_eq!(kind(&answer), RejectionKind::ServiceToken, "{lines:?}");
    }
    assert_eq!(world.origin.count(), 0);
    // A bad one is kept from the origin too.
    world.ask("GET", "/public", &[("authorization", &wrong)]).await;
    assert!(!world.origin.last().headers.contains_key("authorization"));
}

#[tokio::test]
async fn hdr_11_other_uses_of_the_header_are_left_alone() {
    let world = single_header();
    let ada = world.cookie(ADA);
    let two = [("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")];
    for value in ["Bearer abc", "Basic YTpi", "{}", r#"{"id":"x"}"#] {
        let lines = [("cookie", ada.as_str()), ("authorization", value)];
        assert_eq!(world.ask("GET", "/", &lines).await.status(), StatusCode::OK, "{value}");
        assert_eq!(world.origin.last().headers["authorization"], value);
        let lines = [two[0], two[1], ("authorization", value)];
        assert_eq!(world.ask("GET", "/", &lines).await.status(), StatusCode::OK, "{value}");
        assert_eq!(world.origin.last().headers["authorization"], value);
    }
}

#[tokio::test]
async fn an_engine_that_verifies_reads_no_service_token_and_hands_none_on() {
    let (key, _) = two_copies_of_a_key();
    let issuer = format!("https://{TEAM}");
    let now = Timestamp::from_unix_seconds(NOW);
    let keys = PublishedKeys::new(&key, &[], &issuer, now).unwrap().key_set().clone();
    let access = Access::verifier_builder(TEAM)
        .unwrap()
        .keys(keys)
        .clock(clock())
        .application(app().read_service_tokens_from_header("authorization").unwrap())
        .build()
        .unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    let answer = send(&service, request("GET", "/", &[("authorization", SECRET)])).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    let token = key.sign(&person(&issuer, AUDIENCE, ADA)).unwrap();
    let lines = [("authorization", SECRET), ("cf-access-jwt-assertion", token.as_str())];
    let answer = send(&service, request("GET", "/", &lines)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!holds_secret(&origin.last().headers));
}

// Login methods.

#[tokio::test]
async fn the_one_time_pin_is_known_by_its_id() {
    let pin = OneTimePin::new().id("0d9c3a4e");
    let world = world_with(pin, [app().allowed_login_method("0d9c3a4e")]);
    let mut browser = Browser::new(world.service.clone());
    let (url, page) = browser.visit(&format!("https://{HOST}/")).await;
    let form = Form::of(&url, &page.text);
    assert_eq!(form.value("connector_id"), "0d9c3a4e");
    assert_eq!(form.value("connector_type"), "onetimepin");
    assert_eq!(query(&url, "kid").as_deref(), Some(AUDIENCE));
    log_in(&mut browser, &world.mail, &format!("https://{HOST}/"), ADA).await;
    let answer = browser.get(&format!("https://{HOST}/cdn-cgi/access/get-identity")).await;
    let identity: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(identity["idp"]["id"], "0d9c3a4e");
    assert_eq!(identity["idp"]["type"], "onetimepin");
}

#[test]
fn pol_11_a_login_method_nobody_knows_is_refused_by_name() {
    let with = |application: Application| {
        Access::builder().mailer(Mailbox::default()).application(application).build()
    };
    let error = with(app().allowed_login_method("okta")).unwrap_err().to_string();
    assert!(error.contains("unknown login method `okta`; known: `onetimepin`"), "{error}");
    assert!(with(app().allowed_login_method("onetimepin")).is_ok());
    let (key, _) = two_copies_of_a_key();
    let now = Timestamp::from_unix_seconds(NOW);
    let keys = PublishedKeys::new(&key, &[], "https://x", now).unwrap().key_set().clone();
    let verifier = Access::verifier_builder(TEAM).unwrap().keys(keys);
    let error = verifier.application(app().allowed_login_method("onetimepin")).build();
    assert!(error.unwrap_err().to_string().contains("a setting of the issuer"));
}

/// The login method is another one after a restart; sessions live on.
#[tokio::test]
async fn a_session_by_a_method_that_no_longer_counts_is_none() {
    let (key, copy) = two_copies_of_a_key();
    let (mail, clock) = (Mailbox::default(), clock());
    let store = Arc::new(MemoryStore::new(Arc::clone(&clock), 1_000));
    let master = || MasterSecret::from_bytes([7; 32]);
    let engine = |id: &str, key, application| {
        let access = Access::builder()
            .team_domain(TEAM.parse().unwrap())
            .mailer(mail.clone())
            .clock(Arc::clone(&clock))
            .store(store.clone())
            .signing_key(key)
            .master_secret(master())
            .one_time_pin(OneTimePin::new().id(id))
            .application(application)
            .build()
            .unwrap();
        AccessLayer::new(access).layer(Origin::default())
    };
    let mut browser = Browser::new(engine("first", key, app()));
    log_in(&mut browser, &mail, &format!("https://{HOST}/"), ADA).await;
    for (application, goes_on) in [(app(), true), (app().allowed_login_method("second"), false)] {
        let copy = SigningKey::from_pkcs8_der(&copy.to_pkcs8_der().unwrap()).unwrap();
        let mut browser = browser.at(engine("second", copy, application));
        browser.forget(HOST);
        let (url, page) = browser.visit(&format!("https://{HOST}/")).await;
        assert_eq!(page.text.starts_with("origin saw"), goes_on, "{url}");
        assert_eq!(url.contains("/cdn-cgi/access/login/"), !goes_on, "{url}");
    }
}

// From the file.

#[tokio::test]
async fn pol_11_settings_of_a_file_reach_the_layers() {
    const FILE: &str = "
access:
  mail: console
  one_time_pin: { id: mail-code }
  service_tokens:
    - name: ci
      client_id: ci.access
      client_secret_hash: 'sha256:HASH'
  applications:
    - domain: app.example
      allowed_idps: [mail-code]
      read_service_tokens_from_header: Authorization
      custom_deny_url: https://help.example/no-access?from=app
      custom_non_identity_deny_url: https://help.example/no-entry
      cors_headers:
        allowed_origins: ['https://ui.example']
        allowed_methods: [GET, PUT]
        allow_all_headers: true
        allow_credentials: true
        max_age: -1
      policies:
        - { name: ci, decision: non_identity, include: [ { service_token: { token_id: ci } } ] }
        - { name: nobody, decision: deny, include: [ { everyone: {} } ] }
    - domain: app.example/raw
      options_preflight_bypass: true
      path_cookie_attribute: true
";
    let hash = "1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0";
    let text = FILE.replace("HASH", hash);
    let config = tower_access::config::Config::parse(&text, "access.yml").unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(config.access().unwrap()).layer(origin.clone());
    let ask =
        |method: &'static str, path: &'static str, lines: Vec<(&'static str, &'static str)>| {
            let service = service.clone();
            async move { send(&service, request(method, path, &lines)).await }
        };
    let answer = ask("OPTIONS", "/", preflight(UI)).await;
    assert_eq!((answer.status(), granted(&answer)), (StatusCode::OK, WITH_CREDENTIALS));
    assert_eq!(answer.header("access-control-max-age"), Some("-1"));
    let answer = ask("GET", "/", vec![("authorization", SECRET), ("origin", UI)]).await;
    assert_eq!((answer.status(), granted(&answer)), (StatusCode::OK, WITH_CREDENTIALS));
    let answer = ask("GET", "/", vec![("accept", "text/html")]).await;
    assert_eq!(answer.location(), NO_ENTRY);
    let answer = ask("OPTIONS", "/raw", preflight(EVIL)).await;
    assert_eq!((answer.status(), origin.count()), (StatusCode::OK, 2));
}
