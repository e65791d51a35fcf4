//! A store, and the time that passes for it.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tower_access::clock::{ManualClock, Timestamp};
use tower_access::store::{MemoryStore, RedbStore, Store};

use super::folder::Folder;
use super::server::RedisServer;

pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    /// `None`: the server's time, which nobody can move.
    clock: Option<Arc<ManualClock>>,
    /// What the store lives in. Dropped after it.
    _below: Box<dyn Any + Send + Sync>,
}

impl World {
    /// A lifetime. Real ones are long enough for a machine that is busy with other things.
    pub(crate) fn life(&self, units: u32) -> Duration {
        units * if self.clock.is_some() { Duration::from_secs(60) } else { UNIT }
    }

    /// Waits until so long a lifetime is over.
    pub(crate) async fn pass(&self, units: u32) {
        match &self.clock {
            Some(clock) => clock.advance(self.life(units)),
            None => tokio::time::sleep(self.life(units) + Duration::from_millis(5)).await,
        }
    }
}

pub(crate) async fn memory(bound: usize) -> World {
    let clock = clock();
    let store = Arc::new(MemoryStore::new(Arc::clone(&clock), bound));
    World { store, clock: Some(clock), _below: Box::new(()) }
}

pub(crate) async fn redb(bound: usize) -> World {
    let (clock, folder) = (clock(), Folder::new());
    let store = RedbStore::open(folder.file("state.redb"), Arc::clone(&clock)).unwrap();
    let store = Arc::new(store.with_entries_per_kind(bound.try_into().unwrap()));
    World { store, clock: Some(clock), _below: Box::new(folder) }
}

pub(crate) async fn redis(bound: usize) -> World {
    let server = RedisServer::start(&[]).await;
    let store = server.settings().members_per_set(bound).build().unwrap();
    World { store: Arc::new(store), clock: None, _below: Box::new(server) }
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_unix_seconds(1_790_000_000)))
}

const UNIT: Duration = Duration::from_millis(1_000);
