//! The token of an identity.

use std::fmt;

use bytes::Bytes;

/// The text of a verified token. Never printed.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Proof(Bytes);

impl Proof {
    pub(crate) fn new(token: Bytes) -> Self {
        Self(token)
    }

    /// Returns the token; clones share its memory.
    pub(crate) fn token(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sensitive")
    }
}
