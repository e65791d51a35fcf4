//! The browser comes back: late, twice, from elsewhere, or with an error.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::*;
use crate::support::openid::back;
use crate::support::sockets::Act;

#[tokio::test]
async fn flow_05_an_answer_counts_once() {
    let world = World::new().await;
    let mut browser = world.browser();
    let at_provider = begin(&mut browser, WIKI, "corp").await;
    let callback = world.corp.log_in(at_provider.location(), &user("ada"));
    assert_eq!(browser.visit(&callback).await.1.text, "origin saw /docs?q=1");
    // Reloaded, or opened from the history: the user is there already.
    for _ in 0..2 {
        assert_eq!(browser.visit(&callback).await.1.text, "origin saw /docs?q=1");
    }
    assert_eq!(world.corp.asked("/token"), 1);
    // Without the session, it is worth nothing: in this browser, at another node, in another browser.
    let mut signed_out = world.browser();
    let session = browser.cookie("login.example.com", "CF_Session").unwrap();
    signed_out.set_cookie("login.example.com", "CF_Session", &session);
    is_page(&signed_out.get(&callback).await, StatusCode::FORBIDDEN, "was used before");
    let stranger = world.browser().get(&callback).await;
    is_page(&stranger, StatusCode::FORBIDDEN, "Invalid session");
    assert_eq!(world.corp.asked("/token"), 1);
    // Somebody with a session by another method is not asked to be this one.
    let mut pin = world.browser();
    support::log_in(&mut pin, &world.mail, WIKI, "grace@example.com").await;
    is_page(&pin.get(&callback).await, StatusCode::FORBIDDEN, "Invalid session");
}

#[tokio::test]
async fn flow_05_a_code_that_was_sent_is_not_sent_again() {
    let world = World::new().await;
    world.corp.bend("/token", |_| Act::Close);
    let mut browser = world.browser();
    let at_provider = begin(&mut browser, WIKI, "corp").await;
    let callback = world.corp.log_in(at_provider.location(), &user("ada"));
    is_page(&browser.get(&callback).await, StatusCode::BAD_GATEWAY, "did not answer as expected");
    let asked = world.corp.asked("/token");
    world.corp.straighten();
    is_page(&browser.get(&callback).await, StatusCode::FORBIDDEN, "was used before");
    assert_eq!(world.corp.asked("/token"), asked);
    // Started again, from the page.
    assert_eq!(world.log_in(&mut browser, &user("ada")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_answer_counts_in_the_browser_that_asked_and_for_half_an_hour() {
    let world = World::new().await;
    let mut browser = world.browser();
    let at_provider = begin(&mut browser, WIKI, "corp").await;
    let callback = world.corp.log_in(at_provider.location(), &user("ada"));
    // Eve sends Ada a link that would log her in as Eve.
    let mut other = world.browser();
    is_page(&other.get(&callback).await, StatusCode::FORBIDDEN, "Invalid session");
    begin(&mut other, WIKI, "corp").await;
    is_page(&other.get(&callback).await, StatusCode::FORBIDDEN, "Invalid session");
    assert_eq!(world.corp.asked("/token"), 0);
    world.clock.advance(Duration::from_secs(1_799));
    world.corp.bend_claims(|claims| claims["exp"] = json!(support::NOW + 3_600));
    assert_eq!(browser.visit(&callback).await.1.status(), StatusCode::OK);
    let mut late = world.browser();
    let at_provider = begin(&mut late, WIKI, "corp").await;
    let callback = world.corp.log_in(at_provider.location(), &user("ada"));
    world.clock.advance(Duration::from_secs(1_800));
    let page = late.get(&callback).await;
    is_page(&page, StatusCode::FORBIDDEN, "Invalid session");
    assert!(page.text.contains("/cdn-cgi/access/login/wiki.example.com?"), "{}", page.text);
    assert_eq!(world.corp.asked("/token"), 1);
}

#[tokio::test]
async fn forged_and_malformed_answers_are_refused() {
    let world = World::new().await;
    let mut browser = world.browser();
    let at_provider = begin(&mut browser, WIKI, "corp").await;
    let url = at_provider.location();
    let (state, issuer) = (support::query(url, "state").unwrap(), world.corp.issuer());
    let code = world.corp.code(url, &user("ada"));
    let callback = |query: &str| format!("{TEAM}/cdn-cgi/access/callback?{query}");
    for query in [
        String::new(),
        "code=x".to_owned(),
        format!("state={state}"),
        format!("code=&state={state}"),
        format!("code={code}&code={code}&state={state}"),
        format!("code={code}&state={state}&state={state}"),
        format!("code={code}&state={state}&iss={issuer}&iss={issuer}"),
        format!("error=a&error=b&state={state}"),
        format!("code={}&state={state}", "x".repeat(5_000)),
        format!("code={code}&state=unknown.{state}"),
        format!("code={code}&state={}", &state[1..]),
    ] {
        let page = browser.get(&callback(&query)).await;
        says(&page, StatusCode::BAD_REQUEST, "This request cannot be read");
    }
    let end = state.len() - 1;
    let last = if state.ends_with('A') { 'B' } else { 'A' };
    let (mark, sealed) = state.split_once('.').unwrap();
    for forged in [
        format!("{}{last}", &state[..end]),
        format!("{mark}."),
        format!("{mark}.{}", &sealed[4..]),
        format!("{mark}.{sealed}{sealed}"),
        format!("{mark}.{}", "x".repeat(20_000)),
    ] {
        let page = browser.get(&callback(&format!("code={code}&state={forged}"))).await;
        says(&page, StatusCode::FORBIDDEN, "Invalid session");
    }
    // Neither does anything but a visit use the code up.
    let good = back(url, &[("code", &code), ("iss", &issuer)]);
    let head = browser.send("HEAD", &good, "").await;
    assert_eq!(head.status(), StatusCode::METHOD_NOT_ALLOWED);
    browser.headers.push(("sec-purpose", "prefetch".to_owned()));
    assert_eq!(browser.get(&good).await.status(), StatusCode::FORBIDDEN);
    browser.headers.pop();
    for issuer in ["", "https://evil.example"] {
        let page = browser.get(&back(url, &[("code", &code), ("iss", issuer)])).await;
        is_page(&page, StatusCode::FORBIDDEN, "belongs to another login");
    }
    assert_eq!(world.corp.asked("/token"), 0);
    assert_eq!(browser.visit(&good).await.1.text, "origin saw /docs?q=1");
}

#[tokio::test]
async fn errors_of_a_provider_have_pages_of_their_own() {
    let world = World::new().await;
    for (error, status, title) in [
        ("access_denied", StatusCode::FORBIDDEN, "The login was refused"),
        ("login_required", StatusCode::FORBIDDEN, "needs an answer from you"),
        ("consent_required", StatusCode::FORBIDDEN, "needs an answer from you"),
        ("interaction_required", StatusCode::FORBIDDEN, "needs an answer from you"),
        ("invalid_scope", StatusCode::BAD_GATEWAY, "is not set up correctly"),
        ("unauthorized_client", StatusCode::BAD_GATEWAY, "is not set up correctly"),
        ("server_error", StatusCode::BAD_GATEWAY, "did not answer as expected"),
        ("temporarily_unavailable", StatusCode::BAD_GATEWAY, "did not answer as expected"),
        ("<script>alert(1)</script>", StatusCode::BAD_GATEWAY, "did not answer as expected"),
    ] {
        let mut browser = world.browser();
        let at_provider = begin(&mut browser, WIKI, "corp").await;
        let issuer = world.corp.issuer();
        let parameters =
            [("error", error), ("error_description", "<i>call 555</i>"), ("iss", &issuer)];
        let page = browser.get(&back(at_provider.location(), &parameters)).await;
        is_page(&page, status, title);
        assert!(!page.text.contains("call 555") && !page.text.contains("alert(1)"));
        assert!(page.text.contains("The corp provider"));
        world.is_out(&mut browser).await;
        // Who says so is checked first.
        let page = browser.get(&back(at_provider.location(), &[("error", error)])).await;
        is_page(&page, StatusCode::FORBIDDEN, "belongs to another login");
    }
    assert_eq!(world.corp.asked("/token"), 0);
    world.others_still_work().await;
}
