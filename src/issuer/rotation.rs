//! When signing keys are replaced: the settings, and how far it has come.

use std::time::Duration;

use crate::clock::Timestamp;

use super::signer::RsaKeySize;

/// When a key is replaced, how long the new one is announced before it signs, and for how long the
/// one before it still verifies.
///
/// By default as at Cloudflare: every six weeks, with seven days of overlap, 2048 bits. A new key is
/// published an hour before it signs, since whoever verifies keeps key sets for a while.
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
    /// How long a key signs; `None` where it is replaced only on request.
    pub(super) interval: Option<Duration>,
    announce: Duration,
    pub(super) overlap: Duration,
    pub(crate) size: RsaKeySize,
}

impl KeyRotation {
    /// Sets how long a key signs: one day to 365 days; other values are moved into this range.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval.clamp(DAY, 365 * DAY));
        self
    }

    /// Replaces a key only when told to: `Access::rotate_keys`.
    #[must_use]
    pub fn manual(mut self) -> Self {
        self.interval = None;
        self
    }

    /// Sets how long a new key is published before it signs: 5 seconds to 7 days, an hour by
    /// default; other values are moved into this range, and it is never more than half of the
    /// interval. The key before it signs meanwhile, so that a key still signs for the interval.
    ///
    /// Whoever verifies our tokens and does not look again when a key is new to it should have
    /// fetched the key set within this time. `Access::rotate_keys` does not wait for so long.
    #[must_use]
    pub fn announce(mut self, announce: Duration) -> Self {
        self.announce = announce.clamp(MIN_ANNOUNCEMENT, MAX_ANNOUNCEMENT);
        self
    }

    /// Sets for how long tokens of a key verify after it has stopped to sign: 31 days at most. A
    /// token that lives longer ends with its key; people whose session goes on get a new one
    /// without being asked, as long as the session's own token is good.
    ///
    /// When a key verifies no more is recorded when the next key is announced. A shorter overlap
    /// that is set later moves that moment forward; a longer one counts for keys that are replaced
    /// afterwards, and brings back no key.
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

    /// How long before it signs a key is announced that is replaced on schedule.
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

const DAY: Duration = Duration::from_secs(86_400);
/// Processes that share keys hear of a new one within a second; the rest is for slow ones, and for
/// clocks that do not agree.
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
