//! Where a body ends: client, proxy and origin must not differ.

use std::time::Duration;

use tower_access::proxy::ServeLimits;

use super::client::*;
use super::world::*;

/// Behind each head stands a request that must not be read as part of another one, nor be the
/// second half of a body.
const NEXT: &str = "GET /next HTTP/1.1\r\nhost: open.example\r\nconnection: close\r\n\r\n";

/// Contradictions end the connection.
#[tokio::test]
async fn proto_03_contradicting_framing_is_refused_and_ends_the_connection() {
    let world = world().await;
    for (name, address) in world.fronts() {
        for head in [
            "content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
            "content-length: 5\r\ncontent-length: 0\r\n\r\nhello",
            "content-length: 5, 6\r\n\r\nhello",
            "content-length: +5\r\n\r\nhello",
            "content-length: -5\r\n\r\nhello",
            "content-length: 0x5\r\n\r\nhello",
            "content-length: 5 5\r\n\r\nhello",
            "content-length: five\r\n\r\nhello",
            "content-length: \r\n\r\nhello",
            "content-length: 99999999999999999999\r\n\r\nhello",
            "content-length : 5\r\n\r\nhello",
            "content-length\t: 5\r\n\r\nhello",
            "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
            "transfer-encoding: identity\r\n\r\nhello",
            "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
            "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
            "transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
            "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            "x-folded: a\r\n b\r\n\r\n",
            "x-folded: a\r\n\tcontent-length: 5\r\n\r\nhello",
            " content-length: 5\r\n\r\nhello",
            "x\r\n\r\n",
            ": x\r\n\r\n",
            "x-bare: a\rcontent-length: 5\r\n\r\nhello",
            "x-nul: a\0\r\n\r\n",
            "transfer-encoding\0: chunked\r\n\r\n0\r\n\r\n",
        ] {
            let mut wire = Wire::connect(address).await;
            let request = format!("POST /first HTTP/1.1\r\nhost: open.example\r\n{head}{NEXT}");
            wire.send(request).await;
            let statuses: Vec<_> = wire.answers().await.iter().map(|it| it.status).collect();
            assert_eq!(statuses, [400], "{name}: {head:?}");
        }
        assert!(world.targets(name).is_empty(), "{name}: {:?}", world.targets(name));
    }
}

/// What is good framing is the same one on the origin's side, whatever stands beside it.
#[tokio::test]
async fn proto_03_a_body_is_framed_alike_on_both_sides() {
    let world = world().await;
    let smuggled = "GET /admin HTTP/1.1\r\nhost: app.example\r\n\r\n";
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let length = smuggled.len();
    for (method, head, body) in [
        ("POST", "content-length: 5\r\n\r\nhello".to_owned(), "hello"),
        ("GET", "content-length: 5\r\n\r\nhello".to_owned(), "hello"),
        ("DELETE", "content-length: 5\r\n\r\nhello".to_owned(), "hello"),
        ("POST", "content-length: 5\r\ncontent-length: 5\r\n\r\nhello".to_owned(), "hello"),
        ("POST", "content-length: 05\r\n\r\nhello".to_owned(), "hello"),
        ("POST", format!("content-length: {length}\r\n\r\n{smuggled}"), smuggled),
        ("GET", format!("content-length: {length}\r\n\r\n{smuggled}"), smuggled),
        ("POST", format!("transfer-encoding: chunked\r\n\r\n{chunk}"), smuggled),
        ("GET", format!("transfer-encoding: chunked\r\n\r\n{chunk}"), smuggled),
        ("POST", format!("Transfer-Encoding: CHUNKED\r\n\r\n{chunk}"), smuggled),
        (
            "POST",
            "transfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0;x\r\n\r\n".to_owned(),
            "hello",
        ),
        (
            "POST",
            "transfer-encoding: chunked\r\n\r\n005\r\nhello\r\n0\r\nx: y\r\n\r\n".to_owned(),
            "hello",
        ),
    ] {
        let before = world.origin.received().len();
        let mut wire = Wire::connect(world.proxy).await;
        let request = format!("{method} /first HTTP/1.1\r\nhost: open.example\r\n{head}{NEXT}");
        wire.send(request).await;
        let statuses: Vec<_> = wire.answers().await.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 200], "{method} {head:?}");
        let seen = world.origin.received().split_off(before);
        let targets: Vec<_> = seen.iter().map(|request| request.target()).collect();
        assert_eq!(targets, [format!("{method} /first"), "GET /next".to_owned()], "{head:?}");
        assert_eq!(String::from_utf8_lossy(&seen[0].body), body, "{head:?}");
        assert!(seen[1].body.is_empty());
        let framings =
            seen[0].header("content-length").len() + seen[0].header("transfer-encoding").len();
        assert_eq!(framings, 1, "{head:?}: {}", String::from_utf8_lossy(&seen[0].head));
    }
}

/// Length and chunks in one request: the chunks count, the length goes no further, and the
/// connection ends behind the answer.
#[tokio::test]
async fn proto_03_of_length_and_chunks_one_reaches_the_origin() {
    let world = world().await;
    for lines in [
        "content-length: 40\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 40\r\n",
        "content-length: 0\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
    ] {
        let before = world.origin.received().len();
        let mut wire = Wire::connect(world.proxy).await;
        let request = format!(
            "POST /first HTTP/1.1\r\nhost: open.example\r\n{lines}\r\n5\r\nhello\r\n0\r\n\r\n{NEXT}"
        );
        wire.send(request).await;
        let answers = wire.answers().await;
        let seen = world.origin.received().split_off(before);
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        if statuses == [400] {
            assert!(seen.is_empty(), "{lines}");
            continue;
        }
        let targets: Vec<_> = seen.iter().map(|request| request.target()).collect();
        let expected = &["POST /first".to_owned(), "GET /next".to_owned()][..answers.len()];
        assert_eq!(targets, expected, "{lines}: {statuses:?}");
        assert_eq!(seen[0].body, b"hello", "{lines}");
        assert!(seen[0].header("content-length").is_empty(), "{lines}");
        assert_eq!(seen[0].header("transfer-encoding"), [b"chunked"], "{lines}");
        if lines.contains("content-length") {
            assert_eq!(statuses, [200], "{lines}: the connection ends");
        }
    }
}

/// Chunks that are none end the exchange: the origin never has a whole request of them.
#[tokio::test]
async fn proto_03_broken_chunks_never_become_a_request() {
    let world = world().await;
    for chunks in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rXhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nnot a trailer\r\n\r\n",
    ] {
        let mut wire = Wire::connect(world.proxy).await;
        let request = format!(
            "POST /first HTTP/1.1\r\nhost: open.example\r\ntransfer-encoding: chunked\r\n\r\n\
             {chunks}{NEXT}"
        );
        wire.send(request).await;
        let statuses: Vec<_> = wire.answers().await.iter().map(|answer| answer.status).collect();
        assert!(statuses.is_empty() || statuses == [400], "{chunks:?}: {statuses:?}");
    }
    assert!(world.origin.received().is_empty(), "{:?}", world.origin.targets());
}

/// Old and odd versions.
#[tokio::test]
async fn proto_03_chunks_under_http_1_0_and_odd_versions_are_refused() {
    let world = world().await;
    for (name, address) in world.fronts() {
        for line in [
            "POST /first HTTP/1.0\r\ntransfer-encoding: chunked",
            "POST /first HTTP/1.1 \r\nx: y",
            "POST /first HTTP/1.2\r\nx: y",
            "POST /first HTTP/3.0\r\nx: y",
            "POST /first HTTP/2.0\r\nx: y",
            "POST /first http/1.1\r\nx: y",
            "POST /first\r\nx: y",
            "POST  /first HTTP/1.1\r\nx: y",
            "POST /first /admin HTTP/1.1\r\nx: y",
            "POST\t/first\tHTTP/1.1\r\nx: y",
        ] {
            let mut wire = Wire::connect(address).await;
            wire.send(format!("{line}\r\nhost: open.example\r\n\r\n0\r\n\r\n{NEXT}")).await;
            let statuses: Vec<_> = wire.answers().await.iter().map(|it| it.status).collect();
            assert!(statuses.is_empty() || statuses == [400], "{name}: {line:?}: {statuses:?}");
        }
        assert!(world.targets(name).is_empty(), "{name}: {:?}", world.targets(name));
    }
}

/// The body of a refused request is no request: it is read past, or the connection ends.
#[tokio::test]
async fn proto_04_the_body_of_a_refused_request_is_never_the_next_request() {
    let world = world().await;
    let inside = "GET /inside HTTP/1.1\r\nhost: open.example\r\n\r\n";
    for (name, address) in world.fronts() {
        for body in [
            format!("content-length: {}\r\n\r\n{inside}", inside.len()),
            format!(
                "transfer-encoding: chunked\r\n\r\n{:x}\r\n{inside}\r\n0\r\n\r\n",
                inside.len()
            ),
            format!("content-length: {}\r\n\r\n{}", inside.len() * 9, inside.repeat(9)),
            format!("content-length: {}\r\n\r\n{}", inside.len() * 3_000, inside.repeat(3_000)),
            format!("expect: 100-continue\r\ncontent-length: {}\r\n\r\n{inside}", inside.len()),
        ] {
            for (target, host) in [
                ("/x", "app.example"),
                ("/public/../admin", "app.example"),
                ("/", "unknown.example"),
                ("/", "a, b"),
                ("/cdn-cgi/access/certs", "app.example"),
            ] {
                let before = world.targets(name).len();
                let request = format!("POST {target} HTTP/1.1\r\nhost: {host}\r\n{body}{NEXT}");
                let mut wire = Wire::connect(address).await;
                // The connection may end before all of it was taken.
                wire.send(request).await;
                let answers = wire.answers().await;
                if let Some(first) = answers.first() {
                    assert!((400..500).contains(&first.status), "{name}: {target}: {}", first.head);
                }
                let seen = world.targets(name).split_off(before);
                let next = ["GET /next".to_owned()];
                assert!(seen.is_empty() || seen == next, "{name}: {target} at {host}: {seen:?}");
                assert!(answers.len() <= 1 + seen.len(), "{name}: {target} at {host}");
            }
        }
    }
}

/// A refusal does not wait for a body that never comes, and goes no further with one that does.
#[tokio::test]
async fn proto_04_a_refusal_does_not_wait_for_the_body() {
    // The answer comes at once; the connection is kept for the body so long.
    let mut limits = ServeLimits::default();
    limits.linger_timeout = Duration::from_millis(20);
    let world = world_with(limits).await;
    for (name, address) in world.fronts() {
        for lines in [
            "content-length: 1000000000\r\n",
            "transfer-encoding: chunked\r\n",
            "expect: 100-continue\r\ncontent-length: 100\r\n",
        ] {
            let mut wire = Wire::connect(address).await;
            wire.send(format!("POST /x HTTP/1.1\r\nhost: app.example\r\n{lines}\r\n")).await;
            let answer = wire.answer().await.expect("a refusal");
            assert_eq!(answer.status, 401, "{name}: {lines}");
            assert!(wire.answer().await.is_none(), "{name}: the connection ends");
        }
    }
    assert_eq!(world.passed(), 0);
}
