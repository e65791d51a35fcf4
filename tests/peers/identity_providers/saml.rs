//! Logins by SAML.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tower_access::login::SamlProvider;

use super::agent::{Agent, Form, Page};
use super::world::*;
use crate::support::identity_providers::IdentityProvider;

const ADDRESS: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress";

fn ops() -> Value {
    json!([{
        "saml": { "attribute_name": "groups", "attribute_value": "ops", "identity_provider_id": "corp" }
    }])
}

fn staff() -> Value {
    json!([{ "email_domain": { "domain": "example.com" } }])
}

fn settings() -> Value {
    json!({
        "accounts": {
            "ada": saml_account("ada", &["ops", "staff"]),
            "bob": saml_account("bob", &["staff", "Büro"]),
        },
    })
}

fn provider(corp: &IdentityProvider) -> SamlProvider {
    saml("corp", "Corp", corp)
}

async fn world() -> (World, IdentityProvider) {
    world_with(provider).await
}

async fn world_with(
    provider: impl FnOnce(&IdentityProvider) -> SamlProvider,
) -> (World, IdentityProvider) {
    let corp = IdentityProvider::saml(settings()).await;
    let world = Front::bind()
        .await
        .serve(|builder| {
            builder
                .identity_provider(provider(&corp))
                .application(application("Wiki", WIKI, ops()))
                .application(application("Hall", HALL, staff()))
        })
        .await;
    (world, corp)
}

/// From a page to the form that the provider has the browser send, which is not sent.
async fn answer_to(agent: &mut Agent, url: &str, user: &str) -> Form {
    let page = begin_page(agent, url, "Corp").await;
    answer_on(agent, &page, user).await
}

/// The same from the provider's login page.
async fn answer_on(agent: &mut Agent, page: &Page, user: &str) -> Form {
    agent.runs_scripts = false;
    let page = sign_in(agent, page, user).await;
    agent.runs_scripts = true;
    let form = page.form("Submit");
    assert_eq!(form.action.as_str(), CALLBACK);
    form
}

/// Sees that an answer lets nobody in, and says so on a page.
async fn refuses(agent: &mut Agent, answer: &Form) -> Page {
    let page = agent.send(answer).await;
    assert!(page.status.is_client_error() || page.status.is_server_error(), "{}", page.text);
    page.shows("<h1>");
    assert!(agent.cookie(TEAM_HOST, "CF_Authorization").is_none());
    page
}

#[tokio::test]
async fn a_login_leads_from_the_choice_to_the_page_that_was_asked_for() {
    let (world, corp) = world().await;
    let mut ada = world.agent();
    let page = ada.open(&format!("{WIKI}/docs?page=1")).await;
    page.has_status(200).shows("Log in to Wiki").shows("Continue with Corp");
    let page = ada.follow(&page, "Continue with Corp").await;
    let page = sign_in(&mut ada, &page, "ada").await;
    page.has_status(200).shows("The origin shows /docs?page=1 to ada@example.com.");
    assert_eq!(page.url.as_str(), format!("{WIKI}/docs?page=1"));
    assert_eq!(world.origin.last().claims()["email"], "ada@example.com");

    let identity = ada.open(&format!("{WIKI}/cdn-cgi/access/get-identity")).await;
    let identity: Value = serde_json::from_str(&identity.text).unwrap();
    assert_eq!(identity["idp"], json!({ "id": "corp", "type": "saml" }));
    assert_eq!(identity["saml_attributes"]["groups"], json!(["ops", "staff"]));

    let events = corp.events().await;
    assert_eq!(events[0]["event"], "request");
    assert_eq!(events[0]["issuer"], CALLBACK);
    assert_eq!(events[0]["assertionConsumerServiceURL"], CALLBACK);
    assert_eq!(events[0]["destination"], corp.said("sso"));
    // One login, one session.
    ada.open(&format!("{HALL}/")).await.has_status(200).shows("to ada@example.com.");
    assert_eq!(corp.events().await, Vec::<Value>::new());
}

#[tokio::test]
async fn groups_of_the_provider_decide_who_enters() {
    let (world, corp) = world().await;
    let mut bob = world.agent();
    let page = log_in_by(&mut bob, &format!("{WIKI}/"), "Corp", "bob").await;
    page.has_status(403).shows("No access to Wiki");
    bob.open(&format!("{HALL}/")).await.has_status(200).shows("to bob@example.com.");
    // The next login has what the provider says then.
    corp.control("account", json!({ "user": "bob", "attributes": { "groups": "ops" } })).await;
    let mut bob = world.agent();
    log_in_by(&mut bob, &format!("{WIKI}/"), "Corp", "bob").await.shows("to bob@example.com.");
}

#[tokio::test]
async fn what_has_to_be_signed_is_the_assertion() {
    let (world, corp) = world().await;
    for (sign, is_taken) in
        [("assertion", true), ("both", true), ("response", false), ("nothing", false)]
    {
        corp.control("settings", json!({ "sign": sign })).await;
        let mut ada = world.agent();
        let answer = answer_to(&mut ada, &format!("{WIKI}/"), "ada").await;
        if is_taken {
            ada.send(&answer).await.has_status(200).shows("to ada@example.com.");
        } else {
            refuses(&mut ada, &answer).await;
        }
    }
}

/// Some providers sign only the whole: that is an option. Then the whole has to be signed.
#[tokio::test]
async fn a_signed_response_is_enough_where_the_settings_say_so() {
    let (world, corp) = world_with(|corp| provider(corp).accept_signed_response()).await;
    for (sign, is_taken) in
        [("response", true), ("both", true), ("assertion", false), ("nothing", false)]
    {
        corp.control("settings", json!({ "sign": sign })).await;
        let mut ada = world.agent();
        let answer = answer_to(&mut ada, &format!("{WIKI}/"), "ada").await;
        if is_taken {
            ada.send(&answer).await.has_status(200).shows("to ada@example.com.");
        } else {
            refuses(&mut ada, &answer).await;
        }
    }
}

#[tokio::test]
async fn flow_05_flow_08_an_answer_counts_once_and_only_where_the_login_began() {
    let (world, _corp) = world().await;
    let mut ada = world.agent();
    let answer = answer_to(&mut ada, &format!("{WIKI}/"), "ada").await;
    // In a browser that has begun nothing, and in one that has begun another login.
    let mut eve = world.agent();
    refuses(&mut eve, &answer).await;
    begin_page(&mut eve, &format!("{WIKI}/"), "Corp").await;
    refuses(&mut eve, &answer).await;
    let before_the_login = ada.clone();
    ada.send(&answer).await.has_status(200).shows("to ada@example.com.");
    // A second time, by a browser that has all cookies which the first one had.
    let mut again = before_the_login;
    refuses(&mut again, &answer).await;
    assert_eq!(world.origin.received().len(), 1);
}

/// Somebody has Ada's browser send an answer that logs it in as somebody else.
#[tokio::test]
async fn an_answer_that_nobody_has_asked_for_is_refused() {
    let (world, corp) = world().await;
    let url = format!("{}/start?acs={CALLBACK}&audience={CALLBACK}", corp.origin);
    let mut eve = world.agent();
    let page = eve.open(&url).await;
    let unsolicited = answer_on(&mut eve, &page, "bob").await;
    let mut ada = world.agent();
    refuses(&mut ada, &unsolicited).await;
    begin_page(&mut ada, &format!("{WIKI}/"), "Corp").await;
    refuses(&mut ada, &unsolicited).await;
}

#[tokio::test]
async fn an_answer_for_somebody_else_is_refused() {
    let (world, corp) = world().await;
    let elsewhere = "https://app.example.net/saml";
    for name in ["audience", "recipient", "destination", "issuer"] {
        corp.control("settings", json!({ "options": { name: elsewhere } })).await;
        let mut ada = world.agent();
        let answer = answer_to(&mut ada, &format!("{WIKI}/"), "ada").await;
        refuses(&mut ada, &answer).await;
        corp.control("settings", json!({ "options": { name: null } })).await;
    }
}

#[tokio::test]
async fn an_old_answer_is_refused() {
    let (world, corp) = world().await;
    corp.control("settings", json!({ "options": { "lifetimeInSeconds": 60 } })).await;
    let mut ada = world.agent();
    let answer = answer_to(&mut ada, &format!("{WIKI}/"), "ada").await;
    // Clocks differ by five minutes at most.
    world.clock.advance(Duration::from_secs(60 + 5 * 60 + 1));
    refuses(&mut ada, &answer).await;
}

#[tokio::test]
async fn a_weak_signature_is_none() {
    let (world, corp) = world().await;
    for options in [
        json!({ "signatureAlgorithm": "rsa-sha1", "digestAlgorithm": "sha1" }),
        json!({ "signatureAlgorithm": "rsa-sha1", "digestAlgorithm": "sha256" }),
        json!({ "signatureAlgorithm": "rsa-sha256", "digestAlgorithm": "sha1" }),
    ] {
        corp.control("settings", json!({ "options": options })).await;
        let mut ada = world.agent();
        let answer = answer_to(&mut ada, &format!("{WIKI}/"), "ada").await;
        refuses(&mut ada, &answer).await;
    }
}

/// Bob's signed answer, changed so that somebody might read Ada in it.
#[tokio::test]
async fn a_signed_answer_that_was_changed_lets_in_nobody_else() {
    let (world, corp) = world().await;
    // An address that begins with hers.
    let address = json!({ ADDRESS: "ada@example.com.bob.example" });
    corp.control("account", json!({ "user": "bob", "attributes": address })).await;
    let mut bob = world.agent();
    let original = answer_to(&mut bob, &format!("{HALL}/"), "bob").await;
    let xml = String::from_utf8(STANDARD.decode(original.field("SAMLResponse")).unwrap()).unwrap();
    let assertion =
        &xml[xml.find("<saml:Assertion").unwrap()..xml.find("</samlp:Response>").unwrap()];
    let forged = assertion.replace("ada@example.com.bob.example", "ada@example.com");
    let with_another_id = forged.replacen(" ID=\"", " ID=\"_other", 1);
    let unsigned = {
        let start = with_another_id.find("<Signature").unwrap();
        let end = with_another_id.find("</Signature>").unwrap() + "</Signature>".len();
        format!("{}{}", &with_another_id[..start], &with_another_id[end..])
    };
    let with = |text: &str| xml.replace(assertion, text);
    for (what, changed) in [
        ("another address", with(&forged)),
        (
            "a comment in the address",
            xml.replace("ada@example.com.bob", "ada@example.com<!---->.bob"),
        ),
        (
            "a processing instruction",
            xml.replace("ada@example.com.bob", "ada@example.com<?x ?>.bob"),
        ),
        ("another assertion before it", with(&format!("{unsigned}{assertion}"))),
        ("another assertion behind it", with(&format!("{assertion}{unsigned}"))),
        ("the same id twice", with(&format!("{forged}{assertion}"))),
        (
            "the signed one inside of another",
            with(&unsigned.replace("</saml:Assertion>", &format!("{assertion}</saml:Assertion>"))),
        ),
        (
            "the signed one in an extension",
            with(&unsigned).replacen(
                "<samlp:Status>",
                &format!("<samlp:Extensions>{assertion}</samlp:Extensions><samlp:Status>"),
                1,
            ),
        ),
        ("a document type", format!("<!DOCTYPE r [<!ENTITY a \"ada\">]>{xml}")),
        ("no signature", with(&unsigned)),
    ] {
        assert_ne!(changed, xml, "{what}");
        // Each in the browser that the answer is for.
        let mut browser = bob.clone();
        let answer = original.clone().with("SAMLResponse", &STANDARD.encode(&changed));
        let page = browser.send(&answer).await;
        assert!(page.status.is_client_error() || page.status.is_server_error(), "{what}: {page:?}");
        assert!(browser.cookie(TEAM_HOST, "CF_Authorization").is_none(), "{what}");
    }
    assert!(world.origin.received().is_empty());
    // Unchanged it says who he is, whole, and that is nobody at example.com.
    let page = bob.send(&original).await;
    page.has_status(403).shows("No access to Hall").shows("ada@example.com.bob.example");
}

#[tokio::test]
async fn a_key_that_is_not_configured_signs_nothing() {
    let (world, corp) = world().await;
    corp.control("rotate-keys", json!({})).await;
    let mut ada = world.agent();
    let answer = answer_to(&mut ada, &format!("{WIKI}/"), "ada").await;
    refuses(&mut ada, &answer).await;
}

#[tokio::test]
async fn somebody_whom_the_provider_refuses_reads_a_page_and_can_start_again() {
    let (world, corp) = world().await;
    corp.control("account", json!({ "user": "ada", "disabled": true })).await;
    let mut ada = world.agent();
    let answer = answer_to(&mut ada, &format!("{WIKI}/"), "ada").await;
    let page = refuses(&mut ada, &answer).await;
    let page = ada.follow(&page, "Start again").await;
    page.shows("Continue with Corp");
}

/// The cookie of a begun login has to come along with a form of another site, and no other cookie does.
#[tokio::test]
async fn flow_06_two_people_and_two_tabs_at_once_each_get_their_own() {
    let (world, _corp) = world().await;
    let (mut ada, mut bob) = (world.agent(), world.agent());
    let first = answer_to(&mut ada, &format!("{HALL}/first"), "ada").await;
    let of_bob = answer_to(&mut bob, &format!("{HALL}/of-bob"), "bob").await;
    let second = answer_to(&mut ada, &format!("{HALL}/second"), "ada").await;
    bob.send(&of_bob).await.shows("The origin shows /of-bob to bob@example.com.");
    ada.send(&first).await.shows("The origin shows /first to ada@example.com.");
    ada.send(&second).await.shows("The origin shows /second to ada@example.com.");
    // However many logins somebody begins, what the browser has to carry stays small.
    let mut eve = world.agent();
    for number in 0..20 {
        begin_page(&mut eve, &format!("{HALL}/{number}"), "Corp").await;
    }
    let cookies = eve.cookie_names(TEAM_HOST);
    assert!(cookies.len() <= 9, "{cookies:?}");
    let answer = answer_to(&mut eve, &format!("{HALL}/last"), "bob").await;
    eve.send(&answer).await.shows("The origin shows /last to bob@example.com.");
}

#[tokio::test]
async fn a_provider_that_is_down_is_found_by_the_browser_and_affects_nobody_else() {
    let front = Front::bind().await;
    let corp = IdentityProvider::saml(settings()).await;
    let other = IdentityProvider::openid(front.openid(json!({}))).await;
    let world = front
        .serve(|builder| {
            builder
                .identity_provider(provider(&corp))
                .identity_provider(openid("partner", "Partner", &other))
                .application(application("Hall", HALL, staff()))
        })
        .await;
    corp.control("outage", json!({ "status": 503 })).await;
    let mut ada = world.agent();
    begin_page(&mut ada, &format!("{HALL}/"), "Corp").await.has_status(503).shows("out of order");
    let page = log_in_by(&mut ada, &format!("{HALL}/"), "Partner", "ada").await;
    page.has_status(200).shows("to ada@example.com.");
}

/// The metadata that an administrator gives the provider says what the logins do.
#[tokio::test]
async fn the_metadata_says_where_answers_go() {
    let (world, _corp) = world().await;
    let mut admin = world.agent();
    for path in ["saml-metadata", "corp/saml-metadata"] {
        let page = admin.open(&format!("{TEAM}/cdn-cgi/access/{path}")).await;
        page.has_status(200).shows(CALLBACK).shows("EntityDescriptor");
        assert!(page.headers["content-type"].to_str().unwrap().contains("xml"));
    }
}
