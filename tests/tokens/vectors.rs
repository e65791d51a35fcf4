//! The cases in `tests/vectors/jwt.json`: through the verifier alone, and through the layers.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tower::Layer;
use tower_access::clock::{ManualClock, Timestamp};
use tower_access::identity::Subject;
use tower_access::token::keys::{FetchedKeys, KeyFetch, KeyFuture, KeySet, RemoteKeys};
use tower_access::token::{Expected, TokenKind, verify};
use tower_access::{Access, AccessLayer, Identity};

use crate::support::{Origin, send};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/jwt.json")).unwrap()
}

/// catalogue: vectors/jwt.json
#[test]
fn every_case_is_judged_as_stated() {
    let document = vectors();
    let keys = KeySet::from_jwks(document["jwks"].to_string().as_bytes()).unwrap();
    let audiences = [document["audience"].as_str().unwrap()];
    let expected =
        Expected::new(document["issuer"].as_str().unwrap(), &audiences, TokenKind::Application)
            .with_leeway(Duration::from_secs(document["leeway"].as_u64().unwrap()));
    let now = Timestamp::from_unix_seconds(document["now"].as_u64().unwrap());
    for case in document["vectors"].as_array().unwrap() {
        let token = case["token"].as_str().unwrap();
        let subject = verify(token, &keys, expected, now).and_then(|claims| claims.subject());
        let name = &case["name"];
        match (case["expect"].as_str().unwrap(), subject) {
            ("accept", Ok(Subject::User { email, .. })) => {
                assert_eq!(case["identity"]["email"], email.as_str(), "{name}");
            }
            ("accept", Ok(Subject::Service { client_id })) => {
                assert_eq!(case["identity"]["common_name"], &*client_id, "{name}");
            }
            ("reject", Err(_)) => {}
            (expectation, outcome) => panic!("{name}: {expectation}, but {outcome:?}"),
        }
    }
}

#[derive(Debug)]
struct Published(Bytes);

impl KeyFetch for Published {
    fn fetch(&self) -> KeyFuture<'_> {
        Box::pin(async { Ok(FetchedKeys::new(self.0.clone())) })
    }
}

/// catalogue: vectors/jwt.json
#[tokio::test]
async fn every_case_passes_the_layers_or_does_not() {
    let document = vectors();
    let now = Timestamp::from_unix_seconds(document["now"].as_u64().unwrap());
    let access = Access::verifier_builder(document["issuer"].as_str().unwrap())
        .unwrap()
        .audience(document["audience"].as_str().unwrap().parse().unwrap())
        .keys(RemoteKeys::new(Published(document["jwks"].to_string().into())))
        .clock(std::sync::Arc::new(ManualClock::new(now)))
        .build()
        .unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    let mut refusals = Vec::new();
    for case in document["vectors"].as_array().unwrap() {
        let before = origin.count();
        // Twice: the second time a good token comes from the cache.
        for _ in 0..2 {
            let request = Request::builder()
                .uri("/docs")
                .header("host", "wiki.example.com")
                .header("cf-access-jwt-assertion", case["token"].as_str().unwrap())
                .body(Full::default())
                .unwrap();
            let answer = send(&service, request).await;
            let name = &case["name"];
            if case["expect"] == "accept" {
                assert_eq!(answer.status(), StatusCode::OK, "{name}");
                let parts = origin.last();
                let identity = parts.extensions.get::<Identity>().unwrap();
                assert_eq!(identity.email(), case["identity"]["email"].as_str(), "{name}");
                assert_eq!(
                    identity.client_id(),
                    case["identity"]["common_name"].as_str(),
                    "{name}"
                );
                assert_eq!(
                    parts.headers["cf-access-jwt-assertion"],
                    case["token"].as_str().unwrap()
                );
            } else {
                assert_eq!(origin.count(), before, "{name} reached the origin");
                let reference = answer.text.split("\"reference\":").nth(1).unwrap().to_owned();
                refusals.push((answer.status(), answer.text.replace(&reference, "")));
            }
        }
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "refusals differ from outside: {refusals:?}");
}

#[test]
fn jwt_23_jwt_24_no_changed_or_shortened_token_is_good() {
    let document = vectors();
    let keys = KeySet::from_jwks(document["jwks"].to_string().as_bytes()).unwrap();
    let audiences = [document["audience"].as_str().unwrap()];
    let expected =
        Expected::new(document["issuer"].as_str().unwrap(), &audiences, TokenKind::Application);
    let now = Timestamp::from_unix_seconds(document["now"].as_u64().unwrap());
    let token = document["vectors"][0]["token"].as_str().unwrap();
    assert!(verify(token, &keys, expected, now).is_ok());
    for length in 0..token.len() {
        assert!(verify(&token[..length], &keys, expected, now).is_err(), "cut at {length}");
    }
    for place in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.as_bytes().to_vec();
            bytes[place] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(verify(&changed, &keys, expected, now).is_err(), "bit {bit} of {place}");
        }
    }
}

#[test]
fn jwt_10_jwt_22_hostile_shapes_are_refused_in_bounded_time() {
    let keys = KeySet::from_jwks(vectors()["jwks"].to_string().as_bytes()).unwrap();
    let expected =
        Expected::new("https://example-team.cloudflareaccess.com", &["x"], TokenKind::Application);
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        ".".repeat(1_000_000),
        "a".repeat(1_000_000),
        format!("{}.e30.AAAA", "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ"),
        "bnVsbA.bnVsbA.AAAA".into(),
        "W10.W10.AAAA".into(),
    ] {
        assert!(verify(&token, &keys, expected, Timestamp::from_unix_seconds(1)).is_err());
    }
}
