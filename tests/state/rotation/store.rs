//! A store in memory that several engines share, that shows what was written, fails, is out of
//! reach, and forgets.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Barrier;
use tower_access::clock::ManualClock;
use tower_access::store::{MemoryStore, Store, StoreChange, StoreError, StoreFuture, StoreOutcome};

/// One connection to it.
#[derive(Clone, Debug)]
pub(crate) struct TestStore {
    shared: Arc<Shared>,
    is_away: Arc<AtomicBool>,
    is_deaf: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<ManualClock>,
    memory: Mutex<Arc<MemoryStore>>,
    /// How often it has begun with nothing again.
    life: AtomicU64,
    /// Every value that was ever written, as it was written.
    written: Mutex<Vec<(String, Bytes)>>,
    /// How many more values of keys are taken; the next one fails.
    room: AtomicUsize,
    /// Whether what fails is written all the same, as when an answer is lost on its way.
    writes_anyway: AtomicBool,
    /// Where those meet that read the list of keys, once.
    meeting: Mutex<Option<Arc<Barrier>>>,
}

pub(crate) const ROOM: usize = usize::MAX;

impl TestStore {
    pub(crate) fn new(clock: Arc<ManualClock>) -> Self {
        let shared = Shared {
            memory: Mutex::new(memory(&clock)),
            clock,
            life: AtomicU64::new(0),
            written: Mutex::default(),
            room: AtomicUsize::new(ROOM),
            writes_anyway: AtomicBool::new(false),
            meeting: Mutex::default(),
        };
        Self { shared: Arc::new(shared), is_away: Arc::default(), is_deaf: Arc::default() }
    }

    pub(crate) fn another_connection(&self) -> Self {
        Self { is_away: Arc::default(), is_deaf: Arc::default(), ..self.clone() }
    }

    /// Whether everything fails that goes over this connection and has to do with keys.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    /// Whether nobody hears of a change over this connection.
    pub(crate) fn set_deaf(&self, is_deaf: bool) {
        self.is_deaf.store(is_deaf, Ordering::SeqCst);
    }

    /// Takes so many values of keys, and fails from then on.
    pub(crate) fn fail_after(&self, count: usize) {
        self.shared.room.store(count, Ordering::SeqCst);
    }

    pub(crate) fn write_anyway(&self) {
        self.shared.writes_anyway.store(true, Ordering::SeqCst);
    }

    /// The next so many that read the list of keys go on when all of them have.
    pub(crate) fn let_readers_meet(&self, count: usize) {
        *self.shared.meeting.lock().unwrap() = Some(Arc::new(Barrier::new(count)));
    }

    /// How many of the keys that were ever written are there.
    pub(crate) async fn count_of_keys(&self) -> usize {
        let written = self.written();
        let names: BTreeSet<_> = written.iter().map(|(name, _)| name.as_str()).collect();
        let mut count = 0;
        for name in names.into_iter().filter(|name| is_key(name)) {
            count += usize::from(self.memory().get(name).await.unwrap().is_some());
        }
        count
    }

    /// Forgets everything, channels as well.
    pub(crate) fn flush(&self) {
        let mut present = self.shared.memory.lock().unwrap();
        self.shared.life.fetch_add(1, Ordering::SeqCst);
        *present = memory(&self.shared.clock);
    }

    pub(crate) fn written(&self) -> Vec<(String, Bytes)> {
        self.shared.written.lock().unwrap().clone()
    }

    fn memory(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.shared.memory.lock().unwrap())
    }

    async fn reach(&self, name: &str) -> Result<Arc<MemoryStore>, StoreError> {
        // As over a wire: others run meanwhile.
        tokio::task::yield_now().await;
        if name.starts_with("signing-keys") && self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError::new("away"));
        }
        Ok(self.memory())
    }

    /// `Err` where a value is not to be written, or only by mistake.
    fn record(&self, key: &str, value: &Bytes) -> Result<(), StoreError> {
        let less = |room: usize| match room {
            ROOM => Some(ROOM),
            room => room.checked_sub(1),
        };
        let room = &self.shared.room;
        if key.starts_with("signing-keys/")
            && room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err()
        {
            return Err(StoreError::new("away"));
        }
        self.shared.written.lock().unwrap().push((key.to_owned(), value.clone()));
        Ok(())
    }

    async fn write(
        &self,
        memory: &MemoryStore,
        recorded: Result<(), StoreError>,
        change: StoreChange,
    ) -> Result<StoreOutcome, StoreError> {
        match recorded {
            Ok(()) => memory.apply(change).await,
            Err(error) => {
                if self.shared.writes_anyway.load(Ordering::SeqCst) {
                    drop(memory.apply(change).await);
                }
                Err(error)
            }
        }
    }
}

/// Whether this is the name of a key's record.
fn is_key(name: &str) -> bool {
    name.strip_prefix("signing-keys/").is_some_and(|id| id.len() == 64)
}

fn memory(clock: &Arc<ManualClock>) -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(Arc::clone(clock), 1_000))
}

impl Store for TestStore {
    fn apply(&self, change: StoreChange) -> StoreFuture<'_, StoreOutcome> {
        Box::pin(async move {
            match &change {
                StoreChange::Write { key, value, .. } => {
                    let memory = self.reach(key).await?;
                    let recorded = self.record(key, value);
                    self.write(&memory, recorded, change).await
                }
                StoreChange::Take { key } => self.reach(key).await?.apply(change).await,
                _ => self.memory().apply(change).await,
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let value = self.reach(key).await?.get(key).await;
            let meeting = self.shared.meeting.lock().unwrap().clone();
            if let Some(meeting) = meeting.filter(|_| key == LIST) {
                meeting.wait().await;
                self.shared.meeting.lock().unwrap().take();
            }
            value
        })
    }

    fn members<'a>(&'a self, set: &'a str) -> StoreFuture<'a, Vec<(String, Bytes)>> {
        Box::pin(async move { self.memory().members(set).await })
    }

    fn notify<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.reach(channel).await?.notify(channel).await })
    }

    /// Looks again and again, as over a connection that may be gone.
    fn notified<'a>(&'a self, channel: &'a str, seen: u64) -> StoreFuture<'a, u64> {
        Box::pin(async move {
            loop {
                let memory = self.reach(channel).await?;
                let number = match memory.notified(channel, NO_NUMBER).await? {
                    0 => 0,
                    count => (self.shared.life.load(Ordering::SeqCst) << 32) + count,
                };
                if number != seen && !self.is_deaf.load(Ordering::SeqCst) {
                    return Ok(number);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        })
    }
}

pub(crate) const LIST: &str = "signing-keys/list";
const NO_NUMBER: u64 = u64::MAX;
const LOOK_EVERY: Duration = Duration::from_millis(20);
