//! Requests that act on more than their request target: the target of a `MOVE`, the tags of an
//! `If`, the source of a copy, everything below a collection. Whoever may not send a request there
//! reaches nothing there.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;
use tower_access::application::Application;
use tower_access::explain::Question;
use tower_access::issuer::SigningKey;
use tower_access::policy::{Outcome, Policy, Rule, Verdict};
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy, ServeLimits, serve};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::{Access, AccessBuilder, AccessLayer, Rejection, RejectionKind, ResourceError};

use crate::support::sockets::{Act, Arrived, Server};
use crate::support::{
    self, Answer, Browser, Mailbox, Origin, clock, person, query, send, two_copies_of_a_key,
};

type Service = tower_access::layer::AccessService<Origin>;

const TEAM: &str = "https://login.example.com";
const HOST: &str = "dav.example.com";
const ADA: &str = "ada@example.com";

/// The audience of an application, by its number.
fn audience(number: usize) -> String {
    format!("{number:x}a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc")
}

const STAFF: usize = 1;
const SECRET: usize = 2;
const VAULT: usize = 3;
const BOARD: usize = 4;

fn staff_only(name: &str, domain: &str, number: usize) -> Application {
    Application::new(name, domain)
        .unwrap()
        .audience(audience(number).parse().unwrap())
        .policy(Policy::service_auth("ci").include(Rule::service_token("ci")))
        .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap()))
}

/// `/drop` is open to everybody but for `/drop/secret`; the rest of the host is for staff, `/vault`
/// with an application of its own, which `/board*` has as well, and so has another host.
fn applications() -> Vec<Application> {
    vec![
        Application::new("Drop", "dav.example.com/drop")
            .unwrap()
            .policy(Policy::bypass("everyone").include(Rule::everyone())),
        staff_only("Staff", "dav.example.com", STAFF),
        staff_only("Secret", "dav.example.com/drop/secret", SECRET),
        staff_only("Vault", "dav.example.com/vault", VAULT),
        Application::new("Board", "files.example.com/board*")
            .unwrap()
            .audience(audience(BOARD).parse().unwrap())
            .policy(Policy::allow("chair").include(Rule::email("chair@example.com").unwrap())),
        Application::new("Files", "files.example.com")
            .unwrap()
            .policy(Policy::bypass("everyone").include(Rule::everyone())),
    ]
}

struct World {
    access: Access,
    key: SigningKey,
    origin: Origin,
    service: Service,
}

fn world() -> World {
    let (key, copy) = two_copies_of_a_key();
    let builder = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(copy)
        .clock(clock())
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")));
    let builder = applications().into_iter().fold(builder, AccessBuilder::application);
    let access = builder.build().unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    World { access, key, origin, service }
}

impl World {
    /// A cookie of a person for each of these applications.
    fn cookies(&self, numbers: &[usize]) -> String {
        let cookies = numbers.iter().map(|number| {
            let token = self.key.sign(&person(TEAM, &audience(*number), ADA)).unwrap();
            format!("CF_Authorization={token}")
        });
        cookies.collect::<Vec<_>>().join("; ")
    }

    async fn ask(&self, method: &str, path: &str, lines: &[(&str, &str)]) -> Answer {
        self.ask_at(HOST, method, path, lines).await
    }

    async fn ask_at(&self, host: &str, method: &str, path: &str, lines: &[(&str, &str)]) -> Answer {
        let mut answer = None;
        // The same in both versions of HTTP.
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let before = self.origin.count();
            let mut request = Request::builder().method(method).version(version);
            request = if version == Version::HTTP_2 {
                request.uri(format!("https://{host}{path}"))
            } else {
                request.uri(path).header("host", host)
            };
            for (name, value) in lines {
                request = request.header(*name, *value);
            }
            let found = send(&self.service, request.body(Full::default()).unwrap()).await;
            let reached = self.origin.count() > before;
            assert_eq!(reached, found.status() == StatusCode::OK, "{method} {path} {lines:?}");
            if let Some(before) = answer.replace(found) {
                assert_eq!(before.status(), answer.as_ref().unwrap().status());
            }
        }
        answer.unwrap()
    }
}

fn kind(answer: &Answer) -> RejectionKind {
    answer.parts.extensions.get::<Rejection>().expect("a refusal").kind()
}

fn refused(answer: &Answer) -> (StatusCode, RejectionKind) {
    (answer.status(), kind(answer))
}

const LOGIN: (StatusCode, RejectionKind) = (StatusCode::UNAUTHORIZED, RejectionKind::LoginRequired);
const AMBIGUOUS: (StatusCode, RejectionKind) =
    (StatusCode::BAD_REQUEST, RejectionKind::Resource(ResourceError::Ambiguous));
const NOT_COVERED: (StatusCode, RejectionKind) =
    (StatusCode::FORBIDDEN, RejectionKind::Resource(ResourceError::NotCovered));

/// PATH-30: without a session.
#[tokio::test]
async fn path_30_a_stranger_moves_nothing_to_where_they_may_not_write() {
    let world = world();
    for method in ["MOVE", "COPY", "move", "PUT", "POST"] {
        for target in [
            "https://dav.example.com/staff/x",
            "HTTPS://DAV.EXAMPLE.COM:443/staff/x",
            "http://dav.example.com./staff/x",
            "/staff/x",
            "/st%61ff/x",
            "/",
            "https://dav.example.com",
            "/drop/secret/x",
            "/drop/secret",
        ] {
            let answer = world.ask(method, "/drop/a", &[("destination", target)]).await;
            assert_eq!(refused(&answer), LOGIN, "{method} {target}");
        }
        for target in [
            "/drop/../staff/x",
            "/drop/%2e%2e/staff/x",
            "https://dav.example.com/drop/../staff/x",
            "//dav.example.com/staff/x",
            "/drop/b%2F..%2F..%2Fstaff",
            "/drop/b%2Fc",
            "https://ada@dav.example.com/drop/b",
            "/drop/b#c",
        ] {
            let answer = world.ask(method, "/drop/a", &[("destination", target)]).await;
            assert_eq!(refused(&answer), AMBIGUOUS, "{method} {target}");
        }
        let answer =
            world.ask(method, "/drop/a", &[("destination", "https://none.example.com/b")]).await;
        assert_eq!(refused(&answer), NOT_COVERED, "{method}");
        // The login answers there, and nobody else.
        let target = "https://files.example.com/cdn-cgi/access/certs";
        let answer = world.ask(method, "/drop/a", &[("destination", target)]).await;
        assert_eq!(refused(&answer), NOT_COVERED, "{method}");
        for target in ["/drop/b", "https://files.example.com/b"] {
            let answer = world.ask(method, "/drop/a", &[("destination", target)]).await;
            assert_eq!(answer.status(), StatusCode::OK, "{method} {target}");
        }
        let answer =
            world.ask(method, "/drop/a", &[("destination", "https://files.example.com/boards")]);
        assert_eq!(refused(&answer.await), LOGIN, "{method}");
    }
    for target in ["b", "../staff/x", "ftp://dav.example.com/drop/b", ""] {
        for method in ["MOVE", "COPY"] {
            let answer = world.ask(method, "/drop/a", &[("destination", target)]).await;
            assert_eq!(refused(&answer), AMBIGUOUS, "{method} {target}");
        }
        // A header of an API that has the same name.
        let answer = world.ask("POST", "/drop/a", &[("destination", target)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{target}");
        assert_eq!(world.origin.last().headers["destination"], target);
    }
}

#[tokio::test]
async fn path_30_the_application_that_refuses_is_named() {
    let world = world();
    let lines = [("destination", "/vault/x")];
    let answer = world.ask("MOVE", "/drop/a", &lines).await;
    assert_eq!(refused(&answer), LOGIN);
    let body: Value = serde_json::from_str(&answer.text).unwrap();
    let login = body["login_url"].as_str().unwrap();
    assert!(login.starts_with(TEAM), "{login}");
    assert_eq!(query(login, "kid").unwrap(), audience(VAULT));
    assert_eq!(answer.header("cf-access-aud"), Some(&*audience(VAULT)));
    let verdict = answer.parts.extensions.get::<Verdict>().unwrap();
    assert_eq!(verdict.outcome(), Outcome::LoginRequired);
    // A browser is sent to the login of that application.
    let lines = [("destination", "/vault/x"), ("accept", "text/html")];
    let answer = world.ask("GET", "/drop/a", &lines).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!(query(answer.location(), "kid").unwrap(), audience(VAULT));
    // Who is known there and may not enter gets 403.
    let cookies = world.cookies(&[BOARD]);
    let lines = [("destination", "https://files.example.com/board/x"), ("cookie", &*cookies)];
    let answer = world.ask("MOVE", "/drop/a", &lines).await;
    assert_eq!(refused(&answer), (StatusCode::FORBIDDEN, RejectionKind::Denied));
    assert_eq!(answer.header("cf-access-aud"), Some(&*audience(BOARD)));
    // The first path is judged first: nobody asks about a second one from outside.
    let answer = world.ask("MOVE", "/vault/x", &[("destination", "/drop/b")]).await;
    assert_eq!(answer.header("cf-access-aud"), Some(&*audience(VAULT)));
}

#[tokio::test]
async fn path_30_with_a_credential_for_both_all_of_it_passes() {
    let world = world();
    let cookies = |numbers: &[usize]| world.cookies(numbers);
    let targets = ["https://dav.example.com/staff/x", "/staff/x"];
    for target in targets {
        let answer = world
            .ask("MOVE", "/drop/a", &[("destination", target), ("cookie", &cookies(&[STAFF]))])
            .await;
        assert_eq!(answer.status(), StatusCode::OK, "{target}: {}", answer.text);
        let seen = world.origin.last().headers;
        assert_eq!(seen["destination"], "/staff/x");
        // The first application is open, and shows nobody who it is.
        assert!(!seen.contains_key("cf-access-authenticated-user-email"));
        assert!(!seen.contains_key("cf-access-jwt-assertion"));
        assert!(answer.set_cookie("CF_Authorization").is_none());
    }
    // Two that are not open, in either order of their cookies.
    for numbers in [[STAFF, VAULT], [VAULT, STAFF]] {
        let lines = [("destination", "/vault/x"), ("cookie", &*cookies(&numbers))];
        let answer = world.ask("COPY", "/a", &lines).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text);
        let seen = world.origin.last().headers;
        assert_eq!(seen["cf-access-authenticated-user-email"], ADA);
        let first = world.key.sign(&person(TEAM, &audience(STAFF), ADA)).unwrap();
        assert_eq!(seen["cf-access-jwt-assertion"], first);
        assert_eq!(seen["cookie"], format!("CF_Authorization={first}"));
    }
    // With one of the two it does not.
    for (numbers, number) in [([STAFF], VAULT), ([VAULT], STAFF)] {
        let lines = [("destination", "/vault/x"), ("cookie", &*cookies(&numbers))];
        let answer = world.ask("MOVE", "/a", &lines).await;
        assert_eq!(refused(&answer), LOGIN);
        assert_eq!(answer.header("cf-access-aud"), Some(&*audience(number)));
    }
    // A service token is for both.
    let service = [
        ("destination", "/vault/x"),
        ("cf-access-client-id", "ci.access"),
        ("cf-access-client-secret", "s3cret"),
    ];
    assert_eq!(world.ask("MOVE", "/a", &service).await.status(), StatusCode::OK);
    assert!(!world.origin.last().headers.contains_key("cf-access-client-secret"));
    let wrong = [service[0], service[1], ("cf-access-client-secret", "wrong")];
    assert_eq!(world.ask("MOVE", "/drop/a", &wrong).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn path_30_a_session_of_the_host_counts_for_both_paths() {
    let (mail, clock, origin) = (Mailbox::default(), clock(), Origin::default());
    let builder = Access::builder().mailer(mail.clone()).clock(Arc::clone(&clock));
    let builder = applications().into_iter().fold(
        builder.service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret"))),
        AccessBuilder::application,
    );
    let access = builder.build().unwrap();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    let mut browser = Browser::new(service);
    support::log_in(&mut browser, &mail, "https://dav.example.com/x", ADA).await;
    browser.headers.push(("destination", "/vault/x".to_owned()));
    let url = "https://dav.example.com/a";
    for _ in 0..3 {
        let answer = browser.send("MOVE", url, "").await;
        assert_eq!((answer.status(), &*answer.text), (StatusCode::OK, "origin saw /a"));
        // No cookie of the second application takes the place of the first one's.
        assert!(answer.set_cookie("CF_Authorization").is_none());
    }
    let answer = browser.send("MOVE", "https://dav.example.com/drop/a", "").await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text);
    browser.headers.push(("sec-fetch-site", "cross-site".to_owned()));
    let answer = browser.send("MOVE", "https://dav.example.com/drop/a", "").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    browser.headers.pop();
    clock.advance(std::time::Duration::from_secs(2));
    access.revoke_user(&ADA.parse().unwrap()).await.unwrap();
    for path in ["/a", "/drop/a"] {
        let answer = browser.send("MOVE", &format!("https://dav.example.com{path}"), "").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn path_30_the_resources_of_a_condition_are_judged() {
    let world = world();
    let staff = world.cookies(&[STAFF]);
    for (condition, stranger) in [
        ("(<urn:uuid:1>)", None),
        ("</drop/b> (<urn:uuid:1>) (Not <DAV:no-lock>)", None),
        ("<https://dav.example.com/staff/x> (<urn:uuid:1>)", Some(LOGIN)),
        ("</drop/b> (<urn:uuid:1>) </staff/x> ([\"etag\"])", Some(LOGIN)),
        ("<https://none.example.com/x> (<urn:uuid:1>)", Some(NOT_COVERED)),
        ("</drop/../staff/x> (<urn:uuid:1>)", Some(AMBIGUOUS)),
        ("</staff/x>", Some(AMBIGUOUS)),
        ("([\"a)</staff/x> (\"])", Some(AMBIGUOUS)),
    ] {
        for method in ["PUT", "LOCK", "GET", "UNLOCK"] {
            let depth = ("depth", "0");
            let answer = world.ask(method, "/drop/a", &[("if", condition), depth]).await;
            match stranger {
                None => assert_eq!(answer.status(), StatusCode::OK, "{method} {condition}"),
                Some(LOGIN) => {
                    assert_eq!(kind(&answer), RejectionKind::LoginRequired, "{condition}");
                    let lines = [("if", condition), depth, ("cookie", &staff)];
                    let answer = world.ask(method, "/drop/a", &lines).await;
                    assert_eq!(answer.status(), StatusCode::OK, "{method} {condition}");
                }
                Some(expected) => assert_eq!(refused(&answer), expected, "{method} {condition}"),
            }
        }
    }
    let condition = "<https://dav.example.com/st%61ff/x> (<urn:uuid:1>)";
    world.ask("PUT", "/drop/a", &[("if", condition), ("cookie", &staff)]).await;
    assert_eq!(world.origin.last().headers["if"], "</staff/x> (<urn:uuid:1>)");
}

#[tokio::test]
async fn path_30_what_is_below_a_path_is_judged_where_a_request_acts_on_it() {
    let world = world();
    let with = world.cookies(&[SECRET]);
    for (method, depth, acts_below) in [
        ("DELETE", None, true),
        ("DELETE", Some("0"), true),
        ("Delete", None, true),
        ("PROPFIND", None, true),
        ("PROPFIND", Some("infinity"), true),
        ("PROPFIND", Some("Infinity"), true),
        ("PROPFIND", Some("7"), true),
        ("PROPFIND", Some("1"), false),
        ("PROPFIND", Some("0"), false),
        ("LOCK", None, true),
        ("LOCK", Some("0"), false),
        ("REPORT", Some("0"), true),
        ("GET", Some("infinity"), false),
        ("PUT", None, false),
        ("MKCOL", None, false),
    ] {
        let mut lines = Vec::new();
        lines.extend(depth.map(|depth| ("depth", depth)));
        for path in ["/drop", "/drop/"] {
            let answer = world.ask(method, path, &lines).await;
            if !acts_below {
                assert_eq!(answer.status(), StatusCode::OK, "{method} {depth:?}");
                continue;
            }
            assert_eq!(refused(&answer), LOGIN, "{method} {depth:?} {path}");
            assert_eq!(answer.header("cf-access-aud"), Some(&*audience(SECRET)));
            let mut lines = lines.clone();
            lines.push(("cookie", &with));
            let answer = world.ask(method, path, &lines).await;
            assert_eq!(answer.status(), StatusCode::OK, "{method} {depth:?} {path}");
        }
        // Beside it nothing of another application is reached.
        let answer = world.ask(method, "/drop/a", &lines).await;
        assert_eq!(answer.status(), StatusCode::OK, "{method} {depth:?}");
    }
    // A request that some programs take for a DELETE: Express takes the first of a list.
    for methods in ["DELETE", "delete, GET", "DELETE,", " GET , Delete"] {
        let lines = [("x-http-method-override", methods)];
        assert_eq!(refused(&world.ask("POST", "/drop", &lines).await), LOGIN, "{methods}");
    }
    // A wildcard may match below any path of its host.
    let answer = world.ask_at("files.example.com", "DELETE", "/", &[]).await;
    assert_eq!(answer.header("cf-access-aud"), Some(&*audience(BOARD)));
    assert_eq!(
        world.ask_at("files.example.com", "DELETE", "/a", &[]).await.status(),
        StatusCode::OK
    );
    // Both ends of a MOVE are trees.
    let answer = world.ask("MOVE", "/drop", &[("destination", "/drop2")]).await;
    assert_ne!(answer.status(), StatusCode::OK);
    let lines = [("destination", "/drop"), ("cookie", &*world.cookies(&[STAFF]))];
    let answer = world.ask("COPY", "/a", &lines).await;
    assert_eq!(answer.header("cf-access-aud"), Some(&*audience(SECRET)));
    // What is named in a body is anything on the host.
    assert_eq!(refused(&world.ask("BIND", "/drop/a", &[]).await).0, StatusCode::UNAUTHORIZED);
    let question = Question::new("https://dav.example.com/drop");
    let mut asked = question.clone();
    asked.request.method = Some("DELETE".into());
    assert!(world.access.explain(&asked).notes.iter().any(|note| note.contains("`Secret`")));
    assert!(world.access.explain(&question).notes.is_empty());
}

/// An origin that takes `/drop.` for `/drop` removes what is below that.
///
/// PATH-29, PATH-30
#[tokio::test]
async fn path_29_path_30_what_is_below_another_spelling_of_a_path_is_judged() {
    let (_, copy) = two_copies_of_a_key();
    let open = Application::new("Open", "dav.example.com")
        .unwrap()
        .policy(Policy::bypass("everyone").include(Rule::everyone()));
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(copy)
        .clock(clock())
        .application(open)
        .application(staff_only("Secret", "dav.example.com/drop/secret", SECRET))
        .application(staff_only("Vault", "dav.example.com/\u{c4}rzte./akten", VAULT))
        .build()
        .unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    for path in [
        "/drop",
        "/Drop/",
        "/drop.",
        "/drop./",
        "/DROP%20",
        "/drop%20.%20/",
        "/drop%C2%A0",
        "/dro%70.",
        "/.../drop",
        "/%C3%84rzte.",
        "/%C3%A4rzte",
        "/%C3%A4RZTE%20/",
        "/",
    ] {
        let target = format!("https://dav.example.com{path}");
        for (method, path, destination) in [
            ("DELETE", path, None),
            ("PROPFIND", path, None),
            ("MOVE", path, Some("/b")),
            ("COPY", "/a", Some(path)),
            ("MOVE", "/a", Some(&*target)),
        ] {
            let mut request = Request::builder().method(method).uri(path).header("host", HOST);
            if let Some(destination) = destination {
                request = request.header("destination", destination);
            }
            let answer = send(&service, request.body(Full::default()).unwrap()).await;
            assert_eq!(refused(&answer), LOGIN, "{method} {path} {destination:?}");
        }
    }
    assert_eq!(origin.count(), 0);
    for path in ["/drop.x", "/dropp", "/%C3%84rzt", "/a."] {
        let request = Request::builder().method("DELETE").uri(path).header("host", HOST);
        let answer = send(&service, request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
}

/// Both applications read the same header for service tokens.
#[tokio::test]
async fn path_30_a_service_token_in_one_header_counts_for_both_paths() {
    let (_, copy) = two_copies_of_a_key();
    let reads = |name, domain, number| {
        staff_only(name, domain, number).read_service_tokens_from_header("authorization").unwrap()
    };
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(copy)
        .clock(clock())
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")))
        .application(reads("Staff", "dav.example.com", STAFF))
        .application(reads("Vault", "dav.example.com/vault", VAULT))
        .build()
        .unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    for (secret, status) in [("s3cret", StatusCode::OK), ("wrong", StatusCode::UNAUTHORIZED)] {
        let token = format!(
            "{{\"cf-access-client-id\":\"ci.access\",\"cf-access-client-secret\":\"{secret}\"}}"
        );
        let request = Request::builder()
            .method("MOVE")
            .uri("/a")
            .header("host", HOST)
            .header("destination", "/vault/a")
            .header("authorization", token);
        let answer = send(&service, request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), status);
    }
    assert_eq!(origin.count(), 1);
    assert!(!origin.last().headers.contains_key("authorization"));
}

#[tokio::test]
async fn path_30_the_source_of_a_copy_is_judged() {
    let world = world();
    for name in [
        "x-amz-copy-source",
        "x_amz_copy_source",
        "x-goog-copy-source",
        "x-ms-copy-source",
        "x-ms-rename-source",
        "x-copy-from",
    ] {
        for source in ["/staff/key", "staff/key?versionId=1", "/st%61ff/key"] {
            let answer = world.ask("PUT", "/drop/a", &[(name, source)]).await;
            assert_eq!(refused(&answer), LOGIN, "{name} {source}");
        }
        let answer = world.ask("PUT", "/drop/a", &[(name, "drop/../staff/key")]).await;
        assert_eq!(refused(&answer), AMBIGUOUS, "{name}");
        let answer = world.ask("PUT", "/drop/a", &[(name, "drop/b%63")]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{name}");
        assert_eq!(world.origin.last().headers[name], "drop/bc");
    }
    let lines = [("x-copy-from", "/drop/b"), ("x_copy_from_account", "staff")];
    assert_eq!(refused(&world.ask("PUT", "/drop/a", &lines).await), AMBIGUOUS);
}

#[tokio::test]
async fn path_30_more_applications_than_are_asked_are_refused() {
    let builder = Access::builder().mailer(Mailbox::default()).clock(clock());
    let open = |name: &str, domain: &str| {
        Application::new(name, domain)
            .unwrap()
            .policy(Policy::bypass("everyone").include(Rule::everyone()))
    };
    let builder = (0..17).fold(builder.application(open("Root", HOST)), |builder, number| {
        builder.application(open(&format!("App {number}"), &format!("{HOST}/x/{number}")))
    });
    let service = AccessLayer::new(builder.build().unwrap()).layer(Origin::default());
    let ask = async |path: &str| {
        let request = Request::delete(path).header("host", HOST).body(Full::default()).unwrap();
        send(&service, request).await
    };
    let answer = ask("/x").await;
    let expected = RejectionKind::Resource(ResourceError::TooManyApplications);
    assert_eq!(refused(&answer), (StatusCode::FORBIDDEN, expected));
    assert_eq!(ask("/x/1").await.status(), StatusCode::OK);
    assert_eq!(ask("/y").await.status(), StatusCode::OK);
}

/// An origin behind an issuer has one application for every path, and still gets one reading.
#[tokio::test]
async fn path_30_an_origin_that_verifies_gets_what_was_judged() {
    let (key, _) = two_copies_of_a_key();
    let now = tower_access::clock::Timestamp::from_unix_seconds(support::NOW);
    let keys = tower_access::issuer::PublishedKeys::new(&key, &[], TEAM, now).unwrap().json();
    let access = Access::verifier_builder("login.example.com")
        .unwrap()
        .audience(audience(STAFF).parse().unwrap())
        .keys(tower_access::token::keys::KeySet::from_jwks(&keys).unwrap())
        .clock(clock())
        .build()
        .unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    let assertion = key.sign(&person(TEAM, &audience(STAFF), ADA)).unwrap();
    for (target, outcome) in [
        ("https://dav.example.com/%62", Ok("/b")),
        ("https://files.example.com/b", Ok("https://files.example.com/b")),
        ("/a/../b", Err(StatusCode::BAD_REQUEST)),
    ] {
        let request = Request::builder()
            .method("MOVE")
            .uri("/a")
            .header("host", HOST)
            .header("destination", target)
            .header("cf-access-jwt-assertion", &assertion);
        let answer = send(&service, request.body(Full::default()).unwrap()).await;
        match outcome {
            Ok(served) => {
                assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text);
                assert_eq!(origin.last().headers["destination"], served);
            }
            Err(status) => assert_eq!(answer.status(), status),
        }
    }
}

#[derive(Debug)]
struct Published(Bytes);

impl tower_access::token::keys::KeyFetch for Published {
    fn fetch(&self) -> tower_access::token::keys::KeyFuture<'_> {
        Box::pin(async { Ok(tower_access::token::keys::FetchedKeys::new(self.0.clone())) })
    }
}

/// The keys are fetched first, and the issuer is asked about the person for the second path alone.
#[tokio::test]
async fn path_30_what_the_second_path_needs_is_waited_for() {
    for (methods, status) in [("mfa", StatusCode::OK), ("pwd", StatusCode::FORBIDDEN)] {
        let (key, _) = two_copies_of_a_key();
        let now = tower_access::clock::Timestamp::from_unix_seconds(support::NOW);
        let keys = tower_access::issuer::PublishedKeys::new(&key, &[], TEAM, now).unwrap().json();
        let identity = serde_json::json!({ "email": ADA, "amr": [methods] }).to_string();
        let team = Server::start(move |_| Act::json(identity.clone())).await;
        let rule = serde_json::json!({ "auth_method": { "auth_method": "mfa" } });
        let vault = Application::new("Vault", "dav.example.com/vault")
            .unwrap()
            .audience(audience(VAULT).parse().unwrap())
            .policy(Policy::allow("strong").include(serde_json::from_value(rule).unwrap()));
        let access = Access::verifier_builder("login.example.com")
            .unwrap()
            .application(
                Application::new("Staff", HOST)
                    .unwrap()
                    .audience(audience(STAFF).parse().unwrap())
                    .policy(
                        Policy::allow("staff").include(Rule::email_domain("example.com").unwrap()),
                    ),
            )
            .application(vault)
            .keys(tower_access::token::keys::RemoteKeys::new(Published(keys)))
            .get_identity_at(team.url("/"))
            .clock(clock())
            .build()
            .unwrap();
        let service = AccessLayer::new(access).layer(Origin::default());
        let cookies = [STAFF, VAULT].map(|number| {
            let token = key.sign(&person(TEAM, &audience(number), ADA)).unwrap();
            format!("CF_Authorization={token}")
        });
        // The first request waits, the second finds everything there.
        for _ in 0..2 {
            let request = Request::builder()
                .method("MOVE")
                .uri("/a")
                .header("host", HOST)
                .header("destination", "/vault/x")
                .header("cookie", cookies.join("; "));
            let answer = send(&service, request.body(Full::default()).unwrap()).await;
            assert_eq!(answer.status(), status, "{}", answer.text);
        }
    }
}

/// A proxy on a socket, in front of an origin that writes down what arrives.
struct Sockets {
    proxy: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

async fn sockets(access: Access, origin_settings: impl Fn(&mut OriginSettings)) -> Sockets {
    let arrived: Arc<Mutex<Vec<Arrived>>> = Arc::default();
    let seen = Arc::clone(&arrived);
    let server = Server::start(move |request| {
        seen.lock().unwrap().push(request.clone());
        Act::json("{}")
    })
    .await;
    let service = server.url("");
    let rule = |path: Option<&str>, service: &str| {
        let mut settings = OriginSettings::default();
        origin_settings(&mut settings);
        IngressRule::parse("*.example.com", path, service, settings).unwrap()
    };
    let ingress = Ingress::new(vec![
        rule(Some("^/drop/closed"), "http_status:403"),
        rule(None, &service),
        IngressRule::parse("", None, "http_status:404", OriginSettings::default()).unwrap(),
    ])
    .unwrap();
    let proxy = ReverseProxy::builder(ingress).build().unwrap();
    let service = AccessLayer::new(access).layer(proxy);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, service, ServeLimits::default(), std::future::pending::<()>()));
    Sockets { proxy, arrived }
}

impl Sockets {
    /// Sends a request in one version of HTTP; its status, and the line that the origin got.
    async fn ask(
        &self,
        version: Version,
        method: &str,
        lines: &[(&str, &str)],
    ) -> (u16, Option<Arrived>) {
        let before = self.arrived.lock().unwrap().len();
        let stream = TokioIo::new(TcpStream::connect(self.proxy).await.unwrap());
        let mut request = Request::builder().method(method);
        request = if version == Version::HTTP_2 {
            request.uri(format!("http://{HOST}/drop/a"))
        } else {
            request.uri("/drop/a").header("host", HOST)
        };
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let answer = if version == Version::HTTP_2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(stream).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        let status = answer.status().as_u16();
        answer.into_body().collect().await.unwrap();
        let arrived = self.arrived.lock().unwrap();
        (status, (arrived.len() > before).then(|| arrived.last().unwrap().clone()))
    }
}

#[tokio::test]
async fn path_30_an_origin_gets_the_path_that_was_judged() {
    let world = world();
    let cookies = world.cookies(&[STAFF]);
    let renamed = |settings: &mut OriginSettings| {
        settings.http_host_header = Some("internal.lan:8080".parse().unwrap());
    };
    for sockets in
        [sockets(world.access.clone(), |_| {}).await, sockets(world.access.clone(), renamed).await]
    {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for (target, status) in [
                ("https://dav.example.com/staff/x", 401),
                ("/drop/../staff/x", 400),
                ("https://none.example.com/b", 403),
                // A rule of the proxy's closes it, whoever asks.
                ("/drop/closed/x", 403),
                ("https://dav.example.com/drop/%63losed", 403),
                // Or would, if letter case made no difference to the origin.
                ("/drop/CLOSED/x", 400),
                ("https://dav.example.com/drop/Closed%20/x", 400),
            ] {
                let lines = [("destination", target)];
                let (found, arrived) = sockets.ask(version, "MOVE", &lines).await;
                assert_eq!((found, arrived.is_none()), (status, true), "{target}");
            }
            for (target, served) in [
                ("https://dav.example.com/staff/x", "/staff/x"),
                ("https://dav.example.com:8443/drop/%62", "/drop/b"),
                ("/drop/b", "/drop/b"),
                ("https://FILES.example.com/b", "https://files.example.com/b"),
            ] {
                let condition = format!("<{target}> (<urn:uuid:1>)");
                let lines = [("destination", target), ("cookie", &*cookies), ("if", &condition)];
                let (status, arrived) = sockets.ask(version, "COPY", &lines).await;
                assert_eq!(status, 200, "{target}");
                let arrived = arrived.unwrap();
                assert_eq!(arrived.path(), "/drop/a");
                assert_eq!(arrived.header("destination"), Some(served));
                assert_eq!(arrived.header("if"), Some(&*format!("<{served}> (<urn:uuid:1>)")));
            }
        }
    }
}
