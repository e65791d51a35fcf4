//! The open file, shared by the writer and the readers. After a disk error the writer reopens it;
//! a full disk needs no restart.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use redb::Database;

use super::super::StoreError;
use super::open;
use super::witness::Witness;
use crate::clock::{Clock, Timestamp};

pub(super) struct File {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    entries_per_kind: AtomicU64,
    /// `None` while opening fails.
    database: Mutex<Option<Arc<Database>>>,
    witness: Mutex<Witness>,
}

impl File {
    /// Opens a file, or creates it if it is absent.
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let (database, witness) = open::open(path).map_err(StoreError::new)?;
        if let Some(reason) = witness.older() {
            tracing::error!(
                path = %path.display(), %reason,
                "the state file is an older copy: treated as a restored backup"
            );
        }
        Ok(Self {
            witness: Mutex::new(witness),
            path: path.to_owned(),
            clock,
            entries_per_kind: AtomicU64::new(ENTRIES_PER_KIND),
            database: Mutex::new(Some(Arc::new(database))),
        })
    }

    /// Locks the witness. Only the writer calls this, and only briefly.
    pub(super) fn witness(&self) -> MutexGuard<'_, Witness> {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts the file although it is an older copy.
    pub(super) fn accept_rollback(&self) -> Result<(), StoreError> {
        let database = self.database()?;
        self.witness().accept(&database).map_err(|error| self.failed(&error))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn entries_per_kind(&self) -> u64 {
        self.entries_per_kind.load(Ordering::Relaxed)
    }

    pub(super) fn set_entries_per_kind(&self, entries: u64) {
        self.entries_per_kind.store(entries, Ordering::Relaxed);
    }

    /// Returns the database, for a short use: the file cannot be reopened while it is in use.
    pub(super) fn database(&self) -> Result<Arc<Database>, StoreError> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or_else(|| self.closed())
    }

    /// Closes the file and opens it again, the only recovery from a disk error. Waits for readers,
    /// for two seconds at most.
    ///
    /// A missing file is an error; it is not created again.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let present = self.database.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(in_use)) = present.map(close) {
            self.set(in_use);
            return Err(StoreError::new(self.describe(&"a reader still has it open")));
        }
        let database = open::reopen(&self.path).map_err(StoreError::new)?;
        self.set(Arc::new(database));
        Ok(())
    }

    fn set(&self, database: Arc<Database>) {
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) = Some(database);
    }

    pub(super) fn failed(&self, error: &redb::Error) -> StoreError {
        StoreError::new(
            self.describe(&format_args!("{error}; check whether the disk is full or broken")),
        )
    }

    /// Returns the error while the file cannot be opened.
    pub(super) fn closed(&self) -> StoreError {
        StoreError::new(self.describe(&"the disk has failed; opening is retried every second"))
    }

    pub(super) fn describe(&self, words: &dyn fmt::Display) -> String {
        format!("{}: {words}", self.path.display())
    }
}

/// Returns the database if a reader holds it for too long.
fn close(mut database: Arc<Database>) -> Result<(), Arc<Database>> {
    let end = Instant::now() + MAX_READ_TIME;
    loop {
        match Arc::try_unwrap(database) {
            Ok(unused) => {
                drop(unused);
                return Ok(());
            }
            Err(used) if Instant::now() >= end => return Err(used),
            Err(used) => database = used,
        }
        thread::sleep(Duration::from_millis(5));
    }
}

const ENTRIES_PER_KIND: u64 = 250_000;
const MAX_READ_TIME: Duration = Duration::from_secs(2);
