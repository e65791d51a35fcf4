//! A second login method, which leads to a provider, goes all the way through.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{HeaderValue, LOCATION, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::*;
use crate::application::Application;
use crate::clock::{ManualClock, Timestamp};
use crate::explain::Question;
use crate::identity::ProviderGroup;
use crate::login::mail::{Mail, MailFuture, Mailer};
use crate::login::meta::hash;
use crate::policy::{Outcome, Policy, Rule};
use crate::random;
use crate::secret::MasterSecret;
use crate::session::cookie;
use crate::store::{MemoryStore, Store};
use crate::{Access, AccessLayer, Identity};

/// An identity provider that the browser is sent to, and that sends it back with a state.
#[derive(Debug)]
struct Provider {
    id: &'static str,
    groups: Option<&'static [&'static str]>,
    pending: Mutex<HashMap<String, (Flow, String)>>,
}

impl Provider {
    fn new(id: &'static str, groups: Option<&'static [&'static str]>) -> Arc<Self> {
        Arc::new(Self { id, groups, pending: Mutex::default() })
    }
}

impl ProviderSettings for Arc<Provider> {
    fn id(&self) -> &str {
        self.id
    }

    fn name(&self) -> &str {
        self.id
    }

    fn kind(&self) -> &str {
        "okta"
    }

    fn build(&self, _: &MethodContext<'_>) -> Result<Arc<dyn LoginMethod>, BuildError> {
        Ok(Self::clone(self))
    }
}

fn double(id: &'static str, groups: Option<&'static [&'static str]>) -> IdentityProvider {
    IdentityProvider::new(Provider::new(id, groups))
}

impl LoginMethod for Provider {
    fn id(&self) -> &str {
        self.id
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
            Ok(crate::util::response::redirect(&format!(
                "https://idp.example/{}?state={state}",
                self.id
            )))
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
            let email = query.required("user")?.parse().map_err(|_| Refusal::BadRequest)?;
            let group = |name: &&str| ProviderGroup {
                name: Some((*name).into()),
                ..ProviderGroup::default()
            };
            let attributes = Attributes {
                authentication_methods: Some(vec!["pwd".into(), "mfa".into()]),
                groups: self.groups.map(|groups| groups.iter().map(group).collect()),
                oidc_claims: Some([("department", "r-and-d")].into_iter().collect()),
                ..Attributes::default()
            };
            Ok(Step::Finished(Box::new(Finished {
                flow,
                authenticated: Authenticated { email, attributes, account: None },
                cookies: vec![HeaderValue::from_static("provider=; Max-Age=0")],
            })))
        })
    }
}

#[derive(Debug)]
pub(super) struct NoMail;

impl Mailer for NoMail {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        panic!("mailed {mail:?}")
    }
}

pub(super) const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
pub(super) const TEAM: &str = "login.example";

/// Nodes that share a store.
pub(super) struct World {
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Arc<MemoryStore>,
}

pub(super) fn rule(rule: Value) -> Rule {
    serde_json::from_value(rule).unwrap()
}

pub(super) fn application(name: &str, policy: Policy) -> Application {
    Application::new(name, &format!("{name}.example")).unwrap().policy(policy)
}

impl World {
    pub(super) fn new() -> Self {
        let clock = Arc::new(ManualClock::new(NOW));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock), 10_000));
        Self { clock, store }
    }

    /// A node with the one-time PIN, the provider `corp` with groups, and `partner`, which knows
    /// nothing of groups.
    async fn node(&self) -> Access {
        let ops = || rule(json!({ "okta": { "name": "Ops", "identity_provider_id": "corp" } }));
        let mut methods = MethodSettings::default();
        methods.add(double("corp", Some(&["Ops", "Dev"])));
        methods.add(double("partner", None));
        Access::builder()
            .login_methods(methods)
            .mailer(NoMail)
            .clock(Arc::clone(&self.clock))
            .store(Arc::clone(&self.store))
            .master_secret(MasterSecret::from_bytes([7; 32]))
            .team_domain(TEAM.parse().unwrap())
            .application(application("open", Policy::allow("all").include(Rule::everyone())))
            .application(application(
                "ops",
                Policy::allow("ops").include(ops()).require(Rule::login_method("corp")),
            ))
            .application(application(
                "partners",
                Policy::allow("partners").include(Rule::login_method("partner")),
            ))
            .application(application(
                "mailed",
                Policy::allow("mailed").include(Rule::auth_method("otp")),
            ))
            .application(application(
                "others",
                Policy::allow("others")
                    .include(Rule::everyone())
                    .exclude(rule(json!({ "okta": { "name": "Sales" } }))),
            ))
            .application(
                application("chosen", Policy::allow("all").include(Rule::everyone()))
                    .allowed_login_method("corp")
                    .auto_redirect_to_identity(),
            )
            .application(
                application("named", Policy::allow("all").include(Rule::everyone()))
                    .allowed_login_method("corp"),
            )
            .build_persistent()
            .await
            .unwrap()
    }
}

/// A browser of a person at one node.
pub(super) struct Browser<'a> {
    access: &'a Access,
    pub(super) cookies: HashMap<(String, String), String>,
}

impl<'a> Browser<'a> {
    pub(super) fn new(access: &'a Access) -> Self {
        Self { access, cookies: HashMap::new() }
    }

    /// The same browser, whose next request another node answers.
    pub(super) fn at<'b>(&self, access: &'b Access) -> Browser<'b> {
        Browser { access, cookies: self.cookies.clone() }
    }

    pub(super) async fn ask(&mut self, method: Method, url: &str, body: &str) -> Response<String> {
        let (host, path) = url.trim_start_matches("https://").split_once('/').unwrap();
        let mine = self.cookies.iter().filter(|((of, _), _)| of == host);
        let line: Vec<_> = mine.map(|((_, name), value)| format!("{name}={value}")).collect();
        let request = Request::builder()
            .method(method)
            .uri(format!("/{path}"))
            .header("host", host)
            .header("accept", "text/html")
            .header("cookie", line.join("; "))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::<Bytes>::from(body.to_owned()))
            .unwrap();
        let inner = service_fn(|request: Request<Full<Bytes>>| async move {
            let email = request.extensions().get::<Identity>().and_then(|who| who.email());
            let email = email.unwrap_or("nobody").to_owned();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(email)))
        });
        let layer = AccessLayer::new(self.access.clone());
        let service = ServiceBuilder::new().layer(layer).service(inner);
        let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
        for line in parts.headers.get_all(SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert((host.to_owned(), name.to_owned()), value.to_owned());
        }
        let text = body.collect().await.unwrap().to_bytes();
        Response::from_parts(parts, String::from_utf8(text.to_vec()).unwrap())
    }

    pub(super) async fn get(&mut self, url: &str) -> Response<String> {
        self.ask(Method::GET, url, "").await
    }

    /// Goes to an application, logs in by a provider if it has to, and ends where that leads.
    pub(super) async fn open(
        &mut self,
        application: &str,
        method: &str,
        user: &str,
    ) -> Response<String> {
        self.open_at(&format!("https://{application}.example/docs"), TEAM, (method, user)).await
    }

    pub(super) async fn open_at(
        &mut self,
        url: &str,
        login: &str,
        (method, user): (&str, &str),
    ) -> Response<String> {
        let mut url = url.to_owned();
        for _ in 0..8 {
            let answer = self.get(&url).await;
            if answer.status() != StatusCode::FOUND {
                return answer;
            }
            url = location(&answer);
            if let Some((_, state)) =
                url.split_once("idp.example/").and_then(|it| it.1.split_once('='))
            {
                url = format!("https://{login}/cdn-cgi/access/callback?state={state}&user={user}");
            } else if url.contains("/cdn-cgi/access/login/") {
                url = format!("{url}&connector_id={method}");
            }
        }
        panic!("it leads in circles: {url}")
    }

    /// What an application answers without a login.
    pub(super) async fn status(&mut self, application: &str) -> StatusCode {
        self.get(&format!("https://{application}.example/docs")).await.status()
    }

    pub(super) fn session(&self) -> String {
        let token = &self.cookies[&(TEAM.to_owned(), "CF_Authorization".to_owned())];
        crate::token::unverified_claims(token).unwrap().identity_nonce.unwrap()
    }
}

pub(super) fn location(answer: &Response<String>) -> String {
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_login_by_a_provider_opens_what_its_groups_open() {
    let world = World::new();
    let node = world.node().await;
    let mut ada = Browser::new(&node);
    let answer = ada.open("ops", "corp", "ada@example.com").await;
    assert_eq!((answer.status(), &**answer.body()), (StatusCode::OK, "ada@example.com"));
    // Every later request by the token alone.
    assert_eq!(ada.status("ops").await, StatusCode::OK);
    let answer = ada.open("chosen", "corp", "").await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(ada.cookies[&(TEAM.to_owned(), "provider".to_owned())], "");
    let answer = ada.get("https://ops.example/cdn-cgi/access/get-identity").await;
    let identity: Value = serde_json::from_str(answer.body()).unwrap();
    assert_eq!(identity["idp"], json!({ "id": "corp", "type": "okta" }));
    assert_eq!(identity["amr"], json!(["pwd", "mfa"]));
    assert_eq!(identity["groups"], json!([{ "name": "Ops" }, { "name": "Dev" }]));
    assert_eq!(identity["oidc_fields"], json!({ "department": "r-and-d" }));
}

#[tokio::test]
async fn each_session_has_the_facts_of_its_own_login() {
    let world = World::new();
    let node = world.node().await;
    let (mut ada, mut bob) = (Browser::new(&node), Browser::new(&node));
    assert_eq!(ada.open("open", "corp", "ada@example.com").await.status(), StatusCode::OK);
    // One person, two logins: what counts is the one a request belongs to.
    assert_eq!(bob.open("open", "partner", "ada@example.com").await.status(), StatusCode::OK);
    for (application, with_corp, with_partner) in [
        ("open", StatusCode::OK, StatusCode::OK),
        ("ops", StatusCode::OK, StatusCode::FORBIDDEN),
        ("partners", StatusCode::FORBIDDEN, StatusCode::OK),
        ("mailed", StatusCode::FORBIDDEN, StatusCode::FORBIDDEN),
        // Nothing is known of groups there: nobody says that they are not in this one.
        ("others", StatusCode::OK, StatusCode::FORBIDDEN),
    ] {
        for _ in 0..2 {
            let answer = ada.open(application, "corp", "ada@example.com").await;
            assert_eq!(answer.status(), with_corp, "{application}");
            let answer = bob.open(application, "partner", "ada@example.com").await;
            assert_eq!(answer.status(), with_partner, "{application}");
        }
    }
    // A login that an application does not accept is as good as none: it asks for another one.
    let answer = bob.get("https://chosen.example/docs").await;
    let login = bob.get(&location(&answer)).await;
    assert!(location(&login).starts_with("https://idp.example/corp?"));
}

#[tokio::test]
async fn a_user_chooses_the_method_on_a_page_that_offers_what_the_application_accepts() {
    let world = World::new();
    let node = world.node().await;
    for (application, offered, has_form) in
        [("open", &["corp", "partner"][..], true), ("named", &["corp"], false)]
    {
        let mut ada = Browser::new(&node);
        let answer = ada.get(&format!("https://{application}.example/docs")).await;
        let page = ada.get(&location(&answer)).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()["cf-access-domain"], format!("{application}.example"));
        assert_eq!(page.body().contains("<form"), has_form, "{application}");
        for method in ["corp", "partner"] {
            let link = format!("connector_id={method}\">Continue with {method}</a>");
            assert_eq!(page.body().contains(&link), offered.contains(&method), "{application}");
        }
        let (before, _) = page.body().split_once("\">Continue with corp").unwrap();
        let (_, url) = before.rsplit_once("href=\"").unwrap();
        let chosen = ada.get(&url.replace("&#38;", "&")).await;
        assert!(location(&chosen).starts_with("https://idp.example/corp?"));
    }
}

#[tokio::test]
async fn without_the_one_time_pin_no_code_is_mailed_and_no_mailer_needed() {
    let application = application("open", Policy::allow("all").include(Rule::everyone()));
    let builder = Access::builder().application(application).without_one_time_pin();
    let node = builder.identity_provider(double("corp", None)).build().unwrap();
    let mut ada = Browser::new(&node);
    let answer = ada.get("https://open.example/docs").await;
    let login = location(&answer);
    let page = ada.get(&login).await;
    assert!(page.body().contains("Continue with corp") && !page.body().contains("<form"));
    let typed = login.replace("/login/", "/verify-code/");
    let answer = ada.ask(Method::POST, &typed, "email=ada%40example.com").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn another_node_reads_the_session_once_and_without_it_knows_nothing() {
    let world = World::new();
    let node = world.node().await;
    let mut ada = Browser::new(&node);
    for application in ["ops", "chosen", "open"] {
        let answer = ada.open(application, "corp", "ada@example.com").await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let second = world.node().await;
    let mut there = ada.at(&second);
    assert_eq!(there.status("ops").await, StatusCode::OK);
    assert_eq!(there.status("chosen").await, StatusCode::OK);
    // Then the record is lost, and with it what a third node could know.
    let third = world.node().await;
    let record = world.store.take(&format!("session/{}", ada.session())).await.unwrap();
    assert!(record.is_some());
    let mut elsewhere = ada.at(&third);
    assert_eq!(elsewhere.status("open").await, StatusCode::OK, "it asks for nothing");
    assert_ne!(elsewhere.status("ops").await, StatusCode::OK);
    assert_eq!(elsewhere.status("chosen").await, StatusCode::FOUND);
    assert_eq!(there.status("ops").await, StatusCode::OK, "it was read before");
}

/// A body whose end is not there yet.
pub(super) struct Chunks(pub(super) tokio::sync::mpsc::Receiver<Bytes>);

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| Ok(http_body::Frame::data(chunk))))
    }
}

#[tokio::test]
async fn an_open_response_goes_on_while_its_login_counts() {
    let world = World::new();
    let mut methods = MethodSettings::default();
    methods.add(double("corp", None));
    let at = |path: &str| {
        let domain = format!("host.example/{path}");
        let application = Application::new(path, &domain).unwrap();
        application.policy(Policy::allow("all").include(Rule::everyone()))
    };
    // One host, which runs its login itself.
    let access = Access::builder()
        .login_methods(methods)
        .mailer(NoMail)
        .clock(Arc::clone(&world.clock))
        .application(at("a"))
        .application(at("b").allowed_login_method("corp"))
        .build()
        .unwrap();
    let mut ada = Browser::new(&access);
    let host = "host.example";
    let answer = ada.open_at("https://host.example/a", host, ("corp", "ada@example.com")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let cookie = |name: &str| ada.cookies[&(host.to_owned(), name.to_owned())].clone();
    let id = crate::token::unverified_claims(&cookie("CF_HostSession")).unwrap();
    let id = id.identity_nonce.unwrap();
    // The session of the host lets the other application's first request in.
    let request = Request::get("/b")
        .header("host", host)
        .header("cookie", format!("CF_HostSession={}", cookie("CF_HostSession")))
        .body(Full::<Bytes>::default())
        .unwrap();
    let (chunks, receiver) = tokio::sync::mpsc::channel(4);
    let receiver = Mutex::new(Some(receiver));
    let inner = service_fn(|_: Request<Full<Bytes>>| async {
        let receiver = receiver.lock().unwrap().take().unwrap();
        Ok::<_, Infallible>(Response::new(Chunks(receiver)))
    });
    let layer = AccessLayer::new(access.clone());
    let answer = ServiceBuilder::new().layer(layer).service(inner).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = Box::pin(answer.into_body());
    access.revoke_session("of somebody else").await.unwrap();
    chunks.send(Bytes::from_static(b"more")).await.unwrap();
    assert!(body.frame().await.unwrap().is_ok(), "its session goes on");
    access.revoke_session(&id).await.unwrap();
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn the_record_of_another_person_says_nothing() {
    let world = World::new();
    let node = world.node().await;
    let (mut ada, mut bob) = (Browser::new(&node), Browser::new(&node));
    assert_eq!(ada.open("open", "corp", "ada@example.com").await.status(), StatusCode::OK);
    assert_eq!(bob.open("open", "partner", "bob@example.com").await.status(), StatusCode::OK);
    // Somebody who can write the store puts one record in place of the other.
    let key = |browser: &Browser<'_>| format!("session/{}", browser.session());
    let record = world.store.get(&key(&ada)).await.unwrap().unwrap();
    let text = String::from_utf8(record.to_vec()).unwrap();
    let text = text.replace(&ada.session(), &bob.session());
    world.store.put(&key(&bob), text.into(), Duration::from_secs(60)).await.unwrap();
    assert_ne!(bob.open("ops", "partner", "bob@example.com").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn methods_share_an_endpoint_and_each_answers_its_own_calls() {
    let world = World::new();
    let node = world.node().await;
    let callback = format!("https://{TEAM}/cdn-cgi/access/callback");
    let mut ada = Browser::new(&node);
    let login = location(&ada.get("https://open.example/docs").await);
    // Without a choice the first method is offered: the page of the one-time PIN.
    let page = ada.get(&login).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.body().contains("value=\"onetimepin\""), "{}", page.body());
    for (method, query, body, status) in [
        (Method::GET, "?state=unknown&user=ada@example.com", "", StatusCode::BAD_REQUEST),
        (Method::GET, "", "", StatusCode::BAD_REQUEST),
        (Method::POST, "", "code=123456", StatusCode::BAD_REQUEST),
        (Method::POST, "", "code=123456&nonce=x", StatusCode::FORBIDDEN),
        (Method::POST, "?state=x", "SAMLResponse=x", StatusCode::BAD_REQUEST),
        (Method::PUT, "", "", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = ada.ask(method.clone(), &format!("{callback}{query}"), body).await;
        assert_eq!(answer.status(), status, "{method} {query} {body}");
    }
    // A state belongs to the provider and to the browser it was made for, and works once.
    let at_provider = location(&ada.get(&format!("{login}&connector_id=partner")).await);
    let (_, state) = at_provider.split_once("state=").unwrap();
    let back = format!("{callback}?state={state}&user=ada@example.com");
    assert_eq!(Browser::new(&node).get(&back).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(ada.get(&back).await.status(), StatusCode::BAD_REQUEST);
    // On an application's host there is no such endpoint.
    let answer = ada.get("https://open.example/cdn-cgi/access/callback?state=x").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn with_several_methods_nothing_is_known_of_a_login_that_nobody_names() {
    let world = World::new();
    let node = world.node().await;
    let outcome = |question: &Question| node.explain(question).outcome;
    let ada = || "ada@example.com".parse().unwrap();
    let mailed = Question::new("https://mailed.example/").with_email(ada());
    assert_eq!(outcome(&mailed), Outcome::Denied);
    let mut ops = Question::new("https://ops.example/").with_email(ada());
    assert_eq!(outcome(&ops), Outcome::Denied);
    ops.identity.login_method = Some("corp".into());
    ops.identity.groups = Some(vec!["Ops".into()]);
    assert_eq!(outcome(&ops), Outcome::Allowed);
}

#[tokio::test]
async fn two_methods_do_not_have_one_id() {
    let mut methods = MethodSettings::default();
    methods.add(double("onetimepin", None));
    let builder = Access::builder().login_methods(methods).mailer(NoMail);
    let error = builder.build().unwrap_err().to_string();
    assert!(error.contains("two login methods have the id `onetimepin`"), "{error}");
}
