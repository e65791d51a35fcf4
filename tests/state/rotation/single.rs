//! One engine at a time: keys replaced, published, kept in a store.

use std::collections::HashSet;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::Clock;
use tower_access::issuer::{KeyRotation, RsaKeySize, SigningKey};
use tower_access::policy::{Policy, Rule};
use tower_access::secret::{MasterSecret, SecretHash};
use tower_access::service_token::ServiceToken;
use tower_access::store::Store;
use tower_access::token::keys::{KeySet, KeyState};
use tower_access::{Access, AccessLayer, TokenLocation};

use super::store::ROOM;
use super::{
    CERTS, DAY, HOST, HOUR, INTERVAL, LEAD, OVERLAP, SECOND, Surroundings, WIKI, end, key_id,
};
use crate::support::{Origin, log_in, send, two_copies_of_a_key};

#[tokio::test]
async fn key_14_a_login_before_a_rotation_is_good_until_the_overlap_ends() {
    let world = Surroundings::new();
    let engine = world.engine(KeyRotation::default());
    let before = engine.log_in().await;
    assert_eq!(engine.key_ids().await, [key_id(&before)]);
    world.advance(DAY);
    engine.access.rotate_keys().await.unwrap();

    let after = engine.log_in().await;
    assert_ne!(key_id(&after), key_id(&before));
    assert_eq!(engine.key_ids().await, [key_id(&after), key_id(&before)], "the new one first");
    assert_eq!(engine.access.key_state(), KeyState::Fresh { keys: 2 });
    for token in [&before, &after] {
        assert!(engine.opens(token).await);
    }

    world.advance(OVERLAP - SECOND);
    let last = engine.log_in().await;
    for token in [&before, &after, &last] {
        assert!(engine.opens(token).await, "a second before the end");
    }
    world.advance(SECOND);
    assert!(!engine.opens(&before).await);
    assert!(end(&before) > world.clock.now().plus(20 * DAY).as_unix_seconds(), "not by its time");
    assert!(engine.opens(&after).await);
    assert!(engine.opens(&engine.log_in().await).await);
    assert_eq!(engine.key_ids().await, [key_id(&after)]);
    assert_eq!(engine.access.key_state(), KeyState::Fresh { keys: 1 });
}

#[tokio::test]
async fn key_14_logins_go_on_while_a_key_is_replaced() {
    let world = Surroundings::new();
    let engine = world.engine(KeyRotation::default());
    let (rotated, token) = tokio::join!(engine.access.rotate_keys(), engine.log_in());
    rotated.unwrap();
    assert!(engine.opens(&token).await);
    assert!(engine.key_ids().await.contains(&key_id(&token)));
}

#[tokio::test]
async fn key_14_a_browser_that_stays_logged_in_gets_a_token_of_the_new_key() {
    let world = Surroundings::new();
    let engine = world.engine(KeyRotation::default());
    let mut browser = engine.browser();
    log_in(&mut browser, &engine.mail, WIKI, "ada@example.com").await;
    let before = browser.cookie(HOST, "CF_Authorization").unwrap();
    engine.access.rotate_keys().await.unwrap();
    world.advance(DAY);
    // The application's cookie is lost; the session on the team domain is of the old key as well.
    browser.forget(HOST);
    let (_, page) = browser.visit(WIKI).await;
    assert_eq!(page.text, "origin saw /");
    let renewed = browser.cookie(HOST, "CF_Authorization").unwrap();
    assert_ne!(key_id(&renewed), key_id(&before));
    assert_eq!(engine.mail.len(), 1, "nobody was asked for a code");
    world.advance(OVERLAP);
    assert!(!engine.opens(&before).await);
    assert!(engine.opens(&renewed).await);
}

#[tokio::test]
async fn key_14_a_key_that_is_due_is_replaced_beside_a_login() {
    for (rotation, interval) in [
        (KeyRotation::default(), INTERVAL),
        (KeyRotation::default().interval(10 * DAY).key_size(RsaKeySize::Bits3072), 10 * DAY),
    ] {
        let world = Surroundings::new();
        let engine = world.engine(rotation);
        let first = engine.log_in().await;
        world.advance(interval - HOUR - SECOND);
        assert_eq!(key_id(&engine.log_in().await), key_id(&first), "not due yet");
        assert_eq!(engine.key_ids().await, [key_id(&first)]);
        world.advance(SECOND);
        let during = engine.log_in().await;
        let ids = engine.key_ids_when(2).await;
        assert_eq!(ids[0], key_id(&first), "the other one is announced");
        world.advance(HOUR - SECOND);
        assert_eq!(key_id(&engine.log_in().await), key_id(&first), "it signs for its interval");
        world.advance(SECOND);
        let second = engine.log_in().await;
        assert_eq!(ids[1], key_id(&second));
        assert_eq!(engine.key_ids().await, [key_id(&second), key_id(&first)]);
        for token in [&during, &second] {
            assert!(engine.opens(token).await);
        }
        // The next one is not due before another interval has passed.
        world.advance(OVERLAP);
        assert_eq!(key_id(&engine.log_in().await), key_id(&second));
        assert_eq!(engine.key_ids().await, [key_id(&second)]);
    }
}

#[tokio::test]
async fn key_14_of_two_rotations_at_once_one_happens() {
    let world = Surroundings::new();
    let engine = world.engine(KeyRotation::default());
    let (first, second) = tokio::join!(engine.access.rotate_keys(), engine.access.rotate_keys());
    first.unwrap();
    assert!(second.unwrap_err().to_string().contains("under way"));
    assert_eq!(engine.key_ids().await.len(), 2);
    engine.access.rotate_keys().await.unwrap();
    assert_eq!(engine.key_ids().await.len(), 3);
}

#[tokio::test]
async fn key_14_an_engine_with_the_same_store_and_secret_takes_over() {
    let world = Surroundings::new();
    let first = world.kept(1).await;
    let token = first.log_in().await;
    world.advance(DAY);
    let second = world.kept(1).await;
    assert_eq!(second.document().await, first.document().await);
    assert!(second.opens(&token).await);
    assert!(first.opens(&second.log_in().await).await);

    world.advance(DAY);
    first.access.rotate_keys().await.unwrap();
    world.advance(LEAD);
    let newer = first.log_in().await;
    world.advance(DAY);
    let third = world.kept(1).await;
    assert_eq!(third.document().await, first.document().await);
    assert_eq!(third.key_ids().await, [key_id(&newer), key_id(&token)]);
    for token in [&token, &newer, &third.log_in().await] {
        assert!(third.opens(token).await);
    }
    // The times are kept as well: the overlap ends for all of them together, also over a restart.
    world.advance(OVERLAP - DAY);
    for engine in [&first, &third, &world.kept(1).await] {
        assert!(!engine.opens(&token).await);
        assert!(engine.opens(&newer).await);
        assert_eq!(engine.key_ids().await, [key_id(&newer)]);
    }
}

#[tokio::test]
async fn key_14_a_kept_key_is_due_by_its_own_age() {
    let world = Surroundings::new();
    let token = world.kept(1).await.log_in().await;
    world.advance(INTERVAL - HOUR);
    let restarted = world.kept(1).await;
    assert_eq!(restarted.key_ids().await, [key_id(&token)]);
    restarted.log_in().await;
    let ids = restarted.key_ids_when(2).await;
    assert_eq!(world.kept(1).await.key_ids().await, ids, "what was replaced on its own is kept");
}

#[tokio::test]
async fn key_14_another_master_secret_is_an_error_that_says_so() {
    let world = Surroundings::new();
    let token = world.kept(1).await.log_in().await;
    let other = world.builder().master_secret(MasterSecret::from_bytes([2; 32]));
    let error = other.build_persistent().await.unwrap_err().to_string();
    assert!(error.contains("another master secret"), "{error}");
    assert!(error.contains("signing-keys/"), "which records: {error}");
    assert!(world.kept(1).await.opens(&token).await, "and nothing was lost");
}

#[tokio::test]
async fn key_14_without_a_master_secret_keys_are_not_kept() {
    let world = Surroundings::new();
    let error = world.builder().build_persistent().await.unwrap_err().to_string();
    assert!(error.contains("`master_secret`"), "{error}");
    assert!(world.store.written().is_empty());
}

#[tokio::test]
async fn key_14_records_that_were_changed_are_an_error() {
    let world = Surroundings::new();
    world.kept(1).await;
    let mut written = world.store.written();
    written.retain(|(name, _)| name.starts_with("signing-keys/"));
    let [(key_name, key), (list_name, list)] = written.as_slice() else { panic!("{written:?}") };
    let put = async |name: &str, value: Bytes| world.store.put(name, value, DAY).await.unwrap();
    let build = async || {
        let builder = world.builder().master_secret(MasterSecret::from_bytes([1; 32]));
        builder.build_persistent().await.map(drop)
    };
    for (name, record) in [(key_name, key), (list_name, list)] {
        let mut changed = record.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        for bad in [changed, record[..record.len() / 2].to_vec(), Vec::new()] {
            put(name, bad.into()).await;
            assert!(build().await.is_err(), "{name}");
        }
        put(name, record.clone()).await;
        build().await.unwrap();
    }
    // A sealed record is good under its own name alone.
    put(list_name, key.clone()).await;
    assert!(build().await.is_err());
    put(list_name, list.clone()).await;
    world.store.take(key_name).await.unwrap();
    assert!(build().await.is_err(), "a key that is gone is not made anew in silence");
}

#[tokio::test]
async fn key_14_the_store_shows_no_private_key() {
    let world = Surroundings::new();
    let (key, copy) = two_copies_of_a_key();
    let der = copy.to_pkcs8_der().unwrap();
    let access = world.builder().signing_key(key).master_secret(MasterSecret::from_bytes([1; 32]));
    let engine = world.issuing(access.build_persistent().await.unwrap());
    assert_eq!(key_id(&engine.log_in().await), copy.key_id());
    engine.access.rotate_keys().await.unwrap();
    engine.log_in().await;

    let written = world.store.written();
    let of_keys = written.iter().filter(|(name, _)| name.starts_with("signing-keys/"));
    assert_eq!(of_keys.count(), 2 + 3, "a key and the list; two keys and the list");
    assert!(written.iter().any(|(name, _)| name.starts_with("session/")), "others are looked at");
    // Sixteen bytes of the key wherever they stand, as they are or encoded.
    let encoded = STANDARD.encode(&*der);
    let windows: HashSet<&[u8]> = der.windows(16).chain(encoded.as_bytes().windows(16)).collect();
    // What the form of every RSA key holds, also of the one that was made by the rotation.
    let form = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
    assert!(der.windows(form.len()).any(|bytes| bytes == form));
    for (name, record) in &written {
        assert!(record.windows(16).all(|bytes| !windows.contains(bytes)), "{name}");
        assert!(record.windows(form.len()).all(|bytes| bytes != form), "{name}");
        assert!(SigningKey::from_pkcs8_der(record).is_err(), "{name}");
    }
}

#[tokio::test]
async fn key_14_a_store_that_fails_during_a_rotation_changes_nothing() {
    let world = Surroundings::new();
    let engine = world.kept(1).await;
    let before = engine.log_in().await;
    let document = engine.document().await;
    // The new key, the old key, the list: it fails at each of them.
    for taken in 0..3 {
        world.store.fail_after(taken);
        let error = engine.access.rotate_keys().await.unwrap_err().to_string();
        assert!(error.contains("the signing key was not rotated"), "{error}");
        assert!(error.contains("away"), "{error}");
        assert_eq!(engine.document().await, document, "{taken}");
        let token = engine.log_in().await;
        assert_eq!(key_id(&token), key_id(&before), "{taken}");
        assert!(engine.opens(&token).await && engine.opens(&before).await);
        assert_eq!(world.kept(1).await.document().await, document, "restarted, {taken}");
    }
    world.store.fail_after(3);
    engine.access.rotate_keys().await.unwrap();
    world.advance(LEAD);
    assert_eq!(engine.key_ids().await[1], key_id(&before));
    assert_eq!(world.kept(1).await.document().await, engine.document().await);
}

#[tokio::test]
async fn key_14_a_list_that_was_written_after_all_names_keys_that_are_there() {
    let world = Surroundings::new();
    let engine = world.kept(1).await;
    let before = engine.log_in().await;
    world.store.write_anyway();
    world.store.fail_after(2);
    engine.access.rotate_keys().await.unwrap_err();
    world.store.fail_after(ROOM);
    assert!(engine.opens(&before).await);
    let restarted = world.kept(1).await;
    assert_eq!(restarted.key_ids().await.len(), 2);
    assert!(restarted.opens(&before).await);
}

#[tokio::test]
async fn key_14_a_key_that_is_not_the_stores_is_no_first_key() {
    let world = Surroundings::new();
    world.kept(1).await;
    let builder = world.builder().master_secret(MasterSecret::from_bytes([1; 32]));
    let builder = builder.signing_key(SigningKey::generate().unwrap());
    let error = builder.build_persistent().await.unwrap_err().to_string();
    assert!(error.contains("rotate_keys"), "{error}");
}

#[tokio::test]
async fn key_11_key_14_the_document_may_be_kept_for_minutes() {
    let engine = Surroundings::new().engine(KeyRotation::default());
    let answer = engine.browser().get(CERTS).await;
    assert_eq!(answer.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(answer.header("expires"), None);
}

#[tokio::test]
async fn key_14_origins_get_no_assertion_of_a_key_that_was_replaced() {
    let world = Surroundings::new();
    let services = Policy::service_auth("ci").include(Rule::any_valid_service_token());
    let application = Application::new("Metrics", "metrics.example.com").unwrap().policy(services);
    let access = world
        .builder()
        .application(application)
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")))
        .build()
        .unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    let ask = async || {
        let request = Request::get("/")
            .header("host", "metrics.example.com")
            .header("cf-access-client-id", "ci.access")
            .header("cf-access-client-secret", "s3cret");
        let answer = send(&service, request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let seen = origin.last();
        key_id(seen.headers["cf-access-jwt-assertion"].to_str().unwrap())
    };
    let before = ask().await;
    assert_eq!(ask().await, before);
    access.rotate_keys().await.unwrap();
    assert_ne!(ask().await, before);
}

#[tokio::test]
async fn key_14_a_rotation_beside_a_login_that_fails_is_tried_again_a_minute_later() {
    let world = Surroundings::new();
    let engine = world.kept(1).await;
    world.advance(INTERVAL);
    world.store.fail_after(0);
    let before = engine.log_in().await;
    // A rotation under way is an error of its own; this one waits until that is over.
    let error = loop {
        let error = engine.access.rotate_keys().await.unwrap_err().to_string();
        if !error.contains("under way") {
            break error;
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    };
    assert!(error.contains("away"), "{error}");
    assert_eq!(engine.key_ids().await, [key_id(&before)]);
    world.store.fail_after(ROOM);
    world.advance(60 * SECOND);
    engine.log_in().await;
    assert_eq!(engine.key_ids_when(2).await[0], key_id(&before));
    world.advance(HOUR);
    assert_ne!(key_id(&engine.log_in().await), key_id(&before));
}

#[test]
fn key_14_without_a_runtime_other_processes_cannot_be_heard_of() {
    let world = Surroundings::new();
    let builder = world.builder().master_secret(MasterSecret::from_bytes([1; 32]));
    let building = std::pin::pin!(builder.build_persistent());
    let polled = building.poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Err(error)) = polled else { panic!("it waits, or was built") };
    assert!(error.to_string().contains("runtime"), "{error}");
    assert!(world.store.written().is_empty());
}

#[tokio::test]
async fn key_14_a_store_that_is_away_at_the_start_is_an_error() {
    let world = Surroundings::new();
    world.store.fail_after(0);
    let builder = world.builder().master_secret(MasterSecret::from_bytes([1; 32]));
    let error = builder.build_persistent().await.unwrap_err().to_string();
    assert!(error.contains("the store is unavailable"), "{error}");
}

#[tokio::test]
async fn key_14_an_engine_that_verifies_has_no_key_to_replace() {
    let world = Surroundings::new();
    let document = world.engine(KeyRotation::default()).document().await;
    let access = Access::verifier_builder("login.example.com")
        .unwrap()
        .audience(
            "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc".parse().unwrap(),
        )
        .keys(KeySet::from_jwks(document.as_bytes()).unwrap())
        .build()
        .unwrap();
    let error = access.rotate_keys().await.unwrap_err().to_string();
    assert!(error.contains("rotate the key at the issuer"), "{error}");
    assert_eq!(access.key_state(), KeyState::Fresh { keys: 1 });
}

#[tokio::test]
async fn new_settings_say_when_the_key_is_replaced_and_how_long_others_verify() {
    let world = Surroundings::new();
    let issuing = world.engine(KeyRotation::default());
    let first = issuing.log_in().await;
    issuing.access.rotate_keys().await.unwrap();
    assert!(issuing.opens(&first).await);
    assert_eq!(issuing.access.key_rotation().unwrap().interval, Some(INTERVAL));
    world.advance(HOUR);
    // A key ends earlier than it was said to when it was replaced.
    let short = KeyRotation::default().interval(10 * DAY).overlap(HOUR);
    issuing.access.reload(world.builder().key_rotation(short)).unwrap();
    assert_eq!(issuing.access.key_rotation().unwrap().interval, Some(10 * DAY));
    assert!(!issuing.opens(&first).await);
    assert_eq!(issuing.key_ids_when(1).await.len(), 1);
    // Settings that are wrong change nothing of it.
    let wrong = world
        .builder()
        .key_rotation(KeyRotation::default())
        .without_token_location(TokenLocation::Cookie);
    let wrong = wrong.without_token_location(TokenLocation::TokenHeader);
    assert!(issuing.access.reload(wrong).is_err());
    assert_eq!(issuing.access.key_rotation().unwrap().interval, Some(10 * DAY));
    let second = issuing.log_in().await;
    world.advance(10 * DAY);
    let third = issuing.log_in().await;
    issuing.key_ids_when(2).await;
    assert!(issuing.opens(&second).await && issuing.opens(&third).await);
}
