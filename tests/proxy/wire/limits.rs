//! Floods and slowness: what the proxy's listener bears from one connection.

use std::time::Duration;

use tower_access::proxy::ServeLimits;

use super::client::*;
use super::world::*;

fn open_request(path: &str) -> Vec<u8> {
    header_block(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "open.example"),
        (":path", path),
    ])
}

/// Sends the same bytes again and again until the other side ends the connection, and says how
/// often; fails where it bears everything.
async fn flood(frames: &mut Frames, bytes: impl Fn(u32) -> Vec<u8>, most: u32) -> u32 {
    for round in 0..most {
        if !frames.send_bytes(&bytes(round)).await {
            return round;
        }
    }
    panic!("{most} rounds were taken");
}

/// The settings say what a client has to keep to.
#[tokio::test]
async fn proto_07_http2_connections_have_limits_and_say_so() {
    let world = world().await;
    let mut frames = Frames::connect(world.proxy).await;
    let settings = frames.next_of(&[SETTINGS]).await.unwrap().payload;
    let of = |id: u8| {
        let setting = settings.chunks(6).find(|setting| setting[..2] == [0, id])?;
        Some(u32::from_be_bytes(setting[2..].try_into().unwrap()))
    };
    assert_eq!(of(3), Some(200), "streams at a time");
    assert_eq!(of(6), Some(ServeLimits::default().max_header_bytes), "bytes of headers");
}

/// Streams that are opened and reset at once.
#[tokio::test]
async fn proto_07_rapid_resets_end_the_connection() {
    let world = world().await;
    let mut frames = Frames::connect(world.proxy).await;
    let block = open_request("/");
    let mut bytes = Vec::new();
    for number in 0..2_000 {
        let stream = 2 * number + 1;
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
        bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    // It may end before all of it was taken.
    frames.send_bytes(&bytes).await;
    let end = frames.next_of(&[GOAWAY]).await;
    if let Some(end) = end {
        assert_eq!(end.payload[4..8], 11_u32.to_be_bytes(), "calm is asked for");
    }
    while frames.next().await.is_some() {}
    assert!(world.origin.received().len() < 500, "{}", world.origin.received().len());
    assert_eq!(http2_works(&world).await, 200);
}

/// More streams at a time than were allowed.
#[tokio::test]
async fn proto_07_more_streams_than_allowed_are_refused() {
    let world = world().await;
    let mut frames = Frames::connect(world.proxy).await;
    // Requests whose bodies never come stay open.
    let block = header_block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "open.example"),
        (":path", "/"),
        ("content-length", "5"),
    ]);
    let open = |number: u32| frame(HEADERS, END_HEADERS, 2 * number + 1, &block);
    let bytes: Vec<u8> = (0..201).flat_map(open).collect();
    assert!(frames.send_bytes(&bytes).await);
    let refused = frames.next_of(&[RST_STREAM, GOAWAY]).await.unwrap();
    assert_eq!((refused.kind, refused.stream), (RST_STREAM, 401));
    assert_eq!(refused.payload, 7_u32.to_be_bytes(), "refused, and not processed");
}

/// A head that never ends, in frames that continue it.
#[tokio::test]
async fn proto_07_an_endless_head_ends_the_connection() {
    let world = world().await;
    for payload in
        [&b""[..], &header_block(&[("x-a", "1"); 100]), &header_block(&[("cookie", "a"); 1_000])]
    {
        let mut frames = Frames::connect(world.proxy).await;
        frames.send(HEADERS, END_STREAM, 1, &open_request("/")).await;
        let rounds = flood(&mut frames, |_| frame(CONTINUATION, 0, 1, payload), 200_000).await;
        assert!(rounds > 0 || payload.is_empty());
    }
    assert!(world.origin.received().is_empty());
    assert_eq!(http2_works(&world).await, 200);
}

/// Frames that cost the sender nothing and ask for answers; the sender never reads one.
#[tokio::test]
async fn proto_07_floods_of_small_frames_are_bounded() {
    let world = world().await;
    for (name, kind, payload) in
        [("pings", PING, &[0; 8][..]), ("settings", SETTINGS, &[0, 4, 0, 0, 0xff, 0xff])]
    {
        let mut frames = Frames::connect(world.proxy).await;
        let burst = frame(kind, 0, 0, payload).repeat(2_000);
        // Answers pile up on the way back: sooner or later nothing is taken any more. The time can be
        // too short to notice a fault, but makes no good server fail.
        let stuck = async {
            for _ in 0..5_000 {
                if !frames.send_bytes(&burst).await {
                    return;
                }
            }
            panic!("{name}: everything was taken");
        };
        let _ = tokio::time::timeout(Duration::from_millis(500), stuck).await;
    }
    // Empty frames of data that never end a body.
    let mut frames = Frames::connect(world.proxy).await;
    let block = header_block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "app.example"),
        (":path", "/x"),
    ]);
    frames.send(HEADERS, END_HEADERS, 1, &block).await;
    let refusal = frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await.unwrap();
    assert_eq!(refusal.kind, HEADERS, "the refusal waits for no body");
    let empty = frame(DATA, 0, 1, b"").repeat(1_000);
    for _ in 0..100 {
        if !frames.send_bytes(&empty).await {
            break;
        }
    }
    assert_eq!(http2_works(&world).await, 200);
}

/// So many headers that nobody needs them.
#[tokio::test]
async fn proto_07_proto_08_a_head_has_bounds_in_number_and_bytes() {
    let world = world().await;
    for (name, address) in world.fronts() {
        for (line, count) in [("x-a: 1\r\n", 1_000), ("cookie: a=1\r\n", 1_000)] {
            let request =
                format!("GET / HTTP/1.1\r\nhost: open.example\r\n{}\r\n", line.repeat(count));
            assert_eq!(ask(address, request).await.status, 431, "{name}: {line}");
        }
    }
    let mut sender = http2(world.proxy).await;
    let request = http::Request::get("http://open.example/")
        .header("cookie", "a".repeat(100_000))
        .body(http_body_util::Full::default())
        .unwrap();
    if let Ok(answer) = soon(sender.send_request(request)).await {
        assert_eq!(answer.status(), 431);
    }
    assert_eq!(world.passed(), 0);
    assert_eq!(http2_works(&world).await, 200);
}

/// Heads and first bytes that are late.
#[tokio::test]
async fn proto_07_a_slow_head_is_not_waited_for() {
    let mut limits = ServeLimits::default();
    limits.header_read_timeout = Duration::from_millis(50);
    let world = world_with(limits).await;
    for beginning in [
        "",
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: open.example\r\nx-slow:",
        "PRI * HT",
    ] {
        let mut wire = Wire::connect(world.proxy).await;
        wire.send(beginning).await;
        let answers = wire.answers().await;
        assert!(answers.iter().all(|answer| answer.status == 408), "{beginning:?}: {answers:?}");
    }
    // Nor for the second of a connection.
    let mut wire = Wire::connect(world.proxy).await;
    wire.send("GET / HTTP/1.1\r\nhost: open.example\r\n\r\nGET /").await;
    assert_eq!(wire.answers().await.len(), 1);
    assert_eq!(world.origin.targets(), ["GET /"]);
}

/// A body that stops half-way: the refusal has gone before it, and a request that was let in ends
/// with the proxy's limit for silence.
#[tokio::test]
async fn proto_07_a_slow_body_holds_no_origin_for_ever() {
    let origin = super::origin::RawOrigin::start().await;
    let service = format!("http://{}", origin.address);
    let rule = tower_access::proxy::IngressRule::parse("", None, &service, Default::default());
    let ingress = tower_access::proxy::Ingress::new(vec![rule.unwrap()]).unwrap();
    let proxy = tower_access::proxy::ReverseProxy::builder(ingress)
        .response_header_timeout(Duration::from_millis(50))
        .build()
        .unwrap();
    let access = engine(crate::support::two_copies_of_a_key().0);
    let service = tower::Layer::layer(&tower_access::AccessLayer::new(access), proxy);
    let mut limits = ServeLimits::default();
    limits.linger_timeout = Duration::from_millis(20);
    let address = listen(service, limits).await;
    let request = "POST / HTTP/1.1\r\nhost: open.example\r\ncontent-length: 100\r\n\r\nhalf";
    let mut wire = Wire::connect(address).await;
    wire.send(request).await;
    let answers = wire.answers().await;
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [504]);
    assert!(origin.received().is_empty());
}

/// Whether the next client is served.
async fn http2_works(world: &World) -> u16 {
    let mut sender = http2(world.proxy).await;
    let request = http::Request::get("http://open.example/works");
    let request = request.body(http_body_util::Full::default()).unwrap();
    ask_http2(&mut sender, request).await.status().as_u16()
}
