//! Announces changed attributes of sessions to the processes that share the store.
//!
//! The store has a set of changed sessions for each minute. A notified process reads the latest sets,
//! and then the records of those sessions whose attributes it has in memory. After a time without
//! notifications it reads the records of all of them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Clock, Timestamp};
use crate::store::{ReloadCause, Store, StoreError, StoreFuture, StoreMirror};

use super::Sessions;

/// Follows the changes of other processes.
#[derive(Debug)]
pub(crate) struct SessionChanges {
    sessions: Sessions,
    clock: Arc<dyn Clock>,
    /// The announcements that were read: the session and the time of its change.
    seen: Mutex<HashSet<(String, Bytes)>>,
}

impl SessionChanges {
    pub(crate) fn new(sessions: Sessions, clock: Arc<dyn Clock>) -> Self {
        Self { sessions, clock, seen: Mutex::default() }
    }

    /// Returns the sessions that were announced since the last call.
    async fn announced(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let mut members = HashSet::new();
        // One minute more on either side, for clock differences between machines.
        for minute in minute(now).saturating_sub(2)..=minute(now) + 1 {
            members.extend(self.sessions.store().members(&set(minute)).await?);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let new = members.difference(&seen).map(|(session, _)| session.clone()).collect();
        *seen = members;
        Ok(new)
    }
}

impl StoreMirror for SessionChanges {
    fn reload(&self, cause: ReloadCause) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let now = self.clock.now();
            let announced = self.announced(now).await?;
            let changed = match cause {
                ReloadCause::Notified => announced,
                ReloadCause::Unknown | ReloadCause::Forgotten => {
                    self.sessions.live_ids().into_iter().map(String::from).collect()
                }
            };
            self.sessions.read_again(&changed, now).await
        })
    }
}

/// Announces a change, which was stored before.
pub(super) async fn announce(
    store: &dyn Store,
    session: &str,
    (confirmed_at, now): (u64, Timestamp),
) -> Result<(), StoreError> {
    let moment = Bytes::from(confirmed_at.to_string());
    store.put_member(&set(minute(now)), session, moment, STORED_FOR).await?;
    store.notify(CHANNEL).await
}

fn minute(moment: Timestamp) -> u64 {
    moment.as_unix_seconds() / 60
}

fn set(minute: u64) -> String {
    format!("session-changes/{minute}")
}

/// The notification channel for changed sessions.
pub(crate) const CHANNEL: &str = "session-changes";
const STORED_FOR: Duration = Duration::from_secs(600);
