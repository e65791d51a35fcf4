//! What cloudflared's `access` commands meet here: discovery, the exchange of a team's token, the
//! login through a browser, tokens in headers. The client of these tests does what that program does,
//! as the contract describes it (section 4), over real sockets.

mod client;
mod discovery;
mod exchange;
mod login;
mod requests;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::WebSocketUpgrade;
use axum::response::Response;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessBuilder, AccessLayer};

use client::Client;

use crate::support::{self, Browser, Mailbox, Origin};

type Service = tower_access::layer::AccessService<Origin>;

const TEAM: &str = "acme.cloudflareaccess.com";
const WIKI: &str = "https://wiki.example.com";

/// A deployment, in front of an origin of its own and behind a socket.
struct World {
    access: Access,
    origin: Origin,
    mail: Mailbox,
    clock: Arc<ManualClock>,
    edge: SocketAddr,
}

impl World {
    /// One login for all applications.
    async fn with_team() -> Self {
        Self::of(|builder| builder.team_domain(TEAM.parse().unwrap())).await
    }

    /// Each host runs its own login.
    async fn without_team() -> Self {
        Self::of(|builder| builder).await
    }

    async fn of(set: impl FnOnce(AccessBuilder) -> AccessBuilder) -> Self {
        let (mail, clock, origin) = (Mailbox::default(), support::clock(), Origin::default());
        let builder = applications()
            .into_iter()
            .fold(Access::builder(), AccessBuilder::application)
            .mailer(mail.clone())
            .clock(Arc::clone(&clock));
        let access = set(builder).build().unwrap();
        let edge = serve(&access, origin.clone()).await;
        Self { access, origin, mail, clock, edge }
    }

    fn client(&self) -> Client {
        Client::new(self.edge, Arc::clone(&self.clock))
    }

    fn browser(&self) -> Browser<Service> {
        Browser::new(AccessLayer::new(self.access.clone()).layer(self.origin.clone()))
    }

    /// A browser of somebody who has logged in to an application.
    async fn logged_in(&self, url: &str) -> Browser<Service> {
        let mut browser = self.browser();
        support::log_in(&mut browser, &self.mail, url, "ada@example.com").await;
        browser
    }

    /// The team's token, or with a login on each host, that host's.
    async fn session_token(&self, host: &str) -> String {
        let browser = self.logged_in(&format!("https://{host}/")).await;
        let session = browser.cookie(TEAM, "CF_Authorization");
        session.unwrap_or_else(|| {
            browser.cookie_at(host, "CF_Authorization", "/cdn-cgi/access").unwrap()
        })
    }
}

fn staff() -> Policy {
    Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())
}

fn applications() -> [Application; 7] {
    let new = |name: &str, domain: &str| Application::new(name, domain).unwrap();
    let everyone = Rule::Everyone;
    [
        new("Wiki", "wiki.example.com").policy(staff()),
        new("Public", "wiki.example.com/public").policy(Policy::bypass("all").include(everyone)),
        new("Lab", "*.lab.example.com/work").policy(staff()),
        new("Vault", "vault.example.com")
            .policy(Policy::allow("chair").include(Rule::email("chair@example.com").unwrap())),
        new("Quick", "quick.example.com").policy(staff()).insecure_skip_interstitial(),
        new("Bound", "bound.example.com").policy(staff()).binding_cookie(),
        new("Docs", "paths.example.com/docs").policy(staff()).path_cookie(),
    ]
}

/// The applications' origin: what the engine lets through is kept, WebSockets are echoed.
async fn serve(access: &Access, origin: Origin) -> SocketAddr {
    let socket = |upgrade: WebSocketUpgrade| async move {
        let answer: Response = upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(message)) = socket.recv().await {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        });
        answer
    };
    let router = Router::new()
        .route("/socket", axum::routing::get(socket))
        .fallback_service(origin)
        .layer(AccessLayer::new(access.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    address
}
