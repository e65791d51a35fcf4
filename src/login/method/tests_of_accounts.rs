//! What happens to a session when its user changes at the provider: with a provider whose directory
//! the test changes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::tests::{Browser, Chunks, NOW, NoMail, TEAM, World, application, location, rule};
use super::*;
use crate::application::Application;
use crate::identity::ProviderGroup;
use crate::login::meta::hash;
use crate::policy::{Policy, Rule};
use crate::random;
use crate::secret::SecretText;
use crate::session::cookie;
use crate::store::{MemoryStore, Store};
use crate::{Access, AccessLayer};

/// A provider with a directory of users.
#[derive(Debug, Default)]
struct Directory {
    users: Mutex<HashMap<String, User>>,
    pending: Mutex<HashMap<String, (Flow, String)>>,
    /// The one refresh token of each session at the provider that is accepted next.
    refresh_tokens: Mutex<HashMap<String, String>>,
    logins: AtomicUsize,
    questions: AtomicUsize,
    is_away: Mutex<bool>,
    /// Whether it accepts questions and does not respond.
    hangs: Mutex<bool>,
    /// The questions under way now, and the most at a time.
    under_way: Mutex<(usize, usize)>,
    signs_out: Mutex<bool>,
}

#[derive(Clone, Debug)]
struct User {
    email: &'static str,
    name: &'static str,
    groups: Vec<&'static str>,
    is_enabled: bool,
}

const INTERVAL: Duration = Duration::from_secs(600);
const ADA: &str = "ada@example.com";

impl Directory {
    fn new() -> Arc<Self> {
        let directory = Self::default();
        let user = |email, name| User { email, name, groups: vec!["Ops", "Dev"], is_enabled: true };
        let users = [("u-1", user(ADA, "Ada L")), ("u-2", user("bob@example.com", "Bob"))];
        *directory.users() = users.map(|(subject, user)| (subject.to_owned(), user)).into();
        Arc::new(directory)
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, User>> {
        self.users.lock().unwrap()
    }

    fn change(&self, subject: &str, change: impl FnOnce(&mut User)) {
        change(self.users().get_mut(subject).unwrap());
    }

    fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }

    /// Returns the user with the next refresh token of a session.
    fn authenticated(&self, subject: &str, session: &str) -> Authenticated {
        let user = self.users()[subject].clone();
        let group =
            |name: &&str| ProviderGroup { name: Some((*name).into()), ..ProviderGroup::default() };
        let token =
            format!("refresh {session} {}", random::hex::<8>(&random::SystemRandom).unwrap());
        self.refresh_tokens.lock().unwrap().insert(session.to_owned(), token.clone());
        Authenticated {
            email: user.email.parse().unwrap(),
            attributes: Attributes {
                groups: Some(user.groups.iter().map(group).collect()),
                ..Attributes::default()
            },
            account: Some(ProviderAccount {
                subject: subject.into(),
                name: Some(user.name.into()),
                session: Some(session.into()),
                refresh_token: Some(SecretText::from(token)),
                id_token: Some(SecretText::from(format!("id of {session}"))),
            }),
        }
    }
}

impl ProviderSettings for Arc<Directory> {
    fn id(&self) -> &str {
        "corp"
    }

    fn name(&self) -> &str {
        "Corp"
    }

    fn kind(&self) -> &str {
        "okta"
    }

    fn build(&self, _: &MethodContext<'_>) -> Result<Arc<dyn LoginMethod>, BuildError> {
        Ok(Self::clone(self))
    }
}

impl LoginMethod for Directory {
    fn id(&self) -> &str {
        "corp"
    }

    fn kind(&self) -> &str {
        "okta"
    }

    fn start<'a>(
        &'a self,
        login: &'a Login,
        _: &'a EndpointRequest,
        purpose: &'a Purpose<'a>,
        browser: &'a str,
    ) -> StepFuture<'a, ResponseBytes> {
        Box::pin(async move {
            let state = random::hex::<16>(&*login.random)?;
            let begun = (purpose.flow.clone(), hash(browser));
            self.pending.lock().unwrap().insert(state.clone(), begun);
            Ok(crate::util::response::redirect(&format!("https://idp.example/corp?state={state}")))
        })
    }

    fn endpoints(&self) -> &'static [MethodEndpoint] {
        &[MethodEndpoint {
            name: "callback",
            takes_host: false,
            methods: READS,
            refuses_background: true,
        }]
    }

    fn recognizes(&self, call: EndpointCall<'_>) -> bool {
        let Ok(query) = call.request.query() else { return false };
        let Ok(state) = query.required("state") else { return false };
        self.pending.lock().unwrap().contains_key(state)
    }

    fn answer<'a>(&'a self, login: &'a Login, call: EndpointCall<'a>) -> StepFuture<'a, Step> {
        Box::pin(async move {
            let query = call.request.query()?;
            let begun = self.pending.lock().unwrap().remove(query.required("state")?);
            let (flow, browser) = begun.ok_or(Refusal::BadRequest)?;
            if !call.request.random_cookies(cookie::SESSION).any(|own| hash(own) == browser) {
                return Ok(login.invalid_session(call.request, Some(&flow)).into());
            }
            let number = self.logins.fetch_add(1, Ordering::SeqCst) + 1;
            let authenticated = self.authenticated(query.required("user")?, &format!("s-{number}"));
            Ok(Step::Finished(Box::new(Finished { flow, authenticated, cookies: Vec::new() })))
        })
    }

    fn refresh_interval(&self) -> Option<Duration> {
        Some(INTERVAL)
    }

    fn refresh<'a>(
        &'a self,
        _: &'a Login,
        account: &'a ProviderAccount,
        _: Timestamp,
    ) -> RefreshFuture<'a> {
        Box::pin(async move {
            self.questions.fetch_add(1, Ordering::SeqCst);
            let count = |add: fn(usize) -> usize| {
                let mut under_way = self.under_way.lock().unwrap();
                under_way.0 = add(under_way.0);
                under_way.1 = under_way.1.max(under_way.0);
            };
            count(|under_way| under_way + 1);
            tokio::task::yield_now().await;
            if *self.hangs.lock().unwrap() {
                std::future::pending::<()>().await;
            }
            count(|under_way| under_way - 1);
            if *self.is_away.lock().unwrap() {
                return Refreshed::Unavailable;
            }
            let session = account.session.as_deref().unwrap();
            let token = account.refresh_token.as_ref().unwrap().expose();
            // A token that was used before is a stolen one.
            let expected = self.refresh_tokens.lock().unwrap().remove(session);
            let subject = &*account.subject;
            let is_enabled = self.users().get(subject).is_some_and(|user| user.is_enabled);
            if expected.as_deref() != Some(token) || !is_enabled {
                return Refreshed::Ended;
            }
            Refreshed::User(Box::new(self.authenticated(subject, session)))
        })
    }

    fn logout_notice<'a>(&'a self, notice: &'a str, now: Timestamp) -> NoticeFuture<'a> {
        Box::pin(async move {
            let notice: Value = serde_json::from_str(notice).ok()?;
            let text = |name: &str| notice[name].as_str().map(Box::from);
            Some(LogoutNotice {
                subject: text("sub"),
                session: text("sid"),
                id: text("jti")?,
                expires_at: now.plus(Duration::from_secs(120)),
            })
        })
    }

    fn sign_out_url(&self, account: &ProviderAccount, back: &str) -> Option<String> {
        let hint = account.id_token.as_ref()?.expose();
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("id_token_hint", hint)
            .append_pair("post_logout_redirect_uri", back)
            .finish();
        let is_set = *self.signs_out.lock().unwrap();
        is_set.then(|| format!("https://idp.example/logout?{query}"))
    }
}

/// A node of the deployment: `ops` needs the group, `open` only the address.
async fn node(world: &World, directory: &Arc<Directory>) -> Access {
    node_with(world, Some(directory)).await
}

async fn node_with(world: &World, directory: Option<&Arc<Directory>>) -> Access {
    let store: Arc<dyn Store> = Arc::<MemoryStore>::clone(&world.store);
    node_on(world, directory, store).await
}

async fn node_on(
    world: &World,
    directory: Option<&Arc<Directory>>,
    store: Arc<dyn Store>,
) -> Access {
    let ops = rule(json!({ "okta": { "name": "Ops", "identity_provider_id": "corp" } }));
    let mut methods = MethodSettings::default();
    if let Some(directory) = directory {
        methods.add(IdentityProvider::new(Arc::clone(directory)));
    }
    let with_login = |application: Application| application.auto_redirect_to_identity();
    Access::builder()
        .login_methods(methods)
        .mailer(NoMail)
        .clock(Arc::clone(&world.clock))
        .store(store)
        .master_secret(MasterSecret::from_bytes([7; 32]))
        .team_domain(TEAM.parse().unwrap())
        .application(with_login(application("ops", Policy::allow("ops").include(ops))))
        .application(with_login(application(
            "open",
            Policy::allow("all").include(Rule::email_domain("example.com").unwrap()),
        )))
        .build_persistent()
        .await
        .unwrap()
}

async fn logged_in<'a>(node: &'a Access, application: &str, user: &str) -> Browser<'a> {
    let mut browser = Browser::new(node);
    let answer = browser.open(application, "corp", user).await;
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.body());
    browser
}

/// A response that an application of a node streams to a browser.
struct OpenResponse {
    body: Pin<Box<dyn Future<Output = bool> + Send>>,
}

impl OpenResponse {
    async fn begin(node: &Access, browser: &Browser<'_>, application: &str) -> Self {
        let host = format!("{application}.example");
        let token = &browser.cookies[&(host.clone(), "CF_Authorization".to_owned())];
        let request = Request::get("/stream")
            .header("host", host)
            .header("cookie", format!("CF_Authorization={token}"))
            .body(Full::<Bytes>::default())
            .unwrap();
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let receiver = Mutex::new(Some(receiver));
        let inner = service_fn(|_: Request<Full<Bytes>>| async {
            let receiver = receiver.lock().unwrap().take().unwrap();
            Ok::<_, Infallible>(Response::new(Chunks(receiver)))
        });
        let layer = AccessLayer::new(node.clone());
        let answer = ServiceBuilder::new().layer(layer).service(inner).oneshot(request).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let mut body = Box::pin(answer.into_body());
        let body = Box::pin(async move {
            let _sender = sender;
            body.frame().await.is_some_and(|frame| frame.is_err())
        });
        Self { body }
    }

    async fn is_open(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(50), &mut self.body).await.is_err()
    }

    /// Waits until it is closed.
    async fn closed(mut self) {
        let closed = tokio::time::timeout(Duration::from_secs(10), &mut self.body).await;
        assert!(closed.expect("it stays open"), "closed for another reason");
    }
}

/// Waits for other nodes, which learn within a second.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not happen");
}

async fn refresh(node: &Access) {
    let engine = node.engine_owned();
    engine.login().unwrap().refresh_due(engine.now()).await;
}

#[tokio::test]
async fn who_is_removed_from_a_group_loses_access_on_all_nodes_open_responses_included() {
    let (world, directory) = (World::new(), Directory::new());
    let (first, second) = (node(&world, &directory).await, node(&world, &directory).await);
    let mut ada = logged_in(&first, "ops", "u-1").await;
    let mut there = ada.at(&second);
    assert_eq!(there.status("ops").await, StatusCode::OK);
    let mut here_open = OpenResponse::begin(&first, &ada, "ops").await;
    let mut there_open = OpenResponse::begin(&second, &ada, "ops").await;
    directory.change("u-1", |user| user.groups = vec!["Dev"]);
    // Nobody asks before the interval is over.
    world.clock.advance(INTERVAL - Duration::from_secs(1));
    refresh(&first).await;
    assert_eq!(directory.questions(), 0);
    assert_eq!(ada.status("ops").await, StatusCode::OK);
    assert!(here_open.is_open().await && there_open.is_open().await);
    world.clock.advance(Duration::from_secs(1));
    refresh(&first).await;
    until(async || directory.questions() == 1 && ada.status("ops").await != StatusCode::OK).await;
    here_open.closed().await;
    there_open.closed().await;
    until(async || there.status("ops").await == StatusCode::FORBIDDEN).await;
    // The login lives, and the other application needs no group.
    assert_eq!(there.open("open", "corp", "u-1").await.status(), StatusCode::OK);
    assert_eq!(directory.logins.load(Ordering::SeqCst), 1);
    // And the reverse: a group that is added opens within the same time.
    directory.change("u-1", |user| user.groups = vec!["Ops"]);
    world.clock.advance(INTERVAL);
    refresh(&second).await;
    until(async || ada.status("ops").await == StatusCode::OK).await;
    until(async || there.status("ops").await == StatusCode::OK).await;
}

#[tokio::test]
async fn who_is_disabled_at_the_provider_loses_access_on_all_nodes_open_responses_included() {
    let (world, directory) = (World::new(), Directory::new());
    let (first, second) = (node(&world, &directory).await, node(&world, &directory).await);
    // By a policy that asks the provider nothing.
    let mut ada = logged_in(&first, "open", "u-1").await;
    let mut bob = logged_in(&first, "open", "u-2").await;
    let mut there = ada.at(&second);
    assert_eq!(there.status("open").await, StatusCode::OK);
    let here_open = OpenResponse::begin(&first, &ada, "open").await;
    let there_open = OpenResponse::begin(&second, &ada, "open").await;
    let mut bobs = OpenResponse::begin(&second, &bob, "open").await;
    directory.change("u-1", |user| user.is_enabled = false);
    world.clock.advance(INTERVAL);
    refresh(&second).await;
    until(async || there.status("open").await == StatusCode::FOUND).await;
    until(async || ada.status("open").await == StatusCode::FOUND).await;
    here_open.closed().await;
    there_open.closed().await;
    assert!(bobs.is_open().await);
    assert_eq!(bob.status("open").await, StatusCode::OK);
    // Nothing is left of the session.
    let login = ada.get("https://open.example/docs").await;
    let login = ada.get(&format!("{}&connector_id=corp", location(&login))).await;
    assert!(location(&login).starts_with("https://idp.example/corp?"), "a new login");
}

#[tokio::test]
async fn a_session_of_which_the_provider_describes_another_user_ends() {
    for change in [
        (|directory: &Directory| directory.change("u-1", |user| user.email = "eve@example.com"))
            as fn(&Directory),
        |directory| {
            directory.users().remove("u-1");
        },
    ] {
        let (world, directory) = (World::new(), Directory::new());
        let node = node(&world, &directory).await;
        let mut ada = logged_in(&node, "open", "u-1").await;
        change(&directory);
        world.clock.advance(INTERVAL);
        refresh(&node).await;
        until(async || ada.status("open").await == StatusCode::FOUND).await;
    }
}

#[tokio::test]
async fn while_the_provider_is_away_access_lasts_four_intervals_and_an_hour_and_no_longer() {
    let (world, directory) = (World::new(), Directory::new());
    let node = node(&world, &directory).await;
    let mut ada = logged_in(&node, "ops", "u-1").await;
    let open = OpenResponse::begin(&node, &ada, "ops").await;
    *directory.is_away.lock().unwrap() = true;
    for minute in 1..60 {
        world.clock.advance(Duration::from_secs(60));
        refresh(&node).await;
        assert_eq!(ada.status("ops").await, StatusCode::OK, "{minute}");
    }
    let asked = directory.questions();
    assert!((4..12).contains(&asked), "asked {asked} times in 50 minutes");
    world.clock.advance(Duration::from_secs(60));
    refresh(&node).await;
    until(async || ada.status("ops").await == StatusCode::FOUND).await;
    open.closed().await;
    // Back again, it confirms a new login.
    *directory.is_away.lock().unwrap() = false;
    assert_eq!(ada.open("ops", "corp", "u-1").await.status(), StatusCode::OK);
    world.clock.advance(INTERVAL);
    refresh(&node).await;
    assert_eq!(ada.status("ops").await, StatusCode::OK);
}

#[tokio::test]
async fn of_many_nodes_one_asks_and_each_refresh_token_is_used_once() {
    let (world, directory) = (World::new(), Directory::new());
    let nodes = [
        node(&world, &directory).await,
        node(&world, &directory).await,
        node(&world, &directory).await,
    ];
    let mut browsers = Vec::new();
    for number in 0..20 {
        browsers.push(logged_in(&nodes[number % 3], "ops", "u-1").await);
    }
    for round in 1..=5 {
        world.clock.advance(INTERVAL);
        let [a, b, c] = &nodes;
        tokio::join!(refresh(a), refresh(b), refresh(c));
        until(async || directory.questions() >= 20 * round).await;
        tokio::join!(refresh(a), refresh(b), refresh(c));
        assert_eq!(directory.questions(), 20 * round);
        for browser in &mut browsers {
            assert_eq!(browser.status("ops").await, StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn a_session_that_was_ended_stays_ended_and_nobody_asks_about_it() {
    let (world, directory) = (World::new(), Directory::new());
    let node = node(&world, &directory).await;
    let mut ada = logged_in(&node, "ops", "u-1").await;
    let id = ada.session();
    for kind in ["refresh-token", "id-token", "session"] {
        assert!(world.store.get(&format!("{kind}/{id}")).await.unwrap().is_some(), "{kind}");
    }
    node.revoke_session(&id).await.unwrap();
    world.clock.advance(INTERVAL);
    refresh(&node).await;
    assert_eq!(directory.questions(), 0);
    assert_eq!(ada.status("ops").await, StatusCode::FOUND);
    for kind in ["refresh-token", "id-token", "session"] {
        assert!(world.store.get(&format!("{kind}/{id}")).await.unwrap().is_none(), "{kind}");
    }
}

#[tokio::test]
async fn ses_22_the_store_shows_no_token_of_the_provider() {
    let (world, directory) = (World::new(), Directory::new());
    let node = node(&world, &directory).await;
    let ada = logged_in(&node, "ops", "u-1").await;
    for round in 0..2 {
        for (kind, text) in
            [("refresh-token", "refresh s-1"), ("id-token", "id of"), ("session", "refresh s-1")]
        {
            let record =
                world.store.get(&format!("{kind}/{}", ada.session())).await.unwrap().unwrap();
            let shows = record.windows(text.len()).any(|part| part == text.as_bytes());
            assert!(!shows, "{kind} {round}");
        }
        world.clock.advance(INTERVAL);
        refresh(&node).await;
    }
    // A token that somebody puts into the place of another one does not open.
    let eve = logged_in(&node, "ops", "u-2").await;
    let key = |browser: &Browser<'_>| format!("refresh-token/{}", browser.session());
    let token = world.store.get(&key(&ada)).await.unwrap().unwrap();
    world.store.put(&key(&eve), token, Duration::from_secs(86_400)).await.unwrap();
    world.clock.advance(INTERVAL);
    let asked = directory.questions();
    refresh(&node).await;
    assert_eq!(directory.questions(), asked + 1, "about the one user");
}

#[tokio::test]
async fn a_node_without_the_method_leaves_its_sessions_to_others_and_ends_them_in_the_end() {
    let (world, directory) = (World::new(), Directory::new());
    let with = node(&world, &directory).await;
    let without = node_with(&world, None).await;
    let ada = logged_in(&with, "open", "u-1").await;
    let mut there = ada.at(&without);
    world.clock.advance(INTERVAL);
    refresh(&without).await;
    assert_eq!(there.status("open").await, StatusCode::OK);
    drop(with);
    world.clock.set(NOW.plus(Duration::from_secs(3600)));
    refresh(&without).await;
    until(async || there.status("open").await == StatusCode::FOUND).await;
}

#[tokio::test]
async fn a_provider_gets_few_questions_at_a_time_and_hardly_any_while_it_is_away() {
    let (world, directory) = (World::new(), Directory::new());
    let node = node(&world, &directory).await;
    for _ in 0..40 {
        logged_in(&node, "open", "u-1").await;
    }
    world.clock.advance(INTERVAL);
    refresh(&node).await;
    until(async || directory.questions() == 40).await;
    let (under_way, most) = *directory.under_way.lock().unwrap();
    assert_eq!((under_way, most), (0, 8));
    *directory.is_away.lock().unwrap() = true;
    world.clock.advance(INTERVAL);
    refresh(&node).await;
    refresh(&node).await;
    let asked = directory.questions() - 40;
    assert!((3..=16).contains(&asked), "asked {asked} times while it is away");
}

#[tokio::test(start_paused = true)]
async fn the_background_task_asks_within_half_a_minute_and_ends_with_the_engine() {
    let (world, directory) = (World::new(), Directory::new());
    let node = node(&world, &directory).await;
    let _ada = logged_in(&node, "open", "u-1").await;
    world.clock.advance(INTERVAL);
    let begun = tokio::time::Instant::now();
    while directory.questions() == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(begun.elapsed() <= Duration::from_secs(31), "nobody asks");
    }
    // A provider that does not respond holds nothing up for longer than half a minute.
    *directory.hangs.lock().unwrap() = true;
    world.clock.advance(INTERVAL);
    while directory.questions() == 1 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.clock.advance(Duration::from_secs(60));
    let begun = tokio::time::Instant::now();
    while directory.questions() == 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(begun.elapsed() <= Duration::from_secs(120), "it is not asked again");
    }
    // In the middle of a question, the engine goes, and its store with it.
    let store = Arc::downgrade(&world.store);
    drop((node, world));
    let begun = tokio::time::Instant::now();
    while store.strong_count() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(begun.elapsed() <= Duration::from_secs(1), "the store is still open");
    }
}

#[cfg(feature = "redb")]
#[tokio::test]
async fn sessions_in_a_file_are_refreshed_and_ended_after_a_restart() {
    let (world, directory) = (World::new(), Directory::new());
    let name = random::hex::<8>(&random::SystemRandom).unwrap();
    let path = std::env::temp_dir().join(format!("tower-access-accounts-{name}.redb"));
    let open = async || {
        let mut opened = None;
        // The tasks of an earlier engine are stopping.
        until(async || {
            opened = crate::store::RedbStore::open(&path, Arc::clone(&world.clock)).ok();
            opened.is_some()
        })
        .await;
        let store: Arc<dyn Store> = Arc::new(opened.unwrap());
        store
    };
    let cookies = {
        let node = node_on(&world, Some(&directory), open().await).await;
        logged_in(&node, "ops", "u-1").await.cookies
    };
    let node = node_on(&world, Some(&directory), open().await).await;
    let mut ada = Browser::new(&node);
    ada.cookies = cookies;
    assert_eq!(ada.status("ops").await, StatusCode::OK);
    directory.change("u-1", |user| user.groups = vec![]);
    world.clock.advance(INTERVAL);
    refresh(&node).await;
    until(async || ada.status("ops").await == StatusCode::FORBIDDEN).await;
    let answer = notify(&node, &json!({ "sub": "u-1", "jti": "j-1" })).await;
    assert_eq!(answer.status(), StatusCode::OK);
    until(async || ada.status("ops").await == StatusCode::FOUND).await;
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn get_identity_names_the_account() {
    let (world, directory) = (World::new(), Directory::new());
    let node = node(&world, &directory).await;
    let mut ada = logged_in(&node, "open", "u-1").await;
    let mut identity = async || -> Value {
        let answer = ada.get("https://open.example/cdn-cgi/access/get-identity").await;
        serde_json::from_str(answer.body()).unwrap()
    };
    let before = identity().await;
    assert_eq!((&before["id"], &before["name"]), (&json!("u-1"), &json!("Ada L")));
    assert_eq!(before["email"], ADA);
    assert_ne!(before["user_uuid"], "u-1");
    directory.change("u-1", |user| (user.name, user.groups) = ("Ada King", vec![]));
    world.clock.advance(INTERVAL);
    refresh(&node).await;
    let after = identity().await;
    assert_eq!((&after["id"], &after["name"]), (&json!("u-1"), &json!("Ada King")));
    assert_eq!((&after["groups"], &after["iat"]), (&json!([]), &before["iat"]));
}

const LOGOUT: &str = "https://login.example/cdn-cgi/access/backchannel-logout";

/// What a provider posts, as no browser does.
async fn notify(node: &Access, notice: &Value) -> Response<String> {
    let notice = notice.to_string();
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("logout_token", &notice)
        .finish();
    Browser::new(node).ask(Method::POST, LOGOUT, &form).await
}

#[tokio::test]
async fn who_is_signed_out_at_the_provider_loses_access_on_all_nodes_open_responses_included() {
    let (world, directory) = (World::new(), Directory::new());
    let (first, second) = (node(&world, &directory).await, node(&world, &directory).await);
    let mut ada = logged_in(&first, "open", "u-1").await;
    let mut elsewhere = logged_in(&first, "open", "u-1").await;
    let mut bob = logged_in(&first, "open", "u-2").await;
    let mut there = ada.at(&second);
    assert_eq!(there.status("open").await, StatusCode::OK);
    let here_open = OpenResponse::begin(&first, &ada, "open").await;
    let there_open = OpenResponse::begin(&second, &ada, "open").await;
    // One session at the provider: the login on another device stays.
    let answer = notify(&second, &json!({ "sub": "u-1", "sid": "s-1", "jti": "j-1" })).await;
    assert_eq!((answer.status(), answer.body().as_str()), (StatusCode::OK, ""));
    assert!(answer.headers()["cache-control"].to_str().unwrap().contains("no-store"));
    assert!(!answer.headers().contains_key("set-cookie"));
    until(async || ada.status("open").await == StatusCode::FOUND).await;
    until(async || there.status("open").await == StatusCode::FOUND).await;
    here_open.closed().await;
    there_open.closed().await;
    assert_eq!(elsewhere.status("open").await, StatusCode::OK);
    // By the session alone, or by the user alone.
    let mut third = logged_in(&first, "open", "u-1").await;
    let answer = notify(&first, &json!({ "sid": "s-4", "jti": "j-2" })).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(third.status("open").await, StatusCode::FOUND);
    assert_eq!(elsewhere.status("open").await, StatusCode::OK);
    let answer = notify(&first, &json!({ "sub": "u-1", "jti": "j-3" })).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(elsewhere.status("open").await, StatusCode::FOUND);
    assert_eq!(bob.status("open").await, StatusCode::OK);
    // One of which nothing is left, is a logout as well.
    let answer = notify(&first, &json!({ "sub": "u-1", "jti": "j-4" })).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_logout_notice_is_accepted_once_on_all_nodes() {
    let (world, directory) = (World::new(), Directory::new());
    let (first, second) = (node(&world, &directory).await, node(&world, &directory).await);
    let notice = json!({ "sub": "u-1", "jti": "j-1" });
    assert_eq!(notify(&first, &notice).await.status(), StatusCode::OK);
    let mut ada = logged_in(&first, "open", "u-1").await;
    for node in [&first, &second] {
        let answer = notify(node, &notice).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        let error: Value = serde_json::from_str(answer.body()).unwrap();
        assert_eq!(error["error"], "invalid_request");
        assert!(answer.headers()["cache-control"].to_str().unwrap().contains("no-store"));
    }
    assert_eq!(ada.status("open").await, StatusCode::OK);
}

#[tokio::test]
async fn what_is_no_logout_notice_ends_nothing_and_leaves_no_record() {
    let (world, directory) = (World::new(), Directory::new());
    let node = node(&world, &directory).await;
    let mut ada = logged_in(&node, "open", "u-1").await;
    let mut stranger = Browser::new(&node);
    for (method, body, status) in [
        (Method::POST, String::new(), StatusCode::BAD_REQUEST),
        (Method::POST, "logout_token=".to_owned(), StatusCode::BAD_REQUEST),
        (Method::POST, "logout_token=x.y.z".to_owned(), StatusCode::BAD_REQUEST),
        (Method::POST, "logout_token={\"sub\":\"u-1\"}".to_owned(), StatusCode::BAD_REQUEST),
        (Method::POST, "logout_token=a&logout_token=b".to_owned(), StatusCode::BAD_REQUEST),
        (
            Method::POST,
            format!("logout_token={}", "x".repeat(17_000)),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (Method::GET, String::new(), StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = stranger.ask(method, LOGOUT, &body).await;
        assert_eq!(answer.status(), status, "{body:.40}");
    }
    assert_eq!(ada.status("open").await, StatusCode::OK);
    // An application's host has no such endpoint.
    let url = LOGOUT.replace("login.example", "open.example");
    let answer = stranger.ask(Method::POST, &url, "logout_token=x").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_logout_ends_the_session_here_and_then_goes_to_the_provider() {
    for host in [TEAM, "open.example"] {
        let (world, directory) = (World::new(), Directory::new());
        let node = node(&world, &directory).await;
        let url = format!("https://{host}/cdn-cgi/access/logout");
        // Unless the provider is configured so, it is not asked.
        let mut ada = logged_in(&node, "open", "u-1").await;
        assert_eq!(ada.get(&url).await.status(), StatusCode::OK);
        *directory.signs_out.lock().unwrap() = true;
        let mut ada = logged_in(&node, "open", "u-1").await;
        let before = ada.cookies.clone();
        let answer = ada.get(&format!("{url}?returnTo=https%3A%2F%2Fevil.example%2F")).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        let back = "https%3A%2F%2Flogin.example%2Fcdn-cgi%2Faccess%2Fsigned-out";
        assert_eq!(
            location(&answer),
            format!(
                "https://idp.example/logout?id_token_hint=id+of+s-2&post_logout_redirect_uri={back}"
            )
        );
        assert!(answer.headers().contains_key("set-cookie"));
        // Whatever the provider does, the session has ended.
        let mut again = Browser::new(&node);
        again.cookies = before;
        assert_eq!(again.status("open").await, StatusCode::FOUND);
        // And without a session, there is nothing to log out of at the provider.
        assert_eq!(again.get(&url).await.status(), StatusCode::OK);
    }
    let (world, directory) = (World::new(), Directory::new());
    let node = node(&world, &directory).await;
    let page = Browser::new(&node).get("https://login.example/cdn-cgi/access/signed-out").await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.body().contains("logged out") && !page.headers().contains_key("set-cookie"));
}

#[tokio::test]
async fn refresh_identity_is_a_new_login_by_the_same_method() {
    let (world, directory) = (World::new(), Directory::new());
    let node = node(&world, &directory).await;
    let mut ada = logged_in(&node, "open", "u-1").await;
    let first = ada.session();
    directory.change("u-1", |user| user.groups = vec!["Dev"]);
    let refresh = "https://login.example/cdn-cgi/access/refresh-identity";
    let answer = ada.open_at(refresh, TEAM, ("corp", "u-1")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.body().contains("Your identity is up to date"), "{}", answer.body());
    assert_ne!(ada.session(), first);
    assert_eq!(directory.logins.load(Ordering::SeqCst), 2);
    // The applications follow without another login, by the new groups.
    assert_eq!(ada.open("open", "corp", "u-1").await.status(), StatusCode::OK);
    assert_eq!(ada.open("ops", "corp", "u-1").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(directory.logins.load(Ordering::SeqCst), 2);
    // From an application's host, the page leads back there.
    let answer = ada.get("https://ops.example/cdn-cgi/access/refresh-identity").await;
    directory.change("u-1", |user| user.groups = vec!["Ops"]);
    let answer = ada.open_at(&location(&answer), TEAM, ("corp", "u-1")).await;
    assert!(answer.body().contains("href=\"https://ops.example/\""), "{}", answer.body());
    assert_eq!(ada.open("ops", "corp", "u-1").await.status(), StatusCode::OK);
    // A link to another site leads nowhere.
    let url = format!("{refresh}?success=true&returnTo=https%3A%2F%2Fevil.example%2F");
    let answer = ada.get(&url).await;
    assert!(!answer.body().contains("evil"), "{}", answer.body());
}

#[tokio::test]
async fn refresh_identity_begins_nothing_without_a_session_or_for_a_prefetch() {
    let (world, directory) = (World::new(), Directory::new());
    let node = node(&world, &directory).await;
    let refresh = "https://login.example/cdn-cgi/access/refresh-identity";
    let stranger = Browser::new(&node).get(refresh).await;
    assert_eq!(stranger.status(), StatusCode::NOT_FOUND, "which application is unknown");
    let ada = logged_in(&node, "open", "u-1").await;
    let cookie = &ada.cookies[&(TEAM.to_owned(), "CF_Authorization".to_owned())];
    for (name, value) in [("sec-purpose", "prefetch"), ("sec-fetch-dest", "image")] {
        let request = Request::get("/cdn-cgi/access/refresh-identity")
            .header("host", TEAM)
            .header("cookie", format!("CF_Authorization={cookie}"))
            .header(name, value)
            .body(Full::<Bytes>::default())
            .unwrap();
        let inner = service_fn(|_: Request<Full<Bytes>>| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let service = ServiceBuilder::new().layer(AccessLayer::new(node.clone())).service(inner);
        assert_eq!(service.oneshot(request).await.unwrap().status(), StatusCode::FORBIDDEN);
    }
    assert!(directory.pending.lock().unwrap().is_empty());
}
