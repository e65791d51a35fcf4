//! Key rotation: its settings and its state.

use std::time::Duration;

use crate::clock::Timestamp;

use super::signer::RsaKeySize;

/// The rotation settings: when a key is replaced, how long the new one is announced before it signs,
/// and for how long the previous one still verifies.
///
/// The defaults are those of Cloudflare: every six weeks, with seven days of overlap, 2048 bits. A new
/// key is published an hour before it signs, because verifiers cache key sets.
///
/// ```
/// use std::time::Duration;
/// use tower_access::issuer::{KeyRotation, RsaKeySize};
///
/// let rotation = KeyRotation::default()
///     .interval(Duration::from_secs(21 * 86_400))
///     .announce(Duration::from_secs(86_400))
///     .key_size(RsaKeySize::Bits3072);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyRotation {
    /// How long a key signs; `None` for rotation on request only.
    pub(super) interval: Option<Duration>,
    announce: Duration,
    pub(super) overlap: Duration,
    pub(crate) size: RsaKeySize,
}

impl KeyRotation {
    /// Sets how long a key signs: one day to 365 days; other values are clamped.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval.clamp(DAY, 365 * DAY));
        self
    }

    /// Rotates keys on request only: `Access::rotate_keys`.
    #[must_use]
    pub fn manual(mut self) -> Self {
        self.interval = None;
        self
    }

    /// Sets how long a new key is published before it signs: 5 seconds to 7 days; other values are
    /// clamped, and it is never more than half of the interval. Default: one hour. The previous key
    /// signs meanwhile, so that a key still signs for the interval.
    ///
    /// A verifier that does not fetch the key set again for an unknown key id must refresh it at least
    /// this often. `Access::rotate_keys` does not wait this long.
    #[must_use]
    pub fn announce(mut self, announce: Duration) -> Self {
        self.announce = announce.clamp(MIN_ANNOUNCEMENT, MAX_ANNOUNCEMENT);
        self
    }

    /// Sets for how long tokens of a key verify after it has stopped to sign: 31 days at most. A token
    /// that lives longer ends with its key. Users with a live session get a new token without a login,
    /// as long as the session token is valid.
    ///
    /// The end of a key is recorded when the next key is announced. A shorter overlap that is set later
    /// moves that end forward; a longer one applies to keys that are replaced afterwards, and restores
    /// no key.
    #[must_use]
    pub fn overlap(mut self, overlap: Duration) -> Self {
        self.overlap = overlap.min(31 * DAY);
        self
    }

    /// Sets the size of new keys.
    #[must_use]
    pub fn key_size(mut self, size: RsaKeySize) -> Self {
        self.size = size;
        self
    }

    /// Returns how long a scheduled key is announced before it signs.
    pub(super) fn lead(&self) -> Duration {
        self.interval.map_or(self.announce, |interval| self.announce.min(interval / 2))
    }
}

impl Default for KeyRotation {
    fn default() -> Self {
        Self {
            interval: Some(42 * DAY),
            announce: Duration::from_secs(3_600),
            overlap: 7 * DAY,
            size: RsaKeySize::default(),
        }
    }
}

/// The rotation state of an issuer's signing keys.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeyRotationState {
    /// The id of the key that signs.
    pub key_id: String,
    /// The time since when it signs.
    pub last_rotated_at: Timestamp,
    /// How long a key signs; `None` for rotation on request only.
    pub interval: Option<Duration>,
    /// The announced key: its id, and the time from which it signs.
    pub next: Option<(String, Timestamp)>,
}

impl KeyRotationState {
    /// Returns the time until the key's scheduled rotation; zero if it is overdue, `None` without a
    /// schedule.
    #[must_use]
    pub fn time_left(&self, now: Timestamp) -> Option<Duration> {
        Some(self.last_rotated_at.plus(self.interval?).since(now))
    }
}

const DAY: Duration = Duration::from_secs(86_400);
/// Processes that share keys are notified within a second; the rest is for slow ones and for clock
/// differences.
pub(super) const MIN_ANNOUNCEMENT: Duration = Duration::from_secs(5);
const MAX_ANNOUNCEMENT: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_moved_into_their_range() {
        let rotation = KeyRotation::default().interval(Duration::ZERO).overlap(400 * DAY);
        assert_eq!(rotation.interval, Some(DAY));
        assert_eq!(rotation.overlap, 31 * DAY);
        assert_eq!(rotation.announce(Duration::ZERO).announce, MIN_ANNOUNCEMENT);
        assert_eq!(rotation.announce(8 * DAY).announce, 7 * DAY);
        assert_eq!(rotation.announce(8 * DAY).lead(), DAY / 2);
    }
}
