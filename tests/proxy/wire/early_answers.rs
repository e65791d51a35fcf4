//! Answers that are given before the request's body has arrived: they reach the client, and what is
//! left of the body is read within bounds.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::Layer;
use tower_access::AccessLayer;
use tower_access::proxy::{ServeLimits, serve};

use super::client::{
    DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, RST_STREAM, Wire, header_block, soon,
};
use super::world::{World, engine, listen, proxy_to, world, world_with};
use crate::support::two_copies_of_a_key;

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 32;

fn post(host: &str, lines: &str) -> String {
    format!("POST /up HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n")
}

/// Both ways to frame 2 MiB over HTTP/1.1.
fn framings() -> [(&'static str, String, Vec<u8>); 2] {
    let data = vec![b'x'; CHUNK];
    let chunk = [format!("{CHUNK:x}\r\n").as_bytes(), &data, b"\r\n"].concat();
    let chunked = [chunk.repeat(CHUNKS), b"0\r\n\r\n".to_vec()].concat();
    let length = format!("content-length: {}\r\n", CHUNK * CHUNKS);
    [
        ("length", length, data.repeat(CHUNKS)),
        ("chunked", "transfer-encoding: chunked\r\n".to_owned(), chunked),
    ]
}

/// The answer is there before the body, and the connection serves the next request after it.
#[tokio::test]
async fn proto_13_a_refusal_comes_before_the_body_and_the_connection_goes_on() {
    let world = world().await;
    for (name, lines, body) in framings() {
        let mut wire = Wire::connect(world.proxy).await;
        for _ in 0..2 {
            wire.send(post("app.example", &lines)).await;
            assert_eq!(wire.answer().await.unwrap().status, 401, "{name}");
            assert!(wire.send(&body).await, "{name}: the body is taken");
        }
        wire.send("GET /after HTTP/1.1\r\nhost: open.example\r\n\r\n").await;
        assert_eq!(wire.answer().await.unwrap().status, 200, "{name}");
    }
    assert_eq!(world.origin.targets(), ["GET /after"; 2]);
}

/// A program with the layers in it gets the same from `serve`.
#[tokio::test]
async fn proto_13_a_router_that_serve_listens_for_drains_as_well() {
    let layer = AccessLayer::new(engine(two_copies_of_a_key().0));
    let router = axum::Router::new().fallback(|| async { "page" }).layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, ServeLimits::default(), std::future::pending::<()>()));
    for (name, lines, body) in framings() {
        let mut wire = Wire::connect(address).await;
        wire.send(post("app.example", &lines)).await;
        assert_eq!(wire.answer().await.unwrap().status, 401, "{name}");
        assert!(wire.send(&body).await, "{name}");
        wire.send("GET / HTTP/1.1\r\nhost: open.example\r\n\r\n").await;
        assert_eq!(wire.answer().await.unwrap().body, "page", "{name}");
    }
}

/// An origin that answers before it has read the body, and goes on reading.
#[tokio::test]
async fn proto_13_an_early_answer_of_an_origin_reaches_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    stream.read_buf(&mut head).await?;
                }
                let answer = "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n";
                stream.write_all(format!("{answer}\r\nno").as_bytes()).await?;
                stream.shutdown().await?;
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
            });
        }
    });
    let layer = AccessLayer::new(engine(two_copies_of_a_key().0));
    let service = layer.layer(proxy_to(&[("", origin)]));
    let proxy = listen(service, ServeLimits::default()).await;
    for (name, lines, body) in framings() {
        let mut wire = Wire::connect(proxy).await;
        for _ in 0..2 {
            wire.send(post("open.example", &lines)).await;
            let answer = wire.answer().await.unwrap();
            assert_eq!((answer.status, &*answer.body), (413, "no"), "{name}");
            assert!(wire.send(&body).await, "{name}: the body is taken");
        }
    }
}

/// A client that waits is not asked for the body, and one that does not wait any longer reads on.
#[tokio::test]
async fn proto_13_a_refusal_asks_no_client_to_continue() {
    let world = world().await;
    for (name, lines, body) in framings() {
        let mut wire = Wire::connect(world.proxy).await;
        wire.send(post("app.example", &format!("expect: 100-continue\r\n{lines}"))).await;
        assert_eq!(wire.answer().await.unwrap().status, 401, "{name}");
        wire.send(&body[..CHUNK]).await;
        assert!(wire.ends_in_order().await, "{name}");
    }
}

/// Beyond each limit the connection closes lingering: the client sees its end, and no reset.
#[tokio::test]
async fn proto_13_beyond_the_limits_the_connection_closes_lingering() {
    let mut few_bytes = ServeLimits::default();
    few_bytes.max_drained_bytes = (CHUNK * 4).try_into().unwrap();
    let mut no_drains = ServeLimits::default();
    no_drains.max_drains = 0;
    let mut short = ServeLimits::default();
    short.drain_timeout = Duration::from_millis(20);
    let mut silent = ServeLimits::default();
    silent.linger_timeout = Duration::from_millis(20);
    for (limit, limits, sent) in [
        ("bytes", few_bytes, CHUNK * 6),
        ("drains", no_drains, CHUNK * 8),
        ("time", short, CHUNK),
        ("silence", silent, 1),
    ] {
        let world = world_with(limits).await;
        for (framing, lines, body) in framings() {
            let mut wire = Wire::connect(world.proxy).await;
            wire.send(post("app.example", &lines)).await;
            assert!(wire.send(&body[..sent]).await, "{limit}, {framing}");
            assert_eq!(wire.answer().await.unwrap().status, 401, "{limit}, {framing}");
            assert!(wire.ends_in_order().await, "{limit}, {framing}");
        }
    }
}

/// One drain at a time, and a client that stalls in it.
#[tokio::test]
async fn proto_13_the_number_of_drains_is_bounded_over_all_connections() {
    let mut limits = ServeLimits::default();
    limits.max_drains = 1;
    let world = world_with(limits).await;
    let [(_, lines, body), _] = framings();
    let mut first = Wire::connect(world.proxy).await;
    first.send(post("app.example", &lines)).await;
    assert_eq!(first.answer().await.unwrap().status, 401);
    let mut second = Wire::connect(world.proxy).await;
    second.send(post("app.example", &lines)).await;
    assert_eq!(second.answer().await.unwrap().status, 401);
    assert!(second.ends_in_order().await);
    // The first has the slot still. It gives it back soon after the end of its body.
    let next = "GET /after HTTP/1.1\r\nhost: open.example\r\n\r\n";
    assert!(first.send([&body, next.as_bytes()].concat()).await);
    assert_eq!(first.answer().await.unwrap().status, 200);
    soon(async {
        loop {
            let mut third = Wire::connect(world.proxy).await;
            third.send(post("app.example", &lines)).await;
            assert_eq!(third.answer().await.unwrap().status, 401);
            third.send([&body, next.as_bytes()].concat()).await;
            if third.answer().await.is_some_and(|answer| answer.status == 200) {
                return;
            }
        }
    })
    .await;
}

/// What hyper refuses itself has a body on its way as well.
#[tokio::test]
async fn proto_13_a_malformed_head_is_refused_without_a_reset() {
    let world = world().await;
    let mut wire = Wire::connect(world.proxy).await;
    wire.send("POST / HTTP/1.1\r\nhost: app.example\r\ncontent-length: x\r\n\r\n").await;
    assert_eq!(wire.answer().await.unwrap().status, 400);
    assert!(wire.send(vec![b'x'; CHUNK]).await);
    assert!(wire.ends_in_order().await);
}

/// Over HTTP/2 the body is taken with more window, and nothing is reset.
#[tokio::test]
async fn proto_13_an_http2_stream_ends_after_its_refusal_without_a_reset() {
    let world = world().await;
    let mut frames = refused(&world).await;
    // As much as the client may send without more window.
    for number in 1..4 {
        let flags = if number == 3 { END_STREAM } else { 0 };
        frames.send(DATA, flags, 1, &[b'x'; 16_000]).await;
    }
    assert_eq!(next_stream(&mut frames).await, HEADERS);
}

/// Where nothing is drained the stream is reset, and the reset says that the answer is whole.
#[tokio::test]
async fn proto_13_an_http2_stream_that_is_not_drained_is_reset_without_error() {
    let mut none = ServeLimits::default();
    none.max_drains = 0;
    let mut short = ServeLimits::default();
    short.drain_timeout = Duration::from_millis(20);
    for limits in [none, short] {
        let world = world_with(limits).await;
        let mut frames = refused(&world).await;
        let reset = frames.next_of(&[RST_STREAM, GOAWAY]).await.unwrap();
        assert_eq!((reset.kind, reset.stream, &*reset.payload), (RST_STREAM, 1, &[0; 4][..]));
        assert_eq!(next_stream(&mut frames).await, HEADERS);
    }
}

/// A connection whose first stream has got its refusal, with the body still to be sent.
async fn refused(world: &World) -> Frames {
    let mut frames = Frames::connect(world.proxy).await;
    frames.send(HEADERS, END_HEADERS, 1, &http2_head("POST")).await;
    let answer = frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await.unwrap();
    assert_eq!((answer.kind, answer.stream), (HEADERS, 1));
    frames
}

/// What comes of a second stream, where the first has no reset before.
async fn next_stream(frames: &mut Frames) -> u8 {
    frames.send(HEADERS, END_HEADERS | END_STREAM, 3, &http2_head("GET")).await;
    frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await.unwrap().kind
}

fn http2_head(method: &str) -> Vec<u8> {
    header_block(&[
        (":method", method),
        (":scheme", "http"),
        (":authority", "app.example"),
        (":path", "/up"),
    ])
}
