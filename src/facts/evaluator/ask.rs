//! Sends one question to one evaluator.

use std::sync::Arc;

use tokio::sync::Semaphore;
use url::{Position, Url};

use crate::clock::{Clock, Timestamp};
use crate::metrics;
use crate::policy::Evaluator;
use crate::random::{self, Random, RandomUnavailable};
use crate::token::keys::{
    self, FetchError, KeyEndpoint, KeySet, KeySource, RefreshPolicy, RemoteKeys,
};
use crate::token::{Jws, TokenError, TokenErrorKind};
use crate::util::breaker::Breaker;
use crate::util::fetch::{Fetch, HttpError, Request};
use crate::util::new_http_client;

use super::settings::ExternalEvaluation;
use super::wire::{AnswerClaims, Envelope, QuestionClaims, object};
use super::{LEEWAY, QUESTION_LIFETIME};

/// The client of one evaluator.
#[derive(Debug)]
pub(crate) struct Asker {
    evaluate_url: Url,
    client: Arc<dyn Fetch>,
    keys: RemoteKeys,
    settings: ExternalEvaluation,
    breaker: Breaker,
    /// The limit of concurrent questions.
    slots: Semaphore,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// The reason why the caller could not sign a question.
type SigningFailure = Box<dyn std::error::Error + Send + Sync>;

/// The error of a misconfigured evaluator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskerError {
    #[error("the evaluator's URL is invalid")]
    Address,
    #[error(transparent)]
    Client(#[from] HttpError),
    #[error(transparent)]
    Keys(#[from] FetchError),
}

/// The reason why an evaluation failed.
#[derive(Debug, thiserror::Error)]
enum EvaluationError {
    #[error("not called: too many recent failures")]
    Resting,
    #[error("no response in time")]
    Late,
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the response is not a JSON object with a token")]
    Unreadable,
    #[error("the response's token is invalid: {0}")]
    Token(#[from] TokenError),
    #[error("the response's token has invalid claims")]
    Claims,
    #[error("the response has expired")]
    Expired,
    #[error("the response belongs to another question")]
    Nonce,
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    #[error("the question could not be signed: {0}")]
    Signing(SigningFailure),
}

impl Asker {
    pub(crate) fn new(
        evaluator: &Evaluator,
        settings: ExternalEvaluation,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, AskerError> {
        let keys = KeyEndpoint::new(new_http_client(keys::TIME_LIMIT)?, evaluator.keys_url())?;
        Ok(Self {
            evaluate_url: Url::parse(evaluator.evaluate_url()).map_err(|_| AskerError::Address)?,
            client: new_http_client(settings.time_limit())?,
            keys: RemoteKeys::for_evaluator(keys, key_times()),
            settings,
            breaker: Breaker::default(),
            slots: Semaphore::new(MAX_QUESTIONS),
            clock,
            random,
        })
    }

    /// Returns the evaluator's result for the user with this identity object; `None` without a
    /// valid response. The question is signed with the key that the issuer's certs
    /// publish.
    pub(crate) async fn ask(
        &self,
        identity: &serde_json::Value,
        issuer: &str,
        sign: impl Fn(&QuestionClaims<'_>) -> Result<String, SigningFailure>,
    ) -> Option<bool> {
        let asking = self.exchange(identity, issuer, sign);
        let answer = tokio::time::timeout(self.settings.time_limit(), asking).await;
        let answer = answer.unwrap_or(Err(EvaluationError::Late));
        metrics::evaluation(match &answer {
            Ok(true) => "yes",
            Ok(false) => "no",
            Err(EvaluationError::Resting) => "not_asked",
            Err(_) => "no_answer",
        });
        match answer {
            Ok(success) => Some(success),
            Err(error) => {
                // The query may be secret.
                let url = &self.evaluate_url[..Position::AfterPath];
                if matches!(error, EvaluationError::Resting) {
                    tracing::debug!(evaluator = url, %error, "an evaluator was not called");
                } else {
                    tracing::warn!(evaluator = url, %error, "an evaluator failed");
                }
                None
            }
        }
    }

    async fn exchange(
        &self,
        identity: &serde_json::Value,
        issuer: &str,
        sign: impl Fn(&QuestionClaims<'_>) -> Result<String, SigningFailure>,
    ) -> Result<bool, EvaluationError> {
        let _slot = self.slots.acquire().await.map_err(|_| EvaluationError::Late)?;
        let attempt = self.breaker.attempt(self.clock.now()).ok_or(EvaluationError::Resting)?;
        let answer = self.answer_to(identity, issuer, sign).await;
        match &answer {
            Ok(_) => attempt.succeeded(),
            Err(_) => attempt.failed(self.clock.now()),
        }
        answer
    }

    async fn answer_to(
        &self,
        identity: &serde_json::Value,
        issuer: &str,
        sign: impl Fn(&QuestionClaims<'_>) -> Result<String, SigningFailure>,
    ) -> Result<bool, EvaluationError> {
        let nonce = random::hex::<16>(&*self.random)?;
        let asked_at = self.clock.now();
        let token = sign(&QuestionClaims {
            iss: issuer,
            iat: asked_at.as_unix_seconds(),
            exp: asked_at.plus(QUESTION_LIFETIME).as_unix_seconds(),
            nonce: &nonce,
            identity,
        });
        let token = token.map_err(EvaluationError::Signing)?;
        let question =
            serde_json::to_vec(&Envelope { token }).map_err(|_| EvaluationError::Unreadable)?;
        let request = Request::post_json(&self.evaluate_url, question, MAX_ANSWER_BYTES);
        let reply = self.client.send(request).await?;
        let Envelope { token } = object(&reply.body).ok_or(EvaluationError::Unreadable)?;
        let jws = Jws::parse_within(&token, MAX_ANSWER_BYTES)?;
        let keys = self.keys_with(jws.key_id()).await?;
        let claims: AnswerClaims = object(jws.payload(&keys)?).ok_or(EvaluationError::Claims)?;
        if claims.exp.timestamp().plus(LEEWAY) <= self.clock.now() {
            return Err(EvaluationError::Expired);
        }
        if claims.nonce != nonce {
            return Err(EvaluationError::Nonce);
        }
        Ok(claims.success)
    }

    /// Returns the evaluator's keys if they contain this one, after a fetch if necessary.
    async fn keys_with(&self, key_id: &str) -> Result<KeySet, TokenError> {
        let has_it = |now: Timestamp| self.keys.current(now).filter(|set| set.contains(key_id));
        if let Some(set) = has_it(self.clock.now()) {
            return Ok(set);
        }
        if let Some(refresh) = self.keys.look_for(key_id, self.clock.now()) {
            refresh.await;
        }
        has_it(self.clock.now()).ok_or_else(|| TokenErrorKind::UnknownKey.into())
    }
}

/// Keys that an evaluator withdraws are used for an hour at most.
fn key_times() -> RefreshPolicy {
    let minutes = |minutes: u64| std::time::Duration::from_secs(60 * minutes);
    RefreshPolicy::default().fresh_for(minutes(10)).serve_stale_up_to(minutes(60))
}

const MAX_QUESTIONS: usize = 64;
const MAX_ANSWER_BYTES: usize = 64 * 1024;
