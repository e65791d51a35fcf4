//! What caches in front read on answers: of the inner service behind every kind of policy, and of
//! our own.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};
use tower_access::address::PeerAddress;
use tower_access::application::{Application, CorsHeaders};
use tower_access::clock::Timestamp;
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::policy::{Definitions, Facts, Group, Outcome, Policies, Policy, Rule};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::token::keys::{FetchedKeys, KeyFetch, KeyFuture, RemoteKeys};
use tower_access::{Access, AccessLayer, AuthenticateLayer, AuthorizeLayer, Identity, Rejection};

use crate::support::{
    self, Browser, Mailbox, NOW, ask_for_code, clock, log_in, person, send, two_copies_of_a_key,
};

const TEAM: &str = "https://login.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

fn staff() -> Policy {
    Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())
}

fn bypass(rule: Rule) -> Policy {
    Policy::bypass("open").include(rule)
}

fn office() -> Rule {
    Rule::ip("192.0.2.0/24").unwrap()
}

fn app(host: &str) -> Application {
    Application::new(host, &format!("{host}.example")).unwrap()
}

/// Applications that open for every reason there is, and one key whose tokens are good at `app` and
/// at `shared`.
fn world() -> (Access, SigningKey, Mailbox) {
    world_with(true)
}

/// Where service tokens are exchanged for cookies, `is_strict` is false.
fn world_with(is_strict: bool) -> (Access, SigningKey, Mailbox) {
    let (key, copy) = two_copies_of_a_key();
    let mail = Mailbox::default();
    let deploy = || Policy::service_auth("deploy").include(Rule::any_valid_service_token());
    let cors = CorsHeaders::for_origins(["https://ui.example"]).unwrap().credentials().unwrap();
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(mail.clone())
        .signing_key(copy)
        .clock(clock())
        .strict_service_token_auth(is_strict)
        .group(Group::new("all").include(Rule::everyone()))
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")))
        .application(
            app("app").audience(AUDIENCE.parse().unwrap()).policy(deploy()).policy(staff()),
        )
        .application(app("public").policy(bypass(Rule::everyone())))
        .application(app("group").policy(bypass(Rule::group("all"))))
        .application(app("office").policy(bypass(office())).policy(staff()))
        .application(app("not-office").policy(bypass(Rule::everyone()).exclude(office())))
        .application(app("in-office").policy(bypass(Rule::everyone()).require(office())))
        .application(app("mixed").policy(deploy()).policy(bypass(Rule::everyone())))
        .application(app("machines").policy(Policy::service_auth("any").include(Rule::everyone())))
        .application(
            app("shared")
                .also_for_audience(AUDIENCE.parse().unwrap())
                .policy(bypass(office()))
                .policy(deploy())
                .policy(staff())
                .insecure_allow_shared_caching(),
        )
        .application(app("scripts").policy(deploy()).policy(staff()).cors_headers(cors))
        .application(
            app("away")
                .policy(bypass(office()))
                .custom_non_identity_deny_url("https://help.example/")
                .unwrap(),
        )
        .build()
        .unwrap();
    (access, key, mail)
}

type Inner = Request<Full<Bytes>>;

/// An inner service that answers with the lines it finds in `x-answer`, and with the status in
/// `x-status`; who it thinks asks is the text.
async fn say(request: Inner) -> Result<Response<Full<Bytes>>, Infallible> {
    let seen = request.extensions().get::<Identity>().and_then(Identity::email).map(str::to_owned);
    let ours = request.headers().keys().any(|name| name.as_str().starts_with("cf-access"));
    let text = format!("{} {ours}", seen.as_deref().unwrap_or("nobody"));
    let mut response = Response::new(Full::from(text));
    for line in request.headers().get_all("x-answer") {
        let (name, value) = line.to_str().unwrap().split_once(": ").unwrap();
        let name: HeaderName = name.parse().unwrap();
        response.headers_mut().append(name, value.parse().unwrap());
    }
    if let Some(status) = request.headers().get("x-status") {
        *response.status_mut() = status.to_str().unwrap().parse().unwrap();
    }
    Ok(response)
}

fn request(host: &str, credential: &Credential, lines: &[&str]) -> Inner {
    let mut builder = Request::get("/page").header("host", format!("{host}.example"));
    for (name, value) in &credential.headers {
        builder = builder.header(*name, value);
    }
    for line in lines {
        builder = builder.header("x-answer", *line);
    }
    let mut request = builder.body(Full::default()).unwrap();
    request.extensions_mut().insert(PeerAddress(credential.address.parse().unwrap()));
    request
}

/// What a request shows.
struct Credential {
    headers: Vec<(&'static str, String)>,
    address: &'static str,
}

impl Credential {
    fn nothing() -> Self {
        Self { headers: Vec::new(), address: "198.51.100.1" }
    }

    fn of(headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { headers, ..Self::nothing() }
    }

    fn office() -> Self {
        Self { address: "192.0.2.7", ..Self::nothing() }
    }

    fn cookie(key: &SigningKey) -> Self {
        Self::of(&[("cookie", &format!("CF_Authorization={}", ada(key)))])
    }

    fn machine() -> Self {
        Self::of(&[("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")])
    }
}

fn ada(key: &SigningKey) -> String {
    key.sign(&person(TEAM, AUDIENCE, "ada@example.com")).unwrap()
}

/// Every reason to be let in that a stranger may not have: the host, and what a request shows.
fn reasons(key: &SigningKey) -> Vec<(&'static str, Credential)> {
    vec![
        ("app", Credential::cookie(key)),
        ("app", Credential::of(&[("cf-access-token", &ada(key))])),
        ("app", Credential::machine()),
        ("office", Credential::office()),
        ("not-office", Credential::nothing()),
        ("in-office", Credential::office()),
        ("mixed", Credential::nothing()),
        ("mixed", Credential::machine()),
        ("machines", Credential::nothing()),
    ]
}

/// Lines with which an inner service lets shared caches store its answer, and what has to become of
/// `Cache-Control`.
const SHARED: [(&[&str], &str); 13] = [
    (&[], "private"),
    (&["cache-control: max-age=600"], "private, max-age=600"),
    (&["cache-control: public"], "private"),
    (&["cache-control: public, max-age=600, immutable"], "private, max-age=600, immutable"),
    (&["cache-control: s-maxage=600"], "private"),
    (&["cache-control: max-age=60", "cache-control: Public"], "private, max-age=60"),
    (&["cache-control: private=\"set-cookie\", max-age=60"], "private, max-age=60"),
    (&["cache-control: max-age=600; public"], "private, no-store"),
    (&["expires: Fri, 31 Dec 2027 23:59:59 GMT"], "private"),
    (&["x-accel-expires: 600", "cache-control: private"], "private"),
    (&["surrogate-control: max-age=600", "cache-control: no-store"], "no-store"),
    (&["cdn-cache-control: max-age=600"], "private"),
    (&["cloudflare-cdn-cache-control: max-age=600", "edge-control: max-age=600"], "private"),
];

const FOR_CACHES: [&str; 5] = [
    "x-accel-expires",
    "surrogate-control",
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
    "edge-control",
];

fn cache_control(headers: &HeaderMap) -> Vec<&str> {
    headers.get_all("cache-control").iter().map(|line| line.to_str().unwrap()).collect()
}

/// HDR-21, PROTO-11
#[tokio::test]
async fn hdr_21_what_a_stranger_may_not_get_is_private_whatever_the_inner_service_says() {
    let (access, key, _) = world();
    let service = AccessLayer::new(access).layer(service_fn(say));
    for (host, credential) in &reasons(&key) {
        for (lines, expected) in SHARED {
            for method in [Method::GET, Method::HEAD, Method::POST] {
                let mut request = request(host, credential, lines);
                *request.method_mut() = method;
                let answer = send(&service, request).await;
                assert_eq!(answer.status(), StatusCode::OK, "{host}");
                let headers = &answer.parts.headers;
                assert_eq!(cache_control(headers), [expected], "{host} {lines:?}");
                for name in FOR_CACHES {
                    assert!(!headers.contains_key(name), "{host} {lines:?}");
                }
            }
        }
    }
}

/// HDR-21
#[tokio::test]
async fn hdr_21_every_status_is_private_and_validators_stay() {
    let (access, key, _) = world();
    let service = AccessLayer::new(access).layer(service_fn(say));
    let lines = [
        "cache-control: public, max-age=600",
        "etag: \"1\"",
        "last-modified: Fri, 27 Nov 2026 10:00:00 GMT",
        "expires: Fri, 31 Dec 2027 23:59:59 GMT",
        "age: 30",
        "vary: Accept-Encoding",
        "pragma: cache",
        "content-range: bytes 0-1/2",
        "location: /elsewhere",
        "surrogate-key: page",
    ];
    for status in ["200", "206", "301", "302", "304", "308", "404", "410", "416", "500"] {
        for (host, credential) in &reasons(&key) {
            let mut request = request(host, credential, &lines);
            request.headers_mut().insert("x-status", status.parse().unwrap());
            let answer = send(&service, request).await;
            assert_eq!(answer.status().as_str(), status);
            let headers = &answer.parts.headers;
            assert_eq!(cache_control(headers), ["private, max-age=600"], "{status}");
            for line in &lines[1..] {
                let (name, value) = line.split_once(": ").unwrap();
                assert_eq!(headers[name], value, "{status}");
            }
        }
    }
}

/// HDR-21
#[tokio::test]
async fn hdr_21_what_everybody_gets_stays_as_it_is_and_shows_nobody() {
    let (access, key, _) = world();
    let service = AccessLayer::new(access).layer(service_fn(say));
    for host in ["public", "group"] {
        for credential in [
            Credential::nothing(),
            Credential::office(),
            Credential::cookie(&key),
            Credential::of(&[("cf-access-token", &ada(&key))]),
            Credential::machine(),
        ] {
            for (lines, _) in SHARED {
                let answer = send(&service, request(host, &credential, lines)).await;
                assert_eq!(answer.text, "nobody false");
                let got: Vec<_> = answer
                    .parts
                    .headers
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                    .collect();
                assert_eq!(got.len(), lines.len(), "{got:?}");
                assert!(lines.iter().all(|line| got.iter().any(|it| it == line)), "{got:?}");
            }
        }
    }
}

/// HDR-21
#[tokio::test]
async fn hdr_21_shared_caches_store_by_name_alone() {
    let (access, key, _) = world();
    let service = AccessLayer::new(access).layer(service_fn(say));
    for credential in [
        Credential::office(),
        Credential::machine(),
        Credential::cookie(&key),
        Credential::of(&[("cf-access-token", &ada(&key))]),
    ] {
        for (lines, unnamed) in SHARED {
            let answer = send(&service, request("shared", &credential, lines)).await;
            assert_eq!(answer.status(), StatusCode::OK);
            let headers = &answer.parts.headers;
            let says = |word: &str| lines.iter().any(|line| line.contains(word));
            let is_named = (says("public") || says("s-maxage") || says("Public")) && !says(";");
            let written: Vec<_> =
                lines.iter().filter_map(|line| line.strip_prefix("cache-control: ")).collect();
            if is_named {
                assert_eq!(cache_control(headers), written);
            } else {
                assert_eq!(cache_control(headers), [unnamed], "{lines:?}");
            }
            for name in FOR_CACHES {
                let is_written = lines.iter().any(|line| line.starts_with(&format!("{name}:")));
                assert_eq!(headers.contains_key(name), is_written, "{lines:?}");
            }
        }
        // Without the word of the inner service the setting changes nothing.
        let answer =
            send(&service, request("shared", &credential, &["cache-control: no-store, public"]));
        assert_eq!(cache_control(&answer.await.parts.headers), ["private, no-store"]);
    }
}

/// HDR-21
#[tokio::test]
async fn hdr_21_answers_to_pages_of_other_origins_are_private_and_vary() {
    let (access, _, _) = world();
    let service = AccessLayer::new(access).layer(service_fn(say));
    let mut credential = Credential::machine();
    credential.headers.push(("origin", "https://ui.example".to_owned()));
    let lines = ["cache-control: public, max-age=600", "vary: Accept-Encoding"];
    let answer = send(&service, request("scripts", &credential, &lines)).await;
    let headers = &answer.parts.headers;
    assert_eq!(headers["access-control-allow-origin"], "https://ui.example");
    assert_eq!(cache_control(headers), ["private, max-age=600"]);
    let vary: Vec<_> = headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["Accept-Encoding", "Origin"]);
}

/// A key server that has one document.
#[derive(Debug)]
struct Published(Bytes);

impl KeyFetch for Published {
    fn fetch(&self) -> KeyFuture<'_> {
        Box::pin(async { Ok(FetchedKeys::new(self.0.clone())) })
    }
}

/// HDR-21
#[tokio::test]
async fn hdr_21_an_origin_behind_an_issuer_answers_in_private_as_well() {
    let key = SigningKey::generate().unwrap();
    let issuer = "https://acme.cloudflareaccess.com";
    let now = Timestamp::from_unix_seconds(NOW);
    let keys = PublishedKeys::new(&key, &[], issuer, now).unwrap().json();
    let access = Access::verifier_builder("acme.cloudflareaccess.com")
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .clock(clock())
        .keys(RemoteKeys::new(Published(keys)))
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(service_fn(say));
    let token = key.sign(&person(issuer, AUDIENCE, "ada@example.com")).unwrap();
    let cookie = format!("CF_Authorization={token}");
    for credential in [
        Credential::of(&[("cf-access-jwt-assertion", &token)]),
        Credential::of(&[("cookie", &cookie)]),
    ] {
        for (lines, expected) in SHARED {
            let answer = send(&service, request("any", &credential, lines)).await;
            assert_eq!(answer.text, "ada@example.com true");
            assert_eq!(cache_control(&answer.parts.headers), [expected], "{lines:?}");
        }
    }
}

/// HDR-21: which verdicts are the same for every stranger.
#[test]
fn hdr_21_a_fact_anywhere_in_the_way_makes_a_policy_one_of_facts() {
    let policy = |value| serde_json::from_value::<Policy>(value).unwrap();
    let everyone = || json!({ "everyone": {} });
    let facts = [
        json!({ "ip": { "ip": "192.0.2.0/24" } }),
        json!({ "geo": { "country_code": "FR" } }),
        json!({ "certificate": {} }),
        json!({ "common_name": { "common_name": "laptop" } }),
        json!({ "device_posture": { "integration_uid": "disk" } }),
        json!({ "any_valid_service_token": {} }),
        json!({ "service_token": { "token_id": "ci" } }),
        json!({ "group": { "id": "abroad" } }),
        json!({ "ip_list": { "id": "offices" } }),
    ];
    let groups = [
        Group::new("abroad").include(Rule::everyone()).exclude(office()),
        Group::new("all").include(Rule::everyone()),
    ];
    let list = tower_access::policy::List::networks("offices", ["192.0.2.0/24".parse().unwrap()]);
    let definitions = Definitions::new(groups, [list]).unwrap();
    let is_public = |policies: &[Policy]| {
        let policies = Policies::compile(policies, &definitions).unwrap();
        // Nothing is known: only what does not depend on facts applies for certain.
        let verdict = policies.evaluate(&Facts::default());
        (verdict.outcome() == Outcome::Bypassed).then(|| verdict.policy().unwrap().is_public())
    };
    let open = || policy(json!({ "name": "open", "decision": "bypass", "include": [everyone()] }));
    assert_eq!(is_public(&[open()]), Some(true));
    for rules in [
        json!({ "include": [{ "group": { "id": "all" } }] }),
        json!({ "include": [everyone(), facts[0]] }),
        json!({ "include": [everyone()], "require": [everyone()] }),
    ] {
        let mut value = json!({ "name": "open", "decision": "bypass" });
        value.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
        assert_eq!(is_public(&[policy(value)]), Some(true), "{rules}");
    }
    // What is asked after every `bypass` policy changes nothing, wherever it stands.
    let deny = policy(json!({ "name": "no", "decision": "deny", "include": [facts[0]] }));
    assert_eq!(is_public(&[deny, staff(), open()]), Some(true));
    for fact in &facts {
        for (decision, name) in [("bypass", "a"), ("non_identity", "b")] {
            let earlier = policy(json!({ "name": name, "decision": decision, "include": [fact] }));
            assert_eq!(is_public(&[earlier, open()]), Some(false), "{fact} {decision}");
        }
        let rules = json!({ "name": "open", "decision": "bypass",
            "include": [everyone()], "exclude": [fact] });
        assert_ne!(is_public(&[policy(rules)]), Some(true), "{fact}");
        let rules = json!({ "name": "open", "decision": "bypass",
            "include": [everyone()], "require": [fact] });
        assert_ne!(is_public(&[policy(rules)]), Some(true), "{fact}");
        let rules = json!({ "name": "open", "decision": "bypass", "include": [fact] });
        assert_ne!(is_public(&[policy(rules)]), Some(true), "{fact}");
    }
    let services =
        policy(json!({ "name": "s", "decision": "non_identity", "include": [everyone()] }));
    let policies = Policies::compile(&[services], &definitions).unwrap();
    let verdict = policies.evaluate(&Facts::default());
    assert!(!verdict.policy().unwrap().is_public());
}

/// What no cache may store says so in a way that all understand.
fn is_stored_nowhere(headers: &HeaderMap) -> bool {
    let lines = cache_control(headers);
    lines.len() == 1
        && lines[0].split(", ").any(|word| word == "no-store")
        && FOR_CACHES.iter().all(|name| !headers.contains_key(*name))
}

/// SES-24
#[tokio::test]
async fn ses_24_no_answer_of_ours_is_stored() {
    let (access, key, mail) = world();
    let service = AccessLayer::new(access.clone()).layer(service_fn(say));
    let page = ("accept", "text/html");
    let preflight = Credential::of(&[
        ("origin", "https://ui.example"),
        ("access-control-request-method", "GET"),
    ]);
    let mut refusals = vec![
        ("GET", "app", "/page", Credential::nothing()),
        ("GET", "app", "/page", Credential::of(&[page])),
        ("HEAD", "app", "/page", Credential::of(&[page])),
        ("POST", "app", "/page", Credential::of(&[page])),
        ("GET", "app", "/page", Credential::of(&[("x-requested-with", "XMLHttpRequest")])),
        ("GET", "app", "/page", Credential::of(&[("cookie", "CF_Authorization=x"), page])),
        ("GET", "app", "/page", Credential::of(&[("cf-access-client-id", "x")])),
        ("POST", "app", "/page", Credential::of(&[("content-type", "application/grpc")])),
        ("GET", "app", "/a%2fb", Credential::of(&[page])),
        ("GET", "office", "/page", Credential::of(&[page])),
        ("GET", "in-office", "/page", Credential::of(&[page])),
        ("GET", "in-office", "/page", Credential::nothing()),
        ("GET", "away", "/page", Credential::of(&[page])),
        ("GET", "nowhere", "/page", Credential::of(&[page])),
        ("OPTIONS", "scripts", "/page", preflight),
    ];
    for path in [
        "",
        "/",
        "/get-identity",
        "/logout",
        "/authorized",
        "/authorized?code=x",
        "/login",
        "/login/app.example",
        "/login/x.example",
        "/verify-code/app.example",
        "/resend-code",
        "/emailed-code",
        "/emailed-code?nonce=x",
        "/callback",
        "/sessions",
        "/cli",
        "/cli/app.example",
        "/nothing",
        "/certs/x",
    ] {
        for host in ["app", "login.example.com", "nowhere"] {
            for method in ["GET", "HEAD", "POST", "PUT", "OPTIONS"] {
                for credential in [Credential::of(&[page]), Credential::cookie(&key)] {
                    refusals.push((method, host, path, credential));
                }
            }
        }
    }
    for (method, host, path, credential) in refusals {
        let mut request = request(host, &credential, &["cache-control: public, max-age=600"]);
        *request.method_mut() = method.parse().unwrap();
        let path = match path {
            "/page" | "/a%2fb" => path.to_owned(),
            path => format!("/cdn-cgi/access{path}"),
        };
        if host == "login.example.com" {
            request.headers_mut().insert("host", host.parse().unwrap());
        }
        *request.uri_mut() = path.parse().unwrap();
        let answer = send(&service, request).await;
        let headers = &answer.parts.headers;
        assert!(is_stored_nowhere(headers), "{method} {host} {path}: {headers:?}");
    }
    // The keys are for everybody, and the same for everybody.
    let mut certs = request("app", &Credential::cookie(&key), &[]);
    *certs.uri_mut() = "/cdn-cgi/access/certs".parse().unwrap();
    let certs = send(&service, certs).await;
    assert_eq!(cache_control(&certs.parts.headers), ["public, max-age=300"]);
    assert!(!certs.parts.headers.contains_key("set-cookie"));

    // A login from the first refusal to the page, with every answer on the way.
    let mut browser = Browser::new(service.clone());
    let mut url = "https://app.example/page".to_owned();
    loop {
        let answer = browser.get(&url).await;
        assert!(is_stored_nowhere(&answer.parts.headers), "{url}: {:?}", answer.parts.headers);
        if answer.status() != StatusCode::FOUND {
            break;
        }
        url = support::absolute(&url, answer.location());
    }
    let form = ask_for_code(&mut browser, "https://app.example/page", "ada@example.com").await;
    let code = mail.code(1).await;
    let mut answer = form.submit(&mut browser, &[("code", &code)]).await;
    let mut url = form.action.clone();
    while answer.status() == StatusCode::FOUND {
        assert!(is_stored_nowhere(&answer.parts.headers), "{url}: {:?}", answer.parts.headers);
        url = support::absolute(&url, answer.location());
        answer = browser.get(&url).await;
    }
    assert_eq!(
        (answer.text.as_str(), answer.header("cache-control")),
        ("ada@example.com true", Some("private"))
    );
}

/// SES-24: layers without pages of ours.
#[tokio::test]
async fn ses_24_bare_refusals_are_stored_nowhere() {
    let (access, _, _) = world();
    let alone = AuthorizeLayer::new(access.clone()).layer(service_fn(say));
    let both = AuthenticateLayer::new(access).layer(alone.clone());
    for host in ["app", "in-office", "nowhere"] {
        for bare in [
            alone
                .clone()
                .oneshot(request(host, &Credential::nothing(), &[]))
                .await
                .unwrap()
                .map(|_| ()),
            both.clone()
                .oneshot(request(host, &Credential::nothing(), &[]))
                .await
                .unwrap()
                .map(|_| ()),
        ] {
            assert!(bare.extensions().get::<Rejection>().is_some());
            assert!(is_stored_nowhere(bare.headers()), "{host}: {:?}", bare.headers());
        }
    }
}

/// SES-24: a cookie of ours on an answer that its origin wants shared.
#[tokio::test]
async fn ses_24_a_cookie_of_ours_makes_every_answer_one_that_is_not_shared() {
    let (access, _, mail) = world_with(false);
    let service = AccessLayer::new(access).layer(service_fn(say));
    let shared = [
        "cache-control: public, max-age=600",
        "surrogate-control: max-age=600",
        "cdn-cache-control: max-age=600",
    ];
    // A service token is exchanged for a cookie, even where shared caching is allowed.
    for host in ["app", "shared"] {
        let answer = send(&service, request(host, &Credential::machine(), &shared)).await;
        assert!(answer.set_cookie("CF_Authorization").is_some(), "{host}");
        assert!(is_stored_nowhere(&answer.parts.headers), "{:?}", answer.parts.headers);
    }
    // A person goes on to another application of the host, and gets its cookie.
    let mut browser = Browser::new(service);
    log_in(&mut browser, &mail, "https://app.example/page", "ada@example.com").await;
    for line in shared {
        browser.headers.push(("x-answer", line.to_owned()));
    }
    let answer = browser.get("https://app.example/page").await;
    assert_eq!(answer.text, "ada@example.com true");
    assert_eq!(cache_control(&answer.parts.headers), ["private, max-age=600"]);
}
