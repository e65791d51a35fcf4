//! The layers over other services, alone and together: refusals, scrubbing, mounting.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_access::address::PeerAddress;
use tower_access::application::{Application, Audience};
use tower_access::issuer::SigningKey;
use tower_access::policy::{Outcome, Policy, Rule, Verdict};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::{
    Access, AccessLayer, AuthenticateLayer, AuthorizeLayer, Identity, LoginLayer, Rejection,
    RejectionKind,
};

use crate::support::{self, NOW, Origin, clock, person, query, send, two_copies_of_a_key};

const TEAM: &str = "https://login.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const ADMIN: &str = "8b1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

fn world() -> (Access, SigningKey) {
    let (key, copy) = two_copies_of_a_key();
    let staff = || Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(support::Mailbox::default())
        .signing_key(copy)
        .clock(clock())
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")))
        .application(
            Application::new("App", "app.example")
                .unwrap()
                .audience(AUDIENCE.parse().unwrap())
                .policy(Policy::service_auth("ci").include(Rule::service_token("ci")))
                .policy(staff()),
        )
        .application(
            Application::new("Admin", "app.example/admin")
                .unwrap()
                .audience(ADMIN.parse().unwrap())
                .policy(Policy::allow("chair").include(Rule::email("chair@example.com").unwrap())),
        )
        .application(
            Application::new("Public", "app.example/public")
                .unwrap()
                .policy(Policy::bypass("everyone").include(Rule::everyone())),
        )
        .application(
            Application::new("Metrics", "metrics.example")
                .unwrap()
                .policy(Policy::service_auth("any").include(Rule::any_valid_service_token())),
        )
        .application(
            Application::new("Office", "office.example")
                .unwrap()
                .policy(Policy::bypass("desk").include(Rule::ip("192.0.2.0/24").unwrap())),
        )
        .build()
        .unwrap();
    (access, key)
}

fn ada(key: &SigningKey) -> String {
    key.sign(&person(TEAM, AUDIENCE, "ada@example.com")).unwrap()
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    request_to("app.example", "GET", path, headers)
}

fn request_to(
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Request<Full<Bytes>> {
    let mut builder = Request::builder().method(method).uri(path).header("host", host);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Full::default()).unwrap()
}

#[tokio::test]
async fn the_stack_works_over_a_router_a_function_and_an_origin() {
    let (access, key) = world();
    let cookie = format!("CF_Authorization={}", ada(&key));
    let router = Router::new()
        .route("/", get(|identity: Identity| async move { identity.email().unwrap().to_owned() }))
        .layer(AccessLayer::new(access.clone()));
    let answer = router.oneshot(request("/", &[("cookie", &cookie)])).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);

    let function = ServiceBuilder::new().layer(AccessLayer::new(access.clone())).service(
        service_fn(|request: Request<Full<Bytes>>| async move {
            let email = request.extensions().get::<Identity>().unwrap().email().unwrap().to_owned();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(email)))
        }),
    );
    let answer = send(&function, request("/", &[("cookie", &cookie)])).await;
    assert_eq!(answer.text, "ada@example.com");
    assert_eq!(answer.header("cache-control"), Some("private"));
    assert_eq!(
        answer
            .parts
            .extensions
            .get::<Verdict>()
            .map(|verdict| (verdict.outcome(), verdict.policy().unwrap().name().to_owned())),
        Some((Outcome::Allowed, "staff".to_owned()))
    );
}

#[tokio::test]
async fn the_inner_services_error_passes_through() {
    let (access, key) = world();
    let failing = AccessLayer::new(access).layer(service_fn(|_: Request<Full<Bytes>>| async {
        Err::<Response<Full<Bytes>>, _>("broken")
    }));
    let cookie = format!("CF_Authorization={}", ada(&key));
    let outcome = failing.clone().oneshot(request("/", &[("cookie", &cookie)])).await;
    assert_eq!(outcome.err(), Some("broken"));
    assert_eq!(send_ok(failing.oneshot(request("/", &[])).await), StatusCode::FOUND);
}

fn send_ok<B, E>(outcome: Result<Response<B>, E>) -> StatusCode {
    outcome.ok().unwrap().status()
}

#[tokio::test]
async fn proto_05_after_a_refusal_the_inner_service_was_not_called() {
    let (access, _) = world();
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let service = AccessLayer::new(access).layer(service_fn(move |_: Request<Full<Bytes>>| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    }));
    for path in ["/", "/admin", "/admin/x", "/public/..%2fadmin", "/x/../public"] {
        assert!(!send(&service, request(path, &[])).await.status().is_success(), "{path}");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    assert_eq!(send(&service, request("/public", &[])).await.status(), StatusCode::OK);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn each_layer_works_alone() {
    let (access, key) = world();
    let cookie = format!("CF_Authorization={}", ada(&key));
    let origin = Origin::default();

    // Authentication alone identifies and keeps nobody out of a known application.
    let service = AuthenticateLayer::new(access.clone()).layer(origin.clone());
    assert_eq!(send(&service, request("/", &[])).await.status(), StatusCode::OK);
    assert!(origin.last().extensions.get::<Identity>().is_none());
    send(&service, request("/", &[("cookie", &cookie)])).await;
    assert_eq!(
        origin.last().extensions.get::<Identity>().unwrap().email(),
        Some("ada@example.com")
    );
    let forged = [("cf-access-authenticated-user-email", "chair@example.com")];
    send(&service, request("/", &forged)).await;
    assert!(!origin.last().headers.contains_key("cf-access-authenticated-user-email"));
    let closed = send(&service, request_to("other.example", "GET", "/", &[])).await;
    assert_eq!((closed.status(), closed.text.as_str()), (StatusCode::NOT_FOUND, ""));

    // Authorization without authentication refuses everything.
    let before = origin.count();
    let service = AuthorizeLayer::new(access.clone()).layer(origin.clone());
    let answer = send(&service, request("/public", &[("cookie", &cookie)])).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(origin.count(), before);

    // The two without the login's looks: bare refusals that say why.
    let service = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(access.clone()))
        .layer(AuthorizeLayer::new(access.clone()))
        .service(origin.clone());
    let answer = send(&service, request("/", &[])).await;
    assert_eq!((answer.status(), answer.text.as_str()), (StatusCode::UNAUTHORIZED, ""));
    let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::LoginRequired);
    assert_eq!(rejection.application(), Some("App"));

    // The login alone answers its endpoints and lets everything else through.
    let service = LoginLayer::new(access).layer(origin.clone());
    let host = "login.example.com";
    let certs = send(&service, request_to(host, "GET", "/cdn-cgi/access/certs", &[])).await;
    assert!(certs.text.contains("public_certs"));
    assert_eq!(send(&service, request("/", &[])).await.text, "origin saw /");
}

#[tokio::test]
async fn who_cannot_follow_a_redirect_gets_401() {
    let (access, _) = world();
    let service = AccessLayer::new(access).layer(Origin::default());
    for (method, headers, status) in [
        ("GET", &[][..], 302),
        ("HEAD", &[][..], 302),
        ("GET", &[("accept", "*/*")][..], 302),
        ("GET", &[("accept", "application/json")][..], 302),
        ("GET", &[("sec-fetch-mode", "navigate")][..], 302),
        ("GET", &[("x-requested-with", "XMLHttpRequest")][..], 401),
        // Not of a browser, which sends more than the mode.
        ("GET", &[("sec-fetch-mode", "cors")][..], 302),
        ("GET", &[("sec-fetch-mode", "cors"), ("sec-fetch-site", "same-origin")][..], 401),
        ("GET", &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty")][..], 401),
        ("GET", &[("connection", "Upgrade"), ("upgrade", "websocket")][..], 302),
        (
            "GET",
            &[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("sec-fetch-mode", "websocket"),
                ("sec-fetch-dest", "websocket"),
            ][..],
            401,
        ),
        (
            "GET",
            &[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("origin", "https://app.example"),
            ][..],
            401,
        ),
        ("POST", &[][..], 401),
        ("PUT", &[("accept", "text/html")][..], 401),
        ("DELETE", &[][..], 401),
        ("PATCH", &[][..], 401),
        ("PROPFIND", &[][..], 401),
        ("OPTIONS", &[][..], 401),
        (
            "OPTIONS",
            &[("origin", "https://x.example"), ("access-control-request-method", "PUT")][..],
            403,
        ),
    ] {
        let answer = send(&service, request_to("app.example", method, "/a?b=c", headers)).await;
        assert_eq!(answer.status(), status, "{method} {headers:?}");
        assert_eq!(answer.header("cf-access-aud"), Some(AUDIENCE), "{method} {headers:?}");
        assert_eq!(answer.header("cf-access-domain"), Some("app.example"));
        assert!(answer.header("cache-control").unwrap().contains("no-store"));
        if status == 302 {
            assert_eq!(query(answer.location(), "redirect_url").as_deref(), Some("/a?b=c"));
        }
        if status == 401 && !headers.contains(&("accept", "text/html")) {
            let body: Value = serde_json::from_str(&answer.text).unwrap();
            assert_eq!(body["error"], "login_required");
            assert!(body["login_url"].as_str().unwrap().starts_with(TEAM));
        }
    }
}

#[tokio::test]
async fn service_tokens_open_what_a_service_policy_says() {
    let (access, key) = world();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    let good = [("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")];
    for host in ["app.example", "metrics.example"] {
        let answer = send(&service, request_to(host, "POST", "/hook", &good)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.set_cookie("CF_Authorization").is_none());
        let seen = origin.last();
        assert_eq!(seen.extensions.get::<Identity>().unwrap().client_id(), Some("ci.access"));
        assert!(!seen.headers.contains_key("cf-access-client-secret"));
        assert!(!seen.headers.contains_key("cf-access-authenticated-user-email"));
        let assertion = seen.headers["cf-access-jwt-assertion"].to_str().unwrap().to_owned();
        let claims = assertion.split('.').nth(1).unwrap();
        let claims =
            base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims);
        let claims: Value = serde_json::from_slice(&claims.unwrap()).unwrap();
        assert_eq!(claims["common_name"], "ci.access");
        assert_eq!(claims["sub"], "");
        assert_eq!(claims["type"], "app");
        assert!(claims.get("email").is_none() && claims.get("identity_nonce").is_none());
    }
    // SVC-01, SVC-02, SVC-04: halves, copies, unknown and wrong ones all end the same way.
    let before = origin.count();
    let mut answers = Vec::new();
    for headers in [
        &[("cf-access-client-id", "ci.access")][..],
        &[("cf-access-client-secret", "s3cret")][..],
        &[("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "wrong")][..],
        &[("cf-access-client-id", "nobody.access"), ("cf-access-client-secret", "s3cret")][..],
        &[good[0], good[0], good[1]][..],
        &[good[0], good[1], ("cf-access-client-secret", "wrong")][..],
        &[("cf-access-client-id", ""), ("cf-access-client-secret", "")][..],
    ] {
        let answer = send(&service, request_to("app.example", "GET", "/", headers)).await;
        let body: Value = serde_json::from_str(&answer.text).unwrap();
        answers.push((answer.status(), body["error"].clone(), body["message"].clone()));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
    // SVC-05: a cookie beside a bad service token does not help.
    let cookie = format!("CF_Authorization={}", ada(&key));
    let mixed = [
        ("cookie", cookie.as_str()),
        ("cf-access-client-id", "x"),
        ("cf-access-client-secret", "y"),
    ];
    assert_eq!(send(&service, request("/", &mixed)).await.status(), StatusCode::UNAUTHORIZED);
    // A good service token where only people may enter; nothing at all where only services may.
    assert_eq!(send(&service, request("/admin", &good)).await.status(), StatusCode::FORBIDDEN);
    let anonymous = request_to("metrics.example", "GET", "/", &[]);
    assert_eq!(send(&service, anonymous).await.status(), StatusCode::FORBIDDEN);
    // SVC-01: a query is never read.
    let answer = send(
        &service,
        request("/?cf-access-client-id=ci.access&cf-access-client-secret=s3cret", &[]),
    )
    .await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!(origin.count(), before);
}

#[tokio::test]
async fn a_bad_service_token_does_not_close_what_is_open() {
    let (access, _) = world();
    let service = AccessLayer::new(access).layer(Origin::default());
    let bad = [("cf-access-client-id", "x"), ("cf-access-client-secret", "y")];
    assert_eq!(send(&service, request("/public/logo.svg", &bad)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_token_in_a_header_counts_and_an_assertion_from_outside_does_not() {
    let (access, key) = world();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    let token = ada(&key);
    let answer =
        send(&service, request("/?cloudflared_token_check=true", &[("cf-access-token", &token)]))
            .await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!origin.last().headers.contains_key("cf-access-token"));
    assert_eq!(origin.last().uri.to_string(), "/?cloudflared_token_check=true");
    let answer = send(&service, request("/", &[("cf-access-jwt-assertion", &token)])).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    // HDR-09, HDR-10: two are refused, and a bad one is not made good by a cookie.
    let twice = [("cf-access-token", token.as_str()), ("cf-access-token", "x")];
    assert_eq!(send(&service, request("/", &twice)).await.status(), StatusCode::BAD_REQUEST);
    let cookie = format!("CF_Authorization={token}");
    let mixed = [("cf-access-token", "a.b.c"), ("cookie", cookie.as_str())];
    assert_eq!(send(&service, request("/", &mixed)).await.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn ses_02_ses_03_planted_cookies_neither_win_nor_lock_out() {
    let (access, key) = world();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    let good = ada(&key);
    let stranger =
        SigningKey::generate().unwrap().sign(&person(TEAM, AUDIENCE, "eve@example.com")).unwrap();
    for planted in ["garbage", "", stranger.as_str()] {
        for cookies in [
            format!("CF_Authorization={planted}; CF_Authorization={good}"),
            format!("CF_Authorization={good}; CF_Authorization={planted}"),
        ] {
            let answer = send(&service, request("/", &[("cookie", &cookies)])).await;
            assert_eq!(answer.status(), StatusCode::OK, "{planted}");
            assert_eq!(
                origin.last().headers["cf-access-authenticated-user-email"],
                "ada@example.com"
            );
        }
    }
}

#[tokio::test]
async fn ses_07_jwt_19_tokens_open_their_own_application_only() {
    let (access, key) = world();
    let origin = Origin::default();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    let mut org = person(TEAM, AUDIENCE, "ada@example.com");
    org.kind = tower_access::token::TokenKind::Session;
    let chair_elsewhere = person(TEAM, AUDIENCE, "chair@example.com");
    let other_issuer = person("https://other.example.com", AUDIENCE, "ada@example.com");
    for (path, claims) in [("/", org), ("/admin", chair_elsewhere), ("/", other_issuer)] {
        let cookie = format!("CF_Authorization={}", key.sign(&claims).unwrap());
        let answer = send(&service, request(path, &[("cookie", &cookie)])).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{path}");
    }
    assert_eq!(origin.count(), 0);
    let cookie = format!(
        "CF_Authorization={}",
        key.sign(&person(TEAM, ADMIN, "chair@example.com")).unwrap()
    );
    assert_eq!(
        send(&service, request("/admin/x", &[("cookie", &cookie)])).await.status(),
        StatusCode::OK
    );
    access.revoke_application(&ADMIN.parse::<Audience>().unwrap()).await.unwrap();
    assert_eq!(
        send(&service, request("/admin/x", &[("cookie", &cookie)])).await.status(),
        StatusCode::FOUND
    );
}

#[tokio::test]
async fn proto_01_a_websocket_of_another_origin_is_refused() {
    let (access, key) = world();
    let service = AccessLayer::new(access).layer(Origin::default());
    let token = ada(&key);
    let cookie = format!("CF_Authorization={token}");
    let upgrade = |origin: &'static str| {
        [("connection", "Upgrade"), ("upgrade", "websocket"), ("origin", origin)]
    };
    for (origin, status) in [
        ("https://app.example", 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("https://app.example.evil.example", 403),
    ] {
        let mut headers = upgrade(origin).to_vec();
        headers.push(("cookie", &cookie));
        let answer = send(&service, request("/ws", &headers)).await;
        assert_eq!(answer.status(), status, "{origin}");
        // Programs that bring the token themselves are no browsers that were talked into it.
        let mut headers = upgrade(origin).to_vec();
        headers.push(("cf-access-token", &token));
        assert_eq!(send(&service, request("/ws", &headers)).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn hdr_19_hdr_20_cookies_of_ours_stay_between_us_and_the_browser() {
    let (access, key) = world();
    let origin = Origin::default();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    let cookie =
        format!("theme=dark; CF_AppSession=x; CF_Authorization={}; CF_Binding=y", ada(&key));
    send(&service, request("/", &[("cookie", &cookie)])).await;
    let seen = origin.last().headers["cookie"].to_str().unwrap().to_owned();
    assert!(
        seen.starts_with("theme=dark; CF_Authorization=") && !seen.contains("CF_AppSession"),
        "{seen}"
    );
    assert!(!seen.contains("CF_Binding"));

    let evil = AccessLayer::new(access).layer(service_fn(|_: Request<Full<Bytes>>| async {
        let response = Response::builder()
            .header("set-cookie", "CF_Authorization=evil; Path=/")
            .header("set-cookie", "own=1")
            .body(Full::<Bytes>::default());
        Ok::<_, Infallible>(response.unwrap())
    }));
    let answer = send(&evil, request("/", &[("cookie", &cookie)])).await;
    assert!(answer.set_cookie("CF_Authorization").is_none());
    assert!(answer.set_cookie("own").is_some());
}

#[tokio::test]
async fn path_21_nesting_makes_no_difference() {
    let (access, key) = world();
    let cookie = format!("CF_Authorization={}", ada(&key));
    let inside = Router::new()
        .route("/", get(|| async { "inside" }))
        .route("/x", get(|| async { "inside" }))
        .layer(AccessLayer::new(access.clone()));
    let around = Router::new()
        .route("/admin", get(|| async { "inside" }))
        .route("/admin/x", get(|| async { "inside" }));
    let nested = Router::new().nest("/admin", inside);
    let flat = around.layer(AccessLayer::new(access));
    for path in ["/admin", "/admin/x"] {
        for (cookie, status) in [("", 302), (cookie.as_str(), 302)] {
            for router in [&nested, &flat] {
                let answer =
                    router.clone().oneshot(request(path, &[("cookie", cookie)])).await.unwrap();
                assert_eq!(answer.status(), status, "{path}: Ada's token is not for /admin");
            }
        }
    }
}

#[tokio::test]
async fn path_01_to_path_14_no_spelling_reaches_what_is_closed() {
    let (access, _) = world();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/.%2e/admin",
        "/public/%2e%2e%2fadmin",
        "/public%2f..%2fadmin",
        "/public/..;/admin",
        "/public/..;x=y/admin",
        "/public/.;/../admin",
        "/public\\..\\admin",
        "/public/%5c..%5cadmin",
        "//admin",
        "/./admin",
        "/public//../admin",
        "/public/%252e%252e%252fadmin",
        "/public/%00",
        "/public/%0d%0a",
        "/public/%c0%ae%c0%ae/",
        "/public/%zz",
        "/public;/x",
    ] {
        let answer = send(&service, request(path, &[])).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(origin.count(), 0);
    // PATH-08: a query takes no part.
    assert_eq!(send(&service, request("/admin?x=/public/", &[])).await.status(), StatusCode::FOUND);
    // What was judged is what is served.
    send(&service, request("/%70ublic/%61?q=%2e%2e", &[])).await;
    assert_eq!(origin.last().uri.to_string(), "/public/a?q=%2e%2e");
    // PATH-25: our endpoints are ours in every spelling, and nowhere else.
    let answer = send(&service, request("/%63dn-cgi/access/certs", &[])).await;
    assert!(answer.text.contains("keys"));
    assert_eq!(
        send(&service, request("/x/cdn-cgi/access/certs", &[])).await.status(),
        StatusCode::FOUND
    );
    let count = origin.count();
    assert_eq!(
        send(&service, request("/public/cdn-cgi/access/callback", &[])).await.status(),
        StatusCode::OK
    );
    assert_eq!(origin.count(), count + 1);
}

#[tokio::test]
async fn encoded_slashes_pass_where_the_application_says_so() {
    let origin = Origin::default();
    let access = Access::builder()
        .application(
            Application::new("Git", "git.example")
                .unwrap()
                .insecure_allow_encoded_slashes()
                .policy(Policy::bypass("all").include(Rule::everyone())),
        )
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(origin.clone());
    let to = |path: &str| request_to("git.example", "GET", path, &[]);
    assert_eq!(send(&service, to("/api/a%2fb")).await.status(), StatusCode::OK);
    assert_eq!(origin.last().uri.path(), "/api/a%2fb");
    assert_eq!(send(&service, to("/api/..%2fb")).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn path_03_an_encoded_slash_does_not_step_over_a_stricter_application() {
    let open = Policy::bypass("all").include(Rule::everyone());
    let access = Access::builder()
        .application(
            Application::new("Git", "git.example")
                .unwrap()
                .insecure_allow_encoded_slashes()
                .policy(open),
        )
        .application(
            Application::new("Admin", "git.example/admin")
                .unwrap()
                .policy(Policy::service_auth("any").include(Rule::any_valid_service_token())),
        )
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let to = |path: &str| request_to("git.example", "GET", path, &[]);
    assert_eq!(send(&service, to("/a%2Fb")).await.status(), StatusCode::OK);
    for path in ["/admin%2Fusers", "/admin%2fusers", "/%61dmin%2Fx/y"] {
        assert_eq!(send(&service, to(path)).await.status(), StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn proto_01_an_extended_connect_is_an_upgrade_too() {
    let (access, key) = world();
    let service = AccessLayer::new(access).layer(Origin::default());
    let cookie = format!("CF_Authorization={}", ada(&key));
    for (origin, status) in [("https://app.example", 200), ("https://evil.example", 403)] {
        let mut request =
            request_to("app.example", "CONNECT", "/ws", &[("origin", origin), ("cookie", &cookie)]);
        *request.version_mut() = http::Version::HTTP_2;
        assert_eq!(send(&service, request).await.status(), status, "{origin}");
    }
}

#[tokio::test]
async fn svc_03_a_service_token_that_is_switched_off_opens_nothing_behind_an_issuer_either() {
    let key = SigningKey::generate().unwrap();
    let now = tower_access::clock::Timestamp::from_unix_seconds(NOW);
    let published = tower_access::issuer::PublishedKeys::new(&key, &[], TEAM, now).unwrap().json();
    let mut claims = person(TEAM, AUDIENCE, "");
    claims.email = None;
    claims.sub = None;
    claims.common_name = Some("ci.access".to_owned());
    for (enabled, status) in [(true, 200), (false, 401)] {
        let mut token = ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret"));
        token.enabled = enabled;
        let access = Access::verifier_builder("login.example.com")
            .unwrap()
            .application(
                Application::new("App", "app.example")
                    .unwrap()
                    .audience(AUDIENCE.parse().unwrap())
                    .policy(Policy::service_auth("any").include(Rule::any_valid_service_token())),
            )
            .service_token(token)
            .keys(tower_access::token::keys::RemoteKeys::new(Published(published.clone())))
            .clock(clock())
            .build()
            .unwrap();
        let service = AccessLayer::new(access).layer(Origin::default());
        let assertion = key.sign(&claims).unwrap();
        let answer = send(&service, request("/", &[("cf-access-jwt-assertion", &assertion)])).await;
        assert_eq!(answer.status(), status);
    }
}

#[derive(Debug)]
struct Published(Bytes);

impl tower_access::token::keys::KeyFetch for Published {
    fn fetch(&self) -> tower_access::token::keys::KeyFuture<'_> {
        Box::pin(async { Ok(tower_access::token::keys::FetchedKeys::new(self.0.clone())) })
    }
}

#[tokio::test]
async fn an_admission_of_another_engine_opens_nothing() {
    let (outer, key) = world();
    let (inner, _) = world();
    let service = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(outer))
        .layer(AuthorizeLayer::new(inner))
        .service(Origin::default());
    let cookie = format!("CF_Authorization={}", ada(&key));
    let answer = send(&service, request("/", &[("cookie", &cookie)])).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn what_a_router_has_routed_is_not_rewritten() {
    let (access, _) = world();
    let app = Router::new()
        .route("/public", get(|| async { "public" }))
        .route("/{page}", get(|| async { "another handler" }))
        .layer(AccessLayer::new(access));
    let status = async |path: &str| app.clone().oneshot(request(path, &[])).await.unwrap().status();
    assert_eq!(status("/public").await, StatusCode::OK);
    for path in ["/%70ublic", "/%70ublic|", "/pub|ic/%61"] {
        assert_eq!(status(path).await, StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(status("/public/caf%c3%a9").await, StatusCode::NOT_FOUND, "let through to no route");
}

#[tokio::test]
async fn path_21_a_nested_router_is_not_entered_by_another_spelling() {
    let (access, _) = world();
    let inside = |name: &'static str| {
        Router::new()
            .route("/x", get(move || async move { name }))
            .layer(AccessLayer::new(access.clone()))
    };
    let app = Router::new().nest("/public", inside("public")).nest("/{tenant}", inside("tenant"));
    let status = async |path: &str| app.clone().oneshot(request(path, &[])).await.unwrap().status();
    assert_eq!(status("/public/x").await, StatusCode::OK);
    assert_eq!(status("/%70ublic/x").await, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn hdr_10_a_cookie_beside_a_service_token_does_not_reach_the_origin() {
    let (access, key) = world();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    let cookie = format!("a=1; CF_Authorization={}", ada(&key));
    let good = [
        ("cf-access-client-id", "ci.access"),
        ("cf-access-client-secret", "s3cret"),
        ("cookie", cookie.as_str()),
    ];
    assert_eq!(send(&service, request("/", &good)).await.status(), StatusCode::OK);
    assert_eq!(origin.last().headers["cookie"], "a=1");
}

#[tokio::test]
async fn ip_01_ip_05_the_peer_decides_about_networks() {
    let (access, _) = world();
    let service = AccessLayer::new(access).layer(Origin::default());
    let from = |peer: Option<&str>, headers: &[(&str, &str)]| {
        let mut request = request_to("office.example", "GET", "/", headers);
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddress(peer.parse().unwrap()));
        }
        request
    };
    let forged = [("x-forwarded-for", "192.0.2.7"), ("cf-connecting-ip", "192.0.2.7")];
    for (peer, headers, status) in [
        (Some("192.0.2.7"), &[][..], 200),
        (Some("::ffff:192.0.2.7"), &[][..], 200),
        (Some("203.0.113.9"), &forged[..], 403),
        (None, &forged[..], 403),
    ] {
        assert_eq!(send(&service, from(peer, headers)).await.status(), status, "{peer:?}");
    }
}

/// OBS-07
#[tokio::test]
async fn a_denied_person_sees_a_page_with_a_reference() {
    let (access, key) = world();
    let service = AccessLayer::new(access).layer(Origin::default());
    let cookie =
        format!("CF_Authorization={}", key.sign(&person(TEAM, ADMIN, "ada@example.com")).unwrap());
    let answer =
        send(&service, request("/admin", &[("cookie", &cookie), ("accept", "text/html")])).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::Denied);
    assert!(answer.text.contains(rejection.reference()));
    assert!(answer.text.contains("That account does not have access."));
    assert!(!answer.text.contains("chair"), "no policy internals");
    assert_eq!(answer.header("cf-access-aud"), Some(ADMIN));
}

#[tokio::test]
async fn the_extractor_says_what_was_forgotten() {
    let app = Router::new().route("/", get(|_: Identity| async { "" })).route(
        "/maybe",
        get(|identity: Option<Identity>| async move { identity.is_none().to_string() }),
    );
    let answer = app.clone().oneshot(request("/", &[])).await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let text = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&text).contains("AccessLayer::new(access)"));
    let answer = app.oneshot(request("/maybe", &[])).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn jwt_15_jwt_26_time_is_looked_at_on_every_request() {
    let (key, copy) = two_copies_of_a_key();
    let clock = clock();
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(support::Mailbox::default())
        .signing_key(copy)
        .clock(Arc::clone(&clock))
        .application(
            Application::new("App", "app.example")
                .unwrap()
                .audience(AUDIENCE.parse().unwrap())
                .policy(Policy::allow("all").include(Rule::everyone())),
        )
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let cookie = format!("CF_Authorization={}", ada(&key));
    let at = async |seconds: u64| {
        clock.set(tower_access::clock::Timestamp::from_unix_seconds(seconds));
        send(&service, request("/", &[("cookie", &cookie)])).await.status().as_u16()
    };
    assert_eq!(at(NOW).await, 200);
    assert_eq!(at(NOW + 3599).await, 200);
    assert_eq!(at(NOW + 3600).await, 302, "cached, and ended");
    assert_eq!(at(NOW - 1).await, 302, "not yet");
    assert_eq!(at(NOW + 10).await, 200);
}
