//! The login by OpenID providers, against providers on real sockets.

mod flow;
mod hostile;
mod interleaved;
mod presets;
mod returns;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::login::OpenIdProvider;
use tower_access::policy::{Policy, Rule};
use tower_access::store::MemoryStore;
use tower_access::{Access, AccessLayer};

use crate::support::ledger::Ledger;
use crate::support::openid::{CLIENT, OpenId, SECRET, user};
use crate::support::{self, Answer, Browser, Mailbox, Origin, clock};

type Service = tower_access::layer::AccessService<Origin>;

const TEAM: &str = "https://login.example.com";
const WIKI: &str = "https://wiki.example.com/docs?q=1";
const OPS: &str = "https://ops.example.com/";

/// A deployment with two providers of one kind, `corp` and `partner`, and one-time PINs.
struct World {
    service: Service,
    origin: Origin,
    mail: Mailbox,
    clock: Arc<ManualClock>,
    store: Arc<Ledger>,
    corp: OpenId,
    partner: OpenId,
}

fn provider(id: &str, issuer: &str) -> OpenIdProvider {
    let secret = SECRET.to_owned().into();
    let provider = OpenIdProvider::new(id, issuer, CLIENT, secret).unwrap();
    provider.name(format!("The {id} provider")).time_limit(Duration::from_secs(1))
}

fn rule(rule: Value) -> Rule {
    serde_json::from_value(rule).unwrap()
}

impl World {
    async fn new() -> Self {
        Self::with(|provider| provider).await
    }

    /// With these settings of `corp`.
    async fn with(settings: impl FnOnce(OpenIdProvider) -> OpenIdProvider) -> Self {
        let (corp, partner) = (OpenId::start().await, OpenId::start().await);
        let settings = settings(provider("corp", &corp.issuer()));
        Self::of(settings, corp, partner)
    }

    fn of(settings: OpenIdProvider, corp: OpenId, partner: OpenId) -> Self {
        let (mail, clock, origin) = (Mailbox::default(), clock(), Origin::default());
        let store = Ledger::new(MemoryStore::new(Arc::clone(&clock), 100_000));
        let everybody = || Policy::allow("all").include(Rule::everyone());
        let staff = json!({"okta": {"name": "staff", "identity_provider_id": "corp"}});
        let access = Access::builder()
            .application(Application::new("Wiki", "wiki.example.com").unwrap().policy(everybody()))
            .application(
                Application::new("Ops", "ops.example.com")
                    .unwrap()
                    .policy(Policy::allow("staff").include(rule(staff))),
            )
            .identity_provider(settings)
            .identity_provider(provider("partner", &partner.issuer()))
            .mailer(mail.clone())
            .clock(Arc::clone(&clock))
            .store(Arc::clone(&store))
            .team_domain("login.example.com".parse().unwrap())
            .build()
            .unwrap();
        let service = AccessLayer::new(access).layer(origin.clone());
        Self { service, origin, mail, clock, store, corp, partner }
    }

    fn browser(&self) -> Browser<Service> {
        Browser::new(self.service.clone())
    }

    /// Logs a user in by `corp`, and returns the last answer.
    async fn log_in(&self, browser: &mut Browser<Service>, user: &Value) -> Answer {
        let at_provider = begin(browser, WIKI, "corp").await;
        let callback = self.corp.log_in(at_provider.location(), user);
        browser.visit(&callback).await.1
    }

    /// Whatever one provider does, the other methods let users in.
    async fn others_still_work(&self) {
        let mut browser = self.browser();
        let at_provider = begin(&mut browser, WIKI, "partner").await;
        let callback = self.partner.log_in(at_provider.location(), &user("grace"));
        let (_, page) = browser.visit(&callback).await;
        assert_eq!((page.status(), &*page.text), (StatusCode::OK, "origin saw /docs?q=1"));
        let mut browser = self.browser();
        let page = support::log_in(&mut browser, &self.mail, WIKI, "ada@example.com").await;
        assert_eq!(page, "origin saw /docs?q=1");
    }

    /// The user in this browser is nobody.
    async fn is_out(&self, browser: &mut Browser<Service>) {
        let before = self.origin.count();
        assert_eq!(browser.get(WIKI).await.status(), StatusCode::FOUND);
        assert_eq!(self.origin.count(), before, "nothing reached the application");
        assert_eq!(browser.cookie("login.example.com", "CF_Authorization"), None);
    }

    /// The address that the origin saw last.
    fn seen_email(&self) -> String {
        let headers = self.origin.last().headers;
        headers["cf-access-authenticated-user-email"].to_str().unwrap().to_owned()
    }
}

/// From an application to the provider: the answer that redirects there, if nothing fails.
async fn begin(browser: &mut Browser<Service>, url: &str, method: &str) -> Answer {
    let refused = browser.get(url).await;
    assert_eq!(refused.status(), StatusCode::FOUND, "{}", refused.text);
    browser.get(&format!("{}&connector_id={method}", refused.location())).await
}

/// A page that says so, with a way to start again, and nothing of the exchange in it.
#[track_caller]
fn is_page(answer: &Answer, status: StatusCode, title: &str) {
    let text = says(answer, status, title);
    assert!(text.contains("<a "), "a way on: {text}");
}

/// A page for an answer of which nobody knows what it belongs to.
#[track_caller]
fn says<'a>(answer: &'a Answer, status: StatusCode, title: &str) -> &'a str {
    let text = answer.text.split("</style>").last().unwrap();
    assert_eq!(answer.status(), status, "{text}");
    assert!(text.contains(title), "not `{title}`: {text}");
    assert_eq!(answer.set_cookie("CF_Authorization"), None);
    for secret in ["code/", "access/code", ID_TOKEN_START, SECRET] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    text
}

/// How every ID token begins.
const ID_TOKEN_START: &str = "eyJhbGciOiJFUzI1NiIs";
