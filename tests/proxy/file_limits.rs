//! Limits of the running proxy that a file sets.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tower::ServiceExt;
use tower_access::config::{Config, ConfigErrors};
use tower_access::proxy::{OriginSettings, ReverseProxy, ServeLimits};

use crate::reverse_proxy::world::*;

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

// === Limits of listeners ===

/// Every limit that a program can set: key, a value that is not the default, one outside its bounds.
const OF_LISTENERS: &[(&str, &str, &str)] = &[
    ("max_connections", "7", "0"),
    ("header_read_timeout", "7s", "1h"),
    ("max_header_bytes", "9000", "8191"),
    ("idle_timeout", "77s", "1ms"),
    ("grace_period", "7s", "25h"),
    ("max_drained_bytes", "7", "2000000000000"),
    ("drain_timeout", "7s", "2h"),
    ("max_drains", "7", "1000001"),
    ("linger_timeout", "7s", "6m"),
    ("max_http2_streams", "7", "0"),
    ("http2_ping_interval", "7s", "500ms"),
    ("http2_ping_timeout", "7s", "11m"),
];

/// The fields of a type, as its `Debug` prints them.
fn fields(value: &impl std::fmt::Debug) -> Vec<(String, String)> {
    let text = format!("{value:#?}");
    let field = |line: &str| {
        line.trim()
            .trim_end_matches(',')
            .split_once(": ")
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(field).collect()
}

#[test]
fn every_limit_of_a_listener_has_a_key_with_bounds() {
    let names: Vec<String> =
        fields(&ServeLimits::default()).into_iter().map(|(name, _)| name).collect();
    let keys: Vec<&str> = OF_LISTENERS.iter().map(|(key, _, _)| *key).collect();
    assert_eq!(names, keys);
    let defaults = parse("limits: { listen: {}, admin: {} }\n").unwrap();
    assert_eq!(ServeLimits::from_config(&defaults), ServeLimits::default());
    let of_admin = fields(&ServeLimits::for_admin(&defaults));
    for (key, value, outside) in OF_LISTENERS {
        for (group, usual) in
            [("listen", fields(&ServeLimits::default())), ("admin", of_admin.clone())]
        {
            let config = parse(&format!("limits: {{ {group}: {{ {key}: {value} }} }}\n")).unwrap();
            let limits = match group {
                "listen" => ServeLimits::from_config(&config),
                _ => ServeLimits::for_admin(&config),
            };
            let changed: Vec<_> = fields(&limits)
                .into_iter()
                .zip(usual)
                .filter(|(now, before)| now != before)
                .map(|(now, _)| now)
                .collect();
            assert_eq!(changed.len(), 1, "{group}.{key}");
            assert_eq!((&*changed[0].0, &*changed[0].1), (*key, *value));
            let message = error(&format!("limits:\n  {group}: {{ {key}: {outside} }}\n"));
            let beginning = format!(
                "f:2:{}: limits.{group}.{key}: {outside} is out of range; write ",
                group.len() + key.len() + 9
            );
            assert!(message.starts_with(&beginning), "{message} {beginning}");
        }
    }
}

#[test]
fn misspelt_limits_are_errors_with_a_suggestion() {
    for (text, expected) in [
        ("limits: { listen: { idle_timout: 1m } }\n", "did you mean `idle_timeout`?"),
        ("limits: { listener: {} }\n", "did you mean `listen`?"),
        ("limit: {}\n", "did you mean `limits`?"),
        (
            "limits: { listen: { idle_timeout: 60 } }\n",
            "limits.listen.idle_timeout: found a number",
        ),
        ("limits: { token_cache_bytes: -1 }\n", "limits.token_cache_bytes"),
    ] {
        let message = error(text);
        assert!(message.starts_with("f:1:") && message.contains(expected), "{message}");
    }
}

#[test]
fn limits_of_issuers_evaluators_and_stores_have_keys_with_bounds() {
    let verifying = |issuer: &str| {
        let text = format!(
            "access: {{ issuer: {{ team_domain: a.cloudflareaccess.com, {issuer} }}, applications: [ {{ \
             name: A, domain: app.example, aud: {} }} ] }}\n",
            "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc"
        );
        Config::parse(&text, "f")
            .map(|config| format!("{:?}", config.access.role))
            .map_err(|e| e.to_string())
    };
    let role = verifying(
        "leeway: 30s, key_refresh: { fresh_for: 10m, serve_stale_up_to: 2h, cool_down: 7s }",
    )
    .unwrap();
    for value in ["leeway: Some(30s)", "fresh_for: 600s", "serve_up_to: 7200s", "cool_down: 7s"] {
        assert!(role.contains(value), "{role}");
    }
    for (issuer, message) in [
        ("leeway: 6m", "issuer.leeway: 6m is out of range; write 0s to 5m"),
        ("key_refresh: { fresh_for: 7h }", "fresh_for: 7h is out of range; write 1m to 6h"),
        ("key_refresh: { freshfor: 1h }", "did you mean `fresh_for`?"),
        ("key_refresh: { cool_down: 0s }", "cool_down: 0s is out of range; write 1s to 1h"),
    ] {
        let error = verifying(issuer).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
    let state = |redis: &str| {
        let text = format!(
            "state: {{ redis: {{ url: 'redis://127.0.0.1/0', secret_file: /s, {redis} }} }}\n"
        );
        parse(&text).map(|config| format!("{:?}", config.state)).map_err(|e| e.to_string())
    };
    let written = state("timeout: 5s, members_per_set: 1000").unwrap();
    assert!(written.contains("timeout: Some(5s), members_per_set: Some(1000)"), "{written}");
    assert!(state("timeout: 31s").unwrap_err().contains("31s is out of range; write "));
    assert!(state("members_per_set: 9").unwrap_err().contains("write 100 to 10000000"));
}

/// A front that keeps its connection longer than a head may take finds it open.
#[tokio::test]
async fn an_idle_connection_outlives_the_time_for_a_head() {
    let config =
        parse("limits: { listen: { header_read_timeout: 20ms, idle_timeout: 10m } }\n").unwrap();
    let proxy = proxy_to("hello_world", settings());
    let running = run(proxy.clone(), ServeLimits::from_config(&config)).await;
    let mut idle = Client::connect(&running).await;
    text(idle.get("/").await).await;
    // One that stops in the middle of its second head is left after that time.
    let mut stopped = tokio::net::TcpStream::connect(running.address).await.unwrap();
    stopped.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_head(&mut stopped).await;
    stopped.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = soon(stopped.read_to_end(&mut rest)).await;
    assert_eq!(idle.get("/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_own_time() {
    let config =
        parse("limits: { listen: { idle_timeout: 20ms, header_read_timeout: 10ms } }\n").unwrap();
    let running = run(proxy_to("hello_world", settings()), ServeLimits::from_config(&config)).await;
    let mut stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

// === The name in the handshake ===

#[test]
fn the_name_in_the_handshake_follows_the_host_where_the_file_says_so() {
    let config = parse(
        "originRequest: { matchSNItoHost: true }\n\
         ingress:\n\
         - { hostname: '*.a.example', service: 'https://127.0.0.1:1' }\n\
         - { hostname: b.example, service: 'https://127.0.0.1:1', originRequest: { matchSNItoHost: false } }\n\
         - { hostname: c.example, service: 'https://127.0.0.1:1', originRequest: { originServerName: inner.example } }\n\
         - service: http_status:404\n",
    )
    .unwrap();
    let settings = |rule: usize| OriginSettings::from(&config.ingress[rule].origin_request);
    assert!(settings(0).match_sni_to_host && !settings(1).match_sni_to_host);
    assert_eq!(settings(2).origin_server_name.as_deref(), Some("inner.example"));
    for spelling in ["matchSNIToHost", "matchSniToHost", "match_sni_to_host"] {
        let message = error(&format!(
            "originRequest: {{ {spelling}: true }}\ningress: [ {{ service: http_status:404 }} ]\n"
        ));
        assert!(message.contains("did you mean `matchSNItoHost`?"), "{message}");
    }
}

// === Bodies without a length ===

#[tokio::test]
async fn a_body_of_unknown_length_is_collected_within_its_bound_where_chunks_are_not_taken() {
    let origin = mirror().await;
    let proxy = proxy(&format!(
        "originRequest: {{ disableChunkedEncoding: true, max_collected_body_bytes: 10 }}\n\
         ingress: [ {{ service: 'http://{origin}' }} ]\n"
    ));
    for (parts, expected) in [(2, StatusCode::OK), (3, StatusCode::PAYLOAD_TOO_LARGE)] {
        let (sender, body) = frames();
        let request = http::Request::post("/").header("host", "app.example").body(body).unwrap();
        let sending = async {
            for _ in 0..parts {
                let _ = sender.send(data("12345")).await;
            }
            drop(sender);
        };
        let (answer, ()) = tokio::join!(soon(proxy.clone().oneshot(request)), sending);
        let answer = answer.unwrap();
        assert_eq!(answer.status(), expected);
        if expected == StatusCode::OK {
            let seen = text(answer).await;
            assert!(seen.contains("\ncontent-length: 10\n"), "{seen}");
            assert!(seen.contains("body: 1234512345") && !seen.contains("chunked"), "{seen}");
        }
    }
    let message = error(
        "originRequest: { max_collected_body_bytes: 67108865 }\n\
         ingress: [ { service: http_status:404 } ]\n",
    );
    assert!(message.contains("67108865 is out of range; write 0 to 67108864"), "{message}");
}

// === The reference ===

/// The keys of a document with the defaults that its table names, as YAML. Words are left out.
fn defaults(source: &str, document: &str) -> String {
    let (_, table) = source.split_once(&format!("struct {document} in ")).unwrap();
    let (table, _) = table.split_once("\n}\n").unwrap();
    let (mut yaml, mut name) = (String::new(), "");
    for line in table.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix('"') {
            name = rest.split('"').next().unwrap();
        }
        let default = line.split_once("default: \"").map(|(_, rest)| rest);
        let default = default.and_then(|rest| rest.split('"').next());
        if let Some(value) = default.filter(|value| !value.contains(' ')) {
            yaml.push_str(&format!("{name}: {value}, "));
        }
    }
    format!("{{ {yaml} }}")
}

#[test]
fn the_reference_has_every_limit_with_its_default() {
    let source = include_str!("../../src/config/limits.rs");
    let listen = defaults(source, "Listener");
    let config =
        parse(&format!("limits: {{ listen: {listen}, admin: {{ max_connections: 64 }} }}\n"));
    let config = config.unwrap();
    assert_eq!(ServeLimits::from_config(&config), ServeLimits::default());
    let usual = parse("limits: {}\n").unwrap();
    assert_eq!(ServeLimits::for_admin(&config), ServeLimits::for_admin(&usual));
    let written = format!("{:?}", config.limits.listen);
    assert!(!written.contains("None"), "{written}");
    let limits = parse(&format!("limits: {}\n", defaults(source, "Limits"))).unwrap();
    assert_eq!(limits.limits.token_cache_bytes, Some(16 << 20));

    let origin = defaults(include_str!("../../src/config/origin.rs"), "Origin");
    let rules = "ingress: [ { service: http_status:404 } ]";
    let origins = parse(&format!("originRequest: {origin}\n{rules}\n")).unwrap();
    let origin = &origins.ingress[0].origin_request;
    let mut expected = OriginSettings::default();
    expected.response_header_timeout = Some(Duration::from_secs(100));
    assert_eq!(OriginSettings::from(origin), expected);
    assert_eq!(origin.keep_alive_connections, Some(100));
}

/// A front that sends its next request just before its own time is over must find the connection.
#[test]
fn an_idle_connection_is_kept_longer_than_usual_balancers_keep_it() {
    let longest = Duration::from_secs(600);
    assert!(ServeLimits::default().idle_timeout > longest);
}
