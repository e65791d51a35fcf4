//! Schemes and hosts that strangers claim.

use http::Request;
use http_body_util::Full;

use super::client::*;
use super::world::*;

/// What a redirect or page depends on, without what is drawn anew for each.
fn stable(status: u16, location: Option<&str>, cookies: Vec<&str>) -> String {
    let location = location.unwrap_or_default().split("meta=").next().unwrap_or_default();
    let cookies: Vec<_> = cookies
        .into_iter()
        .map(|cookie| {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            format!("{};{attributes}", pair.split('=').next().unwrap())
        })
        .collect();
    format!("{status} {location} {cookies:?}")
}

/// The scheme is a matter of the configuration: no claim changes a link, a redirect or `Secure`.
#[tokio::test]
async fn host_09_a_scheme_that_a_stranger_claims_changes_nothing() {
    let world = world().await;
    let claims = [
        "",
        "x-forwarded-proto: http\r\n",
        "x-forwarded-proto: https,http\r\n",
        "x-forwarded-proto: evil_protocol\r\n",
        "x-forwarded-proto: javascript\r\nx-forwarded-scheme: http\r\nx-forwarded-ssl: off\r\n",
        "x_forwarded_proto: http\r\nx-url-scheme: http\r\nfront-end-https: off\r\n",
        "forwarded: proto=http;host=evil.example\r\nx-forwarded-port: 80\r\n",
        "cf-visitor: {\"scheme\":\"http\"}\r\nupgrade-insecure-requests: 1\r\n",
    ];
    for (host, path) in [
        ("app.example", "/x"),
        ("app.example", "/cdn-cgi/access/logout"),
        ("login.example.com", "/cdn-cgi/access/login/app.example"),
        ("login.example.com", "/"),
    ] {
        for (name, address) in world.fronts() {
            let mut answers = Vec::new();
            for claim in claims {
                for target in [path.to_owned(), format!("http://{host}{path}")] {
                    let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{claim}\r\n");
                    let answer = ask(address, request).await;
                    // Forms may lead to programs on this machine.
                    let head = answer.head.replace("http://localhost:*", "");
                    let head = head.replace("http://*.localhost:*", "");
                    assert!(!head.contains("http://"), "{name}: {claim}: {head}");
                    assert!(!answer.head.contains("evil"), "{name}: {claim}: {}", answer.head);
                    for cookie in answer.headers("set-cookie") {
                        assert!(cookie.contains("; Secure"), "{name}: {claim}: {cookie}");
                    }
                    assert!(!answer.body.contains("http://"), "{name}: {claim}: {}", answer.body);
                    let (location, cookies) = (answer.header("location"), "set-cookie");
                    let cookies = answer.headers(cookies).collect();
                    answers.push(stable(answer.status, location, cookies));
                }
            }
            answers.dedup();
            assert_eq!(answers.len(), 1, "{name}: {host}{path}: {answers:?}");
        }
    }
    // Over HTTP/2 there is a scheme in every request.
    let mut sender = http2(world.proxy).await;
    let mut answers = Vec::new();
    for scheme in ["https", "http", "hTTp", "ftp", "wss"] {
        let request = Request::get(format!("{scheme}://app.example/x"));
        let answer = ask_http2(&mut sender, request.body(Full::default()).unwrap()).await;
        let text = |name: &str| -> Vec<&str> {
            answer.headers().get_all(name).iter().map(|line| line.to_str().unwrap()).collect()
        };
        let location = text("location");
        answers.push(stable(
            answer.status().as_u16(),
            location.first().copied(),
            text("set-cookie"),
        ));
    }
    assert!(answers[0].starts_with("302 https://login.example.com/"), "{answers:?}");
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(world.passed(), 0);
    // And the origin is told what the proxy knows.
    let request = "GET /public HTTP/1.1\r\nhost: app.example\r\nx-forwarded-proto: http\r\n\r\n";
    ask(world.proxy, request).await;
    assert_eq!(world.origin.last().header("x-forwarded-proto"), [b"https".to_vec()]);
}

/// PROTO-10: HTTP/3 is not spoken here, and TLS ends in front of the proxy; what is left are
/// HTTP/1.1, HTTP/1.0 and HTTP/2 on one port.
#[tokio::test]
async fn proto_10_every_version_of_http_gets_the_same_decision() {
    let world = world().await;
    let (cookie, forged) = (world.cookie(), "cookie: CF_Authorization=forged\r\n".to_owned());
    for (name, address) in world.fronts() {
        let mut sender = http2(address).await;
        for host in ["app.example", "open.example", "login.example.com", "unknown.example"] {
            for path in
                ["/", "/x?y=z", "/admin", "/public/x", "/cdn-cgi/access/certs", "//", "/a%2fb"]
            {
                for method in ["GET", "HEAD", "POST", "PROPFIND", "TRACE", "OPTIONS"] {
                    for lines in ["", &*cookie, &*forged, "x-requested-with: XMLHttpRequest\r\n"] {
                        let before = world.targets(name).len();
                        let request = |version: &str| {
                            format!("{method} {path} HTTP/{version}\r\nhost: {host}\r\n{lines}\r\n")
                        };
                        let first = ask(address, request("1.1")).await;
                        let old = ask(address, request("1.0")).await;
                        let mut builder =
                            Request::builder().method(method).uri(format!("http://{host}{path}"));
                        for (key, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
                            builder = builder.header(key, value);
                        }
                        let request = builder.body(Full::default()).unwrap();
                        let second = ask_http2(&mut sender, request).await;
                        let location = second.headers().get("location");
                        let location = location.map(|line| line.to_str().unwrap());
                        let of = |status: u16, location: Option<&str>| {
                            stable(status, location, Vec::new())
                        };
                        let second = of(second.status().as_u16(), location);
                        for answer in [first, old] {
                            let answer = of(answer.status, answer.header("location"));
                            assert_eq!(answer, second, "{name}: {method} {host}{path} {lines}");
                        }
                        // All were let through, or none.
                        let passed = world.targets(name).len() - before;
                        assert!([0, 3].contains(&passed), "{name}: {method} {host}{path} {lines}");
                    }
                }
            }
        }
    }
}
