//! A persistent store of a single process, in one file.
//!
//! One thread (`writer`) commits all queued changes together: a hundred concurrent callers wait for
//! one flush of the disk, not for a hundred. Readers see the last commit and never block. `tables`
//! has the contents, `open` the creation, `file` the recovery from disk errors, `witness` the
//! detection of restored backups.

mod file;
mod open;
mod tables;
mod witness;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redb::Database;

use crate::clock::{Clock, Timestamp};

use self::file::File;
use self::writer::Writer;
use super::channels::Channels;
use super::keys::member_key;
use super::{Store, StoreChange, StoreError, StoreFuture, StoreOutcome};

/// A store in one file, for one process. A confirmed change survives a restart, a crash at any
/// moment, and a power loss if the disk honours flushes.
///
/// Every kind of record (the part of a key before the first `/`) holds at most 250,000 entries,
/// members of sets included. Beyond that, new ones are refused until old ones expire
/// ([`with_entries_per_kind`](Self::with_entries_per_kind)). Expired records are invisible at once
/// and removed gradually at each write; the file does not shrink, its space is reused.
///
/// While the disk is full or fails, every method returns an error; the store retries opening the
/// file until that works, and needs no restart.
///
/// A second file, with the suffix `.witness`, detects an older copy of the file, such as a restored
/// backup: such a store reports it
/// ([`is_rolled_back`](Store::is_rolled_back)), and
/// [`build_persistent`](crate::AccessBuilder::build_persistent) ends all that is in it. A file
/// without its witness is such a copy as well, so both are moved together. Two cases are not
/// detected: a copy of both from one moment, and after a crash a copy that is less than ten seconds
/// older than the last write.
///
/// The file is locked while it is open: a second process that opens it gets an error. Dropping the
/// store writes what is queued and closes the file. On Unix only its owner may read it.
///
/// ```no_run
/// use tower_access::clock::SystemClock;
/// use tower_access::store::RedbStore;
///
/// let store = RedbStore::open("/var/lib/access/state.redb", SystemClock)?;
/// # Ok::<(), tower_access::store::StoreError>(())
/// ```
pub struct RedbStore {
    /// Dropped first: queued changes are written before the file is closed.
    writer: Writer,
    file: Arc<File>,
    channels: Channels,
}

impl RedbStore {
    /// Opens a file, or creates it if it is absent. Reads the whole file once to check it for
    /// damage: about a second for some hundred megabytes.
    ///
    /// # Errors
    ///
    /// If the file cannot be read and written, another process has it open, it is damaged, or
    /// it belongs to another program. Such a file is not changed.
    pub fn open(path: impl AsRef<Path>, clock: impl Clock) -> Result<Self, StoreError> {
        let file = Arc::new(File::open(path.as_ref(), Arc::new(clock))?);
        let writer = Writer::start(Arc::clone(&file)).map_err(|error| {
            StoreError::new(
                file.describe(&format_args!("the writer thread cannot be started: {error}")),
            )
        })?;
        Ok(Self { writer, file, channels: Channels::default() })
    }

    /// Replaces the state file at `path` atomically with a copy, such as a backup. The copy always
    /// counts as an older one: [`is_rolled_back`](Store::is_rolled_back).
    ///
    /// # Errors
    ///
    /// If the copy cannot be read, or the files cannot be written. Stop a process that has
    /// the file open first: this function does not detect it.
    pub fn restore_copy(copy: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<(), StoreError> {
        let (copy, path) = (copy.as_ref(), path.as_ref());
        let failed = |error: std::io::Error| {
            StoreError::new(format!("{} in place of {}: {error}", copy.display(), path.display()))
        };
        // Read before anything is touched.
        let bytes = std::fs::read(copy).map_err(failed)?;
        witness::invalidate(path).map_err(failed)?;
        super::new_file::replace(path, &bytes).map_err(failed)
    }

    /// Sets the maximum number of entries of each kind of record. Default: 250,000. Existing entries
    /// stay.
    #[must_use]
    pub fn with_entries_per_kind(self, entries: u64) -> Self {
        self.file.set_entries_per_kind(entries);
        self
    }

    /// Reads on a blocking thread: the disk may be slow.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database, Timestamp) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = Arc::clone(&self.file);
        let reading = tokio::task::spawn_blocking(move || {
            read(&*file.database()?, file.now()).map_err(|error| file.failed(&error))
        });
        reading.await.unwrap_or_else(|error| Err(StoreError::new(self.file.describe(&error))))
    }
}

impl Store for RedbStore {
    /// Queues a change, and waits until it is on the disk.
    fn apply(&self, change: StoreChange) -> StoreFuture<'_, StoreOutcome> {
        Box::pin(async move {
            let written = tokio::time::timeout(WRITE_TIMEOUT, self.writer.write(change)).await;
            let too_slow = |_| Err(StoreError::new(self.file.describe(TOO_SLOW)));
            written.unwrap_or_else(too_slow)?.map_err(StoreError::new)
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        let key = key.to_owned();
        Box::pin(self.read(move |database, now| tables::value(database, &key, now)))
    }

    fn members<'a>(&'a self, set: &'a str) -> StoreFuture<'a, Vec<(String, Bytes)>> {
        let before = member_key(set, "");
        Box::pin(self.read(move |database, now| tables::members(database, &before, now)))
    }

    fn notify<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.channels.notify(channel);
            Ok(())
        })
    }

    fn notified<'a>(&'a self, channel: &'a str, seen: u64) -> StoreFuture<'a, u64> {
        Box::pin(self.channels.notified(channel, seen))
    }

    fn is_rolled_back(&self) -> StoreFuture<'_, bool> {
        Box::pin(async { Ok(self.file.witness().older().is_some()) })
    }

    fn accept_rollback(&self) -> StoreFuture<'_, ()> {
        let file = Arc::clone(&self.file);
        Box::pin(async move {
            let accepting = tokio::task::spawn_blocking(move || file.accept_rollback());
            accepting.await.unwrap_or_else(|error| Err(StoreError::new(error)))
        })
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore")
            .field("path", &self.file.path())
            .field("entries_per_kind", &self.file.entries_per_kind())
            .finish_non_exhaustive()
    }
}

/// The time after which a slow disk counts as unavailable.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const TOO_SLOW: &&str = &"the disk is too slow: nothing was written for ten seconds";
