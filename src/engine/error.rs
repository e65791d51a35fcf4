//! Errors of building and operating an engine.

use std::error::Error;
use std::fmt;

/// Invalid settings of an [`Access`](crate::Access).
///
/// ```
/// use tower_access::Access;
///
/// let error = Access::verifier("acme", "…").unwrap_err();
/// assert!(error.to_string().contains("acme.cloudflareaccess.com"));
/// ```
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct ConfigError(Box<dyn Error + Send + Sync>);

/// Prints the message, because `?` in `main` prints the debug form.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl ConfigError {
    pub(crate) fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// A failed rotation of the signing key.
#[derive(Debug, thiserror::Error)]
#[error("the signing key was not rotated: {0}")]
pub struct RotationError(Box<dyn Error + Send + Sync>);

impl RotationError {
    pub(super) fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
