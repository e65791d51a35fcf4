//! The same applications behind the proxy and inside an axum app.

use std::net::SocketAddr;

use axum::body::Body;
use http::{Method, Request};
use http_body_util::Full;
use tokio::net::TcpListener;
use tower::{Layer, Service, service_fn};
use tower_access::application::{Application, CorsHeaders};
use tower_access::issuer::SigningKey;
use tower_access::policy::{Policy, Rule};
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy, ServeLimits, serve};
use tower_access::{Access, AccessLayer};

use super::origin::RawOrigin;
use crate::support::{self, Mailbox, Origin, clock, person, two_copies_of_a_key};

pub(crate) const TEAM: &str = "https://login.example.com";
pub(crate) const AUDIENCE: &str =
    "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const ADMIN: &str = "8b1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
/// A page that may read answers of `app.example`.
pub(crate) const UI: &str = "https://ui.example";

pub(crate) struct World {
    pub(crate) proxy: SocketAddr,
    pub(crate) axum: SocketAddr,
    /// Behind the proxy.
    pub(crate) origin: RawOrigin,
    /// Inside the axum app.
    pub(crate) inner: Origin,
    pub(crate) key: SigningKey,
}

/// `app.example` for staff, `/admin` in it for the chair, `/public` in it for everyone;
/// `open.example` for everyone.
pub(crate) fn engine(key: SigningKey) -> Access {
    let everyone = || Policy::bypass("everyone").include(Rule::everyone());
    let cors = CorsHeaders::for_origins([UI]).unwrap().methods([Method::GET]).credentials();
    Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(key)
        .clock(clock())
        .application(
            Application::new("App", "app.example")
                .unwrap()
                .audience(AUDIENCE.parse().unwrap())
                .cors_headers(cors.unwrap())
                .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())),
        )
        .application(
            Application::new("Admin", "app.example/admin")
                .unwrap()
                .audience(ADMIN.parse().unwrap())
                .policy(Policy::allow("chair").include(Rule::email("chair@example.com").unwrap())),
        )
        .application(Application::new("Public", "app.example/public").unwrap().policy(everyone()))
        .application(Application::new("Open", "open.example").unwrap().policy(everyone()))
        .build()
        .unwrap()
}

pub(crate) async fn world() -> World {
    world_with(ServeLimits::default()).await
}

pub(crate) async fn world_with(limits: ServeLimits) -> World {
    let (key, copy) = two_copies_of_a_key();
    let access = engine(copy);
    let origin = RawOrigin::start().await;
    let service = AccessLayer::new(access.clone()).layer(proxy_to(&[("", origin.address)]));
    let proxy = listen(service, limits).await;

    let inner = Origin::default();
    let recorder = inner.clone();
    let service = AccessLayer::new(access).layer(service_fn(move |request: Request<Body>| {
        let is_head = request.method() == Method::HEAD;
        let answer = recorder.clone().call(request);
        async move {
            // What the origin of the proxy leaves out by itself.
            let bare = |body| if is_head { Full::default() } else { body };
            answer.await.map(|answer| answer.map(bare))
        }
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let axum = listener.local_addr().unwrap();
    let app = axum::Router::new().fallback_service(service);
    tokio::spawn(async move { axum::serve(listener, app).await });
    World { proxy, axum, origin, inner, key }
}

/// A proxy in front of these origins, each for a host.
pub(crate) fn proxy_to(origins: &[(&str, SocketAddr)]) -> ReverseProxy {
    let rules = origins.iter().map(|(host, address)| {
        let service = format!("http://{address}");
        IngressRule::parse(host, None, &service, OriginSettings::default()).unwrap()
    });
    ReverseProxy::builder(Ingress::new(rules.collect()).unwrap()).build().unwrap()
}

pub(crate) async fn listen(
    service: tower_access::layer::AccessService<ReverseProxy>,
    limits: ServeLimits,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, service, limits, std::future::pending::<()>()));
    address
}

impl World {
    /// Both sockets, by name.
    pub(crate) fn fronts(&self) -> [(&'static str, SocketAddr); 2] {
        [("proxy", self.proxy), ("axum", self.axum)]
    }

    /// How many requests were let through on both sides.
    pub(crate) fn passed(&self) -> usize {
        self.origin.received().len() + self.inner.count()
    }

    /// Targets that were let through, of the side with this name.
    pub(crate) fn targets(&self, front: &str) -> Vec<String> {
        if front == "proxy" {
            return self.origin.targets();
        }
        let received = self.inner.received.lock().unwrap();
        received.iter().map(|parts| format!("{} {}", parts.method, parts.uri)).collect()
    }

    /// The token of somebody who may use `app.example`.
    pub(crate) fn token(&self) -> String {
        self.key.sign(&person(TEAM, AUDIENCE, "ada@example.com")).unwrap()
    }

    /// The same as a line of a head.
    pub(crate) fn cookie(&self) -> String {
        format!("cookie: CF_Authorization={}\r\n", self.token())
    }
}

/// The value of a query parameter of an address.
pub(crate) fn query(url: &str, name: &str) -> Option<String> {
    support::query(url, name)
}
