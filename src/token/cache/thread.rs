//! A thread's own copies of a few tokens.

use std::sync::Arc;

use super::CacheEntry;
use crate::token::keys::KeySetId;

/// A thread's copies of a few tokens, each in the slot given by its hash.
pub(crate) struct ThreadCache<T> {
    slots: Vec<Slot<T>>,
}

struct Slot<T> {
    key: SlotKey,
    /// Holds the token itself, which is compared as a whole.
    copy: Option<(KeySetId, Arc<T>)>,
    /// The last missed key. A second miss in a row promotes it.
    candidate: SlotKey,
}

/// A token in one of the caches of the process.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct SlotKey {
    /// The id of the cache; none has the id 0.
    pub(super) cache: u64,
    pub(super) hash: u64,
}

impl<T> ThreadCache<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T: CacheEntry> ThreadCache<T> {
    /// Returns the copy for this token, and the keys that it was verified with.
    pub(super) fn get(&self, key: SlotKey, token: &[u8]) -> Option<(KeySetId, Arc<T>)> {
        let slot = self.slots.get(key.index()).filter(|slot| slot.key == key)?;
        let (keys, value) = slot.copy.as_ref().filter(|(_, value)| value.token() == token)?;
        Some((*keys, Arc::clone(value)))
    }

    /// Keeps a value that this thread has unpacked, if it was the last one missed in its slot.
    pub(super) fn promote(&mut self, key: SlotKey, keys: KeySetId, value: &Arc<T>) {
        if self.slots.is_empty() {
            let none = SlotKey { cache: 0, hash: 0 };
            self.slots.resize_with(SLOTS, || Slot { key: none, copy: None, candidate: none });
        }
        let Some(slot) = self.slots.get_mut(key.index()) else { return };
        if slot.candidate == key {
            slot.key = key;
            slot.copy = Some((keys, Arc::clone(value)));
        } else {
            slot.candidate = key;
        }
    }
}

impl SlotKey {
    fn index(self) -> usize {
        // The low bits: fewer than any integer has.
        (self.hash % SLOTS as u64) as usize
    }
}

/// Returns whether threads copy this token.
pub(super) fn is_copied(token: &[u8]) -> bool {
    token.len() <= MAX_COPIED_TOKEN_BYTES
}

/// Bounds of a thread's copies: their number, and the size of each token.
const SLOTS: usize = 32;
const MAX_COPIED_TOKEN_BYTES: usize = 4096;
