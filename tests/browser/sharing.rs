//! What pages of other origins may read, as the browser has it.

use serde_json::{Value, json};

use crate::world::{ADA, EVIL, FRIEND, World, page_at};

const API: &str = "https://api.example.com";
const SIBLING: &str = "https://page.example.com";

fn applications() -> String {
    let staff = "policies: [ { name: staff, decision: allow, include: [ { email_domain: { domain: example.com } } ] } ]";
    let everybody = "policies: [ { name: all, decision: bypass, include: [ { everyone: {} } ] } ]";
    format!(
        "
    - name: API
      domain: api.example.com
      cors_headers:
        allowed_origins: ['{FRIEND}', '{SIBLING}']
        allowed_methods: [GET, PUT]
        allowed_headers: [x-thing]
        allow_credentials: true
        max_age: -1
      {staff}
    - name: Silent
      domain: silent.example.com
      {staff}
    - name: Page
      domain: page.example.com
      {everybody}"
    )
}

/// What a script learns that asks with the person's cookies: status and text, or nothing.
async fn ask(world: &World, url: &str, settings: &str) -> Option<(u64, String)> {
    let script = format!(
        "return fetch('{url}', {{ credentials: 'include', {settings} }})
            .then(async answer => [answer.status, await answer.text()], () => null)"
    );
    match world.browser.run(&script).await {
        Value::Null => None,
        answer => Some((answer[0].as_u64().unwrap(), answer[1].as_str().unwrap().to_owned())),
    }
}

async fn open_page_of(world: &World, site: &str) {
    world.browser.open(&page_at(site, "<h1>A page</h1>")).await;
    world.browser.wait_for(if site == SIBLING { "The origin" } else { "A page" }).await;
}

const PUT: &str = "method: 'PUT', headers: { 'x-thing': '1' }";

#[tokio::test]
async fn flow_11_a_page_that_is_listed_reads_answers_and_learns_that_a_login_is_needed() {
    let world = World::with_applications(&applications()).await;
    let browser = &world.browser;
    let data = format!("{API}/data?a=1");
    let mut login_url = String::new();
    for site in [FRIEND, SIBLING] {
        open_page_of(&world, site).await;
        for settings in ["", PUT] {
            let (status, text) = ask(&world, &data, settings).await.expect("an answer to read");
            let answer: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((status, &answer["error"]), (401, &json!("login_required")));
            login_url = answer["login_url"].as_str().unwrap().to_owned();
        }
    }
    let reached =
        |part: &str| world.origin.received().iter().any(|it| it.path_and_query.contains(part));
    assert!(!reached("data"));

    // The address in the answer leads to a login, and back to what was asked for.
    world.log_in(&login_url).await;
    assert_eq!(browser.url().await, data);
    for site in [FRIEND, SIBLING] {
        open_page_of(&world, site).await;
        for settings in ["", PUT] {
            let (status, text) = ask(&world, &data, settings).await.expect("an answer to read");
            assert_eq!(status, 200, "{site} {settings}");
            assert!(text.contains("by ada@example.com"), "{text}");
        }
        assert_eq!(world.origin.last().method, "PUT");
        browser.assert_clean_console().await;
        // Without the cookies it is a stranger.
        let (status, _) = ask(&world, &data, "credentials: 'omit'").await.unwrap();
        assert_eq!(status, 401);
        // Neither method nor header is on the list.
        for settings in ["method: 'DELETE'", "headers: { 'x-other': '1' }"] {
            let before = world.origin.received().len();
            assert_eq!(ask(&world, &data, settings).await, None, "{settings}");
            assert_eq!(world.origin.received().len(), before);
        }
        let complaints = browser.complaints().await;
        assert!(complaints.iter().any(|line| line.contains("CORS policy")), "{complaints:#?}");
    }
}

#[tokio::test]
async fn meth_04_a_page_that_is_not_listed_reads_nothing() {
    let world = World::with_applications(&applications()).await;
    let browser = &world.browser;
    let read = async |site: &str, host: &str, settings: &str| {
        open_page_of(&world, site).await;
        ask(&world, &format!("{host}/data"), settings).await
    };
    assert_eq!(read(EVIL, API, "").await, None);
    world.log_in(&format!("{API}/")).await;
    world.assert_open("https://silent.example.com/").await;
    for (site, host) in [
        (EVIL, API),
        // An application that says nothing about it is shared with nobody.
        (FRIEND, "https://silent.example.com"),
    ] {
        for settings in ["", PUT] {
            assert_eq!(read(site, host, settings).await, None, "{site} {settings}");
            let complaints = browser.complaints().await;
            let told = complaints.iter().any(|line| line.contains("blocked by CORS policy"));
            assert!(told, "{complaints:#?}");
        }
    }
    let received = world.origin.received();
    assert!(received.iter().all(|it| it.method == "GET"), "no preflight was passed: {received:?}");
    // It is no gate: what needs no permission is sent, and nobody can read the answer.
    assert_eq!(received.last().unwrap().email.as_deref(), Some(ADA));
}
