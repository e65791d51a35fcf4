//! External evaluation: a service of yours says whether a person may enter (section 9.4 of the
//! contract).
//!
//! Both sides are here. The rule `external_evaluation` names an evaluator by two addresses: where
//! it is asked, and where the keys are that its answers are signed with. An engine that issues
//! tokens asks it with a signed question, in which the person is described; the evaluator answers
//! with a signed yes or no. Whatever goes wrong on the way is no answer, which opens nothing.
//!
//! How an engine asks is set with [`ExternalEvaluation`](crate::facts::ExternalEvaluation). An evaluator in Rust is
//! a [`Responder`] behind two routes:
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
//! let answer = responder
//!     .respond(body, |question| question.email() == Some("ada@example.com"))
//!     .await;
//! # Ok(())
//! # }
//! ```

mod respond;

pub use self::respond::{Question, QuestionError, Responder};
