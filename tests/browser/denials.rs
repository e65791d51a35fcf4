//! Where people go who may not enter.

use crate::looks::look;
use crate::world::{ADA, FRIEND, World, page_at};

/// The operator's page; its content is in its address.
fn help() -> String {
    page_at(FRIEND, "<h1>Ask Grace</h1>")
}

fn no_entry() -> String {
    page_at(FRIEND, "<h1>No entry from here</h1>")
}

/// Who may enter depends on a service that is not there: a login is possible, and leads nowhere.
const DOUBTFUL: &str = "include: [ { email_domain: { domain: example.com } } ], require: [ { external_evaluation: \
     { evaluate_url: 'https://127.0.0.1:1/', keys_url: 'https://127.0.0.1:1/keys' } } ]";
/// The browser is somewhere else.
const OFFICE: &str = "include: [ { email_domain: { domain: example.com } } ], require: [ { ip: { ip: 192.0.2.0/24 } } ]";
const CHAIR: &str = "include: [ { email: { email: chair@example.com } } ]";
const STAFF: &str = "include: [ { email_domain: { domain: example.com } } ]";

fn applications() -> String {
    let application = |domain: &str, decision: &str, rules: &str, settings: &str| {
        format!(
            "
    - name: The {domain}
      domain: {domain}
      {settings}
      policies: [ {{ name: policy, decision: {decision}, {rules} }} ]"
        )
    };
    let urls = format!(
        "custom_deny_url: '{}'\n      custom_non_identity_deny_url: '{}'",
        help(),
        no_entry()
    );
    let everyone = "include: [ { everyone: {} } ]";
    let service = "include: [ { any_valid_service_token: {} } ]";
    [
        application("hall.example.com", "allow", STAFF, ""),
        application("gate.example.com", "allow", DOUBTFUL, &urls),
        application("plain.example.com/gate", "allow", DOUBTFUL, "custom_deny_message: Ask Grace."),
        application("chair.example.com", "allow", CHAIR, &urls),
        application("office.example.com", "allow", OFFICE, &urls),
        application("locked.example.com", "deny", everyone, &urls),
        application("robots.example.com", "non_identity", service, &urls),
        application("plain.example.com/robots", "non_identity", service, ""),
    ]
    .concat()
}

#[tokio::test]
async fn flow_01_a_code_that_opens_nothing_leads_to_the_page_of_the_setting() {
    let world = World::with_applications(&applications()).await;
    let browser = &world.browser;
    world.ask_for_code("https://gate.example.com/x?returnTo=https://evil.test", ADA).await;
    let code = world.mail.wait_for(1).await.code();
    // The form leads to another site: its page's policy has to let it.
    world.enter_code(&code).await;
    look(browser, "custom-deny-url", "Ask Grace").await;
    assert_eq!(browser.url().await, help());
    // The login is done all the same, and asks nothing again.
    for host in ["gate", "chair"] {
        browser.open(&format!("https://{host}.example.com/")).await;
        browser.wait_for("Ask Grace").await;
        assert_eq!(browser.url().await, help());
    }
    world.assert_open("https://hall.example.com/").await;
    assert_eq!(world.origin.received().len(), 1);
    assert_eq!(world.mail.all().len(), 1);
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn whom_no_login_would_help_is_sent_on_before_it() {
    let world = World::with_applications(&applications()).await;
    let browser = &world.browser;
    let open_all = async || {
        for host in ["office", "locked", "robots"] {
            browser.visited().await;
            browser.open(&format!("https://{host}.example.com/x")).await;
            look(browser, "custom-non-identity-deny-url", "No entry from here").await;
            assert_eq!(browser.url().await, no_entry());
            let visited = browser.visited().await;
            assert!(visited.iter().all(|url| !url.contains("/cdn-cgi/access/")), "{visited:?}");
        }
    };
    open_all().await;
    world.log_in("https://hall.example.com/").await;
    // It is not for who they are.
    open_all().await;
    assert_eq!(world.origin.received().len(), 1);
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn without_the_setting_a_page_says_so() {
    let world = World::with_applications(&applications()).await;
    let browser = &world.browser;
    browser.open("https://plain.example.com/robots").await;
    look(browser, "forbidden-to-people", "a service token is required").await;
    let page = "https://plain.example.com/gate/x?a=1";
    world.ask_for_code(page, ADA).await;
    world.enter_code(&world.mail.wait_for(1).await.code()).await;
    look(browser, "denied-after-code", "Ask Grace.").await;
    // What may be granted meanwhile is tried at the page that was asked for.
    let again = browser.run("return document.querySelector('a.button').href").await;
    assert_eq!(again, page);
    browser.click("Try again").await;
    look(browser, "denied-again", "No access to The plain.example.com/gate").await;
    browser.click("Use another account").await;
    look(browser, "signed-out-after-denial", "You are logged out").await;
    browser.click("Log in again").await;
    browser.wait_for("Enter your email address").await;
    browser.assert_clean_console().await;
}
