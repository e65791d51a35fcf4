//! A process's copy of the store's tokens: as last read, with its own changes since.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::record::Record;
use super::revoked::{Fingerprint, Reason, RevokedSecret, RevokedSecrets};
use super::usage::Usage;
use super::{ServiceTokens, TokenEntry};
use crate::clock::Timestamp;

/// The records as last read, with the changes of this process since.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) records: BTreeMap<Box<str>, Record>,
    /// Incremented with every change of this process: a read that overlaps a change is stale.
    pub(super) changes: u64,
    /// The last tokens that this process deleted: they are not restored to a store that lost its data.
    deleted: VecDeque<Box<str>>,
    /// Revoked secrets. Entries stay while the process runs.
    pub(super) revoked: RevokedSecrets,
    /// Revoked secrets that may not be in the store yet.
    pub(super) unwritten: BTreeMap<Fingerprint, RevokedSecret>,
    /// Tokens that were removed from the file, until this file is in force.
    pub(super) unlisted: Vec<(Fingerprint, RevokedSecret)>,
    /// Tokens not in force because another has the name, as last logged.
    shadowed: BTreeSet<Box<str>>,
    usage: HashMap<Box<str>, Arc<Usage>>,
}

impl State {
    /// Revokes a secret in this process.
    pub(super) fn revoke(&mut self, fingerprint: Fingerprint, revoked: RevokedSecret) {
        if self.revoked.add(fingerprint.clone(), revoked.clone()) {
            self.unwritten.insert(fingerprint, revoked);
        }
    }

    /// Applies a change of this process, unless a later one is known. Returns whether the table
    /// changes.
    pub(super) fn adopt(&mut self, record: Record, is_new: bool) -> bool {
        self.changes += 1;
        let known = self.records.get(&record.id).map(|known| known.version);
        let is_later = known.map_or(is_new, |version| version < record.version);
        if is_later {
            self.records.insert(record.id.clone(), record);
        }
        is_later
    }

    /// Applies a deletion of this process.
    pub(super) fn forget(&mut self, id: &str) {
        self.changes += 1;
        self.records.remove(id);
        self.deleted.push_back(id.into());
        if self.deleted.len() > MAX_DELETED {
            self.deleted.pop_front();
        }
    }

    /// Returns the ids of records that this process deleted, and that another process restored to a
    /// store which had lost its data.
    pub(super) fn deleted_among(&self, records: &BTreeMap<Box<str>, Record>) -> Vec<Box<str>> {
        let is_deleted = |record: &&Record| {
            let revoked = self.revoked.get(&record.fingerprint());
            revoked.is_some_and(|revoked| revoked.reason == Reason::Deleted)
                || self.deleted.contains(&record.id)
        };
        records.values().filter(is_deleted).map(|record| record.id.clone()).collect()
    }

    /// Returns the table that requests read: the file's tokens first, then the store's.
    pub(super) fn table(&mut self, in_file: &ServiceTokens) -> ServiceTokens {
        let revoked = &self.revoked;
        let is_good = |record: &&Record| revoked.get(&record.fingerprint()).is_none();
        let mut records: Vec<&Record> = self.records.values().filter(is_good).collect();
        // Of two tokens with one name the earlier one is in force, on every machine.
        records.sort_by_key(|record| (record.created_at, &record.id));
        let usage = &mut self.usage;
        let known = records.into_iter().map(|record| TokenEntry {
            token: record.token(),
            previous: record.previous.as_ref().map(|previous| {
                (previous.secret.clone(), Timestamp::from_unix_seconds(previous.until))
            }),
            is_in_store: true,
            void_until: revoked.void_until(&record.client_id),
            usage: Arc::clone(usage.entry(record.id.clone()).or_default()),
        });
        let (table, shadowed) = in_file.without_revoked(revoked).with_stored(known);
        self.usage.retain(|id, _| self.records.contains_key(id));
        let shadowed: BTreeSet<Box<str>> = shadowed.into_iter().collect();
        for id in shadowed.difference(&self.shadowed) {
            let name = self.records.get(id).map(|record| &*record.name);
            tracing::error!(
                id,
                name,
                "a service token of the store is not in force: another token has its id, name or \
                 client id, in the file or earlier in the store; rename or delete one of the two"
            );
        }
        self.shadowed = shadowed;
        table
    }
}

const MAX_DELETED: usize = 1_000;
