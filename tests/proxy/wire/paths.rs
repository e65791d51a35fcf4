//! Request targets as bytes on a socket.

use axum::Router;
use axum::routing::get;
use http::Request;
use http_body_util::Full;
use tower::ServiceExt;
use tower_access::application::Application;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer};

use super::client::*;
use super::world::*;
use crate::support::{Mailbox, clock};

/// What the parser of requests cuts off is neither judged nor forwarded: `#` and what follows it.
#[tokio::test]
async fn path_06_a_fragment_neither_opens_a_path_nor_reaches_an_origin() {
    let world = world().await;
    for (name, address) in world.fronts() {
        for target in ["/admin#x", "/admin#/../public", "/admin#?/public/", "/admin#%2f..%2fpublic"]
        {
            let answer =
                ask(address, format!("GET {target} HTTP/1.1\r\nhost: app.example\r\n\r\n"));
            let answer = answer.await;
            assert_eq!(answer.status, 302, "{name}: {target}");
            let target = query(answer.header("location").unwrap(), "redirect_url");
            assert_eq!(target.as_deref(), Some("/admin"), "{name}");
        }
        assert!(world.targets(name).is_empty(), "{name}");
        let mut expected = Vec::new();
        for (target, served) in [
            ("/public#x", "/public"),
            ("/public#/../admin", "/public"),
            ("/public/a?b=c#/../../admin", "/public/a?b=c"),
            ("http://app.example/public#@evil.example/admin", "/public"),
        ] {
            let answer =
                ask(address, format!("GET {target} HTTP/1.1\r\nhost: app.example\r\n\r\n"));
            assert_eq!(answer.await.status, 200, "{name}: {target}");
            expected.push(served);
        }
        let seen = world.targets(name);
        let seen = seen.iter().map(|line| line.strip_prefix("GET ").unwrap());
        let seen: Vec<_> = seen.map(|uri| uri.trim_start_matches("http://app.example")).collect();
        assert_eq!(seen, expected, "{name}");
        let answer = ask(address, "GET # HTTP/1.1\r\nhost: app.example\r\n\r\n").await;
        assert_eq!(answer.status, 400, "{name}");
    }
}

/// PATH-01 to 05, PATH-07, PATH-10 to 14: the same on a socket as in the parser's own tests.
#[tokio::test]
async fn path_02_path_13_no_spelling_on_the_wire_reaches_what_is_closed() {
    let world = world().await;
    for (name, address) in world.fronts() {
        for target in [
            &b"/public/../admin"[..],
            b"/public/%2e%2E/admin",
            b"/public/%2e%2e%2Fadmin",
            b"/public%2F..%2fadmin",
            b"/public/..;x=y/admin",
            b"/public/.;/../admin",
            b"/admin;x=1/users",
            b"/public\\..\\admin",
            b"/public/%5C..%5cadmin",
            b"//admin",
            b"/./admin",
            b"/public//x",
            b"/public/%252e%252e%252fadmin",
            b"/public/%00",
            b"/public/%0D%0aadmin",
            b"/public/%09",
            b"/public/%7F",
            b"/public/\x80",
            b"/public/\xc0\xae\xc0\xae/admin",
            b"/public/\xc3\xa4",
            b"/public/%c0%ae%c0%ae/admin",
            b"/public/%u002e%u002e/admin",
            b"/public/%2",
            b"/public/\x01",
            b"/public/\x7f",
            b"/public/\0",
        ] {
            let request = [b"GET ", target, b" HTTP/1.1\r\nhost: app.example\r\n\r\n"].concat();
            let answer = ask(address, request).await;
            let target = String::from_utf8_lossy(target);
            assert_eq!(answer.status, 400, "{name}: {target:?}");
        }
    }
    assert_eq!(world.passed(), 0);
    // PATH-07: a `#` that is escaped stays where it is, and ends nothing.
    for (name, address) in world.fronts() {
        ask(address, "GET /public/secret%23/x HTTP/1.1\r\nhost: app.example\r\n\r\n").await;
        assert_eq!(world.targets(name), ["GET /public/secret%23/x"]);
    }
}

/// Whatever stands before the place where a router strips a prefix.
#[tokio::test]
async fn path_19_nothing_leaves_the_place_where_a_router_strips_a_prefix() {
    let everyone = || Policy::bypass("everyone").include(Rule::everyone());
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .clock(clock())
        .application(Application::new("App", "app.example").unwrap().policy(everyone()))
        .application(
            Application::new("Admin", "app.example/admin")
                .unwrap()
                .policy(Policy::allow("chair").include(Rule::email("chair@example.com").unwrap())),
        )
        .build()
        .unwrap();
    let api = || Router::new().route("/x", get(|| async { "api" })).fallback(|| async { "api" });
    let around = |api: Router| {
        Router::new().nest("/api", api).route("/admin", get(|| async { "the admin area" }))
    };
    let layer = || AccessLayer::new(access.clone());
    let outside = around(api()).layer(layer());
    let inside = around(api().layer(layer())).route_layer(layer());
    for (mount, app) in [("outside", outside), ("inside", inside)] {
        let request = |target: &str| {
            let request = Request::get(target).header("host", "app.example");
            app.clone().oneshot(request.body(axum::body::Body::empty()).unwrap())
        };
        assert_eq!(request("/api/x").await.unwrap().status(), 200);
        for target in [
            "/api../admin",
            "/api..%2fadmin",
            "/api/../admin",
            "/api/..%2fadmin",
            "/api%2f../admin",
            "/api/%2e%2e/admin",
            "/api..;/admin",
            "/api/..;/admin",
            "/api.",
            "/api..",
            "/apiadmin",
            "/api//admin",
        ] {
            let answer = request(target).await.unwrap();
            let status = answer.status().as_u16();
            assert!([400, 404].contains(&status), "{mount}: {target}: {status}");
        }
        assert_eq!(request("/admin").await.unwrap().status(), 302, "{mount}");
    }
}

/// One authority is judged and forwarded, whichever line names it.
#[tokio::test]
async fn path_22_an_absolute_target_has_the_authority_of_its_host_line() {
    let world = world().await;
    for (name, address) in world.fronts() {
        for (target, host, status) in [
            ("http://app.example/admin", "app.example", 302),
            ("http://APP.example.:80/admin", "app.example", 302),
            ("https://app.example/admin", "app.example:443", 302),
            ("http://app.example", "app.example", 302),
            ("http://app.example?x=/public", "app.example", 302),
            ("http://evil.example/admin", "app.example", 400),
            ("http://open.example/admin", "app.example", 400),
            ("http://app.example/admin", "open.example", 400),
            ("http://app.example/admin", "evil.example", 400),
            ("http://open.example/", "app.example", 400),
            ("http://user@open.example/", "open.example", 400),
            ("http://app.example@open.example/", "open.example", 400),
            ("http://open.example:x/", "open.example", 400),
            ("http://open.example\\@app.example/admin", "open.example", 400),
            ("http:///admin", "open.example", 400),
            ("//open.example/admin", "open.example", 400),
            ("open.example", "open.example", 400),
            ("http://app.example/public/../admin", "app.example", 400),
        ] {
            let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n");
            let answer = ask(address, request).await;
            assert_eq!(answer.status, status, "{name}: {target} at {host}");
            assert!(!answer.head.contains("evil"), "{name}: {}", answer.head);
        }
        assert!(world.targets(name).is_empty(), "{name}: {:?}", world.targets(name));
    }
    let request = "GET HTTP://APP.example:80/public/x?y HTTP/1.1\r\nhost: app.example\r\n\r\n";
    assert_eq!(ask(world.proxy, request).await.status, 200);
    let seen = world.origin.last();
    assert_eq!(seen.target(), "GET /public/x?y", "the origin is asked for a path");
    assert_eq!(seen.header("host").len(), 1);
    assert!(seen.header("host")[0].eq_ignore_ascii_case(b"app.example:80"), "{seen:?}");
}

/// Targets that are no path match no rule, not even one that admits everyone.
#[tokio::test]
async fn path_23_an_asterisk_and_an_authority_match_no_rule() {
    let world = world().await;
    for (name, address) in world.fronts() {
        for line in [
            "OPTIONS *",
            "GET *",
            "OPTIONS *?x",
            "OPTIONS /*/../admin",
            "CONNECT open.example:443",
            "CONNECT app.example:443",
            "CONNECT /public/x",
            "CONNECT http://open.example/",
            "GET open.example:443",
        ] {
            for host in ["open.example", "app.example"] {
                let request = format!("{line} HTTP/1.1\r\nhost: {host}\r\n\r\n");
                let answer = ask(address, request).await;
                let refused = [400, 401, 405].contains(&answer.status);
                assert!(refused, "{name}: {line} at {host}: {}", answer.status);
            }
        }
        // Bytes behind a CONNECT are no tunnel.
        let mut wire = Wire::connect(address).await;
        wire.send(
            "CONNECT open.example:443 HTTP/1.1\r\nhost: open.example:443\r\n\r\n\
             GET / HTTP/1.1\r\nhost: open.example\r\nconnection: close\r\n\r\n",
        )
        .await;
        let statuses: Vec<_> = wire.answers().await.iter().map(|answer| answer.status).collect();
        assert!([400, 405].contains(&statuses[0]), "{name}: {statuses:?}");
        // What follows was judged by itself, if at all.
        assert_eq!(world.targets(name).len(), statuses.len() - 1, "{name}: {statuses:?}");
    }
    let passed = world.passed();
    let mut sender = http2(world.proxy).await;
    for authority in ["open.example:443", "app.example:443"] {
        let request = Request::connect(authority).body(Full::default()).unwrap();
        let answer = ask_http2(&mut sender, request).await;
        assert!(answer.status().is_client_error(), "{authority}: {}", answer.status());
    }
    assert_eq!(world.passed(), passed);
}

/// HTTP/2 requests whose pseudo-headers are missing, empty, doubled or no path.
#[tokio::test]
async fn path_24_http2_requests_without_a_path_are_refused() {
    let world = world().await;
    let usual =
        [(":method", "GET"), (":scheme", "http"), (":authority", "open.example"), (":path", "/")];
    let without = |name: &str| -> Vec<(&str, &str)> {
        usual.into_iter().filter(|(key, _)| *key != name).collect()
    };
    let with_path = |path: &'static str| -> Vec<(&str, &str)> {
        usual.into_iter().map(|(key, it)| (key, if key == ":path" { path } else { it })).collect()
    };
    let and =
        |name, value| -> Vec<(&str, &str)> { usual.into_iter().chain([(name, value)]).collect() };
    let malformed = [
        without(":path"),
        with_path(""),
        with_path("*"),
        with_path("public"),
        with_path("http://open.example/"),
        with_path("/ /"),
        with_path("/a\r\nx: y"),
        without(":method"),
        without(":authority"),
        and(":path", "/admin"),
        and(":method", "POST"),
        and(":authority", "app.example"),
        and("host", "app.example"),
        and("connection", "upgrade"),
        and("transfer-encoding", "chunked"),
        and("Upper-Case", "x"),
        [vec![("x-first", "1")], usual.to_vec()].concat(),
        vec![],
    ];
    for (name, address) in world.fronts() {
        for fields in &malformed {
            let mut frames = Frames::connect(address).await;
            let block = header_block(fields);
            frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &block).await;
            if let Some(answer) = frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await
                && answer.kind == HEADERS
            {
                assert_eq!(answer.payload[0], STATUS_400, "{name}: {fields:?}");
            }
        }
        assert!(world.targets(name).is_empty(), "{name}: {:?}", world.targets(name));
        // A query alone is one of the root, and is served as such.
        let mut frames = Frames::connect(address).await;
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &header_block(&with_path("?x"))).await;
        frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await.unwrap();
        let seen = world.targets(name);
        assert!(seen.len() == 1 && seen[0].ends_with("/?x"), "{name}: {seen:?}");
        // Nothing of it broke the server.
        let mut frames = Frames::connect(address).await;
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &header_block(&usual)).await;
        assert_eq!(frames.next_of(&[HEADERS, RST_STREAM, GOAWAY]).await.unwrap().kind, HEADERS);
        assert_eq!(world.targets(name).len(), 2, "{name}");
    }
}

/// PATH-26 on a socket.
#[tokio::test]
async fn path_26_a_target_longer_than_the_limit_is_refused() {
    let world = world().await;
    for (name, address) in world.fronts() {
        for (path, statuses) in [
            ("/public/".to_owned() + &"a".repeat(1 << 20), [414, 431]),
            ("/public".to_owned() + &"/a".repeat(50_000), [414, 431]),
            ("/public".to_owned() + &";".repeat(50_000), [400, 414]),
            ("/public".to_owned() + &"/a".repeat(10_000), [400, 414]),
            ("/public/".to_owned() + &"%41".repeat(10_000), [400, 414]),
        ] {
            let mut wire = Wire::connect(address).await;
            // The answer may come before all of it was taken.
            wire.send(format!("GET {path} HTTP/1.1\r\nhost: app.example\r\n\r\n")).await;
            let status = wire.answer().await.map(|answer| answer.status);
            let refused = status.is_none_or(|status| statuses.contains(&status) || status == 431);
            assert!(refused, "{name}: {} bytes: {status:?}", path.len());
        }
    }
    assert_eq!(world.passed(), 0);
}
