//! A store that tells what it was made to hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tower_access::store::{MemoryStore, Store, StoreChange, StoreFuture, StoreOutcome};

/// A [`MemoryStore`] that keeps account of every key it was ever given.
#[derive(Debug)]
pub struct Ledger {
    store: MemoryStore,
    /// By key, the bytes of its longest record: key and value.
    written: Mutex<HashMap<String, usize>>,
}

impl Ledger {
    pub fn new(store: MemoryStore) -> Arc<Self> {
        Arc::new(Self { store, written: Mutex::default() })
    }

    /// How many records of each kind were ever written, and how many bytes of keys and values.
    pub fn kinds(&self) -> BTreeMap<String, (usize, usize)> {
        let mut kinds = BTreeMap::<_, (usize, usize)>::new();
        for (key, bytes) in &*self.written.lock().unwrap() {
            let kind = kinds.entry(key.split('/').next().unwrap().to_owned()).or_default();
            *kind = (kind.0 + 1, kind.1 + bytes);
        }
        kinds
    }

    /// Every record of this kind: its key, with a set's member behind a line feed, and how many bytes
    /// its value has.
    pub fn sizes(&self, kind: &str) -> Vec<(String, usize)> {
        let written = self.written.lock().unwrap();
        let of_kind = written.iter().filter(|(key, _)| key.split('/').next() == Some(kind));
        of_kind.map(|(key, bytes)| (key.clone(), bytes - key.len())).collect()
    }

    pub fn records(&self, kind: &str) -> usize {
        self.kinds().get(kind).map_or(0, |(records, _)| *records)
    }

    fn note(&self, key: &str, value: usize) {
        let mut written = self.written.lock().unwrap();
        match written.get_mut(key) {
            Some(bytes) => *bytes = (*bytes).max(key.len() + value),
            None => drop(written.insert(key.to_owned(), key.len() + value)),
        }
    }
}

impl Store for Ledger {
    fn apply(&self, change: StoreChange) -> StoreFuture<'_, StoreOutcome> {
        match &change {
            StoreChange::Write { key, value, .. } => self.note(key, value.len()),
            StoreChange::Count { key, add: 1.., .. } => self.note(key, size_of::<u64>()),
            StoreChange::PutMember { set, member, value, .. } => {
                self.note(&format!("{set}\n{member}"), value.len());
            }
            _ => {}
        }
        self.store.apply(change)
    }

    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        self.store.get(key)
    }

    fn members<'a>(&'a self, set: &'a str) -> StoreFuture<'a, Vec<(String, Bytes)>> {
        self.store.members(set)
    }

    fn notify<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, ()> {
        self.store.notify(channel)
    }

    fn notified<'a>(&'a self, channel: &'a str, seen: u64) -> StoreFuture<'a, u64> {
        self.store.notified(channel, seen)
    }
}
