//! Paths that something changes on the way to the layer or behind it.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Uri};
use tower::util::MapRequestLayer;
use tower::{ServiceBuilder, ServiceExt};
use tower_access::AccessLayer;

use super::world::engine;
use crate::support::two_copies_of_a_key;

/// Replaces the target of every request.
fn rewrite(mut request: Request<Body>, target: &'static str) -> Request<Body> {
    *request.uri_mut() = Uri::from_static(target);
    request
}

fn app() -> Router {
    Router::new()
        .route("/public/x", get(|| async { "open" }))
        .route("/admin", get(|| async { "the admin area" }))
        .fallback(|| async { "nothing" })
}

async fn status(service: &Router, path: &str) -> u16 {
    let request = Request::get(path).header("host", "app.example").body(Body::empty()).unwrap();
    service.clone().oneshot(request).await.unwrap().status().as_u16()
}

/// What is rewritten before the layer sees it is judged as it is then.
#[tokio::test]
async fn path_20_a_path_rewritten_outside_is_judged_as_it_is_served() {
    let access = engine(two_copies_of_a_key().0);
    let layer = || AccessLayer::new(access.clone());
    for (target, expected) in [
        ("/public/x", 200),
        ("/admin", 302),
        ("/public/../admin", 400),
        ("/public/%2e%2e%2fadmin", 400),
    ] {
        let rewriting = || MapRequestLayer::new(move |request| rewrite(request, target));
        // A service around the app, and the same below a router.
        let around = ServiceBuilder::new().layer(rewriting()).service(app().layer(layer()));
        let request = Request::get("/public/x").header("host", "app.example");
        let answer = around.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), expected, "{target}");
    }
}

/// A router remembers the target that it routed; what is rewritten below it has to be good as well.
#[tokio::test]
async fn path_20_a_path_rewritten_below_a_router_is_judged_again_or_refused() {
    let access = engine(two_copies_of_a_key().0);
    let layer = || AccessLayer::new(access.clone());
    for (target, expected) in [
        ("/public/x", &[200][..]),
        ("/public/y", &[200]),
        ("/admin", &[302, 400]),
        ("/admin?x=/public/x", &[302, 400]),
        ("/%61dmin", &[302, 400]),
        ("/public/../admin", &[400]),
        ("/public/%2e%2e%2fadmin", &[400]),
    ] {
        let rewriting = || MapRequestLayer::new(move |request| rewrite(request, target));
        let below = ServiceBuilder::new().layer(rewriting()).layer(layer()).service(app());
        let router = Router::new().fallback_service(below.clone());
        let nested = Router::new().nest_service("/public", below);
        for (name, router) in [("fallback", router), ("nested", nested)] {
            let status = status(&router, "/public/x").await;
            assert!(expected.contains(&status), "{name}: {target}: {status}");
        }
    }
}
