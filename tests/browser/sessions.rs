//! Sessions: seeing and ending them, staying logged in, going from one application to another.

use std::time::Duration;

use serde_json::json;

use crate::looks::look;
use crate::world::{ADA, TEAM, WIKI, World};

/// What a script of the open page learns of a path, without following a redirect.
async fn kind_of_answer(world: &World, path: &str) -> serde_json::Value {
    let script = format!(
        "return fetch('{path}', {{ redirect: 'manual', cache: 'no-store' }})
            .then(answer => [answer.type, answer.status])"
    );
    world.browser.run(&script).await
}

/// Opens a WebSocket on the page, and waits until it is open.
async fn open_socket(browser: &crate::browser::Browser, path: &str) {
    let script = format!(
        "window.closed_after = null;
         return new Promise((resolve, reject) => {{
            const address = new URL('{path}', location.href.replace(/^http/, 'ws'));
            const socket = window.socket = new WebSocket(address);
            socket.onmessage = message => resolve(message.data);
            socket.onclose = () => {{ window.has_closed = Date.now(); reject('closed'); }};
         }})"
    );
    assert_eq!(browser.run(&script).await, json!("open"));
}

#[tokio::test]
async fn a_person_ends_the_session_of_another_browser_and_its_socket_closes_within_a_second() {
    let mut world = World::start().await;
    world.log_in(&format!("{WIKI}/")).await;
    let other = world.another_browser().await;
    let first = std::mem::replace(&mut world.browser, other);
    world.log_in(&format!("{WIKI}/")).await;
    open_socket(&first, "/socket").await;

    let browser = &world.browser;
    browser.open(&format!("{WIKI}/cdn-cgi/access/sessions")).await;
    look(browser, "sessions", "Where you are logged in").await;
    let page = browser.text().await;
    assert!(browser.url().await.starts_with(&format!("{TEAM}/cdn-cgi/access/sessions")));
    for part in [ADA, "Chrome on Linux (this one)", "127.0.0.1", "by onetimepin"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(page.matches("Chrome on Linux").count(), 2);
    browser.click("End this session").await;
    let ended = std::time::Instant::now();
    let script = "return new Promise(resolve => {
        const look = () => window.has_closed ? resolve('closed') : setTimeout(look, 5);
        look();
    })";
    assert_eq!(first.run(script).await, json!("closed"));
    assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
    first.open(&format!("{WIKI}/")).await;
    first.wait_for("Enter your email address").await;
    // The one that asked goes on, and sees no other.
    let page = browser.wait_for("(this one)").await;
    assert_eq!(page.matches("Chrome on Linux").count(), 1);
    world.assert_open(&format!("{WIKI}/docs")).await;
    browser.open(&format!("{TEAM}/cdn-cgi/access/sessions")).await;
    browser.click("Log out everywhere").await;
    browser.wait_for("You are logged out").await;
    world.assert_closed(&format!("{WIKI}/docs")).await;
    browser.open(&format!("{WIKI}/cdn-cgi/access/sessions")).await;
    look(browser, "no-session", "You are not logged in").await;
}

#[tokio::test]
async fn whoever_is_active_gets_a_fresh_cookie_and_no_redirect() {
    let hour = Duration::from_secs(3600);
    let settings =
        |it: tower_access::AccessBuilder| it.session_duration(72 * hour).idle_timeout(4 * hour);
    let world = World::with_clock_and(settings).await;
    world.log_in(&format!("{WIKI}/")).await;
    // A token lives for five hours at most.
    for _ in 0..15 {
        world.clock.advance(3 * hour);
        assert_eq!(kind_of_answer(&world, "/a").await, json!(["basic", 200]));
    }
    world.clock.advance(5 * hour);
    // A script is told so, and a page is sent to the login.
    assert_eq!(kind_of_answer(&world, "/b").await, json!(["basic", 401]));
    world.assert_closed(&format!("{WIKI}/b")).await;
    assert_eq!(world.mail.all().len(), 1);
}

#[tokio::test]
async fn applications_of_one_host_are_entered_without_a_redirect() {
    let world = World::on_localhost_with(&["localhost/a", "localhost/b", "localhost/a/c"]).await;
    let browser = &world.browser;
    let host = format!("http://localhost:{}", world.address.port());
    world.log_in(&format!("{host}/a")).await;
    for path in ["/b", "/a/c", "/a", "/b/x", "/a/c/y", "/b"] {
        world.assert_open(&format!("{host}{path}")).await;
        let redirects = "return performance.getEntriesByType('navigation')[0].redirectCount";
        assert_eq!(browser.run(redirects).await, json!(0), "{path}");
        assert!(!world.origin.last().cookies.contains("CF_HostSession"));
    }
    // From one page to all of them, at once and again and again.
    let script = "const paths = ['/a/1', '/b/1', '/a/c/1'];
        return Promise.all(Array.from({ length: 30 }, (_, number) =>
            fetch(paths[number % 3], { redirect: 'manual' }).then(answer => answer.status)))";
    assert_eq!(browser.run(script).await, json!(vec![200; 30]));
    browser.open(&format!("{host}/a")).await;
    browser.wait_for("The origin").await;
    open_socket(browser, "/b/socket").await;
    let post = "return fetch('/b/post', { method: 'POST', body: 'x' }).then(it => it.status)";
    assert_eq!(browser.run(post).await, json!(200));
    assert_eq!(world.mail.all().len(), 1);
    browser.open(&format!("{host}/cdn-cgi/access/logout")).await;
    browser.wait_for("You are logged out").await;
    for path in ["/a", "/b", "/a/c"] {
        world.assert_closed(&format!("{host}{path}")).await;
    }
}
