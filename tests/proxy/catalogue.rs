//! What the proxy's listeners decide, whatever is spoken on them, and what they never answer.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;
use tower_access::AccessLayer;
use tower_access::config::{Config, Environment};
use tower_access::proxy::{ReverseProxy, ServeLimits, serve};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

async fn running(text: &str) -> SocketAddr {
    let config = Config::parse(text, "access.yml").unwrap();
    let service = AccessLayer::new(config.access().unwrap())
        .layer(ReverseProxy::from_config(&config).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, service, ServeLimits::default(), std::future::pending::<()>()));
    address
}

fn file(more: &str) -> String {
    format!(
        "\
trusted_proxies: [ 127.0.0.0/8 ]
ingress:
  - service: hello_world
access:
  mail: console
  applications:
    - name: Office
      domain: office.example.com
      policies: [ {{ name: Office, decision: bypass, include: [ {{ ip: {{ ip: 192.0.2.0/24 }} }} ] }} ]
    - name: Elsewhere
      domain: elsewhere.example.com
      policies: [ {{ name: Elsewhere, decision: bypass, include: [ {{ everyone: {{}} }} ], exclude: [ {{ ip: {{ ip: 192.0.2.0/24 }} }} ] }} ]
    - name: Staff
      domain: staff.example.com
      policies: [ {{ name: Staff, decision: allow, include: [ {{ email_domain: {{ domain: example.com }} }} ] }} ]
{more}"
    )
}

#[derive(Clone, Copy, Debug)]
enum Spoken {
    Http1,
    Http2,
}

/// The status of one request on a connection of its own.
async fn ask(
    address: SocketAddr,
    spoken: Spoken,
    host: &str,
    path: &str,
    lines: &[(&str, &str)],
) -> StatusCode {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let mut request = Request::builder().method("GET");
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    let body = Empty::<Bytes>::new();
    let answer = match spoken {
        Spoken::Http1 => {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            let request = request.uri(path).header("host", host).body(body).unwrap();
            sender.send_request(request).await.unwrap()
        }
        Spoken::Http2 => {
            let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
            let (mut sender, connection) = handshake.await.unwrap();
            tokio::spawn(connection);
            let request = request.uri(format!("https://{host}{path}")).body(body).unwrap();
            sender.send_request(request).await.unwrap()
        }
    };
    answer.status()
}

/// The same decision by HTTP/1.1 and HTTP/2. No listener ends TLS, so none takes early data.
#[tokio::test]
async fn ip_09_each_protocol_gives_the_same_decision() {
    let address = running(&file("")).await;
    for (host, forwarded, open) in [
        ("office.example.com", Some("192.0.2.7"), true),
        ("office.example.com", Some("192.0.2.7:80"), true),
        ("office.example.com", Some("::ffff:192.0.2.7"), true),
        ("office.example.com", Some("198.51.100.7"), false),
        ("office.example.com", Some("192.0.2.7, 198.51.100.7"), false),
        ("office.example.com", Some("192.0.2.7,"), false),
        ("office.example.com", None, false),
        ("elsewhere.example.com", Some("198.51.100.7"), true),
        ("elsewhere.example.com", Some("192.0.2.7"), false),
        ("elsewhere.example.com", Some("nobody"), false),
        ("elsewhere.example.com", None, false),
        ("staff.example.com", Some("192.0.2.7"), false),
        ("nobody.example.com", Some("192.0.2.7"), false),
    ] {
        let lines: Vec<_> = forwarded.map(|value| ("x-forwarded-for", value)).into_iter().collect();
        let mut early = lines.clone();
        early.push(("early-data", "1"));
        let first = ask(address, Spoken::Http1, host, "/", &lines).await;
        assert_eq!(first == StatusCode::OK, open, "{host} {forwarded:?}");
        assert_eq!(
            ask(address, Spoken::Http2, host, "/", &lines).await,
            first,
            "{host} {forwarded:?}"
        );
        for spoken in [Spoken::Http1, Spoken::Http2] {
            let answer = ask(address, spoken, host, "/", &early).await;
            assert_eq!(answer == StatusCode::OK, open, "{spoken:?} {host} {forwarded:?}");
        }
    }
}

/// Measurements, profiles and the administration are not on the public listener: it answers their
/// paths as any other of the host, to whoever asks.
#[tokio::test]
async fn cfg_07_the_public_listener_answers_nothing_of_the_administration() {
    let text = file("admin: { listen: '127.0.0.1:9180', token: '${TOKEN}' }\n");
    let environment = Environment::empty().with("TOKEN", TOKEN);
    let config = Config::parse_with(&text, "access.yml", &environment).unwrap();
    let admin = config.admin.as_ref().unwrap().listen;
    assert!(admin.ip().is_loopback() && admin != config.listen);
    let same = format!("listen: 127.0.0.1:9180\n{text}");
    let errors = Config::parse_with(&same, "access.yml", &environment).unwrap_err().to_string();
    assert!(errors.contains("the proxy itself listens there"), "{errors}");

    let service = AccessLayer::new(config.access().unwrap())
        .layer(ReverseProxy::from_config(&config).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, service, ServeLimits::default(), std::future::pending::<()>()));
    let authorization = format!("Bearer {TOKEN}");
    let lines = [("authorization", authorization.as_str()), ("x-forwarded-for", "192.0.2.7")];
    let hosts = ["127.0.0.1:9180", "localhost:9180", "127.0.0.1", "localhost", "staff.example.com"];
    for spoken in [Spoken::Http1, Spoken::Http2] {
        for host in hosts {
            let elsewhere = ask(address, spoken, host, "/any/other", &lines).await;
            assert!(!elsewhere.is_success(), "{host}");
            for path in [
                "/health",
                "/metrics",
                "/status",
                "/version",
                "/keys",
                "/signing-key",
                "/sessions",
                "/service-tokens",
                "/reload",
                "/explain",
                "/debug",
                "/debug/pprof/",
                "/debug/vars",
                "/profile",
                "/admin",
                "/_admin/health",
                "/server-status",
                "/actuator/env",
            ] {
                let answer = ask(address, spoken, host, path, &lines).await;
                assert_eq!(answer, elsewhere, "{spoken:?} {host}{path}");
            }
        }
    }
}
