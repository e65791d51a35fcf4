//! The contents of the file, and their changes.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use redb::{
    Database, ReadableDatabase, ReadableTable, StorageError, Table, TableDefinition, TableError,
    WriteTransaction,
};

use crate::clock::Timestamp;

use super::super::keys::{key_kind, member_key};
use super::super::{StoreChange, StoreOutcome, WriteCondition};

/// By key: the end, whether it is a counter, and the value, or eight bytes of a counter. Members of
/// sets by the set's name, a line feed, and their own.
const ENTRIES: TableDefinition<'_, &str, (u64, bool, &[u8])> = TableDefinition::new("entries");
/// The same entries by kind and expiry.
const ENDS: TableDefinition<'_, (&str, u64, &str), ()> = TableDefinition::new("ends");
/// The number of entries of each kind.
const KINDS: TableDefinition<'_, &str, u64> = TableDefinition::new("kinds");
/// The format version. A file with other tables and without this one belongs to another program.
pub(super) const FORMAT: TableDefinition<'_, &str, u64> = TableDefinition::new("tower-access");

/// The reason why a change had no effect.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    #[error("full")]
    Full,
    #[error("a counter has the key of a value")]
    NotCounter,
}

/// The outcome of a change, unless the disk failed.
pub(super) type Applied = Result<StoreOutcome, ChangeError>;

struct Entry {
    end: Timestamp,
    value: Value,
}

enum Value {
    Bytes(Bytes),
    Count(u64),
}

/// All tables, for one write transaction.
pub(super) struct Tables<'t> {
    entries: Table<'t, &'static str, (u64, bool, &'static [u8])>,
    ends: Table<'t, (&'static str, u64, &'static str), ()>,
    kinds: Table<'t, &'static str, u64>,
    /// The numbers of entries of the kinds used so far, to be written on close.
    counts: HashMap<String, u64>,
    entries_per_kind: u64,
    changed: bool,
}

impl<'t> Tables<'t> {
    pub(super) fn open(
        transaction: &'t WriteTransaction,
        entries_per_kind: u64,
    ) -> Result<Self, TableError> {
        Ok(Self {
            entries: transaction.open_table(ENTRIES)?,
            ends: transaction.open_table(ENDS)?,
            kinds: transaction.open_table(KINDS)?,
            counts: HashMap::new(),
            entries_per_kind,
            changed: false,
        })
    }

    pub(super) fn apply(
        &mut self,
        change: StoreChange,
        now: Timestamp,
    ) -> Result<Applied, StorageError> {
        match change {
            StoreChange::Write { key, value, lifetime, condition } => {
                self.write(&key, value, now.plus(lifetime), &condition, now)
            }
            StoreChange::Take { key } => self.take(&key, now),
            StoreChange::Count { key, add, lifetime } => self.count(&key, add, lifetime, now),
            StoreChange::PutMember { set, member, value, lifetime } => {
                let key = member_key(&set, &member);
                self.write(&key, value, now.plus(lifetime), &WriteCondition::Always, now)
            }
            StoreChange::TakeMember { set, member } => self.take(&member_key(&set, &member), now),
        }
    }

    fn write(
        &mut self,
        key: &str,
        value: Bytes,
        end: Timestamp,
        condition: &WriteCondition,
        now: Timestamp,
    ) -> Result<Applied, StorageError> {
        let there = self.entry(key, now)?;
        if !condition.is_met_by(there.as_ref().and_then(Entry::bytes)) {
            return Ok(Ok(StoreOutcome::Written(false)));
        }
        let added = self.put(key, there, &Entry { end, value: Value::Bytes(value) }, now)?;
        Ok(if added { Ok(StoreOutcome::Written(true)) } else { Err(ChangeError::Full) })
    }

    fn take(&mut self, key: &str, now: Timestamp) -> Result<Applied, StorageError> {
        let there = self.entry(key, now)?;
        if let Some(entry) = &there {
            self.remove(key, entry.end)?;
        }
        Ok(Ok(StoreOutcome::Taken(there.as_ref().and_then(Entry::bytes).cloned())))
    }

    fn count(
        &mut self,
        key: &str,
        add: u64,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Applied, StorageError> {
        let there = self.entry(key, now)?;
        let (sum, end) = match &there {
            Some(Entry { value: Value::Bytes(_), .. }) => return Ok(Err(ChangeError::NotCounter)),
            Some(Entry { value: Value::Count(sum), end }) => (sum.saturating_add(add), *end),
            None => (add, now.plus(lifetime)),
        };
        if add == 0 {
            return Ok(Ok(StoreOutcome::Sum(sum)));
        }
        let added = self.put(key, there, &Entry { end, value: Value::Count(sum) }, now)?;
        Ok(if added { Ok(StoreOutcome::Sum(sum)) } else { Err(ChangeError::Full) })
    }

    /// Returns the entry of a key unless it has expired; removes an expired one.
    fn entry(&mut self, key: &str, now: Timestamp) -> Result<Option<Entry>, StorageError> {
        let there = self.entries.get(key)?.map(|guard| Entry::read(guard.value()));
        match there {
            Some(entry) if entry.end <= now => {
                self.remove(key, entry.end)?;
                Ok(None)
            }
            there => Ok(there),
        }
    }

    /// Writes an entry, replacing an earlier one; returns `false` if the kind is full.
    fn put(
        &mut self,
        key: &str,
        there: Option<Entry>,
        entry: &Entry,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let kind = key_kind(key);
        match there {
            Some(there) if there.end == entry.end => {}
            Some(there) => {
                self.ends.remove((kind, there.end.as_unix_seconds(), key))?;
            }
            None => {
                if self.count_of(kind)? >= self.entries_per_kind && self.expire(kind, 1, now)? == 0
                {
                    return Ok(false);
                }
                *self.counted(kind)? += 1;
            }
        }
        let end = entry.end.as_unix_seconds();
        match &entry.value {
            Value::Bytes(bytes) => self.entries.insert(key, (end, false, &**bytes))?,
            Value::Count(sum) => self.entries.insert(key, (end, true, &sum.to_le_bytes()[..]))?,
        };
        self.ends.insert((kind, end, key), ())?;
        self.changed = true;
        // Remove two for each one added, so that expired entries do not pile up.
        self.expire(kind, 2, now)?;
        Ok(true)
    }

    fn remove(&mut self, key: &str, end: Timestamp) -> Result<(), StorageError> {
        let kind = key_kind(key);
        self.entries.remove(key)?;
        self.ends.remove((kind, end.as_unix_seconds(), key))?;
        let count = self.counted(kind)?;
        *count = count.saturating_sub(1);
        self.changed = true;
        Ok(())
    }

    /// Removes up to `most` expired entries of a kind, and returns their number.
    fn expire(&mut self, kind: &str, most: usize, now: Timestamp) -> Result<usize, StorageError> {
        let after = now.as_unix_seconds().saturating_add(1);
        let mut expired = Vec::new();
        for end in self.ends.range((kind, 0, "")..(kind, after, ""))?.take(most) {
            let (end, _) = end?;
            let (_, end, key) = end.value();
            expired.push((Timestamp::from_unix_seconds(end), key.to_owned()));
        }
        for (end, key) in &expired {
            self.remove(key, *end)?;
        }
        Ok(expired.len())
    }

    /// Sweeps one kind, the next one each time, so that kinds without new writes are swept too.
    pub(super) fn sweep(&mut self, swept: &mut String, now: Timestamp) -> Result<(), StorageError> {
        let next = {
            let mut kinds = self.kinds.range(swept.as_str()..)?;
            let mut next = String::new();
            for kind in kinds.by_ref() {
                let (kind, _) = kind?;
                if kind.value() > swept.as_str() {
                    kind.value().clone_into(&mut next);
                    break;
                }
            }
            next
        };
        // The first follows the last; its name may be empty.
        *swept = next;
        self.expire(swept.clone().as_str(), SWEEP_BATCH, now)?;
        Ok(())
    }

    fn count_of(&mut self, kind: &str) -> Result<u64, StorageError> {
        self.counted(kind).copied()
    }

    fn counted(&mut self, kind: &str) -> Result<&mut u64, StorageError> {
        if !self.counts.contains_key(kind) {
            let count = self.kinds.get(kind)?.map_or(0, |guard| guard.value());
            self.counts.insert(kind.to_owned(), count);
        }
        Ok(self.counts.entry(kind.to_owned()).or_default())
    }

    /// Writes the numbers of entries, and returns whether anything was changed.
    pub(super) fn close(mut self) -> Result<bool, StorageError> {
        for (kind, count) in &self.counts {
            if !self.changed {
                break;
            }
            if *count == 0 {
                self.kinds.remove(kind.as_str())?;
            } else {
                self.kinds.insert(kind.as_str(), count)?;
            }
        }
        Ok(self.changed)
    }
}

impl Entry {
    fn read((end, is_count, bytes): (u64, bool, &[u8])) -> Self {
        let value = match (is_count, bytes.try_into()) {
            (true, Ok(sum)) => Value::Count(u64::from_le_bytes(sum)),
            // This program never writes a counter of another length.
            (true, Err(_)) => Value::Count(u64::MAX),
            (false, _) => Value::Bytes(Bytes::copy_from_slice(bytes)),
        };
        Self { end: Timestamp::from_unix_seconds(end), value }
    }

    fn bytes(&self) -> Option<&Bytes> {
        match &self.value {
            Value::Bytes(bytes) => Some(bytes),
            Value::Count(_) => None,
        }
    }
}

/// Creates all tables, so that readers find them.
pub(super) fn create(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(FORMAT)?.insert("form", FORMAT_VERSION)?;
    Tables::open(&transaction, 0)?;
    transaction.commit()?;
    Ok(())
}

pub(super) fn value(
    database: &Database,
    key: &str,
    now: Timestamp,
) -> Result<Option<Bytes>, redb::Error> {
    let entries = database.begin_read()?.open_table(ENTRIES)?;
    let entry = entries.get(key)?.map(|guard| Entry::read(guard.value()));
    Ok(entry.filter(|entry| entry.end > now).and_then(|entry| entry.bytes().cloned()))
}

/// Returns the entries whose keys have this prefix, by the rest of their keys.
pub(super) fn members(
    database: &Database,
    before: &str,
    now: Timestamp,
) -> Result<Vec<(String, Bytes)>, redb::Error> {
    let entries = database.begin_read()?.open_table(ENTRIES)?;
    let mut members = Vec::new();
    for member in entries.range(before..)? {
        let (key, value) = member?;
        let Some(name) = key.value().strip_prefix(before) else { break };
        let entry = Entry::read(value.value());
        if entry.end > now
            && let Some(bytes) = entry.bytes()
        {
            members.push((name.to_owned(), bytes.clone()));
        }
    }
    Ok(members)
}

/// The value in [`FORMAT`].
pub(super) const FORMAT_VERSION: u64 = 1;
/// The number of expired entries swept with each commit, in addition to those of the written kinds.
const SWEEP_BATCH: usize = 64;
