//! Fetching the text of a key set over any transport.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

/// Fetches the text of a key set.
///
/// `HttpFetch` (feature `http-client`) is the usual one; implement this for another transport. The time
/// limit is ten seconds.
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
    /// Creates a response from a key set's JSON text.
    #[must_use]
    pub fn new(text: impl Into<Bytes>) -> Self {
        Self { text: text.into(), max_age: None }
    }

    /// Sets the lifetime that the server sends; [`RefreshPolicy`](super::RefreshPolicy) bounds it.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }
}

/// The error for a failed fetch of a key set.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(Box<dyn std::error::Error + Send + Sync>);

impl FetchError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
