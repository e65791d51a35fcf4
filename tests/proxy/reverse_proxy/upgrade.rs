//! Leaving HTTP: only when both sides want it, and never for another form of it.

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::any;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use super::world::*;

const UPGRADE: &str =
    "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo\r\n\r\n";

#[tokio::test]
async fn a_websocket_echoes_through_the_proxy() {
    let echo = |mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    };
    let upgrade = any(move |upgrade: WebSocketUpgrade| async move { upgrade.on_upgrade(echo) });
    let proxy = in_front_of(origin(Router::new().route("/ws", upgrade)).await).await;
    let (mut socket, answer) =
        soon(tokio_tungstenite::connect_async(format!("ws://{}/ws", proxy.address))).await.unwrap();
    assert_eq!(answer.status(), 101);
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::text(text));
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = soon(socket.next()).await {}
}

#[tokio::test]
async fn bytes_behind_an_upgrade_wait_for_the_answer() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let origin = raw_origin(move |mut stream| {
        let tell = tell.clone();
        async move {
            let head = read_head(&mut stream).await;
            assert!(head.contains("connection: upgrade\r\nupgrade: echo\r\n"), "{head}");
            let mut early = [0; 16];
            let early = tokio::time::timeout(A_WHILE, stream.read(&mut early)).await;
            tell.send(early.is_err()).unwrap();
            let answer =
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        }
    })
    .await;
    let proxy = in_front_of(origin).await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client.write_all(format!("{UPGRADE}early").as_bytes()).await.unwrap();
    assert!(soon(told.recv()).await.unwrap(), "bytes arrived before the answer");
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.contains("upgrade: echo\r\n"), "{head}");
    let mut rest = Vec::new();
    soon(client.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"early");
}

#[tokio::test]
async fn a_declined_upgrade_is_an_ordinary_answer() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let origin = raw_origin(move |mut stream| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await;
            stream
                .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno")
                .await
                .unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            tell.send(rest).unwrap();
        }
    })
    .await;
    let mut settings = settings();
    settings.keep_alive_connections = 0;
    let proxy = run(proxy_to(&format!("http://{origin}"), settings), Default::default()).await;
    let answer = raw_exchange(&proxy, &format!("{UPGRADE}\0\0\0early\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(soon(told.recv()).await.unwrap().is_empty(), "bytes arrived although it was declined");
}

#[tokio::test]
async fn another_form_of_http_is_never_offered() {
    let proxy = in_front_of(mirror().await).await;
    for protocol in ["h2c", "websocket, H2C", "HTTP/2.0", "TLS/1.2"] {
        let request = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings, close\r\n\
             upgrade: {protocol}\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        );
        let seen = raw_exchange(&proxy, &request).await;
        assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
        assert!(!seen.contains("upgrade") && !seen.contains("http2-settings"), "{seen}");
    }
}

#[tokio::test]
async fn a_switch_nobody_asked_for_is_a_bad_gateway() {
    let origin = raw_origin(|mut stream| async move {
        read_head(&mut stream).await;
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let proxy = in_front_of(origin).await;
    let mut client = TcpStream::connect(proxy.address).await.unwrap();
    client.write_all(UPGRADE.as_bytes()).await.unwrap();
    let head = read_head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
    let answer = Client::connect(&proxy).await.get("/").await;
    assert_eq!(answer.status(), 502);
}
