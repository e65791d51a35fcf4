//! Which form a refusal has for which client: a redirect, a page, JSON, text, gRPC.

use std::convert::Infallible;
use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use tower::{Layer, ServiceBuilder, service_fn};
use tower_access::application::Application;
use tower_access::clock::Timestamp;
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::policy::{Group, Policy, Rule, Verdict};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::{
    Access, AccessLayer, AuthenticateLayer, AuthorizeLayer, Rejection, RejectionKind,
};

use crate::support::wire::{VERSIONS, Wire};
use crate::support::{Answer, Mailbox, NOW, Origin, clock, person, send};

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

type Lines = &'static [(&'static str, &'static str)];

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// git's request for a pack, git-lfs's for a batch, and libraries that call themselves git.
const GITS: [Lines; 5] = [
    &[("user-agent", "git/2.47.3"), ("accept", "*/*")],
    &[
        ("user-agent", "git/2.39.5 (Apple Git-154)"),
        ("accept", "application/x-git-upload-pack-result"),
        ("content-type", "application/x-git-upload-pack-request"),
    ],
    &[
        ("user-agent", "git-lfs/3.3.0 (GitHub; linux amd64; go 1.19.3)"),
        ("accept", "application/vnd.git-lfs+json"),
        ("content-type", "application/vnd.git-lfs+json"),
    ],
    &[("user-agent", "git/2.0 (libgit2 1.8.1)")],
    // Whatever else it sends.
    &[("user-agent", "Git/2.47.3.windows.1"), HTML],
];

/// `fetch` and `WebSocket` of Node.js.
const NODES: [Lines; 4] = [
    &[("user-agent", "node"), ("accept", "*/*"), ("sec-fetch-mode", "cors")],
    &[("user-agent", "node"), ("accept", "*/*"), ("sec-fetch-mode", "no-cors")],
    &[("user-agent", "undici"), ("accept", "application/json"), ("sec-fetch-mode", "same-origin")],
    &[("user-agent", "node"), HTML, ("sec-fetch-mode", "cors")],
];

/// Scripts in a browser.
const SCRIPTS: [Lines; 5] = [
    &[("sec-fetch-mode", "cors"), ("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "empty")],
    &[("sec-fetch-mode", "cors"), ("sec-fetch-site", "cross-site")],
    &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty")],
    &[("sec-fetch-mode", "same-origin"), ("sec-fetch-dest", "empty"), HTML],
    &[("x-requested-with", "XMLHttpRequest"), ("sec-fetch-mode", "cors")],
];

/// Whoever goes to the login.
const VISITS: [Lines; 6] = [
    &[],
    &[("user-agent", "curl/8.5.0"), ("accept", "*/*")],
    &[("user-agent", "gitlab-runner/17.0"), ("accept", "*/*")],
    &[("sec-fetch-mode", "navigate"), HTML],
    &[
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "none"),
        ("sec-fetch-dest", "document"),
        HTML,
    ],
    &[
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-dest", "iframe"),
    ],
];

/// Hosts of applications that a service token alone opens.
const SERVICE_ONLY: [&str; 6] = ["only", "only401", "blocked", "grouped", "required", "partly"];
/// Hosts of applications that neither a login nor a service token opens.
const NEITHER: [&str; 5] = ["office", "excluding", "locked", "empty", "grouped-exclusion"];

fn applications() -> Vec<Application> {
    let token = Rule::any_valid_service_token;
    let ci = || Policy::service_auth("ci").include(Rule::service_token("ci"));
    let chair = || Policy::allow("chair").include(Rule::email("chair@example.com").unwrap());
    let office = || Rule::ip("192.0.2.0/24").unwrap();
    let service = |rule: Rule| Policy::service_auth("service").include(rule);
    let everyone = || Policy::deny("everyone").include(Rule::everyone());
    let new = |name: &str| Application::new(name, &format!("{name}.example")).unwrap();
    vec![
        new("app").audience(AUDIENCE.parse().unwrap()).policy(chair()).policy(ci()),
        new("app401").policy(chair()).policy(ci()).service_auth_401_redirect(),
        new("only").policy(ci()),
        new("only401").policy(ci()).service_auth_401_redirect(),
        new("blocked").policy(ci()).policy(everyone()),
        new("grouped").policy(service(Rule::group("robots"))),
        new("required").policy(service(Rule::everyone()).require(token())),
        new("partly").policy(service(office())).policy(ci()),
        new("office").policy(service(office())),
        new("excluding").policy(service(office()).exclude(token())),
        new("grouped-exclusion").policy(service(Rule::group("no robots"))),
        new("locked").policy(everyone()),
        new("empty"),
        new("origin401").policy(Policy::bypass("all").include(Rule::everyone())),
    ]
}

fn groups() -> [Group; 2] {
    let token = Rule::any_valid_service_token;
    let office = Rule::ip("192.0.2.0/24").unwrap();
    [
        Group::new("robots").include(token()),
        Group::new("no robots").include(office).exclude(token()),
    ]
}

/// A copy of the one key of this process: a new one takes a while.
fn key() -> SigningKey {
    static DER: OnceLock<Vec<u8>> = OnceLock::new();
    let new = || SigningKey::generate().unwrap().to_pkcs8_der().unwrap().to_vec();
    SigningKey::from_pkcs8_der(DER.get_or_init(new)).unwrap()
}

fn issuing() -> Access {
    let builder = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(key())
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")))
        .clock(clock());
    let builder = groups().into_iter().fold(builder, |it, group| it.group(group));
    applications().into_iter().fold(builder, |it, app| it.application(app)).build().unwrap()
}

fn verifying() -> Access {
    let now = Timestamp::from_unix_seconds(NOW);
    let keys = PublishedKeys::new(&key(), &[], ISSUER, now).unwrap().key_set().clone();
    let builder = Access::verifier_builder("login.example.com").unwrap().keys(keys).clock(clock());
    let builder = groups().into_iter().fold(builder, |it, group| it.group(group));
    applications().into_iter().fold(builder, |it, app| it.application(app)).build().unwrap()
}

fn roles() -> [(&'static str, Access); 2] {
    [("issuing", issuing()), ("verifying", verifying())]
}

fn request(
    method: &Method,
    host: &str,
    path: &str,
    lines: &[&[(&str, &str)]],
) -> Request<Full<Bytes>> {
    let builder =
        Request::builder().method(method).uri(path).header("host", format!("{host}.example"));
    let lines = lines.iter().copied().flatten();
    lines.fold(builder, |it, (name, value)| it.header(*name, *value)).body(Full::default()).unwrap()
}

/// Asks over the layer itself: what it decided stands in the extensions of the answer.
async fn ask(access: &Access, request: Request<Full<Bytes>>) -> Answer {
    send(&AccessLayer::new(access.clone()).layer(Origin::default()), request).await
}

#[track_caller]
fn is_redirect(answer: &Answer, host: &str, context: &str) {
    assert_eq!(answer.status(), StatusCode::FOUND, "{context}");
    let login = format!("{ISSUER}/cdn-cgi/access/login/{host}.example?kid=");
    assert!(answer.location().starts_with(&login), "{context}");
    names_application(answer, host, context);
}

#[track_caller]
fn names_application(answer: &Answer, host: &str, context: &str) {
    let domain = format!("{host}.example");
    assert_eq!(answer.header("cf-access-domain"), Some(&*domain), "{context}");
    assert_eq!(answer.header("cf-access-aud").map(str::len), Some(64), "{context}");
}

/// What git gets in place of a 401.
#[track_caller]
fn is_text_for_git(answer: &Answer, host: &str, context: &str) {
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{context}");
    let headers = &answer.parts.headers;
    assert!(!headers.contains_key(WWW_AUTHENTICATE), "{context}");
    assert!(!headers.contains_key(LOCATION), "{context}");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{context}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{context}");
    assert!(answer.header("cache-control").unwrap().contains("no-store"), "{context}");
    assert!(answer.text.ends_with('\n') && answer.text.contains("\nReference: "), "{context}");
    names_application(answer, host, context);
}

#[tokio::test]
async fn flow_11_the_mode_of_a_fetch_alone_is_sent_to_the_login() {
    for (role, access) in roles() {
        for version in VERSIONS {
            let service = AccessLayer::new(access.clone()).layer(Origin::default());
            let wire = Wire::to(service, version).await;
            for lines in NODES.iter().chain(&VISITS) {
                for method in [Method::GET, Method::HEAD] {
                    let context = format!("{role} {version:?} {method} {lines:?}");
                    let answer = send(&wire, request(&method, "app", "/a?b=c", &[lines])).await;
                    is_redirect(&answer, "app", &context);
                }
                // What is no GET is never redirected.
                let answer = send(&wire, request(&Method::POST, "app", "/a", &[lines])).await;
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{role} {lines:?}");
            }
        }
    }
}

#[tokio::test]
async fn flow_11_scripts_of_browsers_are_refused_as_json() {
    for (role, access) in roles() {
        for version in VERSIONS {
            let service = AccessLayer::new(access.clone()).layer(Origin::default());
            let wire = Wire::to(service, version).await;
            for lines in SCRIPTS {
                let context = format!("{role} {version:?} {lines:?}");
                let answer = send(&wire, request(&Method::GET, "app", "/a?b=c", &[lines])).await;
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{context}");
                let body: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
                assert_eq!(body["error"], "login_required", "{context}");
                assert!(body["login_url"].as_str().unwrap().starts_with(ISSUER), "{context}");
                names_application(&answer, "app", &context);
            }
        }
    }
}

/// FLOW-12: what a browser fetches for a page says so without a mode as well.
#[tokio::test]
async fn flow_12_parts_of_pages_and_prefetches_begin_no_login() {
    for (role, access) in roles() {
        for lines in [
            &[("sec-fetch-dest", "image")][..],
            &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")],
            &[("sec-purpose", "prefetch"), ("sec-fetch-mode", "navigate"), HTML],
            &[("sec-purpose", "prefetch"), ("sec-fetch-mode", "cors")],
        ] {
            let answer = ask(&access, request(&Method::GET, "app", "/a", &[lines])).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{role} {lines:?}");
            assert!(!answer.parts.headers.contains_key(SET_COOKIE), "{role} {lines:?}");
        }
    }
}

/// FLOW-11: a WebSocket of Node.js sends the mode alone and no `Origin`; a browser's sends both.
#[tokio::test]
async fn flow_11_a_socket_outside_of_a_browser_is_sent_to_the_login() {
    let socket = &[("connection", "Upgrade"), ("upgrade", "websocket")][..];
    let mode = ("sec-fetch-mode", "websocket");
    for (role, access) in roles() {
        for (lines, status) in [
            (&[][..], 302),
            (&[mode], 302),
            (&[mode, ("sec-fetch-dest", "websocket")], 401),
            (&[mode, ("sec-fetch-site", "same-origin")], 401),
            (&[("origin", "https://app.example")], 401),
            (&[mode, ("origin", "https://app.example")], 401),
        ] {
            let request = request(&Method::GET, "app", "/ws", &[socket, lines]);
            assert_eq!(ask(&access, request).await.status(), status, "{role} {lines:?}");
        }
    }
}

/// What git brings along that is not good, and in which role it counts.
const BAD: [(&str, Lines); 3] = [
    (
        "issuing",
        &[("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "not the secret")],
    ),
    ("issuing", &[("cf-access-token", "a.b.c")]),
    ("verifying", &[("cf-access-jwt-assertion", "a.b.c")]),
];

#[tokio::test]
async fn flow_11_git_gets_403_where_others_get_401() {
    let others = &[("user-agent", "curl/8.5.0"), ("accept", "*/*")][..];
    let requests = [
        ("POST", "/r.git/git-upload-pack"),
        ("POST", "/r.git/info/lfs/objects/batch"),
        ("PUT", "/r.git/info/lfs/objects/1"),
        ("GET", "/r.git/info/refs?service=git-upload-pack"),
        ("PROPFIND", "/r.git"),
    ];
    let new = [("issuing", issuing as fn() -> Access), ("verifying", verifying)];
    for ((role, new), version) in new.iter().flat_map(|new| VERSIONS.map(|version| (new, version)))
    {
        let bad = BAD.iter().filter(|(of, _)| of == role).map(|(_, lines)| *lines);
        let mut unauthorized = 0;
        for (bad, host) in std::iter::once(&[][..])
            .chain(bad)
            .flat_map(|bad| ["app", "app401", "only", "only401"].map(|host| (bad, host)))
        {
            // Anew: who guesses secrets gets 429.
            let service = AccessLayer::new(new()).layer(Origin::default());
            let wire = Wire::to(service, version).await;
            for (method, path) in requests {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let plain = send(&wire, request(&method, host, path, &[bad, others])).await;
                unauthorized += usize::from(plain.status() == StatusCode::UNAUTHORIZED);
                for git in GITS {
                    let context = format!("{role} {version:?} {bad:?} {host} {method} {git:?}");
                    let answer = send(&wire, request(&method, host, path, &[bad, git])).await;
                    if plain.status() == StatusCode::FOUND {
                        is_redirect(&answer, host, &context);
                    } else {
                        is_text_for_git(&answer, host, &context);
                    }
                }
            }
        }
        assert!(unauthorized >= 20, "{role}: others get 401 {unauthorized} times");
    }
}

/// FLOW-11: the first request of a clone by somebody who has not logged in.
#[tokio::test]
async fn flow_11_git_is_still_sent_to_the_login_by_info_refs() {
    for (role, access) in roles() {
        for git in GITS {
            let path = "/r.git/info/refs?service=git-upload-pack";
            let answer = ask(&access, request(&Method::GET, "app", path, &[git])).await;
            is_redirect(&answer, "app", &format!("{role} {git:?}"));
            // Where git is led to must not look like a repository.
            assert!(!answer.location().ends_with(path));
        }
    }
}

#[tokio::test]
async fn flow_11_git_is_told_what_is_missing() {
    for (role, access) in roles() {
        for git in GITS {
            for (host, method, words) in [
                ("app", Method::POST, "http.extraHeader"),
                ("only", Method::POST, "a service token is required"),
                ("only", Method::GET, "a service token is required"),
                ("only401", Method::GET, "a service token is required"),
                ("locked", Method::GET, "You don't have permission"),
            ] {
                let answer = ask(&access, request(&method, host, "/r.git", &[git])).await;
                is_text_for_git(&answer, host, &format!("{role} {host} {method} {git:?}"));
                assert!(answer.text.contains(words), "{role} {host} {method}: {}", answer.text);
                let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
                assert!(answer.text.contains(rejection.reference()));
            }
        }
    }
    let bad = BAD[0].1;
    let answer = ask(&issuing(), request(&Method::GET, "app", "/r.git", &[bad, GITS[0]])).await;
    assert!(answer.text.starts_with("The service token is invalid."), "{}", answer.text);
}

/// The `User-Agent` is a claim: no verdict depends on it.
#[tokio::test]
async fn flow_11_who_calls_itself_git_is_judged_like_everybody() {
    let good = key().sign(&person(ISSUER, AUDIENCE, "chair@example.com")).unwrap();
    let denied = key().sign(&person(ISSUER, AUDIENCE, "ada@example.com")).unwrap();
    for (role, access) in roles() {
        let header = if role == "issuing" { "cf-access-token" } else { "cf-access-jwt-assertion" };
        let brought = [
            vec![],
            vec![(header, good.as_str())],
            vec![(header, denied.as_str())],
            vec![(header, "a.b.c")],
            vec![("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")],
            vec![("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "wrong")],
        ];
        let mut admitted = 0;
        for app in applications() {
            for lines in &brought {
                for method in [Method::GET, Method::POST] {
                    let name = app.name();
                    let plain = ask(&access, request(&method, name, "/a", &[lines])).await;
                    let facts = |answer: &Answer| {
                        let extensions = &answer.parts.extensions;
                        (
                            extensions.get::<Rejection>().map(Rejection::kind),
                            extensions.get::<Verdict>().map(|it| (it.outcome(), it.id())),
                            answer.status().is_success(),
                        )
                    };
                    for git in GITS {
                        let answer =
                            ask(&access, request(&method, name, "/a", &[lines, git])).await;
                        assert_eq!(facts(&answer), facts(&plain), "{role} {name} {method} {git:?}");
                    }
                    admitted += usize::from(plain.status().is_success());
                }
            }
        }
        assert!(admitted > 0, "{role}");
    }
}

/// An origin that asks for a password is asked by git with one: its 401 is its own.
#[tokio::test]
async fn flow_11_the_401_of_an_origin_reaches_git() {
    for (role, access) in roles() {
        let origin = service_fn(|_: Request<Full<Bytes>>| async {
            let answer = Response::builder()
                .status(401)
                .header(WWW_AUTHENTICATE, "Basic realm=\"git\"")
                .body(Full::new(Bytes::from("who are you?")));
            Ok::<_, Infallible>(answer.unwrap())
        });
        let service = AccessLayer::new(access).layer(origin);
        let answer = send(&service, request(&Method::GET, "origin401", "/r.git", &[GITS[0]])).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{role}");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"git\""), "{role}");
        assert_eq!(answer.text, "who are you?", "{role}");
    }
}

/// Without the layer that gives refusals their form.
#[tokio::test]
async fn flow_11_a_bare_refusal_of_git_is_no_401_either() {
    for (role, access) in roles() {
        let service = ServiceBuilder::new()
            .layer(AuthenticateLayer::new(access.clone()))
            .layer(AuthorizeLayer::new(access))
            .service(Origin::default());
        for (lines, status) in [(GITS[0], 403), (GITS[2], 403), (VISITS[1], 401)] {
            let answer = send(&service, request(&Method::GET, "app", "/a", &[lines])).await;
            assert_eq!(answer.status(), status, "{role} {lines:?}");
            let challenges = answer.parts.headers.contains_key(WWW_AUTHENTICATE);
            assert_eq!(challenges, status == 401, "{role} {lines:?}");
            let kind = answer.parts.extensions.get::<Rejection>().unwrap().kind();
            assert_eq!(kind, RejectionKind::LoginRequired);
        }
    }
}

/// PROTO-09: a call stays a call, whatever its client calls itself.
#[tokio::test]
async fn proto_09_a_grpc_call_gets_no_text_for_git() {
    for (role, access) in roles() {
        let call = &[("content-type", "application/grpc")][..];
        let bad = BAD.iter().filter(|(of, _)| *of == role).map(|(_, lines)| *lines);
        for bad in std::iter::once(&[][..]).chain(bad) {
            for host in ["app", "only", "locked"] {
                let mut request = request(&Method::POST, host, "/s/m", &[call, bad, GITS[0]]);
                *request.version_mut() = Version::HTTP_2;
                let answer = ask(&access, request).await;
                assert_eq!(answer.status(), StatusCode::OK, "{role} {host} {bad:?}");
                assert_eq!(answer.header("grpc-status"), Some("16"), "{role} {host} {bad:?}");
                assert_eq!(answer.text, "");
            }
        }
    }
}

/// What clients of every kind read of a refusal: page, JSON, text, gRPC message.
async fn all_forms(access: &Access, host: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    for lines in
        [VISITS[3], VISITS[4], VISITS[1], VISITS[0], NODES[0], SCRIPTS[0], GITS[0], GITS[2]]
    {
        for method in [Method::GET, Method::POST] {
            answers.push(ask(access, request(&method, host, "/a", &[lines])).await);
        }
    }
    let mut call = request(&Method::POST, host, "/s/m", &[&[("content-type", "application/grpc")]]);
    *call.version_mut() = Version::HTTP_2;
    let mut answer = ask(access, call).await;
    answer.text = answer.header("grpc-message").unwrap().to_owned();
    answers.push(answer);
    answers
}

#[tokio::test]
async fn flow_11_where_only_services_enter_a_stranger_is_told_so() {
    for (role, access) in roles() {
        for host in SERVICE_ONLY {
            for answer in all_forms(&access, host).await {
                let context = format!("{role} {host} {answer:?}");
                assert!(answer.text.contains("a service token is required"), "{context}");
                assert!(answer.text.contains("CF-Access-Client-Id"), "{context}");
                assert!(!answer.text.contains("permission"), "{context}");
                assert!(!answer.text.contains("Please log in"), "{context}");
                assert!(!answer.parts.headers.contains_key(LOCATION), "{context}");
                names_application(&answer, host, &context);
                if answer.header("content-type") == Some("application/json") {
                    let body: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
                    assert_eq!(body["error"], "forbidden");
                    assert!(body["login_url"].is_null());
                }
            }
        }
    }
}

/// A service that shows what is no proof, where people may enter as well: it cannot log in.
#[tokio::test]
async fn flow_11_a_service_without_proof_is_told_what_is_missing() {
    let pair = &[("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")][..];
    // The issuer alone knows the secrets.
    let access = verifying();
    for (client, status) in [(GITS[0], 403), (VISITS[1], 401), (VISITS[3], 401)] {
        for method in [Method::GET, Method::POST] {
            let answer = ask(&access, request(&method, "app401", "/a", &[pair, client])).await;
            assert_eq!(answer.status(), status, "{method} {client:?}");
            assert!(answer.text.contains("A service token is required"), "{}", answer.text);
            assert!(!answer.text.contains("Only services"), "{}", answer.text);
            assert!(!answer.text.contains("Please log in"), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn flow_11_where_no_service_token_helps_none_is_asked_for() {
    for (role, access) in roles() {
        for host in NEITHER {
            for answer in all_forms(&access, host).await {
                let context = format!("{role} {host} {answer:?}");
                assert!(!answer.text.contains("service token"), "{context}");
                assert!(answer.text.contains("permission"), "{context}");
            }
        }
    }
}

/// Who has shown a good service token, and is not let in by it, is not told to show one.
#[tokio::test]
async fn flow_11_a_good_service_token_that_does_not_suffice_is_not_asked_for_again() {
    let other = ServiceToken::new("other", "other.access", SecretHash::new("s3cret"));
    let builder = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(key())
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")))
        .service_token(other)
        .clock(clock());
    let builder = groups().into_iter().fold(builder, |it, group| it.group(group));
    let builder = applications().into_iter().fold(builder, |it, app| it.application(app));
    let access = builder.build().unwrap();
    let pair =
        &[("cf-access-client-id", "other.access"), ("cf-access-client-secret", "s3cret")][..];
    for host in ["only", "only401", "app401"] {
        for client in [GITS[0], VISITS[1], VISITS[3]] {
            let answer = ask(&access, request(&Method::GET, host, "/a", &[pair, client])).await;
            assert!(answer.text.contains("permission"), "{host} {}", answer.text);
            assert!(!answer.text.contains("service token"), "{host} {}", answer.text);
        }
    }
}
