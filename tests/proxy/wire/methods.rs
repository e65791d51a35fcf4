//! Methods nobody knows, and those that are another one's twin.

use http::Request;
use http_body_util::Full;

use super::client::*;
use super::world::*;

/// A method that is unknown is none of those that a rule or an endpoint lists.
#[tokio::test]
async fn meth_01_an_unknown_method_is_no_listed_one() {
    let world = world().await;
    let cookie = world.cookie();
    let unknown = ["get", "Get", "GETT", "G", "PROPFIND", "HEAD2", "FOO!", "post"];
    for (name, address) in world.fronts() {
        for method in unknown {
            let line = |path: &str, lines: &str| {
                format!("{method} {path} HTTP/1.1\r\nhost: app.example\r\n{lines}\r\n")
            };
            // Nobody is sent to the login whose request could not be repeated as a GET.
            let answer = ask(address, line("/x", "")).await;
            assert_eq!(answer.status, 401, "{name}: {method}");
            // The endpoints answer GET, HEAD and POST.
            for path in ["/cdn-cgi/access/certs", "/cdn-cgi/access/logout"] {
                let answer = ask(address, line(path, "")).await;
                assert!(
                    matches!(answer.status, 403 | 405),
                    "{name}: {method} {path}: {}",
                    answer.head
                );
                assert!(!answer.body.contains("keys"), "{name}: {method} {path}");
            }
            assert!(world.targets(name).is_empty(), "{name}: {method}");
        }
        // Where somebody is let in, the method is the origin's to judge, as it was sent.
        for method in unknown {
            let request = format!("{method} /x HTTP/1.1\r\nhost: app.example\r\n{cookie}\r\n");
            assert_eq!(ask(address, request).await.status, 200, "{name}: {method}");
            assert_eq!(world.targets(name).last(), Some(&format!("{method} /x")), "{name}");
        }
        // A page of another origin may use what is listed, spelt like that.
        let passed = world.passed();
        for method in ["get", "GETT", "PROPFIND", "TRACE", "*", "GET,PUT"] {
            let request = format!(
                "OPTIONS /x HTTP/1.1\r\nhost: app.example\r\norigin: {UI}\r\n\
                 access-control-request-method: {method}\r\n\r\n"
            );
            let answer = ask(address, request).await;
            let allowed = answer.header("access-control-allow-methods");
            assert!(
                answer.status == 403 || allowed == Some("GET"),
                "{name}: {method}: {}",
                answer.head
            );
        }
        assert_eq!(world.passed(), passed, "{name}");
    }
}

/// TRACE would show a page what the browser keeps from its scripts.
#[tokio::test]
async fn meth_01_trace_reaches_no_origin_of_the_proxy() {
    let world = world().await;
    let cookie = world.cookie();
    for (path, lines, status) in
        [("/x", "", 401), ("/x", &*cookie, 405), ("/public", "", 405), ("/public", &*cookie, 405)]
    {
        let request = format!("TRACE {path} HTTP/1.1\r\nhost: app.example\r\n{lines}\r\n");
        let answer = ask(world.proxy, request).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.body.contains("CF_Authorization"), "{}", answer.body);
    }
    let request = Request::builder().method("TRACE").uri("http://app.example/public");
    let mut sender = http2(world.proxy).await;
    let answer = ask_http2(&mut sender, request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status(), 405);
    assert_eq!(world.passed(), 0);
}

/// HEAD is judged as the GET it stands for, and stays a HEAD.
#[tokio::test]
async fn meth_03_a_head_is_let_in_and_refused_as_its_get() {
    let world = world().await;
    let cookie = world.cookie();
    for (name, address) in world.fronts() {
        for path in
            ["/x", "/admin", "/public", "/cdn-cgi/access/certs", "/cdn-cgi/access/logout", "//"]
        {
            for lines in ["", &*cookie, "x-requested-with: XMLHttpRequest\r\n"] {
                let before = world.targets(name).len();
                let mut heads = Vec::new();
                for method in ["GET", "HEAD"] {
                    let request =
                        format!("{method} {path} HTTP/1.1\r\nhost: app.example\r\n{lines}\r\n");
                    let answer = ask(address, request).await;
                    let location = answer.header("location").unwrap_or_default();
                    let location = location.split("meta=").next().unwrap().to_owned();
                    heads.push((answer.status, location));
                }
                assert_eq!(heads[0], heads[1], "{name}: {path} {lines}");
                let seen = world.targets(name).split_off(before);
                let both = [format!("GET {path}"), format!("HEAD {path}")];
                assert!(seen.is_empty() || seen == both, "{name}: {path} {lines}: {seen:?}");
            }
        }
    }
}
