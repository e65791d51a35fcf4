//! An origin that wants its pages shared, behind the layers: in one program with them, and behind
//! the reverse proxy.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::any;
use http::{HeaderMap, HeaderName, Response};
use tokio::net::TcpListener;
use tower::Layer;
use tower_access::address::TrustedProxies;
use tower_access::application::Application;
use tower_access::issuer::SigningKey;
use tower_access::policy::{Policy, Rule};
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy, ServeLimits, serve};
use tower_access::secret::SecretHash;
use tower_access::service_token::ServiceToken;
use tower_access::{Access, AccessLayer};

use crate::support::{Mailbox, clock, person};

const TEAM: &str = "login.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

/// What an origin writes on its pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) status: u16,
    pub(crate) lines: &'static [&'static str],
    /// Whether nginx and Varnish store it where nothing is done about it.
    pub(crate) is_stored: [bool; 2],
}

const fn case(status: u16, lines: &'static [&'static str], is_stored: [bool; 2]) -> Case {
    Case { status, lines, is_stored }
}

pub(crate) const CASES: [Case; 30] = [
    case(200, &[], [false, true]),
    case(200, &["cache-control: max-age=600"], [true, true]),
    case(200, &["cache-control: public, max-age=600"], [true, true]),
    case(200, &["cache-control: public"], [false, true]),
    case(200, &["cache-control: s-maxage=600"], [true, true]),
    case(200, &["cache-control: max-age=0, s-maxage=600"], [true, true]),
    case(200, &["cache-control: must-revalidate, max-age=600"], [true, true]),
    case(200, &["cache-control: proxy-revalidate, max-age=600"], [true, true]),
    case(200, &["cache-control: immutable, MAX-AGE=600"], [true, true]),
    case(200, &["cache-control: max-age=600", "cache-control: public"], [true, true]),
    case(200, &["cache-control: stale-while-revalidate=60, max-age=600"], [true, true]),
    case(200, &["cache-control: x=\"private\", max-age=600"], [false, false]),
    case(200, &["expires: Fri, 31 Dec 2027 23:59:59 GMT"], [true, true]),
    case(200, &["pragma: public", "expires: Fri, 31 Dec 2027 23:59:59 GMT"], [true, true]),
    case(200, &["last-modified: Fri, 27 Nov 2020 10:00:00 GMT", "etag: \"1\""], [false, true]),
    case(200, &["age: 30", "cache-control: max-age=600"], [true, true]),
    case(200, &["vary: Accept-Encoding", "cache-control: max-age=600"], [true, true]),
    case(200, &["etag: \"1\"", "cache-control: public, max-age=600"], [true, true]),
    case(200, &["x-accel-expires: 600"], [true, true]),
    case(200, &["x-accel-expires: 600", "cache-control: private"], [true, false]),
    case(200, &["x-accel-expires: 600", "cache-control: no-store"], [true, false]),
    case(200, &["surrogate-control: max-age=600", "cache-control: private"], [false, true]),
    case(
        200,
        &["surrogate-control: max-age=600", "cache-control: private, max-age=9"],
        [false, true],
    ),
    case(200, &["cdn-cache-control: max-age=600", "cache-control: max-age=600"], [true, true]),
    case(200, &["connection: cache-control", "cache-control: max-age=600"], [true, true]),
    case(301, &["location: /x", "cache-control: max-age=600"], [true, true]),
    case(302, &["location: /x", "cache-control: public, max-age=600"], [true, true]),
    case(404, &["cache-control: max-age=600"], [true, true]),
    case(404, &[], [false, true]),
    case(410, &["cache-control: public, s-maxage=600"], [true, true]),
];

/// How often each page was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin(Arc<Mutex<HashMap<String, usize>>>);

impl Origin {
    pub(crate) fn count(&self, path: &str) -> usize {
        self.0.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    fn router(&self) -> Router {
        let origin = self.clone();
        Router::new().fallback(any(move |request: Request| {
            let response = origin.answer(&request);
            async move { response }
        }))
    }

    /// The page of a case, which is the number at the end of the path.
    fn answer(&self, request: &Request) -> Response<Body> {
        let path = request.uri().path();
        *self.0.lock().unwrap().entry(path.to_owned()).or_default() += 1;
        let number = path.rsplit('/').next().and_then(|number| number.parse::<usize>().ok());
        let case = CASES[number.unwrap()];
        let reader = reader(request.headers());
        let mut response = Response::new(Body::from(format!("page of {reader}")));
        *response.status_mut() = case.status.try_into().unwrap();
        for line in case.lines {
            let (name, value) = line.split_once(": ").unwrap();
            response.headers_mut().append(HeaderName::from_static(name), value.parse().unwrap());
        }
        response.headers_mut().insert("x-page-of", reader.parse().unwrap());
        let asked = request.headers().get("if-none-match");
        if asked.is_some() && asked == response.headers().get("etag") {
            *response.status_mut() = http::StatusCode::NOT_MODIFIED;
            *response.body_mut() = Body::empty();
        }
        response
    }
}

/// Whose page it is.
fn reader(headers: &HeaderMap) -> String {
    let email = headers.get("cf-access-authenticated-user-email");
    match (email, headers.contains_key("cf-access-jwt-assertion")) {
        (Some(email), _) => email.to_str().unwrap().to_owned(),
        (None, true) => "a service".to_owned(),
        (None, false) => "somebody".to_owned(),
    }
}

/// How the layers are used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door {
    /// Around a router, in one program.
    Layer,
    /// Around the reverse proxy.
    Proxy,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) origin: Origin,
    pub(crate) address: SocketAddr,
    key: SigningKey,
}

impl World {
    pub(crate) async fn new(door: Door) -> Self {
        let (key, copy) = crate::support::two_copies_of_a_key();
        let layer = AccessLayer::new(access(copy));
        let origin = Origin::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = origin.router();
        match door {
            Door::Layer => {
                let router = router.layer(layer);
                let service = router.into_make_service_with_connect_info::<SocketAddr>();
                tokio::spawn(async move { axum::serve(listener, service).await });
            }
            Door::Proxy => {
                let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let target = format!("http://{}", behind.local_addr().unwrap());
                tokio::spawn(async move { axum::serve(behind, router).await });
                let rule = IngressRule::parse("", None, &target, OriginSettings::default());
                let ingress = Ingress::new(vec![rule.unwrap()]).unwrap();
                let proxy = ReverseProxy::builder(ingress).trusted_proxies(
                    TrustedProxies::new(["127.0.0.0/8".parse().unwrap()]).unwrap(),
                );
                let service = layer.layer(proxy.build().unwrap());
                let never = std::future::pending::<()>();
                tokio::spawn(serve(listener, service, ServeLimits::default(), never));
            }
        }
        Self { origin, address, key }
    }

    pub(crate) fn token(&self, email: &str) -> String {
        self.key.sign(&person(&format!("https://{TEAM}"), AUDIENCE, email)).unwrap()
    }
}

fn access(key: SigningKey) -> Access {
    let staff = || Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let services = || Policy::service_auth("any").include(Rule::any_valid_service_token());
    let office = || Rule::ip("192.0.2.0/24").unwrap();
    let everyone = || Policy::bypass("open").include(Rule::everyone());
    let app = |host: &str| Application::new(host, &format!("{host}.example")).unwrap();
    Access::builder()
        .team_domain(TEAM.parse().unwrap())
        .mailer(Mailbox::default())
        .signing_key(key)
        .clock(clock())
        .trusted_proxies(TrustedProxies::new(["127.0.0.0/8".parse().unwrap()]).unwrap())
        .service_token(ServiceToken::new("ci", "ci.access", SecretHash::new("s3cret")))
        .application(
            app("wiki").audience(AUDIENCE.parse().unwrap()).policy(services()).policy(staff()),
        )
        .application(app("office").policy(Policy::bypass("desk").include(office())))
        .application(app("outside").policy(everyone().exclude(office())))
        .application(app("public").policy(everyone()))
        .application(
            app("shared")
                .also_for_audience(AUDIENCE.parse().unwrap())
                .policy(Policy::bypass("desk").include(office()))
                .policy(staff())
                .insecure_allow_shared_caching(),
        )
        .build()
        .unwrap()
}
