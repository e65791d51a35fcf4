//! A service behind Cloudflare Access, a tunnel, or a proxy of this crate: it allows requests with a
//! token of the team for this application.
//!
//! ```text
//! cargo run --example verify_origin -- acme.cloudflareaccess.com AUDIENCE_TAG
//! ```

#![allow(clippy::print_stdout, reason = "an example talks to its terminal")]

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tower_access::{Access, AccessLayer, Identity};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let mut arguments = std::env::args().skip(1);
    let (Some(team_domain), Some(audience)) = (arguments.next(), arguments.next()) else {
        return Err("usage: verify_origin TEAM_DOMAIN AUDIENCE_TAG".into());
    };
    let access = Access::verifier(&team_domain, &audience)?;

    let ready = access.clone();
    let app = Router::new()
        .route("/", get(home))
        .layer(AccessLayer::new(access))
        // Routes after the layer are outside it: this one needs no token.
        .route("/ready", get(async move || readiness(&ready)));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://127.0.0.1:3000/ - allows requests with a token of {team_domain}");
    axum::serve(listener, app).await?;
    Ok(())
}

/// Tells a load balancer whether tokens can be verified.
fn readiness(access: &Access) -> (StatusCode, String) {
    let state = access.key_state();
    let status = if state.serves() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{state:?}\n"))
}

async fn home(identity: Identity) -> String {
    match (identity.email(), identity.client_id()) {
        (Some(email), _) => format!("Hello, {email}\n"),
        (None, Some(client_id)) => format!("Hello, service {client_id}\n"),
        (None, None) => "Hello\n".to_owned(),
    }
}
