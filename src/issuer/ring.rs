//! The keys of an issuer over time: which key signs at a given time, and which still verify.
//!
//! The state of a ring follows from its keys and the time alone. Two rings, for example of two
//! processes, are merged by joining their keys, in any order and repeatedly; and a process that knows
//! an announced key starts to sign with it without a further notice.
//!
//! One property of a key changes: the time at which it stops to verify. It is recorded as soon as a
//! later key is known, only moves earlier, and a merge takes the earliest. A removed key is at or
//! below the watermark, which only rises: a process that still has the key cannot restore it.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;

use super::publication::{PublishError, certificate};
use super::signer::SigningKey;

/// A key and its times.
#[derive(Clone, Debug)]
pub(crate) struct RingKey {
    pub(crate) key: Arc<SigningKey>,
    pub(crate) created_at: Timestamp,
    /// The time from which it signs, unless a key with a later sequence number does.
    pub(crate) signs_from: Timestamp,
    /// Its position in the order of keys: of the keys that may sign, the last one does.
    pub(crate) sequence: u64,
    /// The time from which it no longer verifies; `None` while no later key is known.
    pub(crate) verifies_until: Option<Timestamp>,
    /// Its published certificate. Created once, because that takes a signature.
    pub(super) certificate: Arc<str>,
}

/// At least one key, the newest first. Their number is bounded.
#[derive(Clone, Debug)]
pub(crate) struct KeyRing {
    newest: RingKey,
    earlier: Vec<RingKey>,
    /// Every key up to this one has been removed permanently.
    watermark: Option<Position>,
}

/// A key's position in the order of keys: its sequence number, then its id if two are equal.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    pub(crate) key_id: Box<str>,
}

impl RingKey {
    pub(crate) fn new(
        key: SigningKey,
        issuer: &str,
        (created_at, signs_from): (Timestamp, Timestamp),
        sequence: u64,
    ) -> Result<Self, PublishError> {
        let certificate = certificate(&key, issuer, created_at)?.into();
        let key = Arc::new(key);
        Ok(Self { key, created_at, signs_from, sequence, verifies_until: None, certificate })
    }

    pub(crate) fn position(&self) -> Position {
        Position { sequence: self.sequence, key_id: self.key.key_id().into() }
    }

    fn end_by(&mut self, end: Timestamp) {
        self.verifies_until = Some(self.verifies_until.map_or(end, |known| known.min(end)));
    }

    fn order(&self) -> (u64, &str) {
        (self.sequence, self.key.key_id())
    }
}

impl KeyRing {
    pub(crate) fn new(key: RingKey) -> Self {
        Self { newest: key, earlier: Vec::new(), watermark: None }
    }

    /// Creates a ring from keys. Returns `None` without keys.
    pub(crate) fn from_keys(
        keys: impl IntoIterator<Item = RingKey>,
        watermark: Option<Position>,
    ) -> Option<Self> {
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort_by(|left, right| right.order().cmp(&left.order()));
        keys.dedup_by(|removed, stays| {
            let is_same = removed.order() == stays.order();
            if let Some(end) = removed.verifies_until.filter(|_| is_same) {
                stays.end_by(end);
            }
            is_same
        });
        let mut keys = keys.into_iter();
        let ring = Self { newest: keys.next()?, earlier: keys.collect(), watermark };
        Some(ring.above_watermark())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &RingKey> {
        std::iter::once(&self.newest).chain(&self.earlier)
    }

    pub(crate) fn len(&self) -> usize {
        1 + self.earlier.len()
    }

    pub(crate) fn find(&self, key_id: &str) -> Option<&RingKey> {
        self.iter().find(|key| key.key.key_id() == key_id)
    }

    /// Returns the last removed key, in the order of keys.
    pub(crate) fn watermark(&self) -> Option<&Position> {
        self.watermark.as_ref()
    }

    /// Returns the sequence number of a first key: later than any earlier key that a process may still
    /// have.
    pub(crate) fn first_sequence(now: Timestamp) -> u64 {
        now.as_unix_seconds()
    }

    /// Returns the sequence number of the next key.
    pub(crate) fn next_sequence(&self, now: Timestamp) -> u64 {
        let removed = self.watermark.as_ref().map_or(0, |last| last.sequence);
        Self::first_sequence(now).max(self.newest.sequence.max(removed).saturating_add(1))
    }

    /// Returns whether this key was removed.
    pub(crate) fn is_removed(&self, key: &RingKey) -> bool {
        self.watermark.as_ref().is_some_and(|last| key.position() <= *last)
    }

    /// Returns whether all keys of the other ring are in this one, or were removed from it.
    pub(crate) fn contains_all(&self, other: &Self) -> bool {
        other.iter().all(|key| self.find(key.key.key_id()).is_some() || self.is_removed(key))
    }

    /// Returns whether a merge of the other ring would change nothing: it has no further key, no
    /// earlier end, and no later removal.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let is_no_later = |key: &RingKey| match (self.find(key.key.key_id()), key.verifies_until) {
            (Some(known), Some(end)) => known.verifies_until.is_some_and(|known| known <= end),
            (Some(_), None) => true,
            (None, _) => self.is_removed(key),
        };
        other.watermark <= self.watermark && other.iter().all(is_no_later)
    }

    /// Returns the newest key, which may not sign yet.
    pub(crate) fn newest(&self) -> &RingKey {
        &self.newest
    }

    /// Returns the key that signs at `now`.
    pub(crate) fn signer(&self, now: Timestamp) -> &RingKey {
        let oldest = self.earlier.last().unwrap_or(&self.newest);
        self.iter().find(|key| key.signs_from <= now).unwrap_or(oldest)
    }

    /// Returns the keys in publication order: the one that signs, then the others, the newest first.
    pub(super) fn in_publication_order(&self, now: Timestamp) -> Vec<&RingKey> {
        let signer = self.signer(now);
        let others = self.iter().filter(|key| key.order() != signer.order());
        std::iter::once(signer).chain(others).collect()
    }

    /// Returns each key with the time from which it no longer signs, if known.
    fn with_retirement(&self) -> impl Iterator<Item = (&RingKey, Option<Timestamp>)> {
        let mut earliest_after = None;
        self.iter().map(move |key| {
            let retired = earliest_after;
            let earliest = retired.map_or(key.signs_from, |after| key.signs_from.min(after));
            earliest_after = Some(earliest);
            (key, retired)
        })
    }

    /// Returns when the next key starts to sign.
    pub(super) fn next_switch(&self, now: Timestamp) -> Option<Timestamp> {
        self.iter().map(|key| key.signs_from).filter(|from| *from > now).min()
    }

    /// Returns when the next key stops to verify, if recorded.
    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        self.earlier.iter().filter_map(|key| key.verifies_until).min()
    }

    /// Records when each key stops to verify: its overlap begins when it no longer signs, and an earlier
    /// recorded time stays. Then removes expired keys.
    pub(crate) fn without_expired(mut self, overlap: Duration, now: Timestamp) -> Self {
        let ends: Vec<_> =
            self.with_retirement().map(|(_, retired)| Some(retired?.plus(overlap))).collect();
        // The newest is never retired.
        for (key, end) in self.earlier.iter_mut().zip(ends.into_iter().skip(1)) {
            if let Some(end) = end {
                key.end_by(end);
            }
        }
        let is_over = |key: &&RingKey| key.verifies_until.is_some_and(|end| end <= now);
        let last = self.earlier.iter().filter(is_over).map(RingKey::position).max();
        self.watermark = self.watermark.take().max(last);
        self.above_watermark()
    }

    /// Removes keys at or below the watermark. The newest key always stays.
    fn above_watermark(mut self) -> Self {
        if let Some(last) = &self.watermark {
            self.earlier.retain(|key| key.position() > *last);
        }
        self
    }

    /// Merges the keys of another ring.
    pub(crate) fn merged(self, other: &Self, now: Timestamp) -> Self {
        let present = self.clone();
        let watermark = self.watermark.clone().max(other.watermark.clone());
        let mut keys = vec![self.newest];
        keys.extend(self.earlier);
        keys.extend(other.iter().cloned());
        Self::from_keys(keys, watermark).unwrap_or(present).bounded(now)
    }

    /// Returns a ring with this key only. Every other key is removed permanently, in every process.
    pub(crate) fn replaced_by(&self, key: RingKey) -> Self {
        let last = self.iter().map(RingKey::position).max();
        let watermark = self.watermark.clone().max(last);
        Self { newest: key, earlier: Vec::new(), watermark }
    }

    /// Adds a key. A key that was announced before and would start to sign later never does.
    ///
    /// Returns `None` if too many announced keys do not sign yet.
    pub(crate) fn with_announced(self, key: RingKey, now: Timestamp) -> Option<Self> {
        let earlier = std::iter::once(self.newest).chain(self.earlier).collect();
        let ring = Self { newest: key, earlier, watermark: self.watermark }.bounded(now);
        (ring.earlier.len() <= MAX_EARLIER).then_some(ring)
    }

    /// Removes the oldest of more than eight earlier keys, unless they may sign.
    fn bounded(mut self, now: Timestamp) -> Self {
        while self.earlier.len() > MAX_EARLIER {
            let oldest = self.with_retirement().last();
            if oldest.is_none_or(|(_, retired)| retired.is_none_or(|at| at > now)) {
                break;
            }
            let removed = self.earlier.pop().map(|key| key.position());
            self.watermark = self.watermark.max(removed);
        }
        self
    }
}

pub(super) const MAX_EARLIER: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000 + seconds)
    }

    fn key(sequence: u64, signs_from: u64) -> RingKey {
        let key = SigningKey::generate().unwrap();
        RingKey::new(key, "https://login.example.com", (at(0), at(signs_from)), sequence).unwrap()
    }

    fn sequences(ring: &KeyRing) -> Vec<u64> {
        ring.iter().map(|key| key.sequence).collect()
    }

    #[test]
    fn key_14_who_signs_follows_from_the_time() {
        let ring = KeyRing::new(key(0, 0)).with_announced(key(1, 60), at(0)).unwrap();
        let signer = |now| ring.signer(at(now)).sequence;
        assert_eq!([signer(0), signer(59), signer(60), signer(1_000)], [0, 0, 1, 1]);
        assert_eq!(ring.next_switch(at(59)), Some(at(60)));
        assert_eq!(ring.next_switch(at(60)), None);
        // The overlap begins when the first one stops to sign.
        assert_eq!(ring.next_end(), None);
        assert_eq!(ring.clone().without_expired(HOUR, at(0)).next_end(), Some(at(3_660)));
        assert_eq!(sequences(&ring.clone().without_expired(HOUR, at(3_659))), [1, 0]);
        assert_eq!(sequences(&ring.clone().without_expired(HOUR, at(3_660))), [1]);
        let order = |now| {
            ring.in_publication_order(at(now)).iter().map(|key| key.sequence).collect::<Vec<_>>()
        };
        assert_eq!((order(59), order(60)), (vec![0, 1], vec![1, 0]));
    }

    #[test]
    fn key_14_a_key_that_waits_gives_way_to_one_that_signs_sooner() {
        let ring = KeyRing::new(key(0, 0)).with_announced(key(1, 3_600), at(0)).unwrap();
        let ring = ring.with_announced(key(2, 65), at(60)).unwrap();
        let signers = [64, 65, 3_600, 9_000].map(|now| ring.signer(at(now)).sequence);
        assert_eq!(signers, [0, 2, 2, 2]);
        // Both that came before verify for as long: nobody knows who has signed with them.
        assert_eq!(sequences(&ring.clone().without_expired(HOUR, at(3_664))), [2, 1, 0]);
        assert_eq!(sequences(&ring.without_expired(HOUR, at(3_665))), [2]);
    }

    #[test]
    fn key_14_rings_merge_in_any_order() {
        let first = KeyRing::new(key(0, 0));
        let (left, right) = (key(1, 10), key(1, 5));
        let last = if left.order() > right.order() { &left } else { &right }.key.key_id();
        let left = first.clone().with_announced(left.clone(), at(0)).unwrap();
        let right = first.clone().with_announced(right.clone(), at(0)).unwrap();
        let one = left.clone().merged(&right, at(0));
        let other = right.merged(&left, at(0)).merged(&first, at(0));
        let ids = |ring: &KeyRing| -> Vec<_> {
            ring.iter().map(|key| key.key.key_id().to_owned()).collect()
        };
        assert_eq!(ids(&one), ids(&other));
        assert_eq!((one.len(), one.newest().key.key_id()), (3, last));
        assert!(one.contains_all(&left) && !left.contains_all(&one));
    }

    #[test]
    fn dos_keys_are_bounded_and_none_that_signs_is_dropped() {
        let of =
            |key: &RingKey, sequence, signs_from| RingKey { sequence, signs_from, ..key.clone() };
        let one = key(0, 0);
        let mut ring = KeyRing::new(one.clone());
        for sequence in 1..=8 {
            ring = ring.with_announced(of(&one, sequence, at(5)), at(0)).unwrap();
        }
        assert!(
            ring.clone().with_announced(of(&one, 9, at(5)), at(4)).is_none(),
            "the first one signs"
        );
        let later = ring.with_announced(of(&one, 9, at(10)), at(5)).unwrap();
        assert_eq!(later.len(), 1 + MAX_EARLIER);
        assert_eq!(later.signer(at(5)).sequence, 8);
    }

    /// Processes with settings of their own, over one list, against a model that remembers what was
    /// over anywhere: nothing of that is in a ring again.
    #[test]
    fn key_15_no_ring_has_a_key_again_that_was_over() {
        use proptest::prelude::*;
        use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

        #[derive(Clone, Debug)]
        enum Event {
            Pass(u64),
            Rotate(usize, u64),
            Overlap(usize, u64),
            Sync(usize),
            Restart(usize),
            /// Writes what it has known for a while, whatever the list says by now.
            Stale(usize),
        }

        /// A process: its settings, its ring, and an older one it remembers.
        struct Process {
            overlap: Duration,
            ring: KeyRing,
            older: KeyRing,
        }

        let keys: Vec<RingKey> = (0..12).map(|sequence| key(sequence, 0)).collect();
        let seconds = || prop::sample::select(vec![0_u64, 1, 5, 60, 3_600]);
        let event = prop_oneof![
            4 => seconds().prop_map(Event::Pass),
            3 => (0..3_usize, prop::sample::select(vec![0_u64, 5])).prop_map(|(process, lead)| {
                Event::Rotate(process, lead)
            }),
            3 => (0..3_usize, seconds()).prop_map(|(process, overlap)| {
                Event::Overlap(process, overlap)
            }),
            3 => (0..3_usize).prop_map(Event::Sync),
            1 => (0..3_usize).prop_map(Event::Restart),
            1 => (0..3_usize).prop_map(Event::Stale),
        ];
        let config = Config { cases: 400, failure_persistence: None, ..Config::default() };
        let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let mut runner = TestRunner::new_with_rng(config, random);
        let ran = runner.run(&prop::collection::vec(event, 5..60), |events| {
            let mut unused = keys.iter().cloned();
            let first = KeyRing::new(unused.next().unwrap());
            let mut processes: Vec<Process> = (0..3)
                .map(|_| Process { overlap: HOUR, ring: first.clone(), older: first.clone() })
                .collect();
            let (mut list, mut time) = (first, 0);
            // The earliest moment at which anybody may have found a key to be over.
            let mut over: std::collections::HashMap<String, Timestamp> = Default::default();
            for event in events {
                let now = at(time);
                match event {
                    Event::Pass(seconds) => time += seconds,
                    Event::Rotate(index, lead) => {
                        let Some(key) = unused.next() else { continue };
                        let process = &mut processes[index];
                        let all = process.ring.clone().merged(&list, now);
                        let sequence = all.newest().sequence + 1;
                        let key = RingKey { sequence, signs_from: at(time + lead), ..key };
                        let all = all.without_expired(process.overlap, now);
                        let Some(next) = all.with_announced(key, now) else { continue };
                        process.ring = next.without_expired(process.overlap, now);
                        list = process.ring.clone();
                    }
                    Event::Overlap(index, overlap) => {
                        processes[index].overlap = Duration::from_secs(overlap);
                    }
                    Event::Sync(index) => {
                        let process = &mut processes[index];
                        let all = process.ring.clone().merged(&list, now);
                        list = all.without_expired(process.overlap, now);
                        process.ring = list.clone();
                    }
                    Event::Restart(index) => {
                        list = list.without_expired(processes[index].overlap, now);
                        processes[index].ring = list.clone();
                    }
                    Event::Stale(index) => {
                        let process = &mut processes[index];
                        let stale = std::mem::replace(&mut process.older, process.ring.clone());
                        list = list.merged(&stale, now);
                    }
                }
                let now = at(time);
                for process in &mut processes {
                    process.ring = process.ring.clone().without_expired(process.overlap, now);
                }
                let rings = processes.iter().map(|process| &process.ring);
                // What the list records holds for everybody who reads it.
                for ring in rings.clone().chain([&list]) {
                    for key in ring.earlier.iter() {
                        if let Some(end) = key.verifies_until {
                            let known = over.entry(key.key.key_id().to_owned()).or_insert(end);
                            *known = end.min(*known);
                        }
                    }
                }
                // Whoever has read the list has nothing that was over when it was written.
                let list_now = list.clone().without_expired(Duration::MAX, now);
                for key in &list_now.earlier {
                    let end = key.verifies_until;
                    prop_assert!(end.is_none_or(|end| end > now), "a key that is over");
                }
                for process in &processes {
                    let all = process.ring.clone().merged(&list, now);
                    let all = all.without_expired(process.overlap, now);
                    for key in list.iter().filter(|key| all.find(key.key.key_id()).is_some()) {
                        let known = all.find(key.key.key_id()).and_then(|key| key.verifies_until);
                        let recorded = key.verifies_until;
                        prop_assert!(
                            recorded.is_none() || known <= recorded,
                            "later than recorded"
                        );
                    }
                    for key in all.iter() {
                        prop_assert!(!list.is_removed(key), "it was removed");
                    }
                }
                // Nobody has a key that it found to be over itself.
                for process in &processes {
                    for key in &process.ring.earlier {
                        let end = key.verifies_until;
                        prop_assert!(end.is_some_and(|end| end > now), "it verifies still");
                    }
                }
            }
            // At last all hear of each other: what was over anywhere is over everywhere.
            let now = at(time);
            for _ in 0..2 {
                for process in &mut processes {
                    let all = process.ring.clone().merged(&list, now);
                    list = all.without_expired(process.overlap, now);
                    process.ring = list.clone();
                }
            }
            for (process, (id, end)) in
                processes.iter().flat_map(|process| over.iter().map(move |over| (process, over)))
            {
                prop_assert!(*end > now || process.ring.find(id).is_none(), "it came back");
            }
            Ok(())
        });
        ran.unwrap();
    }
}
