//! Revocations in the store: a set for each hour.
//!
//! A notified process reads the latest sets; after a time without notifications it reads all of them.
//! A record lives as long as any token that it may cover.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Revocation, Revocations};
use crate::application::MAX_SESSION_DURATION;
use crate::clock::{Clock, Timestamp};
use crate::random::to_hex;
use crate::secret::sha256;
use crate::store::{ReloadCause, Store, StoreError, StoreFuture, StoreMirror};
use crate::util::changes::Changes;

/// Revocations that are shared through the store and survive a restart.
#[derive(Debug)]
pub(super) struct StoredRevocations {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Whether a revocation of this process could not be written yet.
    has_unwritten: AtomicBool,
}

/// A stored revocation.
#[derive(Debug, Deserialize, Serialize)]
struct Record {
    #[serde(rename = "ended")]
    revocation: Revocation,
    at: u64,
}

/// The field that records of every version have.
#[derive(Debug, Deserialize)]
struct RecordTime {
    at: u64,
}

impl Revocations {
    /// Creates revocations that are shared through a store.
    pub(crate) fn with_store(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        changes: Arc<Changes>,
    ) -> Self {
        let has_unwritten = AtomicBool::new(false);
        Self {
            stored: Some(StoredRevocations { store, clock, has_unwritten }),
            ..Self::new(changes)
        }
    }

    /// Revokes: in this process immediately, in others within a second.
    ///
    /// # Errors
    ///
    /// If it could not be written. It is in force in this process, which writes it when the store is
    /// available again.
    pub(crate) async fn revoke(
        &self,
        revocation: Revocation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // First here, so that it is in force even if the store is unavailable.
        self.revoke_locally(&revocation, now);
        let Some(stored) = &self.stored else { return Ok(()) };
        let written = async {
            stored.write(&revocation, now).await?;
            stored.store.notify(CHANNEL).await
        };
        let written = written.await;
        if written.is_err() {
            stored.has_unwritten.store(true, Ordering::Release);
            // A store that cannot write may still notify, as one in a file does. The notified mirror
            // then tries again, until it is written. The call does not wait for that.
            let mut notice = stored.store.notify(CHANNEL);
            std::future::poll_fn(|context| {
                let _ = notice.as_mut().poll(context);
                Poll::Ready(())
            })
            .await;
        }
        written
    }

    /// Reads all revocations from the store.
    pub(crate) async fn load(&self) -> Result<(), StoreError> {
        self.reload(ReloadCause::Unknown).await
    }
}

impl StoredRevocations {
    async fn write(&self, revocation: &Revocation, at: Timestamp) -> Result<(), StoreError> {
        let record = Record { revocation: revocation.clone(), at: at.as_unix_seconds() };
        let text = serde_json::to_vec(&record).map_err(StoreError::new)?;
        let name = to_hex(&sha256(&text));
        self.store.put_member(&set(hour(at)), &name, text.into(), STORED_FOR).await
    }

    /// Writes all revocations of this process, and notifies others.
    async fn write_all(&self, known: Vec<(Revocation, Timestamp)>) -> Result<(), StoreError> {
        for (revocation, at) in &known {
            self.write(revocation, *at).await?;
        }
        if known.is_empty() { Ok(()) } else { self.store.notify(CHANNEL).await }
    }

    async fn read(&self, hour: u64) -> Result<Vec<(Revocation, Timestamp)>, StoreError> {
        let members = self.store.members(&set(hour)).await?;
        let latest = self.clock.now().as_unix_seconds().min((hour + 1) * HOUR);
        Ok(members.into_iter().map(|(_, text)| read(&text, latest)).collect())
    }
}

/// Parses a record that was written at `latest` or before. An unreadable one, for example of a later
/// version, revokes everything that was issued before it.
fn read(text: &[u8], latest: u64) -> (Revocation, Timestamp) {
    match serde_json::from_slice::<Record>(text) {
        Ok(Record { revocation, at }) => (revocation, Timestamp::from_unix_seconds(at)),
        Err(error) => {
            tracing::error!(
                %error, "a revocation in the store cannot be read: all earlier sessions are revoked"
            );
            let at = serde_json::from_slice::<RecordTime>(text).map_or(latest, |moment| moment.at);
            (Revocation::Everything, Timestamp::from_unix_seconds(at.min(latest)))
        }
    }
}

impl StoreMirror for Revocations {
    fn reload(&self, cause: ReloadCause) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let Some(stored) = &self.stored else { return Ok(()) };
            let now = stored.clock.now();
            let has_unwritten = stored.has_unwritten.swap(false, Ordering::AcqRel);
            if (has_unwritten || cause == ReloadCause::Forgotten)
                && let Err(error) = stored.write_all(self.list.all()).await
            {
                stored.has_unwritten.store(true, Ordering::Release);
                return Err(error);
            }
            // One hour more on either side, for clock differences between machines.
            let latest = hour(now) + 1;
            let hours = match cause {
                ReloadCause::Notified => 3,
                ReloadCause::Unknown | ReloadCause::Forgotten => {
                    MAX_SESSION_DURATION.as_secs() / HOUR + 3
                }
            };
            let mut is_new = false;
            for hour in latest.saturating_sub(hours)..=latest {
                let read = stored.read(hour).await?;
                is_new |= self.list.add(read.iter().map(|(revocation, at)| (revocation, *at)), now);
            }
            if is_new {
                self.changes.notify();
            }
            Ok(())
        })
    }
}

fn hour(moment: Timestamp) -> u64 {
    moment.as_unix_seconds() / HOUR
}

fn set(hour: u64) -> String {
    format!("revocations/{hour}")
}

/// The notification channel for revocations.
pub(crate) const CHANNEL: &str = "revocations";
const HOUR: u64 = 3600;
/// A little longer than any token lives.
const STORED_FOR: Duration = MAX_SESSION_DURATION.saturating_add(Duration::from_secs(2 * HOUR));

#[cfg(test)]
mod tests {
    use super::super::TokenSubject;
    use super::*;
    use crate::clock::ManualClock;
    use crate::store::MemoryStore;

    fn start() -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000)
    }

    fn shared() -> (Arc<ManualClock>, Arc<dyn Store>) {
        let clock = Arc::new(ManualClock::new(start()));
        (Arc::clone(&clock), Arc::new(MemoryStore::new(clock, 1_000)))
    }

    fn revocations(clock: &Arc<ManualClock>, store: &Arc<dyn Store>) -> Revocations {
        Revocations::with_store(Arc::clone(store), Arc::clone(clock) as _, Arc::default())
    }

    fn covers(revocations: &Revocations, session: &str, email: &str, issued_at: Timestamp) -> bool {
        let (session, email) = (Some(session), Some(email));
        revocations.is_revoked(TokenSubject { session, email, audience: "aud", issued_at })
    }

    #[tokio::test]
    async fn ses_10_what_one_machine_ends_is_ended_on_the_other_and_after_a_restart() {
        let (clock, store) = shared();
        let (here, there) = (revocations(&clock, &store), revocations(&clock, &store));
        here.revoke(Revocation::Session("s".into()), start()).await.unwrap();
        here.revoke(Revocation::Person("a@b.example".into()), start()).await.unwrap();
        assert!(!covers(&there, "s", "c@d.example", start()));
        there.reload(ReloadCause::Notified).await.unwrap();
        for revocations in [&here, &there] {
            assert!(covers(revocations, "s", "c@d.example", start()));
            assert!(covers(revocations, "t", "a@b.example", start()));
            assert!(!covers(revocations, "t", "c@d.example", start()));
        }
        clock.advance(Duration::from_secs(20 * 86_400));
        let later = revocations(&clock, &store);
        later.load().await.unwrap();
        assert!(covers(&later, "s", "c@d.example", start()));
        // When no token can be left, nothing is.
        clock.advance(Duration::from_secs(12 * 86_400));
        assert!(store.members(&set(hour(start()))).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn ses_25_what_another_version_has_ended_opens_nothing() {
        for (record, voids_from) in [
            (r#"{"ended":{"device":"d"},"at":1790000100}"#, 100),
            (r#"{"ended":"everything","at":1790009999}"#, 9_999),
            (r#"{"ended":{"session":"s"},"until":7}"#, 200),
            ("\u{0}\u{1}", 200),
        ] {
            let (clock, store) = shared();
            clock.advance(Duration::from_secs(200));
            let set = set(hour(clock.now()));
            store.put_member(&set, "x", record.into(), Duration::from_secs(60)).await.unwrap();
            let here = revocations(&clock, &store);
            here.load().await.unwrap();
            let at = |seconds| start().plus(Duration::from_secs(seconds));
            assert!(covers(&here, "t", "a@b.example", at(voids_from - 1)), "{record}");
            assert!(!covers(&here, "t", "a@b.example", at(voids_from + 3)), "{record}");
        }
    }

    #[tokio::test]
    async fn a_store_that_has_forgotten_is_told_again() {
        let (clock, store) = shared();
        let here = revocations(&clock, &store);
        here.revoke(Revocation::Everything, start()).await.unwrap();
        here.revoke(Revocation::Session("s".into()), start()).await.unwrap();
        let (_, empty) = shared();
        let here = Revocations {
            stored: Some(StoredRevocations {
                store: Arc::clone(&empty),
                clock: Arc::clone(&clock) as _,
                has_unwritten: AtomicBool::new(false),
            }),
            ..here
        };
        here.reload(ReloadCause::Forgotten).await.unwrap();
        assert_eq!(empty.notified(CHANNEL, 0).await.unwrap(), 1, "others are told");
        let there = revocations(&clock, &empty);
        there.load().await.unwrap();
        assert!(covers(&there, "x", "x@y.example", start()));
        assert!(covers(&there, "s", "x@y.example", start().plus(Duration::from_secs(9))));
    }
}
