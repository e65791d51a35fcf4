//! Three engines over one store against a slow and obvious model: whatever happens in whatever
//! order, a token is good everywhere until it or its key ends, and nobody signs with a key that
//! somebody does not publish.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tower_access::clock::Clock;
use tower_access::issuer::KeyRotation;
use tower_access::store::Store;

use super::store::LIST;
use super::{DAY, HOUR, Issuing, LEAD, OVERLAP, SECOND, Surroundings, end, key_id};

#[derive(Clone, Copy, Debug)]
enum Event {
    /// So many seconds pass. Within a second everybody hears of everything.
    Advance(u64),
    Rotate(usize),
    RotateTwo,
    LogIn(usize),
    /// Every token is shown to this engine.
    Verify(usize),
    /// It goes, and a new one comes in its place.
    Restart(usize),
    Flush,
}

fn events() -> impl Strategy<Value = Event> {
    let seconds = |durations: &[std::time::Duration]| -> Vec<u64> {
        durations.iter().map(std::time::Duration::as_secs).collect()
    };
    let long = seconds(&[HOUR, DAY, 3 * DAY, OVERLAP - LEAD, OVERLAP - SECOND, OVERLAP]);
    prop_oneof![
        4 => (1_u64..7).prop_map(Event::Advance),
        3 => prop::sample::select(long).prop_map(Event::Advance),
        3 => (0_usize..3).prop_map(Event::Rotate),
        1 => Just(Event::RotateTwo),
        6 => (0_usize..3).prop_map(Event::LogIn),
        4 => (0_usize..3).prop_map(Event::Verify),
        1 => (0_usize..3).prop_map(Event::Restart),
        1 => Just(Event::Flush),
    ]
}

/// What is known of a key; a later one stands behind.
struct ModelKey {
    id: String,
    signs_from: u64,
}

#[derive(Default)]
struct Model {
    keys: Vec<ModelKey>,
    tokens: Vec<String>,
}

impl Model {
    fn signer(&self, now: u64) -> &str {
        let may_sign = |key: &&ModelKey| key.signs_from <= now;
        &self.keys.iter().rev().find(may_sign).expect("the first one may always").id
    }

    /// When a key stops to verify: its overlap counts from the first moment a later one signs.
    fn end(&self, id: &str) -> u64 {
        let index = self.keys.iter().position(|key| key.id == id).expect("a key of ours");
        let later = self.keys[index + 1..].iter().map(|key| key.signs_from);
        later.min().map_or(u64::MAX, |stops| stops + OVERLAP.as_secs())
    }

    fn published(&self, now: u64) -> usize {
        self.keys.iter().filter(|key| now < self.end(&key.id)).count()
    }
}

struct World {
    surroundings: Surroundings,
    nodes: Vec<Issuing>,
    model: Model,
}

impl World {
    async fn new() -> Self {
        let surroundings = Surroundings::new();
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(surroundings.node(KeyRotation::default().manual()).await.0);
        }
        let id = nodes[0].key_ids().await.remove(0);
        let mut model = Model::default();
        model.keys.push(ModelKey { id, signs_from: surroundings.clock.now().as_unix_seconds() });
        Self { surroundings, nodes, model }
    }

    fn now(&self) -> u64 {
        self.surroundings.clock.now().as_unix_seconds()
    }

    async fn apply(&mut self, event: Event) {
        match event {
            Event::Advance(seconds) => {
                self.settle().await;
                self.surroundings.advance(SECOND * u32::try_from(seconds).unwrap());
            }
            Event::Rotate(node) => self.rotate(&[node]).await,
            Event::RotateTwo => self.rotate(&[0, 2]).await,
            Event::LogIn(node) => {
                let token = self.nodes[node].log_in().await;
                let signer = key_id(&token);
                assert_eq!(signer, self.model.signer(self.now()));
                for node in &self.nodes {
                    assert!(node.key_ids().await.contains(&signer), "signed, not published");
                }
                self.model.tokens.push(token);
            }
            Event::Verify(node) => {
                for token in &self.model.tokens {
                    let ends = end(token).min(self.model.end(&key_id(token)));
                    assert_eq!(self.nodes[node].opens(token).await, self.now() < ends);
                }
            }
            Event::Restart(node) => {
                let rotation = KeyRotation::default().manual();
                // A store that was just emptied is filled again first.
                self.settle().await;
                self.nodes[node] = self.surroundings.node(rotation).await.0;
            }
            Event::Flush => {
                self.surroundings.store.flush();
                self.settle().await;
            }
        }
    }

    async fn rotate(&mut self, by: &[usize]) {
        if self.model.published(self.now()) + by.len() > MOST_KEYS {
            return;
        }
        let signs_from = self.now() + LEAD.as_secs();
        let count = self.model.published(self.now());
        let rotations = by.iter().map(|node| self.nodes[*node].access.rotate_keys());
        for rotated in futures_util::future::join_all(rotations).await {
            rotated.unwrap();
        }
        // Behind the one that signs stand the others, the newest first.
        let ids = self.nodes[by[0]].key_ids_when(count + by.len()).await;
        let mut new = ids[1..=by.len()].to_vec();
        new.reverse();
        self.model.keys.extend(new.into_iter().map(|id| ModelKey { id, signs_from }));
    }

    /// Waits until everybody has heard of everything.
    async fn settle(&self) {
        let count = self.model.published(self.now());
        for node in &self.nodes {
            node.key_ids_when(count).await;
        }
        let store = &self.surroundings.store;
        while store.count_of_keys().await < count || store.get(LIST).await.unwrap().is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(4)).await;
        }
    }
}

/// Of more than nine the oldest would go.
const MOST_KEYS: usize = 8;
const CASES: u32 = 12;

#[test]
fn key_14_tokens_of_several_engines_are_good_until_they_or_their_keys_end() {
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    let ran = runner.run(&vec(events(), 10..30), |events| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for event in events {
                world.apply(event).await;
            }
            for node in 0..3 {
                world.apply(Event::Verify(node)).await;
            }
        });
        Ok(())
    });
    ran.unwrap();
}
