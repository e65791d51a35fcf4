//! The login by GitHub, against a server that does what GitHub does, and what it should not.

use http::StatusCode;
use serde_json::{Value, json};
use tower::Layer;
use tower_access::application::Application;
use tower_access::layer::AccessService;
use tower_access::login::GitHubProvider;
use tower_access::policy::{Policy, Rule};
use tower_access::store::MemoryStore;
use tower_access::{Access, AccessLayer};

use crate::support::github::{CLIENT_ID, CLIENT_SECRET, GitHub, User};
use crate::support::ledger::Ledger;
use crate::support::log::Log;
use crate::support::sockets::Act;
use crate::support::{self, Answer, Mailbox, Origin, query};

type Browser = support::Browser<AccessService<Origin>>;

const TOKEN: &str = "/login/oauth/access_token";
const USER: &str = "/api/v3/user";
const EMAILS: &str = "/api/v3/user/emails";
const ORGS: &str = "/api/v3/user/orgs";
const TEAMS: &str = "/api/v3/user/teams";
const OPEN: &str = "https://open.example.com/docs?a=1";

struct World {
    github: GitHub,
    mail: Mailbox,
    origin: Origin,
    access: Access,
}

fn rule(rule: Value) -> Rule {
    serde_json::from_value(rule).unwrap()
}

fn organization(fields: &Value) -> Rule {
    rule(json!({ "github-organization": fields }))
}

fn provider(id: &str, github: &GitHub) -> GitHubProvider {
    GitHubProvider::new(id, CLIENT_ID, CLIENT_SECRET.to_owned())
        .base_url(&github.base_url())
        .unwrap()
}

impl World {
    /// The one-time PIN, and one GitHub server.
    async fn new() -> Self {
        let github = GitHub::start().await;
        let provider = provider("github", &github);
        Self::with(github, [provider])
    }

    fn with(github: GitHub, providers: impl IntoIterator<Item = GitHubProvider>) -> Self {
        let (mail, origin) = (Mailbox::default(), Origin::default());
        let application = |name: &str, policy: Policy| {
            Application::new(name, &format!("{name}.example.com")).unwrap().policy(policy)
        };
        let everyone = |name: &str| Policy::allow(name).include(Rule::everyone());
        let member = |fields: Value| Policy::allow("members").include(organization(&fields));
        let mut builder = Access::builder()
            .mailer(mail.clone())
            .clock(support::clock())
            .team_domain("login.example.com".parse().unwrap())
            .application(application("open", everyone("all")))
            .application(application("acme", member(json!({ "name": "acme" }))))
            .application(application("ops", member(json!({ "name": "ACME", "team": "Ops" }))))
            .application(application(
                "second",
                member(json!({ "name": "acme", "identity_provider_id": "second" })),
            ))
            .application(application(
                "without-rivals",
                everyone("all").exclude(organization(&json!({ "name": "Rivals" }))),
            ))
            .application(application(
                "without-spies",
                everyone("all").exclude(organization(&json!({ "name": "acme", "team": "spies" }))),
            ))
            .application(application(
                "without-contractors",
                everyone("all").exclude(rule(json!({ "okta": { "name": "Contractors" } }))),
            ))
            .application(application(
                "github-only",
                Policy::allow("github").include(Rule::login_method("github")),
            ));
        for provider in providers {
            builder = builder.identity_provider(provider);
        }
        Self { github, mail, origin, access: builder.build().unwrap() }
    }

    fn browser(&self) -> Browser {
        Browser::new(AccessLayer::new(self.access.clone()).layer(self.origin.clone()))
    }

    /// From a protected page to GitHub. Returns the URL of its page.
    async fn to_github(&self, browser: &mut Browser, method: &str) -> String {
        let login = browser.get(OPEN).await.location().to_owned();
        let answer = browser.get(&format!("{login}&connector_id={method}")).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
        answer.location().to_owned()
    }

    /// From a protected page to the answer of the callback.
    async fn come_back(&self, browser: &mut Browser, user: &User) -> Answer {
        let url = self.to_github(browser, "github").await;
        browser.get(&self.github.authorize(&url, user)).await
    }

    /// A new browser whose user has logged in, and what the requested page says.
    async fn logged_in(&self, user: &User) -> Browser {
        let mut browser = self.browser();
        let answer = self.come_back(&mut browser, user).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
        let (url, page) = browser.visit(answer.location()).await;
        assert_eq!((&*url, &*page.text), (OPEN, "origin saw /docs?a=1"));
        browser
    }

    /// Which of these applications are open.
    async fn opens(&self, browser: &mut Browser, names: &[&str]) -> Vec<bool> {
        let mut opens = Vec::new();
        for name in names {
            let (_, page) = browser.visit(&format!("https://{name}.example.com/")).await;
            let status = page.status();
            assert!(matches!(status, StatusCode::OK | StatusCode::FORBIDDEN), "{name} {status}");
            opens.push(status == StatusCode::OK);
        }
        opens
    }

    async fn identity(&self, browser: &mut Browser) -> Value {
        let page = browser.get("https://open.example.com/cdn-cgi/access/get-identity").await;
        serde_json::from_str(&page.text).unwrap()
    }

    /// The one-time PIN does not depend on GitHub.
    async fn logs_in_by_mail(&self) {
        support::log_in(&mut self.browser(), &self.mail, OPEN, "bob@example.com").await;
    }
}

/// A page that says what to do, and that nobody got past.
#[track_caller]
fn is_page(answer: &Answer, status: StatusCode, says: &str) {
    assert_eq!(answer.status(), status, "{}", answer.text);
    assert!(answer.text.contains(says), "{}", answer.text);
    assert!(answer.set_cookie("CF_Authorization").is_none());
    let again = "href=\"https://login.example.com/cdn-cgi/access/login/open.example.com?";
    assert!(answer.text.contains(again), "{}", answer.text);
    for secret in ["gho_", "code-", CLIENT_SECRET] {
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
}

const EVERY: &[&str] =
    &["open", "acme", "ops", "second", "without-rivals", "without-spies", "github-only"];

#[tokio::test]
async fn a_user_of_github_enters_what_organizations_and_teams_open() {
    let world = World::new().await;
    let mut ada = world.logged_in(&User::ada()).await;
    let opens = world.opens(&mut ada, EVERY).await;
    assert_eq!(opens, [true, true, true, false, true, true, true]);
    let identity = world.identity(&mut ada).await;
    assert_eq!(identity["email"], "ada@example.com", "not another address of the account");
    assert_eq!(identity["idp"], json!({ "id": "github", "type": "github" }));
    assert_eq!((&identity["id"], &identity["name"]), (&json!("583231"), &json!("ada")));
    let organizations = json!([
        { "name": "Acme", "teams": ["ops"] }, { "name": "club", "teams": ["ops-of-club"] }
    ]);
    assert_eq!(identity["organizations"], organizations);
    assert_eq!(identity.get("amr"), None);
    // The team of another organization does not count in this one.
    let of_club = User { teams: vec![(2, "ops")], ..User::ada() };
    let mut ada = world.logged_in(&of_club).await;
    assert_eq!(world.opens(&mut ada, &["acme", "ops"]).await, [true, false]);
    let outside = User { organizations: vec![(9, "rivals")], ..User::ada() };
    let mut ada = world.logged_in(&outside).await;
    let opens = world.opens(&mut ada, EVERY).await;
    assert_eq!(opens, [true, false, false, false, false, true, true]);
}

#[tokio::test]
async fn what_github_has_no_word_for_is_unknown() {
    let world = World::new().await;
    let mut ada = world.logged_in(&User::ada()).await;
    // Nobody says that she is not in this group of another provider.
    assert_eq!(world.opens(&mut ada, &["without-contractors"]).await, [false]);
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let world = World::new().await;
    world.github.set_page_size(2);
    let mut user = User::ada();
    user.organizations = (10..15).map(|id| (id, "other")).chain([(1, "Acme"), (2, "x")]).collect();
    user.teams = (10..14).map(|id| (id, "ops")).chain([(1, "dev"), (1, "ops")]).collect();
    let address = |email: String| json!({ "email": email, "primary": false, "verified": true });
    let mut emails: Vec<Value> = (0..6).map(|it| address(format!("{it}@example.com"))).collect();
    emails.push(json!({ "email": "ada@example.com", "primary": true, "verified": true }));
    user.emails = emails.into();
    let mut ada = world.logged_in(&user).await;
    assert_eq!(world.identity(&mut ada).await["email"], "ada@example.com");
    assert_eq!(world.github.arrived(ORGS).len(), 4);
    let opens = world.opens(&mut ada, &["acme", "ops", "without-rivals", "without-spies"]).await;
    assert_eq!(opens, [true, true, true, true]);
}

#[tokio::test]
async fn pol_07_a_list_that_is_too_long_says_of_nobody_that_they_are_not_in_it() {
    let world = World::new().await;
    world.github.set_page_size(1);
    let others = (100..130).map(|id| (id, "other"));
    // The first page is all right: who is in it is known.
    let mut user = User::ada();
    user.organizations = [(1, "Acme")].into_iter().chain(others.clone()).collect();
    user.teams = vec![(1, "ops")];
    let mut ada = world.logged_in(&user).await;
    assert_eq!(world.github.arrived(ORGS).len(), 10);
    let names = &["acme", "ops", "without-rivals", "without-spies"];
    assert_eq!(world.opens(&mut ada, names).await, [true, true, false, true]);
    user.organizations = others.chain([(1, "Acme")]).collect();
    let mut ada = world.logged_in(&user).await;
    assert_eq!(world.opens(&mut ada, names).await, [false, false, false, false]);
}

#[tokio::test]
async fn pol_07_what_is_hidden_behind_saml_is_unknown() {
    let world = World::new().await;
    let sso = "x-github-sso: partial-results; organizations=4,5\r\n";
    world.github.add_headers(ORGS, sso);
    world.github.add_headers(TEAMS, sso);
    let mut ada = world.logged_in(&User::ada()).await;
    let names = &["acme", "ops", "without-rivals", "without-spies"];
    assert_eq!(world.opens(&mut ada, names).await, [true, true, false, true]);
    assert_eq!(world.identity(&mut ada).await["organizations_are_partial"], true);
    // Which ones are hidden is not said: no team is known to be absent.
    world.github.add_headers(ORGS, "");
    world.github.add_headers(TEAMS, "x-github-sso: partial-results\r\n");
    let mut ada = world.logged_in(&User::ada()).await;
    assert_eq!(world.opens(&mut ada, names).await, [true, false, true, false]);
}

#[tokio::test]
async fn without_the_scope_organizations_are_unknown_and_not_absent() {
    let log = Log::of_this_test();
    let world = World::new().await;
    for scopes in ["", "read:user,user:email"] {
        let mut ada = world.logged_in(&User { scopes, ..User::ada() }).await;
        let opens = world.opens(&mut ada, EVERY).await;
        assert_eq!(opens, [true, false, false, false, false, false, true], "{scopes}");
    }
    assert!(world.github.arrived(ORGS).is_empty());
    assert!(log.text().contains("read:org"));
    // GitHub may refuse the lists for reasons of its own.
    world.github.bend(TEAMS, Act::status("403 Forbidden"));
    let mut ada = world.logged_in(&User::ada()).await;
    let names = &["acme", "ops", "without-rivals", "without-spies"];
    assert_eq!(world.opens(&mut ada, names).await, [true, false, true, false]);
    world.github.bend(ORGS, Act::status("403 Forbidden"));
    let mut ada = world.logged_in(&User::ada()).await;
    assert_eq!(world.opens(&mut ada, names).await, [false, false, false, false]);
}

#[tokio::test]
async fn only_a_verified_primary_address_logs_in() {
    let world = World::new().await;
    let address = |email: &str, primary, verified| json!({ "email": email, "primary": primary, "verified": verified });
    for emails in [
        json!([]),
        json!([address("ada@example.com", true, false)]),
        json!([address("ada@example.com", false, true)]),
        json!([address("ada@example.com", true, false), address("ceo@example.com", false, true)]),
    ] {
        let user = User { emails, ..User::ada() };
        let answer = world.come_back(&mut world.browser(), &user).await;
        is_page(&answer, StatusCode::FORBIDDEN, "verified email address");
    }
}

#[tokio::test]
async fn every_error_of_the_token_endpoint_is_a_clear_page() {
    let log = Log::of_this_test();
    let world = World::new().await;
    let error = |error: &str| Act::json(json!({ "error": error }).to_string());
    let html = Act::json("<html>access_token=gho_x</html>");
    let not_found = Act::Answer {
        status: "404 Not Found",
        headers: String::new(),
        body: br#"{"error":"Not Found"}"#.to_vec(),
    };
    let setup = "is not set up correctly";
    let down = "did not answer as expected";
    for (act, status, says) in [
        (error("incorrect_client_credentials"), StatusCode::BAD_GATEWAY, setup),
        (error("redirect_uri_mismatch"), StatusCode::BAD_GATEWAY, setup),
        (not_found, StatusCode::BAD_GATEWAY, setup),
        (error("unverified_user_email"), StatusCode::FORBIDDEN, "verified email address"),
        (error("something_new"), StatusCode::BAD_GATEWAY, down),
        (html, StatusCode::BAD_GATEWAY, down),
        (Act::json("{}"), StatusCode::BAD_GATEWAY, down),
        (Act::json(r#"{"access_token":7}"#), StatusCode::BAD_GATEWAY, down),
        (Act::status("404 Not Found"), StatusCode::BAD_GATEWAY, down),
        (Act::status("500 Oops"), StatusCode::BAD_GATEWAY, down),
        (Act::Close, StatusCode::BAD_GATEWAY, down),
        (Act::Flood, StatusCode::BAD_GATEWAY, down),
    ] {
        world.github.bend(TOKEN, act);
        let answer = world.come_back(&mut world.browser(), &User::ada()).await;
        is_page(&answer, status, says);
    }
    assert!(world.github.arrived(USER).is_empty());
    world.logs_in_by_mail().await;
    let text = log.text();
    assert!(text.contains("check the client id and the client secret"), "{text}");
    assert!(!text.contains(CLIENT_SECRET) && !text.contains("code-"), "{text}");
}

#[tokio::test]
async fn every_error_of_the_api_is_a_clear_page() {
    let log = Log::of_this_test();
    let world = World::new().await;
    let down = (StatusCode::BAD_GATEWAY, "did not answer as expected");
    let forbidden = |message: &str| Act::Answer {
        status: "403 Forbidden",
        headers: String::new(),
        body: json!({ "message": message }).to_string().into(),
    };
    let limited = || forbidden("API rate limit exceeded for user ID 1.");
    let linked = |link: &str| Act::Answer {
        status: "200 OK",
        headers: format!("link: <{link}>; rel=\"next\"\r\n"),
        body: b"[]".to_vec(),
    };
    let suspended = || forbidden("Sorry. Your account was suspended.");
    let mut cases = vec![
        (USER, suspended(), (StatusCode::FORBIDDEN, "verified email address")),
        (USER, forbidden("Request forbidden by administrative rules."), down),
        (USER, Act::json("[]"), down),
        (USER, Act::json(r#"{"id":"583231","login":"ada"}"#), down),
        (USER, Act::json(r#"{"id":-1,"login":"ada"}"#), down),
        (USER, Act::json(r#"{"login":"ada"}"#), down),
        (
            EMAILS,
            Act::json(r#"[{"email":"ada@example.com","primary":"true","verified":"true"}]"#),
            down,
        ),
        (EMAILS, Act::json(r#"[{"email":"ada@example.com","primary":true}]"#), down),
        (ORGS, Act::json(r#"[{"login":"acme"}]"#), down),
        (ORGS, Act::json(r#"{"message":"no"}"#), down),
        (TEAMS, Act::json(r#"[{"slug":null,"organization":{"id":1,"login":"acme"}}]"#), down),
    ];
    for path in [USER, EMAILS, ORGS, TEAMS] {
        cases.push((path, limited(), down));
        cases.push((path, Act::status("429 Too Many Requests"), down));
        cases.push((path, Act::status("401 Unauthorized"), down));
        cases.push((path, Act::status("404 Not Found"), down));
        cases.push((path, Act::status("500 Oops"), down));
        cases.push((path, Act::status("301 Moved Permanently"), down));
        cases.push((path, Act::json("<html></html>"), down));
        cases.push((path, Act::json("\"ada@example.com\""), down));
        cases.push((path, Act::Close, down));
        cases.push((path, Act::Flood, down));
    }
    let elsewhere = GitHub::start().await;
    for path in [EMAILS, ORGS, TEAMS] {
        // Nowhere else would the token be safe.
        cases.push((path, linked(&format!("{}{path}", elsewhere.base_url())), down));
        cases.push((path, linked("/user/orgs"), down));
        cases.push((path, linked("https://[/"), down));
    }
    for (path, act, (status, says)) in cases {
        let case = format!("{path} {act:.200?}");
        world.github.bend(path, act);
        let mut browser = world.browser();
        let answer = world.come_back(&mut browser, &User::ada()).await;
        assert_eq!(answer.status(), status, "{case}: {}", answer.text);
        is_page(&answer, status, says);
        assert_eq!(browser.get(OPEN).await.status(), StatusCode::FOUND, "{case}");
        world.github.unbend();
    }
    for path in [EMAILS, ORGS, TEAMS] {
        assert!(elsewhere.arrived(path).is_empty());
    }
    world.logs_in_by_mail().await;
    world.logged_in(&User::ada()).await;
    let text = log.text();
    assert!(!text.contains("gho_") && !text.contains(CLIENT_SECRET), "{text}");
}

#[tokio::test]
async fn a_slow_github_ends_in_a_page_and_not_in_waiting() {
    for (path, act) in [(TOKEN, Act::Hang), (USER, Act::Drip), (TEAMS, Act::Hang)] {
        let world = World::new().await;
        world.github.bend(path, act);
        let mut browser = world.browser();
        let url = world.to_github(&mut browser, "github").await;
        let back = world.github.authorize(&url, &User::ada());
        let waiting = tokio::spawn(async move { browser.get(&back).await });
        while world.github.arrived(path).is_empty() {
            tokio::task::yield_now().await;
        }
        // Meanwhile others log in.
        world.logs_in_by_mail().await;
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(21)).await;
        let answer = waiting.await.unwrap();
        tokio::time::resume();
        is_page(&answer, StatusCode::BAD_GATEWAY, "did not answer as expected");
    }
}

#[tokio::test]
async fn a_code_that_is_old_sends_the_user_round_again_once() {
    let world = World::new().await;
    let mut browser = world.browser();
    let url = world.to_github(&mut browser, "github").await;
    let back = world.github.authorize(&url, &User::ada());
    world.github.let_codes_expire();
    let answer = browser.get(&back).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    let again = answer.location().to_owned();
    assert_ne!(query(&again, "state"), query(&url, "state"));
    assert_ne!(query(&again, "code_challenge"), query(&url, "code_challenge"));
    let second = world.github.authorize(&again, &User::ada());
    let entered = browser.get(&second).await;
    let (url, page) = browser.visit(entered.location()).await;
    assert_eq!((&*url, page.status()), (OPEN, StatusCode::OK));

    let mut browser = world.browser();
    world.github.bend(TOKEN, Act::json(r#"{"error":"bad_verification_code"}"#));
    let answer = world.come_back(&mut browser, &User::ada()).await;
    let second = world.github.authorize(answer.location(), &User::ada());
    let answer = browser.get(&second).await;
    is_page(&answer, StatusCode::FORBIDDEN, "The login has expired");
}

#[tokio::test]
async fn flow_08_a_callback_works_once_and_only_in_its_browser() {
    let world = World::new().await;
    let mut ada = world.browser();
    let url = world.to_github(&mut ada, "github").await;
    let back = world.github.authorize(&url, &User::ada());
    // Another browser, with a login of its own under way, gets nothing and uses nothing up.
    let mut other = world.browser();
    world.to_github(&mut other, "github").await;
    for browser in [&mut other, &mut world.browser()] {
        let answer = browser.get(&back).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(answer.set_cookie("CF_Authorization").is_none());
    }
    assert!(world.github.arrived(TOKEN).is_empty());
    let answer = ada.get(&back).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    let session = ada.cookie("login.example.com", "CF_Authorization");
    assert!(session.is_some());
    // Reloaded, it leads on without another login; elsewhere it leads nowhere.
    let answer = ada.get(&back).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!(ada.cookie("login.example.com", "CF_Authorization"), session);
    assert_eq!(other.get(&back).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.github.arrived(TOKEN).len(), 1);
    assert_eq!(ada.visit(answer.location()).await.1.status(), StatusCode::OK);
}

#[tokio::test]
async fn flow_08_what_a_browser_brings_back_is_read_with_care() {
    let world = World::new().await;
    let mut ada = world.browser();
    let url = world.to_github(&mut ada, "github").await;
    let state = query(&url, "state").unwrap();
    let callback = |more: &str| {
        let mut url = url::Url::parse("https://login.example.com/cdn-cgi/access/callback").unwrap();
        url.query_pairs_mut().append_pair("state", &state);
        format!("{url}{more}")
    };
    for (more, status) in [
        ("", StatusCode::BAD_REQUEST),
        ("&code=", StatusCode::BAD_REQUEST),
        ("&code=a&code=b", StatusCode::BAD_REQUEST),
        ("&code=a&state=b", StatusCode::BAD_REQUEST),
        // The user has clicked on "Cancel".
        ("&error=access_denied&error_description=no&error_uri=x", StatusCode::FORBIDDEN),
        ("&error=redirect_uri_mismatch", StatusCode::BAD_GATEWAY),
        ("&error=application_suspended", StatusCode::BAD_GATEWAY),
        ("&error=%3Cscript%3E", StatusCode::BAD_GATEWAY),
        // Another provider has answered.
        ("&code=a&iss=https%3A%2F%2Fevil.example%2Flogin%2Foauth", StatusCode::FORBIDDEN),
        ("&code=a&iss=github", StatusCode::FORBIDDEN),
    ] {
        let answer = ada.get(&callback(more)).await;
        assert_eq!(answer.status(), status, "{more}: {}", answer.text);
        assert!(!answer.text.contains("<script>"), "{more}");
    }
    let (mark, sealed) = state.split_once('.').unwrap();
    for state in [format!("{mark}."), format!("{mark}.{}", sealed.to_lowercase()), "x".to_owned()] {
        let url = format!("https://login.example.com/cdn-cgi/access/callback?code=a&state={state}");
        let status = ada.get(&url).await.status();
        assert!(matches!(status, StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST), "{state}");
    }
    assert!(world.github.arrived(TOKEN).is_empty());
    // Nothing of that has used the login up, and the own issuer is welcome.
    let issuer = format!("{}/login/oauth", world.github.base_url());
    let back = world.github.authorize(&url, &User::ada());
    let back = format!("{back}&iss={}", urlencoded(&issuer));
    assert_eq!(ada.get(&back).await.status(), StatusCode::FOUND);
}

fn urlencoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn flow_05_two_github_providers_do_not_mix() {
    let (github, second) = (GitHub::start().await, GitHub::start().await);
    let providers = [provider("github", &github), provider("second", &second).name("Second")];
    let world = World::with(github, providers);
    let mut ada = world.browser();
    let at_first = world.to_github(&mut ada, "github").await;
    let at_second = world.to_github(&mut ada, "second").await;
    assert!(at_first.starts_with(&world.github.base_url()));
    assert!(at_second.starts_with(&second.base_url()));
    // A code of one server in the answer of the other is not redeemed where it was not made.
    let code = query(&second.authorize(&at_second, &User::ada()), "code").unwrap();
    let state = query(&at_first, "state").unwrap();
    let mixed =
        format!("https://login.example.com/cdn-cgi/access/callback?code={code}&state={state}");
    let answer = ada.get(&mixed).await;
    assert!(answer.set_cookie("CF_Authorization").is_none());
    assert!(second.arrived(TOKEN).is_empty());
    // Each finishes its own login, and the latest is the one that counts.
    let back = second.authorize(&at_second, &User::ada());
    let answer = ada.get(&back).await;
    assert_eq!(ada.visit(answer.location()).await.1.status(), StatusCode::OK);
    let opens = world.opens(&mut ada, EVERY).await;
    assert_eq!(opens, [true, true, true, true, true, true, false]);
    let at_first = {
        let mut other = world.browser();
        let url = world.to_github(&mut other, "github").await;
        let answer = other.get(&world.github.authorize(&url, &User::ada())).await;
        assert_eq!(other.visit(answer.location()).await.1.status(), StatusCode::OK);
        other
    };
    let mut same_person = at_first;
    let opens = world.opens(&mut same_person, EVERY).await;
    assert_eq!(opens, [true, true, true, false, true, true, true]);
}

#[tokio::test]
async fn one_address_is_one_person_where_a_policy_does_not_name_the_method() {
    let world = World::new().await;
    let mut by_github = world.logged_in(&User::ada()).await;
    let mut by_mail = world.browser();
    support::log_in(&mut by_mail, &world.mail, OPEN, "ada@example.com").await;
    let (one, two) = (world.identity(&mut by_github).await, world.identity(&mut by_mail).await);
    assert_eq!((&one["email"], &one["user_uuid"]), (&two["email"], &two["user_uuid"]));
    let names = &["open", "acme", "ops", "github-only", "without-rivals", "without-contractors"];
    for _ in 0..2 {
        let opens = world.opens(&mut by_github, names).await;
        assert_eq!(opens, [true, true, true, true, true, false]);
        // Who logs in by mail is known to be in no organization and no group.
        let opens = world.opens(&mut by_mail, names).await;
        assert_eq!(opens, [true, false, false, false, true, true]);
    }
    // The next login of a browser counts, and nothing of the one before.
    by_mail.forget("login.example.com");
    for name in names {
        by_mail.forget(&format!("{name}.example.com"));
    }
    let outside = User { organizations: vec![], teams: vec![], ..User::ada() };
    let answer = world.come_back(&mut by_mail, &outside).await;
    assert_eq!(by_mail.visit(answer.location()).await.1.status(), StatusCode::OK);
    let opens = world.opens(&mut by_mail, names).await;
    assert_eq!(opens, [true, false, false, true, true, false]);
}

#[tokio::test]
async fn begun_logins_leave_nothing_in_the_store() {
    let (github, clock) = (GitHub::start().await, support::clock());
    let ledger = Ledger::new(MemoryStore::new(std::sync::Arc::clone(&clock), 10_000));
    let open = Application::new("open", "open.example.com").unwrap();
    let access = Access::builder()
        .clock(clock)
        .store(std::sync::Arc::clone(&ledger))
        .without_one_time_pin()
        .team_domain("login.example.com".parse().unwrap())
        .application(open.policy(Policy::allow("all").include(Rule::everyone())))
        .identity_provider(provider("github", &github))
        .build()
        .unwrap();
    let world = World { github, mail: Mailbox::default(), origin: Origin::default(), access };
    let mut browser = world.browser();
    let before = ledger.kinds();
    let mut states = std::collections::HashSet::new();
    for _ in 0..200 {
        states.insert(query(&world.to_github(&mut browser, "github").await, "state"));
    }
    assert_eq!(states.len(), 200);
    assert_eq!(ledger.kinds(), before);
    world.logged_in(&User::ada()).await;
    assert_eq!(ledger.records("session"), 1);
}
