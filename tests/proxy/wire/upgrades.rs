//! What stands behind a request that would leave HTTP, and offers that nobody takes.

use http::Request;
use http_body_util::Full;

use super::client::*;
use super::world::*;

const UPGRADE: &str = "connection: Upgrade\r\nupgrade: echo\r\n";

/// Bytes behind an upgrade reach the origin when it has switched, and not before; behind a refusal
/// they are requests, judged as any other.
#[tokio::test]
async fn proto_02_bytes_behind_an_upgrade_go_where_it_was_let_in() {
    let world = world().await;
    let behind = "GET /admin HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\n\r\n";
    // Let in: the bytes are the other protocol's, and no request to anybody.
    let mut wire = Wire::connect(world.proxy).await;
    wire.send(format!("GET /s HTTP/1.1\r\nhost: open.example\r\n{UPGRADE}\r\n{behind}")).await;
    assert_eq!(wire.answer().await.unwrap().status, 101);
    assert_eq!(wire.take(behind.len()).await, behind.as_bytes());
    assert_eq!(world.origin.targets(), ["GET /s"]);
    // Refused, in several ways: the origin never hears of them.
    for head in [
        format!("GET /s HTTP/1.1\r\nhost: app.example\r\n{UPGRADE}"),
        format!("GET /public/../s HTTP/1.1\r\nhost: app.example\r\n{UPGRADE}"),
        format!("GET /s HTTP/1.1\r\nhost: unknown.example\r\n{UPGRADE}"),
        format!("CONNECT open.example:443 HTTP/1.1\r\nhost: open.example\r\n{UPGRADE}"),
        "CONNECT open.example:443 HTTP/1.1\r\nhost: open.example:443\r\n".to_owned(),
        format!("CONNECT / HTTP/1.1\r\nhost: open.example\r\n{UPGRADE}"),
    ] {
        for behind in [behind, "\0\0\0 no request\r\n\r\n"] {
            let mut wire = Wire::connect(world.proxy).await;
            wire.send(format!("{head}\r\n{behind}")).await;
            let answers = wire.answers().await;
            let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
            assert!(!statuses.is_empty(), "{head}");
            for status in statuses {
                assert!(status == 302 || (400..500).contains(&status), "{head}: {status}");
            }
        }
    }
    assert_eq!(world.origin.targets(), ["GET /s"]);
}

/// Some clients offer HTTP/2 with every request: the offer is ignored, the request is not.
#[tokio::test]
async fn an_offer_of_another_http_is_ignored_and_the_request_answered() {
    let world = world().await;
    let settings = "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n";
    let cookie = world.cookie();
    for offer in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
        "Connection: upgrade,http2-settings\r\nUpgrade: H2C\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n",
        "Connection: Upgrade\r\nUpgrade: HTTP/2.0, h2c\r\n",
        "Connection: Upgrade\r\nUpgrade:\r\n",
        "Connection: Upgrade\r\nUpgrade: ,\r\n",
        "Connection: upgrade\r\n",
        "Upgrade: h2c\r\n",
        "Upgrade: echo\r\n",
    ] {
        for (host, cookie, status) in
            [("open.example", "", 200), ("app.example", &*cookie, 200), ("app.example", "", 401)]
        {
            let before = world.origin.received().len();
            let mut wire = Wire::connect(world.proxy).await;
            let request = |path: &str| {
                format!(
                    "POST {path} HTTP/1.1\r\nhost: {host}\r\n{cookie}{offer}{settings}\
                     Content-Length: 5\r\n\r\nhello"
                )
            };
            wire.send(request("/j")).await;
            let answer = wire.answer().await.unwrap();
            assert_eq!(answer.status, status, "{host}: {offer}");
            assert!(answer.header("upgrade").is_none(), "{host}: {offer}");
            let seen = world.origin.received().split_off(before);
            if status == 401 {
                assert!(seen.is_empty());
                continue;
            }
            let [seen] = &seen[..] else { panic!("{host}: {offer}: {seen:?}") };
            assert_eq!(seen.target(), "POST /j");
            assert_eq!(seen.body, b"hello", "{host}: {offer}");
            assert!(seen.head.starts_with(b"POST /j HTTP/1.1\r\n"));
            for name in ["connection", "upgrade", "http2-settings"] {
                assert!(seen.header(name).is_empty(), "{name}: {host}: {offer}");
            }
            // The connection goes on with HTTP/1.1.
            wire.send(request("/k")).await;
            assert_eq!(wire.answer().await.unwrap().status, status, "{host}: {offer}");
            assert_eq!(world.origin.last().target(), "POST /k");
        }
    }
    // HTTP/2 has no such headers; a client that sends one is refused or not heard.
    let mut sender = http2(world.proxy).await;
    let request = Request::post("http://open.example/j").body(Full::from("hello")).unwrap();
    assert_eq!(ask_http2(&mut sender, request).await.status(), 200);
}
