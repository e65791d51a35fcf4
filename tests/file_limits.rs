//! Limits of the running proxy that a file sets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

#[path = "proxy/support.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod support;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tower::ServiceExt;
use tower_access::config::{Config, ConfigErrors};
use tower_access::proxy::{OriginSettings, ReverseProxy};

use support::*;

const ACCESS: &str = "access: { mail: console, applications: [ { name: All, domain: app.example, \
    policies: [ { name: Staff, decision: allow, include: [ { email_domain: { domain: a.example } } ] } ] } ] }\n";

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(&format!("{text}{ACCESS}"), "f")
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn proxy(text: &str) -> ReverseProxy {
    ReverseProxy::from_config(&parse(text).unwrap()).unwrap()
}

/// What happens at a slow origin.
#[derive(Clone, Default)]
struct Events {
    asked: Arc<Notify>,
    answer: Arc<Notify>,
    left: Arc<Notify>,
}

/// An origin that answers when it is told to, and says when it is asked and left.
async fn slow_origin() -> (String, Events) {
    let events = Events::default();
    let told = events.clone();
    let address = raw_origin(move |mut stream| {
        let Events { asked, answer, left } = told.clone();
        async move {
            read_head(&mut stream).await;
            asked.notify_one();
            tokio::select! {
                () = answer.notified() => {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                }
                _ = stream.read_u8() => left.notify_one(),
            }
        }
    })
    .await;
    (format!("http://{address}"), events)
}

#[tokio::test]
async fn a_rule_says_how_long_its_origin_may_take_before_the_head_of_an_answer() {
    let (origin, events) = slow_origin().await;
    let proxy = proxy(&format!(
        "originRequest: {{ response_header_timeout: 20ms }}\n\
         ingress:\n\
         - {{ hostname: app.example, path: ^/long, service: '{origin}', originRequest: {{ response_header_timeout: 0s }} }}\n\
         - service: {origin}\n"
    ));
    let long = tokio::spawn(proxy.clone().oneshot(get("/long")));
    // The top level holds for the other rule; this one waits on.
    let status = soon(proxy.clone().oneshot(get("/"))).await.unwrap().status();
    assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
    soon(events.left.notified()).await;
    events.answer.notify_one();
    assert_eq!(soon(long).await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn without_a_limit_a_client_that_goes_away_still_ends_the_request_at_the_origin() {
    let (origin, events) = slow_origin().await;
    let proxy = proxy(&format!(
        "ingress: [ {{ service: '{origin}', originRequest: {{ response_header_timeout: 0s }} }} ]\n"
    ));
    let running = run(proxy, Default::default()).await;
    let mut stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: app.example\r\n\r\n").await.unwrap();
    soon(events.asked.notified()).await;
    drop(stream);
    soon(events.left.notified()).await;
}

#[test]
fn the_time_before_an_answer_is_inherited_and_unlimited_only_when_written() {
    let config = parse(
        "originRequest: { response_header_timeout: 10m }\n\
         ingress:\n\
         - { hostname: a.example, service: 'http://127.0.0.1:1' }\n\
         - { hostname: b.example, service: 'http://127.0.0.1:1', originRequest: { response_header_timeout: 0s } }\n\
         - service: http_status:404\n",
    )
    .unwrap();
    let written = |rule: usize| config.ingress[rule].origin_request.response_header_timeout;
    assert_eq!(written(0), Some(Duration::from_secs(600)));
    assert_eq!(written(1), Some(Duration::ZERO));
    assert_eq!(OriginSettings::default().response_header_timeout, None);
    let misspelt = error(
        "originRequest: { response_header_timout: 10m }\ningress: [ { service: http_status:404 } ]\n",
    );
    assert!(misspelt.starts_with("f:1:18: originRequest.response_header_timout"), "{misspelt}");
    assert!(misspelt.contains("did you mean `response_header_timeout`?"), "{misspelt}");
}

/// A path that may take longer is no other place: its rule refuses no spelling of the path.
#[tokio::test]
async fn rules_that_differ_in_patience_alone_lead_to_the_same_place() {
    let origin = mirror().await;
    let proxy = proxy(&format!(
        "ingress:\n\
         - {{ hostname: app.example, path: ^/long, service: 'http://{origin}', originRequest: {{ response_header_timeout: 10m }} }}\n\
         - service: http://{origin}\n"
    ));
    for path in ["/long", "/LONG"] {
        let status = soon(proxy.clone().oneshot(get(path))).await.unwrap().status();
        assert_eq!(status, StatusCode::OK, "{path}");
    }
}
