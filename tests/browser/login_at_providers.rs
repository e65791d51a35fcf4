//! Logins at real identity providers, whose pages are on other sites: what a browser makes of the forms, redirects
//! and cookies between them and us.

use serde_json::json;
use tower_access::login::{OpenIdProvider, SamlProvider};

use crate::browser::Browser;
use crate::identity_providers::IdentityProvider;
use crate::looks::look;
use crate::world::{ADA, EVIL, TEAM, VAULT, WIKI, World, page_at};

const SECRET: &str = "a-secret-of-the-client-for-tests";

async fn openid() -> (IdentityProvider, OpenIdProvider) {
    let client = json!({
        "client_id": "team",
        "client_secret": SECRET,
        "redirect_uris": [format!("{TEAM}/cdn-cgi/access/callback")],
        "post_logout_redirect_uris": [format!("{TEAM}/cdn-cgi/access/signed-out")],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_post",
    });
    let account = json!({ "claims": { "email": ADA, "email_verified": true, "name": "Ada L" } });
    let settings = json!({
        "host": "localhost",
        "clients": [client],
        "accounts": { "ada": account },
        "consent": true,
    });
    let provider = IdentityProvider::openid(settings).await;
    let (issuer, secret) = (provider.said("issuer"), SECRET.to_owned().into());
    let settings = OpenIdProvider::new("corp", issuer, "team", secret).unwrap();
    (provider, settings.name("Corp").logs_out_at_provider())
}

async fn saml() -> (IdentityProvider, SamlProvider) {
    let account = json!({ "attributes": { "email": ADA } });
    let provider = IdentityProvider::saml(json!({ "accounts": { "ada": account } })).await;
    let (issuer, sso) = (provider.said("issuer"), provider.said("sso"));
    let settings =
        SamlProvider::new("school", issuer, sso, [provider.said("certificate")]).unwrap();
    (provider, settings.name("School"))
}

async fn sign_in(browser: &Browser) {
    browser.wait_for("Password").await;
    browser.fill("login", "ada").await;
    browser.fill("password", "secret").await;
    browser.click("Sign in").await;
}

#[tokio::test]
async fn a_login_by_openid_connect_and_the_logout_here_and_there() {
    let (provider, corp) = openid().await;
    let world = World::with_clock_and(|builder| builder.identity_provider(corp)).await;
    let browser = &world.browser;
    let page = format!("{WIKI}/docs?page=1");
    browser.open(&page).await;
    look(browser, "sign-in-another-way", "Or sign in another way:").await;
    browser.click("Continue with Corp").await;
    sign_in(browser).await;
    browser.wait_for("Allow it?").await;
    browser.click("Allow").await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, page);
    assert_eq!(world.origin.last().email.as_deref(), Some(ADA));
    assert!(world.mail.all().is_empty());
    browser.assert_clean_console().await;

    browser.open(&format!("{VAULT}/")).await;
    browser.wait_for("No access to Vault").await;

    browser.open(&format!("{WIKI}/cdn-cgi/access/logout")).await;
    browser.wait_for("Sign out?").await;
    assert!(browser.url().await.starts_with(&provider.origin));
    browser.click("Sign out").await;
    look(browser, "signed-out-at-provider", "You are logged out").await;
    browser.open(&page).await;
    browser.click("Continue with Corp").await;
    browser.wait_for("Password").await;
    browser.click("Cancel").await;
    look(browser, "refused-at-provider", "The login was refused").await;

    browser.click("Start again").await;
    browser.click("Continue with Corp").await;
    browser.wait_for("Password").await;
    provider.control("outage", json!({ "status": 503 })).await;
    browser.open(&page).await;
    browser.click("Continue with Corp").await;
    browser.wait_for("out of order").await;
    browser.assert_clean_console().await;
}

/// A form of ours leads to the provider by a redirect: the page's policy has to let it.
#[tokio::test]
async fn a_logout_that_was_confirmed_goes_on_to_the_provider() {
    let (provider, corp) = openid().await;
    let world = World::with_clock_and(|builder| builder.identity_provider(corp)).await;
    let browser = &world.browser;
    browser.open(&format!("{WIKI}/")).await;
    browser.click("Continue with Corp").await;
    sign_in(browser).await;
    browser.wait_for("Allow it?").await;
    browser.click("Allow").await;
    browser.wait_for("The origin").await;
    let link = format!("<a href={WIKI}/cdn-cgi/access/logout>link</a>");
    browser.open(&page_at(EVIL, &link)).await;
    browser.click("link").await;
    browser.wait_for("Log out?").await;
    browser.click("Log out").await;
    browser.wait_for("Sign out?").await;
    assert!(browser.url().await.starts_with(&provider.origin));
    browser.click("Sign out").await;
    browser.wait_for("You are logged out").await;
    browser.assert_clean_console().await;
}

/// The provider's answer is a form of another site, which sends itself: no `Lax` cookie comes along.
#[tokio::test]
async fn a_login_by_saml() {
    let (provider, school) = saml().await;
    let (_corp, corp) = openid().await;
    let world = World::with_clock_and(|builder| {
        builder.without_one_time_pin().identity_provider(school).identity_provider(corp)
    })
    .await;
    let browser = &world.browser;
    let page = format!("{WIKI}/docs?page=1");
    browser.open(&page).await;
    look(browser, "choose-method", "Choose how to sign in").await;
    browser.click("Continue with School").await;
    sign_in(browser).await;
    browser.wait_for("The origin").await;
    assert_eq!(browser.url().await, page);
    assert_eq!(world.origin.last().email.as_deref(), Some(ADA));
    browser.assert_clean_console().await;
    // Another one, long after the cookies of the first were set.
    let other = world.another_browser().await;
    other.open(&page).await;
    other.click("Continue with School").await;
    other.wait_for("Password").await;
    provider.control("settings", json!({ "sign": "nothing" })).await;
    sign_in(&other).await;
    other.wait_for("Start again").await;
    look(&other, "saml-refused", "Start again").await;
    assert_eq!(provider.count("answer").await, 2);
}
