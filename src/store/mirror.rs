//! In-memory mirrors of the store, which follow the changes of other processes.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::{Store, StoreError, StoreFuture};
use crate::util::panics::caught_future;

/// A mirror of a part of the store in memory.
pub(crate) trait StoreMirror: Send + Sync + 'static {
    /// Reloads that part.
    fn reload(&self, cause: ReloadCause) -> StoreFuture<'_, ()>;
}

/// The reason for a reload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ReloadCause {
    /// A notification arrived.
    Notified,
    /// Changes may have been missed: at the start, or after the store was unavailable.
    Unknown,
    /// The store has lost everything: only this mirror has the records.
    Forgotten,
}

/// Background tasks that stop with their owner: they hold the store, and a store file can be open
/// only once.
#[derive(Debug, Default)]
pub(crate) struct BackgroundTasks(Mutex<Vec<AbortHandle>>);

impl BackgroundTasks {
    /// Starts a task.
    pub(crate) fn spawn(&self, runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        let task = runtime.spawn(task).abort_handle();
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

impl Drop for BackgroundTasks {
    fn drop(&mut self) {
        for task in self.0.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

/// Reloads the mirror on each notification while it has another owner. Retries failed reloads after
/// a pause.
pub(crate) async fn follow<F: StoreMirror>(
    store: Arc<dyn Store>,
    channel: &'static str,
    mirror: Weak<F>,
) {
    let mut seen = 0;
    // The first number arrives at once unless it is 0; then there is nothing to read.
    let mut cause = Some(ReloadCause::Unknown);
    let mut was_away = false;
    loop {
        // Always reload once the store is back: the reload also writes what could not be written
        // meanwhile.
        let seen_number = if was_away { u64::MAX } else { seen };
        let notified = caught_future(async { store.notified(channel, seen_number).await });
        let notified = tokio::time::timeout(MAX_WAIT, notified).await;
        let Some(mirror) = mirror.upgrade() else { return };
        let read = match notified {
            Err(_) => continue,
            // The mirror survives a panic, and continues when the store does.
            Ok(None) => Err(StoreError::new("the task panicked")),
            Ok(Some(Err(error))) => Err(error),
            Ok(Some(Ok(number))) => {
                let cause = match cause {
                    _ if has_forgotten(seen, number) => ReloadCause::Forgotten,
                    Some(cause) => cause,
                    None => ReloadCause::Notified,
                };
                let read = async {
                    mirror.reload(cause).await?;
                    if cause == ReloadCause::Forgotten {
                        // Others may have read before this process restored its records.
                        store.notify(channel).await?;
                    }
                    Ok(number)
                };
                let read = caught_future(read).await;
                read.unwrap_or_else(|| Err(StoreError::new("the task panicked")))
            }
        };
        match read {
            Ok(number) => (seen, cause, was_away) = (number, None, false),
            Err(error) => {
                if cause.is_none() {
                    tracing::error!(%error, channel, "changes of other processes are not received");
                }
                (cause, was_away) = (Some(ReloadCause::Unknown), true);
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Whether the store was reset between the number seen before, if any, and this one.
fn has_forgotten(seen: u64, number: u64) -> bool {
    seen != 0 && (number < seen || life(number) != life(seen))
}

/// See [`Store::notified`].
fn life(number: u64) -> u64 {
    number >> 32
}

/// The interval at which the task checks that the mirror still has an owner.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// The pause before a retry of an unavailable store.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::clock::SystemClock;
    use crate::store::MemoryStore;

    #[derive(Default)]
    struct Mirror {
        causes: Mutex<Vec<ReloadCause>>,
    }

    impl StoreMirror for Mirror {
        fn reload(&self, cause: ReloadCause) -> StoreFuture<'_, ()> {
            Box::pin(async move {
                let mut causes = self.causes.lock().unwrap();
                causes.push(cause);
                // The store is unavailable the second time.
                if causes.len() == 2 { Err(StoreError::new("away")) } else { Ok(()) }
            })
        }
    }

    #[test]
    fn a_store_that_begins_again_is_noticed_wherever_its_numbers_stand() {
        let (one, other) = (7 << 32, 9 << 32);
        for (seen, number, has) in [
            (0, 1, false),
            (0, one + 1, false),
            (1, 2, false),
            (one + 1, one + 900, false),
            (2, 1, true),
            (one + 5, 0, true),
            (one + 5, one + 4, true),
            (one + 5, other + 5, true),
            (one + 5, other + 6, true),
            (other + 5, one + 9, true),
        ] {
            assert_eq!(has_forgotten(seen, number), has, "{seen:#x} {number:#x}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_mirror_is_told_of_changes_until_nobody_holds_it() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(SystemClock, 10));
        store.notify("test").await.unwrap();
        let mirror = Arc::new(Mirror::default());
        let following = follow(Arc::clone(&store), "test", Arc::downgrade(&mirror));
        let task = tokio::spawn(following);
        let told = async |count: usize| {
            while mirror.causes.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        told(1).await;
        store.notify("test").await.unwrap();
        told(3).await;
        store.notify("test").await.unwrap();
        told(4).await;
        assert_eq!(
            *mirror.causes.lock().unwrap(),
            [
                ReloadCause::Unknown,
                ReloadCause::Notified,
                ReloadCause::Unknown,
                ReloadCause::Notified
            ]
        );
        drop(mirror);
        task.await.unwrap();
    }
}
