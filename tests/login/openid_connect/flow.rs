//! A login from its first step to its last.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::support::query;
use crate::support::sockets::Act;

#[tokio::test]
async fn a_user_logs_in_by_a_provider_and_lands_on_the_requested_page() {
    let world = World::with(|corp| corp.claims(["department", "level"])).await;
    let mut browser = world.browser();
    let at_provider = begin(&mut browser, WIKI, "corp").await;
    assert_eq!(at_provider.status(), StatusCode::FOUND);
    let url = at_provider.location();
    let parameter = |name: &str| query(url, name).unwrap();
    assert_eq!(parameter("redirect_uri"), format!("{TEAM}/cdn-cgi/access/callback"));
    assert_eq!(parameter("scope"), "openid email profile");
    assert_eq!(parameter("code_challenge").len(), 43);
    assert_eq!(parameter("nonce").len(), 43);
    assert!(url.len() < 2_000, "{}", url.len());
    let mut ada = user("ada");
    ada["department"] = json!("r-and-d");
    ada["amr"] = json!(["pwd", "mfa"]);
    let callback = world.corp.log_in(url, &ada);
    let (_, page) = browser.visit(&callback).await;
    assert_eq!((page.status(), &*page.text), (StatusCode::OK, "origin saw /docs?q=1"));
    assert_eq!(world.seen_email(), "ada@example.com");
    let answer = browser.get(&format!("{TEAM}/cdn-cgi/access/get-identity")).await;
    let identity: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(identity["email"], "ada@example.com");
    assert_eq!(identity["idp"], json!({"id": "corp", "type": "oidc"}));
    assert_eq!(identity["groups"], json!([{"name": "staff"}]));
    assert_eq!(identity["amr"], json!(["pwd", "mfa"]));
    assert_eq!(identity["oidc_fields"], json!({"department": "r-and-d", "groups": "staff"}));
    // A group of this provider opens what needs it.
    let (_, page) = browser.visit(OPS).await;
    assert_eq!(page.text, "origin saw /");
    // The same group of another one does not.
    let mut other = world.browser();
    let at_provider = begin(&mut other, OPS, "partner").await;
    let callback = world.partner.log_in(at_provider.location(), &user("ada"));
    assert_eq!(other.visit(&callback).await.1.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_client_proves_itself_as_the_provider_supports_it() {
    for (supported, header) in [
        (json!(["client_secret_post"]), false),
        (json!(["client_secret_basic", "client_secret_post", "private_key_jwt"]), false),
        (json!(["client_secret_basic"]), true),
        (Value::Null, true),
    ] {
        let world = World::new().await;
        let stated = supported.clone();
        world.corp.bend("/.well-known/openid-configuration", move |mut answer| {
            answer.json["token_endpoint_auth_methods_supported"] = stated.clone();
            answer.act()
        });
        let page = world.log_in(&mut world.browser(), &user("ada")).await;
        assert_eq!(page.status(), StatusCode::OK, "{supported}");
        assert_eq!(world.corp.token_request_had_header(), header, "{supported}");
    }
    // A provider that supports neither cannot be used.
    let world = World::new().await;
    world.corp.bend("/.well-known/openid-configuration", |mut answer| {
        answer.json["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt"]);
        answer.act()
    });
    let answer = begin(&mut world.browser(), WIKI, "corp").await;
    is_page(&answer, StatusCode::BAD_GATEWAY, "did not answer as expected");
}

#[tokio::test]
async fn what_the_id_token_lacks_comes_from_the_userinfo_endpoint() {
    let world = World::new().await;
    let little = |claims: &mut Value| {
        for name in ["email", "email_verified", "groups"] {
            claims.as_object_mut().unwrap().remove(name);
        }
    };
    let mut browser = world.browser();
    assert_eq!(world.log_in(&mut browser, &user("ada")).await.status(), StatusCode::OK);
    assert_eq!(world.corp.asked("/userinfo"), 0, "nothing was absent");
    world.corp.bend_claims(little);
    let mut browser = world.browser();
    assert_eq!(world.log_in(&mut browser, &user("grace")).await.status(), StatusCode::OK);
    assert_eq!(
        (world.seen_email(), world.corp.asked("/userinfo")),
        ("grace@example.com".into(), 1)
    );
    assert_eq!(browser.visit(OPS).await.1.text, "origin saw /");
}

#[tokio::test]
async fn a_provider_without_discovery_needs_its_endpoints() {
    let (corp, partner) = (OpenId::start().await, OpenId::start().await);
    let at = |path: &str| corp.server.url(path);
    let endpoints =
        tower_access::login::OpenIdEndpoints::new(&at("/authorize"), &at("/token"), &at("/keys"))
            .unwrap();
    let settings = provider("corp", &corp.issuer()).endpoints(endpoints);
    let world = World::of(settings, corp, partner);
    let page = world.log_in(&mut world.browser(), &user("ada")).await;
    assert_eq!(page.text, "origin saw /docs?q=1");
    assert_eq!(world.corp.asked("/.well-known/openid-configuration"), 0);
    assert!(!world.corp.token_request_had_header());
}

#[tokio::test]
async fn a_provider_is_asked_for_its_configuration_once_and_again_in_the_background() {
    let world = World::new().await;
    for _ in 0..3 {
        assert_eq!(world.log_in(&mut world.browser(), &user("ada")).await.status(), StatusCode::OK);
    }
    let configuration = "/.well-known/openid-configuration";
    assert_eq!((world.corp.asked(configuration), world.corp.asked("/keys")), (1, 1));
    // Nobody waits for a provider whose configuration is known.
    world.corp.bend(configuration, |_| Act::Hang);
    world.clock.advance(Duration::from_secs(2 * 3600));
    let answer = begin(&mut world.browser(), WIKI, "corp").await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    // After a day without it, it is not used any more.
    world.clock.advance(Duration::from_secs(23 * 3600));
    world.corp.bend(configuration, |_| Act::status("500 Nope"));
    let answer = begin(&mut world.browser(), WIKI, "corp").await;
    is_page(&answer, StatusCode::BAD_GATEWAY, "did not answer as expected");
    world.corp.straighten();
    world.clock.advance(Duration::from_secs(3));
    let answer = begin(&mut world.browser(), WIKI, "corp").await;
    assert_eq!(answer.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn a_rotated_key_is_found_and_a_withdrawn_one_does_not_sign() {
    let world = World::new().await;
    assert_eq!(world.log_in(&mut world.browser(), &user("ada")).await.status(), StatusCode::OK);
    world.clock.advance(Duration::from_secs(30));
    world.corp.rotate("k-2");
    assert_eq!(world.log_in(&mut world.browser(), &user("ada")).await.status(), StatusCode::OK);
    // A key that is not published.
    world.corp.bend("/keys", |_| Act::json(json!({"keys": []}).to_string()));
    world.clock.advance(Duration::from_secs(30));
    world.corp.rotate("k-3");
    let page = world.log_in(&mut world.browser(), &user("ada")).await;
    is_page(&page, StatusCode::BAD_GATEWAY, "did not answer as expected");
    world.others_still_work().await;
}

#[tokio::test]
async fn begun_logins_leave_nothing_behind() {
    let world = World::new().await;
    let mut browser = world.browser();
    let refused = browser.get(WIKI).await;
    let login = format!("{}&connector_id=corp", refused.location());
    // The first one fetches the configuration.
    assert_eq!(browser.get(&login).await.status(), StatusCode::FOUND);
    let mut states = std::collections::HashSet::new();
    for number in 0..20_000 {
        if number % 100 == 0 {
            browser.forget("login.example.com");
        }
        let answer = browser.get(&login).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        states.insert(query(answer.location(), "state").unwrap());
    }
    assert_eq!(states.len(), 20_000);
    assert_eq!(world.store.kinds(), std::collections::BTreeMap::new());
    assert_eq!(world.corp.asked("/token"), 0);
    // A login that is finished leaves its session, and that its code was used.
    assert_eq!(world.log_in(&mut world.browser(), &user("ada")).await.status(), StatusCode::OK);
    assert_eq!(world.store.records("code-redeemed"), 1);
    assert_eq!(world.store.records("session"), 1);
}

#[tokio::test]
async fn what_was_asked_for_is_requested() {
    let world = World::with(|corp| {
        corp.scopes(["email"])
            .prompt("select_account")
            .max_age(Duration::from_secs(600))
            .offline_access()
    })
    .await;
    let answer = begin(&mut world.browser(), WIKI, "corp").await;
    let parameter = |name: &str| query(answer.location(), name).unwrap();
    assert_eq!(parameter("scope"), "openid email offline_access");
    assert_eq!(
        (parameter("prompt"), parameter("max_age")),
        ("select_account".into(), "600".into())
    );
    // Then the provider has to say when the user entered a password.
    let page = world.log_in(&mut world.browser(), &user("ada")).await;
    is_page(&page, StatusCode::FORBIDDEN, "This account cannot be used here");
    let mut ada = user("ada");
    ada["auth_time"] = json!(support::NOW - 500);
    assert_eq!(world.log_in(&mut world.browser(), &ada).await.status(), StatusCode::OK);
}
