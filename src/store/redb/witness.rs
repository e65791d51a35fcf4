//! Detects that the file was replaced by an older copy.
//!
//! The file has a random epoch and a number that grows with writes. A small file beside it, the
//! witness, has both as well. The number is committed to the file first and written to the witness
//! second, before a change is confirmed: whenever a process is killed, the witness is never ahead of
//! the file. If the witness is ahead, of another epoch, or missing, the file is an older copy.
//!
//! An epoch begins in three steps: the file commits it together with a note of the witness's current
//! text, the witness is written, and the note is removed. After a kill in between, the witness
//! matches the note, and the process continues from there. While the witness cannot be written the
//! note stays, so a read-only folder does not make a file look like a copy.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

use super::super::new_file;
use crate::random::{Random, SystemRandom, hex};

/// `generation`: the epoch and the number. `replaces`: the witness's text until it is rewritten.
const GENERATION: TableDefinition<'_, &str, &str> = TableDefinition::new("generation");
const PRESENT: &str = "generation";
const REPLACES: &str = "replaces";

/// A counter of the commits to a file, within an epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Generation {
    epoch: String,
    number: u64,
}

/// The file's own record.
#[derive(Debug)]
struct Record {
    present: Generation,
    replaces: Option<String>,
}

/// The result of comparing file and witness.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Judgement {
    /// Neither has a record: a new file, or one of an earlier version of this program.
    New,
    Same,
    Older(RollbackReason),
}

/// The reason why a file counts as an older copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RollbackReason {
    Number,
    Epoch,
    WithoutEpoch,
    WithoutWitness,
}

impl fmt::Display for RollbackReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "the file is older than its witness",
            Self::Epoch => "the witness belongs to another file, or cannot be read",
            Self::WithoutEpoch => "the file is of an earlier version, and the witness is not",
            Self::WithoutWitness => "the witness is missing: keep it beside the file",
        })
    }
}

/// The file's record and the witness, as last written.
pub(super) struct Witness {
    path: PathBuf,
    present: Option<Generation>,
    /// Whether the file has a note of an outdated witness.
    is_pending: bool,
    older: Option<RollbackReason>,
    advanced: Option<Instant>,
    changed_since: bool,
    has_failed: bool,
}

impl Witness {
    /// Compares a newly opened file with its witness.
    pub(super) fn examine(
        file: &Path,
        database: &Database,
        is_new: bool,
    ) -> Result<Self, redb::Error> {
        let mut path = file.as_os_str().to_owned();
        path.push(".witness");
        let path = PathBuf::from(path);
        let text = read(&path)?;
        let record = Record::read(database)?;
        let mut witness = Self {
            path,
            present: None,
            is_pending: false,
            older: None,
            advanced: None,
            changed_since: false,
            has_failed: false,
        };
        match judge(record.as_ref(), text.as_deref()) {
            Judgement::Older(older) if !is_new => witness.older = Some(older),
            Judgement::New | Judgement::Older(_) => {
                witness.begin(database, text.as_deref().unwrap_or_default())?;
            }
            Judgement::Same => {
                if let Some(Record { present, replaces }) = record {
                    witness.is_pending = replaces.is_some();
                    witness.present = Some(present);
                }
                if witness.is_pending {
                    witness.write();
                    witness.remove_note(database)?;
                }
            }
        }
        Ok(witness)
    }

    pub(super) fn older(&self) -> Option<RollbackReason> {
        self.older
    }

    /// Accepts this file as it is, under a new epoch.
    pub(super) fn accept(&mut self, database: &Database) -> Result<(), redb::Error> {
        if self.older.is_some() {
            let text = read(&self.path)?;
            self.begin(database, text.as_deref().unwrap_or_default())?;
            self.older = None;
        }
        Ok(())
    }

    /// Adds the next number to a changing transaction if one is due, and returns whether it did.
    /// Call [`write`](Self::write) after the commit.
    pub(super) fn advance(
        &mut self,
        transaction: &WriteTransaction,
        is_last: bool,
    ) -> Result<bool, redb::Error> {
        // Keep the evidence of an older copy until it was acted upon.
        let Some(present) = self.present.as_mut().filter(|_| self.older.is_none()) else {
            return Ok(false);
        };
        let is_due = self.advanced.is_none_or(|last| last.elapsed() >= ADVANCE_INTERVAL);
        self.changed_since = !(is_due || is_last);
        if self.changed_since {
            return Ok(false);
        }
        present.number += 1;
        let text = present.to_string();
        transaction.open_table(GENERATION)?.insert(PRESENT, text.as_str())?;
        self.advanced = Some(Instant::now());
        Ok(true)
    }

    /// Whether the file has changes that the witness does not cover.
    pub(super) fn is_behind(&self) -> bool {
        self.changed_since
    }

    /// Writes the witness. If that fails it stays behind the file, which is harmless.
    pub(super) fn write(&mut self) {
        let Some(present) = &self.present else { return };
        let text = format!("{present}\n");
        match new_file::replace(&self.path, text.as_bytes()) {
            Ok(()) => self.has_failed = false,
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(
                        path = %self.path.display(), %error,
                        "the witness of the state file cannot be written: a restored backup may \
                         not be detected"
                    );
                }
            }
        }
    }

    /// Removes the note, once the witness is written.
    pub(super) fn remove_note(&mut self, database: &Database) -> Result<(), redb::Error> {
        if self.is_pending && !self.has_failed {
            let transaction = database.begin_write()?;
            transaction.open_table(GENERATION)?.remove(REPLACES)?;
            transaction.commit()?;
            self.is_pending = false;
        }
        Ok(())
    }

    fn begin(&mut self, database: &Database, replaces: &str) -> Result<(), redb::Error> {
        let present = Generation { epoch: epoch()?, number: 1 };
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(GENERATION)?;
            table.insert(PRESENT, present.to_string().as_str())?;
            table.insert(REPLACES, replaces)?;
        }
        transaction.commit()?;
        (self.present, self.is_pending) = (Some(present), true);
        self.write();
        self.remove_note(database)
    }
}

/// Makes any file put at this path count as an older copy, whatever its contents. Call this before
/// replacing the file.
pub(super) fn invalidate(file: &Path) -> io::Result<()> {
    let mut path = file.as_os_str().to_owned();
    path.push(".witness");
    let nobody = Generation { epoch: epoch().map_err(io::Error::other)?, number: u64::MAX };
    new_file::replace(Path::new(&path), format!("{nobody}\n").as_bytes())
}

fn epoch() -> Result<String, redb::Error> {
    let random: &dyn Random = &SystemRandom;
    hex::<16>(random).map_err(|error| redb::Error::Io(io::Error::other(error)))
}

/// The witness's text; `None` if it is absent. A longer one is not ours.
fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
}

fn judge(record: Option<&Record>, witness: Option<&str>) -> Judgement {
    let Some(record) = record else {
        return match witness {
            None => Judgement::New,
            Some(_) => Judgement::Older(RollbackReason::WithoutEpoch),
        };
    };
    if record.replaces.as_deref().is_some_and(|noted| noted == witness.unwrap_or_default()) {
        return Judgement::Same;
    }
    let Some(witness) = witness else { return Judgement::Older(RollbackReason::WithoutWitness) };
    match witness.trim_end().parse::<Generation>() {
        Ok(seen) if seen.epoch != record.present.epoch => Judgement::Older(RollbackReason::Epoch),
        Ok(seen) if seen.number > record.present.number => Judgement::Older(RollbackReason::Number),
        Ok(_) => Judgement::Same,
        Err(InvalidGeneration) => Judgement::Older(RollbackReason::Epoch),
    }
}

impl Record {
    fn read(database: &Database) -> Result<Option<Self>, redb::Error> {
        let table = match database.begin_read()?.open_table(GENERATION) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let text = |key: &str| -> Result<Option<String>, redb::Error> {
            Ok(table.get(key)?.map(|guard| guard.value().to_owned()))
        };
        let Some(present) = text(PRESENT)? else { return Ok(None) };
        let malformed = |InvalidGeneration| redb::Error::Corrupted("no generation".to_owned());
        let present = present.parse().map_err(malformed)?;
        Ok(Some(Self { present, replaces: text(REPLACES)? }))
    }
}

/// The error for a text that is not a generation.
#[derive(Debug)]
struct InvalidGeneration;

impl FromStr for Generation {
    type Err = InvalidGeneration;

    fn from_str(text: &str) -> Result<Self, InvalidGeneration> {
        let (epoch, number) = text.split_once(' ').ok_or(InvalidGeneration)?;
        let number = number.parse().map_err(|_| InvalidGeneration)?;
        Ok(Self { epoch: epoch.to_owned(), number })
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.epoch, self.number)
    }
}

/// The minimum age of a copy that is detected after a crash. After a clean stop every copy is.
const ADVANCE_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: &str, number: u64, replaces: Option<&str>) -> Record {
        let present = Generation { epoch: epoch.to_owned(), number };
        Record { present, replaces: replaces.map(str::to_owned) }
    }

    #[test]
    fn key_15_a_file_is_older_where_its_witness_is_ahead_of_another_epoch_or_missing() {
        use Judgement::{New, Same};

        let older = Judgement::Older;
        for (record, witness, judgement) in [
            (None, None, New),
            (None, Some("a 1\n"), older(RollbackReason::WithoutEpoch)),
            (Some(record("a", 3, None)), Some("a 3\n"), Same),
            // Killed after the file was written and before the witness was.
            (Some(record("a", 4, None)), Some("a 3\n"), Same),
            (Some(record("a", 3, None)), Some("a 4\n"), older(RollbackReason::Number)),
            (Some(record("a", 3, None)), Some("b 1\n"), older(RollbackReason::Epoch)),
            (Some(record("a", 3, None)), Some(""), older(RollbackReason::Epoch)),
            (Some(record("a", 3, None)), Some("a 3 3"), older(RollbackReason::Epoch)),
            (Some(record("a", 3, None)), None, older(RollbackReason::WithoutWitness)),
            // Killed while an epoch was begun.
            (Some(record("a", 1, Some(""))), None, Same),
            (Some(record("b", 1, Some("a 9\n"))), Some("a 9\n"), Same),
            (Some(record("b", 1, Some("a 9\n"))), Some("b 1\n"), Same),
            // A copy of that moment.
            (Some(record("b", 1, Some("a 9\n"))), Some("b 2\n"), older(RollbackReason::Number)),
            (Some(record("b", 1, Some("a 9\n"))), Some("c 1\n"), older(RollbackReason::Epoch)),
            (Some(record("b", 1, Some("a 9\n"))), None, older(RollbackReason::WithoutWitness)),
        ] {
            assert_eq!(judge(record.as_ref(), witness), judgement, "{record:?} {witness:?}");
        }
    }
}
