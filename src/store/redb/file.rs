//! The open file: what the writer and those who read share. After an error of the disk the writer
//! opens it anew; nobody has to start the program again because a disk was full.

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
    /// `None` while it cannot be opened.
    database: Mutex<Option<Arc<Database>>>,
    witness: Mutex<Witness>,
}

impl File {
    /// Opens a file, or makes it where there is none.
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let (database, witness) = open::open(path).map_err(StoreError::new)?;
        if let Some(reason) = witness.older() {
            tracing::error!(
                path = %path.display(), %reason,
                "the state is a copy from before: treated as a restored backup"
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

    /// For the one who writes, and for a moment.
    pub(super) fn witness(&self) -> MutexGuard<'_, Witness> {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with the file although it is a copy from before.
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

    /// For a moment: while somebody has it, it cannot be opened anew.
    pub(super) fn database(&self) -> Result<Arc<Database>, StoreError> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or_else(|| self.closed())
    }

    /// Closes the file and opens it again: after an error of the disk nothing else helps. Waits for
    /// those who read, for two seconds at most.
    ///
    /// A file that is gone is not made anew: that it is missing is an error like any other.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let present = self.database.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(in_use)) = present.map(close) {
            self.set(in_use);
            return Err(StoreError::new(self.describe(&"somebody still reads from it")));
        }
        let database = open::open_again(&self.path).map_err(StoreError::new)?;
        self.set(Arc::new(database));
        Ok(())
    }

    fn set(&self, database: Arc<Database>) {
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) = Some(database);
    }

    pub(super) fn failed(&self, error: &redb::Error) -> StoreError {
        StoreError::new(
            self.describe(&format_args!("{error}; see whether the disk is full or broken")),
        )
    }

    /// What there is to say while it cannot be opened.
    pub(super) fn closed(&self) -> StoreError {
        StoreError::new(self.describe(&"the disk has failed, and it is tried again every second"))
    }

    pub(super) fn describe(&self, words: &dyn fmt::Display) -> String {
        format!("{}: {words}", self.path.display())
    }
}

/// Gives it back where somebody reads for too long.
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
