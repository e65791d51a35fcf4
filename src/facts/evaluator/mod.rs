//! External evaluators, called by an engine that issues tokens (section 9.4 of the contract).

mod ask;
mod settings;
pub(crate) mod wire;

use std::time::Duration;

pub(crate) use self::ask::{Asker, AskerError};
pub use self::settings::ExternalEvaluation;

/// The lifetime of questions and responses.
pub(crate) const QUESTION_LIFETIME: Duration = Duration::from_secs(60);
/// The tolerance between two clocks. Responses are immediate, and a nonce is used once.
pub(crate) const LEEWAY: Duration = Duration::from_secs(5);
