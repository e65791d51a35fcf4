//! Paths that servers read in several ways, byte by byte on their way to the origin.

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_access::config::Config;
use tower_access::proxy::{AccessProxy, ServeLimits, serve};

use super::world::*;

const SETTINGS: [&str; 9] = [
    "encoded_slashes",
    "doubled_slashes",
    "backslashes",
    "path_parameters",
    "control_characters",
    "double_escapes",
    "invalid_escapes",
    "invalid_utf8",
    "unescaped_characters",
];

async fn proxy(settings: &[&str], ingress: &str) -> Running {
    let origin = raw_mirror().await;
    let settings: String =
        settings.iter().map(|it| format!("    insecure_allow_{it}: true\n")).collect();
    let text = format!(
        "ingress:\n{ingress}- {{ hostname: app.example, service: 'http://{origin}' }}\n\
         - {{ service: 'http_status:404' }}\n\
         access:\n  mail: console\n  applications:\n  - name: App\n    domain: app.example\n{settings}    \
         policies: [ {{ name: Open, decision: bypass, include: [ {{ everyone: {{}} }} ] }} ]\n"
    );
    let config = Config::parse(&text, "access.yml").unwrap();
    let service = AccessProxy::new(&config).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(serve(listener, service, ServeLimits::default(), stopped));
    Running { address, stop, task }
}

/// Answers with the request line it got.
async fn raw_mirror() -> std::net::SocketAddr {
    raw_origin(|mut stream: TcpStream| async move {
        let mut head = Vec::new();
        while !head.windows(4).any(|it| it == b"\r\n\r\n") {
            let mut buffer = [0; 1024];
            let count = stream.read(&mut buffer).await.unwrap();
            if count == 0 {
                return;
            }
            head.extend_from_slice(&buffer[..count]);
        }
        let line = head.split(|byte| *byte == b'\r').next().unwrap();
        let start = format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            line.len()
        );
        stream.write_all(start.as_bytes()).await.unwrap();
        stream.write_all(line).await.unwrap();
    })
    .await
}

/// Asks byte by byte over HTTP/1.1.
async fn ask(proxy: &Running, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: app.example\r\naccept: application/json\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split("\r\n\r\n").nth(1).unwrap().to_owned())
}

async fn ask_http2(proxy: &Running, path: &str) -> (u16, String) {
    let stream = hyper_util::rt::TokioIo::new(TcpStream::connect(proxy.address).await.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(format!("http://app.example{path}"))
        .header("accept", "application/json")
        .body(no_body())
        .unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    (answer.status().as_u16(), text(answer).await)
}

const PATHS: [&str; 18] = [
    "/proxy/https://x.example/doc.pdf",
    "//foo/api",
    "/save//",
    "/a//b",
    "/api/vhosts/%2F/permissions",
    "/api/exchanges/%2f/amq.default/publish",
    "/insecure/plain/https%3A%2F%2Fx.example%2Fa.png",
    "/a%5cb",
    "/a\\b",
    "/a;v=1/b",
    "/a%3Bb",
    "/a%0a",
    "/a%00b",
    "/a%2541",
    "/100%",
    "/%zz%2",
    "/a%e4",
    "/%61%2f{b}%7e",
];

#[tokio::test]
async fn path_11_what_is_let_through_reaches_the_origin_byte_by_byte() {
    let (all, none) = (proxy(&SETTINGS, "").await, proxy(&[], "").await);
    for path in PATHS {
        let (status, line) = ask(&all, path).await;
        assert_eq!((status, line), (200, format!("GET {path} HTTP/1.1")));
        let (status, line) = ask_http2(&all, path).await;
        assert_eq!((status, line), (200, format!("GET {path} HTTP/1.1")), "HTTP/2");
        for (status, text) in [ask(&none, path).await, ask_http2(&none, path).await] {
            assert_eq!(status, 400, "{path}");
            assert!(text.contains("The path has "), "{text}");
            assert!(!text.contains("insecure"), "{text}");
        }
    }
    for path in
        ["/x/%2e%2e%2Fy", "/x/..%2Fy", "/x/%2e%2F", "/x//../y", "/x/..;/y", "/x/%252e%252e/y"]
    {
        assert_eq!(ask(&all, path).await.0, 400, "{path}");
        assert_eq!(ask_http2(&all, path).await.0, 400, "{path}");
    }
}

#[tokio::test]
async fn path_11_no_reading_steps_around_a_rule_of_ingress() {
    let rule = "- { hostname: app.example, path: '^/admin(/|$)', service: 'http_status:403' }\n";
    let proxy = proxy(&SETTINGS, rule).await;
    for path in [
        "//admin",
        "/%2Fadmin",
        "//x/admin",
        "/admin%2Fx",
        "/admin;x",
        "/\\admin",
        "/%5CAdmin",
        "/admin%00",
        "/%2561dmin",
        "/admin%252Fx",
        "/ad%min",
        "/admin%C0%AF",
    ] {
        assert_eq!(ask(&proxy, path).await.0, 400, "{path}");
        assert_eq!(ask_http2(&proxy, path).await.0, 400, "{path}");
    }
    assert_eq!(ask(&proxy, "/admin//x").await.0, StatusCode::FORBIDDEN.as_u16());
    assert_eq!(ask(&proxy, "/x//y").await, (200, "GET /x//y HTTP/1.1".to_owned()));
}
