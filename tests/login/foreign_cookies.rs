//! Cookies that never were ours, or are so no longer: nobody comes in by them, everybody can log in
//! with them in the jar, and no answer tells them apart.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use proptest::prelude::*;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::{Clock, ManualClock};
use tower_access::issuer::SigningKey;
use tower_access::policy::{Policy, Rule};
use tower_access::secret::MasterSecret;
use tower_access::store::{MemoryStore, Store};
use tower_access::{Access, AccessLayer};

use crate::support::{self, Browser, Form, Mailbox, Origin, absolute, clock};

const WIKI: &str = "https://wiki.example.com/";
const TEAM: &str = "https://login.example.com";
const ADA: &str = "ada@example.com";
const HOUR: Duration = Duration::from_secs(3600);

type Service = tower_access::layer::AccessService<Origin>;

struct World {
    access: Access,
    service: Service,
    mail: Mailbox,
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    secret: [u8; 32],
}

/// A deployment of these hosts, with a signing key and a secret of its own.
fn deployment(secret: u8) -> World {
    let clock = clock();
    let store = Arc::new(MemoryStore::new(Arc::clone(&clock), 10_000));
    of_store(store, clock, [secret; 32], SigningKey::generate().unwrap())
}

fn of_store(
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    secret: [u8; 32],
    key: SigningKey,
) -> World {
    let mail = Mailbox::default();
    let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let wiki = Application::new("Wiki", "wiki.example.com").unwrap();
    let wiki = wiki.audience("7a".repeat(32).parse().unwrap()).binding_cookie();
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(wiki.policy(staff))
        .session_duration(24 * HOUR)
        .master_secret(MasterSecret::from_bytes(secret))
        .signing_key(key)
        .store(Arc::clone(&store))
        .mailer(mail.clone())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let service = AccessLayer::new(access.clone()).layer(Origin::default());
    World { access, service, mail, clock, store, secret }
}

impl World {
    fn browser(&self) -> Browser<Service> {
        Browser::new(self.service.clone())
    }

    async fn logged_in(&self) -> Browser<Service> {
        let mut browser = self.browser();
        support::log_in(&mut browser, &self.mail, WIKI, ADA).await;
        browser
    }

    /// From the first request: to the login, and in.
    async fn must_log_in(&self, browser: &mut Browser<Service>) {
        let mails = self.mail.len();
        assert_eq!(browser.get(WIKI).await.status(), StatusCode::FOUND);
        support::log_in(browser, &self.mail, WIKI, ADA).await;
        assert_eq!(self.mail.len(), mails + 1, "a code was asked for");
    }
}

/// Ways to spoil a value.
#[derive(Clone, Debug)]
enum Spoil {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Append(String),
    Drop(prop::sample::Index),
    Replace(String),
}

impl Spoil {
    fn apply(&self, value: &str) -> String {
        let mut bytes = value.as_bytes().to_vec();
        match self {
            Self::Flip(index, bit) => {
                let at = index.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Cut(index) => bytes.truncate(index.index(bytes.len())),
            Self::Append(more) => bytes.extend(more.bytes()),
            Self::Drop(index) => drop(bytes.remove(index.index(bytes.len()))),
            Self::Replace(other) => bytes = other.clone().into_bytes(),
        }
        // What no browser keeps in a cookie stands for itself in an escape.
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
        bytes.iter().map(|byte| if plain(*byte) { char::from(*byte) } else { '!' }).collect()
    }
}

fn spoils() -> impl Strategy<Value = Spoil> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), 0..7_u8).prop_map(|(at, bit)| Spoil::Flip(at, bit)),
        2 => any::<prop::sample::Index>().prop_map(Spoil::Cut),
        2 => any::<prop::sample::Index>().prop_map(Spoil::Drop),
        1 => "[!-~]{1,40}".prop_map(Spoil::Append),
        1 => "[!-~]{0,600}".prop_map(Spoil::Replace),
    ]
}

#[test]
fn ses_05_a_spoiled_cookie_is_nobodys() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = deployment(1);
    let jar = runtime.block_on(world.logged_in());
    // The application's token, what binds it to the browser, and the login's own token.
    let places = [
        ("wiki.example.com", "CF_Authorization", "/"),
        ("wiki.example.com", "CF_Binding", "/"),
        ("login.example.com", "CF_Authorization", "/"),
    ];
    let values = places.map(|(host, name, path)| jar.cookie_at(host, name, path).unwrap());
    proptest!(ProptestConfig::with_cases(600), |(place in 0..places.len(), spoil in spoils())| {
        let (host, name, _) = places[place];
        let spoiled = spoil.apply(&values[place]);
        prop_assume!(spoiled != values[place]);
        let mut browser = jar.at(world.service.clone());
        browser.set_cookie(host, name, &spoiled);
        let answer = if place < 2 {
            runtime.block_on(browser.get(WIKI))
        } else {
            // The page of the login, and not a way back.
            browser.forget("wiki.example.com");
            let first = runtime.block_on(browser.get(WIKI));
            runtime.block_on(browser.get(first.location()))
        };
        if place < 2 {
            prop_assert_eq!(answer.status(), StatusCode::FOUND, "{}: {}", name, spoiled);
        } else {
            prop_assert_eq!(answer.status(), StatusCode::OK, "{}: {}", name, spoiled);
            prop_assert!(answer.text.contains("name=\"email\""), "{}: {}", name, spoiled);
        }
    });
}

#[tokio::test]
async fn ses_05_the_cookies_of_another_deployment_are_nobodys() {
    let (world, other) = (deployment(1), deployment(1));
    let jar = other.logged_in().await;
    world.must_log_in(&mut jar.at(world.service.clone())).await;
}

#[tokio::test]
async fn ses_15_a_clock_that_is_set_back_makes_no_session_longer() {
    let world = deployment(1);
    let mut before = world.logged_in().await;
    let begun = world.clock.now();
    world.clock.set(begun.minus(HOUR));
    // Tokens from the future count for nothing; a new login is good, and for no longer than ever.
    let mut after = world.logged_in().await;
    assert_eq!(after.get(WIKI).await.status(), StatusCode::OK);
    for step in 1..26 {
        world.clock.set(begun.minus(HOUR).plus(step * HOUR));
        let passed = world.clock.now().since(begun);
        let is_in = after.get(WIKI).await.status() == StatusCode::OK;
        assert_eq!(is_in, step < 24, "the later login, after {step} hours");
        let is_in = before.get(WIKI).await.status() == StatusCode::OK;
        assert!(!is_in || passed < 24 * HOUR, "the earlier login, after {passed:?}");
    }
    for browser in [&mut before, &mut after] {
        let (url, _) = browser.visit(WIKI).await;
        assert!(url.starts_with(TEAM), "{url}");
    }
    // Back again: what has ended by then is not good once more for longer than it was to be.
    world.clock.set(begun.plus(23 * HOUR));
    let ends = |session: &tower_access::SessionSummary| session.ends_at;
    let sessions = world.access.sessions_of(&ADA.parse().unwrap()).await.unwrap();
    let latest = begun.plus(24 * HOUR).as_unix_seconds();
    assert!(sessions.iter().all(|session| ends(session) <= latest), "{sessions:?}");
}

#[tokio::test]
async fn ses_18_ses_19_a_login_under_another_secret_begins_again_and_says_no_more() {
    let world = deployment(1);
    let (key, copy) = support::two_copies_of_a_key();
    let first = of_store(Arc::clone(&world.store), Arc::clone(&world.clock), [1; 32], key);
    let mut browser = first.browser();
    let form = support::ask_for_code(&mut browser, WIKI, ADA).await;
    let code = first.mail.code(1).await;
    // The same deployment, with its secret replaced.
    let second = of_store(Arc::clone(&world.store), Arc::clone(&world.clock), [2; 32], copy);
    assert_ne!(first.secret, second.secret);
    let mut there = browser.at(second.service.clone());
    let sealed = form.submit(&mut there, &[("code", &code)]).await;
    // As every login is answered that cannot be opened: spoiled, of nobody, of the other secret.
    let nonce = form.value("nonce").to_owned();
    for spoiled in [
        format!("{}A", &nonce[..nonce.len() - 1]),
        nonce[..nonce.len() / 2].to_owned(),
        "A".repeat(nonce.len()),
    ] {
        let mut browser = browser.at(second.service.clone());
        let hidden = form.hidden.iter().map(|(name, value)| {
            let value = if name == "nonce" { spoiled.clone() } else { value.clone() };
            (name.clone(), value)
        });
        let spoiled = Form { action: form.action.clone(), hidden: hidden.collect() };
        let answer = spoiled.submit(&mut browser, &[("code", &code)]).await;
        assert_eq!((answer.status(), &answer.text), (sealed.status(), &sealed.text));
    }
    assert_ne!(sealed.status(), StatusCode::FOUND, "{}", sealed.text);
    // Whoever goes on from there gets in.
    let form = support::ask_for_code(&mut there, WIKI, ADA).await;
    let code = second.mail.code(1).await;
    let done = form.submit(&mut there, &[("code", &code)]).await;
    assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
    let (_, page) = there.visit(&absolute(TEAM, done.location())).await;
    assert!(page.text.starts_with("origin saw"), "{}", page.text);
    // Tokens are signed, and no secret of a login's: who was logged in stays so.
    assert_eq!(browser.at(first.service.clone()).get(WIKI).await.status(), StatusCode::FOUND);
    assert_eq!(there.at(first.service.clone()).get(WIKI).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn ses_25_records_of_another_version_are_as_good_as_none() {
    for record in [
        "",
        "{}",
        "7",
        "\u{1}\u{2}",
        r#"{"version":9,"id":"ID","email":"ada@example.com"}"#,
        r#"{"id":"another","email":"ada@example.com","user_id":"u","login_method":"onetimepin",
            "started_at":1790000000,"ends_at":1890000000,"address":null,"country":"XX"}"#,
        r#"{"id":"ID","email":"eve@example.org","user_id":"u","login_method":"onetimepin",
            "started_at":"soon","ends_at":1890000000,"address":null,"country":"XX"}"#,
    ] {
        let world = deployment(1);
        let mut browser = world.logged_in().await;
        let ada = ADA.parse().unwrap();
        let id = world.access.sessions_of(&ada).await.unwrap()[0].id.clone();
        let record = Bytes::from(record.replace("ID", &id));
        world.store.put(&format!("session/{id}"), record, 24 * HOUR).await.unwrap();
        assert!(world.access.sessions_of(&ada).await.unwrap().is_empty());
        // The token is good by itself. What needs the record asks anew, and nothing breaks.
        assert_eq!(browser.get(WIKI).await.status(), StatusCode::OK);
        let page = browser.get(&format!("{TEAM}/cdn-cgi/access/sessions")).await;
        assert!(!page.status().is_server_error(), "{}", page.text);
        browser.forget("wiki.example.com");
        world.must_log_in(&mut browser).await;
        assert_eq!(world.access.sessions_of(&ada).await.unwrap().len(), 1);
    }
}
