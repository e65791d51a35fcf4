//! Service tokens: those the store defines, over two processes; the two modes, row by row; guessing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::Layer;
use tower_access::address::PeerAddress;
use tower_access::application::Application;
use tower_access::clock::{ManualClock, Timestamp};
use tower_access::explain::Question;
use tower_access::issuer::SigningKey;
use tower_access::policy::{Outcome, Policy, Rule, Verdict};
use tower_access::secret::SecretHash;
use tower_access::service_token::{
    ServiceToken, ServiceTokenAdminErrorKind as Kind, ServiceTokenDuration, ServiceTokenRecord,
};
use tower_access::store::{MemoryStore, Store, StoreError};
use tower_access::{Access, AccessBuilder, AccessLayer, Identity};

use crate::support::wrapping_store::{Hooks, WrappingStore};
use crate::support::{Answer, Mailbox, NOW, Origin, clock, person, send};

const TEAM: &str = "https://login.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

type Shared = Arc<dyn Store>;

/// Several processes over one store and one clock, with one key.
struct World {
    clock: Arc<ManualClock>,
    store: Shared,
    key: SigningKey,
}

impl World {
    fn new() -> Self {
        let clock = clock();
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock), 10_000));
        Self { clock, store, key: SigningKey::generate().unwrap() }
    }

    fn builder(&self) -> AccessBuilder {
        let copy = SigningKey::from_pkcs8_der(&self.key.to_pkcs8_der().unwrap()).unwrap();
        let app = |name: &str| {
            Application::new(name, &format!("{name}.example"))
                .unwrap()
                .audience(audience_of(name).parse().unwrap())
                .read_service_tokens_from_header("Authorization")
                .unwrap()
        };
        let deploy = || Policy::service_auth("deploy").include(Rule::service_token("deploy"));
        let staff = || Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
        Access::builder()
            .team_domain("login.example.com".parse().unwrap())
            .mailer(Mailbox::default())
            .signing_key(copy)
            .clock(Arc::clone(&self.clock))
            .store(Arc::clone(&self.store))
            .application(app("app").policy(deploy()).policy(staff()))
            .application(app("only").policy(deploy()))
            .application(app("only401").policy(deploy()).service_auth_401_redirect())
            .application(app("app401").policy(deploy()).policy(staff()).service_auth_401_redirect())
            .application(app("people").policy(staff()))
            .application(
                app("any")
                    .policy(Policy::service_auth("any").include(Rule::any_valid_service_token())),
            )
            .application(
                app("blocked")
                    .policy(deploy())
                    .policy(Policy::deny("ada").include(Rule::email("ada@example.com").unwrap()))
                    .policy(staff()),
            )
            .application(app("open").policy(Policy::bypass("all").include(Rule::everyone())))
    }

    fn process(&self) -> Access {
        self.builder().build().unwrap()
    }

    fn ada(&self) -> String {
        format!(
            "CF_Authorization={}",
            self.key.sign(&person(TEAM, AUDIENCE, "ada@example.com")).unwrap()
        )
    }
}

/// The audience of the application on a host.
fn audience_of(name: &str) -> String {
    match name {
        "app" => AUDIENCE.to_owned(),
        name => {
            let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
            format!("{digits:0>64}")
        }
    }
}

fn request(host: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().uri("/a?b=c").header("host", format!("{host}.example"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

async fn ask(access: &Access, host: &str, headers: &[(&str, &str)]) -> Answer {
    send(&AccessLayer::new(access.clone()).layer(Origin::default()), request(host, headers)).await
}

async fn shows(access: &Access, host: &str, client_id: &str, secret: &str) -> StatusCode {
    let pair = [("cf-access-client-id", client_id), ("cf-access-client-secret", secret)];
    ask(access, host, &pair).await.status()
}

/// Whether a pair opens what is open to every service token.
async fn is_good(access: &Access, client_id: &str, secret: &str) -> bool {
    match shows(access, "any", client_id, secret).await {
        StatusCode::OK => true,
        // The latter in default mode.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => false,
        other => panic!("{other}"),
    }
}

/// Waits until something is so, within a second of real time.
async fn soon(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < SECOND, "not within a second: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix_seconds(NOW + seconds)
}

fn kind<T: std::fmt::Debug>(
    result: Result<T, tower_access::service_token::ServiceTokenAdminError>,
) -> Kind {
    result.unwrap_err().kind()
}

async fn only(access: &Access) -> ServiceTokenRecord {
    let all = access.service_tokens().list().await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

#[tokio::test]
async fn svc_03_every_change_is_in_force_here_at_once_and_elsewhere_within_a_second() {
    let world = World::new();
    let (one, two) = (world.process(), world.process());
    let admin = one.service_tokens();
    let (made, secret) = admin.create("deploy", ServiceTokenDuration::default()).await.unwrap();
    let (id, client_id) = (&*made.id, &*made.client_id);
    assert!(client_id.strip_suffix(".access").unwrap().bytes().all(|it| it.is_ascii_hexdigit()));
    assert_eq!((client_id.len(), id.len()), (39, 36));
    assert!(secret.reveal().starts_with("cfast_") && secret.reveal().len() == 54);
    assert_eq!((made.expires_at, made.created_at), (Some(at(8_760 * 3_600)), Some(at(0))));
    assert!(made.enabled && !made.is_shadowed && !made.is_in_file);
    let first = secret.reveal().to_owned();

    assert!(is_good(&one, client_id, &first).await);
    soon("made", async || is_good(&two, client_id, &first).await).await;
    assert!(!is_good(&two, client_id, "wrong").await);
    // By its name, where a policy asks for that.
    assert_eq!(shows(&two, "only", client_id, &first).await, StatusCode::OK);

    // Changed on either, whoever made it.
    admin.disable(id).await.unwrap();
    assert!(!is_good(&one, client_id, &first).await);
    soon("disabled", async || !is_good(&two, client_id, &first).await).await;
    two.service_tokens().enable(id).await.unwrap();
    assert!(is_good(&two, client_id, &first).await);
    soon("enabled", async || is_good(&one, client_id, &first).await).await;

    let (rotated, second) = admin.rotate(id, Duration::ZERO).await.unwrap();
    assert_eq!((rotated.secret_version, rotated.previous_secret_until), (Some(2), None));
    let second = second.reveal();
    assert_ne!(first, second);
    assert!(!is_good(&one, client_id, &first).await && is_good(&one, client_id, second).await);
    soon("rotated", async || {
        is_good(&two, client_id, second).await && !is_good(&two, client_id, &first).await
    })
    .await;

    let renamed = two.service_tokens().rename(id, "release").await.unwrap();
    assert_eq!(&*renamed.name, "release");
    assert_eq!(shows(&two, "only", client_id, second).await, StatusCode::FORBIDDEN);
    soon("renamed", async || shows(&one, "only", client_id, second).await == StatusCode::FORBIDDEN)
        .await;

    two.service_tokens().delete(id).await.unwrap();
    assert!(!is_good(&two, client_id, second).await);
    soon("deleted", async || !is_good(&one, client_id, second).await).await;
    assert!(admin.list().await.unwrap().is_empty());
    assert_eq!(kind(admin.enable(id).await), Kind::NotFound);

    // A process that starts later knows what there is.
    let (made, secret) = admin.create("late", DAY).await.unwrap();
    let three = world.process();
    three.service_tokens().load().await.unwrap();
    assert!(is_good(&three, &made.client_id, secret.reveal()).await);
}

#[tokio::test]
async fn the_secret_before_is_good_until_its_moment_and_no_longer() {
    let world = World::new();
    let access = world.process();
    let admin = access.service_tokens();
    let (made, first) = admin.create("deploy", None).await.unwrap();
    assert_eq!((made.expires_at, made.duration), (None, Some(ServiceTokenDuration::Forever)));
    let (rotated, second) = admin.rotate(&made.id, 60 * SECOND).await.unwrap();
    assert_eq!(rotated.previous_secret_until, Some(at(60)));
    let good = async |first: &str, second: &str| {
        (
            is_good(&access, &made.client_id, first).await,
            is_good(&access, &made.client_id, second).await,
        )
    };
    world.clock.set(at(59));
    assert_eq!(good(first.reveal(), second.reveal()).await, (true, true));
    world.clock.set(at(60));
    assert_eq!(good(first.reveal(), second.reveal()).await, (false, true));

    // Of three the last two are good at most, and for thirty days at most.
    let (_, third) = admin.rotate(&made.id, 90 * DAY).await.unwrap();
    assert_eq!(only(&access).await.previous_secret_until, Some(at(60 + 30 * 86_400)));
    let (_, fourth) = admin.rotate(&made.id, DAY).await.unwrap();
    assert_eq!(good(second.reveal(), third.reveal()).await, (false, true));
    assert_eq!(good(third.reveal(), fourth.reveal()).await, (true, true));

    // Switched off, the one before is gone for good.
    admin.disable(&made.id).await.unwrap();
    assert_eq!(good(third.reveal(), fourth.reveal()).await, (false, false));
    admin.enable(&made.id).await.unwrap();
    assert_eq!(good(third.reveal(), fourth.reveal()).await, (false, true));
}

#[tokio::test]
async fn svc_03_a_token_ends_on_time_and_a_year_more_counts_from_now() {
    let world = World::new();
    let access = world.process();
    let admin = access.service_tokens();
    let (made, secret) = admin.create("deploy", DAY).await.unwrap();
    let good = async || is_good(&access, &made.client_id, secret.reveal()).await;
    world.clock.set(at(86_399));
    assert!(good().await);
    world.clock.set(at(86_400));
    assert!(!good().await);
    let refreshed = admin.refresh(&made.id).await.unwrap();
    assert_eq!(refreshed.expires_at, Some(at(86_400 + 8_760 * 3_600)));
    assert_eq!(refreshed.updated_at, Some(at(86_400)));
    assert!(good().await);
    world.clock.set(at(86_400 + 8_760 * 3_600));
    assert!(!good().await);
}

#[tokio::test]
async fn names_are_unique_over_file_and_store_and_the_file_wins() {
    let world = World::new();
    let one = world.process();
    let admin = one.service_tokens();
    let (deploy, secret) = admin.create("deploy", None).await.unwrap();
    assert_eq!(kind(admin.create("deploy", None).await), Kind::Duplicate);
    assert_eq!(kind(admin.create(&deploy.id, None).await), Kind::Duplicate);
    assert_eq!(kind(admin.create(&deploy.client_id, None).await), Kind::Duplicate);
    let (other, _) = admin.create("other", None).await.unwrap();
    assert_eq!(kind(admin.rename(&other.id, "deploy").await), Kind::Duplicate);
    admin.rename(&other.id, "other").await.unwrap();
    for name in ["", "a\nb", &"x".repeat(201)] {
        assert_eq!(kind(admin.create(name, None).await), Kind::InvalidName);
    }
    for id in ["", "nobody", "a/b", "with space", &"x".repeat(200)] {
        assert_eq!(kind(admin.disable(id).await), Kind::NotFound, "{id}");
    }

    // A new file defines one of the same name.
    let in_file = ServiceToken::new("deploy", "file.access", SecretHash::new("f")).id("from file");
    let two = world.builder().service_token(in_file).build().unwrap();
    two.service_tokens().load().await.unwrap();
    assert!(is_good(&two, "file.access", "f").await);
    assert!(!is_good(&two, &deploy.client_id, secret.reveal()).await);
    assert!(is_good(&one, &deploy.client_id, secret.reveal()).await);
    let listed = two.service_tokens().list().await.unwrap();
    let found: Vec<_> =
        listed.iter().map(|token| (&*token.name, token.is_in_file, token.is_shadowed)).collect();
    assert_eq!(found.len(), 3);
    for expected in [("deploy", false, true), ("deploy", true, false), ("other", false, false)] {
        assert!(found.contains(&expected), "{found:?}");
    }
    // What the file defines is changed there.
    let admin = two.service_tokens();
    for id in ["from file", "file.access"] {
        assert_eq!(kind(admin.rotate(id, DAY).await), Kind::InFile);
        assert_eq!(kind(admin.rename(id, "x").await), Kind::InFile);
        assert_eq!(kind(admin.delete(id).await), Kind::InFile);
    }
    let error = admin.refresh("from file").await.unwrap_err().to_string();
    assert!(error.contains("defined in the file; change it there"), "{error}");
    assert_eq!(kind(admin.create("from file", None).await), Kind::Duplicate);
    // Under another name both are good.
    admin.rename(&deploy.id, "deploy 2").await.unwrap();
    assert!(is_good(&two, &deploy.client_id, secret.reveal()).await);
}

#[tokio::test]
async fn ses_16_of_changes_that_come_at_once_none_is_lost() {
    let world = World::new();
    let processes: Vec<Access> = (0..4).map(|_| world.process()).collect();
    let made = processes.iter().map(|access| {
        let admin = access.service_tokens();
        tokio::spawn(async move { admin.create("deploy", None).await })
    });
    let mut won = Vec::new();
    for made in made.collect::<Vec<_>>() {
        match made.await.unwrap() {
            Ok((record, _)) => won.push(record),
            Err(error) => assert_eq!(error.kind(), Kind::Duplicate),
        }
    }
    assert_eq!(won.len(), 1);
    let id = won[0].id.clone();
    let changes = processes.iter().enumerate().map(|(number, access)| {
        let (admin, id) = (access.service_tokens(), id.clone());
        tokio::spawn(async move {
            match number {
                0 => admin.disable(&id).await.map(drop),
                1 => admin.refresh(&id).await.map(drop),
                _ => admin.rotate(&id, DAY).await.map(drop),
            }
        })
    });
    for change in changes.collect::<Vec<_>>() {
        change.await.unwrap().unwrap();
    }
    for access in &processes {
        let record = only(access).await;
        assert!(!record.enabled);
        assert_eq!((record.secret_version, record.previous_secret_until), (Some(3), None));
    }
}

#[tokio::test]
async fn policies_name_a_token_of_the_store_by_id_by_name_and_by_client_id() {
    let world = World::new();
    let admin = world.process().service_tokens();
    let (made, secret) = admin.create("nightly", None).await.unwrap();
    let app = |host: &str, rule: &str| {
        Application::new(host, host)
            .unwrap()
            .policy(Policy::service_auth("it").include(Rule::service_token(rule)))
    };
    let access = world
        .builder()
        .application(app("id.example", &made.id))
        .application(app("name.example", "nightly"))
        .application(app("client.example", &made.client_id))
        .application(app("else.example", "nightl"))
        .application(
            Application::new("All but it", "but.example").unwrap().policy(
                Policy::service_auth("all but it")
                    .include(Rule::any_valid_service_token())
                    .exclude(Rule::service_token("nightly")),
            ),
        )
        .build()
        .unwrap();
    access.service_tokens().load().await.unwrap();
    for (host, status) in [("id", 200), ("name", 200), ("client", 200), ("else", 403), ("but", 403)]
    {
        let pair = [
            ("cf-access-client-id", &*made.client_id),
            ("cf-access-client-secret", secret.reveal()),
        ];
        let answer = ask(&access, host, &pair).await;
        assert_eq!(answer.status(), status, "{host}");
        // What is explained is what is decided.
        let explained = access.explain(
            &Question::new(format!("https://{host}.example/a")).with_service_token("nightly"),
        );
        let verdict = answer.parts.extensions.get::<Verdict>().unwrap();
        assert_eq!((explained.outcome, explained.id), (verdict.outcome(), verdict.id()), "{host}");
        assert!(explained.explanation.is_some());
    }
}

/// What is shown beside nothing or a cookie.
#[derive(Clone, Copy, Debug)]
enum Shown {
    Good,
    Unknown,
    Wrong,
    /// Half a token, or one that is there twice.
    Half,
    Twice,
    /// The pair and the single header at once.
    BothStyles,
}

/// Status, and whether `CF_Authorization` is set; 302 is the login.
type Row = (&'static str, Shown, bool, (u16, bool), (u16, bool));

/// Section 11 of the contract, row by row: application, what is shown, whether a person's cookie is
/// beside it; strict mode, default mode.
const ROWS: &[Row] = &[
    // A good token, and a Service Auth policy for it.
    ("app", Shown::Good, false, (200, false), (200, true)),
    ("only", Shown::Good, false, (200, false), (200, true)),
    ("app", Shown::Good, true, (200, false), (200, true)),
    // Unknown or wrong.
    ("app", Shown::Unknown, false, (401, false), (302, false)),
    ("app", Shown::Wrong, false, (401, false), (302, false)),
    ("only", Shown::Unknown, false, (401, false), (403, false)),
    ("only", Shown::Wrong, false, (401, false), (403, false)),
    ("only401", Shown::Wrong, false, (401, false), (401, false)),
    ("app401", Shown::Wrong, false, (401, false), (401, false)),
    ("people", Shown::Wrong, false, (401, false), (302, false)),
    // A good token, and no policy for it.
    ("people", Shown::Good, false, (403, false), (302, false)),
    // Halves, copies, both styles.
    ("app", Shown::Half, false, (401, false), (302, false)),
    ("app", Shown::Twice, false, (401, false), (302, false)),
    ("app", Shown::BothStyles, false, (401, false), (302, false)),
    // A person's cookie beside a bad one.
    ("app", Shown::Wrong, true, (401, false), (200, false)),
    ("app", Shown::Half, true, (401, false), (200, false)),
    // Bypass policies count in both.
    ("open", Shown::Good, false, (200, false), (200, false)),
    ("open", Shown::Wrong, false, (200, false), (200, false)),
];

#[tokio::test]
async fn svc_01_svc_04_svc_05_both_modes_row_by_row_in_both_styles() {
    let world = World::new();
    for is_strict in [true, false] {
        let access = world.builder().strict_service_token_auth(is_strict).build().unwrap();
        let admin = access.service_tokens();
        let (made, secret) = admin.create("deploy", None).await.unwrap();
        let (id, secret) = (&*made.client_id, secret.reveal());
        let ada = world.ada();
        for (host, shown, has_cookie, strict, default) in ROWS {
            for single in [false, true] {
                let (status, is_set) = if is_strict { *strict } else { *default };
                let headers = headers_of(*shown, (id, secret), single);
                let mut headers: Vec<(&str, &str)> =
                    headers.iter().map(|(name, value)| (*name, &**value)).collect();
                if *has_cookie {
                    headers.push(("cookie", &ada));
                }
                headers.push(("accept", "text/html"));
                let answer = ask(&access, host, &headers).await;
                let row = format!("{host} {shown:?} {has_cookie} strict {is_strict} one {single}");
                assert_eq!(answer.status(), status, "{row}");
                let cookie = answer.set_cookie("CF_Authorization");
                assert_eq!(cookie.is_some(), is_set, "{row}: {cookie:?}");
                if status == 302 {
                    assert!(answer.location().contains("/cdn-cgi/access/login/"), "{row}");
                }
            }
        }
        admin.delete(&made.id).await.unwrap();
    }
}

fn headers_of(
    shown: Shown,
    (id, secret): (&str, &str),
    single: bool,
) -> Vec<(&'static str, String)> {
    let json = |id: &str, secret: &str| {
        format!(r#"{{"cf-access-client-id": "{id}", "cf-access-client-secret": "{secret}"}}"#)
    };
    let one = |id: &str, secret: &str| match single {
        true => vec![("authorization", json(id, secret))],
        false => vec![
            ("cf-access-client-id", id.to_owned()),
            ("cf-access-client-secret", secret.to_owned()),
        ],
    };
    match shown {
        Shown::Good => one(id, secret),
        Shown::Unknown => one("0000.access", secret),
        Shown::Wrong => one(id, "cfast_wrong"),
        Shown::Half if single => {
            vec![("authorization", format!(r#"{{"cf-access-client-id": "{id}"}}"#))]
        }
        Shown::Half => vec![("cf-access-client-id", id.to_owned())],
        Shown::Twice => [one(id, secret), one(id, secret)].concat(),
        Shown::BothStyles => vec![
            ("authorization", json(id, secret)),
            ("cf-access-client-id", id.to_owned()),
            ("cf-access-client-secret", secret.to_owned()),
        ],
    }
}

#[tokio::test]
async fn in_default_mode_allow_and_deny_policies_count_for_the_person_beside_a_token() {
    let world = World::new();
    let access = world.builder().strict_service_token_auth(false).build().unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    let (made, secret) = access.service_tokens().create("other", None).await.unwrap();
    let sign = |host: &str, email: &str| {
        let claims = person(TEAM, &audience_of(host), email);
        format!("CF_Authorization={}", world.key.sign(&claims).unwrap())
    };
    let with = async |host: &str, email: &str| {
        let cookie = sign(host, email);
        let headers = [
            ("cf-access-client-id", &*made.client_id),
            ("cf-access-client-secret", secret.reveal()),
            ("cookie", &*cookie),
        ];
        send(&service, request(host, &headers)).await
    };
    // No policy lets the service in, and the person comes in as a person.
    assert_eq!(with("people", "bob@example.com").await.status(), StatusCode::OK);
    let seen = origin.last();
    assert_eq!(seen.extensions.get::<Identity>().unwrap().email(), Some("bob@example.com"));
    assert_eq!(seen.headers["cf-access-authenticated-user-email"], "bob@example.com");
    assert!(!seen.headers.contains_key("cf-access-client-secret"));
    assert_eq!(with("blocked", "bob@example.com").await.status(), StatusCode::OK);
    assert_eq!(with("blocked", "ada@example.com").await.status(), StatusCode::FORBIDDEN);
    // What is explained of the service alone is what is decided.
    let pair =
        [("cf-access-client-id", &*made.client_id), ("cf-access-client-secret", secret.reveal())];
    for (host, outcome) in [
        ("people", Outcome::LoginRequired),
        ("only", Outcome::Denied),
        ("any", Outcome::ServiceAllowed),
    ] {
        let answer = send(&service, request(host, &pair)).await;
        let verdict = answer.parts.extensions.get::<Verdict>().unwrap();
        let question =
            Question::new(format!("https://{host}.example/")).with_service_token("other");
        let explained = access.explain(&question);
        assert_eq!((explained.outcome, verdict.outcome()), (outcome, outcome), "{host}");
        assert_eq!(explained.id, verdict.id(), "{host}");
    }
}

#[tokio::test]
async fn an_exchanged_cookie_is_good_while_the_token_is() {
    let world = World::new();
    let one = world.builder().strict_service_token_auth(false).build().unwrap();
    let two = world.builder().strict_service_token_auth(false).build().unwrap();
    let admin = one.service_tokens();
    let (made, secret) = admin.create("deploy", 10 * DAY).await.unwrap();
    let pair =
        [("cf-access-client-id", &*made.client_id), ("cf-access-client-secret", secret.reveal())];
    let answer = ask(&one, "app", &pair).await;
    let line = answer.set_cookie("CF_Authorization").unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=None", "Secure", "Path=/"] {
        assert!(line.split("; ").any(|it| it == part), "{line}");
    }
    assert!(line.contains("; Expires=Tue, 22 Sep 2026 14:13:20 GMT"), "{line}");
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    let cookie = line.split(';').next().unwrap().to_owned();
    let token = cookie.split_once('=').unwrap().1;
    let claims = base64::Engine::decode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        token.split('.').nth(1).unwrap(),
    );
    let claims: serde_json::Value = serde_json::from_slice(&claims.unwrap()).unwrap();
    assert_eq!(claims["common_name"], *made.client_id);
    assert_eq!((claims["sub"].as_str(), claims["type"].as_str()), (Some(""), Some("app")));
    assert_eq!(
        (claims["aud"][0].as_str(), claims["exp"].as_u64()),
        (Some(AUDIENCE), Some(NOW + 86_400))
    );

    soon("made", async || is_good(&two, &made.client_id, secret.reveal()).await).await;
    let alone = async |access: &Access| ask(access, "app", &[("cookie", &cookie)]).await.status();
    for access in [&one, &two] {
        assert_eq!(alone(access).await, StatusCode::OK);
        assert_eq!(
            ask(access, "only", &[("cookie", &cookie)]).await.status(),
            StatusCode::FORBIDDEN
        );
    }
    // A rotation leaves it; what ends the token ends it.
    admin.rotate(&made.id, Duration::ZERO).await.unwrap();
    assert_eq!(alone(&one).await, StatusCode::OK);
    admin.disable(&made.id).await.unwrap();
    assert_eq!(alone(&one).await, StatusCode::FOUND);
    soon("disabled", async || alone(&two).await == StatusCode::FOUND).await;
    admin.enable(&made.id).await.unwrap();
    assert_eq!(alone(&one).await, StatusCode::OK);
    soon("enabled", async || alone(&two).await == StatusCode::OK).await;
    admin.delete(&made.id).await.unwrap();
    assert_eq!(alone(&one).await, StatusCode::FOUND);
    soon("deleted", async || alone(&two).await == StatusCode::FOUND).await;

    // No longer than the token, either.
    let (made, secret) = admin.create("deploy", 600 * SECOND).await.unwrap();
    let pair =
        [("cf-access-client-id", &*made.client_id), ("cf-access-client-secret", secret.reveal())];
    let line = ask(&one, "app", &pair).await.set_cookie("CF_Authorization").unwrap().to_owned();
    assert!(line.contains("21 Sep 2026 14:23:20 GMT"), "{line}");
}

#[tokio::test]
async fn svc_07_guessers_are_slowed_down_and_the_right_secret_always_works() {
    let world = World::new();
    let (one, two) = (world.process(), world.process());
    let (made, secret) = one.service_tokens().create("deploy", None).await.unwrap();
    let show = async |access: &Access, client_id: &str, secret: &str| {
        let mut request = request(
            "app",
            &[("cf-access-client-id", client_id), ("cf-access-client-secret", secret)],
        );
        request.extensions_mut().insert(PeerAddress("192.0.2.7".parse().unwrap()));
        send(&AccessLayer::new(access.clone()).layer(Origin::default()), request).await
    };
    // Known or not: a stranger sees no difference.
    for (access, client_id) in [(&one, &*made.client_id), (&two, "0000.access")] {
        for number in 0..80 {
            let answer = show(access, client_id, &format!("guess {number}")).await;
            let status = if number < 60 { 401 } else { 429 };
            assert_eq!(answer.status(), status, "{client_id} {number}");
            if status == 429 {
                assert_eq!(answer.header("retry-after"), Some("60"));
            }
        }
    }
    // From one network, with ids that change.
    let mut refused = 0;
    for number in 0..300 {
        let status = show(&one, &format!("{number}.access"), "x").await.status();
        refused += u32::from(status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused > 0);
    assert_eq!(show(&one, &made.client_id, secret.reveal()).await.status(), StatusCode::OK);
    assert_eq!(show(&one, &made.client_id, "wrong").await.status(), StatusCode::TOO_MANY_REQUESTS);
    // A minute later they may go on.
    world.clock.advance(60 * SECOND);
    assert_eq!(show(&one, &made.client_id, "wrong").await.status(), StatusCode::UNAUTHORIZED);

    // In default mode who has something better is not in the way of a limit.
    let lax = world.builder().strict_service_token_auth(false).build().unwrap();
    let wrong = [("cf-access-client-id", "0000.access"), ("cf-access-client-secret", "x")];
    for number in 0..80 {
        let status = ask(&lax, "app", &wrong).await.status().as_u16();
        assert_eq!(status, if number < 60 { 302 } else { 429 }, "{number}");
    }
    let ada = world.ada();
    let with_cookie = [wrong[0], wrong[1], ("cookie", &*ada)];
    assert_eq!(ask(&lax, "app", &with_cookie).await.status(), StatusCode::OK);
    assert_eq!(ask(&lax, "open", &wrong).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn svc_08_the_store_has_hashes_and_a_secret_is_shown_once() {
    let world = World::new();
    let access = world.process();
    let admin = access.service_tokens();
    let (made, first) = admin.create("deploy", None).await.unwrap();
    let (_, second) = admin.rotate(&made.id, DAY).await.unwrap();
    let record = world.store.get(&format!("service-token/{}", made.id)).await.unwrap().unwrap();
    let text = std::str::from_utf8(&record).unwrap();
    for secret in [&first, &second] {
        assert!(!text.contains(secret.reveal()) && !text.contains(&secret.reveal()[6..]));
        assert_eq!(format!("{secret:?}"), "ServiceTokenSecret(***)");
    }
    let shown = format!("{:?} {admin:?} {access:?}", only(&access).await);
    assert!(!shown.contains("sha256") && !shown.contains("cfast_"), "{shown}");
    let members = world.store.members("service-tokens/all").await.unwrap();
    assert_eq!(members, [(made.id.to_string(), Bytes::new())]);
}

#[tokio::test]
async fn the_last_use_is_listed_everywhere_and_written_once_a_minute() {
    let world = World::new();
    let in_file = || ServiceToken::new("file", "file.access", SecretHash::new("f"));
    let one = world.builder().service_token(in_file()).build().unwrap();
    let two = world.builder().service_token(in_file()).build().unwrap();
    let (made, secret) = one.service_tokens().create("deploy", None).await.unwrap();
    let last = async |access: &Access, name: &str| {
        let all = access.service_tokens().list().await.unwrap();
        all.iter().find(|token| &*token.name == name).unwrap().last_used
    };
    assert_eq!(last(&one, "deploy").await, None);
    assert!(!is_good(&one, &made.client_id, "wrong").await);
    assert_eq!(last(&one, "deploy").await, None);
    assert!(is_good(&one, &made.client_id, secret.reveal()).await);
    assert!(is_good(&one, "file.access", "f").await);
    assert_eq!(last(&one, "deploy").await, Some(at(0)));
    soon("written", async || {
        last(&two, "deploy").await == Some(at(0)) && last(&two, "file").await == Some(at(0))
    })
    .await;
    // Within the minute it is known here alone.
    world.clock.set(at(59));
    assert!(is_good(&one, &made.client_id, secret.reveal()).await);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        (last(&one, "deploy").await, last(&two, "deploy").await),
        (Some(at(59)), Some(at(0)))
    );
    world.clock.set(at(60));
    assert!(is_good(&one, &made.client_id, secret.reveal()).await);
    soon("written again", async || last(&two, "deploy").await == Some(at(60))).await;
}

/// Whether a store is away.
#[derive(Debug)]
struct Outage(AtomicBool);

impl Outage {
    fn check(&self) -> Result<(), StoreError> {
        if self.0.load(Ordering::SeqCst) { Err(StoreError::new("away")) } else { Ok(()) }
    }
}

impl Hooks for Outage {
    async fn before(&self) -> Result<(), StoreError> {
        self.check()
    }

    async fn after(&self) -> Result<(), StoreError> {
        self.check()
    }
}

#[tokio::test]
async fn known_tokens_stay_in_force_while_the_store_is_away() {
    let mut world = World::new();
    let store = MemoryStore::new(Arc::clone(&world.clock), 1_000);
    let flaky = Arc::new(WrappingStore::new(store, Outage(AtomicBool::new(false))));
    world.store = Arc::clone(&flaky) as Shared;
    let (one, two) = (world.process(), world.process());
    let admin = one.service_tokens();
    let (made, secret) = admin.create("deploy", DAY).await.unwrap();
    let good = async |access: &Access| is_good(access, &made.client_id, secret.reveal()).await;
    soon("made", async || good(&two).await).await;

    flaky.hooks.0.store(true, Ordering::SeqCst);
    assert_eq!(kind(admin.create("other", None).await), Kind::Store);
    assert_eq!(kind(admin.disable(&made.id).await), Kind::Store);
    assert_eq!(kind(admin.list().await), Kind::Store);
    assert_eq!(kind(admin.load().await), Kind::Store);
    for access in [&one, &two] {
        assert!(good(access).await);
    }
    // Time goes on all the same.
    world.clock.set(at(86_400));
    assert!(!good(&one).await);
    world.clock.set(at(0));

    flaky.hooks.0.store(false, Ordering::SeqCst);
    admin.disable(&made.id).await.unwrap();
    assert!(!good(&one).await);
    soon("disabled", async || !good(&two).await).await;
    assert_eq!(only(&one).await.name, made.name);
}

#[tokio::test]
async fn behind_an_issuer_the_issuer_has_the_tokens() {
    let access = Access::verifier_builder("login.example.com")
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .build()
        .unwrap();
    let admin = access.service_tokens();
    assert_eq!(kind(admin.create("deploy", None).await), Kind::NotIssuing);
    assert_eq!(kind(admin.list().await), Kind::NotIssuing);
    assert_eq!(kind(admin.delete("x").await), Kind::NotIssuing);
}
