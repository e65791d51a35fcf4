//! Ending sessions before their time.

use crate::application::Audience;
use crate::identity::Email;
use crate::session::Ended;
use crate::session::Session;

use super::Access;
use super::Role;

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
    /// When a request of the person's was noticed last, in seconds since 1970: some minutes or hours
    /// before the last one, half of a token's life or a quarter of the idle timeout.
    pub last_seen: u64,
    /// The browser, in a few words, where it said what it is: 200 visible characters at most, which
    /// anybody can make up.
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

/// What is ended is ended in this process at once, and before the call returns it is written into
/// the store: it survives a restart, and processes that share the store have it within a second.
/// Answers that go on and upgraded connections of those who are put out are closed as soon as a
/// process knows. Behind an issuer nothing is shared: each process has to be told.
impl Access {
    /// Ends one session ([`Identity::session_id`](crate::Identity::session_id)) in all applications.
    /// Returns whether it was live: behind an issuer, whose sessions are not known, always `false`.
    ///
    /// # Errors
    ///
    /// When it could not be written into the store: then it is ended in this process, until that
    /// ends. Call again.
    pub async fn revoke_session(&self, session_id: &str) -> Result<bool, RevocationError> {
        self.end(Ended::Session(session_id.into())).await?;
        if let Role::Issuing(issuing) = &self.engine_to_keep().role {
            let (login, now) = (&issuing.login, self.engine_to_keep().now());
            let session = login.sessions.end(session_id).await.map_err(RevocationError::new)?;
            return Ok(session.is_some_and(|session| login.was_live(&session, now)));
        }
        Ok(false)
    }

    /// Ends all sessions of a person, in all applications. The person may log in again from the next
    /// second on; to keep them out, change the policies. Returns how many sessions were
    /// ended: none of a person nobody knows, and none behind an issuer, whose sessions are not known.
    ///
    /// # Errors
    ///
    /// As [`revoke_session`](Self::revoke_session).
    pub async fn revoke_user(&self, email: &Email) -> Result<usize, RevocationError> {
        self.end(Ended::Person(email.as_str().into())).await?;
        // By their ids as well: clocks of machines may be apart.
        if let Role::Issuing(issuing) = &self.engine_to_keep().role {
            let (login, now) = (&issuing.login, self.engine_to_keep().now());
            let sessions = login.sessions.of(email, now).await.map_err(RevocationError::new)?;
            let mut ended = 0;
            for session in &sessions {
                ended += usize::from(login.was_live(session, now));
                self.revoke_session(&session.id).await?;
            }
            return Ok(ended);
        }
        Ok(0)
    }

    /// Voids every application token of an application, by its audience tag. Whose session goes on
    /// gets a new one without being asked.
    ///
    /// # Errors
    ///
    /// As [`revoke_session`](Self::revoke_session).
    pub async fn revoke_application(&self, audience: &Audience) -> Result<(), RevocationError> {
        self.end(Ended::Application(audience.as_str().into())).await
    }

    /// Ends every session and voids every token there is: everybody logs in again, which they can
    /// three seconds later.
    ///
    /// # Errors
    ///
    /// As [`revoke_session`](Self::revoke_session).
    pub async fn revoke_everybody(&self) -> Result<(), RevocationError> {
        self.end(Ended::Everything).await
    }

    /// The sessions of a person that have not ended, the latest first. Behind an issuer none are
    /// known.
    ///
    /// # Errors
    ///
    /// When the store is away.
    pub async fn sessions_of(&self, email: &Email) -> Result<Vec<SessionSummary>, RevocationError> {
        let engine = self.engine_to_keep();
        let Role::Issuing(issuing) = &engine.role else { return Ok(Vec::new()) };
        let (login, now) = (&issuing.login, engine.now());
        let sessions = login.sessions.of(email, now).await.map_err(RevocationError::new)?;
        let live = sessions.into_iter().filter(|it| login.is_live(it, now));
        Ok(live.map(SessionSummary::from).collect())
    }

    async fn end(&self, ended: Ended) -> Result<(), RevocationError> {
        let engine = self.engine_to_keep();
        let done = engine.lasting.revocations.end(ended.clone(), engine.now()).await;
        tracing::info!(target: "tower_access::audit", ?ended, "revoked");
        done.map_err(RevocationError::new)
    }
}

/// Something that was ended in this process alone, or could not be looked up.
#[derive(Debug, thiserror::Error)]
#[error("{0}: it is ended in this process, and may not be elsewhere or after a restart")]
pub struct RevocationError(Box<dyn std::error::Error + Send + Sync>);

impl RevocationError {
    fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
