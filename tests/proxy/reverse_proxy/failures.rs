//! Answers that come from the proxy itself.

use std::time::Duration;

use axum::Router;
use http::{Request, StatusCode};
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower_access::proxy::{Ingress, IngressRule, ReverseProxy};

use super::world::*;

/// An address where nobody listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_refused_connection_is_a_bad_gateway() {
    let proxy = proxy_to(&nowhere().await, settings());
    let request = Request::get("/secret-path?token=secret-query")
        .header("host", "secret-host.example")
        .header("cookie", "secret-cookie=1")
        .body(no_body())
        .unwrap();
    let answer = proxy.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let policy = answer.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let page = text(answer).await;
    assert!(page.contains("Reference <code>"), "{page}");
    assert!(!page.contains("secret") && !page.contains("127.0.0.1"), "{page}");
}

#[tokio::test]
async fn programs_get_json() {
    let proxy = proxy_to(&nowhere().await, settings());
    let mut request = get("/");
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    let answer = proxy.oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let body: serde_json::Value = serde_json::from_slice(&bytes(answer).await).unwrap();
    assert_eq!(body["status"], 502);
    assert_eq!(body["reference"].as_str().unwrap().len(), 16);
}

#[tokio::test]
async fn an_origin_that_closes_without_an_answer_is_a_bad_gateway() {
    let origin = raw_origin(|mut stream| async move {
        read_head(&mut stream).await;
    })
    .await;
    let answer = Client::connect(&in_front_of(origin).await).await.get("/").await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_mute_origin_is_a_gateway_timeout() {
    let origin = origin(Router::new().fallback(std::future::pending::<()>)).await;
    let proxy = ReverseProxy::builder(one_rule(&format!("http://{origin}"), settings()))
        .response_header_timeout(Duration::from_millis(50))
        .build()
        .unwrap();
    let answer = soon(proxy.oneshot(get("/"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn an_origin_mute_in_the_handshake_is_a_gateway_timeout() {
    let origin = raw_origin(|stream| async move {
        let _stream = stream;
        std::future::pending().await
    })
    .await;
    let mut settings = settings();
    settings.tls_timeout = Duration::from_millis(50);
    settings.dangerous_no_tls_verify = true;
    let proxy = proxy_to(&format!("https://{origin}"), settings);
    let answer = soon(proxy.oneshot(get("/"))).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn rules_without_an_origin_answer_themselves() {
    let rule = |host, service| IngressRule::parse(host, None, service, settings()).unwrap();
    let ingress =
        Ingress::new(vec![rule("hello.example", "hello_world"), rule("", "http_status:418")]);
    let proxy = ReverseProxy::builder(ingress.unwrap()).build().unwrap();

    let answer = proxy.clone().oneshot(get("/")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(text(answer).await, "");

    let hello = Request::get("/").header("host", "HELLO.example.:80").body(no_body()).unwrap();
    let answer = proxy.oneshot(hello).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(text(answer).await.contains("Hello, world"));
}

#[cfg(unix)]
#[tokio::test]
async fn an_origin_can_listen_on_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("tower-access-{}.sock", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let router = Router::new().fallback(reflect);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let proxy = proxy_to(&format!("unix:{}", path.display()), settings());
    let seen = text(proxy.oneshot(get("/x")).await.unwrap()).await;
    std::fs::remove_file(&path).unwrap();
    assert!(seen.starts_with("GET /x HTTP/1.1\n"), "{seen}");
    assert!(seen.contains("\nhost: app.example\n"), "{seen}");
}

#[tokio::test]
async fn a_broken_request_body_is_the_clients_fault() {
    let proxy = in_front_of(mirror().await).await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n";
    let answer = raw_exchange(&proxy, request).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn two_lengths_are_one_or_refused() {
    let proxy = in_front_of(mirror().await).await;
    for lines in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "content-length: +5\r\n\r\nhello",
        "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{lines}");
        let answer = raw_exchange(&proxy, &request).await;
        let refused = answer.starts_with("HTTP/1.1 400");
        let framed_anew = answer.contains("transfer-encoding: chunked\n")
            && !answer.contains("content-length: 5\n")
            && answer.contains("body: \n");
        assert!(refused || framed_anew, "{lines}: {answer}");
    }
}
