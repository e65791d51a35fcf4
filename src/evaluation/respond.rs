//! The responder of an external evaluator.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::clock::{Clock, SystemClock};
use crate::facts::IdentityObject;
use crate::identity::Attributes;
use crate::issuer::{PublishError, PublishedKeys, SigningError, SigningKey};
use crate::token::keys::{KeySet, KeySource};
use crate::token::{Jws, TokenError, TokenErrorKind};

use crate::facts::wire::{AnswerClaims, Envelope, ReceivedQuestionClaims, Seconds, object};
use crate::facts::{LEEWAY, QUESTION_LIFETIME};

/// Responds to the questions of a team: an external evaluator without the routes.
///
/// It accepts questions that one of the team's keys signed and that have not expired. It signs
/// responses with a key of its own, which [`keys_json`](Self::keys_json) publishes. Keep that key
/// over restarts: engines cache the published keys.
///
/// See the [module docs](super) for an example; the example `evaluator` is a whole service.
#[derive(Debug)]
pub struct Responder {
    team: Arc<dyn KeySource>,
    key: SigningKey,
    published: PublishedKeys,
    clock: Arc<dyn Clock>,
}

/// A verified question.
#[derive(Clone, Debug)]
pub struct Question {
    nonce: String,
    identity: serde_json::Map<String, serde_json::Value>,
}

/// The error for a question that is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuestionError {
    /// The body is not a JSON object with a token.
    #[error("the body is not a JSON object with a `token`")]
    Body,
    /// The token is invalid, or not signed by one of the team's keys.
    #[error("the question's token is invalid: {0}")]
    Token(#[from] TokenError),
    /// The token is valid, but not a question.
    #[error("the token is not a question: `identity`, `nonce` or `exp` is missing")]
    Claims,
    /// The question has expired.
    #[error("the question has expired")]
    Expired,
}

impl Question {
    /// Returns the user's email address.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.identity.get("email").and_then(serde_json::Value::as_str)
    }

    /// Returns the user's other attributes, as far as they are valid.
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        IdentityObject::from_members(&self.identity).attributes
    }

    /// Returns the identity object as it was sent (section 12 of the contract).
    #[must_use]
    pub fn identity(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.identity
    }
}

impl Responder {
    /// Creates a responder from the team's keys and the key that signs its responses.
    ///
    /// # Errors
    ///
    /// If the key cannot be published.
    pub fn new(team: impl KeySource, key: SigningKey) -> Result<Self, PublishError> {
        let clock = SystemClock;
        let published = PublishedKeys::new(&key, &[], "external evaluator", clock.now())?;
        Ok(Self { team: Arc::new(team), key, published, clock: Arc::new(clock) })
    }

    /// Sets the clock. Default: `SystemClock`.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the content of `keys_url`: the key that signs responses, as JSON.
    #[must_use]
    pub fn keys_json(&self) -> Bytes {
        self.published.json()
    }

    /// Responds to the body of a request to `evaluate_url`. An invalid question gets 403 and an
    /// unsigned `success: false` with the reason, as in Cloudflare's sample; the caller treats that as
    /// a failed evaluation.
    pub async fn respond(
        &self,
        body: &[u8],
        decide: impl FnOnce(&Question) -> bool,
    ) -> Response<Bytes> {
        let answer = match self.read(body).await {
            Ok(question) => self.answer(&question, decide(&question)).map_err(|_| SIGNING.into()),
            Err(error) => Err(error.to_string()),
        };
        match answer {
            Ok(answer) => json(StatusCode::OK, answer),
            Err(error) => {
                let refusal = serde_json::json!({ "success": false, "error": error });
                json(StatusCode::FORBIDDEN, refusal.to_string().into())
            }
        }
    }

    /// Reads the body of a request. Waits for the team's keys if they have to be fetched.
    ///
    /// # Errors
    ///
    /// If it is not a question, no key of the team signed it, or it has expired.
    pub async fn read(&self, body: &[u8]) -> Result<Question, QuestionError> {
        if body.len() > MAX_QUESTION_BYTES {
            return Err(TokenError::from(TokenErrorKind::TooLarge).into());
        }
        let Envelope { token } = object(body).ok_or(QuestionError::Body)?;
        let jws = Jws::parse_within(&token, MAX_QUESTION_BYTES)?;
        let keys = self.keys_with(jws.key_id()).await?;
        let claims: ReceivedQuestionClaims =
            object(jws.payload(&keys)?).ok_or(QuestionError::Claims)?;
        if claims.exp.timestamp().plus(LEEWAY) <= self.clock.now() {
            return Err(QuestionError::Expired);
        }
        Ok(Question { nonce: claims.nonce, identity: claims.identity })
    }

    /// Returns the signed response to a question: the body of a response of status 200.
    ///
    /// # Errors
    ///
    /// If the crypto library fails.
    pub fn answer(&self, question: &Question, success: bool) -> Result<Bytes, SigningError> {
        let now = self.clock.now();
        let token = self.key.sign(&AnswerClaims {
            success,
            iat: Some(Seconds::from_timestamp(now)),
            exp: Seconds::from_timestamp(now.plus(QUESTION_LIFETIME)),
            nonce: question.nonce.clone(),
        })?;
        serde_json::to_vec(&Envelope { token }).map(Bytes::from).map_err(|_| SigningError)
    }

    async fn keys_with(&self, key_id: &str) -> Result<KeySet, TokenError> {
        let current = || self.team.current(self.clock.now());
        if let Some(set) = current().filter(|set| set.contains(key_id)) {
            return Ok(set);
        }
        if let Some(refresh) = self.team.look_for(key_id, self.clock.now()) {
            refresh.await;
        }
        current().ok_or_else(|| TokenErrorKind::KeysUnavailable.into())
    }
}

fn json(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const SIGNING: &str = "the response could not be signed";
/// The maximum size of a question: a user may be in many groups.
const MAX_QUESTION_BYTES: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    const NOW: u64 = 1_790_000_000;

    struct World {
        team: SigningKey,
        responder: Responder,
        clock: Arc<ManualClock>,
    }

    fn world() -> World {
        let team = SigningKey::generate().unwrap();
        let now = Timestamp::from_unix_seconds(NOW);
        let keys = PublishedKeys::new(&team, &[], "team", now).unwrap().key_set().clone();
        let clock = Arc::new(ManualClock::new(now));
        let responder = Responder::new(keys, SigningKey::generate().unwrap());
        World { team, responder: responder.unwrap().clock(Arc::clone(&clock)), clock }
    }

    impl World {
        fn body(&self, claims: &serde_json::Value) -> String {
            json!({ "token": self.team.sign(claims).unwrap() }).to_string()
        }

        async fn error(&self, body: &str) -> QuestionError {
            self.responder.read(body.as_bytes()).await.unwrap_err()
        }
    }

    fn claims() -> serde_json::Value {
        json!({
            "identity": { "email": "ada@example.com", "amr": ["otp"], "groups": ["ops"] },
            "nonce": "k3Jd", "iat": NOW, "exp": NOW + 60,
        })
    }

    #[tokio::test]
    async fn a_question_is_answered_with_its_nonce_and_a_signature_of_its_own() {
        let world = world();
        let question = world.responder.read(world.body(&claims()).as_bytes()).await.unwrap();
        assert_eq!(question.email(), Some("ada@example.com"));
        assert_eq!(question.attributes().authentication_methods, Some(vec!["otp".into()]));
        for success in [true, false] {
            let answer = world.responder.answer(&question, success).unwrap();
            let Envelope { token } = object(&answer).unwrap();
            let keys = KeySet::from_jwks(&world.responder.keys_json()).unwrap();
            let jws = Jws::parse(&token).unwrap();
            let answer: AnswerClaims = object(jws.payload(&keys).unwrap()).unwrap();
            assert_eq!((answer.success, &*answer.nonce), (success, "k3Jd"));
            assert_eq!(answer.exp.0, NOW + 60);
        }
    }

    #[tokio::test]
    async fn what_is_no_question_is_not_answered() {
        let world = world();
        for body in ["", "[]", "{}", r#"{"token":7}"#, "not json"] {
            assert_eq!(world.error(body).await, QuestionError::Body, "{body}");
        }
        for missing in ["identity", "nonce", "exp"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(missing);
            assert_eq!(world.error(&world.body(&claims)).await, QuestionError::Claims, "{missing}");
        }
        let stranger = self::world();
        let error = world.error(&stranger.body(&claims())).await;
        assert_eq!(error, QuestionError::Token(TokenErrorKind::UnknownKey.into()));
        let large = json!({ "token": "x".repeat(1_000_000) }).to_string();
        assert_eq!(
            world.error(&large).await,
            QuestionError::Token(TokenErrorKind::TooLarge.into())
        );
        world.clock.set(Timestamp::from_unix_seconds(NOW + 65));
        assert_eq!(world.error(&world.body(&claims())).await, QuestionError::Expired);
    }

    #[tokio::test]
    async fn respond_says_no_with_200_and_refuses_with_403() {
        let world = world();
        let body = world.body(&claims());
        let no = world.responder.respond(body.as_bytes(), |_| false).await;
        assert_eq!(no.status(), StatusCode::OK);
        let refused = world.responder.respond(b"{}", |_| panic!("nobody asked")).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        let text: serde_json::Value = serde_json::from_slice(refused.body()).unwrap();
        assert_eq!(text["success"], false);
    }
}
