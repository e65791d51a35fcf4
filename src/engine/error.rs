//! Errors of building and operating an engine.

use std::error::Error;
use std::fmt;

/// Settings an [`Access`](crate::Access) cannot be built from.
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

/// As it is displayed: `?` in `main` prints this.
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

/// A signing key that was not replaced.
#[derive(Debug, thiserror::Error)]
#[error("the signing key was not replaced: {0}")]
pub struct RotationError(Box<dyn Error + Send + Sync>);

impl RotationError {
    pub(super) fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}
