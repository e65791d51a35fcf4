//! Stores for state that outlasts a request: sessions, pending logins, counters.
//!
//! One small trait, [`Store`], and its implementations. A store does not interpret its records.
//!
//! | store | for | a restart |
//! | --- | --- | --- |
//! | [`MemoryStore`] | one process | loses everything |
//! | `RedbStore` (feature `redb`) | one process | loses nothing: one file |
//! | `RedisStore` (feature `redis`) | several processes | loses what the server loses |

mod change;
mod channels;
mod keys;
mod memory;
mod mirror;
#[cfg(feature = "redb")]
pub(crate) mod new_file;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "config", feature = "redis"))]
mod redis_url;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::change::{StoreChange, StoreOutcome, WriteCondition};
pub use self::memory::MemoryStore;
pub(crate) use self::mirror::{BackgroundTasks, ReloadCause, StoreMirror, follow};
#[cfg(feature = "redb")]
pub use self::redb::RedbStore;
#[cfg(feature = "redis")]
pub use self::redis::{RedisPassword, RedisStore, RedisStoreBuilder};
#[cfg(any(feature = "config", feature = "redis"))]
pub use self::redis_url::{RedisUrl, RedisUrlError};

/// Keys, values and lifetimes; sets of named members; and notification channels.
///
/// Keys and names of sets look like `kind/name`, names of members like `name`: visible ASCII, at
/// most 200 bytes each; values stay under 16 KiB. Expired records are invisible. Every
/// kind has its own bound, so that a flood of one kind never evicts another. Each method is one
/// step: concurrent callers, on any number of machines, see each other's changes in order. A
/// confirmed change is durable as far as the backend is.
///
/// A store that is full or unavailable returns an error within some seconds; the caller then
/// refuses the request.
///
/// # Implementing it
///
/// Five methods are required: [`apply`](Self::apply) for every change, two that read, and two for
/// channels. The methods for single changes are provided; everything calls `apply` in the end, so a
/// store that wraps another sees all changes there.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use bytes::Bytes;
/// use tower_access::store::{Store, StoreChange, StoreFuture, StoreOutcome};
///
/// /// Counts what is changed in another store.
/// #[derive(Debug)]
/// struct Counted<S> {
///     store: S,
///     changes: AtomicU64,
/// }
///
/// impl<S: Store> Store for Counted<S> {
///     fn apply(&self, change: StoreChange) -> StoreFuture<'_, StoreOutcome> {
///         self.changes.fetch_add(1, Ordering::Relaxed);
///         self.store.apply(change)
///     }
///
///     fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
///         self.store.get(key)
///     }
///
///     fn members<'a>(&'a self, set: &'a str) -> StoreFuture<'a, Vec<(String, Bytes)>> {
///         self.store.members(set)
///     }
///
///     fn notify<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, ()> {
///         self.store.notify(channel)
///     }
///
///     fn notified<'a>(&'a self, channel: &'a str, seen: u64) -> StoreFuture<'a, u64> {
///         self.store.notified(channel, seen)
///     }
/// }
/// ```
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Applies one change, and returns the outcome that [`StoreChange`] names for it.
    fn apply(&self, change: StoreChange) -> StoreFuture<'_, StoreOutcome>;

    /// Reads a value.
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>>;

    /// Reads all members of a set, in no particular order; an absent set is empty.
    fn members<'a>(&'a self, set: &'a str) -> StoreFuture<'a, Vec<(String, Bytes)>>;

    /// Notifies all listeners of a channel, on every machine, of a change.
    fn notify<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, ()>;

    /// Waits until a channel's number differs from `seen`, and returns it: at once if it does
    /// already, within a second after a [`notify`](Self::notify) otherwise. Numbers are 0 before the
    /// first `notify`, and grow with each.
    ///
    /// A store that may lose its records while processes run, such as one on another machine, has
    /// another value in the upper 32 bits each time it starts empty, so that numbers from before and
    /// after never compare equal.
    fn notified<'a>(&'a self, channel: &'a str, seen: u64) -> StoreFuture<'a, u64>;

    /// Stores a value, replacing an earlier one.
    fn put(&self, key: &str, value: Bytes, lifetime: Duration) -> StoreFuture<'_, ()> {
        let written = write(self, key, value, lifetime, WriteCondition::Always);
        Box::pin(async { written.await.map(drop) })
    }

    /// Stores a value if the key is absent, and returns whether it did. Of two callers one does.
    fn insert(&self, key: &str, value: Bytes, lifetime: Duration) -> StoreFuture<'_, bool> {
        Box::pin(write(self, key, value, lifetime, WriteCondition::Absent))
    }

    /// Replaces exactly this value, with a new lifetime, and returns whether it did. A value that was
    /// changed or removed meanwhile stays as it is.
    fn replace(
        &self,
        key: &str,
        present: &[u8],
        value: Bytes,
        lifetime: Duration,
    ) -> StoreFuture<'_, bool> {
        let present = WriteCondition::Equals(Bytes::copy_from_slice(present));
        Box::pin(write(self, key, value, lifetime, present))
    }

    /// Removes a value and returns it: of two callers one gets it.
    fn take(&self, key: &str) -> StoreFuture<'_, Option<Bytes>> {
        let outcome = self.apply(StoreChange::Take { key: key.to_owned() });
        Box::pin(async { outcome.await?.into_taken() })
    }

    /// Adds to a counter and returns the sum. The first count starts the lifetime; later ones do not
    /// prolong it. Adding 0 reads a counter and starts none.
    fn count(&self, key: &str, add: u64, lifetime: Duration) -> StoreFuture<'_, u64> {
        let outcome = self.apply(StoreChange::Count { key: key.to_owned(), add, lifetime });
        Box::pin(async { outcome.await?.into_sum() })
    }

    /// Stores a member of a set, replacing an earlier one of this name. Each member has its own
    /// lifetime.
    fn put_member(
        &self,
        set: &str,
        member: &str,
        value: Bytes,
        lifetime: Duration,
    ) -> StoreFuture<'_, ()> {
        let (set, member) = (set.to_owned(), member.to_owned());
        let outcome = self.apply(StoreChange::PutMember { set, member, value, lifetime });
        Box::pin(async { outcome.await?.into_written().map(drop) })
    }

    /// Removes a member of a set and returns it: of two callers one gets it.
    fn take_member(&self, set: &str, member: &str) -> StoreFuture<'_, Option<Bytes>> {
        let (set, member) = (set.to_owned(), member.to_owned());
        let outcome = self.apply(StoreChange::TakeMember { set, member });
        Box::pin(async { outcome.await?.into_taken() })
    }

    /// Whether the records are older than what this store has confirmed, as those of a backup that was
    /// restored: sessions, keys and tokens in it may have been revoked since. `false` by
    /// default, also if a store cannot know.
    fn is_rolled_back(&self) -> StoreFuture<'_, bool> {
        Box::pin(async { Ok(false) })
    }

    /// Accepts older records, after everything they could grant has been revoked. Until
    /// then every opening of the store reports that it [is rolled back](Self::is_rolled_back).
    fn accept_rollback(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

fn write<'a, S: Store + ?Sized>(
    store: &'a S,
    key: &str,
    value: Bytes,
    lifetime: Duration,
    condition: WriteCondition,
) -> impl Future<Output = Result<bool, StoreError>> + Send + use<'a, S> {
    let key = key.to_owned();
    let outcome = store.apply(StoreChange::Write { key, value, lifetime, condition });
    async { outcome.await?.into_written() }
}

/// A shared store.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn apply(&self, change: StoreChange) -> StoreFuture<'_, StoreOutcome> {
        (**self).apply(change)
    }

    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        (**self).get(key)
    }

    fn members<'a>(&'a self, set: &'a str) -> StoreFuture<'a, Vec<(String, Bytes)>> {
        (**self).members(set)
    }

    fn notify<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, ()> {
        (**self).notify(channel)
    }

    fn notified<'a>(&'a self, channel: &'a str, seen: u64) -> StoreFuture<'a, u64> {
        (**self).notified(channel, seen)
    }

    fn is_rolled_back(&self) -> StoreFuture<'_, bool> {
        (**self).is_rolled_back()
    }

    fn accept_rollback(&self) -> StoreFuture<'_, ()> {
        (**self).accept_rollback()
    }
}

/// The return type of the methods of a [`Store`].
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The error of a store that is full or unavailable.
#[derive(Debug, thiserror::Error)]
#[error("the store is unavailable: {0}")]
pub struct StoreError(Box<dyn std::error::Error + Send + Sync>);

impl StoreError {
    /// Wraps a cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
