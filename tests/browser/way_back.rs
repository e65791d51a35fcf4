//! Ways back to the page that was asked for: long addresses, other tabs, the back button, reloads,
//! and codes as they are pasted.

use serde_json::json;

use crate::world::{ADA, BOARD, STRICT, TEAM, WIKI, World, another_code};

/// Path and query of this length, which does not compress.
fn target(length: usize) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_(),:!*~";
    let mut seed = 7_u32;
    let mut target = "/app/dash?_g=".to_owned();
    while target.len() < length {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let place = usize::try_from(seed >> 16).unwrap() % alphabet.len();
        target.push(char::from(alphabet.as_bytes()[place]));
    }
    target
}

#[tokio::test]
async fn a_long_address_survives_the_login() {
    let world = World::start().await;
    let browser = &world.browser;
    for (host, length) in [(WIKI, 2_049), (WIKI, 6_000), (STRICT, 6_000), (WIKI, 8_150)] {
        browser.forget_cookies().await;
        let page = format!("{host}{}", target(length));
        world.log_in(&page).await;
        assert!(browser.url().await == page, "{host} {length}: {}", browser.url().await);
        // The session alone leads back as well.
        let other = format!("{BOARD}{}", target(length));
        browser.open(&other).await;
        browser.wait_for("The origin").await;
        assert!(browser.url().await == other, "{length}: {}", browser.url().await);
    }
    browser.forget_cookies().await;
    browser.open(&format!("{WIKI}{}", target(16_000))).await;
    browser.wait_for("is too long to return to").await;
    browser.fill("email", ADA).await;
    browser.click("Send me a code").await;
    browser.wait_for("Check your email").await;
    world.enter_code(&world.mail.wait_for(5).await.code()).await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{WIKI}/app/dash"));
    browser.open(&format!("{BOARD}{}", target(16_000))).await;
    browser.wait_for("is too long to return to").await;
    browser.click("Continue").await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{BOARD}/app/dash"));
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn two_tabs_end_in_a_login() {
    let world = World::start().await;
    let browser = &world.browser;
    let first = browser.tab().await;
    world.ask_for_code(&format!("{WIKI}/1"), ADA).await;
    let code_page = browser.url().await;
    // The same application, another one, and the page for the address.
    let second = browser.new_tab().await;
    world.ask_for_code(&format!("{WIKI}/2"), ADA).await;
    let third = browser.new_tab().await;
    world.ask_for_code(&format!("{BOARD}/3"), ADA).await;
    let newest = world.mail.wait_for(3).await.code();
    let fourth = browser.new_tab().await;
    browser.open(&format!("{WIKI}/4")).await;
    browser.wait_for("Enter your email address").await;
    let fifth = browser.new_tab().await;
    browser.open(&code_page).await;
    browser.wait_for("Check your email").await;
    // The code of the newest mail, in its own tab; then each other one as its person likes.
    browser.go_to_tab(&third).await;
    world.enter_code(&newest).await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{BOARD}/3"));
    browser.go_to_tab(&first).await;
    world.enter_code(&newest).await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{WIKI}/1"));
    browser.go_to_tab(&second).await;
    browser.reload().await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{WIKI}/2"));
    browser.go_to_tab(&fourth).await;
    browser.fill("email", ADA).await;
    browser.click("Send me a code").await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{WIKI}/4"));
    browser.go_to_tab(&fifth).await;
    browser.click("Send a new code").await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{WIKI}/1"));
    assert_eq!(world.mail.all().len(), 3, "nobody had to wait for another mail");
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn back_and_reload_end_in_a_login() {
    let world = World::start().await;
    let browser = &world.browser;
    world.ask_for_code(&format!("{WIKI}/1"), ADA).await;
    let code = world.mail.wait_for(1).await.code();
    // The page for the code, loaded again, is there to be filled in.
    browser.reload().await;
    browser.wait_for("Check your email").await;
    // So is what a wrong code leads to; it is sent once more, and costs another attempt.
    world.enter_code(&another_code(&code)).await;
    browser.wait_for("You have 2 attempts left.").await;
    browser.reload().await;
    browser.wait_for("attempt").await;
    // Back to the page before, and to the one for the address, and forward again.
    browser.back().await;
    browser.wait_for("Check your email").await;
    browser.back().await;
    browser.wait_for("Enter your email address").await;
    browser.run("history.forward()").await;
    browser.wait_for("Check your email").await;
    world.enter_code(&code).await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{WIKI}/1"));
    // Back from the application to every page of the login.
    browser.back().await;
    browser.wait_for("The origin").await;
    browser.open(&format!("{TEAM}/cdn-cgi/access/login/wiki.example.com?redirect_url=/5")).await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{WIKI}/5"));
    assert_eq!(world.mail.all().len(), 1);
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn a_login_is_begun_by_hand() {
    let world = World::start().await;
    let browser = &world.browser;
    world.log_in(&format!("{WIKI}/cdn-cgi/access/login?redirect_url=/docs")).await;
    assert_eq!(browser.url().await, format!("{WIKI}/docs"));
    browser.open(&format!("{WIKI}/cdn-cgi/access/login?redirect_url=/more")).await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, format!("{WIKI}/more"));
    browser.open(&format!("{TEAM}/cdn-cgi/access/login")).await;
    browser.wait_for("Open the address of the application").await;
}

#[tokio::test]
async fn the_field_takes_codes_as_they_are_pasted() {
    let world = World::start().await;
    let browser = &world.browser;
    let paste = async |text: &str| {
        let field = browser.find("input[name=code]").await;
        field.clear().await.unwrap();
        field.click().await.unwrap();
        browser.devtools("Input.insertText", json!({ "text": text })).await;
    };
    let is_valid = "return document.querySelector('input[name=code]').checkValidity()";
    world.ask_for_code(&format!("{WIKI}/1"), ADA).await;
    let code = world.mail.wait_for(1).await.code();
    let (start, end) = code.split_at(3);
    for text in [
        format!("{code}\t"),
        format!("{code}\r\n"),
        format!("{start}\u{a0}{end}"),
        format!("{start}\u{2009}{end}"),
        format!("{code}\u{3000}"),
        format!("\u{200b}{code}"),
        format!("\u{200e}{code}\u{200f}"),
        format!("\u{feff}{code}"),
        format!("{start}-{end}"),
        format!("{start}\u{2011}{end}"),
        format!("{start}\u{ad}{end}\u{2060}"),
        code.chars().map(|digit| format!("\u{2068}{digit}\u{2069} ")).collect(),
    ] {
        paste(&text).await;
        assert_eq!(browser.run(is_valid).await, true, "{text:?}");
    }
    // What is held back here is held back with a word.
    for text in ["12345", "123456a", "１２３４５６"] {
        paste(text).await;
        assert_eq!(browser.run(is_valid).await, false, "{text:?}");
    }
    paste(&format!("{code}7")).await;
    browser.click("Sign in").await;
    let page = browser.wait_for("A code consists of 6 digits").await;
    assert!(page.contains("3 attempts left"), "{page}");
    paste(&format!("\u{feff}{start}\u{200b}\u{2011}{end}\u{200f}")).await;
    browser.click("Sign in").await;
    browser.wait_for("The origin").await;
    browser.assert_clean_console().await;
}
