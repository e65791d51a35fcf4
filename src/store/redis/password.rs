//! A password that is never printed.

use std::fmt;

use zeroize::Zeroizing;

/// The password of a Redis user. Never printed, and wiped from memory when it is dropped.
///
/// ```
/// use tower_access::store::RedisPassword;
///
/// assert_eq!(format!("{:?}", RedisPassword::new("hush")), "RedisPassword(***)");
/// ```
#[derive(Clone)]
pub struct RedisPassword(Zeroizing<String>);

impl RedisPassword {
    /// Wraps a password.
    #[must_use]
    pub fn new(password: impl Into<String>) -> Self {
        Self(Zeroizing::new(password.into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RedisPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisPassword(***)")
    }
}
