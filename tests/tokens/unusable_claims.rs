//! Tokens of an issuer that are good but for a claim about who it is: what cannot be used is not
//! known, and nobody is sent round in circles.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::Layer;
use tower_access::application::Application;
use tower_access::identity::Subject;
use tower_access::layer::AccessService;
use tower_access::policy::{Fact, Outcome, Policy, Rule, Verdict};
use tower_access::test_util::TestIssuer;
use tower_access::{Access, AccessLayer, Identity, Rejection, RejectionKind};

use crate::support::log::Log;
use crate::support::{self, Origin, clock, person, query, send, two_copies_of_a_key};

const HOST: &str = "wiki.example.com";
const ID: &str = "7335d417-61da-459d-899c-0a01c76a2f94";
const OTHER_AUDIENCE: &str = "8b1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

/// Addresses that nobody can compare, or write into a header, without doubt.
const ODD_EMAILS: [&str; 19] = [
    "ab..c@mobile.example",
    "abc.@mobile.example",
    ".abc@mobile.example",
    "jörg@example.com",
    "ada@münchen.example",
    "ada@exаmple.com",
    "\"ada l\"@example.com",
    "-ada@example.com",
    "ada@ex_ample.com",
    "ada@example.com ",
    " ada@example.com",
    "ada@example.com\r\nx-injected: 1",
    "ada@example.com\0",
    "ada@example.com,root@example.com",
    "ada@evil.example@example.com",
    "",
    "adal",
    "@example.com",
    "Ada L <ada@example.com>",
];

struct World {
    issuer: TestIssuer,
    access: Access,
    origin: Origin,
    service: AccessService<Origin>,
}

fn world(policies: &[Policy]) -> World {
    let issuer = TestIssuer::new();
    let application = Application::new("Wiki", HOST).unwrap();
    let application = application.audience(TestIssuer::AUDIENCE.parse().unwrap());
    let application = policies.iter().cloned().fold(application, Application::policy);
    let access = issuer.verifier_builder().application(application).build().unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    World { issuer, access, origin, service }
}

fn for_everyone() -> World {
    world(&[Policy::allow("any").include(Rule::everyone())])
}

fn rule(json: Value) -> Rule {
    serde_json::from_value(json).unwrap()
}

fn services() -> Policy {
    Policy::service_auth("services").include(Rule::any_valid_service_token())
}

#[derive(Clone, Copy, Debug)]
enum Carrier {
    Header,
    Cookie,
}

const CARRIERS: [Carrier; 2] = [Carrier::Header, Carrier::Cookie];

impl World {
    /// The claims of a good token of a person, as JSON.
    fn claims(&self) -> Value {
        let mut claims = serde_json::to_value(self.issuer.claims_for("ada@example.com")).unwrap();
        claims["sub"] = ID.into();
        claims
    }

    /// The same with other claims; `None` leaves one out.
    fn with(&self, changes: &[(&str, Option<Value>)]) -> String {
        let mut claims = self.claims();
        for (name, value) in changes {
            match value {
                Some(value) => claims[*name] = value.clone(),
                None => drop(claims.as_object_mut().unwrap().remove(*name)),
            }
        }
        self.issuer.sign(&claims)
    }

    async fn ask(&self, carrier: Carrier, token: &str) -> support::Answer {
        let (name, value) = match carrier {
            Carrier::Header => ("cf-access-jwt-assertion", token.to_owned()),
            Carrier::Cookie => ("cookie", format!("CF_Authorization={token}")),
        };
        self.send(&[(name, &value), ("accept", "text/html")]).await
    }

    async fn send(&self, headers: &[(&str, &str)]) -> support::Answer {
        self.send_as("GET", headers).await
    }

    async fn send_as(&self, method: &str, headers: &[(&str, &str)]) -> support::Answer {
        let mut request = Request::builder().method(method).uri("/docs?q=1").header("host", HOST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(&self.service, request.body(Full::default()).unwrap()).await
    }

    /// Whether a token opens, the same in both places, twice each: the second time from the cache.
    async fn opens(&self, token: &str) -> bool {
        let mut statuses = Vec::new();
        for carrier in CARRIERS {
            for _ in 0..2 {
                statuses.push(self.ask(carrier, token).await.status().as_u16());
            }
        }
        statuses.dedup();
        match statuses[..] {
            [200] => true,
            [401 | 403] | [403, 401] | [401, 403] => false,
            _ => panic!("{statuses:?}"),
        }
    }
}

/// Why a claim could not be used, as the log says.
fn reasons_in_log(claim: &str) -> Vec<String> {
    let records = Log::of_this_test().with("claim", claim);
    records.iter().map(|it| it.field("why").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn jwt_28_an_address_that_is_not_plain_is_not_known_and_the_token_stands() {
    Log::of_this_test();
    let world = for_everyone();
    let long = format!("{}@example.com", "a".repeat(65));
    let longer = format!("a@{}example.com", "b.".repeat(200));
    let odd = ODD_EMAILS.into_iter().chain([&*long, &*longer]).map(|email| Some(json!(email)));
    for email in odd.chain([Some(Value::Null), None]) {
        let token = world.with(&[("email", email.clone())]);
        for carrier in CARRIERS {
            let before = world.origin.count();
            let (name, value) = match carrier {
                Carrier::Header => ("cf-access-jwt-assertion", token.clone()),
                Carrier::Cookie => ("cookie", format!("CF_Authorization={token}")),
            };
            let own = ("cf-access-authenticated-user-email", "root@example.com");
            let answer = world.send(&[(name, &value), own]).await;
            assert_eq!(answer.status(), 200, "{email:?} in the {carrier:?}");
            assert_eq!(world.origin.count(), before + 1);
            let seen = world.origin.last();
            assert!(!seen.headers.contains_key("cf-access-authenticated-user-email"), "{email:?}");
            assert!(!seen.headers.contains_key("x-injected"), "{email:?}");
            assert_eq!(seen.headers["cf-access-jwt-assertion"], token);
            let identity = seen.extensions.get::<Identity>().unwrap();
            assert_eq!((identity.email(), identity.user_id()), (None, Some(ID)), "{email:?}");
            assert!(!identity.is_service() && identity.client_id().is_none());
            let verdict = answer.parts.extensions.get::<Verdict>().unwrap();
            assert_eq!(verdict.outcome(), Outcome::Allowed);
        }
    }
    let reasons = reasons_in_log("email");
    for reason in [
        "it is null",
        "it is missing",
        "it is empty",
        "it is longer than an address may be",
        "it has characters beyond ASCII",
        "it has blanks or control characters",
        "it is not a plain address such as `name@example.com`",
    ] {
        assert!(reasons.iter().any(|found| found == reason), "{reason}: {reasons:?}");
    }
    assert!(
        !Log::of_this_test().text().contains("ab..c@mobile.example"),
        "text of a token in the log"
    );
}

#[tokio::test]
async fn a_plain_address_is_known_as_ever() {
    let world = for_everyone();
    for (email, known) in [
        ("ada@example.com", "ada@example.com"),
        ("Ada@Example.COM", "ada@example.com"),
        ("ada_contoso.example#EXT#@tenant.example", "ada_contoso.example#ext#@tenant.example"),
        ("ada@localhost", "ada@localhost"),
    ] {
        for carrier in CARRIERS {
            let token = world.with(&[("email", Some(json!(email)))]);
            assert_eq!(world.ask(carrier, &token).await.status(), 200, "{email}");
            let seen = world.origin.last();
            assert_eq!(seen.headers["cf-access-authenticated-user-email"], known);
            let identity = seen.extensions.get::<Identity>().unwrap();
            assert!(matches!(identity.subject(), Subject::User { .. }));
        }
    }
}

#[tokio::test]
async fn jwt_28_other_claims_that_cannot_be_used_are_not_known_either() {
    Log::of_this_test();
    let world = for_everyone();
    for (name, values) in [
        ("country", vec![json!(null), json!(""), json!("France"), json!("\r\n"), json!("F")]),
        ("identity_nonce", vec![json!(null), json!(5), json!(-1.5), json!("")]),
        ("sub", vec![json!(null), json!("")]),
        ("common_name", vec![json!(null), json!("")]),
        ("custom", vec![json!(null), json!(5), json!("x"), json!([]), json!({ "groups": 7 })]),
        ("groups", vec![json!(null), json!(5)]),
    ] {
        for value in values.into_iter().map(Some).chain([None]) {
            let token = world.with(&[(name, value.clone())]);
            assert!(world.opens(&token).await, "{name}: {value:?}");
            let seen = world.origin.last();
            assert_eq!(seen.headers["cf-access-authenticated-user-email"], "ada@example.com");
            let identity = seen.extensions.get::<Identity>().unwrap();
            assert_eq!(identity.email(), Some("ada@example.com"));
            match name {
                "country" => assert_eq!(identity.country(), None, "{value:?}"),
                "identity_nonce" => assert_eq!(identity.session_id(), None, "{value:?}"),
                "sub" => {
                    assert_eq!(identity.user_id(), None, "{value:?}");
                    assert!(matches!(identity.subject(), Subject::IncompleteUser { .. }));
                }
                _ => assert_eq!(identity.user_id(), Some(ID)),
            }
        }
    }
    for (claim, reason) in [
        ("country", "it is not a two-letter code"),
        ("country", "it is null"),
        ("identity_nonce", "it is a number"),
        ("sub", "it is empty"),
        ("sub", "it is missing"),
        ("custom", "it is not an object"),
    ] {
        let reasons = reasons_in_log(claim);
        assert!(reasons.iter().any(|found| found == reason), "{claim}: {reasons:?}");
    }
    // What issuers write where they do not know the country, or it is Tor.
    for country in ["XX", "T1", "FR"] {
        assert!(world.opens(&world.with(&[("country", Some(json!(country)))])).await);
        let seen = world.origin.last();
        assert_eq!(seen.extensions.get::<Identity>().unwrap().country(), Some(country));
    }
    // All of it at once.
    let token = world.with(&[
        ("email", Some(json!("jörg@example.com"))),
        ("sub", Some(json!(""))),
        ("country", Some(Value::Null)),
        ("identity_nonce", Some(json!(7))),
    ]);
    assert!(world.opens(&token).await);
    let identity = world.origin.last().extensions.get::<Identity>().cloned().unwrap();
    assert_eq!((identity.email(), identity.user_id(), identity.session_id()), (None, None, None));
    assert!(!identity.is_service());
}

#[tokio::test]
async fn jwt_28_a_wrong_type_and_every_claim_of_validity_still_cost_the_token() {
    let world = for_everyone();
    let others = [json!(5), json!(1.5), json!(true), json!([]), json!(["x"]), json!({})];
    for name in ["email", "sub", "common_name", "country", "identity_nonce"] {
        for value in &others {
            if name != "identity_nonce" || !value.is_number() {
                let token = world.with(&[(name, Some(value.clone()))]);
                assert!(!world.opens(&token).await, "{name}: {value}");
            }
        }
    }
    for name in ["iss", "aud", "exp", "iat", "nbf", "type"] {
        for value in [json!(null), json!(""), json!("x"), json!({}), json!([]), json!(true)] {
            let token = world.with(&[(name, Some(value.clone()))]);
            assert!(!world.opens(&token).await, "{name}: {value}");
        }
        let token = world.with(&[(name, None)]);
        assert!(name == "nbf" || !world.opens(&token).await, "{name}");
    }
    assert_eq!(world.origin.count(), 0);
}

/// JWT-20: the kind follows from the claims that are there.
#[tokio::test]
async fn jwt_28_no_broken_address_makes_a_service_and_no_service_a_person() {
    let world = world(&[services(), Policy::allow("any").include(Rule::everyone())]);
    let ci = || Some(json!("ci.access"));
    let known = ["ada@example.com"];
    for email in ODD_EMAILS.into_iter().chain(known) {
        for sub in [Some(json!("")), Some(Value::Null), None, Some(json!(ID))] {
            let claims =
                [("email", Some(json!(email))), ("sub", sub.clone()), ("common_name", ci())];
            assert!(!world.opens(&world.with(&claims)).await, "{email:?}, {sub:?}");
        }
    }
    let before = world.origin.count();
    for email in [None, Some(Value::Null)] {
        for sub in [Some(json!("")), Some(Value::Null), None] {
            let claims = [("email", email.clone()), ("sub", sub.clone()), ("common_name", ci())];
            assert!(world.opens(&world.with(&claims)).await, "{email:?}, {sub:?}");
            let seen = world.origin.last();
            let identity = seen.extensions.get::<Identity>().unwrap();
            assert_eq!((identity.client_id(), identity.is_service()), (Some("ci.access"), true));
        }
        let claims = [("email", email), ("common_name", ci())];
        assert!(!world.opens(&world.with(&claims)).await, "a service with the id of a person");
    }
    assert_eq!(world.origin.count(), before + 24);
    // Nobody at all.
    for name in [None, Some(json!("")), Some(Value::Null)] {
        let claims = [("email", None), ("sub", Some(json!(""))), ("common_name", name)];
        assert!(!world.opens(&world.with(&claims)).await);
    }
    // People are let in as people: not by a policy for services.
    let world = self::world(&[services()]);
    for email in ODD_EMAILS {
        for sub in [json!(""), json!(ID)] {
            let claims = [("email", Some(json!(email))), ("sub", Some(sub))];
            assert!(!world.opens(&world.with(&claims)).await, "{email:?}");
        }
    }
    assert_eq!(world.origin.count(), 0);
}

#[tokio::test]
async fn jwt_28_what_is_not_known_opens_nothing_and_the_verdict_names_it() {
    let any = Rule::everyone;
    let domain = || Rule::email_domain("mobile.example").unwrap();
    let department =
        || rule(json!({ "oidc": { "claim_name": "department", "claim_value": "r-and-d" } }));
    for (policies, opens) in [
        (vec![Policy::allow("domain").include(domain())], false),
        (vec![Policy::allow("any").include(any()).require(domain())], false),
        (vec![Policy::allow("any").include(any()).exclude(domain())], false),
        (
            vec![Policy::deny("domain").include(domain()), Policy::allow("any").include(any())],
            false,
        ),
        (
            vec![
                Policy::deny("any").include(any()).exclude(domain()),
                Policy::allow("a").include(any()),
            ],
            false,
        ),
        (
            vec![Policy::allow("domain").include(domain()), Policy::allow("any").include(any())],
            true,
        ),
        (vec![Policy::allow("department").include(department())], true),
        (vec![Policy::allow("department").include(domain()).include(department())], true),
    ] {
        let world = world(&policies);
        for email in [Some(json!("ab..c@mobile.example")), Some(Value::Null), None] {
            let custom = Some(json!({ "department": "r-and-d" }));
            let token = world.with(&[("email", email), ("custom", custom)]);
            for carrier in CARRIERS {
                let answer = world.ask(carrier, &token).await;
                assert_eq!(answer.status().as_u16(), if opens { 200 } else { 403 }, "{policies:?}");
                let verdict = answer.parts.extensions.get::<Verdict>().unwrap();
                assert_eq!(verdict.missing_facts().contains(Fact::Email), !opens, "{policies:?}");
                if !opens {
                    let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
                    assert_eq!(rejection.kind(), RejectionKind::Denied);
                    assert!(answer.text.contains(rejection.reference()));
                }
            }
        }
    }
}

#[tokio::test]
async fn jwt_28_a_token_of_somebody_unknown_is_ended_with_its_session_application_and_everybody() {
    let unknown = |world: &World, nonce: Value| {
        world.with(&[
            ("email", Some(json!("jörg@example.com"))),
            ("sub", Some(json!(""))),
            ("identity_nonce", Some(nonce)),
        ])
    };
    for what in ["person", "session", "application", "everybody"] {
        let world = for_everyone();
        let (first, second, none) = (
            unknown(&world, json!("6ei69kawdKzMIAPF")),
            unknown(&world, json!("7ei69kawdKzMIAPF")),
            unknown(&world, json!(7)),
        );
        for token in [&first, &second, &none] {
            assert!(world.opens(token).await);
        }
        let access = &world.access;
        match what {
            "person" => access.revoke_user(&"ada@example.com".parse().unwrap()).await.map(drop),
            "session" => access.revoke_session("6ei69kawdKzMIAPF").await.map(drop),
            "application" => {
                access.revoke_application(&TestIssuer::AUDIENCE.parse().unwrap()).await
            }
            _ => access.revoke_everybody().await,
        }
        .unwrap();
        // The others are other people, though nothing tells their addresses apart.
        let stays = matches!(what, "person" | "session");
        for (token, expected) in [(&first, what == "person"), (&second, stays), (&none, stays)] {
            let answer = world.ask(Carrier::Header, token).await;
            assert_eq!(answer.status() == 200, expected, "{what}");
        }
        // An empty id names nobody's session.
        access.revoke_session("").await.unwrap();
        assert_eq!(world.ask(Carrier::Header, &none).await.status() == 200, stays, "{what}");
    }
}

/// Follows a browser whose session at the issuer lasts: every redirect there brings a new token.
async fn redirects(world: &World, reissue: impl Fn(&World) -> String) -> (usize, support::Answer) {
    let mut cookie = format!("CF_Authorization={}", reissue(world));
    for count in 0..5 {
        let answer = world.send(&[("cookie", &cookie), ("accept", "text/html,*/*;q=0.8")]).await;
        if answer.status() != 302 {
            return (count, answer);
        }
        assert!(answer.location().starts_with(TestIssuer::ISSUER));
        world.issuer.clock().advance(Duration::from_secs(1));
        cookie = format!("CF_Authorization={}", reissue(world));
    }
    panic!("a loop");
}

#[tokio::test]
async fn jwt_28_a_fresh_token_that_is_refused_again_is_answered_with_a_page() {
    Log::of_this_test();
    let later =
        |world: &World, seconds: u64| json!(world.claims()["iat"].as_u64().unwrap() + seconds);
    type Changes = Vec<(&'static str, Option<Value>)>;
    type Reason = (&'static str, Box<dyn Fn(&World) -> Changes>);
    let reasons: Vec<Reason> = vec![
        ("audience", Box::new(|_| vec![("aud", Some(json!([OTHER_AUDIENCE])))])),
        ("type", Box::new(|_| vec![("type", Some(json!("org")))])),
        ("type", Box::new(|_| vec![("type", Some(json!("something")))])),
        ("issuer", Box::new(|_| vec![("iss", Some(json!("https://test.cloudflareaccess.com/")))])),
        ("wrong_type", Box::new(|_| vec![("email", Some(json!(5)))])),
        ("wrong_type", Box::new(|_| vec![("iat", Some(json!("now")))])),
        ("missing_claim", Box::new(|_| vec![("exp", None)])),
        ("missing_claim", Box::new(|_| vec![("iat", None)])),
        ("subject", Box::new(|_| vec![("common_name", Some(json!("ci.access")))])),
        ("subject", Box::new(|_| vec![("email", None), ("sub", None)])),
        ("lifetime", Box::new(move |world| vec![("exp", Some(later(world, 400 * 86_400)))])),
        ("not_yet_valid", Box::new(move |world| vec![("nbf", Some(later(world, 3600)))])),
        (
            "not_yet_valid",
            Box::new(move |world| {
                vec![("iat", Some(later(world, 600))), ("nbf", Some(later(world, 600)))]
            }),
        ),
        ("expired", Box::new(|_| vec![("exp", Some(json!(1_000)))])),
    ];
    for (name, changes) in reasons {
        let world = for_everyone();
        let (count, page) = redirects(&world, |world| world.with(&changes(world))).await;
        assert_eq!((count, page.status().as_u16()), (0, 401), "{name}");
        let rejection = page.parts.extensions.get::<Rejection>().unwrap();
        assert_eq!(rejection.token_error().unwrap().as_str(), name);
        assert!(matches!(rejection.kind(), RejectionKind::Token(_)));
        assert!(page.text.contains("<html") && page.text.contains(rejection.reference()), "{name}");
        assert!(page.text.contains("system administrator"));
        let login = format!("{}/cdn-cgi/access/login/{HOST}", TestIssuer::ISSUER);
        assert!(page.text.contains(&login), "{name}: the way to the login: {}", page.text);
        let line = Log::of_this_test().with("reference", rejection.reference());
        assert!(line.iter().any(|it| it.message() == "refused" && it.field("token") == Some(name)));
        assert_eq!(world.origin.count(), 0);
    }
}

#[tokio::test]
async fn jwt_28_what_a_new_login_mends_is_still_sent_to_the_login() {
    let world = for_everyone();
    let now = world.claims()["iat"].as_u64().unwrap();
    let long_ago = |seconds: u64| Some(json!(now - seconds));
    let stranger = TestIssuer::new();
    stranger.rotate();
    let forged = stranger.sign(&world.claims());
    let good = world.with(&[]);
    let (head, _) = good.rsplit_once('.').unwrap();
    for (what, token) in [
        ("expired", world.with(&[("iat", long_ago(90_000)), ("exp", long_ago(3_600))])),
        ("short", world.with(&[("iat", long_ago(100)), ("exp", long_ago(70))])),
        (
            "another application's",
            world.with(&[("aud", Some(json!([OTHER_AUDIENCE]))), ("iat", long_ago(3_000))]),
        ),
        ("another type", world.with(&[("type", Some(json!("org"))), ("iat", long_ago(3_000))])),
        ("odd", world.with(&[("email", Some(json!(7))), ("iat", long_ago(3_000))])),
        ("unknown key", forged),
        ("signature", format!("{head}.{}", "A".repeat(342))),
        ("garbage", "garbage".to_owned()),
        ("garbage", "a.b.c".to_owned()),
        ("empty", String::new()),
    ] {
        let answer = world.ask(Carrier::Cookie, &token).await;
        assert_eq!(answer.status(), 302, "{what}");
        assert_eq!(query(answer.location(), "redirect_url").as_deref(), Some("/docs?q=1"));
        // A good one beside it counts, wherever it stands.
        for cookies in [[&*token, &*good], [&*good, &*token]] {
            let cookie = cookies.map(|token| format!("CF_Authorization={token}")).join("; ");
            let answer = world.send(&[("cookie", &cookie), ("accept", "text/html")]).await;
            assert_eq!(answer.status(), 200, "{what}");
        }
    }
}

/// SES-03: a cookie of another time or place that is refused for ever, beside what the issuer sends.
#[tokio::test]
async fn jwt_28_an_old_cookie_beside_hides_no_loop_and_makes_none() {
    let world = for_everyone();
    let now = world.claims()["iat"].as_u64().unwrap();
    let other = Some(json!([OTHER_AUDIENCE]));
    let old = world.with(&[("aud", other.clone()), ("iat", Some(json!(now - 3_000)))]);
    let expired =
        world.with(&[("iat", Some(json!(now - 90_000))), ("exp", Some(json!(now - 3_600)))]);
    let fresh = world.with(&[("aud", other)]);
    for (cookies, status) in [
        (vec![&old], 302),
        (vec![&old, &expired], 302),
        (vec![&old, &fresh], 401),
        (vec![&fresh, &old], 401),
        (vec![&expired, &fresh], 401),
        (vec![&fresh], 401),
    ] {
        let all: Vec<_> = cookies.iter().map(|it| format!("CF_Authorization={it}")).collect();
        let answer = world.send(&[("cookie", &all.join("; ")), ("accept", "text/html")]).await;
        assert_eq!(answer.status(), status);
    }
    // It was fresh once: a minute later, and the tolerance between clocks, it is one of many.
    world.issuer.clock().advance(Duration::from_secs(121));
    let answer = world.ask(Carrier::Cookie, &fresh).await;
    assert_eq!(answer.status(), 302);
}

/// Applications of a host share one cookie: who goes from one to the other is not in a loop.
#[tokio::test]
async fn jwt_28_between_two_applications_of_a_host_people_go_to_and_fro() {
    const THIRD_AUDIENCE: &str = "9c1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
    let issuer = TestIssuer::new();
    let application = |domain: &str, audience: &str| {
        let application = Application::new(domain, domain).unwrap();
        let any = Policy::allow("any").include(Rule::everyone());
        application.audience(audience.parse().unwrap()).policy(any)
    };
    let access = issuer
        .verifier_builder()
        .application(application(HOST, TestIssuer::AUDIENCE))
        .application(application("wiki.example.com/admin", OTHER_AUDIENCE))
        .application(application("git.example.com", THIRD_AUDIENCE))
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    for (path, audience, status) in [
        ("/", TestIssuer::AUDIENCE, 200),
        ("/admin", TestIssuer::AUDIENCE, 302),
        ("/admin", OTHER_AUDIENCE, 200),
        ("/", OTHER_AUDIENCE, 302),
        // Of another host: two tags that were mixed up come back for ever.
        ("/", THIRD_AUDIENCE, 401),
    ] {
        let mut claims = serde_json::to_value(issuer.claims_for("ada@example.com")).unwrap();
        claims["aud"] = json!([audience]);
        let request = Request::builder()
            .uri(path)
            .header("host", HOST)
            .header("accept", "text/html")
            .header("cookie", format!("CF_Authorization={}", issuer.sign(&claims)));
        let answer = send(&service, request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), status, "{audience} at {path}");
    }
}

#[tokio::test]
async fn jwt_28_a_session_ended_here_and_not_at_the_issuer_is_no_loop() {
    let world = for_everyone();
    let token = world.with(&[]);
    assert!(world.opens(&token).await);
    world.issuer.clock().advance(Duration::from_secs(10));
    world.access.revoke_session("q2ZkWf0yTn9sVb3L").await.unwrap();
    assert_eq!(world.ask(Carrier::Cookie, &token).await.status(), 302, "a login may mend it");
    let (count, page) = redirects(&world, |world| world.with(&[])).await;
    assert!(count <= 1, "{count}");
    assert_eq!(page.status(), 401);
    // Another session is another matter.
    let token = world.with(&[("identity_nonce", Some(json!("another")))]);
    assert!(world.opens(&token).await);
    // Whatever else is ended is mended by a token of a later second.
    world.access.revoke_user(&"ada@example.com".parse().unwrap()).await.unwrap();
    assert_eq!(world.ask(Carrier::Cookie, &token).await.status(), 302);
    world.issuer.clock().advance(Duration::from_secs(1));
    assert!(world.opens(&world.with(&[("identity_nonce", Some(json!("another")))])).await);
}

#[tokio::test]
async fn jwt_28_programs_are_answered_as_before() {
    let world = for_everyone();
    let refused = world.with(&[("aud", Some(json!([OTHER_AUDIENCE])))]);
    let cookie = format!("CF_Authorization={refused}");
    let cookie = ("cookie", &*cookie);
    let html = ("accept", "text/html");
    for (method, headers, status) in [
        ("GET", vec![cookie], 302),
        ("HEAD", vec![cookie], 302),
        ("GET", vec![cookie, html], 401),
        ("HEAD", vec![cookie, html], 401),
        ("POST", vec![cookie, html], 401),
        ("GET", vec![cookie, html, ("x-requested-with", "XMLHttpRequest")], 401),
        ("GET", vec![cookie, ("sec-fetch-mode", "cors"), ("sec-fetch-site", "same-origin")], 401),
        ("GET", vec![cookie, ("sec-fetch-dest", "image"), ("sec-fetch-mode", "no-cors")], 401),
        ("GET", vec![], 302),
    ] {
        let answer = world.send_as(method, &headers).await;
        assert_eq!(answer.status(), status, "{method} {headers:?}");
        let is_page = answer.text.starts_with("<!");
        let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
        let is_new = matches!(rejection.kind(), RejectionKind::Token(_));
        assert_eq!(is_new, headers.len() == 2 && method != "POST" && headers[1] == html);
        if status == 401 && !is_page && method != "HEAD" {
            let text: Value = serde_json::from_str(&answer.text).unwrap();
            assert_eq!(text["error"], "login_required");
            assert!(text["login_url"].as_str().unwrap().starts_with(TestIssuer::ISSUER));
        }
    }
}

#[tokio::test]
async fn jwt_28_handlers_and_typed_claims_over_http() {
    #[derive(serde::Deserialize)]
    struct Claims {
        email: Option<String>,
        country: Option<String>,
    }
    let issuer = TestIssuer::new();
    let handler = |identity: Identity| async move {
        let claims = identity.claims::<Claims>().unwrap();
        format!("{:?} {:?} {:?}", identity.email(), claims.email, claims.country)
    };
    let app = axum::Router::new()
        .route("/", axum::routing::get(handler))
        .layer(AccessLayer::new(issuer.access()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let mut claims = serde_json::to_value(issuer.claims_for("jörg@example.com")).unwrap();
    claims["country"] = Value::Null;
    let token = issuer.sign(&claims);
    for line in [
        format!("Cf-Access-Jwt-Assertion: {token}"),
        format!("Cookie: other=1; CF_Authorization={token}"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request =
            format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{line}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        assert!(text.ends_with("None Some(\"jörg@example.com\") None"), "{text}");
    }
    server.abort();
}

/// What we issue has all its claims: a token of ours without them is none.
#[tokio::test]
async fn where_we_issue_nothing_is_loosened() {
    const ISSUER: &str = "https://login.example.com";
    let (key, copy) = two_copies_of_a_key();
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(support::Mailbox::default())
        .signing_key(copy)
        .clock(clock())
        .application(
            Application::new("Wiki", HOST)
                .unwrap()
                .audience(TestIssuer::AUDIENCE.parse().unwrap())
                .policy(services())
                .policy(Policy::allow("any").include(Rule::everyone())),
        )
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let claims =
        || serde_json::to_value(person(ISSUER, TestIssuer::AUDIENCE, "ada@example.com")).unwrap();
    let status = async |claims: &Value| {
        let token = key.sign(claims).unwrap();
        let mut statuses = Vec::new();
        for (name, value) in
            [("cookie", format!("CF_Authorization={token}")), ("cf-access-token", token)]
        {
            let request = Request::builder().uri("/").header("host", HOST).header(name, value);
            let answer = send(&service, request.body(Full::default()).unwrap()).await;
            statuses.push(answer.status().as_u16());
        }
        statuses
    };
    assert_eq!(status(&claims()).await, [200, 200]);
    let odd = ODD_EMAILS.map(|email| ("email", json!(email)));
    let nulls = ["sub", "email", "common_name", "identity_nonce", "country"];
    let nulls = nulls.map(|name| (name, Value::Null));
    let others = [("sub", json!("")), ("identity_nonce", json!(5)), ("identity_nonce", json!(""))];
    for (name, value) in odd.into_iter().chain(nulls).chain(others) {
        let mut claims = claims();
        claims[name] = value.clone();
        assert_eq!(status(&claims).await, [302, 302], "{name}: {value}");
    }
}

// From here on: against a slow model.

/// What the model makes of a token: nothing, a service, or a person with an address or without.
#[derive(Clone, Debug, PartialEq)]
enum Who {
    Nobody,
    Service,
    Person(Option<&'static str>),
}

/// A claim as it is written: left out, or JSON text.
type Written = Option<&'static str>;

const GOOD: [(&str, &str); 2] =
    [("\"Ada@example.com\"", "ada@example.com"), ("\"eve@evil.example\"", "eve@evil.example")];

/// Kind by presence; a wrong type refuses.
fn who(email: Written, sub: Written, name: Written, nonce: Written, country: Written) -> Who {
    let is_text = |text: Written| text.is_none_or(|it| it == "null" || it.starts_with('"'));
    let nonce_fits = is_text(nonce) || nonce.is_some_and(|it| it.parse::<f64>().is_ok());
    if ![email, sub, name, country].into_iter().all(is_text) || !nonce_fits {
        return Who::Nobody;
    }
    let is_there = |text: Written| text.is_some_and(|it| it != "null");
    let is_full = |text: Written| is_there(text) && text != Some("\"\"");
    match (is_full(name), is_there(email), is_full(sub)) {
        (true, false, false) => Who::Service,
        (true, _, _) | (false, false, false) => Who::Nobody,
        _ => Who::Person(GOOD.iter().find(|(it, _)| email == Some(it)).map(|(_, known)| *known)),
    }
}

#[derive(Clone, Copy, Debug)]
enum Test {
    Everyone,
    Ada,
    Domain,
    Department,
}

#[derive(Clone, Debug)]
struct Line {
    allows: bool,
    include: Vec<Test>,
    require: Vec<Test>,
    exclude: Vec<Test>,
}

impl Test {
    fn rule(self) -> Rule {
        match self {
            Self::Everyone => Rule::everyone(),
            Self::Ada => Rule::email("ada@example.com").unwrap(),
            Self::Domain => Rule::email_domain("example.com").unwrap(),
            Self::Department => {
                rule(json!({ "oidc": { "claim_name": "department", "claim_value": "r-and-d" } }))
            }
        }
    }

    /// `None`: nobody knows.
    fn holds(self, email: Option<&str>, department: Option<bool>) -> Option<bool> {
        match self {
            Self::Everyone => Some(true),
            Self::Ada => email.map(|email| email == "ada@example.com"),
            Self::Domain => email.map(|email| email.ends_with("@example.com")),
            Self::Department => department,
        }
    }
}

impl Line {
    fn policy(&self, name: &str) -> Policy {
        let policy = if self.allows { Policy::allow(name) } else { Policy::deny(name) };
        let policy = self.include.iter().fold(policy, |it, test| it.include(test.rule()));
        let policy = self.require.iter().fold(policy, |it, test| it.require(test.rule()));
        self.exclude.iter().fold(policy, |it, test| it.exclude(test.rule()))
    }

    /// Whether it applies if every unknown rule counts as `unknown` where it counts for it, and the
    /// other way round where it is excluded.
    fn applies(&self, unknown: bool, email: Option<&str>, department: Option<bool>) -> bool {
        let holds = |test: &Test, unknown| test.holds(email, department).unwrap_or(unknown);
        self.include.iter().any(|it| holds(it, unknown))
            && self.require.iter().all(|it| holds(it, unknown))
            && !self.exclude.iter().any(|it| holds(it, !unknown))
    }
}

/// Whether the policies let a person in.
fn lets_in(lines: &[Line], email: Option<&str>, department: Option<bool>) -> bool {
    for line in lines {
        if line.applies(!line.allows, email, department) {
            return line.allows;
        }
    }
    false
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let test = || select(vec![Test::Everyone, Test::Ada, Test::Domain, Test::Department]);
    let some = |least, most| prop::collection::vec(test(), least..=most);
    let line = (any::<bool>(), some(1, 2), some(0, 1), some(0, 1))
        .prop_map(|(allows, include, require, exclude)| Line { allows, include, require, exclude });
    prop::collection::vec(line, 1..=3)
}

fn written(values: &[&'static str]) -> impl Strategy<Value = Written> + use<> {
    prop::option::weighted(0.8, select(values.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn jwt_28_claims_and_policies_are_judged_as_the_model_says(
        (email, sub, name, nonce, country, custom, lines) in (
            written(&[
                "\"Ada@example.com\"", "\"Ada@example.com\"", "\"eve@evil.example\"", "\"\"",
                "\"ada@ex_ample.com\"", "\"j\u{f6}rg@example.com\"", "\"ada@example.com \"",
                "null", "null", "5", "[\"ada@example.com\"]",
            ]),
            written(&["\"7335d417\"", "\"7335d417\"", "\"7335d417\"", "\"\"", "null", "5"]),
            prop::option::weighted(0.3, select(vec!["\"ci.access\"", "\"ci.access\"", "\"\"", "null", "5"])),
            written(&["\"6ei69kawdKzMIAPF\"", "\"\"", "null", "5", "{}"]),
            written(&["\"FR\"", "\"FR\"", "\"\"", "\"France\"", "null", "5"]),
            prop::option::of(select(vec![
                "{\"department\":\"r-and-d\"}", "{\"department\":\"ops\"}", "{\"department\":7}",
                "null", "5", "[]",
            ])),
            lines(),
        ),
    ) {
        let mut policies = vec![services()];
        policies.extend(lines.iter().enumerate().map(|(n, line)| line.policy(&format!("p{n}"))));
        let world = world(&policies);
        let changes: Vec<_> = [
            ("email", email), ("sub", sub), ("common_name", name), ("identity_nonce", nonce),
            ("country", country), ("custom", custom),
        ]
        .into_iter()
        .map(|(name, text)| (name, text.map(|text| serde_json::from_str(text).unwrap())))
        .collect();
        let token = world.with(&changes);
        let department = match custom {
            Some("{\"department\":\"r-and-d\"}") => Some(true),
            Some("{\"department\":\"ops\"}") => Some(false),
            _ => None,
        };
        let who = who(email, sub, name, nonce, country);
        let expected = match &who {
            Who::Nobody => false,
            Who::Service => true,
            Who::Person(email) => lets_in(&lines, *email, department),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for carrier in CARRIERS {
            let answer = runtime.block_on(world.ask(carrier, &token));
            prop_assert_ne!(answer.status().as_u16(), 302, "a loop");
            prop_assert_eq!(answer.status() == 200, expected, "{:?}: {}", who, answer.status());
            if expected {
                let seen = world.origin.last();
                let known = match &who { Who::Person(email) => *email, _ => None };
                let header = seen.headers.get("cf-access-authenticated-user-email");
                prop_assert_eq!(header.map(|it| it.to_str().unwrap()), known);
                prop_assert_eq!(seen.headers["cf-access-jwt-assertion"].to_str().unwrap(), &*token);
                let identity = seen.extensions.get::<Identity>().unwrap();
                prop_assert_eq!(identity.is_service(), who == Who::Service);
                prop_assert_eq!(identity.email(), known);
            }
        }
    }
}
