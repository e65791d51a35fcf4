use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::attributes::SessionAttributes;
use super::record::{Session, user_id};
use super::{Confirmed, NewSession, ProviderAccount, REFRESH_SHARDS, Sessions};
use crate::clock::{ManualClock, Timestamp};
use crate::identity::{Attributes, ClaimValues, Email, LoginMethod, ProviderGroup};
use crate::random::SystemRandom;
use crate::secret::{MasterSecret, SecretText};
use crate::store::{MemoryStore, Store, StoreError};

/// What versions wrote that knew one-time PINs alone, to the byte.
const EARLIER: &str = r#"{"id":"q2ZkWf0yTn9sVb3L","email":"ada@example.com","user_id":"4f0a7d0e-2c11-5b7f-9d0f-0c8f6a5d1b22","login_method":"onetimepin","started_at":1790000000,"ends_at":1790086400,"address":"192.0.2.7","country":"XX","last_seen":1790000300,"idle_until":1790003900,"browser":"Firefox on Linux"}"#;
const ID: &str = "q2ZkWf0yTn9sVb3L";
const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// How those versions read a record.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "a record has to have them")]
struct EarlierSession {
    id: String,
    email: Email,
    user_id: String,
    login_method: String,
    started_at: u64,
    ends_at: u64,
    address: Option<std::net::IpAddr>,
    country: String,
    #[serde(default)]
    last_seen: Option<u64>,
    #[serde(default)]
    idle_until: Option<u64>,
    #[serde(default)]
    browser: Option<String>,
}

struct World {
    store: Arc<MemoryStore>,
    sessions: Sessions,
}

fn world() -> World {
    let clock = Arc::new(ManualClock::new(NOW));
    let store = Arc::new(MemoryStore::new(clock, 1_000));
    let shared: Arc<dyn Store> = Arc::<MemoryStore>::clone(&store);
    let master = MasterSecret::from_bytes([7; 32]);
    let sessions = Sessions::new(shared, Arc::new(SystemRandom), &master, Arc::default());
    World { store, sessions: sessions.unwrap() }
}

fn ada() -> Email {
    "ada@example.com".parse().unwrap()
}

fn method(id: &str, kind: &str) -> LoginMethod {
    LoginMethod { id: id.into(), kind: kind.into() }
}

/// What a provider may tell.
fn provider_attributes() -> Attributes {
    let group = |name: &str| ProviderGroup { name: Some(name.into()), ..ProviderGroup::default() };
    Attributes {
        authentication_methods: Some(vec!["pwd".into(), "mfa".into()]),
        authentication_contexts: Some(vec!["c1".into()]),
        groups: Some(vec![group("ops"), group("dev")]),
        oidc_claims: Some([("level", "1"), ("team", "a"), ("team", "b")].into_iter().collect()),
        ..Attributes::default()
    }
}

async fn started(world: &World, login_method: LoginMethod, attributes: Attributes) -> Session {
    let start = NewSession {
        email: ada(),
        issuer: "https://acme.example",
        login_method,
        attributes,
        account: None,
        refresh_interval: None,
        address: None,
        browser: None,
        max_idle: None,
    };
    world.sessions.start(start, NOW, DAY).await.unwrap()
}

async fn record(world: &World, session: &Session) -> Bytes {
    world.store.get(&format!("session/{}", session.id)).await.unwrap().unwrap()
}

#[test]
fn a_person_has_one_uuid_under_one_issuer() {
    let id = user_id("https://a.example", &ada());
    assert_eq!(id, user_id("https://a.example", &ada()));
    assert_ne!(id, user_id("https://b.example", &ada()));
    let lengths: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert_eq!(&id[14..15], "5");
    assert!("89ab".contains(&id[19..20]));
}

#[test]
fn ses_16_ses_25_a_record_is_bound_to_its_id_and_its_version() {
    assert!(Session::read("a", &Bytes::from_static(b"{}")).is_none());
    assert!(Session::read("a", &Bytes::from_static(b"garbage")).is_none());
    let session = r#"{"id":"a","email":"a@b.example","user_id":"u","login_method":"onetimepin",
        "started_at":1,"ends_at":2,"address":null,"country":"XX"}"#;
    assert!(Session::read("a", &Bytes::from_static(session.as_bytes())).is_some());
    assert!(Session::read("b", &Bytes::from_static(session.as_bytes())).is_none());
}

#[test]
fn ses_25_a_record_of_an_earlier_version_is_a_login_by_one_time_pin() {
    let session = Session::read(ID, &Bytes::from_static(EARLIER.as_bytes())).unwrap();
    assert_eq!(session.login_method(), "onetimepin");
    assert_eq!(**session.attributes(), Attributes::one_time_pin("onetimepin"));
    // Written again, as for every request that is noticed, it is what earlier versions write.
    assert_eq!(serde_json::to_string(&session).unwrap(), EARLIER);
    let renamed = EARLIER.replace("onetimepin", "mail");
    let session = Session::read(ID, &Bytes::from(renamed.clone().into_bytes())).unwrap();
    assert_eq!(**session.attributes(), Attributes::one_time_pin("mail"));
    assert_eq!(session.login.method, method("mail", "onetimepin"));
    assert_eq!(serde_json::to_string(&session).unwrap(), renamed);
}

#[tokio::test]
async fn ses_25_an_earlier_version_reads_logins_by_one_time_pin() {
    let world = world();
    let attributes = Attributes::one_time_pin("onetimepin");
    let session = started(&world, method("onetimepin", "onetimepin"), attributes).await;
    let record = record(&world, &session).await;
    let earlier: EarlierSession = serde_json::from_slice(&record).unwrap();
    assert_eq!(earlier.id, session.id);
    assert_eq!(earlier.login_method, "onetimepin");
}

#[tokio::test]
async fn ses_25_to_an_earlier_version_any_other_login_is_no_session() {
    // Even where the method has the name of the one-time PIN.
    for login_method in [method("corp", "oidc"), method("onetimepin", "oidc")] {
        for attributes in [provider_attributes(), Attributes::default()] {
            let world = world();
            let session = started(&world, login_method.clone(), attributes).await;
            let record = record(&world, &session).await;
            assert!(serde_json::from_slice::<EarlierSession>(&record).is_err());
            let found = world.sessions.get(&session.id, NOW).await.unwrap().unwrap();
            assert_eq!(found.login, session.login);
            assert_eq!(found.attributes().login_method.as_ref(), Some(&login_method));
        }
    }
}

#[tokio::test]
async fn what_a_login_told_is_in_the_record_until_it_ends() {
    let world = world();
    let session = started(&world, method("corp", "oidc"), provider_attributes()).await;
    let expected =
        Attributes { login_method: Some(method("corp", "oidc")), ..provider_attributes() };
    assert_eq!(**session.attributes(), expected);
    // Noticing a request writes the record again.
    let later = NOW.plus(Duration::from_secs(600));
    let pause = Duration::from_secs(60);
    let seen = world.sessions.record_activity(&session.id, later, (pause, None), |_| true).await;
    assert_eq!(seen.unwrap().unwrap().seen_at(), later);
    let found = world.sessions.get(&session.id, later).await.unwrap().unwrap();
    assert_eq!((found.seen_at(), &**found.attributes()), (later, &expected));
}

#[test]
fn ses_25_a_record_that_is_neither_version_is_no_session() {
    let plain: serde_json::Value = serde_json::from_str(EARLIER).unwrap();
    let login = json!({ "login_method": { "id": "corp", "kind": "oidc" }, "groups": [] });
    let read = |login_method: serde_json::Value, version: u32, attributes: serde_json::Value| {
        let mut record = plain.clone();
        let members = record.as_object_mut().unwrap();
        members.remove("login_method");
        for (name, value) in [
            ("login_method", login_method),
            ("version", version.into()),
            ("attributes", attributes),
        ] {
            if !value.is_null() && value != 0 {
                members.insert(name.to_owned(), value);
            }
        }
        Session::read(ID, &record.to_string().into_bytes().into())
    };
    let none = serde_json::Value::Null;
    assert!(read(none.clone(), 2, login.clone()).is_some());
    for (name, version, attributes) in [
        (none.clone(), 3, login.clone()),
        (none.clone(), 1, login.clone()),
        (none.clone(), 0, login.clone()),
        (none.clone(), 2, none.clone()),
        (none.clone(), 2, json!({ "groups": [] })),
        (none.clone(), 0, none.clone()),
        ("onetimepin".into(), 2, none.clone()),
        ("onetimepin".into(), 2, login.clone()),
        ("onetimepin".into(), 0, login),
        ("onetimepin".into(), 3, none),
    ] {
        assert!(read(name.clone(), version, attributes.clone()).is_none(), "{name} {version}");
    }
}

/// An account with tokens, which is refreshed every ten minutes.
async fn started_with_account(world: &World) -> Session {
    let start = NewSession {
        email: ada(),
        issuer: "https://acme.example",
        login_method: method("corp", "oidc"),
        attributes: provider_attributes(),
        account: Some(account()),
        refresh_interval: Some(INTERVAL),
        address: None,
        browser: None,
        max_idle: None,
    };
    world.sessions.start(start, NOW, DAY).await.unwrap()
}

fn account() -> ProviderAccount {
    ProviderAccount {
        subject: "u-1".into(),
        name: Some("Ada L".into()),
        session: Some("s-1".into()),
        refresh_token: Some(SecretText::from("r-1".to_owned())),
        id_token: Some(SecretText::from("i-1".to_owned())),
    }
}

const INTERVAL: Duration = Duration::from_secs(600);

#[tokio::test]
async fn ses_25_a_login_with_an_account_is_no_session_to_versions_that_would_not_ask_again() {
    let world = world();
    let session = started_with_account(&world).await;
    let text = record(&world, &session).await;
    assert!(serde_json::from_slice::<EarlierSession>(&text).is_err());
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(json["version"], 3);
    let now = NOW.as_unix_seconds();
    assert_eq!(
        json["account"],
        json!({ "subject": "u-1", "name": "Ada L", "session": "s-1", "refresh":
                { "confirmed_at": now, "due_at": now + 600, "expires_at": now + 3600 } })
    );
    let found = world.sessions.get(&session.id, NOW).await.unwrap().unwrap();
    assert_eq!(found.login, session.login);
    assert_eq!(world.sessions.account(&found).await.unwrap(), Some(account()));
    // Of another version, or without a part, it is no session.
    for (name, value) in [
        ("version", json!(2)),
        ("version", json!(4)),
        ("version", json!(null)),
        ("account", json!(null)),
        ("attributes", json!(null)),
        ("login_method", json!("onetimepin")),
    ] {
        let mut changed = json.clone();
        changed[name] = value.clone();
        let changed = Bytes::from(changed.to_string());
        assert!(Session::read(&session.id, &changed).is_none(), "{name}: {value}");
    }
}

#[tokio::test]
async fn proto_08_long_tokens_of_a_provider_are_dropped_and_nobody_asks_again() {
    for (refresh, id, is_refreshed, has_id_token) in [
        (8 * 1024, 16 * 1024 - 64, true, true),
        (8 * 1024 + 1, 10, false, true),
        (10, 16 * 1024 - 63, true, false),
    ] {
        let world = world();
        let long = |length: usize| Some(SecretText::from("x".repeat(length)));
        let account =
            ProviderAccount { refresh_token: long(refresh), id_token: long(id), ..account() };
        let start = NewSession {
            email: ada(),
            issuer: "https://acme.example",
            login_method: method("corp", "oidc"),
            attributes: provider_attributes(),
            account: Some(account.clone()),
            refresh_interval: Some(INTERVAL),
            address: None,
            browser: None,
            max_idle: None,
        };
        let session = world.sessions.start(start, NOW, DAY).await.unwrap();
        assert_eq!(session.refresh().is_some(), is_refreshed);
        let stored = world.sessions.account(&session).await.unwrap().unwrap();
        assert_eq!(stored.refresh_token.is_some(), is_refreshed);
        assert_eq!(stored.id_token.is_some(), has_id_token);
        for kind in ["refresh-token", "id-token"] {
            let record = world.store.get(&format!("{kind}/{}", session.id)).await.unwrap();
            assert!(record.is_none_or(|record| record.len() < 16 * 1024));
        }
    }
}

fn confirmed(attributes: Attributes) -> Confirmed {
    Confirmed { attributes, account: ProviderAccount { name: None, ..account() } }
}

#[tokio::test]
async fn changed_attributes_are_known_within_a_minute_even_if_the_announcement_is_lost() {
    let world = world();
    let session = started_with_account(&world).await;
    let there = Sessions::new(
        Arc::<MemoryStore>::clone(&world.store),
        Arc::new(SystemRandom),
        &MasterSecret::from_bytes([7; 32]),
        Arc::default(),
    );
    let there = World { store: Arc::clone(&world.store), sessions: there.unwrap() };
    let at = |seconds| NOW.plus(Duration::from_secs(seconds));
    let before = known(&there, &session.id, &ada(), at(0)).await.unwrap();
    let next = Attributes { groups: Some(Vec::new()), ..provider_attributes() };
    let times = (at(10), INTERVAL);
    assert!(world.sessions.confirm(&session, confirmed(next), times).await.unwrap());
    assert_eq!(known(&there, &session.id, &ada(), at(59)).await.as_ref(), Some(&before));
    // The old ones count until the record is read.
    assert_eq!(known(&there, &session.id, &ada(), at(60)).await.as_ref(), Some(&before));
    let mut after = before.clone();
    for _ in 0..100 {
        tokio::task::yield_now().await;
        after = known(&there, &session.id, &ada(), at(60)).await.unwrap();
    }
    assert_eq!(after.groups, Some(Vec::new()));
    assert_eq!(after.login_method, before.login_method);
    let kept = world.sessions.get(&session.id, at(60)).await.unwrap().unwrap();
    assert_eq!(kept.account().unwrap().name.as_deref(), Some("Ada L"));
}

#[tokio::test]
async fn attributes_that_were_not_confirmed_for_too_long_do_not_count() {
    let world = world();
    let session = started_with_account(&world).await;
    let at = |seconds| NOW.plus(Duration::from_secs(seconds));
    assert!(known(&world, &session.id, &ada(), at(3_599)).await.is_some());
    assert_eq!(known(&world, &session.id, &ada(), at(3_600)).await, None);
    assert!(session.is_unconfirmed(at(3_600)) && !session.is_unconfirmed(at(3_599)));
    // Another process has asked meanwhile: the request waits for what it has written.
    let same = confirmed(provider_attributes());
    assert!(!world.sessions.confirm(&session, same, (at(3_000), INTERVAL)).await.unwrap());
    let later = at(3_000 + 3_599);
    assert!(known(&world, &session.id, &ada(), later).await.is_some());
}

#[tokio::test]
async fn a_session_is_found_by_its_account_until_it_ends() {
    let world = world();
    let session = started_with_account(&world).await;
    let find = async |method: &str, subject: Option<&str>, sid: Option<&str>| {
        let found = world.sessions.for_account(method, (subject, sid), NOW).await.unwrap();
        found.len()
    };
    for (method, subject, sid, count) in [
        ("corp", Some("u-1"), None, 1),
        ("corp", None, Some("s-1"), 1),
        ("corp", Some("u-1"), Some("s-1"), 1),
        ("corp", Some("u-1"), Some("s-2"), 0),
        ("corp", Some("u-2"), Some("s-1"), 0),
        ("corp", None, Some("u-1"), 0),
        ("corp", Some("s-1"), None, 0),
        ("corp", None, None, 0),
        ("partner", Some("u-1"), None, 0),
    ] {
        assert_eq!(find(method, subject, sid).await, count, "{method} {subject:?} {sid:?}");
    }
    world.sessions.end(&session.id).await.unwrap();
    assert_eq!(find("corp", Some("u-1"), None).await, 0);
    for shard in 0..REFRESH_SHARDS {
        assert!(world.sessions.scheduled_refreshes(shard).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_session_that_ends_while_the_provider_is_asked_stays_ended() {
    let world = world();
    let session = started_with_account(&world).await;
    world.sessions.end(&session.id).await.unwrap();
    let answer = confirmed(provider_attributes());
    assert!(!world.sessions.confirm(&session, answer, (NOW, INTERVAL)).await.unwrap());
    world.sessions.postpone_refresh(&session, (NOW, INTERVAL)).await.unwrap();
    for kind in ["session", "refresh-token", "id-token"] {
        assert!(world.store.get(&format!("{kind}/{}", session.id)).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn more_attributes_than_a_record_holds_are_unknown_as_a_whole() {
    let many = |count: usize| {
        let group = |number| ProviderGroup {
            id: Some(format!("{number:036}").into()),
            ..ProviderGroup::default()
        };
        Some((0..count).map(group).collect::<Vec<_>>())
    };
    let claims =
        |length: usize| Some([("note", "x".repeat(length))].into_iter().collect::<ClaimValues>());
    for (groups, oidc_claims, has_groups, has_claims) in [
        (many(250), claims(2_000), true, true),
        (many(2_000), claims(2_000), false, true),
        (many(250), claims(40_000), true, false),
        (many(2_000), claims(40_000), false, false),
        // Each fits by itself.
        (many(250), claims(9_000), false, true),
    ] {
        let world = world();
        let attributes = Attributes { groups, oidc_claims, ..provider_attributes() };
        let session = started(&world, method("corp", "oidc"), attributes.clone()).await;
        let known = session.attributes();
        assert_eq!(known.groups, attributes.groups.filter(|_| has_groups));
        assert_eq!(known.oidc_claims, attributes.oidc_claims.filter(|_| has_claims));
        assert_eq!(known.authentication_methods, provider_attributes().authentication_methods);
        assert_eq!(session.login_method(), "corp");
        assert!(record(&world, &session).await.len() < 17 * 1024);
        let found = world.sessions.get(&session.id, NOW).await.unwrap().unwrap();
        assert_eq!(found.login, session.login);
    }
}

/// Asks as a request does: it waits once.
async fn known(world: &World, id: &str, email: &Email, now: Timestamp) -> Option<Attributes> {
    match world.sessions.attributes(id, email, now, true) {
        Ok(known) => known.and_then(|known| known.at(now)).as_deref().cloned(),
        Err(wait) => {
            wait.await;
            let known = world.sessions.attributes(id, email, now, false);
            known.ok().flatten().and_then(|known| known.at(now)).as_deref().cloned()
        }
    }
}

#[tokio::test]
async fn a_tokens_session_tells_of_its_own_person_alone() {
    let world = world();
    let session = started(&world, method("corp", "oidc"), provider_attributes()).await;
    let told = known(&world, &session.id, &ada(), NOW).await;
    assert_eq!(told.as_ref(), Some(&**session.attributes()));
    let bob = "bob@example.com".parse().unwrap();
    assert_eq!(known(&world, &session.id, &bob, NOW).await, None);
    assert_eq!(known(&world, "unknown", &ada(), NOW).await, None);
    // Who does not wait is told what is remembered, and else nothing.
    let other = started(&world, method("corp", "oidc"), provider_attributes()).await;
    assert!(matches!(world.sessions.attributes(&other.id, &ada(), NOW, false), Ok(None)));
}

#[tokio::test]
async fn the_record_of_a_session_is_read_once() {
    let world = world();
    let session = started(&world, method("corp", "oidc"), provider_attributes()).await;
    assert!(known(&world, &session.id, &ada(), NOW).await.is_some());
    // It does not ask for a record that is gone: whether the session has ended says its token.
    world.sessions.end(&session.id).await.unwrap();
    let later = NOW.plus(DAY);
    assert!(known(&world, &session.id, &ada(), later).await.is_some());
}

#[tokio::test]
async fn where_the_store_fails_nothing_is_known_until_it_answers_again() {
    let world = world();
    let session = started(&world, method("corp", "oidc"), provider_attributes()).await;
    let attributes = SessionAttributes::new();
    let (id, email) = (session.id.clone(), ada());
    let look = |now, may_wait, found: Result<Option<Session>, StoreError>| {
        let found = found.map_err(|error| error.to_string());
        let read = || std::future::ready(found.clone().map_err(StoreError::new));
        attributes.look_up((&id, &email), now, may_wait, read, || {})
    };
    let wait = look(NOW, true, Err(StoreError::new("away"))).unwrap_err();
    wait.await;
    assert!(matches!(look(NOW, false, Ok(None)), Ok(None)));
    // It is left alone for a moment.
    assert!(matches!(look(NOW, true, Ok(Some(session.clone()))), Ok(None)));
    let later = NOW.plus(Duration::from_secs(2));
    look(later, true, Ok(Some(session.clone()))).unwrap_err().await;
    let known = look(later, false, Ok(None)).unwrap().unwrap();
    assert_eq!(known.at(later).as_ref(), Some(session.attributes()));
}
