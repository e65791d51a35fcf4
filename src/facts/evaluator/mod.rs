//! External evaluators, asked by an engine that issues tokens (section 9.4 of the contract).

#[cfg(feature = "http-client")]
mod ask;
#[cfg(not(feature = "http-client"))]
#[path = "no_client.rs"]
mod ask;
#[cfg(feature = "http-client")]
mod breaker;
mod settings;
pub(crate) mod wire;

use std::time::Duration;

pub(crate) use self::ask::{Asker, AskerError};
pub use self::settings::ExternalEvaluation;
#[cfg(feature = "config")]
pub(crate) use self::settings::{
    LONGEST_RECHECK, LONGEST_TIMEOUT, SHORTEST_RECHECK, SHORTEST_TIMEOUT,
};

/// How long questions and answers are good.
pub(crate) const QUESTION_LIFETIME: Duration = Duration::from_secs(60);
/// Between two clocks. What is asked is answered at once, and a nonce is used once.
pub(crate) const LEEWAY: Duration = Duration::from_secs(5);
