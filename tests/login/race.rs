//! Logins, logouts, revocations, reloads and rotations of the key, in every order and all at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt};
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::login::mail::{Mail, MailFuture, Mailer};
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessBuilder, AccessLayer, Identity};

use crate::support::{self, Browser, Form, absolute, clock, send};

const WIKI: &str = "https://wiki.example.com";
const TEAM: &str = "https://login.example.com";
const HOST: &str = "wiki.example.com";
const CUT_OFF: &str = "<html>cut off";
const AUDIENCE: &str = "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a";

type Inner =
    tower::util::BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

/// The latest code that each address was sent.
#[derive(Clone, Debug, Default)]
struct Post(Arc<Mutex<HashMap<String, String>>>);

impl Mailer for Post {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        let code = support::code_in(&mail.text);
        self.0.lock().unwrap().insert(mail.to.to_string(), code);
        Box::pin(async { Ok(()) })
    }
}

impl Post {
    /// Takes the code out; `None` where none comes. While one has to, it is waited for.
    async fn code(&self, to: &str, has_to_come: &(dyn Fn() -> bool + Sync)) -> Option<String> {
        for tries in 0..20_000 {
            if let Some(code) = self.0.lock().unwrap().remove(to) {
                return Some(code);
            }
            if tries > 200 && !has_to_come() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        None
    }
}

struct World {
    access: Access,
    service: Inner,
    post: Post,
    clock: Arc<ManualClock>,
}

impl World {
    fn new(teams: &[String]) -> Self {
        let (post, clock) = (Post::default(), clock());
        let access = settings(teams, &post).clock(Arc::clone(&clock)).build().unwrap();
        let service = read_whole(AccessLayer::new(access.clone()).layer(who_asks()));
        Self { access, service, post, clock }
    }

    fn browser(&self) -> Browser<Inner> {
        Browser::new(self.service.clone())
    }

    async fn status(&self, token: &str) -> StatusCode {
        let request = Request::builder()
            .uri("/")
            .header("host", HOST)
            .header("cookie", format!("CF_Authorization={token}"))
            .body(Full::default())
            .unwrap();
        send(&self.service, request).await.status()
    }
}

/// One application, for the people of these domains.
fn settings(teams: &[String], post: &Post) -> AccessBuilder {
    let rules = teams.iter().map(|domain| Rule::email_domain(domain).unwrap());
    let policy = rules.fold(Policy::allow("teams"), Policy::include);
    let nobody = Rule::email("nobody@example.org").unwrap();
    let wiki = Application::new("Wiki", HOST)
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .policy(policy.include(nobody));
    Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .session_duration(Duration::from_secs(24 * 3600))
        .mailer(post.clone())
        .application(wiki)
}

/// Answers with the address of the person who asks.
fn who_asks() -> Inner {
    Inner::new(tower::service_fn(|request: Request<Full<Bytes>>| async move {
        let email = request.extensions().get::<Identity>().and_then(Identity::email);
        Ok(Response::new(Full::from(email.unwrap_or("nobody").to_owned())))
    }))
}

/// Reads answers to their end. One that was cut off, because its session has ended meanwhile, is 401.
fn read_whole(service: tower_access::layer::AccessService<Inner>) -> Inner {
    Inner::new(tower::service_fn(move |request| {
        let service = service.clone();
        async move {
            let (parts, body) = service.oneshot(request).await?.into_parts();
            Ok(match body.collect().await {
                Ok(body) => Response::from_parts(parts, Full::new(body.to_bytes())),
                Err(_) => {
                    let mut answer = Response::new(Full::from(CUT_OFF));
                    *answer.status_mut() = StatusCode::UNAUTHORIZED;
                    answer
                }
            })
        }
    }))
}

/// A login in single steps.
struct Steps {
    browser: Browser<Inner>,
    email: String,
    form: Option<Form>,
    landed: Option<String>,
}

impl Steps {
    const ALL: usize = 4;

    fn new(world: &World, email: &str) -> Self {
        Self { browser: world.browser(), email: email.to_owned(), form: None, landed: None }
    }

    /// Takes a step; `None` where the way ends.
    async fn take(
        &mut self,
        world: &World,
        step: usize,
        goes_on: &(dyn Fn() -> bool + Sync),
    ) -> Option<()> {
        let Self { browser, email, form, landed } = self;
        match step {
            0 => {
                let (url, page) = browser.visit(&format!("{WIKI}/")).await;
                *form = Some(form_of(&url, &page.text, "email")?);
            }
            1 => {
                let answer = form.take()?.submit(browser, &[("email", email)]).await;
                let location = answer.header("location")?;
                let url = absolute(TEAM, location);
                let page = browser.get(&url).await;
                *form = Some(form_of(&url, &page.text, "code")?);
            }
            2 => {
                let code = world.post.code(email, goes_on).await?;
                let answer = form.take()?.submit(browser, &[("code", &code)]).await;
                *landed = Some(answer.header("location")?.to_owned());
            }
            _ => {
                let (_, page) = browser.visit(&landed.take()?).await;
                // Never anybody else.
                let is_page = page.text.contains("<html");
                assert!(is_page || page.text == *email, "{email} came in as {}", page.text);
                return (!is_page).then_some(());
            }
        }
        Some(())
    }
}

fn form_of(url: &str, page: &str, field: &str) -> Option<Form> {
    page.contains(&format!("name=\"{field}\"")).then(|| Form::of(url, page))
}

#[tokio::test]
async fn race_01_two_people_who_log_in_at_once_each_get_their_own_identity_in_every_order() {
    let mut orders = 0;
    for order in 0_u32..1 << (2 * Steps::ALL) {
        if order.count_ones() as usize != Steps::ALL {
            continue;
        }
        orders += 1;
        let world = World::new(&["example.com".to_owned()]);
        let mut people =
            ["ada@example.com", "bob@example.com"].map(|email| Steps::new(&world, email));
        let mut steps = [0, 0];
        for turn in 0..2 * Steps::ALL {
            let who = (order >> turn & 1) as usize;
            let went_on = people[who].take(&world, steps[who], &|| true).await;
            assert!(went_on.is_some(), "step {} of {who} in {order:08b}", steps[who]);
            steps[who] += 1;
        }
        for person in &mut people {
            let answer = person.browser.get(&format!("{WIKI}/again")).await;
            assert_eq!(answer.text, person.email, "{order:08b}");
        }
    }
    assert_eq!(orders, 70);
}

/// What is known of a session while others change things.
#[derive(Clone)]
struct Known {
    token: String,
    team: usize,
    /// Whether something was ended while the person logged in, which may have ended this as well.
    is_uncertain: bool,
}

/// What must be so, whatever the order: ended stays ended, who was put out by a reload stays out
/// until another, and who was not stays in.
struct Model {
    /// In use only where it is even.
    reloads: AtomicU64,
    admits: Vec<AtomicBool>,
    /// Odd while everything is ended.
    everything: AtomicU64,
    sessions: Mutex<BTreeMap<String, Known>>,
    /// Somebody has begun to end these.
    ending: Mutex<BTreeSet<String>>,
    /// It was said that these have ended.
    ended: Mutex<BTreeSet<String>>,
    let_in: AtomicUsize,
    kept_out: AtomicUsize,
}

impl Model {
    fn new(teams: usize) -> Self {
        Self {
            reloads: AtomicU64::new(0),
            admits: (0..teams).map(|_| AtomicBool::new(true)).collect(),
            everything: AtomicU64::new(0),
            sessions: Mutex::default(),
            ending: Mutex::default(),
            ended: Mutex::default(),
            let_in: AtomicUsize::new(0),
            kept_out: AtomicUsize::new(0),
        }
    }

    /// What stands still; `None` while it changes.
    fn settled(&self) -> Option<[u64; 2]> {
        let counts = [&self.reloads, &self.everything].map(|it| it.load(Ordering::SeqCst));
        counts.iter().all(|count| count % 2 == 0).then_some(counts)
    }

    fn begin_to_end(&self, ids: impl IntoIterator<Item = String>) {
        self.ending.lock().unwrap().extend(ids);
    }

    fn have_ended(&self, ids: impl IntoIterator<Item = String>) {
        self.ended.lock().unwrap().extend(ids);
    }

    fn any_session(&self, draw: u64) -> Option<(String, Known)> {
        let sessions = self.sessions.lock().unwrap();
        let index = usize::try_from(draw).unwrap() % sessions.len().max(1);
        sessions.iter().nth(index).map(|(id, known)| (id.clone(), known.clone()))
    }

    async fn check(&self, world: &World, id: &str, known: &Known) {
        let had_ended = self.ended.lock().unwrap().contains(id);
        let before = self.settled();
        let admitted = self.admits[known.team].load(Ordering::SeqCst);
        let status = world.status(&known.token).await;
        let is_settled = before.is_some() && before == self.settled();
        let is_being_ended = self.ending.lock().unwrap().contains(id);
        let is_in = status == StatusCode::OK;
        let out = [StatusCode::FOUND, StatusCode::FORBIDDEN, StatusCode::UNAUTHORIZED];
        assert!(is_in || out.contains(&status), "{status}");
        if is_in {
            assert!(!had_ended, "{id} had ended, and was let in");
            assert!(admitted || !is_settled, "{id} was let in, and is not admitted");
            self.let_in.fetch_add(1, Ordering::SeqCst);
        } else {
            self.kept_out.fetch_add(1, Ordering::SeqCst);
            let may_be_out = is_being_ended || !is_settled || !admitted || known.is_uncertain;
            assert!(may_be_out, "{id} was kept out without a reason: {status}");
        }
    }
}

/// Splitmix.
struct Draw(u64);

impl Draw {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % below
    }
}

fn session_id(token: &str) -> String {
    let part = token.split('.').nth(1).unwrap();
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&text).unwrap();
    claims["identity_nonce"].as_str().unwrap().to_owned()
}

/// Logs in; whoever is admitted all the while, and not put out, gets in.
async fn log_in(world: &World, model: &Model, team: usize, name: &str) -> Option<Browser<Inner>> {
    let before = model.settled();
    let admitted = model.admits[team].load(Ordering::SeqCst);
    let mut steps = Steps::new(world, &format!("{name}@team{team}.example"));
    let goes_on = || admitted && before.is_some() && before == model.settled();
    let mut got_in = true;
    for step in 0..Steps::ALL {
        if steps.take(world, step, &goes_on).await.is_none() {
            got_in = false;
            break;
        }
    }
    let is_settled = before.is_some() && before == model.settled();
    assert!(got_in || !admitted || !is_settled, "{name} of team {team} could not log in");
    assert!(!got_in || admitted || !is_settled, "{name} of team {team} could log in");
    let token = steps.browser.cookie_at(HOST, "CF_Authorization", "/").filter(|_| got_in)?;
    let known = Known { token: token.clone(), team, is_uncertain: !is_settled };
    model.sessions.lock().unwrap().insert(session_id(&token), known);
    Some(steps.browser)
}

/// One who comes, asks, leaves, and comes again.
async fn person(world: Arc<World>, model: Arc<Model>, number: usize, mut draw: Draw) {
    let team = number % model.admits.len();
    let mut browser = None;
    for step in 0..12 {
        match (draw.next(4), browser.take()) {
            (0, Some(mut leaving)) => {
                let token: Option<String> =
                    Browser::cookie_at(&leaving, HOST, "CF_Authorization", "/");
                let id = session_id(&token.unwrap());
                model.begin_to_end([id.clone()]);
                let answer = leaving.get(&format!("{TEAM}/cdn-cgi/access/logout")).await;
                assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text);
                model.have_ended([id]);
            }
            (_, None) => {
                browser = log_in(&world, &model, team, &format!("p{number}-{step}")).await;
            }
            (_, present) => browser = present,
        }
        for _ in 0..3 {
            if let Some((id, known)) = model.any_session(draw.next(1 << 20)) {
                model.check(&world, &id, &known).await;
            }
        }
    }
}

/// One who changes things for everybody.
async fn operator(world: Arc<World>, model: Arc<Model>, mut draw: Draw) {
    // So many keys are kept beside the one that signs, however long they should overlap.
    let mut rotations = 0..8;
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(3)).await;
        match draw.next(12) {
            0..4 => {
                let Some((id, _)) = model.any_session(draw.next(1 << 20)) else { continue };
                model.begin_to_end([id.clone()]);
                world.access.revoke_session(&id).await.unwrap();
                model.have_ended([id]);
            }
            4 => {
                model.everything.fetch_add(1, Ordering::SeqCst);
                let all: Vec<_> = model.sessions.lock().unwrap().keys().cloned().collect();
                model.begin_to_end(all.clone());
                world.access.revoke_everybody().await.unwrap();
                model.have_ended(all);
                world.clock.advance(Duration::from_secs(4));
                model.everything.fetch_add(1, Ordering::SeqCst);
            }
            5 | 6 if rotations.next().is_some() => {
                world.access.rotate_keys().await.unwrap();
            }
            _ => {
                model.reloads.fetch_add(1, Ordering::SeqCst);
                let team = usize::try_from(draw.next(model.admits.len() as u64)).unwrap();
                model.admits[team].fetch_xor(true, Ordering::SeqCst);
                let admitted: Vec<_> = (0..model.admits.len())
                    .filter(|team| model.admits[*team].load(Ordering::SeqCst))
                    .map(|team| format!("team{team}.example"))
                    .collect();
                world.access.reload(settings(&admitted, &world.post)).unwrap();
                model.reloads.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_02_what_was_ended_stays_ended_and_who_was_not_stays_in() {
    const TEAMS: usize = 3;
    let mut seen = [0, 0];
    for seed in 0..8 {
        let teams: Vec<_> = (0..TEAMS).map(|team| format!("team{team}.example")).collect();
        let (world, model) = (Arc::new(World::new(&teams)), Arc::new(Model::new(TEAMS)));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..8 {
            let draw = Draw(seed << 32 | number);
            let number = usize::try_from(number).unwrap();
            tasks.spawn(person(Arc::clone(&world), Arc::clone(&model), number, draw));
        }
        tasks.spawn(operator(Arc::clone(&world), Arc::clone(&model), Draw(seed << 32 | 99)));
        while let Some(task) = tasks.join_next().await {
            task.unwrap_or_else(|error| panic!("with seed {seed}: {error}"));
        }
        // At rest everything is as the model says, to the last session.
        let sessions = model.sessions.lock().unwrap().clone();
        for (id, known) in &sessions {
            model.check(&world, id, known).await;
        }
        seen[0] += model.let_in.load(Ordering::SeqCst);
        seen[1] += model.kept_out.load(Ordering::SeqCst);
    }
    assert!(seen.iter().all(|count| *count > 200), "let in and kept out: {seen:?}");
}
