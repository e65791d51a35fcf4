//! Tokens of one application that open another one, on behalf of the person in them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::{ManualClock, Timestamp};
use tower_access::config::Config;
use tower_access::identity::Subject;
use tower_access::issuer::SigningKey;
use tower_access::layer::AccessService;
use tower_access::policy::{Group, Outcome, Policy, Rule, Verdict};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::token::{Claims, TokenKind};
use tower_access::{Access, AccessBuilder, AccessLayer, Identity};

use crate::support::{Answer, Mailbox, NOW, Origin, clock, person, send, two_copies_of_a_key};

const TEAM: &str = "https://login.example.com";
/// The application that calls.
const WIKI: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
/// The one that is called.
const SEARCH: &str = "8b1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
/// Another one.
const MAIL: &str = "9c1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

fn application(name: &str, host: &str, audience: &str) -> Application {
    Application::new(name, host)
        .unwrap()
        .id(format!("{name}-id"))
        .audience(audience.parse().unwrap())
}

fn everyone(name: &str) -> Policy {
    Policy::allow(name).include(Rule::everyone())
}

fn builder(key: SigningKey, search: Vec<Policy>) -> AccessBuilder {
    builder_with(key, vec![everyone("people")], search)
}

fn builder_with(key: SigningKey, wiki: Vec<Policy>, search: Vec<Policy>) -> AccessBuilder {
    let search = search
        .into_iter()
        .fold(application("Search", "search.example", SEARCH), Application::policy);
    let wiki =
        wiki.into_iter().fold(application("Wiki", "wiki.example", WIKI), Application::policy);
    Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(key)
        .clock(clock())
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")))
        .application(wiki)
        .application(application("Mail", "mail.example", MAIL).policy(everyone("people")))
        .application(search)
}

fn linked() -> Policy {
    Policy::service_auth("the wiki").include(Rule::linked_app_token("Wiki-id"))
}

struct World {
    access: Access,
    key: SigningKey,
    service: AccessService<Origin>,
    origin: Origin,
}

fn world(search: Vec<Policy>) -> World {
    let (key, copy) = two_copies_of_a_key();
    World::new(builder(copy, search), key)
}

impl World {
    fn new(builder: AccessBuilder, key: SigningKey) -> Self {
        let access = builder.build().unwrap();
        let origin = Origin::default();
        let service = AccessLayer::new(access.clone()).layer(origin.clone());
        Self { access, key, service, origin }
    }

    fn token(&self, audience: &str) -> String {
        self.key.sign(&person(TEAM, audience, "ada@example.com")).unwrap()
    }

    async fn call(&self, header: &str, value: &str) -> Answer {
        let request = Request::get("/").header("host", "search.example").header(header, value);
        send(&self.service, request.body(Full::default()).unwrap()).await
    }

    async fn is_open_to(&self, token: &str) -> bool {
        self.call("cf-access-token", token).await.status() == StatusCode::OK
    }
}

fn claims(token: &str) -> serde_json::Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[tokio::test]
async fn the_origin_sees_the_person_and_an_assertion_of_its_own() {
    let world = world(vec![linked(), everyone("people")]);
    let token = world.token(WIKI);
    let answer = world.call("cf-access-token", &token).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let verdict = answer.parts.extensions.get::<Verdict>().unwrap();
    assert_eq!(verdict.outcome(), Outcome::ServiceAllowed);
    assert_eq!(answer.header("cache-control"), Some("private"));
    assert!(answer.set_cookie("CF_Authorization").is_none());
    let seen = world.origin.last();
    assert_eq!(seen.headers["cf-access-authenticated-user-email"], "ada@example.com");
    assert!(!seen.headers.contains_key("cf-access-token"));
    let identity = seen.extensions.get::<Identity>().unwrap();
    assert_eq!(identity.email(), Some("ada@example.com"));
    let Subject::User { id, .. } = identity.subject() else { panic!() };
    let assertion = seen.headers["cf-access-jwt-assertion"].to_str().unwrap();
    assert_ne!(assertion, token);
    let claims = claims(assertion);
    assert_eq!(claims["aud"], serde_json::json!([SEARCH]));
    assert_eq!(claims["iss"], TEAM);
    assert_eq!(claims["type"], "app");
    assert_eq!(claims["email"], "ada@example.com");
    assert_eq!(claims["sub"], **id);
    assert!(claims["exp"].as_u64().unwrap() <= NOW + 3600, "no longer than the token brought");

    // The origin verifies it as any other.
    let origin = Access::verifier_builder("login.example.com")
        .unwrap()
        .audience(SEARCH.parse().unwrap())
        .keys(tower_access::token::keys::KeySet::from_jwks(&published(&world).await).unwrap())
        .clock(clock())
        .build()
        .unwrap();
    let service = AccessLayer::new(origin).layer(Origin::default());
    let request = Request::get("/")
        .header("host", "search.example")
        .header("cf-access-jwt-assertion", assertion)
        .body(Full::default())
        .unwrap();
    assert_eq!(send(&service, request).await.status(), StatusCode::OK);
}

async fn published(world: &World) -> Vec<u8> {
    let request = Request::get("/cdn-cgi/access/certs").header("host", "login.example.com");
    send(&world.service, request.body(Full::default()).unwrap()).await.text.into_bytes()
}

#[tokio::test]
async fn the_application_is_named_by_id_or_by_name_also_in_a_group() {
    for name in ["Wiki-id", "Wiki"] {
        let rule = || Rule::linked_app_token(name);
        let policy = Policy::service_auth("p").include(rule());
        let world = world(vec![policy]);
        assert!(world.is_open_to(&world.token(WIKI)).await, "{name}");
        assert!(!world.is_open_to(&world.token(MAIL)).await, "{name}");

        let (key, copy) = two_copies_of_a_key();
        let policy = Policy::service_auth("p").include(Rule::group("callers"));
        let group = Group::new("callers").include(rule());
        let world = World::new(builder(copy, vec![policy]).group(group), key);
        assert!(world.is_open_to(&world.token(WIKI)).await, "{name}");
        assert!(!world.is_open_to(&world.token(MAIL)).await, "{name}");
    }
}

#[tokio::test]
async fn it_is_no_login_and_opens_no_policy_for_people() {
    // The wiki is linked, but from another network alone.
    let policy = linked().require(Rule::ip("192.0.2.0/24").unwrap());
    let world = world(vec![policy, everyone("people")]);
    assert!(!world.is_open_to(&world.token(WIKI)).await);
    assert_eq!(world.origin.count(), 0);
    // Somebody who has logged in to the called application itself is let in.
    assert!(world.is_open_to(&world.token(SEARCH)).await);
}

#[tokio::test]
async fn it_counts_in_the_header_alone() {
    let world = world(vec![linked(), everyone("people")]);
    let token = world.token(WIKI);
    for (header, value) in [
        ("cookie", format!("CF_Authorization={token}")),
        ("authorization", format!("Bearer {token}")),
        ("cf-access-jwt-assertion", token.clone()),
    ] {
        assert_ne!(world.call(header, &value).await.status(), StatusCode::OK, "{header}");
    }
    let request = Request::get("/")
        .header("host", "search.example")
        .header("cf-access-token", &token)
        .header("cf-access-token", &token);
    let answer = send(&world.service, request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert_eq!(world.origin.count(), 0);
}

#[tokio::test]
async fn it_has_to_be_good_for_the_application_it_was_made_for() {
    let world = world(vec![linked(), everyone("people")]);
    let good = || person(TEAM, WIKI, "ada@example.com");
    let with = |change: fn(&mut Claims)| {
        let mut claims = good();
        change(&mut claims);
        claims
    };
    let (stranger, _) = two_copies_of_a_key();
    assert!(!world.is_open_to(&stranger.sign(&good()).unwrap()).await);
    for (what, claims) in [
        ("expired", with(|claims| claims.exp = NOW)),
        ("not yet", with(|claims| claims.nbf = Some(NOW + 1))),
        ("session", with(|claims| claims.kind = TokenKind::Session)),
        ("binding", with(|claims| claims.kind = TokenKind::Binding)),
        ("issuer", with(|claims| claims.iss = "https://wiki.example".to_owned())),
        ("audience", person(TEAM, MAIL, "ada@example.com")),
        (
            "machine",
            with(|claims| {
                claims.common_name = Some("ci.access".to_owned());
                claims.email = None;
                claims.sub = Some(String::new());
                claims.identity_nonce = None;
            }),
        ),
        ("made for an origin", with(|claims| claims.identity_nonce = None)),
    ] {
        assert!(!world.is_open_to(&world.key.sign(&claims).unwrap()).await, "{what}");
    }
    assert!(world.is_open_to(&world.key.sign(&good()).unwrap()).await);
    assert_eq!(world.origin.count(), 1);
}

#[tokio::test]
async fn what_ends_the_token_where_it_was_made_ends_it_here() {
    for what in ["application", "session", "person", "everybody"] {
        let world = world(vec![linked()]);
        let token = world.token(WIKI);
        assert!(world.is_open_to(&token).await);
        let access = &world.access;
        match what {
            "application" => access.revoke_application(&WIKI.parse().unwrap()).await,
            "session" => access.revoke_session("q2ZkWf0yTn9sVb3L").await.map(drop),
            "person" => access.revoke_user(&"ada@example.com".parse().unwrap()).await.map(drop),
            _ => access.revoke_everybody().await,
        }
        .unwrap();
        assert!(!world.is_open_to(&token).await, "{what}");
    }
    // On time as well, also a token that was seen before.
    let (key, copy) = two_copies_of_a_key();
    let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(NOW)));
    let world = World::new(builder(copy, vec![linked()]).clock(Arc::clone(&clock)), key);
    let token = world.token(WIKI);
    clock.advance(Duration::from_secs(3599));
    assert!(world.is_open_to(&token).await);
    clock.advance(Duration::from_secs(1));
    assert!(!world.is_open_to(&token).await);
}

#[tokio::test]
async fn who_is_shut_out_where_the_token_was_made_is_shut_out_here() {
    let ada = || Rule::email("ada@example.com").unwrap();
    let office = Rule::ip("192.0.2.0/24").unwrap();
    for (wiki, is_open) in [
        (vec![Policy::allow("ada").include(ada())], true),
        (vec![Policy::allow("grace").include(Rule::email("grace@example.com").unwrap())], false),
        (vec![Policy::deny("ada").include(ada()), everyone("people")], false),
        (vec![everyone("people").exclude(ada())], false),
        (vec![], false),
        // Where the request to the wiki came from was judged there.
        (vec![everyone("people").require(office.clone())], true),
        (vec![Policy::deny("elsewhere").include(office), everyone("people")], true),
    ] {
        let (key, copy) = two_copies_of_a_key();
        let world = World::new(builder_with(copy, wiki.clone(), vec![linked()]), key);
        assert_eq!(world.is_open_to(&world.token(WIKI)).await, is_open, "{wiki:?}");
    }
}

#[tokio::test]
async fn a_policy_that_asks_for_no_token_shows_nobody_in_one() {
    let world = world(vec![Policy::service_auth("anybody").include(Rule::everyone()), linked()]);
    assert!(world.is_open_to(&world.token(WIKI)).await);
    let seen = world.origin.last();
    assert!(seen.extensions.get::<Identity>().is_none());
    assert!(!seen.headers.contains_key("cf-access-jwt-assertion"));
}

#[tokio::test]
async fn tok_03_what_the_origin_got_is_no_credential_here() {
    let world = world(vec![linked(), everyone("people")]);
    assert!(world.is_open_to(&world.token(WIKI)).await);
    let assertion = world.origin.last().headers["cf-access-jwt-assertion"].clone();
    let assertion = assertion.to_str().unwrap();
    assert_ne!(world.call("cf-access-token", assertion).await.status(), StatusCode::OK);
    let cookie = format!("CF_Authorization={assertion}");
    assert_ne!(world.call("cookie", &cookie).await.status(), StatusCode::OK);
    assert_eq!(world.origin.count(), 1);
}

#[tokio::test]
async fn where_each_host_runs_its_login_the_issuer_is_the_callers_host() {
    let (key, copy) = two_copies_of_a_key();
    let access = Access::builder()
        .mailer(Mailbox::default())
        .signing_key(copy)
        .clock(clock())
        .application(application("Wiki", "wiki.example", WIKI).policy(everyone("people")))
        .application(application("Search", "search.example", SEARCH).policy(linked()));
    let world = World::new(access, key);
    for (issuer, expected) in [
        ("https://wiki.example", true),
        ("https://search.example", false),
        ("https://mail.example", false),
        ("http://wiki.example", false),
        ("https://wiki.example/", false),
        ("wiki.example", false),
    ] {
        let token = world.key.sign(&person(issuer, WIKI, "ada@example.com")).unwrap();
        assert_eq!(world.is_open_to(&token).await, expected, "{issuer}");
        // The same from the cache.
        assert_eq!(world.is_open_to(&token).await, expected, "{issuer}");
    }
    let assertion = world.origin.last().headers["cf-access-jwt-assertion"].clone();
    assert_eq!(claims(assertion.to_str().unwrap())["iss"], "https://search.example");
}

#[test]
fn pol_08_a_link_to_nothing_or_to_several_is_refused() {
    let build = |builder: AccessBuilder| builder.build().unwrap_err().to_string();
    let rule = |name: &str| Policy::service_auth("p").include(Rule::linked_app_token(name));
    let (one, two) = two_copies_of_a_key();
    let error = build(builder(one, vec![rule("Wikki")]));
    assert!(error.contains("`Wikki`") && error.contains("no application"), "{error}");
    let other = application("Wiki", "other.example", MAIL.replace('9', "6").as_str());
    let error = build(builder(two, vec![rule("Wiki")]).application(other.id("other")));
    assert!(error.contains("`Wiki`") && error.contains("several applications"), "{error}");
}

#[test]
fn behind_an_issuer_the_issuer_decides_it() {
    let group = Group::new("callers").include(Rule::linked_app_token("Wiki"));
    for rule in [Rule::linked_app_token("Search"), Rule::group("callers")] {
        let policy = Policy::service_auth("p").include(rule);
        let error = Access::verifier_builder("acme.cloudflareaccess.com")
            .unwrap()
            .group(group.clone())
            .application(application("Search", "search.example", SEARCH).policy(policy))
            .build()
            .unwrap_err()
            .to_string();
        assert!(error.contains("`Search`") && error.contains("to the issuer"), "{error}");
    }
}

fn file(role: &str, app: &str) -> String {
    format!(
        "\
ingress:
  - service: http://127.0.0.1:9000
access:
  {role}
  applications:
    - name: Wiki
      id: wiki-id
      domain: wiki.example
      aud: {WIKI}
      policies: [ {{ name: P, decision: allow, include: [ {{ everyone: {{}} }} ] }} ]
    - name: Search
      domain: search.example
      aud: {SEARCH}
      policies:
        - name: Wiki
          decision: non_identity
          include:
            - linked_app_token: {{ app_uid: {app} }}
"
    )
}

#[test]
fn a_file_names_the_application_by_id_or_name() {
    for app in ["wiki-id", "Wiki"] {
        let config = Config::parse(&file("mail: console", app), "access.yml").unwrap();
        config.access().unwrap();
    }
    let errors = Config::parse(&file("mail: console", "Wikki"), "access.yml").unwrap_err();
    assert!(
        errors.to_string().contains("there is no application `Wikki`; did you mean `Wiki`?"),
        "{errors}"
    );
    assert!(errors.to_string().starts_with("access.yml:18:"), "{errors}");
    let issuer = "issuer: { team_domain: acme.cloudflareaccess.com }";
    let errors = Config::parse(&file(issuer, "Wiki"), "access.yml").unwrap_err().to_string();
    assert!(
        errors.starts_with("access.yml:18:") && errors.contains("the issuer decides"),
        "{errors}"
    );
}
