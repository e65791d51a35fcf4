//! Every page, looked at: nothing the console complains of, no scrolling sideways on a narrow
//! screen or when enlarged, and a picture in light and dark in `tests/artifacts`.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::browser::Browser;
use crate::world::{ADA, BOARD, BROKEN, EVIL, LOCKED, TEAM, VAULT, WIKI, World, another_code};

/// Looks at the page that is open, once it shows this text.
pub(crate) async fn look(browser: &Browser, name: &str, text: &str) {
    browser.wait_for(text).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifacts");
    std::fs::create_dir_all(&folder).unwrap();
    for scheme in ["light", "dark"] {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        browser.devtools("Emulation.setEmulatedMedia", json!({ "features": feature })).await;
        let picture = browser.screenshot().await;
        std::fs::write(folder.join(format!("{name}-{scheme}.png")), picture).unwrap();
    }
    browser.devtools("Emulation.setEmulatedMedia", json!({ "features": [] })).await;
    // A small telephone, and 1280 by 1024 pixels at 400 %.
    for (kind, height, scale) in [("narrow", 640, 1), ("enlarged", 256, 4)] {
        let screen =
            json!({ "width": 320, "height": height, "deviceScaleFactor": scale, "mobile": false });
        browser.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        let sideways =
            browser.run("return document.documentElement.scrollWidth - window.innerWidth").await;
        assert!(sideways.as_i64().unwrap() <= 0, "{name} scrolls sideways: {kind}, {sideways}");
        let cut_off = browser
            .run(
                "return [...document.querySelectorAll('h1, p, a, button, input, dd')].filter(e => \
                 e.type !== 'hidden' && (e.getBoundingClientRect().right > innerWidth || \
                 e.getBoundingClientRect().left < 0)).map(e => e.outerHTML)",
            )
            .await;
        assert_eq!(cut_off, json!([]), "{name}, {kind}");
        if kind == "narrow" {
            let picture = browser.screenshot().await;
            std::fs::write(folder.join(format!("{name}-narrow.png")), picture).unwrap();
        }
        browser.devtools("Emulation.clearDeviceMetricsOverride", json!({})).await;
    }
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{name}: {complaints:#?}");
}

/// FLOW-19: also at 400 %.
#[tokio::test]
async fn the_pages_of_a_login_look_right() {
    let world = World::with_clock().await;
    let browser = &world.browser;
    browser.open(&format!("{WIKI}/docs")).await;
    look(browser, "sign-in", "Log in to Wiki").await;
    world.ask_for_code(&format!("{WIKI}/docs"), ADA).await;
    look(browser, "enter-code", "Check your email").await;
    let wrong = another_code(&world.mail.wait_for(1).await.code());
    world.enter_code(&wrong).await;
    look(browser, "wrong-code", "You have 2 attempts left.").await;
    world.enter_code(&wrong).await;
    browser.wait_for("You have 1 attempt left.").await;
    world.enter_code(&wrong).await;
    look(browser, "exhausted-code", "Too many wrong codes").await;
    browser.click("Send a new code").await;
    browser.wait_for("Check your email").await;
    world.clock.advance(Duration::from_secs(300));
    let code = world.mail.wait_for(2).await.code();
    world.enter_code(&code).await;
    look(browser, "expired-code", "That code has expired").await;
    browser.click("Send a new code").await;
    browser.wait_for("Check your email").await;
    let code_page = browser.url().await;
    let code = world.mail.wait_for(3).await.code();
    browser.click("Send a new code").await;
    look(browser, "resend-limited", "Too many codes requested").await;
    world.enter_code(&code).await;
    look(browser, "origin", "The origin").await;
    browser.open(&format!("{VAULT}/")).await;
    look(browser, "denied", "No access to Vault").await;
    browser.open(&format!("{EVIL}/show?html=<a href={WIKI}/cdn-cgi/access/logout>link</a>")).await;
    browser.click("link").await;
    look(browser, "confirm-sign-out", "Log out?").await;
    browser.click("Log out").await;
    look(browser, "signed-out", "You are logged out").await;
    browser.open(&code_page).await;
    look(browser, "used-code", "This One-Time PIN has already been used").await;
}

#[tokio::test]
async fn the_pages_of_refusals_look_right() {
    let world = World::start().await;
    let browser = &world.browser;
    browser.open(&format!("{LOCKED}/")).await;
    look(browser, "forbidden", "Forbidden.").await;
    browser.open(&format!("{TEAM}/cdn-cgi/access/resend-code")).await;
    look(browser, "problem-400", "This request cannot be read").await;
    browser.open(&format!("{WIKI}/a%2Fb")).await;
    look(browser, "ambiguous-path-400", "cannot be read").await;
    browser.open(&format!("{TEAM}/cdn-cgi/access/nothing")).await;
    look(browser, "not-found", "There is nothing here").await;
    browser.open("https://nobody.example.com/").await;
    look(browser, "no-application", "There is nothing here").await;
    browser.open(&format!("{TEAM}/cdn-cgi/access/login/nowhere.example.com?kid=0")).await;
    look(browser, "unknown-application", "Unable to find your Access application!").await;
    browser.open(&format!("{BROKEN}/")).await;
    look(browser, "bad-gateway-502", "Bad gateway").await;
    browser.open(&format!("{EVIL}/post?to={WIKI}/cdn-cgi/access/logout")).await;
    look(browser, "form-of-another-site", "This form was sent by another site").await;
    world.ask_for_code(&format!("{BOARD}/"), ADA).await;
    let code_page = browser.url().await;
    browser.forget_cookies().await;
    browser.open(&code_page).await;
    look(browser, "invalid-session", "Invalid session. Please try logging in again.").await;
    for _ in 0..5 {
        world.ask_for_code(&format!("{BOARD}/"), ADA).await;
    }
    browser.open(&format!("{BOARD}/")).await;
    browser.fill("email", ADA).await;
    browser.click("Send me a code").await;
    look(browser, "too-many-codes", "Too many codes have been asked for").await;
}
