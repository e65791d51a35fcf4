//! Tokens made from a session or a service token: sections 1.2 to 1.5 of the contract.

use std::time::Duration;

use bytes::Bytes;

use crate::application::Protected;
use crate::clock::Timestamp;
use crate::identity::Identity;
use crate::issuer::{KeyRotationState, SigningError, SigningKeys};
use crate::token::keys::{KeySet, KeySetId, KeySource};
use crate::token::{Audiences, Claims, TokenKind};

use super::rotate::Upkeep;
use super::stored_keys::KeptKeys;
use crate::session::Session;
use crate::session::TokenLifetime;

/// Signs the tokens of a deployment.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(super) keys: SigningKeys,
    /// Where keys outlive the process; `None` when they are made anew at every start.
    pub(super) kept: Option<KeptKeys>,
    pub(super) upkeep: Upkeep,
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
        let started_at = kept.as_ref().map_or_else(Timestamp::default, |kept| kept.clock.now());
        let upkeep = Upkeep::new(started_at, keys.ring().next_end());
        Self { keys, kept, upkeep }
    }

    /// The key set as it is published.
    pub(crate) fn published(&self, now: Timestamp) -> Bytes {
        self.keys.published(now)
    }

    /// The keys tokens of ours verify with.
    pub(crate) fn keys(&self, now: Timestamp) -> KeySet {
        self.keys.current(now).unwrap_or_default()
    }

    /// The id of the key that signs at this moment.
    pub(crate) fn key_id(&self, now: Timestamp) -> String {
        self.keys.key_id(now)
    }

    pub(crate) fn rotation_state(&self, now: Timestamp) -> KeyRotationState {
        self.keys.rotation_state(now)
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
        self.signed(
            person(issuer, session, TokenKind::Application, protected.audience(), now, end),
            now,
        )
    }

    /// The token that proves the global session to the login.
    pub(crate) fn session_token(
        &self,
        issuer: &str,
        session: &Session,
        now: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        let end = session.end();
        self.signed(person(issuer, session, TokenKind::Session, issuer, now, end), now)
    }

    /// The second cookie of an application that asks for one: good beside tokens of this session.
    pub(crate) fn binding_token(
        &self,
        issuer: &str,
        session: &Session,
        protected: &Protected,
        now: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        let (audience, end) = (protected.audience(), session.end());
        self.signed(person(issuer, session, TokenKind::Binding, audience, now, end), now)
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
        let claims = Claims {
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
        };
        self.signed(claims, now)
    }

    /// Signs what is no token of anybody's.
    pub(crate) fn sign(
        &self,
        claims: &impl serde::Serialize,
        now: Timestamp,
    ) -> Result<String, SigningError> {
        self.keys.sign(claims, now)
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
        let claims = Claims {
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
        };
        self.signed(claims, now)
    }

    fn signed(&self, claims: Claims, now: Timestamp) -> Result<IssuedToken, IssueError> {
        Ok(IssuedToken { token: self.keys.sign(&claims, now)?, claims })
    }
}

/// A token that could not be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl KeySource for Issuer {
    fn current(&self, now: Timestamp) -> Option<KeySet> {
        self.keys.current(now)
    }

    fn is_current(&self, id: KeySetId, now: Timestamp) -> bool {
        self.keys.is_current(id, now)
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
