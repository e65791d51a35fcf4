//! A public port: every address that is made has it, whatever a request says of its own.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Layer, Service, ServiceExt};
use tower_access::application::{Application, PublicAddresses};
use tower_access::clock::Timestamp;
use tower_access::config::Config;
use tower_access::inspect::check_text;
use tower_access::inspect::lint::Severity;
use tower_access::issuer::SigningKey;
use tower_access::policy::{Policy, Rule};
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy};
use tower_access::{Access, AccessBuilder, AccessLayer};

use crate::support::{self, Browser, Form, Mailbox, absolute, ask_for_code, clock, log_in, send};

const WIKI: &str = "wiki.example.com";
const TEAM: &str = "login.example.com";
/// What `Host` says beside the name: fronts pass it on, cut it off, or put their own there.
const SENT_PORTS: [&str; 4] = [":8443", "", ":443", ":9999"];

/// What is between the browser and the layer: rewrites the port in `Host`, and keeps every answer.
#[derive(Clone)]
struct Front<S> {
    inner: S,
    sent_port: &'static str,
    answers: Arc<Mutex<Vec<(String, String)>>>,
}

impl<S, R> Service<Request<Full<Bytes>>> for Front<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: std::fmt::Debug,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        let name = request.headers()["host"].to_str().unwrap().to_owned();
        let name = name.split(':').next().unwrap();
        let host = format!("{name}{}", self.sent_port);
        request.headers_mut().insert("host", host.parse().unwrap());
        let Self { inner, answers, .. } = self.clone();
        Box::pin(async move {
            let asked = format!("{} {}", request.method(), request.uri());
            let (parts, body) = inner.oneshot(request).await?.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let text = String::from_utf8_lossy(&body);
            let answer = format!("{:?}\n{text}", parts.headers);
            answers.lock().unwrap().push((asked, answer));
            Ok(Response::from_parts(parts, Full::from(body)))
        })
    }
}

/// All that a text says, in every encoding that addresses travel in.
fn readings(text: &str) -> Vec<String> {
    let mut all = vec![text.to_owned()];
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    if decoded != text {
        all.extend(readings(&decoded));
    }
    for word in text.split(|c: char| !c.is_ascii_alphanumeric() && !"+/=-_".contains(c)) {
        let found = [STANDARD.decode(word), URL_SAFE.decode(word), URL_SAFE_NO_PAD.decode(word)];
        let found = found.into_iter().flatten().filter_map(|it| String::from_utf8(it).ok());
        all.extend(found.filter(|it| it.len() > 8 && it.contains("example.com")));
    }
    all
}

/// The addresses of ours in a text that lack the port.
fn addresses_without_port(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for reading in readings(&text.replace("\\/", "/").replace("&#x2f;", "/")) {
        for host in [WIKI, TEAM] {
            for (index, _) in reading.match_indices(&format!("//{host}")) {
                let address: String = reading[index..].chars().take(60).collect();
                if !address[2 + host.len()..].starts_with(":8443") {
                    found.push(address);
                }
            }
        }
    }
    found
}

#[test]
fn the_slow_check_finds_what_it_looks_for() {
    for text in [
        "location: https://wiki.example.com/dash",
        "redirect_url=https%3A%2F%2Fwiki.example.com%2F",
        "returnTo=https%253A%252F%252Flogin.example.com:443%252F",
        "wss://wiki.example.com:844/",
        &STANDARD.encode("{\"redirect_url\":\"https://wiki.example.com/\"}"),
        &format!("a.{}.c", URL_SAFE_NO_PAD.encode("{\"iss\":\"https://login.example.com\"}")),
    ] {
        assert!(!addresses_without_port(text).is_empty(), "{text}");
    }
    assert!(addresses_without_port("https://wiki.example.com:8443/ wiki.example.com").is_empty());
}

fn payload(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Copies of one key: making one takes long.
fn key() -> SigningKey {
    static KEY: LazyLock<Vec<u8>> =
        LazyLock::new(|| SigningKey::generate().unwrap().to_pkcs8_der().unwrap().to_vec());
    SigningKey::from_pkcs8_der(&KEY).unwrap()
}

struct World {
    access: Access,
    mail: Mailbox,
    origin: support::Origin,
}

fn world(team: bool, addresses: PublicAddresses) -> World {
    let mail = Mailbox::default();
    let access = builder(team, addresses, &mail).build().unwrap();
    World { access, mail, origin: support::Origin::default() }
}

fn builder(team: bool, addresses: PublicAddresses, mail: &Mailbox) -> AccessBuilder {
    let wiki = Application::new("Wiki", WIKI)
        .unwrap()
        .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap()));
    let builder = Access::builder()
        .mailer(mail.clone())
        .clock(clock())
        .signing_key(key())
        .public_addresses(addresses)
        .application(wiki);
    if team { builder.team_domain(TEAM.parse().unwrap()) } else { builder }
}

fn on_8443() -> PublicAddresses {
    PublicAddresses::with_port(8443).unwrap()
}

/// Through all that there is for a browser and a command-line client; the answers.
async fn tour(team: bool, sent_port: &'static str) -> Vec<(String, String)> {
    let World { access, mail, origin } = world(team, on_8443());
    let answers: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    let front = Front { inner: service, sent_port, answers: Arc::clone(&answers) };
    let mut browser = Browser::new(front.clone());
    let dash = "https://wiki.example.com:8443/dash?q=1";
    let host = if team { TEAM } else { WIKI };

    let page = log_in(&mut browser, &mail, dash, "ada@example.com").await;
    assert_eq!(page, "origin saw /dash?q=1");
    let token = browser.cookie(WIKI, "CF_Authorization").unwrap();
    let issuer = format!("https://{host}:8443");
    assert_eq!(payload(&token)["iss"], issuer);
    assert_eq!(origin.last().headers["cf-access-jwt-assertion"], token.as_str());

    // Somebody who may not come in, at the login and at the application.
    let mut eve = Browser::new(front.clone());
    let form = ask_for_code(&mut eve, dash, "eve@example.org").await;
    let answer = form.submit(&mut eve, &[("code", "000000")]).await;
    assert_ne!(answer.status(), StatusCode::OK);

    // Forms of old browsers, which name their origin alone.
    browser.headers.push(("origin", issuer.clone()));
    let sessions = format!("{issuer}/cdn-cgi/access/sessions");
    assert_eq!(browser.post(&sessions, &[("end", "others")]).await.status(), StatusCode::FOUND);
    for foreign in [format!("https://{host}"), format!("https://{host}:9999"), "null".to_owned()] {
        browser.headers.pop();
        browser.headers.push(("origin", foreign.clone()));
        let answer = browser.post(&sessions, &[("end", "all")]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{foreign}");
    }
    browser.headers.pop();

    // What a command-line client asks.
    let key = URL_SAFE.encode([7; 32]);
    let back = percent_encoding::utf8_percent_encode(dash, percent_encoding::NON_ALPHANUMERIC);
    let audience = payload(&token)["aud"][0].as_str().unwrap().to_owned();
    let query = format!("aud={audience}&token={key}&redirect_url={back}&send_org_token=true");
    let cli = format!("https://wiki.example.com:8443/cdn-cgi/access/cli?{query}");
    let (url, page) = browser.visit(&cli).await;
    assert_eq!(page.status(), StatusCode::OK, "{}", page.text);
    assert!(url.starts_with(&issuer), "{url}");
    let form = Form::of(&url, &page.text);
    assert_eq!(form.submit(&mut browser, &[]).await.status(), StatusCode::OK);
    let elsewhere = cli.replace("8443%2F", "443%2F");
    assert_eq!(browser.get(&elsewhere).await.status(), StatusCode::BAD_REQUEST);
    let request = Request::head("/dash")
        .header("host", WIKI)
        .header("cf-access-metadata-request", "true")
        .body(Full::default());
    let metadata = send(&front, request.unwrap()).await;
    let metadata = payload(metadata.header("cf-access-metadata").unwrap());
    assert_eq!((&metadata["hostname"], &metadata["auth_domain"]), (&WIKI.into(), &host.into()));

    // Refusals for programs, and what tells them the host.
    for (method, accept) in
        [("GET", "application/json"), ("POST", "application/json"), ("POST", "*/*")]
    {
        let request = Request::builder()
            .method(method)
            .uri("/dash")
            .header("host", WIKI)
            .header("x-requested-with", "XMLHttpRequest")
            .header("accept", accept)
            .body(Full::default());
        let answer = send(&front, request.unwrap()).await;
        assert_eq!(answer.header("cf-access-domain"), Some(WIKI));
        let text: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        let url = text["login_url"].as_str().unwrap_or_else(|| answer.location());
        assert!(url.starts_with(&format!("{issuer}/cdn-cgi/access/login/{WIKI}?")), "{url}");
    }

    for path in
        ["get-identity", "sessions", "logout?returnTo=https%3A%2F%2Fwiki.example.com%3A8443%2Fx"]
    {
        for host in [WIKI, host] {
            browser.visit(&format!("https://{host}:8443/cdn-cgi/access/{path}")).await;
        }
    }
    browser.get("https://wiki.example.com:8443/cdn-cgi/access/nothing").await;
    browser.get("https://other.example.com:8443/").await;
    let answers = answers.lock().unwrap();
    answers.clone()
}

#[tokio::test]
async fn every_address_has_the_public_port_whatever_requests_say() {
    for (team, sent_ports) in [(true, &SENT_PORTS[..]), (false, &["", ":9999"])] {
        for &sent_port in sent_ports {
            let answers = tour(team, sent_port).await;
            assert!(answers.len() > 25, "{}", answers.len());
            for (asked, answer) in &answers {
                let missing = addresses_without_port(answer);
                assert!(missing.is_empty(), "{sent_port:?}: {missing:?} in {asked}\n{answer}");
                // No answer repeats what a request said.
                let repeats = sent_port == ":9999" && answer.contains("com:9999");
                assert!(!repeats, "{asked}\n{answer}");
            }
        }
    }
}

/// The way back is kept for the right origin alone.
#[tokio::test]
async fn flow_02_only_the_public_origin_is_come_back_to() {
    let World { access, origin, .. } = world(true, on_8443());
    let service = AccessLayer::new(access).layer(origin);
    let mut browser = Browser::new(service);
    let start = browser.get("https://wiki.example.com:8443/dash").await;
    let audience = support::query(start.location(), "kid").unwrap();
    for (address, target) in [
        ("https://wiki.example.com:8443/x", "/x"),
        ("https://wiki.example.com/x", "/"),
        ("https://wiki.example.com:443/x", "/"),
        ("http://wiki.example.com:8443/x", "/"),
        ("https://wiki.example.com:84430/x", "/"),
        ("https://wiki.example.com:8443.evil.example/x", "/"),
        ("https://wiki.example.com:8443@evil.example/x", "/"),
    ] {
        let login = format!("https://{TEAM}:8443/cdn-cgi/access/login/{WIKI}");
        let url =
            url::Url::parse_with_params(&login, [("kid", &*audience), ("redirect_url", address)]);
        let page = browser.get(url.unwrap().as_str()).await;
        let action = absolute(&login, &Form::of(&login, &page.text).action);
        assert_eq!(support::query(&action, "redirect_url").as_deref(), Some(target), "{address}");
    }
}

/// Each host has its own port, and the issuer is the one of the host that runs the login.
#[tokio::test]
async fn hosts_have_ports_of_their_own() {
    let addresses = on_8443().with_host_port(TEAM, 443).unwrap();
    let World { access, mail, origin } = world(true, addresses);
    let mut browser = Browser::new(AccessLayer::new(access).layer(origin));
    let dash = "https://wiki.example.com:8443/dash";
    let start = browser.get(dash).await;
    assert!(
        start.location().starts_with("https://login.example.com/cdn-cgi/"),
        "{}",
        start.location()
    );
    log_in(&mut browser, &mail, dash, "ada@example.com").await;
    let token = browser.cookie(WIKI, "CF_Authorization").unwrap();
    assert_eq!(payload(&token)["iss"], "https://login.example.com");
}

/// Another port is another issuer: tokens of the one before count no longer, remembered or not.
#[tokio::test]
async fn a_port_that_is_set_at_a_reload_is_another_issuer() {
    let World { access, mail, origin } = world(true, PublicAddresses::new());
    let mut browser = Browser::new(AccessLayer::new(access.clone()).layer(origin));
    let dash = "https://wiki.example.com/dash";
    log_in(&mut browser, &mail, dash, "ada@example.com").await;
    assert_eq!(browser.get(dash).await.status(), StatusCode::OK);
    access.reload(builder(true, on_8443(), &mail)).unwrap();
    let answer = browser.get(dash).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    assert!(answer.location().starts_with("https://login.example.com:8443/"));
    log_in(&mut browser, &mail, "https://wiki.example.com:8443/dash", "ada@example.com").await;
    access.reload(builder(true, PublicAddresses::new(), &mail)).unwrap();
    assert_eq!(browser.get(dash).await.status(), StatusCode::FOUND);
}

/// Clients build the issuer from the team's name: nothing changes where no port is set.
#[tokio::test]
async fn without_a_public_port_everything_is_as_clients_know_it() {
    for addresses in [PublicAddresses::new(), PublicAddresses::with_port(443).unwrap()] {
        for sent_port in SENT_PORTS {
            let World { access, mail, origin } = world(true, addresses.clone());
            let service = AccessLayer::new(access).layer(origin);
            let front = Front { inner: service, sent_port, answers: Arc::default() };
            let mut browser = Browser::new(front);
            log_in(&mut browser, &mail, "https://wiki.example.com/dash", "a@example.com").await;
            let token = browser.cookie(WIKI, "CF_Authorization").unwrap();
            assert_eq!(payload(&token)["iss"], "https://login.example.com");
        }
    }
}

/// An origin behind us knows the issuer by its whole address.
#[tokio::test]
async fn key_12_an_issuer_with_a_port_is_verified_by_its_whole_name() {
    let audience = "7a".repeat(32);
    let issuing = Access::builder()
        .clock(clock())
        .signing_key(key())
        .application(Application::new("Wiki", WIKI).unwrap())
        .build()
        .unwrap();
    let issuing = AccessLayer::new(issuing).layer(support::Origin::default());
    let request = Request::get("/cdn-cgi/access/certs").header("host", WIKI);
    let certs = send(&issuing, request.body(Full::default()).unwrap()).await;
    let set = tower_access::token::keys::KeySet::from_jwks(certs.text.as_bytes()).unwrap();
    for (team, issuer, status) in [
        ("login.example.com:8443", "https://login.example.com:8443", StatusCode::OK),
        ("https://login.example.com:8443", "https://login.example.com:8443", StatusCode::OK),
        ("http://localhost:3000", "http://localhost:3000", StatusCode::OK),
        ("login.example.com:8443", "https://login.example.com", StatusCode::UNAUTHORIZED),
        ("login.example.com:8443", "https://login.example.com:9443", StatusCode::UNAUTHORIZED),
        ("login.example.com", "https://login.example.com:8443", StatusCode::UNAUTHORIZED),
        ("login.example.com", "https://login.example.com:443", StatusCode::UNAUTHORIZED),
        ("localhost", "http://localhost", StatusCode::UNAUTHORIZED),
    ] {
        let verifying = Access::verifier_builder(team)
            .unwrap()
            .audience(audience.parse().unwrap())
            .keys(set.clone())
            .public_addresses(PublicAddresses::with_port(9443).unwrap())
            .clock(clock())
            .build()
            .unwrap();
        let service = AccessLayer::new(verifying).layer(support::Origin::default());
        let token = key().sign(&support::person(issuer, &audience, "ada@example.com")).unwrap();
        let request =
            Request::get("/").header("host", WIKI).header("cf-access-jwt-assertion", &token);
        let answer = send(&service, request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), status, "{team} {issuer}: {}", answer.text);
        let request = Request::get("/x").header("host", WIKI).body(Full::default()).unwrap();
        let anonymous = send(&service, request).await;
        for (own, status) in [
            ("https://wiki.example.com:9443", status),
            ("https://wiki.example.com", StatusCode::FORBIDDEN),
        ] {
            if status != StatusCode::UNAUTHORIZED && answer.status() == StatusCode::OK {
                let cookie = format!("CF_Authorization={token}");
                let socket = Request::get("/ws")
                    .header("host", WIKI)
                    .header("connection", "upgrade")
                    .header("upgrade", "websocket")
                    .header("origin", own)
                    .header("cookie", cookie)
                    .body(Full::default());
                assert_eq!(send(&service, socket.unwrap()).await.status(), status, "{own}");
            }
        }
        let issuer = if team.contains("://") { team.to_owned() } else { format!("https://{team}") };
        assert!(anonymous.location().starts_with(&format!("{issuer}/cdn-cgi/access/login/")));
    }
}

/// SES-27: with a public port, the pages of that port alone are the host's own.
#[tokio::test]
async fn ses_27_sockets_are_opened_by_pages_of_the_public_port() {
    let World { access, mail, origin } = world(true, on_8443());
    let service = AccessLayer::new(access).layer(origin);
    let mut browser = Browser::new(service.clone());
    log_in(&mut browser, &mail, "https://wiki.example.com:8443/", "ada@example.com").await;
    let token = browser.cookie(WIKI, "CF_Authorization").unwrap();
    for (origin, is_own) in [
        ("https://wiki.example.com:8443", true),
        ("https://wiki.example.com", false),
        ("https://wiki.example.com:443", false),
        ("https://wiki.example.com:9999", false),
        ("http://wiki.example.com:8443", false),
        ("https://login.example.com:8443", false),
        ("null", false),
    ] {
        for sent_port in SENT_PORTS {
            let request = Request::get("/ws")
                .header("host", format!("{WIKI}{sent_port}"))
                .header("cookie", format!("CF_Authorization={token}"))
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("origin", origin)
                .body(Full::default())
                .unwrap();
            let status = send(&service, request).await.status();
            let expected = if is_own { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(status, expected, "{origin} {sent_port}");
        }
    }
}

// === The file ===

fn file(top: &str, access: &str, application: &str) -> String {
    format!(
        "{top}
ingress:
  - hostname: '*.example.com'
    service: http://127.0.0.1:9002
  - service: http_status:404
access:
  mail: console
{access}
  applications:
    - name: Wiki
      {application}
      policies:
        - {{ name: Staff, decision: allow, include: [ {{ email_domain: {{ domain: example.com }} }} ] }}
"
    )
}

fn errors(text: &str) -> Vec<String> {
    let errors = Config::parse(text, "f").map(|_| ()).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

async fn location(text: &str, host: &str) -> String {
    let config = Config::parse(text, "f").unwrap_or_else(|error| panic!("{text}: {error}"));
    let service = AccessLayer::new(config.access().unwrap())
        .layer(ReverseProxy::from_config(&config).unwrap());
    let request = Request::get("/dash").header("host", host).header("accept", "text/html");
    send(&service, request.body(Full::default()).unwrap()).await.location().to_owned()
}

#[tokio::test]
async fn the_file_says_the_port_for_all_hosts_or_for_one() {
    let domain = "domain: wiki.example.com";
    for (top, access, address) in [
        ("", "", "https://wiki.example.com"),
        ("public_port: 8443", "", "https://wiki.example.com:8443"),
        ("public_port: 443", "", "https://wiki.example.com"),
        ("public_port: 8443", "  team_domain: login.example.com", "https://login.example.com:8443"),
        (
            "public_port: 8443\npublic_ports: { login.example.com: 443 }",
            "  team_domain: login.example.com",
            "https://login.example.com",
        ),
        ("public_ports: { wiki.example.com: 8443 }", "", "https://wiki.example.com:8443"),
        ("public_ports: { '*.example.com': 8443 }", "", "https://wiki.example.com:8443"),
        (
            "public_port: 1\npublic_ports: { '*.example.com': 2, Wiki.Example.com: 3 }",
            "",
            "https://wiki.example.com:3",
        ),
    ] {
        let text = file(top, access, domain);
        for sent_port in SENT_PORTS {
            let location = location(&text, &format!("{WIKI}{sent_port}")).await;
            let start = format!("{address}/cdn-cgi/access/login/wiki.example.com?");
            assert!(location.starts_with(&start), "{top}: {location}");
        }
    }
}

/// A port in a domain would be lost: it is refused, and the error says where it belongs.
#[test]
fn a_port_in_a_domain_is_an_error_that_names_the_key() {
    for (domain, host, port) in [
        ("domain: wiki.example.com:8443", "wiki.example.com", 8443),
        ("domain: wiki.example.com:443", "wiki.example.com", 443),
        ("domain: wiki.example.com:8443/docs", "wiki.example.com/docs", 8443),
        ("domain: '*.example.com:8443'", "*.example.com", 8443),
        ("domain: '[2001:db8::1]:8443'", "[2001:db8::1]", 8443),
        ("domain: localhost:3000", "localhost", 3000),
        ("self_hosted_domains: [ wiki.example.com:8443 ]", "wiki.example.com", 8443),
        ("destinations: [ { uri: wiki.example.com:8443 } ]", "wiki.example.com", 8443),
    ] {
        let [error] = &errors(&file("", "", domain))[..] else { panic!("{domain}") };
        assert!(error.contains("access.applications[0]."), "{error}");
        assert!(error.contains(&format!("has no port and applies to every port; write `{host}`")));
        assert!(error.contains(&format!("`public_port: {port}` at the top")), "{error}");
        // What is to be written can be.
        let (_, ports) = error.split_once("or as `").unwrap();
        let (ports, _) = ports.split_once("` only for this host").unwrap();
        let right = file(ports, "", &format!("domain: '{host}'"));
        assert!(Config::parse(&right, "f").is_ok(), "{right}");
    }
    assert!(Config::parse(&file("", "", "domain: '[2001:db8::1]'"), "f").is_ok());
    assert!(Application::new("Wiki", "wiki.example.com:8443").is_err());
    assert!(Application::new("Wiki", WIKI).unwrap().also_at("a.example.com:1").is_err());
    let [error] =
        &errors(&file("", "  team_domain: login.example.com:8443", "domain: wiki.example.com"))[..]
    else {
        panic!("a team domain with a port")
    };
    assert!(
        error.contains("write `login.example.com`") && error.contains("public_port"),
        "{error}"
    );
    let team = "login.example.com:8443".parse().unwrap();
    let built = Access::builder().team_domain(team).build().unwrap_err().to_string();
    assert!(built.contains("public_addresses"), "{built}");
}

#[test]
fn what_cannot_be_a_public_address_is_refused() {
    let domain = "domain: wiki.example.com";
    for (top, says) in [
        ("public_port: 0", "public_port: 0 is out of range; write 1 to 65535"),
        ("public_port: 84430", "public_port: 84430 is out of range; write 1 to 65535"),
        ("public_port: '8443'", "public_port:"),
        ("public_port: [ 8443 ]", "public_port:"),
        ("public_ports: 8443", "public_ports: not a mapping of hosts"),
        ("public_ports: { wiki.example.com: 0 }", "0 is out of range; write 1 to 65535"),
        ("public_ports: { wiki.example.com: x }", "public_ports."),
        ("public_ports: { wki.example.com: 8443 }", "is neither a host of an application"),
        ("public_ports: { 'wiki.example.com:8443': 8443 }", "is not a host"),
        ("public_ports: { 'wiki.example.com/x': 8443 }", "is not a host"),
        ("public_ports: { wiki.example.com: 1, WIKI.example.com.: 2 }", "write it once"),
        ("insecure_public_scheme: https", "invalid scheme; write `http`"),
        ("insecure_public_scheme: ftp", "invalid scheme; write `http`"),
        ("insecure_public_scheme: http", "`wiki.example.com` is reached over a network"),
    ] {
        let found = errors(&file(top, "", domain));
        assert_eq!(found.len(), 1, "{top}: {found:?}");
        assert!(found[0].contains(says), "{top}: {found:?}");
    }
    let localhost = "domain: localhost";
    for team in ["login.example.com", "login.localhost.example.com"] {
        let text =
            file("insecure_public_scheme: http", &format!("  team_domain: {team}"), localhost);
        assert!(errors(&text)[0].contains("is reached over a network"));
    }
}

#[tokio::test]
async fn http_is_for_loopback_and_says_so() {
    for (domain, host, address) in [
        ("127.0.0.1", "127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("'[::1]'", "[::1]:8080", "http://[::1]:8080"),
        ("localhost", "localhost:8080", "http://localhost:8080"),
        ("'*.localhost'", "a.localhost:8080", "http://a.localhost:8080"),
    ] {
        let text = file("insecure_public_scheme: http", "", &format!("domain: {domain}"));
        assert!(
            location(&text, host).await.starts_with(&format!("{address}/cdn-cgi/")),
            "{domain}"
        );
        let notes = Config::parse(&text, "f").unwrap().notes().to_vec();
        assert!(notes.iter().any(|note| note.key() == "insecure_public_scheme"));
        let told = text.replace("insecure", "public_port: 3000\ninsecure");
        let found = location(&told, host).await;
        assert!(found.starts_with(&address.replace("8080", "3000")), "{found}");
    }
    // Without it, addresses without TLS are those of `localhost` alone, as ever.
    let text = file("", "", "domain: 127.0.0.1");
    assert!(location(&text, "127.0.0.1:8080").await.starts_with("https://127.0.0.1/cdn-cgi/"));
}

/// A whole login without TLS, on this machine.
#[tokio::test]
async fn people_log_in_over_http_on_a_loopback_address() {
    for (host, address) in [("127.0.0.1", "http://127.0.0.1:3000"), ("[::1]", "http://[::1]:3000")]
    {
        let mail = Mailbox::default();
        let access = Access::builder()
            .mailer(mail.clone())
            .clock(clock())
            .signing_key(key())
            .public_addresses(PublicAddresses::new().with_insecure_http_on_loopback())
            .localhost_port(3000)
            .application(
                Application::new("Wiki", host)
                    .unwrap()
                    .policy(Policy::allow("all").include(Rule::everyone())),
            )
            .build()
            .unwrap();
        let mut browser = Browser::new(AccessLayer::new(access).layer(support::Origin::default()));
        let page = log_in(&mut browser, &mail, &format!("{address}/dash"), "a@example.com").await;
        assert_eq!(page, "origin saw /dash");
        let token = browser.cookie(host, "CF_Authorization").unwrap();
        assert_eq!(payload(&token)["iss"], address);
    }
    let open = PublicAddresses::new().with_insecure_http_on_loopback();
    let refused = builder(false, open, &Mailbox::default()).build().unwrap_err().to_string();
    assert!(refused.contains("reached over a network"), "{refused}");
}

/// An issuer elsewhere, in the file, and a port of our own beside it.
#[tokio::test]
async fn a_file_that_verifies_names_the_port_of_its_issuer() {
    let text = file(
        "public_port: 9443",
        "  issuer: { team_domain: login.example.com:8443 }",
        "domain: wiki.example.com",
    )
    .replace("  mail: console\n", "")
    .replace("domain: wiki", &format!("aud: {}\n      domain: wiki", "7a".repeat(32)));
    let location = location(&text, "wiki.example.com:9999").await;
    assert!(
        location
            .starts_with("https://login.example.com:8443/cdn-cgi/access/login/wiki.example.com?")
    );
}

/// What the origin is told of TLS agrees with the addresses.
#[tokio::test]
async fn origins_are_told_the_scheme_of_the_public_address() {
    let app = axum::Router::new().fallback(|headers: http::HeaderMap| async move {
        let of = |name: &str| headers[name].to_str().unwrap().to_owned();
        format!("{} {}", of("x-forwarded-proto"), of("forwarded"))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let rule = IngressRule::parse("", None, &origin, OriginSettings::default()).unwrap();
    let ingress = Ingress::new(vec![rule]).unwrap();
    let loopback = PublicAddresses::new().with_insecure_http_on_loopback();
    for (addresses, host, proto) in [
        (PublicAddresses::new(), "127.0.0.1", "https"),
        (loopback.clone(), "127.0.0.1", "http"),
        (loopback.clone(), "[::1]", "http"),
        (loopback, "wiki.example.com", "https"),
        (PublicAddresses::new(), "localhost", "http"),
    ] {
        let proxy =
            ReverseProxy::builder(ingress.clone()).public_addresses(addresses).build().unwrap();
        let request =
            Request::get("/").header("host", host).body(Full::<Bytes>::default()).unwrap();
        let answer = send(&proxy, request).await;
        assert!(answer.text.starts_with(&format!("{proto} ")), "{host}: {}", answer.text);
        assert!(answer.text.ends_with(&format!(";proto={proto}")), "{host}: {}", answer.text);
    }
}

/// `check` says what is likely to be wrong, and nothing of the usual proxy in front.
#[test]
fn check_notices_a_port_where_nobody_can_answer() {
    let wiki = "domain: wiki.example.com";
    let found = |top: &str, domain: &str| -> Vec<(String, Severity)> {
        let report =
            check_text(&file(top, "", domain), "f", Timestamp::from_unix_seconds(1)).unwrap();
        let findings = report.findings().iter();
        let about_ports = findings.filter(|it| {
            it.id.as_str().starts_with("public-port") || it.key.contains("public_port")
        });
        about_ports.map(|it| (it.id.to_string(), it.severity)).collect()
    };
    let notice = vec![("public-port-not-set".to_owned(), Severity::Notice)];
    let no_tls = vec![("public-port-serves-no-tls".to_owned(), Severity::Warning)];
    let usual = "trusted_proxies: [ 10.0.0.0/8 ]";
    for (top, domain, expected) in [
        ("", wiki, &vec![]),
        ("listen: 127.0.0.1:8443", wiki, &vec![]),
        ("listen: '[::1]:8443'", wiki, &vec![]),
        (&*format!("listen: 0.0.0.0:8080\n{usual}"), wiki, &vec![]),
        (&*format!("listen: 0.0.0.0:443\n{usual}"), wiki, &vec![]),
        (&*format!("listen: 0.0.0.0:8443\npublic_port: 8443\n{usual}"), wiki, &vec![]),
        ("listen: 0.0.0.0:8443", wiki, &notice),
        ("listen: 192.0.2.1:8443", wiki, &notice),
        ("listen: 0.0.0.0:8080\npublic_port: 8443", wiki, &vec![]),
        ("listen: 0.0.0.0:8080", "domain: localhost", &vec![]),
        ("listen: 0.0.0.0:80", wiki, &vec![]),
        ("listen: 0.0.0.0:443", wiki, &no_tls),
        ("listen: 0.0.0.0:8443\npublic_port: 8443", wiki, &no_tls),
        ("listen: '[::]:8443'\npublic_ports: { wiki.example.com: 8443 }", wiki, &no_tls),
        ("listen: 192.0.2.1:8443\npublic_port: 8443", wiki, &vec![]),
    ] {
        assert_eq!(found(top, domain), *expected, "{top}");
    }
    let mixed = "destinations: [ { uri: localhost }, { uri: wiki.example.com } ]";
    assert_eq!(found("public_port: 8443", mixed).len(), 1);
    assert_eq!(found("public_port: 8443\npublic_ports: { localhost: 8080 }", mixed), []);
    let surprising = vec![("surprising-setting".to_owned(), Severity::Warning)];
    assert_eq!(found("public_port: 80", wiki), surprising);
    assert_eq!(found("public_ports: { wiki.example.com: 80 }", wiki).len(), 1);
}
