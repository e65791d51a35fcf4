//! An external evaluator: a service that decides whether a user gets access (section 9.4 of the
//! contract).
//!
//! ```text
//! cargo run --example evaluator -- CERTS_URL ADDRESS…
//! ```
//!
//! `CERTS_URL` is the URL of the team's keys, `https://<team domain>/cdn-cgi/access/certs`; each
//! `ADDRESS` is the email address of a user who gets access. It prints the rule for a policy, and works
//! with engines of this crate and with Cloudflare Access.

#![allow(clippy::print_stdout, reason = "an example talks to its terminal")]

use std::collections::HashSet;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_access::evaluation::{Question, Responder};
use tower_access::identity::Email;
use tower_access::issuer::SigningKey;
use tower_access::token::keys::{HttpFetch, RemoteKeys};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init();
    let mut arguments = std::env::args().skip(1);
    let Some(certs_url) = arguments.next() else {
        return Err("usage: evaluator CERTS_URL ADDRESS…".into());
    };
    let allowed = arguments.map(|address| address.parse()).collect::<Result<_, _>>()?;
    // In production store the key, and load it with `SigningKey::from_pkcs8_der`.
    let responder =
        Responder::new(RemoteKeys::new(HttpFetch::new(&certs_url)?), SigningKey::generate()?)?;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3100").await?;
    let here = format!("http://{}", listener.local_addr()?);
    println!(
        r#"{{"external_evaluation": {{"evaluate_url": "{here}/evaluate", "keys_url": "{here}/keys"}}}}"#
    );
    axum::serve(listener, app(responder, allowed)).await?;
    Ok(())
}

/// The evaluator's two routes.
pub(crate) fn app(responder: Responder, allowed: HashSet<Email>) -> Router {
    Router::new()
        .route("/evaluate", post(evaluate))
        .route("/keys", get(keys))
        .with_state(Arc::new((responder, allowed)))
}

type Evaluator = State<Arc<(Responder, HashSet<Email>)>>;

async fn evaluate(State(evaluator): Evaluator, body: Bytes) -> Response {
    let (responder, allowed) = &*evaluator;
    responder.respond(&body, |question| is_allowed(question, allowed)).await.map(Body::from)
}

/// Decides whether a user gets access. Yours asks a database, a roster, or the clock.
fn is_allowed(question: &Question, allowed: &HashSet<Email>) -> bool {
    question.email().and_then(|email| email.parse().ok()).is_some_and(|it| allowed.contains(&it))
}

async fn keys(State(evaluator): Evaluator) -> impl IntoResponse {
    let (responder, _) = &*evaluator;
    ([(CONTENT_TYPE, "application/json")], responder.keys_json())
}
