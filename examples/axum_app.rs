//! An axum application with a login and policies of its own.
//!
//! ```text
//! cargo run --example axum_app
//! ```
//!
//! Open http://localhost:3000/ and log in with any address at example.com; this terminal prints the
//! code. `/public` is open to everyone.

#![allow(clippy::print_stdout, reason = "an example talks to its terminal")]

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use tower_access::application::Application;
use tower_access::login::mail::ConsoleMailer;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer, Identity};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let access = Access::builder()
        .localhost_port(3000)
        // Prints the codes on this terminal. In production use an `SmtpMailer`.
        .mailer(ConsoleMailer)
        .application(
            Application::new("Example", "localhost")?
                .policy(Policy::allow("staff").include(Rule::email_domain("example.com")?)),
        )
        .application(
            Application::new("Public part", "localhost/public")?
                .policy(Policy::bypass("everyone").include(Rule::everyone())),
        )
        .build()?;

    let app = Router::new()
        .route("/", get(home))
        .route("/public", get(public))
        // This line puts everything above it behind the login.
        .layer(AccessLayer::new(access));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://localhost:3000/ - log in with any address at example.com");
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).await?;
    Ok(())
}

async fn home(identity: Identity) -> String {
    format!("Hello, {}\n", identity.email().unwrap_or("service"))
}

async fn public(identity: Option<Identity>) -> String {
    format!("Open to everyone; the request has an identity: {}\n", identity.is_some())
}
