//! Connections begin, wait and end as the limits say.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body as AxumBody;
use bytes::Bytes;
use http_body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tower_access::proxy::ServeLimits;

use super::world::*;

/// An origin with one answer, which the test writes.
async fn held_origin() -> (mpsc::Sender<Frame<Bytes>>, String) {
    let (sender, body) = frames();
    let body = Arc::new(Mutex::new(Some(body)));
    let address = origin(Router::new().fallback(move || {
        let body = Arc::clone(&body);
        async move { AxumBody::new(body.lock().await.take().unwrap()) }
    }))
    .await;
    (sender, format!("http://{address}"))
}

#[tokio::test]
async fn shutdown_lets_a_running_answer_end() {
    let (sender, service) = held_origin().await;
    let proxy = run(proxy_to(&service, settings()), ServeLimits::default()).await;
    let mut client = Client::connect(&proxy).await;
    let mut idle = TcpStream::connect(proxy.address).await.unwrap();

    let mut answer = client.get("/").await.into_body();
    sender.send(data("one")).await.unwrap();
    assert_eq!(next_data(&mut answer).await, "one");
    proxy.stop.send(()).unwrap();
    // An idle connection is closed at once: then shutdown has begun.
    assert_eq!(soon(idle.read(&mut [0])).await.unwrap(), 0);
    assert!(!proxy.task.is_finished());
    sender.send(data("two")).await.unwrap();
    drop(sender);
    assert_eq!(next_data(&mut answer).await, "two");
    drop((client, answer));
    assert_eq!(soon(proxy.task).await.unwrap(), 0);
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let (sender, service) = held_origin().await;
    let mut limits = ServeLimits::default();
    limits.grace_period = Duration::from_millis(50);
    let proxy = run(proxy_to(&service, settings()), limits).await;
    let mut client = Client::connect(&proxy).await;
    let mut answer = client.get("/").await.into_body();
    sender.send(data("one")).await.unwrap();
    next_data(&mut answer).await;
    proxy.stop.send(()).unwrap();
    assert_eq!(soon(proxy.task).await.unwrap(), 1);
}

#[tokio::test]
async fn those_who_send_no_request_are_not_waited_for() {
    let mut limits = ServeLimits::default();
    limits.header_read_timeout = Duration::from_millis(50);
    let proxy = run(proxy_to("hello_world", settings()), limits).await;
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost: a\r\n"] {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Closed, or reset because there was something unread.
        let _ = soon(stream.read_to_end(&mut answer)).await;
    }
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed() {
    let mut limits = ServeLimits::default();
    limits.idle_timeout = Duration::from_millis(50);
    let proxy = run(proxy_to("hello_world", settings()), limits).await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("http://a/").body(no_body()).unwrap();
    text(soon(sender.send_request(request)).await.unwrap()).await;
    // The client would keep it as long as there is a sender.
    let _ = soon(connection).await.unwrap();
    assert!(sender.is_closed());
}

#[tokio::test]
async fn an_answer_under_way_is_not_idle() {
    let (sender, service) = held_origin().await;
    let mut limits = ServeLimits::default();
    limits.idle_timeout = Duration::from_millis(10);
    let proxy = run(proxy_to(&service, settings()), limits).await;
    let mut client = Client::connect(&proxy).await;
    let mut answer = client.get("/").await.into_body();
    tokio::time::sleep(A_WHILE).await;
    sender.send(data("one")).await.unwrap();
    assert_eq!(next_data(&mut answer).await, "one");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let mut limits = ServeLimits::default();
    limits.max_connections = 1;
    let proxy = run(proxy_to("hello_world", settings()), limits).await;
    let mut first = Client::connect(&proxy).await;
    text(first.get("/").await).await;

    let mut second = Client::connect(&proxy).await;
    let mut answer = Box::pin(second.get("/"));
    assert!(tokio::time::timeout(A_WHILE, &mut answer).await.is_err(), "it was not held back");
    drop(first);
    assert!(text(soon(answer).await).await.contains("Hello"));
}

#[tokio::test]
async fn too_large_a_head_is_refused() {
    let mut limits = ServeLimits::default();
    limits.max_header_bytes = 8 * 1024;
    let proxy = run(proxy_to("hello_world", settings()), limits).await;
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\ncookie: {}", "x".repeat(9000));
    assert!(raw_exchange(&proxy, &request).await.starts_with("HTTP/1.1 431"));
}
