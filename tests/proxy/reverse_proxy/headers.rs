//! What the origin is told about a request, and what the client is not.

use http::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tower::ServiceExt;
use tower_access::address::{PeerAddress, TrustedProxies};
use tower_access::proxy::{ReverseProxy, ServeLimits};

use super::world::*;

async fn seen(lines: &str) -> String {
    let proxy = in_front_of(mirror().await).await;
    let request = format!("GET / HTTP/1.1\r\nconnection: close\r\n{lines}\r\n\r\n");
    raw_exchange(&proxy, &request).await
}

#[tokio::test]
async fn connection_headers_stay_on_the_clients_side() {
    let seen = seen(
        "host: a\r\nconnection: x-drop\r\nx-drop: 1\r\nkeep-alive: 5\r\nproxy-connection: x\r\n\
         proxy-authorization: Basic eA==\r\nte: gzip\r\nx-keep: 1",
    )
    .await;
    assert!(seen.contains("x-keep: 1\n"), "{seen}");
    for gone in ["x-drop", "keep-alive", "proxy-", "\nte:"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
}

#[tokio::test]
async fn connection_headers_stay_on_the_origins_side() {
    let origin = raw_origin(|mut stream| async move {
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 200 OK\r\nconnection: x-drop, close\r\nx-drop: 1\r\nkeep-alive: 5\r\n\
                      proxy-authenticate: Basic\r\nupgrade: h2c\r\nserver: origin\r\n\
                      content-length: 2\r\nx-keep: 1\r\n\r\nok";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = in_front_of(origin).await;
    let answer = Client::connect(&proxy).await.get("/").await;
    assert_eq!(answer.headers()["x-keep"], "1");
    assert_eq!(answer.headers()["server"], "origin");
    for gone in ["connection", "x-drop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert!(!answer.headers().contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn identity_cannot_be_named_away() {
    let seen = seen(
        "host: a\r\nconnection: cf-access-jwt-assertion, Cf_Access_User, cookie, host, authorization, \
         x-forwarded-for\r\ncf-access-jwt-assertion: token\r\ncf_access_user: me\r\ncookie: a=1\r\n\
         authorization: Bearer x",
    )
    .await;
    for kept in [
        "cf-access-jwt-assertion: token\n",
        "cf_access_user: me\n",
        "cookie: a=1\n",
        "host: a\n",
        "authorization: Bearer x\n",
        "x-forwarded-for: 127.0.0.1\n",
    ] {
        assert!(seen.contains(kept), "{kept} not in {seen}");
    }
}

#[tokio::test]
async fn a_strangers_word_about_where_it_is_from_is_replaced() {
    let seen = seen(
        "host: App.example:8443\r\nx-forwarded-for: 10.0.0.1\r\nX_Forwarded_For: 10.0.0.1\r\n\
         forwarded: for=10.0.0.1\r\nx-forwarded-proto: ftp\r\nx-forwarded-host: evil.example\r\n\
         x-original-url: /admin\r\nx-rewrite-url: /admin\r\nx-forwarded-prefix: /admin\r\n\
         cf-connecting-ip: 10.0.0.1\r\nx-real-ip: 10.0.0.1",
    )
    .await;
    for gone in ["10.0.0.1", "evil", "/admin", "ftp"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
    for kept in [
        "host: App.example:8443\n",
        "x-forwarded-for: 127.0.0.1\n",
        "x-forwarded-proto: https\n",
        "x-forwarded-host: App.example:8443\n",
        "forwarded: for=127.0.0.1;host=\"App.example:8443\";proto=https\n",
    ] {
        assert!(seen.contains(kept), "{kept} not in {seen}");
    }
}

#[tokio::test]
async fn localhost_counts_as_unencrypted() {
    assert!(seen("host: app.localhost:80").await.contains("x-forwarded-proto: http\n"));
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_appended() {
    let ingress = one_rule(&format!("http://{}", mirror().await), settings());
    let proxy = ReverseProxy::builder(ingress)
        .trusted_proxies(TrustedProxies::new(["127.0.0.0/8".parse().unwrap()]).unwrap())
        .build()
        .unwrap();
    let proxy = run(proxy, ServeLimits::default()).await;
    let mut request = get("/");
    request.headers_mut().insert("x-forwarded-for", "192.0.2.7".parse().unwrap());
    request.headers_mut().insert("x-forwarded-prefix", "/sub".parse().unwrap());
    let seen = text(Client::connect(&proxy).await.send(request).await).await;
    assert!(seen.contains("x-forwarded-for: 192.0.2.7, 127.0.0.1\n"), "{seen}");
    assert!(seen.contains("x-forwarded-prefix: /sub\n"), "{seen}");
}

#[tokio::test]
async fn the_neighbour_is_read_from_the_request() {
    let proxy = proxy_to(&format!("http://{}", mirror().await), settings());
    let mut request = get("/");
    request.extensions_mut().insert(PeerAddress([192, 0, 2, 9].into()));
    let seen = text(proxy.clone().oneshot(request).await.unwrap()).await;
    assert!(seen.contains("x-forwarded-for: 192.0.2.9\n"), "{seen}");

    let seen = text(proxy.oneshot(get("/")).await.unwrap()).await;
    assert!(!seen.contains("x-forwarded-for"), "{seen}");
    assert!(seen.contains("forwarded: for=unknown;"), "{seen}");
}

#[tokio::test]
async fn a_host_of_our_choice_keeps_the_clients_beside_it() {
    let mut settings = settings();
    settings.http_host_header = Some("wiki.internal".parse().unwrap());
    let proxy = proxy_to(&format!("http://{}", mirror().await), settings);
    let seen = text(proxy.oneshot(get("/")).await.unwrap()).await;
    assert!(seen.contains("\nhost: wiki.internal\n"), "{seen}");
    assert!(seen.contains("x-forwarded-host: app.example\n"), "{seen}");
}

#[tokio::test]
async fn the_path_arrives_byte_by_byte() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let origin = raw_origin(move |mut stream| {
        let tell = tell.clone();
        async move {
            tell.send(read_head(&mut stream).await).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let proxy = in_front_of(origin).await;
    for target in ["/a%2Fb/../c//d;e?x=%7e&y=/../", "http://app.example/%41?", "*"] {
        let method = if target == "*" { "OPTIONS" } else { "GET" };
        let request =
            format!("{method} {target} HTTP/1.1\r\nhost: app.example\r\nconnection: close\r\n\r\n");
        let answer = raw_exchange(&proxy, &request).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{target}: {answer}");
        let head = soon(told.recv()).await.unwrap();
        let expected = target.strip_prefix("http://app.example").unwrap_or(target);
        assert!(head.starts_with(&format!("{method} {expected} HTTP/1.1\r\n")), "{head}");
    }
}

#[tokio::test]
async fn http2_clients_meet_http1_origins() {
    let proxy = in_front_of(mirror().await).await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://app.example/x")
        .version(Version::HTTP_2)
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(no_body())
        .unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    let seen = text(answer).await;
    assert!(seen.contains("GET /x HTTP/1.1\n"), "{seen}");
    assert!(seen.contains("\nhost: app.example\n"), "{seen}");
    assert!(seen.contains("\ncookie: a=1; b=2\n"), "{seen}");
}

#[tokio::test]
async fn requests_without_one_clear_host_are_refused() {
    let proxy = in_front_of(mirror().await).await;
    for lines in [
        "",
        "host:\r\n",
        "host: a\r\nhost: a\r\n",
        "host: a, b\r\n",
        "host: user@a\r\n",
        "host: a/b\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\nconnection: close\r\n{lines}\r\n");
        let answer = raw_exchange(&proxy, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{lines}: {answer}");
    }
    let other = "GET http://b.example/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(raw_exchange(&proxy, other).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn methods_that_are_not_for_origins_are_refused() {
    let proxy = proxy_to(&format!("http://{}", mirror().await), settings());
    for method in ["TRACE", "CONNECT"] {
        let request = Request::builder().method(method).uri("app.example:443").body(no_body());
        let answer = proxy.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
