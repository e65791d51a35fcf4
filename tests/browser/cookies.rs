//! The cookies, as the browser has them.

use fantoccini::cookies::Cookie;
use tower_access::clock::{Clock, SystemClock};

use crate::world::{EVIL, STRICT, TEAM, WIKI, World};

/// Name, path, SameSite, Secure, HttpOnly, and for how many hours.
fn described(cookies: &[Cookie<'_>], host: &str) -> Vec<String> {
    let now = i64::try_from(SystemClock.now().as_unix_seconds()).unwrap();
    let mut described: Vec<_> = cookies
        .iter()
        .map(|cookie| {
            assert_eq!(cookie.domain(), Some(host), "for this host alone");
            let seconds = cookie.expires_datetime().unwrap().unix_timestamp() - now;
            // The login was some seconds ago.
            let hours = (seconds + 60) / 3600;
            format!(
                "{} {} {} {} {} {hours}h",
                cookie.name(),
                cookie.path().unwrap(),
                cookie.same_site().unwrap(),
                if cookie.secure() == Some(true) { "Secure" } else { "-" },
                if cookie.http_only() == Some(true) { "HttpOnly" } else { "-" },
            )
        })
        .collect();
    described.sort();
    described
}

#[tokio::test]
async fn cookies_are_kept_with_the_attributes_of_the_contract() {
    let world = World::start().await;
    let browser = &world.browser;
    world.log_in(&format!("{WIKI}/")).await;
    assert_eq!(
        described(&browser.cookies().await, "wiki.example.com"),
        ["CF_AppSession / None Secure HttpOnly 24h", "CF_Authorization / None Secure HttpOnly 24h"]
    );
    assert_eq!(browser.run("return document.cookie").await, "", "scripts see none of them");
    browser.open(&format!("{TEAM}/cdn-cgi/access/certs")).await;
    assert_eq!(
        described(&browser.cookies().await, "login.example.com"),
        [
            "CF_Authorization / None Secure HttpOnly 24h",
            "CF_Device / Strict Secure HttpOnly 720h",
            "CF_Session / None Secure HttpOnly 4h",
        ]
    );
    assert_eq!(browser.run("return document.cookie").await, "");
    browser.open(&format!("{WIKI}/cdn-cgi/access/logout")).await;
    browser.wait_for("You are logged out").await;
    assert_eq!(described(&browser.cookies().await, "wiki.example.com"), Vec::<String>::new());
}

/// The browser keeps a strict cookie back along redirects that a link of another site began: the
/// login must not send it round in circles.
#[tokio::test]
async fn links_of_other_sites_lead_to_an_application_with_a_strict_cookie() {
    let world = World::start().await;
    let browser = &world.browser;
    world.log_in(&format!("{WIKI}/")).await;
    for _ in 0..2 {
        browser.open(&format!("{EVIL}/show?html=<a href={STRICT}/page>link</a>")).await;
        browser.click("link").await;
        browser.wait_for("The origin").await;
        assert_eq!(browser.url().await, format!("{STRICT}/page"));
        let cookies = browser.cookies().await;
        let token = cookies.iter().find(|cookie| cookie.name() == "CF_Authorization").unwrap();
        assert_eq!(token.same_site(), Some(cookie::SameSite::Strict));
    }
    assert_eq!(world.mail.all().len(), 1);
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn without_a_team_domain_and_tls_the_login_works_on_localhost() {
    let world = World::on_localhost().await;
    let browser = &world.browser;
    let site = format!("http://localhost:{}", world.address.port());
    world.log_in(&format!("{site}/page?a=1")).await;
    assert_eq!(browser.url().await, format!("{site}/page?a=1"));
    assert_eq!(
        described(&browser.cookies().await, "localhost"),
        [
            "CF_AppSession / Lax - HttpOnly 24h",
            "CF_Authorization / Lax - HttpOnly 24h",
            "CF_Device / Strict - HttpOnly 720h",
            "CF_HostSession / Lax - HttpOnly 24h",
            "CF_Session / Lax - HttpOnly 4h"
        ]
    );
    browser.open(&format!("{site}/cdn-cgi/access/get-identity")).await;
    let identity = browser.wait_for("ada@example.com").await;
    assert!(identity.contains("onetimepin"), "{identity}");
    let cookies = described(&browser.cookies().await, "localhost");
    let session = "CF_Authorization /cdn-cgi/access Lax - HttpOnly 24h".to_owned();
    assert!(cookies.contains(&session), "the login's own, which the application never sees");
    world.assert_open(&format!("{site}/other")).await;
    browser.open(&format!("{site}/cdn-cgi/access/logout")).await;
    browser.wait_for("You are logged out").await;
    browser.click("Log in again").await;
    browser.wait_for("Enter your email address").await;
    browser.assert_clean_console().await;
}
