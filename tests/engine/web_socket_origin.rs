//! Which pages may open a WebSocket with a browser's cookie: those of the host itself, by scheme,
//! host and port. Programs that bring a credential no page can send come from anywhere.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::any;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, StatusCode, Version};
use http_body_util::Full;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::Message as Sent;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tower::Layer;
use tower_access::application::Application;
use tower_access::issuer::SigningKey;
use tower_access::policy::{Policy, Rule};
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy, ServeLimits, serve};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::{Access, AccessLayer};

use crate::support::{Mailbox, Origin, clock, person, send, two_copies_of_a_key};

const TEAM: &str = "https://login.example.com";
const HOST: &str = "wiki.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

/// Origins of pages that are none of the host's, and of native applications.
const FOREIGN: [&str; 24] = [
    "http://wiki.example.com",
    "http://wiki.example.com:443",
    "https://wiki.example.com:8443",
    "https://wiki.example.com:80",
    "https://wiki.example.com:0",
    "https://evil.example",
    "https://wiki.example.com.evil.example",
    "https://evil-wiki.example.com",
    "https://a.wiki.example.com",
    "https://example.com",
    "https://ada@wiki.example.com",
    "https://wiki.example.com@evil.example",
    "https://wiki.example.com/x",
    "https://wiki.example.com, https://evil.example",
    "wiki.example.com",
    "null",
    "",
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "https://localhost",
    "app://obsidian.md",
    "file://",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
];

fn access() -> (Access, SigningKey) {
    let (key, copy) = two_copies_of_a_key();
    let application = Application::new("Wiki", HOST)
        .unwrap()
        .also_at("localhost")
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .policy(Policy::service_auth("ci").include(Rule::service_token("ci")))
        .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap()));
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(copy)
        .clock(clock())
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")))
        .application(application)
        .build()
        .unwrap();
    (access, key)
}

fn token(key: &SigningKey) -> String {
    key.sign(&person(TEAM, AUDIENCE, "ada@example.com")).unwrap()
}

/// An upgrade over HTTP/1.1, or an extended CONNECT over HTTP/2 (RFC 8441).
fn socket(version: Version, host: &str, lines: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().version(version);
    request = if version == Version::HTTP_2 {
        request.method("CONNECT").uri(format!("https://{host}/ws"))
    } else {
        let request = request.uri("/ws").header("host", host);
        request.header("connection", "keep-alive, Upgrade").header("upgrade", "websocket")
    };
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// SES-27
#[tokio::test]
async fn ses_27_scheme_and_port_of_a_page_count() {
    let (access, key) = access();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    let cookie = format!("CF_Authorization={}", token(&key));
    let ask = async |version, host: &str, lines: &[(&str, &str)]| {
        let before = origin.count();
        let answer = send(&service, socket(version, host, lines)).await;
        assert_eq!(origin.count() > before, answer.status() == StatusCode::OK);
        answer.status()
    };
    for version in VERSIONS {
        for (host, page) in [
            (HOST, "https://wiki.example.com"),
            (HOST, "https://wiki.example.com:443"),
            ("wiki.example.com:443", "https://wiki.example.com"),
            ("WIKI.example.com", "https://wiki.example.com"),
            ("wiki.example.com:8443", "https://wiki.example.com:8443"),
            // The address under which the login sends people there.
            ("wiki.example.com:8443", "https://wiki.example.com"),
            ("localhost:8080", "http://localhost:8080"),
            ("localhost:8080", "https://localhost:8080"),
            ("localhost", "http://localhost"),
        ] {
            let lines = [("origin", page), ("cookie", &*cookie)];
            assert_eq!(ask(version, host, &lines).await, StatusCode::OK, "{host} {page}");
        }
        for (host, page) in FOREIGN.map(|page| (HOST, page)).into_iter().chain([
            ("wiki.example.com:8443", "https://wiki.example.com:9443"),
            ("wiki.example.com:80", "http://wiki.example.com"),
            ("localhost:8080", "http://localhost:9090"),
        ]) {
            let lines = [("origin", page), ("cookie", &*cookie)];
            assert_eq!(ask(version, host, &lines).await, StatusCode::FORBIDDEN, "{host} {page}");
        }
        // Nobody says which of two counts.
        let lines =
            [("origin", "https://wiki.example.com"); 2].into_iter().chain([("cookie", &*cookie)]);
        let lines: Vec<_> = lines.collect();
        assert_eq!(ask(version, HOST, &lines).await, StatusCode::FORBIDDEN);
        // No browser leaves it out.
        assert_eq!(ask(version, HOST, &[("cookie", &cookie)]).await, StatusCode::OK);
    }
    // Event streams and everything else that is no socket are protected by CORS.
    let stream = Request::builder()
        .uri("/events")
        .header("host", HOST)
        .header("accept", "text/event-stream")
        .header("origin", "http://wiki.example.com")
        .header("cookie", &cookie);
    let answer = send(&service, stream.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

/// PROTO-01
#[tokio::test]
async fn proto_01_a_credential_that_no_page_can_send_opens_a_socket_from_anywhere() {
    let (access, key) = access();
    let service = AccessLayer::new(access).layer(Origin::default());
    let token = token(&key);
    for version in VERSIONS {
        for page in FOREIGN {
            for credential in [
                &[("cf-access-token", &*token)][..],
                &[("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")],
            ] {
                let mut lines = credential.to_vec();
                lines.push(("origin", page));
                let answer = send(&service, socket(version, HOST, &lines)).await;
                assert_eq!(answer.status(), StatusCode::OK, "{page}");
            }
        }
    }
}

/// PROTO-01
#[tokio::test]
async fn proto_01_a_page_without_a_session_is_refused_and_not_redirected() {
    let (access, _) = access();
    let service = AccessLayer::new(access).layer(Origin::default());
    for version in VERSIONS {
        for page in ["https://wiki.example.com", "http://wiki.example.com", "null"] {
            for lines in [&[][..], &[("accept", "text/html"), ("sec-fetch-mode", "websocket")]] {
                let mut lines = lines.to_vec();
                lines.push(("origin", page));
                let answer = send(&service, socket(version, HOST, &lines)).await;
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{page}");
                if !lines.contains(&("accept", "text/html")) {
                    let body: Value = serde_json::from_str(&answer.text).unwrap();
                    assert_eq!(body["error"], "login_required");
                    assert!(body["login_url"].as_str().unwrap().starts_with(TEAM));
                }
            }
        }
    }
    // A carrier without a browser begins its login at the redirect.
    let answer = send(&service, socket(Version::HTTP_11, HOST, &[])).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
}

/// The proxy on a socket, in front of an origin that echoes.
async fn proxy(access: Access) -> SocketAddr {
    let echo = any(|upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                if socket.send(Message::Text(text)).await.is_err() {
                    break;
                }
            }
        })
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let behind = listener.local_addr().unwrap();
    let app = Router::new().route("/ws", echo);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let service = format!("http://{behind}");
    let rule = IngressRule::parse("", None, &service, OriginSettings::default()).unwrap();
    let proxy = ReverseProxy::builder(Ingress::new(vec![rule]).unwrap()).build().unwrap();
    let service = AccessLayer::new(access).layer(proxy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, service, ServeLimits::default(), std::future::pending::<()>()));
    address
}

/// The status of a WebSocket's handshake; where it is 101 a word is echoed.
async fn shake_hands(proxy: SocketAddr, lines: &[(&'static str, &str)]) -> StatusCode {
    let mut request = format!("ws://{proxy}/ws").into_client_request().unwrap();
    request.headers_mut().insert("host", HOST.parse().unwrap());
    for (name, value) in lines {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((mut socket, answer)) => {
            socket.send(Sent::text("hello")).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), Sent::text("hello"));
            answer.status()
        }
        Err(Error::Http(answer)) => answer.status(),
        Err(error) => panic!("{error}"),
    }
}

/// SES-27, PROTO-01
#[tokio::test]
async fn ses_27_a_handshake_through_the_proxy_ends_as_it_should() {
    let (access, key) = access();
    let proxy = proxy(access).await;
    let token = token(&key);
    let cookie = format!("CF_Authorization={token}");
    let own = ("origin", "https://wiki.example.com");
    let switched = StatusCode::SWITCHING_PROTOCOLS;
    assert_eq!(shake_hands(proxy, &[own, ("cookie", &cookie)]).await, switched);
    assert_eq!(shake_hands(proxy, &[own]).await, StatusCode::UNAUTHORIZED);
    for page in FOREIGN {
        let page = ("origin", page);
        let status = shake_hands(proxy, &[page, ("cookie", &cookie)]).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{page:?}");
        assert_eq!(shake_hands(proxy, &[page, ("cf-access-token", &token)]).await, switched);
        let service =
            [page, ("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")];
        assert_eq!(shake_hands(proxy, &service).await, switched);
    }
}
