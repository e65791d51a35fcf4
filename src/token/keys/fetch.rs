//! Fetching the text of a key set, by any transport.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

/// Fetches the text of a key set.
///
/// `HttpFetch` (feature `http-client`) is the usual implementation; implement this for another
/// transport. Every fetch is limited to ten seconds.
pub trait KeyFetch: Send + Sync + fmt::Debug + 'static {
    /// Fetches the key set's JSON text, within its own bounds of time and size.
    fn fetch(&self) -> KeyFuture<'_>;
}

/// The return type of [`KeyFetch::fetch`].
pub type KeyFuture<'a> = Pin<Box<dyn Future<Output = Result<FetchedKeys, FetchError>> + Send + 'a>>;

/// The text of a key set, and the lifetime its server sends.
#[derive(Clone, Debug)]
pub struct FetchedKeys {
    pub(super) text: Bytes,
    pub(super) max_age: Option<Duration>,
}

impl FetchedKeys {
    /// Creates it from a key set's JSON text.
    #[must_use]
    pub fn new(text: impl Into<Bytes>) -> Self {
        Self { text: text.into(), max_age: None }
    }

    /// Sets how long the server says the text is fresh; [`RefreshPolicy`](super::RefreshPolicy)
    /// bounds it.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }
}

/// The error for a key set that could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(Box<dyn std::error::Error + Send + Sync>);

impl FetchError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
