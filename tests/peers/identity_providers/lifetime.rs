//! What happens at the provider after a login: groups change, accounts are disabled, people sign out.

use std::time::Duration;

use serde_json::{Value, json};

use super::agent::{Agent, WebSocket};
use super::world::*;
use crate::support::identity_providers::IdentityProvider;

/// How long the settings let an old word of the provider count.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

async fn world() -> (World, IdentityProvider) {
    world_with(json!({})).await
}

async fn world_with(settings: Value) -> (World, IdentityProvider) {
    let front = Front::bind().await;
    let corp = IdentityProvider::openid(front.openid(settings)).await;
    let ops = json!([{
        "oidc": { "claim_name": "groups", "claim_value": "ops", "identity_provider_id": "corp" }
    }]);
    let world = front
        .serve(|builder| {
            let provider = openid("corp", "Corp", &corp)
                .offline_access()
                // Without it oidc-provider gives no refresh token, and does not say so.
                .prompt("consent")
                .refresh_every(INTERVAL)
                .logs_out_at_provider();
            builder
                .identity_provider(provider)
                .application(application("Wiki", WIKI, ops))
                .application(application(
                    "Hall",
                    HALL,
                    json!([{ "email_domain": { "domain": "example.com" } }]),
                ))
        })
        .await;
    (world, corp)
}

/// Ada, at work.
async fn ada(world: &World) -> Agent {
    let mut ada = world.agent();
    let page = log_in_by(&mut ada, &format!("{WIKI}/"), "Corp", "ada").await;
    page.has_status(200).shows("to ada@example.com.");
    ada
}

/// Lets the time of an interval pass, after which the provider is asked.
async fn later(world: &World) {
    world.clock.advance(INTERVAL + Duration::from_secs(1));
}

async fn closes(socket: &mut WebSocket, within: Duration) {
    tokio::time::timeout(within, socket.closed()).await.expect("the socket is closed");
}

/// Sessions are looked at in turn, so all that waits for that waits together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_provider_says_later_counts_within_its_time() {
    tokio::join!(
        who_is_removed_from_a_group_is_out_with_all_that_is_open(),
        whoever_is_unknown_to_the_provider_is_logged_out(
            "account",
            json!({ "user": "ada", "disabled": true })
        ),
        whoever_is_unknown_to_the_provider_is_logged_out("revoke", json!({ "user": "ada" })),
        a_provider_that_rotates_refresh_tokens_is_asked_again_and_again(),
        an_outage_of_the_provider_ends_no_session(),
    );
}

async fn who_is_removed_from_a_group_is_out_with_all_that_is_open() {
    let (world, corp) = world().await;
    let mut ada = ada(&world).await;
    let mut socket = ada.web_socket(&format!("{WIKI}/socket")).await;
    assert!(socket.echoes().await);
    corp.set_claim("ada", "groups", json!(["staff"])).await;
    assert!(socket.echoes().await);
    later(&world).await;
    closes(&mut socket, PATIENCE).await;
    ada.open(&format!("{WIKI}/")).await.has_status(403).shows("No access to Wiki");
    // What needs no group stays open.
    ada.open(&format!("{HALL}/")).await.has_status(200);
    // And back again.
    corp.set_claim("ada", "groups", json!(["ops"])).await;
    later(&world).await;
    until("the group counts again", async || ada.open(&format!("{WIKI}/")).await.status == 200)
        .await;
}

async fn whoever_is_unknown_to_the_provider_is_logged_out(control: &str, parameters: Value) {
    let (world, corp) = world().await;
    let mut ada = ada(&world).await;
    let mut socket = ada.web_socket(&format!("{WIKI}/socket")).await;
    let mut bob = world.agent();
    log_in_by(&mut bob, &format!("{HALL}/"), "Corp", "bob").await.has_status(200);
    corp.control(control, parameters).await;
    later(&world).await;
    closes(&mut socket, PATIENCE).await;
    let page = ada.open(&format!("{HALL}/")).await;
    page.has_status(200).shows("Continue with Corp");
    bob.open(&format!("{HALL}/")).await.has_status(200).shows("to bob@example.com.");
}

/// A refresh token that is replaced at each use: the next one is kept.
async fn a_provider_that_rotates_refresh_tokens_is_asked_again_and_again() {
    let (world, corp) = world_with(json!({ "rotate_refresh_tokens": true })).await;
    let mut ada = ada(&world).await;
    corp.events().await;
    for _ in 0..2 {
        later(&world).await;
        until("the provider is asked", async || {
            let events = corp.events().await;
            assert!(events.iter().all(|it| it["event"] != "grant.error"), "{events:#?}");
            events.iter().any(|it| it["event"] == "grant.success")
        })
        .await;
        ada.open(&format!("{WIKI}/")).await.has_status(200);
    }
}

/// A provider that is away says nothing about anybody.
async fn an_outage_of_the_provider_ends_no_session() {
    let (world, corp) = world().await;
    let mut ada = ada(&world).await;
    let mut socket = ada.web_socket(&format!("{WIKI}/socket")).await;
    corp.events().await;
    corp.control("outage", json!({ "status": 503 })).await;
    later(&world).await;
    until("the provider is asked in vain", async || corp.count("outage").await > 0).await;
    ada.open(&format!("{HALL}/")).await.has_status(200).shows("to ada@example.com.");
    assert!(socket.echoes().await);
    corp.set_claim("ada", "groups", json!(["staff"])).await;
    corp.control("outage", json!({ "status": null })).await;
    later(&world).await;
    closes(&mut socket, PATIENCE).await;
    ada.open(&format!("{WIKI}/")).await.has_status(403).shows("No access to Wiki");
}

/// Nobody has to wait for the interval who knows of the change.
#[tokio::test]
async fn a_refreshed_identity_has_the_groups_of_now() {
    let (world, corp) = world().await;
    let mut bob = world.agent();
    let page = log_in_by(&mut bob, &format!("{WIKI}/"), "Corp", "bob").await;
    page.has_status(403).shows("No access to Wiki");
    corp.set_claim("bob", "groups", json!(["ops"])).await;
    bob.open(&format!("{WIKI}/")).await.has_status(403).shows("No access to Wiki");
    let page = bob.open(&format!("{TEAM}/cdn-cgi/access/refresh-identity")).await;
    // The provider knows him, and asks again for what needs a consent.
    let page =
        if page.text.contains("Allow it?") { bob.submit(&page, "Allow", &[]).await } else { page };
    page.has_status(200);
    assert_eq!(page.url.path(), "/cdn-cgi/access/refresh-identity");
    let query = page.url.query().unwrap();
    assert!(query.starts_with("success=true&on_success=callback"), "{query}");
    bob.open(&format!("{WIKI}/")).await.has_status(200).shows("to bob@example.com.");
}

#[tokio::test]
async fn who_logs_out_here_is_asked_at_the_provider_and_comes_back() {
    let (world, corp) = world().await;
    let mut ada = ada(&world).await;
    let page = ada.open(&format!("{WIKI}/cdn-cgi/access/logout")).await;
    page.shows("Sign out?");
    assert!(page.url.as_str().starts_with(&corp.origin), "{}", page.url);
    // The session here is over, whatever she answers there.
    let mut early = ada.clone();
    early.open(&format!("{WIKI}/")).await.shows("Continue with Corp");
    let page = ada.submit(&page, "Sign out", &[("logout", "yes")]).await;
    assert_eq!(page.url.host_str(), Some(TEAM_HOST));
    page.has_status(200).shows("logged out");
    assert_eq!(corp.count("end_session.success").await, 1);
    // And there.
    let page = begin_page(&mut ada, &format!("{WIKI}/"), "Corp").await;
    page.shows("Password");
}

#[tokio::test]
async fn who_signs_out_at_the_provider_is_out_here_within_a_second() {
    let (world, corp) = world().await;
    let mut ada = ada(&world).await;
    let mut socket = ada.web_socket(&format!("{WIKI}/socket")).await;
    let mut bob = world.agent();
    log_in_by(&mut bob, &format!("{HALL}/"), "Corp", "bob").await.has_status(200);
    // By the provider's own page, which knows nothing of us.
    let page = ada.open(&format!("{}/session/end", corp.origin)).await;
    corp.events().await;
    let page = ada.submit(&page, "Sign out", &[("logout", "yes")]).await;
    page.shows("Signed out");
    let events = corp.events().await;
    let told: Vec<_> = events.iter().filter(|it| it["event"] == "backchannel.success").collect();
    assert_eq!(told.len(), 1, "{events:#?}");
    closes(&mut socket, Duration::from_secs(1)).await;
    ada.open(&format!("{WIKI}/")).await.shows("Continue with Corp");
    bob.open(&format!("{HALL}/")).await.has_status(200).shows("to bob@example.com.");
}

/// One of two browsers is signed out: the other one goes on.
#[tokio::test]
async fn a_logout_at_the_provider_is_of_one_session_there() {
    let (world, corp) = world().await;
    let (mut here, mut there) = (ada(&world).await, ada(&world).await);
    let page = here.open(&format!("{}/session/end", corp.origin)).await;
    here.submit(&page, "Sign out", &[("logout", "yes")]).await.shows("Signed out");
    here.open(&format!("{WIKI}/")).await.shows("Continue with Corp");
    there.open(&format!("{WIKI}/")).await.has_status(200).shows("to ada@example.com.");
    // The provider ends all of them.
    let answers = corp.control("sign-out", json!({ "user": "ada" })).await;
    assert!(answers.as_array().unwrap().iter().all(|it| it.get("error").is_none()), "{answers}");
    there.open(&format!("{WIKI}/")).await.shows("Continue with Corp");
}

/// Whoever has seen a notice of the provider cannot end a later session with it.
#[tokio::test]
async fn a_notice_of_the_provider_counts_once() {
    let (world, corp) = world().await;
    let mut here = ada(&world).await;
    let answers = corp.control("sign-out", json!({ "user": "ada" })).await;
    assert_eq!(answers.as_array().unwrap().len(), 1, "{answers}");
    here.open(&format!("{WIKI}/")).await.shows("Continue with Corp");
    let events = corp.events().await;
    let told = events.iter().find(|it| it["event"] == "told").unwrap();
    let (url, notice) = (told["url"].as_str().unwrap(), told["body"].as_str().unwrap());
    let notice = notice.strip_prefix("logout_token=").unwrap();
    let mut again = ada(&world).await;
    let session = again.cookie(TEAM_HOST, "CF_Authorization").unwrap();
    // The second time; a session's token in its place; nothing at all.
    for text in [notice, &*session, ""] {
        let mut eve = world.agent();
        eve.post(url, &[("logout_token", text)]).await.has_status(400);
    }
    again.open(&format!("{WIKI}/")).await.has_status(200).shows("to ada@example.com.");
}
