//! Finds the live session of a browser.

use std::time::Duration;

use http::HeaderMap;

use crate::application::CanonicalHost;
use crate::clock::Timestamp;
use crate::session::{Session, TokenSubject, cookie};
use crate::store::StoreError;
use crate::token::{Claims, Expected, Jws, TokenKind, check_claims};

use super::{EndpointRequest, Login};

impl Login {
    /// Returns the session with this id, unless it has ended: by expiry, inactivity, logout or
    /// revocation.
    pub(crate) async fn live_session(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let session = self.sessions.get(id, now).await?;
        Ok(session.filter(|session| self.is_live(session, now)))
    }

    /// As [`live_session`](Self::live_session), and records the user's activity.
    pub(crate) async fn seen_session(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let pause = match self.lifetimes.idle {
            Some(_) => Duration::from_secs(1),
            None => ACTIVITY_INTERVAL,
        };
        let longest = self.lifetimes.max_idle();
        self.sessions
            .record_activity(id, now, (pause, longest), |session| self.is_live(session, now))
            .await
    }

    /// Returns whether a stored session is neither revoked, nor idle or unconfirmed for too long.
    pub(crate) fn is_live(&self, session: &Session, now: Timestamp) -> bool {
        let is_revoked = self.revocations.is_revoked(TokenSubject {
            session: Some(&session.id),
            email: Some(session.email.as_str()),
            audience: "",
            issued_at: Timestamp::from_unix_seconds(session.started_at),
        });
        !is_revoked && !self.is_over(session, now)
    }

    /// Returns whether a session that is being revoked, by its user or id, was live until now.
    pub(crate) fn was_live(&self, session: &Session, now: Timestamp) -> bool {
        let is_revoked_for_everybody = self.revocations.is_revoked(TokenSubject {
            session: None,
            email: None,
            audience: "",
            issued_at: Timestamp::from_unix_seconds(session.started_at),
        });
        !is_revoked_for_everybody && !self.is_over(session, now)
    }

    /// Checks the current idle limit, the one at the last activity, and those in between; and whether
    /// the provider is still configured, and has confirmed the user.
    fn is_over(&self, session: &Session, now: Timestamp) -> bool {
        session.is_unconfirmed(now)
            || session.account().is_some() && self.methods.get(session.login_method()).is_none()
            || self.lifetimes.is_idle(now.since(session.seen_at()))
            || session.is_idle(now)
            || self.sessions.is_expired_by_idle_limit(session)
    }

    /// Returns the claims of the session tokens in a request to the login: usually one, but another
    /// host may have planted more.
    pub(super) fn session_claims(&self, request: &EndpointRequest) -> Vec<Claims> {
        let EndpointRequest { headers, host, now, .. } = request;
        self.session_claims_in((headers, cookie::AUTHORIZATION, MAX_TOKENS), host, *now).collect()
    }

    /// Returns the claims of the session token for all applications of this host.
    pub(crate) fn host_session(
        &self,
        headers: &HeaderMap,
        host: &CanonicalHost,
        now: Timestamp,
    ) -> Option<Claims> {
        // Usually absent: skips the preparation below.
        cookie::values(headers, cookie::HOST_SESSION).next()?;
        self.session_claims_in((headers, cookie::HOST_SESSION, MAX_HOST_SESSIONS), host, now).next()
    }

    fn session_claims_in<'a>(
        &'a self,
        (headers, name, most): (&'a HeaderMap, &'static str, usize),
        host: &CanonicalHost,
        now: Timestamp,
    ) -> impl Iterator<Item = Claims> + 'a {
        let issuer = self.issuer_name(host);
        let keys = self.issuer.keys(now);
        let good = move |token: &str| {
            let claims = Jws::parse(token).ok()?.verify(&keys).ok()?;
            let expected = Expected {
                issuer: &issuer,
                audiences: &[&issuer],
                kind: TokenKind::Session,
                leeway: Duration::ZERO,
            };
            check_claims(&claims, expected, now).ok()?;
            (!self.is_revoked(&claims, &issuer)).then_some(claims)
        };
        cookie::values(headers, name).take(most).filter_map(good)
    }

    pub(super) fn is_revoked(&self, claims: &Claims, audience: &str) -> bool {
        self.revocations.is_revoked(TokenSubject {
            session: claims.identity_nonce.as_deref(),
            email: claims.email.as_deref(),
            audience,
            issued_at: Timestamp::from_unix_seconds(claims.iat),
        })
    }
}

/// How often activity is recorded without an idle limit.
const ACTIVITY_INTERVAL: Duration = Duration::from_secs(60);
/// Cookies of one name that are tried, each with a signature check.
const MAX_TOKENS: usize = 32;
/// The same for requests to applications, which are more frequent.
const MAX_HOST_SESSIONS: usize = 4;
