//! Revoking sessions and tokens before they expire.

use crate::application::Audience;
use crate::audit::{self, Event, EventKind, RevocationScope};
use crate::identity::Email;
use crate::session::{Ended, Session};

use super::Access;

/// A session as an operator sees it.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct SessionSummary {
    /// Its id: what [`Access::revoke_session`] takes, and
    /// [`Identity::session_id`](crate::Identity::session_id) says.
    pub id: String,
    /// Whose it is.
    pub email: String,
    /// The id of the login method.
    pub login_method: String,
    /// When it began, in seconds since 1970.
    pub started_at: u64,
    /// When it ends at the latest, in seconds since 1970.
    pub ends_at: u64,
    /// From which address the person logged in, where that is known.
    pub address: Option<std::net::IpAddr>,
    /// When activity of the person was recorded last, in seconds since 1970: that is up to half of a
    /// token's life, or a quarter of the idle timeout, before the last request.
    pub last_seen: u64,
    /// The browser, in a few words, where its `User-Agent` names it: 200 visible characters at most,
    /// which anybody can make up.
    pub browser: Option<String>,
}

impl From<Session> for SessionSummary {
    fn from(session: Session) -> Self {
        let last_seen = session.seen_at().as_unix_seconds();
        let login_method = session.login_method().to_owned();
        let Session { id, email, started_at, ends_at, address, browser, .. } = session;
        let email = email.to_string();
        Self { id, email, login_method, started_at, ends_at, address, last_seen, browser }
    }
}

/// A revocation counts in this process at once, and is written into the store before the call
/// returns: it survives a restart, and processes that share the store have it within a second. Open
/// responses and upgraded connections of revoked sessions are closed as soon as a process knows of
/// it. Behind an issuer nothing is shared: each process has to be told.
impl Access {
    /// Revokes one session ([`Identity::session_id`](crate::Identity::session_id)) in all
    /// applications. Returns whether it was live: behind an issuer, whose sessions are not known,
    /// always `false`.
    ///
    /// # Errors
    ///
    /// When the revocation could not be written into the store: then it counts in this process, until
    /// that ends. Call again.
    pub async fn revoke_session(&self, session_id: &str) -> Result<bool, RevocationError> {
        self.revoke(Ended::Session(session_id.into())).await?;
        let engine = self.engine_to_keep();
        let Some(login) = engine.login() else { return Ok(false) };
        let session = login.sessions.end(session_id).await.map_err(RevocationError::new)?;
        Ok(session.is_some_and(|session| login.was_live(&session, engine.now())))
    }

    /// Revokes all sessions of a person, in all applications. Returns how many were live: none of a
    /// person nobody knows, and none behind an issuer, whose sessions are not known.
    ///
    /// The person may log in again from the next second on; to keep them out, change the policies.
    ///
    /// # Errors
    ///
    /// As [`revoke_session`](Self::revoke_session).
    pub async fn revoke_user(&self, email: &Email) -> Result<usize, RevocationError> {
        self.revoke(Ended::Person(email.as_str().into())).await?;
        let engine = self.engine_to_keep();
        let Some(login) = engine.login() else { return Ok(0) };
        let now = engine.now();
        // By their ids as well: clocks of machines may be apart.
        let sessions = login.sessions.of(email, now).await.map_err(RevocationError::new)?;
        let mut live = 0;
        for session in &sessions {
            live += usize::from(login.was_live(session, now));
            self.revoke_session(&session.id).await?;
        }
        Ok(live)
    }

    /// Revokes every application token of an application, by its audience tag. A session that goes on
    /// gets a new one without a login.
    ///
    /// # Errors
    ///
    /// As [`revoke_session`](Self::revoke_session).
    pub async fn revoke_application(&self, audience: &Audience) -> Result<(), RevocationError> {
        self.revoke(Ended::Application(audience.as_str().into())).await
    }

    /// Revokes every session and every token: everybody logs in again, which they can three seconds
    /// later.
    ///
    /// # Errors
    ///
    /// As [`revoke_session`](Self::revoke_session).
    pub async fn revoke_everybody(&self) -> Result<(), RevocationError> {
        self.revoke(Ended::Everything).await
    }

    /// Returns the live sessions of a person, the latest first. Behind an issuer none are known.
    ///
    /// # Errors
    ///
    /// When the store is unavailable.
    pub async fn sessions_of(&self, email: &Email) -> Result<Vec<SessionSummary>, RevocationError> {
        let engine = self.engine_to_keep();
        let Some(login) = engine.login() else { return Ok(Vec::new()) };
        let now = engine.now();
        let sessions = login.sessions.of(email, now).await.map_err(RevocationError::new)?;
        let live = sessions.into_iter().filter(|it| login.is_live(it, now));
        Ok(live.map(SessionSummary::from).collect())
    }

    async fn revoke(&self, ended: Ended) -> Result<(), RevocationError> {
        let engine = self.engine_to_keep();
        let done = engine.lasting.revocations.end(ended.clone(), engine.now()).await;
        audit::record(&revoked(&ended));
        done.map_err(RevocationError::new)
    }
}

fn revoked(ended: &Ended) -> Event<'_> {
    let event = |scope| Event::new(EventKind::Revoked { scope });
    match ended {
        Ended::Session(id) => event(RevocationScope::Session).session_id(id),
        Ended::Person(email) => event(RevocationScope::Person).email(&**email),
        Ended::Application(audience) => event(RevocationScope::Application { audience }),
        Ended::Everything => event(RevocationScope::Everything),
    }
}

/// A revocation that counts in this process alone, or sessions that could not be looked up.
#[derive(Debug, thiserror::Error)]
#[error("{0}: revocations count in this process now, but maybe not in others or after a restart")]
pub struct RevocationError(Box<dyn std::error::Error + Send + Sync>);

impl RevocationError {
    fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
