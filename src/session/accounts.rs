//! Sessions with an account at a provider: found for a logout there, and refreshed.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::identity::Attributes;
use crate::store::{Store, StoreError};

use super::account::{ProviderAccount, RefreshTimes};
use super::record::{Session, SessionLogin};
use super::refresh_index::ScheduledRefresh;
use super::sessions::{Sessions, key};
use super::{account_index, changed, refresh_index};

/// What a provider has confirmed about a user with a session.
#[derive(Debug)]
pub(crate) struct Confirmed {
    pub(crate) attributes: Attributes,
    /// With the tokens that replace earlier ones.
    pub(crate) account: ProviderAccount,
}

impl Sessions {
    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Returns the account of a session with its tokens; `None` for a session without one.
    pub(crate) async fn account(
        &self,
        session: &Session,
    ) -> Result<Option<ProviderAccount>, StoreError> {
        let Some(stored) = session.account() else { return Ok(None) };
        let mut account = ProviderAccount {
            subject: stored.subject.clone(),
            name: stored.name.clone(),
            session: stored.session.clone(),
            ..ProviderAccount::default()
        };
        self.tokens.read(&session.id, &mut account).await?;
        Ok(Some(account))
    }

    /// Returns the live sessions of a user at a provider, or of a session there. If both are given, the
    /// user's sessions that began with that session, or with an unknown one.
    pub(crate) async fn for_account(
        &self,
        method: &str,
        (subject, session): (Option<&str>, Option<&str>),
        now: Timestamp,
    ) -> Result<Vec<Session>, StoreError> {
        let mut found = Vec::new();
        for id in account_index::find(&*self.store, method, (subject, session)).await? {
            let belongs = |it: &Session| {
                it.login_method() == method
                    && it.account().is_some_and(|account| {
                        subject.is_none_or(|subject| *account.subject == *subject)
                            && (session.is_none()
                                || account.session.as_deref() == session
                                || subject.is_some() && account.session.is_none())
                    })
            };
            found.extend(self.get(&id, now).await?.filter(belongs));
        }
        Ok(found)
    }

    /// Returns the scheduled refreshes of one of the [`REFRESH_SHARDS`](super::REFRESH_SHARDS).
    pub(crate) async fn scheduled_refreshes(
        &self,
        shard: u8,
    ) -> Result<Vec<ScheduledRefresh>, StoreError> {
        refresh_index::read(&*self.store, shard).await
    }

    /// Removes a session that has ended from the schedule.
    pub(crate) async fn unschedule_refresh(&self, id: &str) -> Result<(), StoreError> {
        refresh_index::remove(&*self.store, id).await
    }

    /// Claims a session for a refresh. Returns `false` if another node has claimed it.
    pub(crate) async fn claim_refresh(&self, id: &str) -> Result<bool, StoreError> {
        refresh_index::claim(&*self.store, id).await
    }

    /// Releases a claim.
    pub(crate) async fn release_refresh(&self, id: &str) -> Result<(), StoreError> {
        refresh_index::release(&*self.store, id).await
    }

    /// Corrects the schedule by the record of a session.
    pub(crate) async fn reschedule_refresh(
        &self,
        session: &Session,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        match session.refresh() {
            Some(times) => self.put_in_schedule(session, times, now).await,
            None => self.unschedule_refresh(&session.id).await,
        }
    }

    /// Writes what the provider has confirmed. If the attributes have changed, requests and open
    /// responses of all processes are judged by the new ones. Returns whether they have changed; a
    /// session that has ended meanwhile stays ended.
    pub(crate) async fn confirm(
        &self,
        session: &Session,
        confirmed: Confirmed,
        (now, interval): (Timestamp, Duration),
    ) -> Result<bool, StoreError> {
        let Confirmed { attributes, account } = confirmed;
        // The tokens first: the provider may accept the next refresh token only.
        self.tokens.replace(&session.id, &account, session.end().since(now)).await?;
        let times = RefreshTimes::confirmed(now, interval);
        let next = SessionLogin::confirmed(&session.login, attributes, &account, times);
        let is_changed = next.attributes() != session.login.attributes();
        let written = self.rewrite(session, now, |present| present.login = next.clone()).await?;
        let Some(written) = written else { return Ok(false) };
        self.put_in_schedule(&written, times, now).await?;
        let is_changed_here = self.attributes.cells.update(&written.id, Some(&written), now);
        if is_changed_here {
            self.changes.notify();
        }
        if is_changed {
            let moment = (times.confirmed_at, now);
            changed::announce(&*self.store, &written.id, moment).await?;
        }
        Ok(is_changed)
    }

    /// Schedules the next question after a provider has not responded.
    pub(crate) async fn postpone_refresh(
        &self,
        session: &Session,
        (now, interval): (Timestamp, Duration),
    ) -> Result<(), StoreError> {
        let Some(times) = session.refresh() else { return Ok(()) };
        let times = times.postponed(now, interval);
        let written = self.rewrite(session, now, |present| present.login.set_refresh(times));
        match written.await? {
            Some(written) => self.put_in_schedule(&written, times, now).await,
            None => Ok(()),
        }
    }

    /// Changes the record of a session that has not ended. `None` if it has.
    async fn rewrite(
        &self,
        session: &Session,
        now: Timestamp,
        change: impl Fn(&mut Session) + Send,
    ) -> Result<Option<Session>, StoreError> {
        let key = key(&session.id);
        for _ in 0..MAX_ATTEMPTS {
            let Some(record) = self.store.get(&key).await? else { return Ok(None) };
            let found = Session::read(&session.id, &record).filter(|found| now < found.end());
            let Some(mut found) = found else { return Ok(None) };
            change(&mut found);
            let value = serde_json::to_vec(&found).map_err(StoreError::new)?;
            let left = found.end().since(now);
            if self.store.replace(&key, &record, value.into(), left).await? {
                return Ok(Some(found));
            }
            // Another process has recorded activity.
        }
        Err(StoreError::new("other processes keep changing the session; it is tried again"))
    }

    async fn put_in_schedule(
        &self,
        session: &Session,
        times: RefreshTimes,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let entry = (session.login_method(), times);
        refresh_index::put(&*self.store, &session.id, entry, session.end().since(now)).await
    }

    /// Returns the ids of the sessions whose attributes this process has in memory, and that may
    /// change.
    pub(super) fn live_ids(&self) -> Vec<Box<str>> {
        self.attributes.cells.ids()
    }

    /// Reads the attributes of these sessions again, as far as this process has them in memory, and then
    /// makes open responses be judged by them.
    pub(super) async fn read_again(
        &self,
        ids: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut is_changed = false;
        let mut result = Ok(());
        for id in ids.iter().filter(|id| self.attributes.cells.contains(id)) {
            match self.get(id, now).await {
                Ok(session) => {
                    is_changed |= self.attributes.cells.update(id, session.as_ref(), now);
                }
                Err(error) => result = Err(error),
            }
        }
        if is_changed {
            self.changes.notify();
        }
        result
    }
}

/// Requests of one user record activity once a second at most.
const MAX_ATTEMPTS: u32 = 8;
