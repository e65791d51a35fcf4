//! A token through the browser.

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::Full;
use tower::Layer;
use tower_access::{Access, AccessLayer};

use super::client::Keys;
use super::{Service, TEAM, WIKI, World};
use crate::support::{self, Browser, Form, send};

/// The host an unmodified client waits at.
const TRANSFER: &str = "login.cloudflareaccess.org";

async fn aud(world: &World, url: &str) -> String {
    world.client().discover_by_redirect(url).await.unwrap().aud
}

/// From the address the client opens to the page that asks, for somebody who has to log in first.
async fn log_in_to_approve(world: &World, browser: &mut Browser<Service>, url: &str) -> Form {
    let before = world.mail.len();
    let code_form = support::ask_for_code(browser, url, "ada@example.com").await;
    let code = world.mail.code(before + 1).await;
    let answer = code_form.submit(browser, &[("code", &code)]).await;
    let (page_url, page) = browser.visit(answer.location()).await;
    assert!(page.text.contains("Let a program in to"), "{page_url} {}", page.text);
    Form::of(&page_url, &page.text)
}

#[tokio::test]
async fn a_person_logs_in_and_approves_and_the_client_gets_both_tokens() {
    let set = |builder: tower_access::AccessBuilder| {
        builder.team_domain(TEAM.parse().unwrap()).transfer_host(TRANSFER.parse().unwrap())
    };
    let world = World::of(set).await;
    let (client, keys) = (world.client(), Keys::new());
    let url = format!("{WIKI}/docs");
    let app = client.discover(&url).await.unwrap();
    let mut browser = world.browser();
    let approving = async {
        let form = log_in_to_approve(&world, &mut browser, &keys.url(&url, &app.aud)).await;
        assert!(form.action.starts_with(&format!("https://{TEAM}/cdn-cgi/access/cli/")));
        // It waits already, and hears of it.
        tokio::time::sleep(Duration::from_millis(100)).await;
        form.submit(&mut browser, &[]).await
    };
    let (tokens, page) = tokio::join!(client.wait(TRANSFER, &keys), approving);
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.text.contains("You can close this page."), "{}", page.text);
    let tokens = tokens.unwrap();
    let app_token = tokens["app_token"].as_str().unwrap();
    assert!(client.token_is_good(&url, app_token).await);
    let other = "https://quick.example.com/";
    let token = client.exchange(other, tokens["org_token"].as_str().unwrap()).await.unwrap();
    assert!(client.token_is_good(other, &token).await);
}

#[tokio::test]
async fn where_each_host_runs_its_own_login_it_hands_out_its_own_tokens() {
    let world = World::without_team().await;
    let (client, keys) = (world.client(), Keys::new());
    let aud = aud(&world, WIKI).await;
    let mut browser = world.browser();
    let form = log_in_to_approve(&world, &mut browser, &keys.url(WIKI, &aud)).await;
    assert_eq!(form.submit(&mut browser, &[]).await.status(), StatusCode::OK);
    let tokens = client.wait("wiki.example.com", &keys).await.unwrap();
    assert!(client.token_is_good(WIKI, tokens["app_token"].as_str().unwrap()).await);
    let token = client.exchange(WIKI, tokens["org_token"].as_str().unwrap()).await.unwrap();
    assert!(client.token_is_good(WIKI, &token).await);
}

#[tokio::test]
async fn an_application_that_keeps_its_cookie_to_its_paths_comes_back_as_well() {
    for world in [World::with_team().await, World::without_team().await] {
        let (keys, url) = (Keys::new(), "https://paths.example.com/docs/");
        let aud = aud(&world, url).await;
        let mut browser = world.browser();
        let form = log_in_to_approve(&world, &mut browser, &keys.url(url, &aud)).await;
        form.submit(&mut browser, &[]).await;
        let host = if form.action.contains(TEAM) { TEAM } else { "paths.example.com" };
        let tokens = world.client().wait(host, &keys).await.unwrap();
        assert!(world.client().token_is_good(url, tokens["app_token"].as_str().unwrap()).await);
    }
}

#[tokio::test]
async fn the_session_token_is_given_on_request_alone_and_everything_once() {
    let world = World::with_team().await;
    let (client, keys) = (world.client(), Keys::new());
    let mut browser = world.logged_in(WIKI).await;
    let url = keys.url(WIKI, &aud(&world, WIKI).await).replace("send_org_token=true", "x=y");
    approve(&mut browser, &url).await;
    let tokens = client.wait(TEAM, &keys).await.unwrap();
    assert!(tokens["app_token"].is_string() && tokens.get("org_token").is_none());
    assert_eq!(taken(&world, TEAM, &keys).await.0, StatusCode::NOT_FOUND, "handed out once");
}

#[tokio::test]
async fn flow_09_a_get_hands_out_nothing_and_a_form_needs_its_page() {
    let world = World::with_team().await;
    let keys = Keys::new();
    let mut browser = world.logged_in(WIKI).await;
    let url = keys.url(WIKI, &aud(&world, WIKI).await);
    let (page_url, page) = browser.visit(&url).await;
    let form = Form::of(&page_url, &page.text);
    browser.send("HEAD", &page_url, "").await;
    // A form of another site's, or of a sibling's.
    for site in ["cross-site", "same-site"] {
        browser.headers.push(("sec-fetch-site", site.to_owned()));
        assert_eq!(form.submit(&mut browser, &[]).await.status(), StatusCode::FORBIDDEN);
        browser.headers.pop();
    }
    // Without what the page says, with something else, with another client's.
    assert_eq!(browser.post(&form.action, &[]).await.status(), StatusCode::BAD_REQUEST);
    let wrong = "0".repeat(64);
    let answer = browser.post(&form.action, &[("proof", &wrong)]).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let other = form.action.replace(&escaped(&keys), &escaped(&Keys::new()));
    assert_ne!(other, form.action);
    let answer = browser.post(&other, &[("proof", form.value("proof"))]).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    // Somebody else's session.
    let mut eve = world.browser();
    support::log_in(&mut eve, &world.mail, WIKI, "eve@example.com").await;
    let answer = form.submit(&mut eve, &[]).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    // Nobody's.
    let answer = form.submit(&mut world.browser(), &[]).await;
    assert!(answer.location().contains("/cdn-cgi/access/login/"));
    assert_eq!(taken(&world, TEAM, &keys).await.0, StatusCode::NOT_FOUND);
    assert_eq!(form.submit(&mut browser, &[]).await.status(), StatusCode::OK);
    assert_eq!(taken(&world, TEAM, &keys).await.0, StatusCode::OK);
}

#[tokio::test]
async fn flow_18_what_is_asked_for_has_to_be_this_applications() {
    let world = World::with_team().await;
    let keys = Keys::new();
    let mut browser = world.logged_in(WIKI).await;
    let aud = aud(&world, WIKI).await;
    let good = keys.url(WIKI, &aud);
    let back: String =
        url::form_urlencoded::byte_serialize(format!("{WIKI}/").as_bytes()).collect();
    let foreign = "https%3A%2F%2Fevil.example%2F";
    let other_aud = aud_of_vault(&world).await;
    for (url, status) in [
        (good.replace(&back, foreign), StatusCode::BAD_REQUEST),
        (
            good.replace(&back, "https%3A%2F%2Fwiki.example.com.evil.example%2F"),
            StatusCode::BAD_REQUEST,
        ),
        (good.replace("redirect_url=", "r="), StatusCode::BAD_REQUEST),
        (good.replace(&escaped(&keys), "AAAA"), StatusCode::BAD_REQUEST),
        (good.replace(&escaped(&keys), ""), StatusCode::BAD_REQUEST),
        (good.clone() + "&token=" + &escaped(&keys), StatusCode::BAD_REQUEST),
        (good.replace(&aud, &other_aud), StatusCode::NOT_FOUND),
        (good.replace(&aud, "x"), StatusCode::NOT_FOUND),
        (good.replace("aud=", "a="), StatusCode::BAD_REQUEST),
    ] {
        assert_ne!(url, good);
        // On the application's host, and on the team domain behind it.
        assert_eq!(browser.get(&url).await.status(), status, "{url}");
        let behind = url.replace(
            "wiki.example.com/cdn-cgi/access/cli",
            &format!("{TEAM}/cdn-cgi/access/cli/wiki.example.com"),
        );
        assert_eq!(browser.get(&behind).await.status(), status, "{behind}");
    }
    let refused = good.replace("wiki.example.com/cdn", "unknown.example.com/cdn");
    assert_eq!(browser.get(&refused).await.status(), StatusCode::NOT_FOUND);
    // A key nothing can be sealed for.
    let zero = good.replace(&escaped(&keys), &format!("{}%3D", "A".repeat(43)));
    let (page_url, page) = browser.visit(&zero).await;
    let form = Form::of(&page_url, &page.text);
    assert_eq!(form.submit(&mut browser, &[]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_may_not_enter_gets_no_token_and_a_bound_application_has_none_to_give() {
    let world = World::with_team().await;
    let mut browser = world.logged_in(WIKI).await;
    for (url, words) in [
        ("https://vault.example.com/", "That account does not have access."),
        ("https://bound.example.com/", "for browsers alone"),
    ] {
        let (_, page) = browser.visit(&Keys::new().url(url, &aud(&world, url).await)).await;
        assert_eq!(page.status(), StatusCode::FORBIDDEN);
        assert!(page.text.contains(words), "{}", page.text);
    }
}

#[tokio::test]
async fn a_person_is_asked_unless_the_application_says_otherwise() {
    let world = World::with_team().await;
    let url = "https://quick.example.com/";
    let mut browser = world.logged_in(url).await;
    let aud = aud(&world, url).await;
    // The client has the browser open it: no page led there.
    browser.headers.push(("sec-fetch-site", "none".to_owned()));
    let keys = Keys::new();
    let (_, page) = browser.visit(&keys.url(url, &aud)).await;
    assert!(page.text.contains("You can close this page."), "{}", page.text);
    let tokens = world.client().wait(TEAM, &keys).await.unwrap();
    assert!(world.client().token_is_good(url, tokens["app_token"].as_str().unwrap()).await);
    browser.headers.pop();
    // A page did, or the browser looks ahead.
    for header in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-purpose", "prefetch"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
        ("sec-fetch-dest", "image"),
    ] {
        browser.headers.push((header.0, header.1.to_owned()));
        let keys = Keys::new();
        let (_, page) = browser.visit(&keys.url(url, &aud)).await;
        assert!(page.text.contains("<form"), "{header:?}");
        assert_eq!(taken(&world, TEAM, &keys).await.0, StatusCode::NOT_FOUND, "{header:?}");
        browser.headers.pop();
    }
}

#[tokio::test]
async fn dos_03_a_session_has_one_answer_waiting_and_not_for_long() {
    let world = World::with_team().await;
    let mut browser = world.logged_in(WIKI).await;
    let aud = aud(&world, WIKI).await;
    let (first, second) = (Keys::new(), Keys::new());
    approve(&mut browser, &first.url(WIKI, &aud)).await;
    approve(&mut browser, &second.url(WIKI, &aud)).await;
    assert_eq!(taken(&world, TEAM, &first).await.0, StatusCode::NOT_FOUND);
    assert_eq!(taken(&world, TEAM, &second).await.0, StatusCode::OK);
    approve(&mut browser, &first.url(WIKI, &aud)).await;
    world.clock.advance(Duration::from_secs(300));
    assert_eq!(taken(&world, TEAM, &first).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn flow_05_nobody_puts_a_token_of_their_own_in_place_of_another() {
    let world = World::with_team().await;
    let (aud, keys) = (aud(&world, WIKI).await, Keys::new());
    let mut ada = world.logged_in(WIKI).await;
    let mut eve = world.browser();
    support::log_in(&mut eve, &world.mail, WIKI, "eve@example.com").await;
    approve(&mut ada, &keys.url(WIKI, &aud)).await;
    let (page_url, page) = eve.visit(&keys.url(WIKI, &aud)).await;
    let answer = Form::of(&page_url, &page.text).submit(&mut eve, &[]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(answer.text.contains("Somebody has approved this client already"));
    let tokens = world.client().wait(TEAM, &keys).await.unwrap();
    assert!(world.client().token_is_good(WIKI, tokens["app_token"].as_str().unwrap()).await);
    assert_eq!(
        world.origin.last().headers["cf-access-authenticated-user-email"],
        "ada@example.com"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_is_held_and_then_told_not_yet() {
    let world = World::with_team().await;
    let (status, waited) = asked(&world, TEAM, &Keys::new(), Duration::from_secs(60)).await;
    assert_eq!((status, waited), (StatusCode::NOT_FOUND, Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn dos_03_so_many_wait_and_no_more() {
    let world = World::with_team().await;
    let waiting = (0..300).map(|_| {
        let world = &world;
        async move { asked(world, TEAM, &Keys::new(), Duration::from_secs(60)).await }
    });
    let answers = futures_util::future::join_all(waiting).await;
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::NOT_FOUND));
    let held = answers.iter().filter(|(_, waited)| !waited.is_zero()).count();
    assert_eq!(held, 256);
}

#[tokio::test]
async fn transfers_are_answered_where_they_belong_and_for_get_alone() {
    let world = World::with_team().await;
    let keys = Keys::new();
    let client = world.client();
    // An application's own path, which needs its login; and a host that is nobody's.
    let path = format!("/transfer/{}", keys.public());
    assert_eq!(client.ask("GET", &format!("{WIKI}{path}"), &[]).await.status, 302);
    let reply = client.ask("GET", &format!("https://{TRANSFER}{path}"), &[]).await;
    assert!(reply.status == 404 && reply.body.contains("No application"), "{}", reply.body);
    for method in ["HEAD", "POST", "PUT", "DELETE"] {
        let reply = client.ask(method, &format!("https://{TEAM}{path}"), &[]).await;
        assert_eq!(reply.status, 405, "{method}");
    }
    // What is no key is no transfer.
    let reply = client.ask("GET", &format!("https://{TEAM}/transfer/short="), &[]).await;
    assert!(reply.status == 404 && reply.body.contains("No application"), "{}", reply.body);
}

#[test]
fn a_transfer_host_is_nobody_elses() {
    let builder = super::applications()
        .into_iter()
        .fold(Access::builder(), tower_access::AccessBuilder::application)
        .mailer(support::Mailbox::default())
        .transfer_host("wiki.example.com".parse().unwrap());
    let error = builder.build().unwrap_err().to_string();
    assert!(error.contains("`transfer_host`") && error.contains("wiki.example.com"), "{error}");
}

/// Approves on the page, for somebody who is logged in.
async fn approve(browser: &mut Browser<Service>, url: &str) {
    let (page_url, page) = browser.visit(url).await;
    let answer = Form::of(&page_url, &page.text).submit(browser, &[]).await;
    assert!(answer.text.contains("You can close this page."), "{}", answer.text);
}

/// What is there at once.
async fn taken(world: &World, host: &str, keys: &Keys) -> (StatusCode, Duration) {
    asked(world, host, keys, Duration::from_millis(200)).await
}

/// One question for the tokens, without a socket: the answer, and how long it took.
async fn asked(
    world: &World,
    host: &str,
    keys: &Keys,
    patience: Duration,
) -> (StatusCode, Duration) {
    let service = AccessLayer::new(world.access.clone()).layer(world.origin.clone());
    let request = Request::builder()
        .uri(format!("/transfer/{}", keys.public()))
        .header("host", host)
        .body(Full::default())
        .unwrap();
    let begun = tokio::time::Instant::now();
    let answer = tokio::time::timeout(patience, send(&service, request));
    (answer.await.map_or(StatusCode::NOT_FOUND, |it| it.status()), begun.elapsed())
}

async fn aud_of_vault(world: &World) -> String {
    aud(world, "https://vault.example.com/").await
}

/// As it stands in a query.
fn escaped(keys: &Keys) -> String {
    url::form_urlencoded::byte_serialize(keys.public().as_bytes()).collect()
}
