//! Which sessions count, and which one a browser has.

use std::time::Duration;

use http::HeaderMap;

use crate::application::CanonicalHost;
use crate::clock::Timestamp;
use crate::session::{Issued, Session, cookie};
use crate::store::StoreError;
use crate::token::{Claims, Expected, Jws, TokenKind, check_claims};

use super::{EndpointRequest, Login};

impl Login {
    /// The session with this id, unless it has ended: on time, for want of activity, by a logout, or
    /// by revocation.
    pub(crate) async fn live_session(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let session = self.sessions.get(id, now).await?;
        Ok(session.filter(|session| self.is_live(session, now)))
    }

    /// As [`live_session`](Self::live_session), for a person who is there now.
    pub(crate) async fn seen_session(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let pause = match self.lifetimes.idle {
            Some(_) => Duration::from_secs(1),
            None => NOTICED_EVERY,
        };
        let longest = self.lifetimes.longest_idle();
        self.sessions.seen(id, now, (pause, longest), |session| self.is_live(session, now)).await
    }

    /// Whether a session that the store has still counts.
    pub(crate) fn is_live(&self, session: &Session, now: Timestamp) -> bool {
        let is_revoked = self.revocations.cover(Issued {
            session: Some(&session.id),
            email: Some(session.email.as_str()),
            audience: "",
            issued_at: Timestamp::from_unix_seconds(session.started_at),
        });
        !is_revoked && !self.is_idle(session, now)
    }

    /// Whether a session that is being ended by its person or its id was live until then.
    pub(crate) fn was_live(&self, session: &Session, now: Timestamp) -> bool {
        let is_revoked_for_everybody = self.revocations.cover(Issued {
            session: None,
            email: None,
            audience: "",
            issued_at: Timestamp::from_unix_seconds(session.started_at),
        });
        !is_revoked_for_everybody && !self.is_idle(session, now)
    }

    /// By the limit in force, the one when the person was seen last, and those in between.
    fn is_idle(&self, session: &Session, now: Timestamp) -> bool {
        self.lifetimes.is_idle(now.since(session.seen_at()))
            || session.is_idle(now)
            || self.sessions.has_idled_out(session)
    }

    /// The claims of the session tokens a browser brings to the login: mostly one, but another host
    /// may have planted some beside it.
    pub(super) fn session_claims(&self, request: &EndpointRequest) -> Vec<Claims> {
        let EndpointRequest { headers, host, now, .. } = request;
        self.session_claims_in((headers, cookie::AUTHORIZATION, MOST_TOKENS), host, *now).collect()
    }

    /// The claims of the session token a browser brings to every application of this host.
    pub(crate) fn host_session(
        &self,
        headers: &HeaderMap,
        host: &CanonicalHost,
        now: Timestamp,
    ) -> Option<Claims> {
        // Mostly there is none, and then nothing is made ready for it.
        cookie::values(headers, cookie::HOST_SESSION).next()?;
        self.session_claims_in((headers, cookie::HOST_SESSION, MOST_HOST_SESSIONS), host, now)
            .next()
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
        self.revocations.cover(Issued {
            session: claims.identity_nonce.as_deref(),
            email: claims.email.as_deref(),
            audience,
            issued_at: Timestamp::from_unix_seconds(claims.iat),
        })
    }
}

/// How often it is written down that a person was seen, where nothing depends on it.
const NOTICED_EVERY: Duration = Duration::from_secs(60);
/// Cookies of one name that are tried, each at the price of a signature check.
const MOST_TOKENS: usize = 32;
/// The same with requests to applications, of which there are more.
const MOST_HOST_SESSIONS: usize = 4;
