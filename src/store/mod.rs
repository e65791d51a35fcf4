//! Where state lives that outlasts a request: sessions, logins under way, counters.
//!
//! One small trait, [`Store`]; [`MemoryStore`] is the store of a single process. A store knows
//! nothing of what it holds.

mod memory;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

pub use self::memory::MemoryStore;

/// Keys, values and lifetimes.
///
/// Keys look like `kind/name`, plain ASCII, at most 200 bytes; values stay under 16 KiB. What has
/// outlived its lifetime is gone. Every kind has its own bound, so that a flood of one kind never
/// pushes out another. A store that is full or away answers with an error; whoever asked refuses
/// the request, nothing opens.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Stores a value, in place of an earlier one.
    fn put<'a>(&'a self, key: &'a str, value: Bytes, lifetime: Duration) -> StoreFuture<'a, ()>;

    /// Reads a value.
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>>;

    /// Removes a value and returns it, in one step: of two callers one gets it.
    fn take<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Bytes>>;

    /// Adds to a counter, in one step, and returns the sum. The first count starts the lifetime;
    /// later ones do not prolong it. Adding nothing reads a counter and starts none.
    fn count<'a>(&'a self, key: &'a str, add: u64, lifetime: Duration) -> StoreFuture<'a, u64>;
}

/// What the methods of a [`Store`] return.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A store that is full or away.
#[derive(Debug, thiserror::Error)]
#[error("the store does not serve: {0}")]
pub struct StoreError(Box<dyn std::error::Error + Send + Sync>);

impl StoreError {
    /// Wraps whatever went wrong.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
