//! Providers that are down, slow or lie: a page, no session, and every other method as before.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::support::log::Log;
use crate::support::openid::back;
use crate::support::sockets::Act;

const LIES: &str = "did not answer as expected";

/// What a provider does instead of responding.
type Unresponsive = Box<dyn Fn() -> Act + Send>;

#[tokio::test]
async fn id_tokens_that_are_not_for_this_login_are_refused() {
    let world = World::new().await;
    let log = Log::of_this_test();
    for (name, value) in [
        ("nonce", json!("of another login")),
        ("nonce", Value::Null),
        ("iss", json!("https://evil.example")),
        ("iss", json!(world.partner.issuer())),
        ("aud", json!("another client")),
        ("aud", json!([CLIENT, "another client"])),
        ("azp", json!("another client")),
        ("exp", json!(support::NOW - 61)),
        ("exp", json!("9999999999")),
        ("iat", json!(support::NOW + 61)),
        ("nbf", json!(support::NOW + 61)),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let bent = value.clone();
        world.corp.bend_claims(move |claims| claims[name] = bent.clone());
        let mut browser = world.browser();
        let page = world.log_in(&mut browser, &user("ada")).await;
        is_page(&page, StatusCode::BAD_GATEWAY, LIES);
        assert!(page.text.contains("The corp provider"), "{name}");
        world.is_out(&mut browser).await;
    }
    world.corp.straighten();
    assert_eq!(world.log_in(&mut world.browser(), &user("ada")).await.status(), StatusCode::OK);
    world.others_still_work().await;
    let text = log.text();
    for secret in ["access/code", SECRET, "s%2Bc%25ret", ID_TOKEN_START] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn token_answers_that_are_none_are_refused() {
    let world = World::new().await;
    let unsigned = "eyJhbGciOiJub25lIiwia2lkIjoiay0xIn0.e30.";
    let json = |json: Value| move || Act::json(json.to_string());
    let refused = "The login has expired";
    let setup = "is not set up correctly";
    let cases: Vec<(Unresponsive, StatusCode, &str)> = vec![
        (Box::new(|| Act::Close), StatusCode::BAD_GATEWAY, LIES),
        (Box::new(|| Act::Hang), StatusCode::BAD_GATEWAY, LIES),
        (Box::new(|| Act::Drip), StatusCode::BAD_GATEWAY, LIES),
        (Box::new(|| Act::Flood), StatusCode::BAD_GATEWAY, LIES),
        (Box::new(|| Act::status("500 Nope")), StatusCode::BAD_GATEWAY, LIES),
        (Box::new(|| Act::status("302 Found")), StatusCode::BAD_GATEWAY, LIES),
        (Box::new(|| Act::json("<html>Log in</html>")), StatusCode::BAD_GATEWAY, LIES),
        (Box::new(json(json!([]))), StatusCode::BAD_GATEWAY, LIES),
        (Box::new(json(json!({}))), StatusCode::BAD_GATEWAY, LIES),
        (Box::new(json(json!({"access_token": 7}))), StatusCode::BAD_GATEWAY, LIES),
        (Box::new(json(json!({"access_token": "a"}))), StatusCode::BAD_GATEWAY, setup),
        (
            Box::new(json(json!({"access_token": "a", "id_token": unsigned}))),
            StatusCode::BAD_GATEWAY,
            LIES,
        ),
        (
            Box::new(json(json!({"access_token": "a", "id_token": "x".repeat(70_000)}))),
            StatusCode::BAD_GATEWAY,
            LIES,
        ),
        (Box::new(json(json!({"error": "invalid_grant"}))), StatusCode::FORBIDDEN, refused),
        (Box::new(json(json!({"error": "invalid_client"}))), StatusCode::BAD_GATEWAY, setup),
        (Box::new(json(json!({"error": "<b>odd</b>"}))), StatusCode::BAD_GATEWAY, LIES),
    ];
    for (act, status, title) in cases {
        world.corp.bend("/token", move |_| act());
        let mut browser = world.browser();
        let page = world.log_in(&mut browser, &user("ada")).await;
        is_page(&page, status, title);
        assert!(!page.text.contains("odd"));
        world.is_out(&mut browser).await;
    }
    world.others_still_work().await;
    world.corp.straighten();
    assert_eq!(world.log_in(&mut world.browser(), &user("ada")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_log_says_how_the_client_was_refused() {
    let world = World::new().await;
    let log = Log::of_this_test();
    world.corp.bend("/token", |_| Act::json(r#"{"error":"invalid_client"}"#));
    world.log_in(&mut world.browser(), &user("ada")).await;
    let text = log.text();
    assert!(text.contains("sent by client_secret_post"), "{text}");
}

#[tokio::test]
async fn a_userinfo_endpoint_that_lies_lets_nobody_in() {
    let world = World::new().await;
    world.corp.bend_claims(|claims| drop(claims.as_object_mut().unwrap().remove("email")));
    let cases: Vec<Box<dyn Fn(support::openid::Answer) -> Act + Send>> = vec![
        Box::new(|mut answer| {
            answer.json["sub"] = json!("sub of eve");
            answer.act()
        }),
        Box::new(|mut answer| {
            answer.json["sub"] = json!(["sub of ada"]);
            answer.act()
        }),
        Box::new(|mut answer| {
            answer.json.as_object_mut().unwrap().remove("sub");
            answer.act()
        }),
        Box::new(|_| Act::json("<html>")),
        Box::new(|_| Act::json("eyJhbGciOiJub25lIn0.e30.")),
        Box::new(|_| Act::status("403 Forbidden")),
        Box::new(|_| Act::Hang),
        Box::new(|_| Act::Flood),
    ];
    for bend in cases {
        world.corp.bend("/userinfo", bend);
        let mut browser = world.browser();
        let page = world.log_in(&mut browser, &user("ada")).await;
        is_page(&page, StatusCode::BAD_GATEWAY, LIES);
        world.is_out(&mut browser).await;
    }
    world.others_still_work().await;
}

#[tokio::test]
async fn an_address_that_nobody_vouches_for_lets_nobody_in() {
    let world = World::new().await;
    for verified in [json!(false), json!("no"), Value::Null] {
        let mut ada = user("ada");
        ada["email_verified"] = verified;
        let mut browser = world.browser();
        let page = world.log_in(&mut browser, &ada).await;
        is_page(&page, StatusCode::FORBIDDEN, "This account cannot be used here");
        assert!(!page.text.contains("ada@example.com"));
        world.is_out(&mut browser).await;
    }
    let trusting = World::with(OpenIdProvider::dangerous_trust_unverified_email).await;
    let mut ada = user("ada");
    ada["email_verified"] = json!(false);
    assert_eq!(trusting.log_in(&mut trusting.browser(), &ada).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_let_nobody_in() {
    for act in [Act::status("500 Nope"), Act::json("<html>"), Act::json("{}"), Act::Hang] {
        let world = World::new().await;
        world.corp.bend("/keys", move |_| act.clone());
        let mut browser = world.browser();
        let page = world.log_in(&mut browser, &user("ada")).await;
        is_page(&page, StatusCode::BAD_GATEWAY, LIES);
        world.is_out(&mut browser).await;
        world.others_still_work().await;
        world.corp.straighten();
        world.clock.advance(Duration::from_secs(3));
        let page = world.log_in(&mut world.browser(), &user("ada")).await;
        assert_eq!(page.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_right_is_not_used() {
    let with = |name: &'static str, value: Value| {
        move |mut answer: support::openid::Answer| {
            answer.json[name] = value.clone();
            answer.act()
        }
    };
    let cases: Vec<Box<dyn Fn(support::openid::Answer) -> Act + Send>> = vec![
        Box::new(with("issuer", json!("https://evil.example"))),
        Box::new(|mut answer| {
            let issuer = format!("{}/", answer.json["issuer"].as_str().unwrap());
            answer.json["issuer"] = json!(issuer);
            answer.act()
        }),
        Box::new(with("issuer", Value::Null)),
        Box::new(with("token_endpoint", json!("http://idp.example/token"))),
        Box::new(with("authorization_endpoint", json!("javascript:alert(1)"))),
        Box::new(with("jwks_uri", json!("file:///etc/passwd"))),
        Box::new(with("userinfo_endpoint", json!("http://idp.example/me"))),
        Box::new(with("end_session_endpoint", json!("http://idp.example/out"))),
        Box::new(with("token_endpoint", Value::Null)),
        Box::new(|_| Act::json("<html>")),
        Box::new(|_| Act::status("404 Not Found")),
        Box::new(|_| Act::Close),
        Box::new(|_| Act::Hang),
        Box::new(|_| Act::Flood),
    ];
    for bend in cases {
        let world = World::new().await;
        world.corp.bend("/.well-known/openid-configuration", bend);
        let mut browser = world.browser();
        let page = begin(&mut browser, WIKI, "corp").await;
        is_page(&page, StatusCode::BAD_GATEWAY, LIES);
        world.is_out(&mut browser).await;
        world.others_still_work().await;
        // It is asked again, soon.
        world.corp.straighten();
        world.clock.advance(Duration::from_secs(3));
        let page = world.log_in(&mut world.browser(), &user("ada")).await;
        assert_eq!(page.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn an_answer_of_one_provider_is_none_of_another() {
    for names_issuer in [true, false] {
        let world = World::new().await;
        if !names_issuer {
            for provider in [&world.corp, &world.partner] {
                provider.bend("/.well-known/openid-configuration", |mut answer| {
                    let name = "authorization_response_iss_parameter_supported";
                    answer.json[name] = json!(false);
                    answer.act()
                });
            }
        }
        let mut browser = world.browser();
        let at_corp = begin(&mut browser, WIKI, "corp").await;
        let at_partner = begin(&mut browser, WIKI, "partner").await;
        let (at_corp, at_partner) = (at_corp.location(), at_partner.location());
        // The user logs in at the one, and the answer arrives as that of the other.
        let code = world.partner.code(at_partner, &user("eve"));
        let mixed = if names_issuer {
            back(at_corp, &[("code", &code), ("iss", &world.partner.issuer())])
        } else {
            back(at_corp, &[("code", &code)])
        };
        let page = browser.get(&mixed).await;
        let title = if names_issuer { "belongs to another login" } else { "The login has expired" };
        is_page(&page, StatusCode::FORBIDDEN, title);
        assert_eq!(world.corp.asked("/token"), usize::from(!names_issuer), "the code went nowhere");
        world.is_out(&mut browser).await;
        // The state of the one under the name of the other.
        let state = |url: &str| support::query(url, "state").unwrap();
        let (corp, partner) = (state(at_corp), state(at_partner));
        let (mark, _) = partner.split_once('.').unwrap();
        let (_, sealed) = corp.split_once('.').unwrap();
        let issuer = world.partner.issuer();
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("code", &*code),
                ("iss", &issuer),
                ("state", &format!("{mark}.{sealed}")),
            ])
            .finish();
        let page = browser.get(&format!("{TEAM}/cdn-cgi/access/callback?{query}")).await;
        says(&page, StatusCode::FORBIDDEN, "Invalid session");
        assert_eq!(world.partner.asked("/token"), 0);
        // The user of the other provider still gets in, by it.
        let issuer = world.partner.issuer();
        let own = back(at_partner, &[("code", &code), ("iss", &issuer)]);
        assert_eq!(browser.visit(&own).await.1.text, "origin saw /docs?q=1");
    }
}
