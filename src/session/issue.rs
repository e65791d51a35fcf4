//! Tokens made from a session or a service token: sections 1.2 to 1.5 of the contract.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::application::Protected;
use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::token::keys::{KeySet, KeySetId, KeySource};
use crate::token::{
    Audiences, Claims, PublishError, SigningError, SigningKey, SigningKeys, TokenKind,
};

use super::kept_keys::{KeptKeys, KeptKeysError};
use super::lifetimes::TokenLifetime;
use super::record::Session;

/// Signs the tokens of a deployment, and replaces its keys when they are due.
#[derive(Debug)]
pub(crate) struct Issuer {
    keys: SigningKeys,
    /// Where keys outlive the process; `None` when they are made anew at every start.
    kept: Option<KeptKeys>,
    is_rotating: AtomicBool,
    /// After a rotation that failed, the next one is not tried at once.
    next_attempt: AtomicU64,
}

/// A signed token and when it ends.
#[derive(Debug)]
pub(crate) struct IssuedToken {
    pub(crate) token: String,
    pub(crate) claims: Claims,
}

impl IssuedToken {
    pub(crate) fn end(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.claims.exp)
    }
}

impl Issuer {
    pub(crate) fn new(keys: SigningKeys, kept: Option<KeptKeys>) -> Self {
        Self { keys, kept, is_rotating: AtomicBool::new(false), next_attempt: AtomicU64::new(0) }
    }

    /// The key set as it is published.
    pub(crate) fn published(&self, now: Timestamp) -> Bytes {
        self.keys.published(now)
    }

    /// The keys tokens of ours verify with.
    pub(crate) fn keys(&self, now: Timestamp) -> KeySet {
        self.keys.current(now).unwrap_or_default()
    }

    /// The id of the key that signs.
    pub(crate) fn key_id(&self) -> String {
        self.keys.key_id()
    }

    /// Begins a rotation beside the requests, where one is due. Needs a Tokio runtime then.
    pub(crate) fn rotate_if_due(self: &Arc<Self>, now: Timestamp) {
        let earliest = self.next_attempt.load(Ordering::Relaxed);
        if now.as_unix_seconds() < earliest || !self.keys.is_rotation_due(now) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        // One of the requests that find it due.
        let next = now.plus(RETRY_AFTER).as_unix_seconds();
        let taken = self.next_attempt.compare_exchange(
            earliest,
            next,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if taken.is_err() {
            return;
        }
        let issuer = Arc::clone(self);
        runtime.spawn(async move {
            if let Err(error) = issuer.rotate(now).await {
                tracing::error!(%error, "the signing key could not be replaced");
            }
        });
    }

    /// Makes a new key and signs with it from now on. Where keys are kept it is kept first.
    pub(crate) async fn rotate(&self, now: Timestamp) -> Result<(), RotationError> {
        if self.is_rotating.swap(true, Ordering::AcqRel) {
            return Err(RotationError::UnderWay);
        }
        let _done = OnDrop(&self.is_rotating);
        let size = self.keys.rotation().size();
        // Making a key takes long enough to hold up other requests of the same thread.
        let key = tokio::task::spawn_blocking(move || SigningKey::generate_of(size)).await;
        let key = key.map_err(|_| RotationError::Signing(SigningError))??;
        let (newest, earlier) = self.keys.rotated(key, now);
        if let Some(kept) = &self.kept {
            kept.save(&newest, &earlier).await?;
        }
        let key_id = newest.key.key_id().to_owned();
        self.keys.replace(newest, earlier, now)?;
        tracing::info!(target: "tower_access::audit", key_id, "the signing key was replaced");
        Ok(())
    }

    /// The token that opens one application to a person. It never outlives the session.
    pub(crate) fn application_token(
        &self,
        issuer: &str,
        session: &Session,
        protected: &Protected,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        let end = now.plus(lifetime).min(session.end());
        self.signed(person(issuer, session, TokenKind::Application, protected.audience(), now, end))
    }

    /// The token that proves the global session to the login.
    pub(crate) fn session_token(
        &self,
        issuer: &str,
        session: &Session,
        now: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        self.signed(person(issuer, session, TokenKind::Session, issuer, now, session.end()))
    }

    /// The second cookie of an application that asks for one: good beside tokens of this session.
    pub(crate) fn binding_token(
        &self,
        issuer: &str,
        session: &Session,
        protected: &Protected,
        now: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        let audience = protected.audience();
        self.signed(person(issuer, session, TokenKind::Binding, audience, now, session.end()))
    }

    /// The token an origin sees when a service asks.
    pub(crate) fn service_assertion(
        &self,
        issuer: &str,
        client_id: &str,
        protected: &Protected,
        now: Timestamp,
        end: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        self.signed(Claims {
            kind: TokenKind::Application,
            iss: issuer.to_owned(),
            aud: Audiences::one(protected.audience()),
            exp: end.as_unix_seconds(),
            iat: now.as_unix_seconds(),
            nbf: None,
            sub: Some(String::new()),
            email: None,
            common_name: Some(client_id.to_owned()),
            identity_nonce: None,
            country: None,
        })
    }

    /// Signs what is no token of anybody's.
    pub(crate) fn sign(&self, claims: &impl serde::Serialize) -> Result<String, SigningError> {
        self.keys.sign(claims)
    }

    /// The token an origin sees when another application brings a person's token. It names no
    /// session: it is no login here, and nobody gets in with it.
    pub(crate) fn linked_assertion(
        &self,
        issuer: &str,
        person: &Identity,
        protected: &Protected,
        lifetime: TokenLifetime,
        now: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        let end = now.plus(lifetime.get());
        self.signed(Claims {
            kind: TokenKind::Application,
            iss: issuer.to_owned(),
            aud: Audiences::one(protected.audience()),
            exp: end.min(person.expires_at()).as_unix_seconds(),
            iat: now.as_unix_seconds(),
            nbf: Some(now.as_unix_seconds()),
            sub: person.user_id().map(str::to_owned),
            email: person.email().map(str::to_owned),
            common_name: None,
            identity_nonce: None,
            country: person.country().map(str::to_owned),
        })
    }

    fn signed(&self, claims: Claims) -> Result<IssuedToken, IssueError> {
        Ok(IssuedToken { token: self.keys.sign(&claims)?, claims })
    }
}

/// A token that could not be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// A rotation that did not happen; the keys are as they were.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RotationError {
    #[error("another rotation is under way")]
    UnderWay,
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Publishing(#[from] PublishError),
    #[error(transparent)]
    Kept(#[from] KeptKeysError),
}

impl KeySource for Issuer {
    fn current(&self, now: Timestamp) -> Option<KeySet> {
        self.keys.current(now)
    }

    fn is_current(&self, id: KeySetId, now: Timestamp) -> bool {
        self.keys.is_current(id, now)
    }
}

/// Lowers a flag however a function ends.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn person(
    issuer: &str,
    session: &Session,
    kind: TokenKind,
    audience: &str,
    now: Timestamp,
    end: Timestamp,
) -> Claims {
    Claims {
        kind,
        iss: issuer.to_owned(),
        aud: Audiences::one(audience),
        exp: end.as_unix_seconds(),
        iat: now.as_unix_seconds(),
        // Some validators allow no skew: never in the future.
        nbf: Some(now.as_unix_seconds()),
        sub: Some(session.user_id.clone()),
        email: Some(session.email.to_string()),
        common_name: None,
        identity_nonce: Some(session.id.clone()),
        country: Some(session.country.clone()),
    }
}

const RETRY_AFTER: Duration = Duration::from_secs(60);
