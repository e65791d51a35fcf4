//! Opening the file: created once, checked, and never replaced.

use std::fs;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, StorageError, TableError, TableHandle,
};

use super::super::new_file;
use super::tables::{FORMAT, FORMAT_VERSION, create};
use super::witness::Witness;

/// The reason why a file is unusable, and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub(super) struct OpenError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("cannot be opened for reading and writing: {0}; use a file in a writable folder")]
    Inaccessible(io::Error),
    #[error(
        "another process has it open; stop that one, or give this one a file of its own (several \
         processes share their state through Redis)"
    )]
    InUse,
    #[error(
        "is not a state file of this program ({0}); it is left as it is: name another file, or move this \
         one away"
    )]
    Foreign(String),
    #[error(
        "is damaged ({0}); it is left as it is: restore a backup, or move it away, and \
         all users log in again"
    )]
    Damaged(String),
    #[error("was written by a newer version of this program, in format {0}; use that version")]
    Newer(u64),
}

/// Opens or creates a file, and checks whether it is an older copy.
pub(super) fn open(path: &Path) -> Result<(Database, Witness), OpenError> {
    let failed = |reason| OpenError { path: path.to_owned(), reason };
    let is_new = match fs::metadata(path) {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create_file(path).map_err(failed)?;
            true
        }
        Err(error) => return Err(failed(Reason::Inaccessible(error))),
    };
    let database = open_existing(path).map_err(failed)?;
    let witness = Witness::examine(path, &database, is_new).map_err(|error| {
        failed(match error {
            redb::Error::Io(error) => Reason::Inaccessible(error),
            error => Reason::Damaged(error.to_string()),
        })
    })?;
    Ok((database, witness))
}

/// Reopens a file.
pub(super) fn reopen(path: &Path) -> Result<Database, OpenError> {
    open_existing(path).map_err(|reason| OpenError { path: path.to_owned(), reason })
}

fn create_file(path: &Path) -> Result<(), Reason> {
    let created = new_file::create(path, |temporary, file| {
        let mut builder = Builder::new();
        let database =
            builder.set_cache_size(CACHE_SIZE).create(temporary).map_err(io::Error::other)?;
        create(&database).map_err(io::Error::other)?;
        drop(database);
        file.sync_all()
    });
    created.map_err(Reason::Inaccessible)
}

fn open_existing(path: &Path) -> Result<Database, Reason> {
    if fs::metadata(path).map_err(Reason::Inaccessible)?.len() == 0 {
        return Err(Reason::Foreign("it is empty".to_owned()));
    }
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_SIZE).set_check_integrity_on_open(true);
    // The check finds damage; a failure of the check itself is damage as well.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = builder.open(path).map_err(Reason::from_redb)?;
        check_format(&database)?;
        Ok(database)
    }));
    opened.unwrap_or_else(|_| Err(Reason::Damaged("it cannot be read".to_owned())))
}

fn check_format(database: &Database) -> Result<(), Reason> {
    let damaged = |error: redb::Error| Reason::Damaged(error.to_string());
    let reading = database.begin_read().map_err(|error| damaged(error.into()))?;
    let format = match reading.open_table(FORMAT) {
        Ok(table) => table.get("form").map_err(|error| damaged(error.into()))?,
        Err(TableError::TableDoesNotExist(_)) => {
            let tables = reading.list_tables().map_err(|error| damaged(error.into()))?;
            let names: Vec<String> = tables.map(|table| table.name().to_owned()).take(3).collect();
            return Err(Reason::Foreign(format!("it has other tables: {names:?}")));
        }
        Err(TableError::Storage(error)) => return Err(damaged(error.into())),
        Err(error) => return Err(Reason::Foreign(error.to_string())),
    };
    match format.map(|format| format.value()) {
        Some(FORMAT_VERSION) => Ok(()),
        Some(newer) => Err(Reason::Newer(newer)),
        None => Err(Reason::Foreign("it has no format version".to_owned())),
    }
}

impl Reason {
    fn from_redb(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::InUse,
            DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
                ErrorKind::InvalidData => Self::Foreign(error.to_string()),
                ErrorKind::UnexpectedEof => Self::Damaged(error.to_string()),
                _ => Self::Inaccessible(error),
            },
            DatabaseError::UpgradeRequired(_) => Self::Foreign(error.to_string()),
            error => Self::Damaged(error.to_string()),
        }
    }
}

/// The cache size, in bytes.
const CACHE_SIZE: usize = 64 * 1024 * 1024;
