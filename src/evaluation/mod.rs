//! External evaluation: a service of yours decides whether a user is allowed (section 9.4 of the
//! contract).
//!
//! The rule `external_evaluation` names an evaluator by two URLs: one to call it, and one for
//! the keys that sign its responses. An engine that issues tokens sends a signed question that
//! describes the user; the evaluator responds with a signed yes or no. A failed call gives no
//! result, so it allows nothing.
//!
//! [`ExternalEvaluation`](crate::facts::ExternalEvaluation) sets how an engine calls evaluators. An
//! evaluator in Rust is a [`Responder`] behind two routes:
//!
//! ```
//! use tower_access::clock::Timestamp;
//! use tower_access::evaluation::Responder;
//! use tower_access::issuer::SigningKey;
//! # use tower_access::token::keys::KeySet;
//!
//! # async fn example(team_keys: KeySet, body: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! // `team_keys` verify the questions: a `RemoteKeys` of the team domain's certs.
//! let responder = Responder::new(team_keys, SigningKey::generate()?)?;
//! // GET /keys
//! let keys = responder.keys_json();
//! // POST /evaluate
//! let response = responder
//!     .respond(body, |question| question.email() == Some("ada@example.com"))
//!     .await;
//! # Ok(())
//! # }
//! ```

mod respond;

pub use self::respond::{Question, QuestionError, Responder};
