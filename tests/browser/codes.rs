//! One-time PINs: wrong, used, expired, sent again, never sent.

use std::time::Duration;

use crate::world::{ADA, BOARD, TEAM, VAULT, WIKI, World, another_code};

#[tokio::test]
async fn three_wrong_codes_end_a_code_and_a_new_one_is_offered() {
    let world = World::start().await;
    let browser = &world.browser;
    world.ask_for_code(&format!("{WIKI}/a"), ADA).await;
    let code = world.mail.wait_for(1).await.code();
    let code_page = browser.url().await;
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    browser.open(&code_page).await;
    browser.go_to_tab(&first).await;
    for left in ["You have 2 attempts left.", "You have 1 attempt left."] {
        world.enter_code(&another_code(&code)).await;
        browser.wait_for(left).await;
        assert_eq!(browser.focus().await, "code");
    }
    world.enter_code(&another_code(&code)).await;
    let page = browser.wait_for("Too many wrong codes. Ask for a new code to continue.").await;
    assert!(page.contains("Get a new code"), "{page}");
    // A page that still has the form: the right code, too late.
    browser.go_to_tab(&second).await;
    world.enter_code(&code).await;
    browser.wait_for("Too many wrong codes").await;
    browser.click("Send a new code").await;
    browser.wait_for("Check your email").await;
    world.enter_code(&world.mail.wait_for(2).await.code()).await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{WIKI}/a"));
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn a_code_works_once() {
    let world = World::start().await;
    let browser = &world.browser;
    world.ask_for_code(&format!("{WIKI}/a"), ADA).await;
    let code_page = browser.url().await;
    let first = browser.tab().await;
    let second = browser.new_tab().await;
    browser.open(&code_page).await;
    let code = world.mail.wait_for(1).await.code();
    browser.go_to_tab(&first).await;
    world.enter_code(&code).await;
    browser.wait_for("The origin").await;
    browser.go_to_tab(&second).await;
    // Whoever is logged in already is led on, by the code and by the page for it.
    world.enter_code(&code).await;
    browser.wait_for("The origin").await;
    browser.go_to_tab(&first).await;
    browser.back().await;
    browser.wait_for("The origin").await;
    // Without the session the code is good for nothing.
    browser.open(&format!("{WIKI}/cdn-cgi/access/logout")).await;
    browser.wait_for("You are logged out").await;
    browser.open(&code_page).await;
    browser.wait_for("This One-Time PIN has already been used").await;
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn a_code_expires() {
    let world = World::with_clock().await;
    let browser = &world.browser;
    world.ask_for_code(&format!("{WIKI}/a"), ADA).await;
    let code = world.mail.wait_for(1).await.code();
    world.clock.advance(Duration::from_secs(300));
    world.enter_code(&code).await;
    browser.wait_for("That code has expired. Ask for a new code to continue.").await;
    browser.click("Send a new code").await;
    browser.wait_for("Check your email").await;
    world.clock.advance(Duration::from_secs(299));
    world.enter_code(&world.mail.wait_for(2).await.code()).await;
    browser.wait_for("The origin").await;
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn a_code_that_is_sent_again_replaces_the_one_before() {
    let world = World::start().await;
    let browser = &world.browser;
    world.ask_for_code(&format!("{WIKI}/a"), ADA).await;
    let first = world.mail.wait_for(1).await.code();
    browser.click("Send a new code").await;
    let second = world.mail.wait_for(2).await.code();
    browser.wait_for("Check your email").await;
    if first != second {
        world.enter_code(&first).await;
        browser.wait_for("You have 2 attempts left.").await;
    }
    // As people copy it.
    world.enter_code(&format!("{} {}", &second[..3], &second[3..])).await;
    browser.wait_for("The origin").await;
    browser.assert_clean_console().await;
}

/// What somebody sees who tries an address, page after page.
async fn pages_for(world: &World, email: &str) -> Vec<String> {
    let browser = &world.browser;
    browser.forget_cookies().await;
    let mut pages = Vec::new();
    // What the pages have in common: all but the address, and numbers drawn for this login.
    let look = async || {
        let script = "const page = document.documentElement.cloneNode(true); \
            for (const e of page.querySelectorAll('*')) \
              for (const name of ['href', 'action', 'value']) \
                if (e.hasAttribute(name)) e.setAttribute(name, e.getAttribute(name).length); \
            return page.outerHTML + location.pathname + performance.getEntriesByType('navigation')[0].responseStatus";
        browser.run(script).await.as_str().unwrap().replace(email, "ADDRESS")
    };
    world.ask_for_code(&format!("{VAULT}/"), email).await;
    pages.push(look().await);
    for answer in ["You have 2 attempts left.", "You have 1 attempt left.", "Too many wrong codes"]
    {
        // One in a million is right, and lets the test fail.
        world.enter_code("271828").await;
        browser.wait_for(answer).await;
        pages.push(look().await);
    }
    browser.click("Send a new code").await;
    browser.wait_for("Check your email").await;
    pages.push(look().await);
    browser.reload().await;
    pages.push(look().await);
    pages
}

#[tokio::test]
async fn an_address_that_may_not_enter_meets_the_same_pages_and_gets_no_mail() {
    let world = World::start().await;
    // Of the same length: the pages are compared to the letter.
    let known = pages_for(&world, "chair@example.com").await;
    world.mail.wait_for(2).await;
    let unknown = pages_for(&world, "nobod@example.org").await;
    assert_eq!(known, unknown);
    // Mail to somebody else overtakes nothing: what would have been sent is there by now.
    world.ask_for_code(&format!("{BOARD}/"), ADA).await;
    world.mail.wait_for(3).await;
    let to: Vec<_> = world.mail.all().into_iter().flat_map(|mail| mail.to).collect();
    assert_eq!(to, ["chair@example.com", "chair@example.com", ADA]);
    assert!(world.browser.url().await.starts_with(TEAM));
    world.browser.assert_clean_console().await;
}
