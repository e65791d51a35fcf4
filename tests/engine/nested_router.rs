//! Layers inside of a nested router: the login is 404, and the log says why.

use axum::Router;
use axum::routing::get;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::ServiceBuilder;
use tower_access::application::Application;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer, AuthenticateLayer, AuthorizeLayer, LoginLayer};

use crate::support;
use crate::support::log::Log;

/// An engine that runs the login, for a host of its own.
fn access(host: &str) -> Access {
    let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    Access::builder()
        .mailer(support::Mailbox::default())
        .clock(support::clock())
        .application(Application::new(host, host).unwrap().policy(staff))
        .build()
        .unwrap()
}

fn pages() -> Router {
    Router::new().route("/", get(|| async { "inside" })).route("/page", get(|| async { "inside" }))
}

async fn status(app: &Router, host: &str, path: &str) -> StatusCode {
    let request = Request::get(path).header("host", host).body(Full::default()).unwrap();
    let service = app.clone().into_service();
    support::send(&service, request).await.parts.status
}

/// Sends somebody to the login twice, and gives what the log says of it.
async fn warnings(app: Router, nested_at: &'static str, host: &str, path: &str) -> Vec<String> {
    let log = Log::of_this_test();
    for _ in 0..2 {
        assert_eq!(status(&app, host, path).await, StatusCode::FOUND, "{path}");
    }
    let warnings = log.with("nested_at", nested_at);
    warnings.iter().map(|record| record.message().to_owned()).collect()
}

const WARNING: &str = "the login is 404: its layer is inside a nested router, which requests for \
                       /cdn-cgi/access/ do not reach; apply the layer to the outer router";

#[tokio::test]
async fn a_layer_inside_of_a_nested_router_is_warned_of_once() {
    let layer = AccessLayer::new(access("a.test"));
    let app = Router::new().nest("/one", pages().layer(layer));
    assert_eq!(status(&app, "a.test", "/cdn-cgi/access/login/a.test").await, StatusCode::NOT_FOUND);
    assert_eq!(warnings(app, "/one", "a.test", "/one/page").await, [WARNING]);

    // Two levels, a parameter, a service, and the three layers apart.
    let access = access("b.test");
    let parts = ServiceBuilder::new()
        .layer(LoginLayer::new(access.clone()))
        .layer(AuthenticateLayer::new(access.clone()))
        .layer(AuthorizeLayer::new(access));
    let inner = Router::new().nest("/{name}", pages().layer(parts));
    let app = Router::new().nest("/two", inner);
    assert_eq!(warnings(app, "/two/{name}", "b.test", "/two/x/page").await, [WARNING]);

    let service = pages().layer(AccessLayer::new(self::access("c.test")));
    let app = Router::new().nest_service("/three", service);
    assert_eq!(warnings(app, "/three", "c.test", "/three/page").await, [WARNING]);
}

#[tokio::test]
async fn a_layer_that_the_login_reaches_is_not() {
    // Around the outer router, with nested ones inside.
    let layer = AccessLayer::new(access("d.test"));
    let app = Router::new().nest("/four", pages()).layer(layer);
    let login = status(&app, "d.test", "/cdn-cgi/access/certs").await;
    assert_eq!(login, StatusCode::OK);
    assert!(warnings(app, "/four", "d.test", "/four/page").await.is_empty());

    // The login outside, the other two inside.
    let access = access("e.test");
    let inner = ServiceBuilder::new()
        .layer(AuthenticateLayer::new(access.clone()))
        .layer(AuthorizeLayer::new(access.clone()));
    let app = Router::new().nest("/five", pages().layer(inner)).layer(LoginLayer::new(access));
    assert!(warnings(app, "/five", "e.test", "/five/page").await.is_empty());

    // A nested router that has the login's paths.
    let layer = AccessLayer::new(self::access("f.test"));
    let all = pages().route("/access/{*rest}", get(|| async { "inside" })).layer(layer);
    let app = Router::new().nest("/{six}", all);
    assert_eq!(status(&app, "f.test", "/cdn-cgi/access/certs").await, StatusCode::OK);
    assert!(warnings(app, "/{six}", "f.test", "/six/page").await.is_empty());
}
