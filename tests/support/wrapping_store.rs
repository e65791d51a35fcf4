//! A store in memory around whose every operation a test does something of its own.

use std::fmt;

use bytes::Bytes;
use tower_access::store::{MemoryStore, Store, StoreChange, StoreError, StoreFuture, StoreOutcome};

/// What happens around every operation. An error takes the place of the outcome.
pub trait Hooks: fmt::Debug + Send + Sync + 'static {
    fn before(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    fn after(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }
}

#[derive(Debug)]
pub struct WrappingStore<H> {
    pub hooks: H,
    store: MemoryStore,
}

impl<H: Hooks> WrappingStore<H> {
    pub fn new(store: MemoryStore, hooks: H) -> Self {
        Self { hooks, store }
    }

    fn around<'a, T: Send + 'a>(&'a self, operation: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        Box::pin(async move {
            self.hooks.before().await?;
            let outcome = operation.await?;
            self.hooks.after().await?;
            Ok(outcome)
        })
    }
}

impl<H: Hooks> Store for WrappingStore<H> {
    fn apply(&self, change: StoreChange) -> StoreFuture<'_, StoreOutcome> {
        self.around(self.store.apply(change))
    }

    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>> {
        self.around(self.store.get(key))
    }

    fn members<'a>(&'a self, set: &'a str) -> StoreFuture<'a, Vec<(String, Bytes)>> {
        self.around(self.store.members(set))
    }

    fn notify<'a>(&'a self, channel: &'a str) -> StoreFuture<'a, ()> {
        self.around(self.store.notify(channel))
    }

    fn notified<'a>(&'a self, channel: &'a str, seen: u64) -> StoreFuture<'a, u64> {
        self.around(self.store.notified(channel, seen))
    }
}
