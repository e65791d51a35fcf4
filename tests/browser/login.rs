//! Logging in and out.

use crate::world::{ADA, BOARD, TEAM, WIKI, World};

#[tokio::test]
async fn a_person_logs_in_visits_another_application_and_logs_out() {
    let world = World::start().await;
    let browser = &world.browser;
    let page = format!("{WIKI}/docs?q=a%20b&x=1");
    browser.open(&page).await;
    browser.wait_for("Log in to Wiki").await;
    assert!(browser.url().await.starts_with(&format!("{TEAM}/cdn-cgi/access/login/wiki.example.com?")));
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
