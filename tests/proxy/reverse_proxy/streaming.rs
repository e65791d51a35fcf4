//! Bodies pass in both directions as they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body as AxumBody;
use axum::routing::{any, post};
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};

use super::world::*;

#[tokio::test]
async fn an_answer_arrives_while_the_origin_still_writes() {
    let (sender, body) = frames();
    let body = Arc::new(Mutex::new(Some(body)));
    let origin = origin(Router::new().fallback(move || {
        let body = Arc::clone(&body);
        async move { AxumBody::new(body.lock().await.take().unwrap()) }
    }))
    .await;
    let proxy = in_front_of(origin).await;

    let mut answer = Client::connect(&proxy).await.get("/").await.into_body();
    sender.send(data("one")).await.unwrap();
    assert_eq!(next_data(&mut answer).await, "one");
    sender.send(data("two")).await.unwrap();
    assert_eq!(next_data(&mut answer).await, "two");
    drop(sender);
    assert!(soon(answer.frame()).await.is_none());
}

#[tokio::test]
async fn an_upload_arrives_while_the_client_still_writes() {
    let (seen, mut sees) = mpsc::unbounded_channel();
    let origin = origin(Router::new().route(
        "/",
        post(move |request: axum::extract::Request| async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                seen.send(frame.into_data().unwrap()).unwrap();
            }
            "done"
        }),
    ))
    .await;
    let proxy = in_front_of(origin).await;

    let (sender, body) = frames();
    let request = Request::post("/").header("host", "app.example").body(body.boxed()).unwrap();
    let mut client = Client::connect(&proxy).await;
    let answer = tokio::spawn(async move { client.send(request).await });
    sender.send(data("one")).await.unwrap();
    assert_eq!(soon(sees.recv()).await.unwrap(), "one");
    sender.send(data("two")).await.unwrap();
    assert_eq!(soon(sees.recv()).await.unwrap(), "two");
    drop(sender);
    assert_eq!(text(soon(answer).await.unwrap()).await, "done");
}

#[tokio::test]
async fn a_slow_reader_slows_the_origin() {
    let (written, mut writes) = mpsc::unbounded_channel();
    let origin = raw_origin(move |mut stream| {
        let written = written.clone();
        async move {
            read_head(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {MUCH}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&vec![b'x'; MUCH]).await.unwrap();
            written.send(()).unwrap();
        }
    })
    .await;
    let proxy = in_front_of(origin).await;

    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(tokio::time::timeout(A_WHILE * 4, writes.recv()).await.is_err(), "it was buffered");
    let mut answer = Vec::new();
    soon(client.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.len() > MUCH);
    soon(writes.recv()).await.unwrap();
}

/// More than all socket buffers on the way can hold.
const MUCH: usize = 64 << 20;

#[tokio::test]
async fn a_client_that_leaves_ends_the_answer() {
    let (sender, body) = frames();
    let body = Arc::new(Mutex::new(Some(body)));
    let origin = origin(Router::new().fallback(move || {
        let body = Arc::clone(&body);
        async move { AxumBody::new(body.lock().await.take().unwrap()) }
    }))
    .await;
    let proxy = in_front_of(origin).await;

    let mut client = Client::connect(&proxy).await;
    let mut answer = client.get("/").await.into_body();
    sender.send(data("one")).await.unwrap();
    next_data(&mut answer).await;
    drop((client, answer));
    soon(sender.closed()).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_ends_the_request() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let origin = raw_origin(move |mut stream| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await;
            tell.send("asked").unwrap();
            let _ = stream.read_u8().await;
            tell.send("gone").unwrap();
        }
    })
    .await;
    let proxy = in_front_of(origin).await;

    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert_eq!(soon(told.recv()).await, Some("asked"));
    drop(client);
    assert_eq!(soon(told.recv()).await, Some("gone"));
}

#[tokio::test]
async fn large_bodies_come_back_whole() {
    let echo = any(|request: axum::extract::Request| async { request.into_body() });
    let proxy = in_front_of(origin(Router::new().route("/", echo)).await).await;
    let large: Bytes = (0..8_usize << 20).map(|index| (index % 251) as u8).collect();
    let mut client = Client::connect(&proxy).await;

    let known = Request::post("/").header("host", "a").body(full(large.clone())).unwrap();
    assert!(bytes(client.send(known).await).await == large);

    let (sender, body) = frames();
    let unknown = Request::post("/").header("host", "a").body(body.boxed()).unwrap();
    let sent = large.clone();
    tokio::spawn(async move {
        for start in (0..sent.len()).step_by(1 << 16) {
            let chunk = sent.slice(start..start + (1 << 16));
            sender.send(http_body::Frame::data(chunk)).await.unwrap();
        }
    });
    assert!(bytes(client.send(unknown).await).await == large);
}

#[tokio::test]
async fn connections_are_reused_on_both_sides() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let origin = raw_origin(move |mut stream| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            loop {
                read_head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            }
        }
    })
    .await;
    let proxy = in_front_of(origin).await;
    let mut client = Client::connect(&proxy).await;
    // A connection is taken back when its response has arrived whole, which may be after the next request.
    let mut requests = 0;
    while requests < 2 || connections.load(Ordering::SeqCst) == requests {
        assert!(requests < 1000, "no connection was ever used again");
        assert_eq!(text(client.get("/").await).await, "ok");
        requests += 1;
    }
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let origin = raw_origin(|mut stream| async move {
        while stream.readable().await.is_ok() {
            let head = read_head(&mut stream).await;
            let answer = if head.starts_with("HEAD") { "" } else { "hello" };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{answer}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let proxy = in_front_of(origin).await;
    let mut client = Client::connect(&proxy).await;
    let head = Request::head("/").header("host", "a").body(no_body()).unwrap();
    let answer = client.send(head).await;
    assert_eq!(answer.headers()["content-length"], "5");
    assert_eq!(text(answer).await, "");
    assert_eq!(text(client.get("/").await).await, "hello");
}

#[tokio::test]
async fn the_body_of_a_get_is_not_lost() {
    let proxy = in_front_of(mirror().await).await;
    let (sender, body) = frames();
    let request = Request::get("/")
        .header("host", "a")
        .header("transfer-encoding", "chunked")
        .body(body.boxed());
    tokio::spawn(async move { sender.send(data("payload")).await });
    let seen = text(Client::connect(&proxy).await.send(request.unwrap()).await).await;
    assert!(seen.contains("body: payload\n"), "{seen}");
}

#[tokio::test]
async fn trailers_of_an_answer_pass() {
    let origin = raw_origin(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
                      2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = in_front_of(origin).await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te, close\r\n\r\n";
    let answer = raw_exchange(&proxy, request).await;
    assert!(answer.ends_with("2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn trailers_of_a_request_carry_no_identity() {
    let proxy = in_front_of(mirror().await).await;
    let seen = raw_exchange(
        &proxy,
        "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
         trailer: x-sum, cf-access-jwt-assertion, cf_access_user\r\n\r\n\
         2\r\nok\r\n0\r\nx-sum: 7\r\ncf-access-jwt-assertion: forged\r\ncf_access_user: forged\r\n\r\n",
    )
    .await;
    assert!(seen.contains("trailer x-sum: 7\n"), "{seen}");
    assert!(seen.contains("\ntrailer: x-sum\n"), "{seen}");
    assert!(!seen.contains("forged"), "{seen}");
}
