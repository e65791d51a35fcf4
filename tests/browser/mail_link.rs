//! The link in the mail, clicked.

use std::time::Duration;

use serde_json::json;

use crate::browser::Browser;
use crate::looks::look;
use crate::world::{ADA, BOARD, EVIL, TEAM, WIKI, World, page_at};

async fn filled_in(browser: &Browser) -> String {
    let script = "return document.getElementById('code').value";
    browser.run(script).await.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_link_in_the_mail_fills_in_the_code_and_the_button_logs_in() {
    let world = World::start().await;
    let browser = &world.browser;
    let page = format!("{WIKI}/docs?a=1");
    world.ask_for_code(&page, ADA).await;
    let asking = browser.tab().await;
    let mail = world.mail.wait_for(1).await;
    let (address, code) = (mail.link(), mail.code());
    assert!(address.starts_with(&format!("{TEAM}/cdn-cgi/access/emailed-code?nonce=")));
    assert!(address.ends_with(&format!("#{code}")));
    // A mail program on the web: another site, and another tab.
    browser.new_tab().await;
    browser.open(&page_at(EVIL, &mail.html)).await;
    browser.visited().await;
    browser.click("this link").await;
    look(browser, "mail-link", "Finish logging in").await;
    assert_eq!(filled_in(browser).await, code);
    assert_eq!(browser.url().await, address.split_once('#').unwrap().0, "the code is gone from it");
    assert_eq!(world.origin.received(), [], "the page alone logs nobody in");
    browser.click("Sign in").await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, page);
    assert_eq!(world.origin.last().email.as_deref(), Some(ADA));
    let visited = browser.visited().await;
    assert!(visited.iter().any(|url| url.contains("/emailed-code?")), "{visited:#?}");
    assert!(!visited.iter().any(|url| url.contains(&code)), "{visited:#?}");
    // The tab that waited for the code goes on as well.
    browser.go_to_tab(&asking).await;
    browser.reload().await;
    browser.wait_for("The origin").await;
    assert_eq!(world.mail.all().len(), 1);
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn a_link_that_was_passed_on_lets_nobody_in() {
    let world = World::start().await;
    world.ask_for_code(&format!("{WIKI}/docs"), ADA).await;
    let link = world.mail.wait_for(1).await.link();
    let other = world.another_browser().await;
    other.open(&link).await;
    look(&other, "mail-link-elsewhere", "This link works in another browser").await;
    let text = other.text().await;
    assert!(!text.contains("Wiki") && !text.contains("ada"), "{text}");
    assert!(other.cookies().await.is_empty());
    // It goes on working where it was asked for.
    world.browser.open(&link).await;
    world.browser.wait_for("Finish logging in").await;
    world.browser.click("Sign in").await;
    world.browser.wait_for("The origin").await;
    assert_eq!(world.origin.received().len(), 1);
    other.assert_clean_console().await;
    world.browser.assert_clean_console().await;
}

#[tokio::test]
async fn after_a_login_a_link_leads_to_its_page_and_takes_no_code_along() {
    let world = World::start().await;
    let browser = &world.browser;
    world.ask_for_code(&format!("{BOARD}/minutes"), ADA).await;
    let link = world.mail.wait_for(1).await.link();
    world.log_in(&format!("{WIKI}/docs")).await;
    browser.visited().await;
    browser.open(&link).await;
    browser.wait_for("asked for /minutes").await;
    assert_eq!(browser.url().await, format!("{BOARD}/minutes"), "and nothing behind it");
    assert_eq!(browser.run("return location.hash").await, json!(""));
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn a_link_ends_with_its_code() {
    let world = World::with_clock().await;
    let browser = &world.browser;
    world.ask_for_code(&format!("{WIKI}/a"), ADA).await;
    let first = world.mail.wait_for(1).await;
    world.clock.advance(Duration::from_secs(300));
    browser.open(&first.link()).await;
    browser.wait_for("That code has expired. Ask for a new code to continue.").await;
    browser.click("Send a new code").await;
    browser.wait_for("Check your email").await;
    let second = world.mail.wait_for(2).await;
    if first.code() != second.code() {
        browser.open(&first.link()).await;
        browser.wait_for("Finish logging in").await;
        browser.click("Sign in").await;
        browser.wait_for("You have 2 attempts left.").await;
    }
    browser.open(&second.link()).await;
    browser.wait_for("Finish logging in").await;
    browser.click("Sign in").await;
    browser.wait_for("The origin").await;
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn flow_19_without_scripts_the_page_of_the_link_asks_for_the_code() {
    let world = World::start().await;
    let browser = &world.browser;
    let off = json!({ "value": true });
    browser.devtools("Emulation.setScriptExecutionDisabled", off).await;
    world.ask_for_code(&format!("{WIKI}/docs"), ADA).await;
    let mail = world.mail.wait_for(1).await;
    browser.open(&mail.link()).await;
    browser.wait_for("If the field is empty, type the code.").await;
    world.enter_code(&mail.code()).await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{WIKI}/docs"));
    browser.assert_clean_console().await;
}
