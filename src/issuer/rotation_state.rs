//! What there is to say of the keys of an issuer.

use std::time::Duration;

use crate::clock::Timestamp;

/// How the signing keys of an issuer are replaced.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeyRotationState {
    /// The id of the key that signs.
    pub key_id: String,
    /// Since when it signs.
    pub last_rotated_at: Timestamp,
    /// How long a key signs; `None` where it is replaced only when somebody says so.
    pub interval: Option<Duration>,
    /// The key that was announced and signs from a moment on: its id, and the moment.
    pub next: Option<(String, Timestamp)>,
}

impl KeyRotationState {
    /// How long the key signs on, at this moment, where nobody replaces it earlier; nothing where its
    /// time is over, `None` where it has none.
    #[must_use]
    pub fn time_left(&self, now: Timestamp) -> Option<Duration> {
        Some(self.last_rotated_at.plus(self.interval?).since(now))
    }
}
