//! Asks identity providers again about users with a session.
//!
//! A login method with a [`refresh_interval`](super::method::LoginMethod::refresh_interval) is asked
//! about each session that has a refresh token, whether the user is active or not. Its answer changes
//! the attributes of the session, or ends it. A provider that does not respond is asked again after a
//! minute, later after longer pauses; a session that it has not confirmed for four intervals, and at
//! least an hour, ends. So what a provider has said is at most this old:
//!
//! | the provider | a change there counts after |
//! | --- | --- |
//! | responds | the interval, 30 seconds until a node looks at the session, and the provider's time |
//! | does not respond | four intervals, at least an hour, and 30 seconds |
//!
//! All nodes look at all sessions in turn, and claim one before they ask. One node asks a provider at
//! most eight questions at a time, and after three failures in a row only one in ten seconds.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Login;
use super::method::{LoginMethod, LoginMethods, Refreshed};
use crate::audit::{self, Event, EventKind};
use crate::clock::Timestamp;
use crate::session::{Confirmed, Revocation, ScheduledRefresh, Session};
use crate::store::StoreError;
use crate::util::breaker::Breaker;

/// The refreshes of one node.
#[derive(Debug)]
pub(crate) struct Refreshes {
    /// By login method.
    providers: HashMap<Box<str>, Provider>,
    /// The ids of sessions that are being refreshed, or that wait for it.
    in_progress: Mutex<HashSet<Box<str>>>,
}

/// A provider that is asked.
#[derive(Debug)]
struct Provider {
    slots: Semaphore,
    breaker: Breaker,
}

impl Refreshes {
    pub(crate) fn new(methods: &LoginMethods) -> Self {
        let asked = methods.iter().filter(|method| method.refresh_interval().is_some());
        let provider = |method: &dyn LoginMethod| {
            let slots = Semaphore::new(MAX_QUESTIONS);
            (method.id().into(), Provider { slots, breaker: Breaker::default() })
        };
        Self { providers: asked.map(provider).collect(), in_progress: Mutex::default() }
    }

    fn in_progress(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.in_progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a session as in progress. Returns `false` if it is, or too many are.
    fn begin(&self, session: &str) -> bool {
        let mut in_progress = self.in_progress();
        in_progress.len() < MAX_IN_PROGRESS && in_progress.insert(session.into())
    }
}

/// Marks a session as in progress until it is dropped.
struct InProgress {
    login: Arc<Login>,
    session: Box<str>,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.login.refreshes.in_progress().remove(&self.session);
    }
}

impl Login {
    /// Returns whether a provider is asked again about users with a session.
    pub(crate) fn refreshes_sessions(&self) -> bool {
        !self.refreshes.providers.is_empty()
    }

    /// Starts the refreshes that are due in one shard.
    ///
    /// # Errors
    ///
    /// If the store is unavailable.
    pub(crate) async fn begin_refreshes(
        self: &Arc<Self>,
        shard: u8,
        now: Timestamp,
        tasks: &mut JoinSet<()>,
    ) -> Result<(), StoreError> {
        for scheduled in self.sessions.scheduled_refreshes(shard).await? {
            if !scheduled.is_due(now) || !self.refreshes.begin(&scheduled.session) {
                continue;
            }
            let session = scheduled.session.as_str().into();
            let in_progress = InProgress { login: Arc::clone(self), session };
            tasks.spawn(async move {
                let refreshed = in_progress.login.refresh(&scheduled, now).await;
                if let Err(error) = refreshed {
                    tracing::warn!(%error, "a session could not be refreshed; it is tried again");
                }
            });
        }
        Ok(())
    }

    /// Refreshes everything that is due.
    #[cfg(test)]
    pub(crate) async fn refresh_due(self: &Arc<Self>, now: Timestamp) {
        let mut tasks = JoinSet::new();
        for shard in 0..crate::session::REFRESH_SHARDS {
            self.begin_refreshes(shard, now, &mut tasks).await.unwrap();
        }
        tasks.join_all().await;
    }

    async fn refresh(
        &self,
        scheduled: &ScheduledRefresh,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = &*scheduled.session;
        if scheduled.is_expired(now) {
            // Whoever asks: the record decides.
            return match self.sessions.get(id, now).await? {
                Some(session) if session.is_unconfirmed(now) => {
                    self.end_for_provider(&session, NOT_CONFIRMED, now).await
                }
                Some(session) => self.sessions.reschedule_refresh(&session, now).await,
                None => self.sessions.unschedule_refresh(id).await,
            };
        }
        // Another node may have the method.
        let (Some(method), Some(provider)) =
            (self.methods.get(&scheduled.method), self.refreshes.providers.get(&scheduled.method))
        else {
            return Ok(());
        };
        let Ok(_slot) = provider.slots.acquire().await else { return Ok(()) };
        let Some(attempt) = provider.breaker.attempt(now) else { return Ok(()) };
        if !self.sessions.claim_refresh(id).await? {
            attempt.unused();
            return Ok(());
        }
        let outcome = match self.due_session(id, now).await {
            Ok(Some(session)) => {
                let asked = self.ask(method, &session, now).await;
                match &asked {
                    Ok(Refreshed::Unavailable) | Err(_) => attempt.failed(now),
                    Ok(Refreshed::User(_) | Refreshed::Ended) => attempt.succeeded(),
                }
                match asked {
                    Ok(refreshed) => self.apply(method, &session, refreshed, now).await,
                    Err(error) => Err(error),
                }
            }
            other => {
                attempt.unused();
                other.map(drop)
            }
        };
        self.sessions.release_refresh(id).await?;
        outcome
    }

    /// Returns the session if it is live and due, as its record says; otherwise corrects the schedule.
    async fn due_session(&self, id: &str, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let Some(session) = self.live_session(id, now).await? else {
            self.sessions.unschedule_refresh(id).await?;
            return Ok(None);
        };
        if session.refresh().is_some_and(|times| times.is_due(now)) {
            return Ok(Some(session));
        }
        self.sessions.reschedule_refresh(&session, now).await?;
        Ok(None)
    }

    async fn ask(
        &self,
        method: &dyn LoginMethod,
        session: &Session,
        now: Timestamp,
    ) -> Result<Refreshed, StoreError> {
        let account = self.sessions.account(session).await?;
        let account = account.filter(|account| account.refresh_token.is_some());
        let Some(account) = account else {
            // Without its token nobody can ask. The session ends when it is too old.
            return Ok(Refreshed::Unavailable);
        };
        let asked = method.refresh(self, &account, now);
        Ok(tokio::time::timeout(TIME_LIMIT, asked).await.unwrap_or_else(|_| {
            let method = method.id();
            tracing::warn!(method, "an identity provider did not respond to a refresh in time");
            Refreshed::Unavailable
        }))
    }

    async fn apply(
        &self,
        method: &dyn LoginMethod,
        session: &Session,
        refreshed: Refreshed,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let interval = method.refresh_interval().unwrap_or_default();
        let user = match refreshed {
            Refreshed::User(user) => *user,
            Refreshed::Ended => return self.end_for_provider(session, REFUSED, now).await,
            Refreshed::Unavailable => {
                return self.sessions.postpone_refresh(session, (now, interval)).await;
            }
        };
        let subject = session.account().map(|account| &account.subject);
        let account = user.account.filter(|account| Some(&account.subject) == subject);
        let Some(account) = account.filter(|_| user.email == session.email) else {
            return self.end_for_provider(session, ANOTHER_USER, now).await;
        };
        let confirmed = Confirmed { attributes: user.attributes, account };
        if self.sessions.confirm(session, confirmed, (now, interval)).await? {
            audit::record(&about(session, EventKind::AttributesChanged));
        }
        Ok(())
    }

    /// Ends a session because of its login at the provider, on all nodes.
    pub(super) async fn end_for_provider(
        &self,
        session: &Session,
        why: &'static str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let revoked = self.revocations.revoke(Revocation::Session(session.id.as_str().into()), now);
        revoked.await?;
        self.sessions.end(&session.id).await?;
        audit::record(&about(session, EventKind::SessionEnded { why }));
        Ok(())
    }
}

fn about<'a>(session: &'a Session, kind: EventKind<'a>) -> Event<'a> {
    Event::new(kind)
        .email(session.email.as_str())
        .session_id(&session.id)
        .login_method(session.login_method())
}

const REFUSED: &str = "the identity provider no longer confirms the login";
const ANOTHER_USER: &str = "the identity provider describes another user";
const NOT_CONFIRMED: &str = "the identity provider has not responded for too long";
/// To one provider at a time.
const MAX_QUESTIONS: usize = 8;
/// Sessions that are refreshed or wait for it. The others are found again half a minute later.
const MAX_IN_PROGRESS: usize = 4_096;
/// How long a provider may take to respond, with all requests that a refresh needs.
const TIME_LIMIT: Duration = Duration::from_secs(30);
