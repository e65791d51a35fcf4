//! Several applications on one host, each at a path of its own.

use serde_json::json;

use crate::looks::look;
use crate::world::{FRIEND, Received, TEAM, World, page_at};

const HOST: &str = "https://one.example.com";

/// People of example.com at a path of the one host.
fn staff(path: &str, settings: &str) -> String {
    format!(
        "
    - name: One{path}
      domain: one.example.com{path}
      {settings}
      policies:
        - {{ name: staff, decision: allow, include: [ {{ email_domain: {{ domain: example.com }} }} ] }}"
    )
}

/// Everybody, without a login.
fn public(path: &str) -> String {
    format!(
        "
    - name: One{path}
      domain: one.example.com{path}
      policies:
        - {{ name: all, decision: bypass, include: [ {{ everyone: {{}} }} ] }}"
    )
}

const KEPT: &str = "path_cookie_attribute: true";
const KEPT_AND_BOUND: &str = "path_cookie_attribute: true\n      enable_binding_cookie: true";

/// How many redirects it takes to get to a page that lets the browser in.
async fn redirects(world: &World, path: &str) -> usize {
    let browser = &world.browser;
    browser.visited().await;
    world.assert_open(&format!("{HOST}{path}")).await;
    browser.visited().await.len() - 1
}

/// The application tokens that an origin received with a request.
fn tokens(received: &Received) -> Vec<&str> {
    let pairs = received.cookies.split("; ").filter_map(|pair| pair.split_once('='));
    pairs.filter(|(name, _)| *name == "CF_Authorization").map(|(_, token)| token).collect()
}

/// The names of the cookies that the browser sends to the page it is at.
async fn sent(world: &World) -> Vec<String> {
    let cookies = world.browser.cookies().await;
    let mut names: Vec<_> = cookies.iter().map(|it| it.name().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn ses_07_cookies_kept_to_paths_stay_apart() {
    let applications = [
        staff("/docs", KEPT),
        staff("/admin", KEPT_AND_BOUND),
        public("/docsearch"),
        public("/docs/help"),
    ];
    let world = World::with_applications(&applications.concat()).await;
    let browser = &world.browser;
    world.log_in(&format!("{HOST}/docs/a")).await;
    let docs = world.origin.last();
    // To the login, back to the host, to the page: no question.
    assert_eq!(redirects(&world, "/admin/a").await, 3);
    let admin = world.origin.last();
    assert_eq!((tokens(&docs).len(), tokens(&admin).len()), (1, 1));
    assert_ne!(tokens(&docs), tokens(&admin));
    for _ in 0..3 {
        assert_eq!(redirects(&world, "/docs/a").await, 0);
        assert_eq!(sent(&world).await, ["CF_AppSession", "CF_Authorization"]);
        assert_eq!(tokens(&world.origin.last()), tokens(&docs));
        assert_eq!(redirects(&world, "/admin/a").await, 0);
        assert_eq!(sent(&world).await, ["CF_AppSession", "CF_Authorization", "CF_Binding"]);
        assert_eq!(tokens(&world.origin.last()), tokens(&admin));
    }
    assert_eq!(world.mail.all().len(), 1);
    assert_eq!(
        browser.all_cookies().await,
        [
            "login.example.com / CF_Authorization",
            "login.example.com / CF_Device",
            "login.example.com / CF_Session",
            "one.example.com / CF_AppSession",
            "one.example.com /admin CF_Authorization",
            "one.example.com /admin CF_Binding",
            "one.example.com /cdn-cgi/access CF_Authorization",
            "one.example.com /docs CF_Authorization",
        ]
    );

    // The path ends where a segment does.
    world.assert_open(&format!("{HOST}/docsearch?q=x")).await;
    assert_eq!(sent(&world).await, ["CF_AppSession"]);
    let search = world.origin.last();
    assert_eq!((search.email.as_deref(), search.cookies.as_str()), (None, ""));

    // A script of one page asks the other application, each with its own cookie.
    world.assert_open(&format!("{HOST}/docs/a")).await;
    let asked = browser.run("return fetch('/admin/data').then(it => it.status)").await;
    assert_eq!((asked, tokens(&world.origin.last())), (json!(200), tokens(&admin)));
    assert_eq!(redirects(&world, "/docs/a").await, 0);
    browser.assert_clean_console().await;
}

/// One cookie name for one host: each crossing is a login of its own, which asks nothing.
#[tokio::test]
async fn with_one_cookie_for_one_host_every_crossing_costs_three_redirects() {
    let applications = [staff("/docs", ""), staff("/admin", "")];
    let world = World::with_applications(&applications.concat()).await;
    let browser = &world.browser;
    world.log_in(&format!("{HOST}/docs/a")).await;
    for _ in 0..3 {
        // To the login, back to the host, to the page.
        assert_eq!(redirects(&world, "/admin/a").await, 3);
        assert_eq!(redirects(&world, "/admin/b").await, 0);
        assert_eq!(redirects(&world, "/docs/a").await, 3);
        assert_eq!(redirects(&world, "/docs/b").await, 0);
    }
    let tabs = [browser.tab().await, browser.new_tab().await];
    for (tab, path) in [(1, "/admin/c"), (0, "/docs/c"), (1, "/admin/d"), (0, "/docs/d")] {
        browser.go_to_tab(&tabs[tab]).await;
        world.assert_open(&format!("{HOST}{path}")).await;
    }
    // What a page loads from the other application is refused, and takes no cookie away.
    let script = "return fetch('/admin/data').then(it => it.json()).then(it => it.error)";
    assert_eq!(browser.run(script).await, "login_required");
    let image = "return new Promise(done => { const it = new Image(); it.onerror = done; \
                 it.src = '/admin/pixel' }).then(() => 'not shown')";
    assert_eq!(browser.run(image).await, "not shown");
    assert_eq!(redirects(&world, "/docs/e").await, 0);
    assert_eq!(world.mail.all().len(), 1, "nobody was logged out");
    assert_eq!(
        browser.all_cookies().await,
        [
            "login.example.com / CF_Authorization",
            "login.example.com / CF_Device",
            "login.example.com / CF_Session",
            "one.example.com / CF_AppSession",
            "one.example.com / CF_Authorization",
        ]
    );
    browser.assert_clean_console().await;
}

#[tokio::test]
async fn ses_08_ses_09_a_logout_on_the_host_ends_what_was_begun_at_each_path() {
    let applications = [
        staff("/docs", KEPT),
        staff("/admin", KEPT_AND_BOUND),
        staff("/plain", ""),
        staff("", "").replace("one.example.com", "two.example.com"),
    ];
    let world = World::with_applications(&applications.concat()).await;
    let browser = &world.browser;
    world.log_in(&format!("{HOST}/docs/a")).await;
    world.assert_open(&format!("{HOST}/admin/a")).await;
    browser.open(&format!("{HOST}/cdn-cgi/access/get-identity")).await;
    browser.wait_for("ada@example.com").await;
    let held = browser.all_cookies().await;
    for cookie in ["/docs CF_Authorization", "/admin CF_Authorization", "/admin CF_Binding"] {
        assert!(held.contains(&format!("one.example.com {cookie}")), "{held:?}");
    }
    browser.open(&format!("{HOST}/cdn-cgi/access/logout")).await;
    look(browser, "signed-out-of-paths", "You are logged out").await;
    let left = browser.all_cookies().await;
    assert!(!left.iter().any(|it| it.starts_with("one.example.com")), "{left:?}");
    // The way back leads to something.
    browser.click("Log in again").await;
    browser.wait_for("Enter your email address").await;
    for path in ["/docs/a", "/admin/a", "/plain"] {
        world.assert_closed(&format!("{HOST}{path}")).await;
    }
    world.assert_closed("https://two.example.com/").await;
    // The login's own cookie was not in reach: the session is what has ended.
    browser.open(&format!("{TEAM}/cdn-cgi/access/get-identity")).await;
    assert!(!browser.text().await.contains("ada@example.com"));
    world.log_in(&format!("{HOST}/docs/a")).await;
    assert_eq!(world.mail.all().len(), 2);
    browser.assert_clean_console().await;
}

/// Whatever the order in the file.
#[tokio::test]
async fn a_public_part_of_a_protected_path_stays_public() {
    let ghost = [staff("/ghost", ""), public("/ghost/api/content")];
    let other = [public("/ghost/api/content"), staff("/ghost", KEPT)];
    for applications in [ghost, other] {
        let world = World::with_applications(&applications.concat()).await;
        let browser = &world.browser;
        for _ in 0..2 {
            world.assert_open(&format!("{HOST}/ghost/api/content")).await;
            world.assert_open(&format!("{HOST}/ghost/api/content/posts?key=1")).await;
            assert_eq!(world.origin.last().email, None);
            for path in ["/ghost", "/ghost/", "/ghost/api", "/ghost/api/contents"] {
                world.assert_closed(&format!("{HOST}{path}")).await;
            }
        }
        assert!(world.origin.received().iter().all(|it| it.path_and_query.contains("/content")));
        // A preflight reaches the public part, and is nothing to the protected one.
        browser.open(&page_at(FRIEND, "<h1>A friend</h1>")).await;
        for (path, arrives) in [("/ghost/api/content/posts", true), ("/ghost/posts", false)] {
            let script =
                format!("return fetch('{HOST}{path}', {{ method: 'PUT' }}).catch(() => 'blocked')");
            let before = world.origin.received().len();
            assert_eq!(browser.run(&script).await, "blocked", "the origin grants nothing");
            assert_eq!(world.origin.received().len() > before, arrives, "{path}");
        }
        assert_eq!(world.origin.last().method, "OPTIONS");
        browser.complaints().await;

        world.log_in(&format!("{HOST}/ghost/editor")).await;
        let status = "return fetch('/ghost/api/content/posts').then(it => it.status)";
        assert_eq!(browser.run(status).await, 200);
        world.assert_open(&format!("{HOST}/ghost/api/content/posts")).await;
        assert_eq!(world.origin.last().email, None);
        assert_eq!(redirects(&world, "/ghost/editor").await, 0);
        browser.assert_clean_console().await;
    }
}
