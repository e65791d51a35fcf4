//! Tokens made from a session or a service token: sections 1.2 to 1.4 of the contract.

use std::time::Duration;

use bytes::Bytes;

use crate::application::Protected;
use crate::clock::Timestamp;
use crate::policy::Verdict;
use crate::token::keys::KeySet;
use crate::token::{
    Audiences, Claims, PublishError, PublishedKeys, SigningError, SigningKey, TokenKind,
};

use super::record::Session;

/// Signs the tokens of a deployment.
#[derive(Debug)]
pub(crate) struct Issuer {
    key: SigningKey,
    published: PublishedKeys,
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
    pub(crate) fn new(key: SigningKey, name: &str, now: Timestamp) -> Result<Self, IssueError> {
        let published = PublishedKeys::new(&key, &[], name, now)?;
        Ok(Self { key, published })
    }

    /// The key set as it is published.
    pub(crate) fn published(&self) -> Bytes {
        self.published.json()
    }

    pub(crate) fn keys(&self) -> &KeySet {
        self.published.key_set()
    }

    /// The token that opens one application to a person. It lives as long as the policy that
    /// allowed says, else as the application says, and never longer than the session.
    pub(crate) fn application_token(
        &self,
        issuer: &str,
        session: &Session,
        protected: &Protected,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Result<IssuedToken, IssueError> {
        let lifetime = verdict
            .policy()
            .and_then(crate::policy::PolicyRef::session_duration)
            .unwrap_or(protected.application.session_duration)
            .clamp(SHORTEST_TOKEN, crate::application::LONGEST_SESSION);
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

    /// The token an origin sees when a service asks.
    pub(crate) fn service_assertion(
        &self,
        issuer: &str,
        client_id: &str,
        protected: &Protected,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<IssuedToken, IssueError> {
        self.signed(Claims {
            kind: TokenKind::Application,
            iss: issuer.to_owned(),
            aud: Audiences::one(protected.audience()),
            exp: now.plus(lifetime.max(SHORTEST_TOKEN)).as_unix_seconds(),
            iat: now.as_unix_seconds(),
            nbf: None,
            sub: Some(String::new()),
            email: None,
            common_name: Some(client_id.to_owned()),
            identity_nonce: None,
            country: None,
        })
    }

    fn signed(&self, claims: Claims) -> Result<IssuedToken, IssueError> {
        Ok(IssuedToken { token: self.key.sign(&claims)?, claims })
    }
}

/// A token that could not be made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    Publishing(#[from] PublishError),
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

/// "Expires immediately" still has to outlive the redirect that sets the cookie.
const SHORTEST_TOKEN: Duration = Duration::from_secs(10);
