//! Without an HTTP client nobody can be asked, and no engine is built that would have to.

use std::sync::Arc;

use crate::clock::Clock;
use crate::policy::Evaluator;
use crate::random::Random;
use crate::token::SigningError;

use super::settings::ExternalEvaluation;
use super::wire::QuestionClaims;

#[derive(Debug)]
pub(crate) enum Asker {}

#[derive(Debug, thiserror::Error)]
#[error("no way to ask an evaluator: turn the feature `http-client` on")]
pub(crate) struct AskerError;

impl Asker {
    pub(crate) fn new(
        _: &Evaluator,
        _: ExternalEvaluation,
        _: Arc<dyn Clock>,
        _: Arc<dyn Random>,
    ) -> Result<Self, AskerError> {
        Err(AskerError)
    }

    #[allow(clippy::unused_async, reason = "as the real one")]
    pub(crate) async fn ask(
        &self,
        _: &serde_json::Value,
        _: &str,
        _: impl Fn(&QuestionClaims<'_>) -> Result<String, SigningError>,
    ) -> Option<bool> {
        match *self {}
    }
}
