//! Requests behind a page that nobody looks at: a redirect to a login would be lost on them.

use http::Request;
use http_body_util::Full;

use super::client::*;
use super::world::*;

/// Service workers, manifests, scripts, images, event streams.
#[tokio::test]
async fn flow_11_requests_in_the_background_are_refused_as_json() {
    let world = world().await;
    let lines = [
        "Sec-Fetch-Dest: serviceworker\r\nSec-Fetch-Mode: same-origin\r\nSec-Fetch-Site: same-origin\r\n\
         Service-Worker: script\r\nAccept: */*\r\n",
        "Sec-Fetch-Dest: manifest\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nAccept: */*\r\n",
        "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nAccept: */*\r\n",
        "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: same-origin\r\nSec-Fetch-Site: same-origin\r\n",
        "Sec-Fetch-Dest: image\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: same-origin\r\n\
         Accept: image/avif,image/webp,*/*;q=0.8\r\n",
        "Sec-Fetch-Dest: script\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: same-origin\r\n",
        "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n\
         Accept: text/event-stream\r\nCache-Control: no-cache\r\n",
    ];
    for (name, address) in world.fronts() {
        let mut sender = http2(address).await;
        for lines in lines {
            let request = format!("GET /sw.js HTTP/1.1\r\nhost: app.example\r\n{lines}\r\n");
            let answer = ask(address, request).await;
            assert_eq!(answer.status, 401, "{name}: {lines}");
            assert!(answer.header("location").is_none(), "{name}: {lines}");
            assert_eq!(answer.header("content-type"), Some("application/json"), "{name}: {lines}");
            let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            assert!(body["login_url"].as_str().unwrap().starts_with(TEAM), "{name}: {lines}");
            let mut builder = Request::get("http://app.example/sw.js");
            for (key, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
                builder = builder.header(key, value);
            }
            let second = ask_http2(&mut sender, builder.body(Full::default()).unwrap()).await;
            assert_eq!(second.status(), 401, "{name}: {lines}");
            assert!(!second.headers().contains_key("location"), "{name}: {lines}");
        }
    }
    assert_eq!(world.passed(), 0);
}

/// A page of another origin reads the refusal where the application shares its answers with it.
#[tokio::test]
async fn flow_11_a_script_of_a_listed_origin_reads_its_refusal() {
    let world = world().await;
    let request = |origin: &str| {
        format!(
            "GET /api HTTP/1.1\r\nhost: app.example\r\norigin: {origin}\r\nSec-Fetch-Dest: empty\r\n\
             Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: cross-site\r\n\r\n"
        )
    };
    for (name, address) in world.fronts() {
        let answer = ask(address, request(UI)).await;
        assert_eq!(answer.status, 401, "{name}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(UI), "{name}");
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"), "{name}");
        let answer = ask(address, request("https://evil.example")).await;
        assert_eq!(answer.status, 401, "{name}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{name}");
    }
}

/// gRPC and gRPC-web clients are told in their own words.
#[tokio::test]
async fn flow_11_proto_09_grpc_clients_get_their_status_over_both_protocols() {
    let world = world().await;
    for (name, address) in world.fronts() {
        let mut sender = http2(address).await;
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc-web+proto"] {
            let request = format!(
                "POST /a.B/C HTTP/1.1\r\nhost: app.example\r\ncontent-type: {kind}\r\n\
                 content-length: 5\r\n\r\n\0\0\0\0\0"
            );
            let answer = ask(address, request).await;
            // gRPC itself is spoken over HTTP/2 alone: whoever decides by status is not told 200.
            let (status, grpc) =
                if kind.contains("-web") { (200, Some("16")) } else { (401, None) };
            assert_eq!(
                (answer.status, answer.header("grpc-status")),
                (status, grpc),
                "{name}: {kind}"
            );
            assert!(answer.header("location").is_none(), "{name}: {kind}");
            let request = Request::post("http://app.example/a.B/C").header("content-type", kind);
            let request = request.body(Full::from(&b"\0\0\0\0\0"[..])).unwrap();
            let answer = ask_http2(&mut sender, request).await;
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["grpc-status"] == "16"),
                (200, true)
            );
        }
    }
    assert_eq!(world.passed(), 0);
}
