//! The proxy with its applications, an origin behind it, providers beside it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::any;
use http::{HeaderMap, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::{Clock, ManualClock, SystemClock};
use tower_access::config::Config;
use tower_access::login::{OpenIdProvider, SamlProvider};
use tower_access::policy::{Policy, Rule};
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy, ServeLimits, serve};
use tower_access::{Access, AccessBuilder, AccessLayer};
use url::Url;

use super::agent::{Agent, Page};
use crate::support::identity_providers::IdentityProvider;

pub(crate) const TEAM: &str = "https://login.example.com";
pub(crate) const TEAM_HOST: &str = "login.example.com";
/// Where providers send browsers back to.
pub(crate) const CALLBACK: &str = "https://login.example.com/cdn-cgi/access/callback";
/// For people in the group `ops`, as any of the providers says.
pub(crate) const WIKI: &str = "https://wiki.example.com";
pub(crate) const WIKI_HOST: &str = "wiki.example.com";
/// For everybody with an address at example.com.
pub(crate) const HALL: &str = "https://hall.example.com";

/// Longest that something takes that has no promised time, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where the proxy will be, before it runs: providers have to know it.
pub(crate) struct Front {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Front {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// What an OpenID provider has to know: the client `team`, and where it is asked.
    pub(crate) fn openid(&self, more: Value) -> Value {
        let client = json!({
            "client_id": "team",
            "client_secret": SECRET,
            "redirect_uris": [CALLBACK],
            "post_logout_redirect_uris": [format!("{TEAM}/cdn-cgi/access/signed-out")],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "client_secret_post",
            "backchannel_logout_uri": format!("{TEAM}/cdn-cgi/access/backchannel-logout"),
            "backchannel_logout_session_required": true,
        });
        let settings = json!({
            "clients": [client],
            "accounts": {
                "ada": openid_account("ada", &["ops", "staff"]),
                "bob": openid_account("bob", &["staff"]),
            },
            "scopes": { "profile": ["name", "groups"] },
            "hosts": { TEAM_HOST: self.address.to_string() },
        });
        merged(settings, more)
    }

    /// Runs the proxy with these providers, and no one-time PIN.
    pub(crate) async fn serve(
        self,
        settings: impl FnOnce(AccessBuilder) -> AccessBuilder,
    ) -> World {
        let origin = Origin::default();
        let behind = origin.start().await;
        // Providers and their tokens have the real time.
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let builder = Access::builder()
            .team_domain(TEAM_HOST.parse().unwrap())
            .without_one_time_pin()
            .clock(Arc::clone(&clock));
        let access = settings(builder).build().unwrap();
        let url = format!("http://{behind}");
        let rule = IngressRule::parse("", None, &url, OriginSettings::default()).unwrap();
        let proxy = ReverseProxy::builder(Ingress::new(vec![rule]).unwrap()).build().unwrap();
        self.run(access, proxy, clock, origin)
    }

    /// Runs the proxy of a file, which has these lines under `access`. Its clock is the real one.
    pub(crate) async fn serve_file(self, access: &str) -> World {
        let origin = Origin::default();
        let behind = origin.start().await;
        let text = format!(
            "listen: {}\ningress: [ {{ service: 'http://{behind}' }} ]\naccess:\n{access}",
            self.address
        );
        let config = Config::parse(&text, "test").unwrap_or_else(|errors| panic!("{errors}"));
        let proxy = ReverseProxy::from_config(&config).unwrap();
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        self.run(config.access().unwrap(), proxy, clock, origin)
    }

    fn run(
        self,
        access: Access,
        proxy: ReverseProxy,
        clock: Arc<ManualClock>,
        origin: Origin,
    ) -> World {
        let service = AccessLayer::new(access).layer(proxy);
        tokio::spawn(serve(
            self.listener,
            service,
            ServeLimits::default(),
            std::future::pending::<()>(),
        ));
        World { clock, origin, proxy: self.address }
    }
}

pub(crate) const SECRET: &str = "a-secret-of-the-client-for-tests";

/// An account at example.com, in these groups.
pub(crate) fn openid_account(user: &str, groups: &[&str]) -> Value {
    json!({
        "claims": {
            "email": format!("{user}@example.com"),
            "email_verified": true,
            "name": format!("The Person {user}"),
            "groups": groups,
        },
        "amr": ["pwd", "mfa"],
        "acr": "urn:example:strong",
    })
}

/// An account at example.com, in these groups, with the names of attributes that samlp has for a start.
pub(crate) fn saml_account(user: &str, groups: &[&str]) -> Value {
    json!({
        "attributes": {
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress":
                format!("{user}@example.com"),
            "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name": format!("The Person {user}"),
            "groups": groups,
        },
    })
}

/// An application for those whom any of these rules knows, as Cloudflare writes rules.
pub(crate) fn application(name: &str, url: &str, rules: Value) -> Application {
    let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
    let policy = rules.into_iter().fold(Policy::allow(name), Policy::include);
    Application::new(name, url.strip_prefix("https://").unwrap()).unwrap().policy(policy)
}

/// A provider, as the client `team` knows it.
pub(crate) fn openid(id: &str, name: &str, provider: &IdentityProvider) -> OpenIdProvider {
    let secret = SECRET.to_owned().into();
    OpenIdProvider::new(id, provider.said("issuer"), "team", secret).unwrap().name(name)
}

/// The same of a SAML provider, whose groups rules may ask about.
pub(crate) fn saml(id: &str, name: &str, provider: &IdentityProvider) -> SamlProvider {
    let (issuer, sso) = (provider.said("issuer"), provider.said("sso"));
    let certificates = [provider.said("certificate")];
    let settings = SamlProvider::new(id, issuer, sso, certificates).unwrap();
    settings.name(name).attributes(["groups"])
}

/// From a page to what a provider shows.
pub(crate) async fn begin_page(agent: &mut Agent, url: &str, provider: &str) -> Page {
    let page = agent.open(url).await;
    page.has_status(200);
    agent.follow(&page, &format!("Continue with {provider}")).await
}

/// From a page to a provider. Gives what it is asked.
pub(crate) async fn begin(agent: &mut Agent, url: &str, provider: &str) -> Url {
    let before = agent.visited.len();
    begin_page(agent, url, provider).await;
    let asked = agent.visited[before..].iter().find(|url| url.path() == "/auth");
    asked.expect("the browser is sent to the provider").clone()
}

/// From the login page of a provider to where it all leads. Allows what the provider asks about.
pub(crate) async fn sign_in(agent: &mut Agent, page: &Page, user: &str) -> Page {
    let page = agent.submit(page, "Sign in", &[("login", user), ("password", "secret")]).await;
    if page.text.contains("Allow it?") { agent.submit(&page, "Allow", &[]).await } else { page }
}

/// From the login page of a provider to its answer, which is not sent on.
pub(crate) async fn answer_for(agent: &mut Agent, page: &Page, user: &str) -> Url {
    agent.follows_redirects = false;
    let mut page = sign_in(agent, page, user).await;
    let answer = loop {
        let next = page.headers.get("location").expect("a redirect").to_str().unwrap();
        let next = page.url.join(next).unwrap();
        if next.as_str().starts_with(CALLBACK) {
            break next;
        }
        page = agent.open(next.as_str()).await;
    };
    agent.follows_redirects = true;
    answer
}

/// From a page to where the login of a provider leads.
pub(crate) async fn log_in_by(agent: &mut Agent, url: &str, provider: &str, user: &str) -> Page {
    let page = begin_page(agent, url, provider).await;
    sign_in(agent, &page, user).await
}

/// What is running.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) origin: Origin,
    proxy: SocketAddr,
}

impl World {
    /// Somebody with a browser.
    pub(crate) fn agent(&self) -> Agent {
        Agent::new(self.proxy)
    }
}

/// Asks again and again until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let all = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("it never was so: {what}"));
}

/// What the origin received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin(Arc<Mutex<Vec<Received>>>);

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Received {
    pub(crate) path_and_query: String,
    pub(crate) email: String,
    /// The assertion.
    pub(crate) token: String,
}

impl Received {
    /// The claims of the assertion.
    pub(crate) fn claims(&self) -> Value {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let payload = self.token.split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }
}

impl Origin {
    async fn start(&self) -> SocketAddr {
        let received = Arc::clone(&self.0);
        let show = async move |uri: Uri, headers: HeaderMap| {
            let text = |name: &str| {
                let value = headers.get(name);
                value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
            };
            let email = text("cf-access-authenticated-user-email");
            let path_and_query = uri.to_string();
            let page = format!("The origin shows {path_and_query} to {email}.");
            let token = text("cf-access-jwt-assertion");
            received.lock().unwrap().push(Received { path_and_query, email, token });
            page
        };
        let echo = async |upgrade: WebSocketUpgrade| {
            upgrade.on_upgrade(async |mut socket: WebSocket| {
                while let Some(Ok(message)) = socket.recv().await {
                    if socket.send(message).await.is_err() {
                        break;
                    }
                }
            })
        };
        let router = Router::new().route("/socket", any(echo)).fallback(show);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Received {
        self.0.lock().unwrap().last().expect("the origin was asked").clone()
    }
}

/// The members of one object, and those of another that has the last word.
fn merged(mut object: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("no object: {more}") };
    object.as_object_mut().unwrap().extend(more);
    object
}
