//! What the proxy says and does when an origin fails.

use http::Request;
use http_body_util::Full;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tower::Layer;
use tower_access::AccessLayer;
use tower_access::proxy::ServeLimits;

use super::client::*;
use super::origin::RawOrigin;
use super::world::*;
use crate::support::{person, two_copies_of_a_key};

/// An origin that takes a request and closes the connection.
async fn broken() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut start = [0; 64];
            let _ = stream.read(&mut start).await;
        }
    });
    address
}

/// A failure's page has nothing of the request and nothing of the origin, in every version of it,
/// and no other origin is asked instead.
#[tokio::test]
async fn proto_12_a_failure_repeats_no_secret_and_asks_no_other_origin() {
    let unreachable = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let other = RawOrigin::start().await;
    for failing in [broken().await, unreachable] {
        let (key, copy) = two_copies_of_a_key();
        let proxy = proxy_to(&[("app.example", failing), ("", other.address)]);
        let service = AccessLayer::new(engine(copy)).layer(proxy);
        let address = listen(service, ServeLimits::default()).await;
        let token = key.sign(&person(TEAM, AUDIENCE, "ada@example.com")).unwrap();
        let port = failing.port().to_string();
        let check = |status: u16, text: &str| {
            assert_eq!(status, 502, "{text}");
            let secrets = ["secret", "ada@", "127.0.0.1", &*port, &token[..20], "CF_", "cookie"];
            for secret in secrets {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        };
        for accept in ["text/html", "application/json", "*/*"] {
            for method in ["GET", "POST"] {
                let request = format!(
                    "{method} /secret-path?secret-query HTTP/1.1\r\nhost: app.example\r\n\
                     accept: {accept}\r\ncookie: CF_Authorization={token}; secret=cookie\r\n\
                     authorization: Bearer secret-bearer\r\nx-secret: secret-header\r\n\
                     referer: https://app.example/secret-referer\r\n\
                     content-length: 11\r\n\r\nsecret-body"
                );
                let answer = ask(address, request).await;
                check(answer.status, &format!("{}\n\n{}", answer.head, answer.body));
                assert!(answer.body.to_lowercase().contains("reference"), "{}", answer.body);
            }
        }
        let mut sender = http2(address).await;
        let request = Request::post("http://app.example/secret-path?secret-query")
            .header("cookie", format!("CF_Authorization={token}"))
            .header("x-secret", "secret-header")
            .body(Full::from("secret-body"))
            .unwrap();
        let answer = ask_http2(&mut sender, request).await;
        let lines = format!("{:?}", answer.headers());
        check(answer.status().as_u16(), &(lines + answer.body()));
    }
    assert!(other.received().is_empty(), "{:?}", other.targets());
}
