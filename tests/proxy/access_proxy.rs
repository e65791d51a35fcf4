//! A whole file as one service: what another file in its place changes, and what it cannot.

use bytes::Bytes;
use http::header::LOCATION;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::ServiceExt;
use tower_access::config::Config;
use tower_access::proxy::{AccessProxy, ReverseProxy};

/// A file whose one host answers with a status of its own to everybody.
fn file(listen: &str, host: &str, status: u16) -> String {
    format!(
        "listen: {listen}\n\
         ingress: [ {{ service: 'http_status:{status}' }} ]\n\
         access:\n  mail: console\n  applications:\n  \
         - {{ name: App, domain: {host}, policies: \
         [ {{ name: Open, decision: bypass, include: [ {{ everyone: {{}} }} ] }} ] }}\n  \
         - {{ name: Closed, domain: localhost, policies: \
         [ {{ name: Staff, decision: allow, include: [ {{ email_domain: {{ domain: a.example }} }} ] }} ] }}\n"
    )
}

fn parse(text: &str) -> Config {
    Config::parse(text, "access.yml").unwrap()
}

async fn ask(proxy: &AccessProxy, host: &str) -> Response<()> {
    let request = Request::get("/").header("host", host).header("accept", "text/html");
    let request = request.body(Full::<Bytes>::default()).unwrap();
    proxy.clone().oneshot(request).await.unwrap().map(drop)
}

#[tokio::test]
async fn cfg_02_another_file_replaces_engine_and_rules_together() {
    let proxy = AccessProxy::new(&parse(&file("127.0.0.1:8080", "a.example", 418))).await.unwrap();
    assert_eq!(ask(&proxy, "a.example").await.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(ask(&proxy, "b.example").await.status(), StatusCode::NOT_FOUND);
    proxy.reload(&parse(&file("127.0.0.1:8080", "b.example", 410))).await.unwrap();
    assert_eq!(ask(&proxy, "b.example").await.status(), StatusCode::GONE);
    assert_eq!(ask(&proxy, "a.example").await.status(), StatusCode::NOT_FOUND);
}

/// Addresses of this machine are made with the port that is listened on, not with the one that takes
/// effect after a restart.
#[tokio::test]
async fn what_is_settled_at_the_start_stays_whoever_reloads() {
    let proxy = AccessProxy::new(&parse(&file("127.0.0.1:8080", "a.example", 418))).await.unwrap();
    proxy.reload(&parse(&file("127.0.0.1:9999", "b.example", 418))).await.unwrap();
    assert_eq!(ask(&proxy, "b.example").await.status(), StatusCode::IM_A_TEAPOT);
    let answer = ask(&proxy, "localhost:8080").await;
    let location = answer.headers()[LOCATION].to_str().unwrap();
    assert!(location.starts_with("http://localhost:8080/"), "{location}");
}

#[tokio::test]
async fn cfg_01_a_file_of_the_other_role_changes_nothing() {
    let proxy = AccessProxy::new(&parse(&file("127.0.0.1:8080", "a.example", 418))).await.unwrap();
    let aud = "7a".repeat(32);
    let verifying = format!(
        "ingress: [ {{ service: 'http_status:410' }} ]\n\
         access:\n  issuer: {{ team_domain: acme.example.com }}\n  applications:\n  \
         - {{ name: App, domain: a.example, aud: {aud}, policies: \
         [ {{ name: Open, decision: bypass, include: [ {{ everyone: {{}} }} ] }} ] }}\n"
    );
    let error = proxy.reload(&parse(&verifying)).await.unwrap_err();
    assert!(error.is_access());
    assert!(error.to_string().contains("restart"), "{error}");
    assert_eq!(ask(&proxy, "a.example").await.status(), StatusCode::IM_A_TEAPOT);
}

#[tokio::test]
async fn cfg_01_the_part_that_cannot_be_used_is_named_and_nothing_changes() {
    let proxy = AccessProxy::new(&parse(&file("127.0.0.1:8080", "a.example", 418))).await.unwrap();
    let ingress = file("127.0.0.1:8080", "a.example", 410).replace(
        "{ service: 'http_status:410' }",
        "{ service: 'https://127.0.0.1:9', originRequest: { caPool: /none/such.pem } }",
    );
    let admin = format!(
        "{}admin: {{ listen: '127.0.0.1:9180', token_file: /none/such.token }}\n",
        file("127.0.0.1:8080", "a.example", 410)
    );
    let access = file("127.0.0.1:8080", "a.example", 410).replace(
        "mail: console",
        "mail: { smtp: { host: mail.example, port: 25, from: access@a.example, username: x, \
         password_file: /none/such.password } }",
    );
    for (text, part, named) in [
        (ingress, [false, true, false], "/none/such.pem"),
        (admin, [false, false, true], "admin.token_file"),
        (access, [true, false, false], "access.mail.smtp"),
    ] {
        let config = parse(&text);
        let fresh = AccessProxy::new(&config).await.unwrap_err();
        for error in [fresh, proxy.reload(&config).await.unwrap_err()] {
            assert_eq!([error.is_access(), error.is_ingress(), error.is_admin()], part, "{error}");
            assert!(error.to_string().contains(named), "{error}");
            // As `main` prints it.
            assert_eq!(format!("{error:?}"), error.to_string());
        }
        assert_eq!(ask(&proxy, "a.example").await.status(), StatusCode::IM_A_TEAPOT);
    }
    let error = ReverseProxy::from_config(&parse(&file("127.0.0.1:8080", "a", 418))).err();
    assert!(error.is_none(), "{error:?}");
}
