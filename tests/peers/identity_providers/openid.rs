//! Logins by OpenID Connect.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::agent::Page;
use super::world::*;
use crate::support::identity_providers::IdentityProvider;
use crate::support::query;

/// The groups of the policies, as the provider names them.
fn ops() -> Value {
    json!([{ "oidc": { "claim_name": "groups", "claim_value": "ops", "identity_provider_id": "corp" } }])
}

fn staff() -> Value {
    json!([{ "email_domain": { "domain": "example.com" } }])
}

/// The proxy with one provider, `Corp`, and two applications: one is for `ops`.
async fn world(settings: Value) -> (World, IdentityProvider) {
    let front = Front::bind().await;
    let corp = IdentityProvider::openid(front.openid(settings)).await;
    let world = front
        .serve(|builder| {
            builder
                .identity_provider(openid("corp", "Corp", &corp))
                .application(application("Wiki", WIKI, ops()))
                .application(application("Hall", HALL, staff()))
        })
        .await;
    (world, corp)
}

#[tokio::test]
async fn a_login_leads_from_the_choice_to_the_page_that_was_asked_for() {
    let (world, corp) = world(json!({ "consent": true })).await;
    let mut ada = world.agent();
    let page = ada.open(&format!("{WIKI}/docs?page=1&x=%2F")).await;
    page.has_status(200).shows("Log in to Wiki").shows("Continue with Corp");
    assert!(page.url.as_str().starts_with(TEAM), "{}", page.url);
    let page = ada.follow(&page, "Continue with Corp").await;
    page.shows("Password");
    let page = ada.submit(&page, "Sign in", &[("login", "ada"), ("password", "wrong")]).await;
    page.shows("Wrong user or password.");
    let page = ada.submit(&page, "Sign in", &[("login", "ada"), ("password", "secret")]).await;
    page.shows("Allow it?");
    let page = ada.submit(&page, "Allow", &[]).await;
    page.has_status(200).shows("The origin shows /docs?page=1&x=%2F to ada@example.com.");
    assert_eq!(page.url.as_str(), format!("{WIKI}/docs?page=1&x=%2F"));

    let claims = world.origin.last().claims();
    assert_eq!(claims["email"], "ada@example.com");
    assert_eq!(claims["type"], "app");
    let identity = ada.open(&format!("{WIKI}/cdn-cgi/access/get-identity")).await;
    let identity: Value = serde_json::from_str(&identity.text).unwrap();
    assert_eq!(identity["email"], "ada@example.com");
    assert_eq!(identity["idp"], json!({ "id": "corp", "type": "oidc" }));
    assert_eq!(identity["amr"], json!(["pwd", "mfa"]));

    // What the provider was asked for: nothing may be guessed, nothing may come back elsewhere.
    let events = corp.events().await;
    let asked = events.iter().find(|it| it["event"] == "authorization.success").unwrap();
    let asked = &asked["params"];
    assert_eq!(asked["redirect_uri"], CALLBACK);
    assert_eq!(asked["code_challenge_method"], "S256");
    for (name, length) in [("code_challenge", 43), ("nonce", 22), ("state", 22)] {
        assert!(asked[name].as_str().unwrap().len() >= length, "{name}: {asked}");
    }
    // One login, one session: the next application asks nobody.
    let page = ada.open(&format!("{HALL}/")).await;
    page.has_status(200).shows("to ada@example.com.");
    assert_eq!(corp.count("authorization.success").await, 0);
}

#[tokio::test]
async fn groups_of_the_provider_decide_who_enters() {
    for in_id_token in [false, true] {
        let (world, _corp) = world(json!({ "conform_id_token_claims": !in_id_token })).await;
        let mut ada = world.agent();
        log_in_by(&mut ada, &format!("{WIKI}/"), "Corp", "ada").await.shows("to ada@example.com.");
        let mut bob = world.agent();
        let page = log_in_by(&mut bob, &format!("{WIKI}/"), "Corp", "bob").await;
        page.has_status(403).shows("No access to Wiki");
        bob.open(&format!("{HALL}/")).await.has_status(200).shows("to bob@example.com.");
        bob.open(&format!("{WIKI}/")).await.has_status(403).shows("No access to Wiki");
        let entered = world.origin.received();
        let emails: Vec<_> = entered.iter().map(|it| it.email.as_str()).collect();
        assert_eq!(emails, ["ada@example.com", "bob@example.com"]);
    }
}

/// A provider that wants PKCE of all clients takes our logins, and refuses the same without the challenge.
#[tokio::test]
async fn pkce_is_there_where_the_provider_requires_it() {
    let (world, corp) = world(json!({ "require_pkce": true })).await;
    let mut ada = world.agent();
    log_in_by(&mut ada, &format!("{WIKI}/"), "Corp", "ada").await.shows("to ada@example.com.");

    let mut eve = world.agent();
    let mut asked = begin(&mut eve, &format!("{WIKI}/"), "Corp").await;
    let pairs: Vec<(String, String)> = asked.query_pairs().into_owned().collect();
    let kept = pairs.iter().filter(|(name, _)| !name.starts_with("code_challenge"));
    asked.query_pairs_mut().clear().extend_pairs(kept);
    let page = eve.open(asked.as_str()).await;
    page.has_status(502).shows("The identity provider is not set up correctly");
    let events = corp.events().await;
    let refused = events.iter().find(|it| it["event"] == "authorization.error");
    assert_eq!(refused.unwrap()["error"], "invalid_request");
    assert!(eve.cookie(TEAM_HOST, "CF_Authorization").is_none());
}

/// The code of a login is worth nothing with the verifier of another.
#[tokio::test]
async fn flow_08_a_code_of_another_login_is_not_redeemed() {
    let (world, corp) = world(json!({})).await;
    let mut eve = world.agent();
    let page = begin_page(&mut eve, &format!("{WIKI}/"), "Corp").await;
    let answer = answer_for(&mut eve, &page, "bob").await;
    let stolen = query(answer.as_str(), "code").unwrap();

    // Ada's login is answered with the code of the other.
    let mut ada = world.agent();
    let asked = begin(&mut ada, &format!("{WIKI}/"), "Corp").await;
    let state = query(asked.as_str(), "state").unwrap();
    let issuer = corp.said("issuer");
    let mut forged = url::Url::parse(CALLBACK).unwrap();
    forged.query_pairs_mut().extend_pairs([
        ("code", &*stolen),
        ("state", &*state),
        ("iss", issuer),
    ]);
    let page = ada.open(forged.as_str()).await;
    page.has_status(403).shows("Start again");
    assert!(ada.cookie(TEAM_HOST, "CF_Authorization").is_none());
    let refusals = corp.events().await;
    let refusals: Vec<_> = refusals.iter().filter(|it| it["event"] == "grant.error").collect();
    assert_eq!(refusals.len(), 1, "{refusals:#?}");
    assert!(refusals[0]["detail"].as_str().unwrap().contains("code_verifier"), "{refusals:#?}");
}

#[tokio::test]
async fn each_algorithm_of_the_provider_is_verified_and_new_keys_are_found() {
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384"] {
        let (world, corp) = world(json!({ "keys": [algorithm] })).await;
        let mut ada = world.agent();
        let page = log_in_by(&mut ada, &format!("{WIKI}/"), "Corp", "ada").await;
        page.has_status(200).shows("to ada@example.com.");
        corp.control("rotate-keys", json!({})).await;
        // Its keys are asked for at most every ten seconds.
        world.clock.advance(Duration::from_secs(11));
        let mut bob = world.agent();
        let page = log_in_by(&mut bob, &format!("{HALL}/"), "Corp", "bob").await;
        page.has_status(200).shows("to bob@example.com.");
        // The sessions that there are have nothing to do with its keys.
        ada.open(&format!("{WIKI}/")).await.has_status(200);
    }
}

#[tokio::test]
async fn pol_02_an_address_that_the_provider_has_not_verified_is_nobodys() {
    let (world, corp) = world(json!({})).await;
    for verified in [json!(false), Value::Null, json!("yes")] {
        corp.set_claim("ada", "email_verified", verified.clone()).await;
        let mut ada = world.agent();
        let page = log_in_by(&mut ada, &format!("{HALL}/"), "Corp", "ada").await;
        page.has_status(403).shows("This account cannot be used here");
        assert!(ada.cookie(TEAM_HOST, "CF_Authorization").is_none(), "{verified}");
    }
    corp.set_claim("ada", "email_verified", json!(true)).await;
    let mut ada = world.agent();
    log_in_by(&mut ada, &format!("{HALL}/"), "Corp", "ada").await.has_status(200);
    assert_eq!(world.origin.received().len(), 1);
}

#[tokio::test]
async fn who_changes_their_mind_at_the_provider_can_start_again() {
    let (world, _corp) = world(json!({})).await;
    let mut ada = world.agent();
    let page = begin_page(&mut ada, &format!("{WIKI}/here"), "Corp").await;
    let page = ada.submit(&page, "Cancel", &[]).await;
    page.has_status(403).shows("The login was refused").shows("Start again");
    let page = ada.follow(&page, "Start again").await;
    let page = ada.follow(&page, "Continue with Corp").await;
    let page = sign_in(&mut ada, &page, "ada").await;
    page.shows("The origin shows /here to ada@example.com.");
}

/// A session at the provider is enough: nobody types a password a second time.
#[tokio::test]
async fn who_is_signed_in_at_the_provider_only_chooses_it() {
    let (world, _corp) = world(json!({})).await;
    let mut ada = world.agent();
    log_in_by(&mut ada, &format!("{WIKI}/"), "Corp", "ada").await.has_status(200);
    ada.forget(TEAM_HOST);
    ada.forget(WIKI_HOST);
    let page = begin_page(&mut ada, &format!("{WIKI}/again"), "Corp").await;
    page.has_status(200).shows("The origin shows /again to ada@example.com.");
}

#[tokio::test]
async fn flow_06_two_people_at_once_each_get_their_own_identity() {
    let (world, _corp) = world(json!({})).await;
    // All orders of the steps of two logins: begin, and sign in at the provider.
    for order in ["aabb", "abab", "abba", "baab", "baba", "bbaa"] {
        let mut people = [("ada", world.agent(), None::<Page>), ("bob", world.agent(), None)];
        for step in order.chars() {
            let (user, agent, begun) = &mut people[usize::from(step == 'b')];
            let url = format!("{HALL}/{user}");
            *begun = Some(match begun.take() {
                None => begin_page(agent, &url, "Corp").await,
                Some(page) => sign_in(agent, &page, user).await,
            });
        }
        for (user, _, page) in &people {
            let page = page.as_ref().unwrap();
            page.has_status(200).shows(&format!("The origin shows /{user} to {user}@example.com."));
        }
    }
    // And many at the same time.
    let logins = (0..20).map(|number| {
        let (user, mut agent) = (["ada", "bob"][number % 2], world.agent());
        async move {
            let page = log_in_by(&mut agent, &format!("{HALL}/{number}"), "Corp", user).await;
            page.shows(&format!("The origin shows /{number} to {user}@example.com."));
        }
    });
    futures_util::future::join_all(logins).await;
}

#[tokio::test]
async fn flow_05_flow_08_an_answer_counts_once_and_only_where_the_login_began() {
    let (world, corp) = world(json!({})).await;
    let mut ada = world.agent();
    log_in_by(&mut ada, &format!("{WIKI}/"), "Corp", "ada").await.has_status(200);
    let answer = ada.visited.iter().find(|url| url.as_str().starts_with(CALLBACK)).unwrap();
    let answer = answer.to_string();
    corp.events().await;

    // Somebody else who has seen it.
    let mut eve = world.agent();
    eve.open(&answer).await.has_status(403);
    begin(&mut eve, &format!("{WIKI}/"), "Corp").await;
    eve.open(&answer).await.has_status(403);
    assert!(eve.cookie(TEAM_HOST, "CF_Authorization").is_none());
    // Ada herself goes back: she is in, and no code is sent a second time.
    let page = ada.open(&answer).await;
    page.has_status(200).shows("to ada@example.com.");
    assert_eq!(corp.events().await, Vec::<Value>::new());
}

/// Two providers, one of them somebody else's: the answer of the one is none of the other.
#[tokio::test]
async fn flow_08_an_answer_of_another_provider_is_refused() {
    let front = Front::bind().await;
    let corp = IdentityProvider::openid(front.openid(json!({}))).await;
    let evil = json!({ "accounts": { "ada": openid_account("ada", &["ops"]) } });
    let evil = IdentityProvider::openid(front.openid(evil)).await;
    let world = front
        .serve(|builder| {
            builder
                .identity_provider(openid("corp", "Corp", &corp))
                .identity_provider(openid("partner", "Partner", &evil))
                .application(application("Wiki", WIKI, ops()))
                .application(application("Hall", HALL, staff()))
        })
        .await;
    // The group of the other provider is not the group of this one.
    let mut ada = world.agent();
    let page = log_in_by(&mut ada, &format!("{WIKI}/"), "Partner", "ada").await;
    page.has_status(403).shows("No access to Wiki");

    let mut ada = world.agent();
    let asked = begin(&mut ada, &format!("{WIKI}/"), "Corp").await;
    let (issuer, other) = (corp.said("issuer"), evil.said("issuer"));
    // She is led to the other one with the request of the first, and comes back with its code.
    let mut led_astray = asked.clone();
    let port = url::Url::parse(other).unwrap().port();
    led_astray.set_port(port).unwrap();
    let page = ada.open(led_astray.as_str()).await;
    let page = sign_in(&mut ada, &page, "ada").await;
    page.has_status(403).shows("This answer belongs to another login");
    assert_eq!(corp.count("grant.success").await + corp.count("grant.error").await, 0);
    assert_ne!(issuer, other);
    assert!(ada.cookie(TEAM_HOST, "CF_Authorization").is_none());
}

#[tokio::test]
async fn a_provider_that_is_down_closes_only_its_own_login() {
    let front = Front::bind().await;
    let corp = IdentityProvider::openid(front.openid(json!({}))).await;
    let partner = IdentityProvider::openid(front.openid(json!({}))).await;
    let world = front
        .serve(|builder| {
            builder
                .identity_provider(openid("corp", "Corp", &corp))
                .identity_provider(openid("partner", "Partner", &partner))
                .application(application("Hall", HALL, staff()))
        })
        .await;
    corp.control("outage", json!({ "status": 503 })).await;
    let mut ada = world.agent();
    let page = begin_page(&mut ada, &format!("{HALL}/"), "Corp").await;
    page.has_status(502).shows("The identity provider did not answer as expected");
    let again = ada.follow(&page, "Start again").await;
    let page = ada.follow(&again, "Continue with Partner").await;
    sign_in(&mut ada, &page, "ada").await.has_status(200).shows("to ada@example.com.");
    corp.control("outage", json!({ "status": null })).await;
    let mut bob = world.agent();
    until("the provider is asked again", async || {
        world.clock.advance(Duration::from_secs(30));
        begin_page(&mut bob, &format!("{HALL}/"), "Corp").await.status == StatusCode::OK
    })
    .await;
    log_in_by(&mut bob, &format!("{HALL}/"), "Corp", "bob").await.shows("to bob@example.com.");

    // It goes away between the login and the code.
    let mut ada = world.agent();
    let page = begin_page(&mut ada, &format!("{HALL}/"), "Corp").await;
    let answer = answer_for(&mut ada, &page, "ada").await;
    corp.control("outage", json!({ "status": 500 })).await;
    let page = ada.open(answer.as_str()).await;
    page.has_status(502).shows("The identity provider did not answer as expected");
    assert!(ada.cookie(TEAM_HOST, "CF_Authorization").is_none());
}
