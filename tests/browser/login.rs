//! Logging in and out.

use fantoccini::key::Key;

use crate::world::{ADA, BOARD, EVIL, TEAM, VAULT, WIKI, World, log};

#[tokio::test]
async fn a_person_logs_in_visits_another_application_and_logs_out() {
    let world = World::start().await;
    let browser = &world.browser;
    let page = format!("{WIKI}/docs?q=a%20b&x=1");
    browser.open(&page).await;
    browser.wait_for("Log in to Wiki").await;
    assert!(
        browser.url().await.starts_with(&format!("{TEAM}/cdn-cgi/access/login/wiki.example.com?"))
    );
    assert_eq!(world.origin.received(), [], "nothing reaches the origin before the login");
    browser.fill("email", "Ada@Example.com").await;
    browser.click("Send me a code").await;
    let asked = browser.wait_for("Check your email").await;
    assert!(asked.contains("has been emailed to ada@example.com"), "{asked}");

    let mail = world.mail.wait_for(1).await;
    assert_eq!(mail.to, [ADA]);
    assert_eq!(mail.from, "Access <access@example.com>");
    assert_eq!(mail.subject, "Your login code for Wiki");
    assert!(mail.html.contains(&format!(">{}<", mail.code())), "{}", mail.html);

    world.enter_code(&mail.code()).await;
    let shown = browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, page);
    assert!(shown.contains("asked for /docs?q=a%20b&x=1"), "{shown}");
    assert!(shown.contains("by ada@example.com"), "{shown}");

    world.assert_open(&format!("{BOARD}/minutes?year=2026")).await;
    assert_eq!(world.mail.all().len(), 1, "a second application asks nothing");

    browser.open(&format!("{WIKI}/cdn-cgi/access/logout")).await;
    browser.wait_for("You are logged out").await;
    world.assert_closed(&format!("{WIKI}/docs")).await;
    world.assert_closed(&format!("{BOARD}/minutes")).await;
    browser.assert_clean_console().await;
}

/// OBS-07
#[tokio::test]
async fn whoever_is_logged_in_and_not_allowed_sees_a_reference_that_the_log_has() {
    let world = World::start().await;
    let browser = &world.browser;
    world.log_in(&format!("{WIKI}/")).await;
    browser.open(&format!("{VAULT}/")).await;
    let page = browser.wait_for("No access to Vault").await;
    assert!(page.contains("That account does not have access."), "{page}");
    assert!(page.contains(ADA), "{page}");
    let reference = browser.find("code").await.text().await.unwrap();
    assert_eq!(reference.len(), 16, "{reference}");
    let log = log();
    let line = log.lines().find(|line| line.contains(&reference)).expect("a line in the log");
    assert!(line.contains("Vault") && line.contains(ADA), "{line}");
    // Another account may help.
    browser.click("Use another account").await;
    browser.wait_for("You are logged out").await;
    world.ask_for_code(&format!("{VAULT}/gold"), "chair@example.com").await;
    world.enter_code(&world.mail.wait_for(2).await.code()).await;
    browser.wait_for("by chair@example.com").await;
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn flow_19_a_login_needs_no_script() {
    let world = World::start().await;
    let browser = &world.browser;
    let off = serde_json::json!({ "value": true });
    browser.devtools("Emulation.setScriptExecutionDisabled", off).await;
    // It is off: this page would send its form at once.
    browser.open(&format!("{EVIL}/post?to={EVIL}/show&html=sent")).await;
    assert!(browser.url().await.contains("/post?"));
    world.log_in(&format!("{WIKI}/docs")).await;
    assert_eq!(browser.url().await, format!("{WIKI}/docs"));
    browser.open(&format!("{WIKI}/cdn-cgi/access/logout")).await;
    browser.wait_for("You are logged out").await;
}

/// FLOW-19
#[tokio::test]
async fn a_keyboard_is_enough() {
    let world = World::start().await;
    let browser = &world.browser;
    browser.open(&format!("{WIKI}/keys")).await;
    browser.wait_for("Log in to Wiki").await;
    assert_eq!(browser.focus().await, "email");
    browser.keys(ADA).await;
    browser.press(Key::Tab).await;
    assert_eq!(browser.focus().await, "Send me a code");
    browser.press(Key::Enter).await;
    browser.wait_for("Check your email").await;
    assert_eq!(browser.focus().await, "code");
    for stop in ["Sign in", "Send a new code", "Use another address"] {
        browser.press(Key::Tab).await;
        assert_eq!(browser.focus().await, stop);
        let outline =
            browser.run("return getComputedStyle(document.activeElement).outlineStyle").await;
        assert_eq!(outline, "solid", "the focus can be seen on {stop}");
    }
    browser.press(Key::Enter).await;
    browser.wait_for("Log in to Wiki").await;
    browser.keys(ADA).await;
    browser.press(Key::Enter).await;
    browser.wait_for("Check your email").await;
    browser.keys(&world.mail.wait_for(2).await.code()).await;
    browser.press(Key::Enter).await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{WIKI}/keys"));
}

#[tokio::test]
async fn five_tabs_log_in_side_by_side() {
    let world = World::start().await;
    let browser = &world.browser;
    let mut tabs = vec![browser.tab().await];
    let mut codes = Vec::new();
    for number in 0..5 {
        if number > 0 {
            tabs.push(browser.new_tab().await);
        }
        world.ask_for_code(&format!("{WIKI}/tab/{number}"), ADA).await;
        codes.push(world.mail.wait_for(number + 1).await.code());
    }
    for (number, (tab, code)) in tabs.iter().zip(&codes).enumerate().rev() {
        browser.go_to_tab(tab).await;
        world.enter_code(code).await;
        browser.wait_for("The origin").await;
        assert_eq!(browser.url().await, format!("{WIKI}/tab/{number}"));
    }
    for tab in &tabs {
        browser.go_to_tab(tab).await;
        browser.reload().await;
        browser.wait_for("The origin").await;
        world.assert_open(&format!("{BOARD}/")).await;
    }
}

#[tokio::test]
async fn five_waiting_tabs_need_one_login() {
    let world = World::start().await;
    let browser = &world.browser;
    let mut tabs = vec![browser.tab().await];
    for number in 0..5 {
        if number > 0 {
            tabs.push(browser.new_tab().await);
        }
        world.assert_closed(&format!("{WIKI}/tab/{number}")).await;
    }
    world.log_in(&format!("{BOARD}/")).await;
    for (number, tab) in tabs.iter().enumerate().take(4) {
        browser.go_to_tab(tab).await;
        browser.reload().await;
        browser.wait_for("The origin").await;
        assert_eq!(browser.url().await, format!("{WIKI}/tab/{number}"));
    }
    assert_eq!(world.mail.all().len(), 1);
}
