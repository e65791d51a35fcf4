//! Noticing that an older copy of the file was put in its place.
//!
//! The file has a random epoch and a number that grows while it is written to. A small file beside
//! it, the witness, has both as well. The number is committed to the file first and written to the
//! witness second, before anybody is told that a change is done: whatever a process is killed at, the
//! witness is never ahead of the file. Where it is ahead, or of another epoch, or missing, the file
//! is a copy from before.
//!
//! An epoch is begun in three steps: it is committed together with what the witness says up to then,
//! the witness is written, and the note is removed. A process that is killed in between finds the
//! witness as it was noted, and goes on from there. While no witness can be written the note stays,
//! and so a folder that is read-only makes no file look like a copy.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

use super::super::new_file;
use crate::random::{Random, SystemRandom, hex};

/// `generation`: the epoch and the number. `replaces`: what the witness says until it is written.
const GENERATION: TableDefinition<'_, &str, &str> = TableDefinition::new("generation");
const PRESENT: &str = "generation";
const REPLACES: &str = "replaces";

/// How often a file was written to, in which life.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Generation {
    epoch: String,
    number: u64,
}

/// What the file says of itself.
#[derive(Debug)]
struct Record {
    present: Generation,
    replaces: Option<String>,
}

/// What file and witness say together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Judgement {
    /// Neither says anything: a new file, or one of an earlier version of this program.
    New,
    Same,
    Older(Older),
}

/// Why a file is taken for a copy from before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Older {
    Number,
    Epoch,
    WithoutEpoch,
    WithoutWitness,
}

impl fmt::Display for Older {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "the file is older than its witness",
            Self::Epoch => "the witness belongs to another file, or cannot be read",
            Self::WithoutEpoch => "the file is of an earlier version, and the witness is not",
            Self::WithoutWitness => "the witness is missing: keep it beside the file",
        })
    }
}

/// The file's half and the witness, as they were when they were written last.
pub(super) struct Witness {
    path: PathBuf,
    present: Option<Generation>,
    /// Whether the file notes what the witness says in place of what it should.
    is_pending: bool,
    older: Option<Older>,
    advanced: Option<Instant>,
    changed_since: bool,
    has_failed: bool,
}

impl Witness {
    /// Compares a file that was just opened with its witness.
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
                    witness.settle(database)?;
                }
            }
        }
        Ok(witness)
    }

    pub(super) fn older(&self) -> Option<Older> {
        self.older
    }

    /// Goes on with this file as it is, under a new epoch.
    pub(super) fn accept(&mut self, database: &Database) -> Result<(), redb::Error> {
        if self.older.is_some() {
            let text = read(&self.path)?;
            self.begin(database, text.as_deref().unwrap_or_default())?;
            self.older = None;
        }
        Ok(())
    }

    /// Adds the next number to a transaction that changes something, where it is time for one;
    /// whether it did. Once it is committed, [`write`](Self::write) follows.
    pub(super) fn advance(
        &mut self,
        transaction: &WriteTransaction,
        is_last: bool,
    ) -> Result<bool, redb::Error> {
        // Nothing is changed that shows that this is a copy, before that had its consequences.
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

    /// Whether something was changed that the witness does not know of.
    pub(super) fn is_behind(&self) -> bool {
        self.changed_since
    }

    /// Writes the witness. Where that fails it stays behind, which hurts nobody.
    pub(super) fn write(&mut self) {
        let Some(present) = &self.present else { return };
        let text = format!("{present}\n");
        match new_file::replace(&self.path, text.as_bytes()) {
            Ok(()) => self.has_failed = false,
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(
                        path = %self.path.display(), %error,
                        "the witness of the state cannot be written: a backup that is put in the \
                         place of the state may not be noticed"
                    );
                }
            }
        }
    }

    /// Removes the note, once the witness is there.
    pub(super) fn settle(&mut self, database: &Database) -> Result<(), redb::Error> {
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
        self.settle(database)
    }
}

/// Makes it so that a file that is put in the place of another is taken for a copy from before,
/// whatever it says: to be called before the other one is removed.
pub(super) fn distrust(file: &Path) -> io::Result<()> {
    let mut path = file.as_os_str().to_owned();
    path.push(".witness");
    let nobody = Generation { epoch: epoch().map_err(io::Error::other)?, number: u64::MAX };
    new_file::replace(Path::new(&path), format!("{nobody}\n").as_bytes())
}

fn epoch() -> Result<String, redb::Error> {
    let random: &dyn Random = &SystemRandom;
    hex::<16>(random).map_err(|error| redb::Error::Io(io::Error::other(error)))
}

/// The witness's text; `None` where there is none. One that is too long is none of ours.
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
            Some(_) => Judgement::Older(Older::WithoutEpoch),
        };
    };
    if record.replaces.as_deref().is_some_and(|noted| noted == witness.unwrap_or_default()) {
        return Judgement::Same;
    }
    let Some(witness) = witness else { return Judgement::Older(Older::WithoutWitness) };
    match witness.trim_end().parse::<Generation>() {
        Ok(seen) if seen.epoch != record.present.epoch => Judgement::Older(Older::Epoch),
        Ok(seen) if seen.number > record.present.number => Judgement::Older(Older::Number),
        Ok(_) => Judgement::Same,
        Err(NoGeneration) => Judgement::Older(Older::Epoch),
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
        let malformed = |NoGeneration| redb::Error::Corrupted("no generation".to_owned());
        let present = present.parse().map_err(malformed)?;
        Ok(Some(Self { present, replaces: text(REPLACES)? }))
    }
}

/// A text that is no generation.
#[derive(Debug)]
struct NoGeneration;

impl FromStr for Generation {
    type Err = NoGeneration;

    fn from_str(text: &str) -> Result<Self, NoGeneration> {
        let (epoch, number) = text.split_once(' ').ok_or(NoGeneration)?;
        let number = number.parse().map_err(|_| NoGeneration)?;
        Ok(Self { epoch: epoch.to_owned(), number })
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.epoch, self.number)
    }
}

/// How old a copy is at least that is noticed after a crash. After a stop every copy is.
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
            (None, Some("a 1\n"), older(Older::WithoutEpoch)),
            (Some(record("a", 3, None)), Some("a 3\n"), Same),
            // Killed after the file was written and before the witness was.
            (Some(record("a", 4, None)), Some("a 3\n"), Same),
            (Some(record("a", 3, None)), Some("a 4\n"), older(Older::Number)),
            (Some(record("a", 3, None)), Some("b 1\n"), older(Older::Epoch)),
            (Some(record("a", 3, None)), Some(""), older(Older::Epoch)),
            (Some(record("a", 3, None)), Some("a 3 3"), older(Older::Epoch)),
            (Some(record("a", 3, None)), None, older(Older::WithoutWitness)),
            // Killed while an epoch was begun.
            (Some(record("a", 1, Some(""))), None, Same),
            (Some(record("b", 1, Some("a 9\n"))), Some("a 9\n"), Same),
            (Some(record("b", 1, Some("a 9\n"))), Some("b 1\n"), Same),
            // A copy of that moment.
            (Some(record("b", 1, Some("a 9\n"))), Some("b 2\n"), older(Older::Number)),
            (Some(record("b", 1, Some("a 9\n"))), Some("c 1\n"), older(Older::Epoch)),
            (Some(record("b", 1, Some("a 9\n"))), None, older(Older::WithoutWitness)),
        ] {
            assert_eq!(judge(record.as_ref(), witness), judgement, "{record:?} {witness:?}");
        }
    }
}
