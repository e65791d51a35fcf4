//! Revoking sessions and tokens before they expire.

use crate::application::Audience;
use crate::audit::{self, Event, EventKind, RevocationScope};
use crate::identity::Email;
use crate::session::{Revocation, Session};

use super::Access;

/// A session as an operator sees it.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct SessionSummary {
    /// The id, as in [`Access::revoke_session`] and
    /// [`Identity::session_id`](crate::Identity::session_id).
    pub id: String,
    /// The email address of the user.
    pub email: String,
    /// The id of the login method.
    pub login_method: String,
    /// When it started, in seconds since 1970.
    pub started_at: u64,
    /// When it expires at the latest, in seconds since 1970.
    pub ends_at: u64,
    /// The address from which the user logged in, if known.
    pub address: Option<std::net::IpAddr>,
    /// When activity was recorded last, in seconds since 1970: up to half of a token's lifetime, or a
    /// quarter of the idle timeout, before the last request.
    pub last_seen: u64,
    /// The browser, by its `User-Agent`: at most 200 visible characters. The client chooses them, so do
    /// not trust them.
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

/// A revocation takes effect in this process at once, and is written into the store before the call
/// returns: it survives a restart, and processes that share the store apply it within a second. Each
/// process closes open responses and upgraded connections of revoked sessions as soon as it learns of
/// it. Engines that verify share nothing: call the method in each process.
impl Access {
    /// Revokes one session ([`Identity::session_id`](crate::Identity::session_id)) in all
    /// applications. Returns whether it was live; always `false` in an engine that verifies, which
    /// does not know the issuer's sessions.
    ///
    /// # Errors
    ///
    /// If the revocation could not be written into the store. It then applies in this process until
    /// the process ends; call again.
    pub async fn revoke_session(&self, session_id: &str) -> Result<bool, RevocationError> {
        self.revoke(Revocation::Session(session_id.into())).await?;
        let engine = self.engine_owned();
        let Some(login) = engine.login() else { return Ok(false) };
        let session = login.sessions.end(session_id).await.map_err(RevocationError::new)?;
        Ok(session.is_some_and(|session| login.was_live(&session, engine.now())))
    }

    /// Revokes all sessions of a user, in all applications. Returns how many were live: 0 for an
    /// unknown user, and in an engine that verifies, which does not know the issuer's sessions.
    ///
    /// The user can log in again from the next second on; to keep them out, change the policies.
    ///
    /// # Errors
    ///
    /// As [`revoke_session`](Self::revoke_session).
    pub async fn revoke_user(&self, email: &Email) -> Result<usize, RevocationError> {
        self.revoke(Revocation::Person(email.as_str().into())).await?;
        let engine = self.engine_owned();
        let Some(login) = engine.login() else { return Ok(0) };
        let now = engine.now();
        // By session id as well: the clocks of machines may differ.
        let sessions = login.sessions.for_user(email, now).await.map_err(RevocationError::new)?;
        let mut live = 0;
        for session in &sessions {
            live += usize::from(login.was_live(session, now));
            self.revoke_session(&session.id).await?;
        }
        Ok(live)
    }

    /// Revokes every application token of an application, by its audience tag. Live sessions get a new
    /// one without a login.
    ///
    /// # Errors
    ///
    /// As [`revoke_session`](Self::revoke_session).
    pub async fn revoke_application(&self, audience: &Audience) -> Result<(), RevocationError> {
        self.revoke(Revocation::Application(audience.as_str().into())).await
    }

    /// Revokes every session and every token. Users can log in again three seconds later.
    ///
    /// # Errors
    ///
    /// As [`revoke_session`](Self::revoke_session).
    pub async fn revoke_everybody(&self) -> Result<(), RevocationError> {
        self.revoke(Revocation::Everything).await
    }

    /// Returns the live sessions of a user, the latest first. Empty in an engine that verifies.
    ///
    /// # Errors
    ///
    /// If the store is unavailable.
    pub async fn sessions_of(&self, email: &Email) -> Result<Vec<SessionSummary>, RevocationError> {
        let engine = self.engine_owned();
        let Some(login) = engine.login() else { return Ok(Vec::new()) };
        let now = engine.now();
        let sessions = login.sessions.for_user(email, now).await.map_err(RevocationError::new)?;
        let live = sessions.into_iter().filter(|it| login.is_live(it, now));
        Ok(live.map(SessionSummary::from).collect())
    }

    async fn revoke(&self, revocation: Revocation) -> Result<(), RevocationError> {
        let engine = self.engine_owned();
        let done = engine.shared_state.revocations.revoke(revocation.clone(), engine.now()).await;
        audit::record(&revoked(&revocation));
        done.map_err(RevocationError::new)
    }
}

fn revoked(revocation: &Revocation) -> Event<'_> {
    let event = |scope| Event::new(EventKind::Revoked { scope });
    match revocation {
        Revocation::Session(id) => event(RevocationScope::Session).session_id(id),
        Revocation::Person(email) => event(RevocationScope::Person).email(&**email),
        Revocation::Application(audience) => event(RevocationScope::Application { audience }),
        Revocation::Everything => event(RevocationScope::Everything),
    }
}

/// The store is unavailable: a revocation applies only in this process, or sessions cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}: the revocation applies in this process, but maybe not in others or after a restart")]
pub struct RevocationError(Box<dyn std::error::Error + Send + Sync>);

impl RevocationError {
    fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
