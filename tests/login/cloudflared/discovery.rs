//! Which application is behind an address.

use std::time::Duration;

use tower_access::Access;

use super::client::Client;
use super::{TEAM, WIKI, World, serve};
use crate::support::{self, Origin};

const ASKED: (&str, &str) = ("cf-access-metadata-request", "true");

#[tokio::test]
async fn a_client_since_2026_8_finds_the_application() {
    let world = World::with_team().await;
    let client = world.client();
    let wiki = client.discover(&format!("{WIKI}/docs?q=1")).await.unwrap();
    assert_eq!((&*wiki.domain, &*wiki.auth_domain), ("wiki.example.com", TEAM));
    assert_eq!(wiki.aud.len(), 64);
    // The most specific application counts, and its host is named as it is written.
    let public = client.discover(&format!("{WIKI}/public/logo.svg")).await.unwrap();
    assert_ne!(public.aud, wiki.aud);
    let lab = client.discover("https://A7.lab.example.com/work/x").await.unwrap();
    assert_eq!(lab.domain, "*.lab.example.com");
    assert_eq!(world.origin.count(), 0);
}

#[tokio::test]
async fn both_discoveries_find_the_same() {
    let world = World::with_team().await;
    let client = world.client();
    for url in [format!("{WIKI}/x?y=1"), "https://vault.example.com/".to_owned()] {
        let lately = client.discover(&url).await.unwrap();
        assert_eq!(client.discover_by_redirect(&url).await.unwrap(), lately, "{url}");
    }
}

#[tokio::test]
async fn before_2026_8_any_deployment_is_found() {
    let world = World::without_team().await;
    let app = world.client().discover_by_redirect(&format!("{WIKI}/x")).await.unwrap();
    assert_eq!((&*app.domain, &*app.auth_domain), ("wiki.example.com", "wiki.example.com"));
}

#[tokio::test]
async fn since_2026_8_other_login_hosts_are_answered_and_not_believed() {
    let world = World::without_team().await;
    let client = world.client();
    let refused = client.discover(WIKI).await.unwrap_err();
    assert_eq!(refused, "auth_domain wiki.example.com");
    let app = client.discover_with(WIKI, |_| true).await.unwrap();
    assert_eq!(app.auth_domain, "wiki.example.com");
}

#[tokio::test]
async fn the_question_is_never_forwarded_whatever_the_method_and_the_policies() {
    let world = World::with_team().await;
    let client = world.client();
    for method in ["HEAD", "GET", "OPTIONS", "POST", "DELETE", "PROPFIND"] {
        for path in ["/", "/public/", "/socket"] {
            let reply = client.ask(method, &format!("{WIKI}{path}"), &[ASKED]).await;
            assert_eq!((reply.status, &*reply.body), (200, ""), "{method} {path}");
            assert!(reply.header("cf-access-metadata").is_some(), "{method} {path}");
            assert!(reply.header("cache-control").unwrap().contains("no-store"));
        }
    }
    assert_eq!(world.origin.count(), 0);
    // Without the question, or with another one, everything is as ever; and no origin sees it.
    let url = format!("{WIKI}/public/");
    let reply = client.ask("GET", &url, &[("Cf-Access-Metadata-Request", "no")]).await;
    assert_eq!(reply.body, "origin saw /public/");
    assert!(!world.origin.last().headers.contains_key("cf-access-metadata-request"));
}

#[tokio::test]
async fn what_has_no_application_matches_nothing() {
    let world = World::with_team().await;
    let client = world.client();
    let refused = client.discover("https://a.lab.example.com/").await.unwrap_err();
    assert_eq!(refused, "type no_match");
    let reply = client.ask("HEAD", "https://unknown.example.com/", &[ASKED]).await;
    assert_eq!((reply.status, reply.header("cf-access-metadata")), (404, None));
    let reply = client.ask("HEAD", &format!("{WIKI}/a%2Fb"), &[ASKED]).await;
    assert_eq!((reply.status, reply.header("cf-access-metadata")), (400, None));
    // The login's own endpoints are no application.
    let reply = client.ask("GET", &format!("{WIKI}/cdn-cgi/access/certs"), &[ASKED]).await;
    assert!(reply.header("cf-access-metadata").is_none() && reply.body.contains("keys"));
}

#[tokio::test]
async fn answers_are_kept_for_minutes_and_no_longer_than_their_key() {
    let world = World::with_team().await;
    let client = world.client();
    let ask = async |path: &str| {
        let reply = client.ask("HEAD", &format!("{WIKI}{path}"), &[ASKED]).await;
        reply.header("cf-access-metadata").unwrap().to_owned()
    };
    let first = ask("/").await;
    world.clock.advance(Duration::from_secs(299));
    assert_eq!(ask("/elsewhere").await, first);
    world.clock.advance(Duration::from_secs(1));
    let second = ask("/").await;
    assert_ne!(second, first);
    world.access.rotate_keys().await.unwrap();
    let third = ask("/").await;
    assert_ne!(third.split('.').next(), second.split('.').next(), "signed with the new key");
    client.discover(WIKI).await.unwrap();
}

#[tokio::test]
async fn dos_03_strangers_do_not_make_us_sign_without_end() {
    let world = World::with_team().await;
    let client = world.client();
    let known = client.discover(WIKI).await.unwrap();
    let mut statuses = Vec::new();
    for n in 0..80 {
        let url = format!("https://n{n}.lab.example.com/work");
        statuses.push(client.ask("HEAD", &url, &[ASKED]).await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 49);
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)));
    assert_eq!(client.discover(WIKI).await.unwrap(), known, "kept, and still there");
    world.clock.advance(Duration::from_secs(1));
    client.discover("https://n79.lab.example.com/work").await.unwrap();
}

#[tokio::test]
async fn where_tokens_are_only_verified_the_question_means_nothing() {
    let access = Access::verifier("acme.cloudflareaccess.com", &"7a".repeat(32)).unwrap();
    let edge = serve(&access, Origin::default()).await;
    let reply = Client::new(edge, support::clock()).ask("HEAD", WIKI, &[ASKED]).await;
    assert_eq!((reply.status, reply.header("cf-access-metadata")), (302, None));
}
