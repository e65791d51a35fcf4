//! The team's token for an application's, without a browser.

use serde_json::Value;
use tower_access::application::{Application, SameSite};

use super::{TEAM, WIKI, World, staff};
use crate::support::{Browser, attribute};

#[tokio::test]
async fn a_team_token_becomes_an_application_token() {
    let world = World::with_team().await;
    let client = world.client();
    let org_token = world.session_token("wiki.example.com").await;
    for url in [format!("{WIKI}/x?y=1"), "https://paths.example.com/docs/a".to_owned()] {
        let app = client.discover(&url).await.unwrap();
        let token = client.exchange(&url, &org_token).await.unwrap();
        let claims = claims(&token);
        assert_eq!(claims["aud"], serde_json::json!([app.aud]));
        assert_eq!(claims["iss"], format!("https://{TEAM}"));
        assert!(claims["exp"].is_u64());
        assert!(client.token_is_good(&url, &token).await);
    }
    assert!(client.exchange("https://vault.example.com/", &org_token).await.is_err());
}

#[tokio::test]
async fn a_hosts_own_token_becomes_its_applications() {
    let world = World::without_team().await;
    let client = world.client();
    for (host, url) in [
        ("wiki.example.com", format!("{WIKI}/x?y=1")),
        ("quick.example.com", "https://quick.example.com/".to_owned()),
    ] {
        let org_token = world.session_token(host).await;
        let token = client.exchange(&url, &org_token).await.unwrap();
        assert_eq!(claims(&token)["iss"], format!("https://{host}"));
        assert!(client.token_is_good(&url, &token).await);
        assert!(client.exchange("https://vault.example.com/", &org_token).await.is_err());
    }
}

#[tokio::test]
async fn a_strict_cookie_is_found_as_well() {
    let strict = Application::new("Strict", "strict.example.com").unwrap();
    let strict = strict.policy(staff()).same_site_cookie(SameSite::Strict);
    let set = |builder: tower_access::AccessBuilder| {
        builder.team_domain(TEAM.parse().unwrap()).application(strict)
    };
    let world = World::of(set).await;
    let org_token = world.session_token("wiki.example.com").await;
    let url = "https://strict.example.com/";
    let token = world.client().exchange(url, &org_token).await.unwrap();
    assert!(world.client().token_is_good(url, &token).await);
}

#[tokio::test]
async fn ses_08_after_a_logout_nothing_is_exchanged() {
    let world = World::with_team().await;
    let client = world.client();
    let mut browser: Browser<_> = world.logged_in(&format!("{WIKI}/")).await;
    let org_token = browser.cookie(TEAM, "CF_Authorization").unwrap();
    let token = client.exchange(WIKI, &org_token).await.unwrap();
    let page = browser.get(&format!("https://{TEAM}/cdn-cgi/access/logout")).await;
    assert!(attribute(&page.text, "lang").is_some());
    assert!(client.exchange(WIKI, &org_token).await.is_err());
    assert!(!client.token_is_good(WIKI, &token).await);
    // An application's token is no team's.
    assert!(client.exchange(WIKI, &token).await.is_err());
}

fn claims(token: &str) -> Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    serde_json::from_slice(&engine.decode(payload).unwrap()).unwrap()
}
