//! Whose word counts at which provider, through the whole login.

use http::StatusCode;
use serde_json::json;
use tower_access::login::OpenIdEndpoints;

use super::*;
use crate::support::query;

fn endpoints(provider: &OpenId) -> OpenIdEndpoints {
    let at = |path: &str| provider.server.url(path);
    OpenIdEndpoints::new(&at("/authorize"), &at("/token"), &at("/keys"))
        .unwrap()
        .userinfo_url(&at("/userinfo"))
        .unwrap()
}

/// A provider that claims to be this one.
async fn posing_as(issuer: &'static str, settings: impl FnOnce() -> OpenIdProvider) -> World {
    let (corp, partner) = (OpenId::start().await, OpenId::start().await);
    corp.bend_claims(move |claims| claims["iss"] = json!(issuer));
    let settings = settings().endpoints(endpoints(&corp));
    World::of(settings, corp, partner)
}

/// A login without `iss` in the answer.
async fn log_in(world: &World, user: &Value) -> Answer {
    let mut browser = world.browser();
    let at_provider = begin(&mut browser, WIKI, "corp").await;
    let code = world.corp.code(at_provider.location(), user);
    let callback = support::openid::back(at_provider.location(), &[("code", &code)]);
    browser.visit(&callback).await.1
}

fn secret() -> tower_access::secret::SecretText {
    SECRET.to_owned().into()
}

#[tokio::test]
async fn google_lets_in_the_accounts_of_the_configured_domain_only() {
    let world = posing_as("https://accounts.google.com", || {
        OpenIdProvider::google_workspace("corp", "example.com", CLIENT, secret()).unwrap()
    })
    .await;
    let answer = begin(&mut world.browser(), WIKI, "corp").await;
    assert_eq!(query(answer.location(), "hd").as_deref(), Some("example.com"));
    assert_eq!(query(answer.location(), "access_type"), None);
    let mut ada = user("ada");
    is_page(&log_in(&world, &ada).await, StatusCode::FORBIDDEN, "This account cannot be used here");
    ada["hd"] = json!("evil.example");
    is_page(&log_in(&world, &ada).await, StatusCode::FORBIDDEN, "This account cannot be used here");
    ada["hd"] = json!("example.com");
    assert_eq!(log_in(&world, &ada).await.text, "origin saw /docs?q=1");
    assert_eq!(world.corp.asked("/userinfo"), 0, "Google has nothing to add");
    let offline = posing_as("https://accounts.google.com", || {
        OpenIdProvider::google("corp", CLIENT, secret()).unwrap().offline_access()
    })
    .await;
    let answer = begin(&mut offline.browser(), WIKI, "corp").await;
    assert_eq!(query(answer.location(), "access_type").as_deref(), Some("offline"));
    assert_eq!(query(answer.location(), "prompt").as_deref(), Some("consent"));
    assert_eq!(query(answer.location(), "hd"), None);
}

#[tokio::test]
async fn entra_needs_a_claim_that_the_domain_is_verified() {
    const TENANT: &str = "7d3c1e0a-0000-4000-8000-0123456789ab";
    let issuer = "https://login.microsoftonline.com/7d3c1e0a-0000-4000-8000-0123456789ab/v2.0";
    let world =
        posing_as(issuer, || OpenIdProvider::entra("corp", TENANT, CLIENT, secret()).unwrap())
            .await;
    let mut ada = json!({"sub": "pairwise", "email": "ada@example.com", "groups": ["g-1"]});
    // Any tenant's administrator can write this address.
    is_page(&log_in(&world, &ada).await, StatusCode::FORBIDDEN, "This account cannot be used here");
    ada["email_verified"] = json!(true);
    is_page(&log_in(&world, &ada).await, StatusCode::FORBIDDEN, "This account cannot be used here");
    ada["xms_edov"] = json!(false);
    is_page(&log_in(&world, &ada).await, StatusCode::FORBIDDEN, "This account cannot be used here");
    ada["xms_edov"] = json!(1);
    assert_eq!(log_in(&world, &ada).await.text, "origin saw /docs?q=1");
    ada.as_object_mut().unwrap().remove("xms_edov");
    ada["verified_primary_email"] = json!(["ada@example.com"]);
    assert_eq!(log_in(&world, &ada).await.text, "origin saw /docs?q=1");
    // A token of another tenant.
    world.corp.bend_claims(|claims| {
        let other = "https://login.microsoftonline.com/00000000-0000-4000-8000-0123456789ab/v2.0";
        claims["iss"] = json!(other);
    });
    is_page(&log_in(&world, &ada).await, StatusCode::BAD_GATEWAY, "did not answer as expected");
}
