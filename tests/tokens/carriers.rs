//! Where credentials count, in which order, and what becomes of them on the way inside.

use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::Layer;
use tower_access::application::{Application, Audience};
use tower_access::clock::{ManualClock, Timestamp};
use tower_access::issuer::{KeyRotation, PublishedKeys, SigningKey};
use tower_access::layer::AccessService;
use tower_access::policy::{Policy, Rule};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::test_util::TestIssuer;
use tower_access::token::keys::{FetchedKeys, KeyFetch, KeyFuture, KeySet, KeySource, RemoteKeys};
use tower_access::token::{ClaimsError, TokenErrorKind, TokenKind};
use tower_access::{
    Access, AccessLayer, AuthenticateLayer, ConfigError, Identity, Rejection, TokenLocation,
};

use crate::support::{
    Answer, Mailbox, NOW, Origin, clock, person, query, send, two_copies_of_a_key,
};

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const SECOND: &str = "8b1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const THIRD: &str = "9c1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
const ASSERTION: &str = "cf-access-jwt-assertion";
const A_MONTH: u64 = 30 * 86_400;

type Service = AccessService<Origin>;
type Lines<'a> = &'a [(&'a str, &'a str)];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Verifying,
    Issuing,
}

use Role::{Issuing, Verifying};

impl Role {
    /// The header that carries tokens.
    fn header(self) -> &'static str {
        match self {
            Verifying => ASSERTION,
            Issuing => "cf-access-token",
        }
    }

    fn location(self) -> TokenLocation {
        match self {
            Verifying => TokenLocation::AssertionHeader,
            Issuing => TokenLocation::TokenHeader,
        }
    }

    /// What becomes of a bad token in the header: an issuer would bring the same one again, a login
    /// of ours mends it.
    fn bad_header(self) -> StatusCode {
        match self {
            Verifying => StatusCode::UNAUTHORIZED,
            Issuing => StatusCode::FOUND,
        }
    }
}

struct World {
    access: Access,
    key: SigningKey,
    keys: ChangingKeys,
    clock: Arc<ManualClock>,
    origin: Origin,
    service: Service,
}

/// Keys that a test takes away.
#[derive(Clone, Debug)]
struct ChangingKeys(Arc<Mutex<KeySet>>);

impl KeySource for ChangingKeys {
    fn current(&self, _: Timestamp) -> Option<KeySet> {
        Some(self.0.lock().unwrap().clone())
    }
}

fn key_set(key: &SigningKey) -> KeySet {
    let now = Timestamp::from_unix_seconds(NOW);
    PublishedKeys::new(key, &[], ISSUER, now).unwrap().key_set().clone()
}

fn applications() -> [Application; 3] {
    let new = |name: &str, host: &str| Application::new(name, host).unwrap();
    let staff = || Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    [
        new("App", "app.example")
            .audience(audience(AUDIENCE))
            .policy(Policy::service_auth("ci").include(Rule::any_valid_service_token()))
            .policy(staff()),
        new("Other", "other.example").audience(audience(SECOND)).policy(staff()),
        new("Public", "public.example")
            .audience(audience(THIRD))
            .policy(Policy::bypass("all").include(Rule::everyone())),
    ]
}

fn audience(tag: &str) -> Audience {
    tag.parse().unwrap()
}

fn world(role: Role) -> World {
    world_without(role, &[]).unwrap()
}

fn world_without(role: Role, locations: &[TokenLocation]) -> Result<World, ConfigError> {
    let (key, copy) = two_copies_of_a_key();
    let (clock, origin) = (clock(), Origin::default());
    let keys = ChangingKeys(Arc::new(Mutex::new(key_set(&key))));
    let ci = ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret"));
    let access = match role {
        Verifying => {
            let builder = Access::verifier_builder("login.example.com")?
                .keys(keys.clone())
                .service_token(ci)
                .leeway(Duration::ZERO)
                .clock(Arc::clone(&clock));
            let builder = applications().into_iter().fold(builder, |it, one| it.application(one));
            locations
                .iter()
                .fold(builder, |it, location| it.without_token_location(*location))
                .build()?
        }
        Issuing => {
            let builder = Access::builder()
                .team_domain("login.example.com".parse().unwrap())
                .mailer(Mailbox::default())
                .signing_key(copy)
                .service_token(ci)
                .key_rotation(KeyRotation::default().overlap(Duration::from_secs(86_400)))
                .clock(Arc::clone(&clock));
            let builder = applications().into_iter().fold(builder, |it, one| it.application(one));
            locations
                .iter()
                .fold(builder, |it, location| it.without_token_location(*location))
                .build()?
        }
    };
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    Ok(World { access, key, keys, clock, origin, service })
}

impl World {
    fn token(&self, email: &str) -> String {
        self.token_for(json!([AUDIENCE]), email)
    }

    /// A token that ends in a month.
    fn token_for(&self, audiences: Value, email: &str) -> String {
        sign(&self.key, audiences, email)
    }

    async fn ask(&self, lines: Lines<'_>) -> Answer {
        ask(&self.service, "app.example", lines).await
    }

    async fn status(&self, host: &str, lines: Lines<'_>) -> u16 {
        ask(&self.service, host, lines).await.status().as_u16()
    }
}

fn sign(key: &SigningKey, audiences: Value, email: &str) -> String {
    let mut claims = serde_json::to_value(person(ISSUER, AUDIENCE, email)).unwrap();
    claims["aud"] = audiences;
    claims["exp"] = json!(NOW + A_MONTH);
    key.sign(&claims).unwrap()
}

/// A token of nobody we know, with a key id that nobody has published.
fn stranger() -> &'static str {
    static TOKEN: OnceLock<String> = OnceLock::new();
    TOKEN.get_or_init(|| sign(&SigningKey::generate().unwrap(), json!([AUDIENCE]), "eve@x.example"))
}

fn request(host: &str, lines: Lines<'_>) -> Request<Full<Bytes>> {
    let builder = Request::builder().uri("/").header("host", host);
    let builder = lines.iter().fold(builder, |it, (name, value)| it.header(*name, *value));
    builder.body(Full::default()).unwrap()
}

async fn ask(service: &Service, host: &str, lines: Lines<'_>) -> Answer {
    send(service, request(host, lines)).await
}

fn cookie(token: &str) -> String {
    format!("CF_Authorization={token}")
}

/// Every line that a backend could take for the assertion, however it is spelled.
fn assertions(headers: &HeaderMap) -> Vec<&str> {
    let folded = |name: &str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "");
    headers
        .iter()
        .filter(|(name, _)| folded(name.as_str()) == folded(ASSERTION))
        .map(|(_, value)| value.to_str().unwrap())
        .collect()
}

const SPELLINGS: [&str; 5] = [
    "cf_access_jwt_assertion",
    "cf-access.jwt-assertion",
    "cf--access-jwt--assertion",
    "-cf-access-jwt-assertion",
    "cf-access-jwt-assertion-",
];

fn with_forged_spellings<'a>(lines: Lines<'a>) -> Vec<(&'a str, &'a str)> {
    lines.iter().copied().chain(SPELLINGS.map(|name| (name, "a.b.c"))).collect()
}

#[tokio::test]
async fn hdr_10_the_header_counts_and_nothing_of_the_cookie_is_mixed_in() {
    for role in [Verifying, Issuing] {
        let world = world(role);
        let (ada, bobs) = (world.token(ADA), cookie(&world.token(BOB)));
        let answer = world.ask(&[(role.header(), &ada), ("cookie", &bobs)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{role:?}");
        let seen = world.origin.last();
        assert_eq!(seen.extensions.get::<Identity>().unwrap().email(), Some(ADA));
        assert_eq!(seen.headers["cf-access-authenticated-user-email"], ADA);
        assert_eq!(assertions(&seen.headers), [ada.as_str()]);
        assert!(!seen.headers.contains_key("cookie"), "Bob's was not judged");
        // A bad one is not made good by a cookie.
        for bad in ["a.b.c", "", stranger()] {
            let answer = world.ask(&[(role.header(), bad), ("cookie", &bobs)]).await;
            assert_eq!(answer.status(), role.bad_header(), "{role:?} {bad}");
        }
        assert_eq!(world.origin.count(), 1);
    }
}

#[tokio::test]
async fn hdr_09_two_tokens_in_headers_are_refused_in_every_order() {
    for role in [Verifying, Issuing] {
        let world = world(role);
        let (ada, bob) = (world.token(ADA), world.token(BOB));
        let adas = cookie(&ada);
        for (first, second) in
            [(&*ada, "a.b.c"), ("a.b.c", &*ada), (&*ada, &*bob), (&*ada, &*ada), ("", "")]
        {
            let lines = [(role.header(), first), (role.header(), second), ("cookie", &adas)];
            let answer = world.ask(&lines).await;
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{role:?} {first:.9} {second:.9}");
        }
        let joined = format!("{ada}, {ada}");
        assert_eq!(world.ask(&[(role.header(), &joined)]).await.status(), role.bad_header());
        assert_eq!(world.origin.count(), 0);
    }
}

#[tokio::test]
async fn hdr_10_a_header_that_is_switched_off_is_no_credential() {
    for role in [Verifying, Issuing] {
        let world = world_without(role, &[role.location()]).unwrap();
        let (ada, bob) = (world.token(ADA), world.token(BOB));
        let adas = cookie(&ada);
        let header = role.header();
        assert_eq!(world.ask(&[(header, &ada)]).await.status(), StatusCode::FOUND, "{role:?}");
        assert_eq!(world.origin.count(), 0);
        for lines in [
            &[("cookie", adas.as_str())][..],
            &[(header, "a.b.c"), ("cookie", &adas)],
            &[(header, &bob), ("cookie", &adas)],
            &[(header, &bob), (header, "a.b.c"), ("cookie", &adas)],
        ] {
            let answer = world.ask(lines).await;
            assert_eq!(answer.status(), StatusCode::OK, "{role:?} {lines:?}");
            let seen = world.origin.last();
            assert_eq!(seen.extensions.get::<Identity>().unwrap().email(), Some(ADA));
            assert_eq!(assertions(&seen.headers), [ada.as_str()], "{role:?} {lines:?}");
            assert!(!seen.headers.contains_key("cf-access-token"));
        }
    }
}

#[tokio::test]
async fn hdr_10_a_cookie_that_is_switched_off_is_no_credential() {
    for role in [Verifying, Issuing] {
        let world = world_without(role, &[TokenLocation::Cookie]).unwrap();
        let (ada, bobs) = (world.token(ADA), cookie(&world.token(BOB)));
        assert_eq!(world.ask(&[("cookie", &bobs)]).await.status(), StatusCode::FOUND, "{role:?}");
        assert_eq!(world.origin.count(), 0);
        let answer = world.ask(&[(role.header(), &ada), ("cookie", &bobs)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{role:?}");
        let seen = world.origin.last();
        assert_eq!(seen.extensions.get::<Identity>().unwrap().email(), Some(ADA));
        assert_eq!(assertions(&seen.headers), [ada.as_str()]);
        assert!(!seen.headers.contains_key("cookie"));
    }
}

#[test]
fn without_any_carrier_nothing_is_built() {
    for role in [Verifying, Issuing] {
        let error = world_without(role, &[role.location(), TokenLocation::Cookie]).err().unwrap();
        assert!(error.to_string().contains("both switched off"), "{role:?}: {error}");
        let of_the_other = match role {
            Verifying => TokenLocation::TokenHeader,
            Issuing => TokenLocation::AssertionHeader,
        };
        let error = world_without(role, &[of_the_other]).err().unwrap();
        assert!(error.to_string().contains("this role never reads"), "{error}");
    }
}

#[tokio::test]
async fn hdr_01_an_assertion_from_outside_is_no_credential_where_we_issue() {
    let world = world(Issuing);
    let (ada, bob) = (world.token(ADA), world.token(BOB));
    let adas = cookie(&ada);
    assert_eq!(world.ask(&[(ASSERTION, &bob)]).await.status(), StatusCode::FOUND);
    assert_eq!(world.origin.count(), 0);
    // Beside a good credential, good or bad, once or twice, in any spelling: only ours arrives.
    for lines in [
        &[(ASSERTION, bob.as_str()), ("cookie", adas.as_str())][..],
        &[(ASSERTION, "a.b.c"), ("cookie", &adas)],
        &[(ASSERTION, &bob), (ASSERTION, &ada), ("cookie", &adas)],
        &[(ASSERTION, &bob), ("cf-access-token", &ada)],
        &with_forged_spellings(&[("cookie", &adas)]),
    ] {
        assert_eq!(world.ask(lines).await.status(), StatusCode::OK, "{lines:?}");
        assert_eq!(assertions(&world.origin.last().headers), [ada.as_str()], "{lines:?}");
    }
    // A service gets the one that was made for it.
    let ci = [
        ("cf-access-client-id", "ci.access"),
        ("cf-access-client-secret", "s3cret"),
        (ASSERTION, &bob),
    ];
    assert_eq!(world.ask(&ci).await.status(), StatusCode::OK);
    let seen = world.origin.last();
    assert_eq!(assertions(&seen.headers).len(), 1);
    assert_ne!(assertions(&seen.headers), [bob.as_str()]);
    assert_eq!(seen.extensions.get::<Identity>().unwrap().client_id(), Some("ci.access"));
}

#[tokio::test]
async fn hdr_01_hdr_02_the_inner_service_sees_the_verified_assertion_and_no_other() {
    let world = world(Verifying);
    let ada = world.token(ADA);
    let adas = cookie(&ada);
    let email = ("cf-access-authenticated-user-email", "chair@example.com");
    for lines in [
        &[(ASSERTION, ada.as_str())][..],
        &[("cookie", &adas)],
        &[("cookie", &adas), email],
        &with_forged_spellings(&[("cookie", &adas)]),
        // An issuer sends the address along with the assertion.
        &[(ASSERTION, &ada), email],
        &[(ASSERTION, &ada), ("connection", "close, Cf-Access-Jwt-Assertion")],
        &with_forged_spellings(&[(ASSERTION, &ada)]),
    ] {
        assert_eq!(world.ask(lines).await.status(), StatusCode::OK, "{lines:?}");
        let seen = world.origin.last();
        assert_eq!(assertions(&seen.headers), [ada.as_str()], "{lines:?}");
        assert_eq!(seen.headers["cf-access-authenticated-user-email"], ADA);
        assert_eq!(seen.headers["cf-access-authenticated-user-email"], ADA);
        assert_eq!(seen.extensions.get::<Identity>().unwrap().email(), Some(ADA));
        assert!(seen.headers.get("connection").is_none_or(|options| options == "close"));
    }
}

#[tokio::test]
async fn hdr_01_behind_a_bypass_the_inner_service_sees_no_assertion() {
    for role in [Verifying, Issuing] {
        let world = world(role);
        let good = world.token_for(json!([THIRD]), ADA);
        let goods = cookie(&good);
        for lines in [
            &[(ASSERTION, good.as_str())][..],
            &[(ASSERTION, "a.b.c")],
            &[(ASSERTION, &good), (ASSERTION, &good)],
            &[(role.header(), &good)],
            &[("cookie", &goods)],
            &with_forged_spellings(&[(ASSERTION, &good)]),
            &with_forged_spellings(&[]),
        ] {
            let status = world.status("public.example", lines).await;
            assert_eq!(status, 200, "{role:?} {lines:?}");
            let seen = world.origin.last();
            assert!(assertions(&seen.headers).is_empty(), "{role:?} {lines:?}");
            assert!(seen.extensions.get::<Identity>().is_none(), "{role:?} {lines:?}");
            assert!(!seen.headers.contains_key("cf-access-authenticated-user-email"));
        }
    }
}

#[tokio::test]
async fn hdr_01_what_was_refused_does_not_reach_the_inner_service_either() {
    for role in [Verifying, Issuing] {
        let world = world(role);
        // This layer alone keeps nobody out: what it refused must not look as if it had counted.
        let service = AuthenticateLayer::new(world.access.clone()).layer(world.origin.clone());
        let other = world.token_for(json!([SECOND]), ADA);
        let bad = cookie("a.b.c");
        for lines in [
            &[][..],
            &[(ASSERTION, "a.b.c")],
            &[(ASSERTION, other.as_str())],
            &[(ASSERTION, stranger())],
            &[(ASSERTION, &other), (ASSERTION, &other)],
            &[("cookie", &bad)],
            &with_forged_spellings(&[(ASSERTION, &other)]),
        ] {
            let before = world.origin.count();
            send(&service, request("app.example", lines)).await;
            assert_eq!(world.origin.count(), before + 1, "{role:?} {lines:?}");
            let seen = world.origin.last();
            assert!(assertions(&seen.headers).is_empty(), "{role:?} {lines:?}");
            assert!(seen.extensions.get::<Identity>().is_none(), "{role:?} {lines:?}");
        }
    }
}

#[tokio::test]
async fn ses_02_ses_03_the_good_cookie_counts_in_every_place_among_eight() {
    for role in [Verifying, Issuing] {
        let world = world(role);
        let good = world.token(ADA);
        let other = world.token_for(json!([SECOND]), ADA);
        let bad = ["garbage", "a.b.c", "", stranger(), &other, "\"x\"", &good[1..]];
        for count in 1..=8 {
            for place in 0..count {
                let mut tokens: Vec<&str> = (0..count).map(|n| bad[n % bad.len()]).collect();
                tokens[place] = &good;
                let cookies: Vec<_> = tokens.iter().map(|token| cookie(token)).collect();
                let line = cookies.join("; ");
                let one = [("cookie", line.as_str())];
                let many: Vec<_> = cookies.iter().map(|it| ("cookie", it.as_str())).collect();
                for lines in [&one[..], &many] {
                    assert_eq!(
                        world.status("app.example", lines).await,
                        200,
                        "{role:?}: {place} of {count}"
                    );
                    let seen = world.origin.last().headers;
                    assert_eq!(assertions(&seen), [good.as_str()]);
                    let cookies: Vec<_> = seen.get_all("cookie").iter().collect();
                    assert_eq!(cookies, [&cookie(&good)], "only the one that was judged");
                }
            }
        }
        // The first good one counts, not the last.
        let both = format!("{}; {}", cookie(&good), cookie(&world.token(BOB)));
        assert_eq!(world.ask(&[("cookie", &both)]).await.status(), StatusCode::OK);
        assert_eq!(world.origin.last().extensions.get::<Identity>().unwrap().email(), Some(ADA));
    }
}

#[tokio::test]
async fn ses_03_of_cookies_behind_eight_those_are_tried_that_could_be_good() {
    for role in [Verifying, Issuing] {
        let world = world(role);
        let good = cookie(&world.token(ADA));
        // Of one name 32 are looked at.
        for (before, status) in [(7, 200), (8, 200), (31, 200), (32, 302), (100, 302)] {
            let line = format!("{}{good}", format!("{}; ", cookie("a.b.c")).repeat(before));
            let answer = world.ask(&[("cookie", &line)]).await;
            assert_eq!(answer.status(), status, "{role:?}: behind {before}");
        }
        // Cookies of other names do not count among them.
        let line = format!("{}{good}", "theme=dark; CF_Authorisation=x; ".repeat(20));
        assert_eq!(world.ask(&[("cookie", &line)]).await.status(), StatusCode::OK);
    }
}

/// A key server that answers once and then never again.
#[derive(Debug)]
struct Once {
    document: Mutex<Option<Bytes>>,
}

impl KeyFetch for Once {
    fn fetch(&self) -> KeyFuture<'_> {
        let document = self.document.lock().unwrap().take();
        Box::pin(async move {
            match document {
                Some(document) => Ok(FetchedKeys::new(document)),
                None => std::future::pending().await,
            }
        })
    }
}

#[tokio::test]
async fn key_09_a_good_cookie_does_not_wait_for_the_key_of_another() {
    let (key, clock, origin) = (SigningKey::generate().unwrap(), clock(), Origin::default());
    let now = Timestamp::from_unix_seconds(NOW);
    let document = PublishedKeys::new(&key, &[], ISSUER, now).unwrap().json();
    let access = Access::verifier_builder("login.example.com")
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .keys(RemoteKeys::new(Once { document: Mutex::new(Some(document)) }))
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(origin);
    let (ada, bob) =
        (cookie(&sign(&key, json!([AUDIENCE]), ADA)), cookie(&sign(&key, json!([AUDIENCE]), BOB)));
    let status = ask(&service, "app.example", &[("cookie", &ada)]).await.status();
    assert_eq!(status, StatusCode::OK, "the keys are here");
    clock.advance(Duration::from_secs(31));
    let strange = cookie(stranger());
    let alone = [("cookie", strange.as_str())];
    let waiting = async || ask(&service, "app.example", &alone).await;
    let mut waiting = Box::pin(waiting());
    assert!((&mut waiting).now_or_never().is_none(), "alone it waits");
    // Neither one that is cached nor one that is not waits; before, behind and between.
    let other = cookie(&sign(&SigningKey::generate().unwrap(), json!([AUDIENCE]), ADA));
    for line in [
        format!("{strange}; {ada}"),
        format!("{other}; {ada}"),
        format!("{other}; {bob}"),
        format!("{bob}; {strange}"),
        format!("{strange}; {other}; {ada}; {strange}"),
    ] {
        let lines = [("cookie", line.as_str())];
        let answer = ask(&service, "app.example", &lines).now_or_never();
        assert_eq!(answer.expect("no wait").status(), StatusCode::OK);
    }
    assert!((&mut waiting).now_or_never().is_none());
}

#[tokio::test]
async fn jwt_16_jwt_17_tokens_for_each_of_several_audiences_open_and_others_do_not() {
    let key = SigningKey::generate().unwrap();
    let builder = || {
        let builder = Access::verifier_builder("login.example.com").unwrap();
        builder.keys(key_set(&key)).clock(clock())
    };
    let one = builder()
        .audience(AUDIENCE.parse().unwrap())
        .audience(SECOND.parse().unwrap())
        .build()
        .unwrap();
    let application = Application::new("App", "app.example")
        .unwrap()
        .audience(audience(AUDIENCE))
        .also_for_audience(audience(SECOND))
        .policy(Policy::allow("all").include(Rule::everyone()));
    let many = builder().application(application).build().unwrap();
    for access in [one, many] {
        let service = AccessLayer::new(access).layer(Origin::default());
        for (audiences, status) in [
            (json!([AUDIENCE]), 200),
            (json!([SECOND]), 200),
            (json!(SECOND), 200),
            (json!([THIRD, SECOND]), 200),
            (json!([SECOND, AUDIENCE]), 200),
            (json!([THIRD]), 401),
            (json!([]), 401),
            (json!([format!("{AUDIENCE}{SECOND}")]), 401),
            (json!([SECOND[..63]]), 401),
        ] {
            let token = sign(&key, audiences.clone(), ADA);
            for _ in 0..3 {
                let answer = ask(&service, "app.example", &[(ASSERTION, &token)]).await;
                assert_eq!(answer.status(), status, "{audiences}");
            }
        }
        let login = ask(&service, "app.example", &[]).await;
        assert_eq!(query(login.location(), "kid").as_deref(), Some(AUDIENCE), "the first");
        assert_eq!(login.header("cf-access-aud"), Some(AUDIENCE));
    }
}

#[tokio::test]
async fn jwt_17_jwt_26_a_token_for_two_applications_opens_both_and_one_for_one_opens_one() {
    for role in [Verifying, Issuing] {
        let world = world(role);
        let both = world.token_for(json!([AUDIENCE, SECOND]), ADA);
        let first = world.token_for(json!([AUDIENCE]), ADA);
        for _ in 0..5 {
            for host in ["app.example", "other.example"] {
                assert_eq!(world.status(host, &[(role.header(), &both)]).await, 200, "{role:?}");
                let seen = world.origin.last();
                assert_eq!(assertions(&seen.headers), [both.as_str()]);
            }
            assert_eq!(world.status("app.example", &[(role.header(), &first)]).await, 200);
            let refused = world.status("other.example", &[(role.header(), &first)]).await;
            assert_eq!(refused, role.bad_header().as_u16(), "cached, and for the other one");
        }
        // Where only one of the two is ended, the other stays.
        world.access.revoke_application(&audience(SECOND)).await.unwrap();
        assert_eq!(world.status("app.example", &[(role.header(), &both)]).await, 200);
        let refused = world.status("other.example", &[(role.header(), &both)]).await;
        assert_eq!(refused, role.bad_header().as_u16());
    }
}

#[tokio::test]
async fn ses_10_an_ended_application_stays_ended_whatever_was_seen_elsewhere() {
    let key = SigningKey::generate().unwrap();
    let all = || Policy::allow("all").include(Rule::everyone());
    let new = |host: &str, tag: &str| {
        Application::new(host, host).unwrap().audience(audience(tag)).policy(all())
    };
    let access = Access::verifier_builder("login.example.com")
        .unwrap()
        .keys(key_set(&key))
        .clock(clock())
        .application(new("app.example", AUDIENCE))
        .application(new("other.example", SECOND).also_for_audience(audience(AUDIENCE)))
        .build()
        .unwrap();
    let service = AccessLayer::new(access.clone()).layer(Origin::default());
    let both = sign(&key, json!([AUDIENCE, SECOND]), ADA);
    access.revoke_application(&audience(SECOND)).await.unwrap();
    for _ in 0..4 {
        for (host, status) in [("other.example", 401), ("app.example", 200)] {
            assert_eq!(ask(&service, host, &[(ASSERTION, &both)]).await.status(), status, "{host}");
        }
    }
}

/// A thread that asks whenever it is told to: it has copies of its own of tokens it sees often.
struct Asker {
    asks: Sender<()>,
    statuses: Receiver<u16>,
    thread: JoinHandle<()>,
}

impl Asker {
    fn new(service: Service, lines: Vec<(String, String)>) -> Self {
        let ((asks, asked), (answers, statuses)) = (channel(), channel());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let lines: Vec<_> = lines.iter().map(|(name, it)| (&**name, &**it)).collect();
            for () in asked {
                let answer = runtime.block_on(ask(&service, "app.example", &lines));
                answers.send(answer.status().as_u16()).unwrap();
            }
        });
        Self { asks, statuses, thread }
    }

    fn ask(&self) -> u16 {
        self.asks.send(()).unwrap();
        self.statuses.recv().unwrap()
    }

    fn end(self) {
        drop(self.asks);
        self.thread.join().unwrap();
    }
}

type End = for<'a> fn(&'a World) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// All ways in which a token ends before or at its time.
fn ends() -> [(&'static str, TokenErrorKind, End); 4] {
    [
        ("expired", TokenErrorKind::Expired, |world| {
            Box::pin(async move {
                world.clock.set(Timestamp::from_unix_seconds(NOW + A_MONTH));
            })
        }),
        ("session", TokenErrorKind::Revoked, |world| {
            Box::pin(async move {
                world.access.revoke_session("q2ZkWf0yTn9sVb3L").await.unwrap();
            })
        }),
        ("user", TokenErrorKind::Revoked, |world| {
            Box::pin(async move {
                world.access.revoke_user(&ADA.parse().unwrap()).await.unwrap();
            })
        }),
        ("application", TokenErrorKind::Revoked, |world| {
            Box::pin(async move {
                world.access.revoke_application(&audience(AUDIENCE)).await.unwrap();
            })
        }),
    ]
}

/// Has a token seen often here and on another thread, ends it, and looks everywhere again.
async fn ends_everywhere(
    role: Role,
    location: &str,
    expected: TokenErrorKind,
    end: impl AsyncFn(&World),
) {
    let world = world(role);
    let token = world.token(ADA);
    let (name, value) = match location {
        "cookie" => ("cookie", cookie(&token)),
        _ => (role.header(), token),
    };
    let lines = [(name, value.as_str())];
    let owned = || vec![(name.to_owned(), value.clone())];
    let worker = Asker::new(world.service.clone(), owned());
    for _ in 0..5 {
        assert_eq!(world.ask(&lines).await.status(), StatusCode::OK);
        assert_eq!(worker.ask(), 200);
    }
    end(&world).await;
    let before = world.origin.count();
    let refused = if location == "cookie" { StatusCode::FOUND } else { role.bad_header() };
    for _ in 0..3 {
        let answer = world.ask(&lines).await;
        assert_eq!(answer.status(), refused, "here, {role:?} {expected}");
        let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
        assert_eq!(rejection.token_error(), Some(expected), "{role:?}");
        assert_eq!(
            worker.ask(),
            refused.as_u16(),
            "on the thread that knew it, {role:?} {expected}"
        );
    }
    let fresh = Asker::new(world.service.clone(), owned());
    assert_eq!(fresh.ask(), refused.as_u16(), "on a new thread, {role:?} {expected}");
    assert_eq!(world.origin.count(), before);
    worker.end();
    fresh.end();
}

#[tokio::test]
async fn jwt_26_ses_10_a_cached_token_ends_at_once_on_every_thread() {
    for role in [Verifying, Issuing] {
        for location in ["header", "cookie"] {
            for (_, expected, end) in ends() {
                ends_everywhere(role, location, expected, async |world| end(world).await).await;
            }
        }
    }
}

#[tokio::test]
async fn jwt_26_key_08_a_cached_token_ends_with_its_key_on_every_thread() {
    for location in ["header", "cookie"] {
        let expected = TokenErrorKind::UnknownKey;
        ends_everywhere(Verifying, location, expected, async |world| {
            *world.keys.0.lock().unwrap() = key_set(&SigningKey::generate().unwrap());
        })
        .await;
        // Where we issue: the key is replaced, and its overlap ends.
        ends_everywhere(Issuing, location, expected, async |world| {
            world.access.rotate_keys().await.unwrap();
            let token = cookie(&world.token(ADA));
            assert_eq!(world.status("app.example", &[("cookie", &token)]).await, 200, "overlap");
            world.clock.advance(Duration::from_secs(86_401));
        })
        .await;
    }
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Ours {
    email: String,
    custom: Custom,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Custom {
    groups: Vec<String>,
    level: u8,
}

/// The identity that the inner service sees.
async fn identity(service: &Service, origin: &Origin, lines: Lines<'_>) -> Identity {
    assert_eq!(ask(service, "app.example", lines).await.status(), StatusCode::OK);
    origin.last().extensions.get::<Identity>().unwrap().clone()
}

#[tokio::test]
async fn claims_are_read_as_types_of_the_programs_own() {
    let (issuer, origin) = (TestIssuer::new(), Origin::default());
    let service = AccessLayer::new(issuer.access()).layer(origin.clone());
    let custom = json!({"groups": ["board", "caf\u{e9}"], "level": 3, "more": null});
    let with_custom = |custom: Value| {
        let mut claims = serde_json::to_value(issuer.claims_for(ADA)).unwrap();
        claims["custom"] = custom;
        issuer.sign(&claims)
    };
    let token = with_custom(custom);
    let expected = || Custom { groups: vec!["board".to_owned(), "caf\u{e9}".to_owned()], level: 3 };
    // The copies a thread has of what it sees often say the same.
    for _ in 0..5 {
        let who = identity(&service, &origin, &[(ASSERTION, &token)]).await;
        assert_eq!(who.claims(), Ok(Ours { email: ADA.to_owned(), custom: expected() }));
        assert_eq!(who.custom_claims(), Ok(expected()));
        assert_eq!(who.claims::<Value>().unwrap()["type"], "app");
        let type_error = |error: ClaimsError| matches!(error, ClaimsError::Type(_));
        assert!(who.claims::<Vec<String>>().is_err_and(type_error));
        assert!(who.custom_claims::<Vec<String>>().is_err_and(type_error));
    }
    for (custom, level) in [
        (json!({"groups": [], "level": 255}), Some(255)),
        (json!({"groups": [], "level": 256}), None),
        (json!({"groups": [], "level": "3"}), None),
        (json!({"groups": []}), None),
        (json!("text"), None),
        (json!(null), None),
    ] {
        let token = with_custom(custom.clone());
        let who = identity(&service, &origin, &[(ASSERTION, &token)]).await;
        let read = who.custom_claims::<Custom>();
        assert_eq!(read.as_ref().ok().map(|it| it.level), level, "{custom}: {read:?}");
        assert!(level.is_some() || matches!(read, Err(ClaimsError::Type(_))), "{custom}");
    }
    // Missing altogether.
    let plain = issuer.token_for(ADA);
    let who = identity(&service, &origin, &[(ASSERTION, &plain)]).await;
    let missing = who.custom_claims::<Value>().unwrap_err();
    assert!(missing.to_string().contains("missing field `custom`"), "{missing}");
    assert_eq!(who.claims::<Value>().unwrap()["email"], ADA);
}

#[tokio::test]
async fn a_service_that_showed_its_secret_has_no_claims_and_one_with_a_token_has() {
    let world = world(Issuing);
    let ci = [("cf-access-client-id", "ci.access"), ("cf-access-client-secret", "s3cret")];
    let who = identity(&world.service, &world.origin, &ci).await;
    assert_eq!(who.client_id(), Some("ci.access"));
    assert_eq!(who.claims::<Value>(), Err(ClaimsError::NoToken));
    assert_eq!(who.custom_claims::<Value>(), Err(ClaimsError::NoToken));
    let (issuer, origin) = (TestIssuer::new(), Origin::default());
    let service = AccessLayer::new(issuer.access()).layer(origin.clone());
    let token = issuer.token_for_service("ci.access");
    let who = identity(&service, &origin, &[(ASSERTION, &token)]).await;
    assert_eq!(who.claims::<Value>().unwrap()["common_name"], "ci.access");
}

#[tokio::test]
async fn flow_16_no_identity_shows_its_token_when_it_is_printed() {
    for role in [Verifying, Issuing] {
        let world = world(role);
        let token = world.token(ADA);
        let cookie = cookie(&token);
        for lines in [[(role.header(), token.as_str())], [("cookie", &cookie)]] {
            for _ in 0..5 {
                let who = identity(&world.service, &world.origin, &lines).await;
                assert_eq!(who.claims::<Value>().unwrap()["email"], ADA, "it has the token");
                let shown = format!("{who:?} {who:#?}");
                for segment in token.split('.') {
                    assert!(!shown.contains(segment), "{shown}");
                }
            }
        }
    }
}

#[tokio::test]
async fn jwt_19_tokens_of_other_kinds_open_nothing_in_any_place() {
    for role in [Verifying, Issuing] {
        let world = world(role);
        for kind in [TokenKind::Session, TokenKind::Binding] {
            let mut claims = person(ISSUER, AUDIENCE, ADA);
            claims.kind = kind;
            let token = world.key.sign(&claims).unwrap();
            let cookie = cookie(&token);
            let answer = world.ask(&[(role.header(), &token)]).await;
            assert_eq!(answer.status(), role.bad_header(), "{role:?} {kind:?}");
            let rejection = answer.parts.extensions.get::<Rejection>().unwrap();
            assert_eq!(rejection.token_error(), Some(TokenErrorKind::Type));
            assert_eq!(world.ask(&[("cookie", &cookie)]).await.status(), StatusCode::FOUND);
        }
        assert_eq!(world.origin.count(), 0);
    }
}
