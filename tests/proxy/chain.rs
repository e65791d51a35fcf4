//! The whole way over sockets: proxy, login layer, origin that verifies; and upgrades through it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::routing::{any, get};
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message as Sent;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tower::Layer;
use tower_access::config::Config;
use tower_access::proxy::{ReverseProxy, ServeLimits, serve};
use tower_access::secret::SecretHash;
use tower_access::{Access, AccessLayer, Identity};

const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const SECRET: &str = "8ca92a6528213c93b56190c5457fc8979fd26528c88d921a91357fefcd52bdad";

/// An origin that believes nobody but the issuer.
async fn origin(team_domain: &str, certs_url: String) -> SocketAddr {
    let access = Access::verifier_builder(team_domain)
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .certs_url(certs_url)
        .build()
        .unwrap();
    let app = Router::new()
        .route("/", get(|identity: Identity| async move { format!("{:?}", identity.client_id()) }))
        .route(
            "/ws",
            any(|upgrade: WebSocketUpgrade| async {
                upgrade.on_upgrade(|mut socket| async move {
                    while let Some(Ok(Message::Text(text))) = socket.recv().await {
                        socket.send(Message::Text(text)).await.unwrap();
                    }
                })
            }),
        )
        .layer(AccessLayer::new(access));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

async fn run(config: String, listener: TcpListener) {
    let config = Config::parse(&config, "chain.yml").unwrap();
    let service = AccessLayer::new(config.access().unwrap())
        .layer(ReverseProxy::from_config(&config).unwrap());
    tokio::spawn(serve(listener, service, ServeLimits::default(), std::future::pending::<()>()));
}

fn applications() -> String {
    format!(
        "
  applications:
    - name: App
      domain: app.localhost
      destinations: [ {{ uri: app.localhost }}, {{ uri: 127.0.0.1 }} ]
      aud: {AUDIENCE}
      policies:
        - name: CI
          decision: non_identity
          include: [ {{ service_token: {{ token_id: ci }} }} ]
        - name: Staff
          decision: allow
          include: [ {{ email_domain: {{ domain: example.com }} }} ]
  service_tokens:
    - name: ci
      client_id: ci.access
      client_secret_hash: {}
",
        SecretHash::new(SECRET)
    )
}

/// The proxy that issues, in front of something.
async fn issuing_proxy(listener: TcpListener, behind: SocketAddr) {
    let address = listener.local_addr().unwrap();
    let config = format!(
        "
listen: {address}
ingress:
  - service: http://{behind}
access:
  team_domain: login.localhost
  mail: console{}",
        applications()
    );
    run(config, listener).await;
}

/// The proxy that issues, in front of the origin that verifies.
async fn chain() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origin = origin("login.localhost", certs_url(address)).await;
    issuing_proxy(listener, origin).await;
    address
}

/// Keys are served on application hosts as well: this is how an origin on this machine asks.
/// A client for plain loopback addresses that follows no redirects. Its TLS is never used, but
/// without one of its own it would look for a process-wide provider.
fn client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

fn certs_url(proxy: SocketAddr) -> String {
    format!("http://{proxy}/cdn-cgi/access/certs")
}

async fn get_as_service(address: SocketAddr, secret: &str) -> (StatusCode, String) {
    let client = client();
    let answer = client
        .get(format!("http://{address}/"))
        .header("host", "app.localhost")
        .header("cf-access-client-id", "ci.access")
        .header("cf-access-client-secret", secret)
        .send()
        .await
        .unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test]
async fn an_origin_verifies_what_our_proxy_issues() {
    let address = chain().await;
    let good = get_as_service(address, SECRET).await;
    assert_eq!(good, (StatusCode::OK, "Some(\"ci.access\")".to_owned()));
    assert_eq!(get_as_service(address, "wrong").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_websocket_passes_the_layers_and_both_proxies() {
    let address = chain().await;
    let request = |secret: Option<&str>| {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        request.headers_mut().insert("host", "app.localhost".parse().unwrap());
        if let Some(secret) = secret {
            request.headers_mut().insert("cf-access-client-id", "ci.access".parse().unwrap());
            request.headers_mut().insert("cf-access-client-secret", secret.parse().unwrap());
        }
        request
    };
    let (mut socket, answer) =
        tokio_tungstenite::connect_async(request(Some(SECRET))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    socket.send(Sent::text("over all")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Sent::text("over all"));

    for (secret, status) in [(None, StatusCode::FOUND), (Some("wrong"), StatusCode::UNAUTHORIZED)] {
        match tokio_tungstenite::connect_async(request(secret)).await {
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                assert_eq!(answer.status(), status);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_proxy_behind_an_issuer_applies_its_policies_to_verified_claims() {
    let issuer = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer_address = issuer.local_addr().unwrap();
    // It runs no login, believes the first, and shows a page of its own.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = format!(
        "
listen: {address}
ingress:
  - service: hello_world
access:
  issuer: {{ team_domain: login.localhost, certs_url: \"{}\" }}{}",
        certs_url(issuer_address),
        applications()
    );
    run(config, listener).await;
    issuing_proxy(issuer, address).await;

    let (status, page) = get_as_service(issuer_address, SECRET).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Hello, world"), "{page}");

    // Past the issuer there is no way in.
    let client = client();
    let get = async |headers: &[(&str, &str)]| {
        let mut request = client.get(format!("http://{address}/")).header("host", "app.localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    };
    let anonymous = get(&[]).await;
    assert_eq!(anonymous.status(), StatusCode::FOUND);
    let login =
        format!("https://login.localhost/cdn-cgi/access/login/app.localhost?kid={AUDIENCE}");
    assert!(anonymous.headers()["location"].to_str().unwrap().starts_with(&login));
    let forged = get(&[("cf-access-jwt-assertion", "a.b.c")]).await;
    assert_eq!(forged.status(), StatusCode::UNAUTHORIZED);
    let secret = [("cf-access-client-id", "ci.access"), ("cf-access-client-secret", SECRET)];
    assert_eq!(get(&secret).await.status(), StatusCode::FOUND);
}
