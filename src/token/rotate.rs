//! The keys of an issuer over time: one signs, those before it still verify.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::Serialize;

use crate::clock::Timestamp;

use super::keys::{KeySet, KeySource};
use super::publish::{PublishError, PublishedKeys};
use super::sign::{RsaKeySize, SigningError, SigningKey};

/// When a key is replaced, and for how long the one before it still verifies.
///
/// By default as at Cloudflare: every six weeks, with seven days of overlap, 2048 bits.
///
/// ```
/// use std::time::Duration;
/// use tower_access::token::{KeyRotation, RsaKeySize};
///
/// let rotation = KeyRotation::default()
///     .interval(Duration::from_secs(21 * 86_400))
///     .key_size(RsaKeySize::Bits3072);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyRotation {
    interval: Duration,
    overlap: Duration,
    size: RsaKeySize,
}

impl KeyRotation {
    /// Sets how long a key signs: one day to 365 days; other values are moved into this range.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(DAY, 365 * DAY);
        self
    }

    /// Replaces a key only when told to: `Access::rotate_keys`. For all but one of several processes
    /// that share kept keys.
    #[must_use]
    pub fn manual(mut self) -> Self {
        self.interval = Duration::MAX;
        self
    }

    /// Sets for how long tokens of a key verify after it was replaced: 31 days at most. A token
    /// that lives longer ends with its key; people whose session goes on get a new one without
    /// being asked, as long as the session's own token is good.
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

    /// How long a key signs; `None` where it is replaced only when somebody says so.
    #[cfg(feature = "login")]
    pub(crate) fn every(&self) -> Option<Duration> {
        (self.interval != Duration::MAX).then_some(self.interval)
    }

    #[cfg(feature = "login")]
    pub(crate) fn size(&self) -> RsaKeySize {
        self.size
    }
}

impl Default for KeyRotation {
    fn default() -> Self {
        Self { interval: 42 * DAY, overlap: 7 * DAY, size: RsaKeySize::default() }
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// The keys of an issuer: the newest signs, those before it verify until their overlap ends.
///
/// Replaced as a whole, so that a token is never signed with a key that is not published. As a
/// [`KeySource`] it is what an issuer verifies its own tokens with.
///
/// ```
/// use tower_access::clock::Timestamp;
/// use tower_access::token::keys::KeySource;
/// use tower_access::token::{KeyRotation, SigningKey, SigningKeys};
///
/// let now = Timestamp::from_unix_seconds(1_790_000_000);
/// let issuer = "https://login.example.com";
/// let keys = SigningKeys::new(SigningKey::generate()?, issuer, KeyRotation::default(), now)?;
/// let token = keys.sign(&serde_json::json!({ "sub": "ada" }))?;
///
/// keys.rotate(SigningKey::generate()?, now)?;
/// assert_eq!(keys.current(now).map(|keys| keys.len()), Some(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SigningKeys {
    ring: ArcSwap<Ring>,
    /// Rotations go one after the other.
    writing: Mutex<()>,
    issuer: Box<str>,
    rotation: KeyRotation,
}

/// A key and its times.
#[derive(Clone)]
pub(crate) struct RingKey {
    pub(crate) key: Arc<SigningKey>,
    pub(crate) made_at: Timestamp,
    /// Since when it signs no more.
    pub(crate) retired_at: Option<Timestamp>,
}

struct Ring {
    /// The newest first: it signs.
    newest: RingKey,
    earlier: Vec<RingKey>,
    published: PublishedKeys,
    /// When the first of the earlier keys ends.
    next_end: Option<Timestamp>,
}

impl SigningKeys {
    /// Begins with one key.
    ///
    /// # Errors
    ///
    /// When no certificate can be made for it.
    pub fn new(
        key: SigningKey,
        issuer: &str,
        rotation: KeyRotation,
        now: Timestamp,
    ) -> Result<Self, PublishError> {
        let newest = RingKey { key: Arc::new(key), made_at: now, retired_at: None };
        Self::resumed(newest, Vec::new(), issuer, rotation, now)
    }

    /// Goes on with keys that were kept.
    pub(crate) fn resumed(
        newest: RingKey,
        earlier: Vec<RingKey>,
        issuer: &str,
        rotation: KeyRotation,
        now: Timestamp,
    ) -> Result<Self, PublishError> {
        let ring = Ring::new(newest, earlier, issuer, &rotation, now)?;
        let ring = ArcSwap::from_pointee(ring);
        Ok(Self { ring, writing: Mutex::default(), issuer: issuer.into(), rotation })
    }

    /// Signs claims with the newest key: the compact form of a JWS.
    ///
    /// # Errors
    ///
    /// When the claims do not serialise or the crypto library fails.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, SigningError> {
        // Not held while signing: that takes a while.
        let key = Arc::clone(&self.ring.load().newest.key);
        key.sign(claims)
    }

    /// The key set's JSON text, as it is published at this moment.
    #[must_use]
    pub fn published(&self, now: Timestamp) -> Bytes {
        self.up_to_date(now).published.json()
    }

    /// Whether the newest key has signed for as long as it should.
    #[must_use]
    pub fn is_rotation_due(&self, now: Timestamp) -> bool {
        now >= self.ring.load().newest.made_at.plus(self.rotation.interval)
    }

    /// Signs with this key from now on; the one before it verifies until its overlap ends. Of more
    /// than eight earlier keys the oldest goes at once.
    ///
    /// # Errors
    ///
    /// When no certificate can be made for the key; then nothing has changed.
    pub fn rotate(&self, key: SigningKey, now: Timestamp) -> Result<(), PublishError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (newest, earlier) = self.rotated(key, now);
        self.replace(newest, earlier, now)
    }

    /// The id of the key that signs.
    #[must_use]
    pub fn key_id(&self) -> String {
        self.ring.load().newest.key.key_id().to_owned()
    }

    /// The id of the key that signs, and when it was made.
    #[cfg(feature = "login")]
    pub(crate) fn newest(&self) -> (String, Timestamp) {
        let ring = self.ring.load();
        (ring.newest.key.key_id().to_owned(), ring.newest.made_at)
    }

    /// The keys as a rotation would leave them.
    pub(crate) fn rotated(&self, key: SigningKey, now: Timestamp) -> (RingKey, Vec<RingKey>) {
        let ring = self.ring.load();
        let retired = RingKey { retired_at: Some(now), ..ring.newest.clone() };
        let earlier = std::iter::once(retired).chain(ring.earlier.iter().cloned());
        let earlier = earlier.filter(|key| self.rotation.verifies(key, now)).take(MOST_EARLIER);
        let newest = RingKey { key: Arc::new(key), made_at: now, retired_at: None };
        (newest, earlier.collect())
    }

    pub(crate) fn replace(
        &self,
        newest: RingKey,
        earlier: Vec<RingKey>,
        now: Timestamp,
    ) -> Result<(), PublishError> {
        let ring = Ring::new(newest, earlier, &self.issuer, &self.rotation, now)?;
        self.ring.store(Arc::new(ring));
        Ok(())
    }

    #[cfg(feature = "login")]
    pub(crate) fn rotation(&self) -> &KeyRotation {
        &self.rotation
    }

    /// The ring without keys whose overlap has ended.
    fn up_to_date(&self, now: Timestamp) -> Arc<Ring> {
        let ring = self.ring.load_full();
        if ring.next_end.is_none_or(|end| now < end) {
            return ring;
        }
        let (newest, earlier) = (ring.newest.clone(), ring.earlier.clone());
        match Ring::new(newest, earlier, &self.issuer, &self.rotation, now) {
            Ok(shorter) => {
                let shorter = Arc::new(shorter);
                // A rotation meanwhile has cut the list itself.
                self.ring.compare_and_swap(&ring, Arc::clone(&shorter));
                shorter
            }
            Err(error) => {
                // No key beyond its overlap verifies, whatever fails.
                tracing::error!(%error, "the key set cannot be published anew");
                Arc::new(ring.with_newest_alone())
            }
        }
    }
}

impl KeySource for SigningKeys {
    fn current(&self, now: Timestamp) -> Option<KeySet> {
        Some(self.up_to_date(now).published.key_set().clone())
    }

    fn is_current(&self, id: super::keys::KeySetId, now: Timestamp) -> bool {
        let ring = self.ring.load();
        ring.next_end.is_none_or(|end| now < end) && ring.published.key_set().id() == id
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ring = self.ring.load();
        f.debug_struct("SigningKeys")
            .field("newest", &ring.newest.key.key_id())
            .field("earlier", &ring.earlier.len())
            .finish_non_exhaustive()
    }
}

impl KeyRotation {
    fn verifies(&self, key: &RingKey, now: Timestamp) -> bool {
        key.retired_at.is_none_or(|retired| now < retired.plus(self.overlap))
    }
}

impl Ring {
    fn new(
        newest: RingKey,
        mut earlier: Vec<RingKey>,
        issuer: &str,
        rotation: &KeyRotation,
        now: Timestamp,
    ) -> Result<Self, PublishError> {
        earlier.retain(|key| rotation.verifies(key, now));
        let published: Vec<_> = std::iter::once(&newest)
            .chain(&earlier)
            .map(|kept| (&*kept.key, kept.made_at))
            .collect();
        let published = PublishedKeys::made_at(&published, issuer)?;
        let ends = earlier.iter().filter_map(|key| key.retired_at);
        let next_end = ends.min().map(|retired| retired.plus(rotation.overlap));
        Ok(Self { newest, earlier, published, next_end })
    }

    fn with_newest_alone(&self) -> Self {
        let key = &self.newest.key;
        let set = KeySet::from_keys([(key.key_id().into(), key.public_key().clone())]);
        Self {
            newest: self.newest.clone(),
            earlier: Vec::new(),
            published: self.published.with_keys(set),
            next_end: None,
        }
    }
}

const MOST_EARLIER: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Jws;

    const ISSUER: &str = "https://login.example.com";

    fn at(days: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000).plus(Duration::from_secs(days * 86_400))
    }

    fn keys() -> SigningKeys {
        SigningKeys::new(SigningKey::generate().unwrap(), ISSUER, KeyRotation::default(), at(0))
            .unwrap()
    }

    fn verifies(keys: &SigningKeys, token: &str, now: Timestamp) -> bool {
        let keys = keys.current(now).unwrap();
        let claims = Jws::parse(token).unwrap().verify(&keys);
        claims.is_ok_and(|claims| claims.iss == ISSUER)
    }

    fn token(keys: &SigningKeys) -> String {
        let claims = serde_json::json!({
            "type": "app", "iss": ISSUER, "aud": [], "exp": 2, "iat": 1
        });
        keys.sign(&claims).unwrap()
    }

    #[test]
    fn key_14_a_token_verifies_until_the_overlap_of_its_key_ends() {
        let keys = keys();
        let before = token(&keys);
        assert!(!keys.is_rotation_due(at(41)));
        assert!(keys.is_rotation_due(at(42)));
        keys.rotate(SigningKey::generate().unwrap(), at(42)).unwrap();
        assert!(!keys.is_rotation_due(at(83)));
        let after = token(&keys);
        for day in [42, 45, 48] {
            assert!(verifies(&keys, &before, at(day)), "day {day}");
            assert!(verifies(&keys, &after, at(day)), "day {day}");
        }
        let set = keys.current(at(48)).unwrap().id();
        assert!(keys.is_current(set, at(48)));
        assert!(!keys.is_current(set, at(49)), "a cached token outlives its key");
        assert!(!verifies(&keys, &before, at(49)));
        assert!(verifies(&keys, &after, at(49)));
        assert_eq!(keys.current(at(49)).unwrap().len(), 1);
    }

    #[test]
    fn key_14_the_document_names_the_newest_key_first_and_stays_the_same() {
        let keys = keys();
        let first: serde_json::Value = serde_json::from_slice(&keys.published(at(1))).unwrap();
        keys.rotate(SigningKey::generate().unwrap(), at(3)).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&keys.published(at(4))).unwrap();
        assert_eq!(document["keys"].as_array().unwrap().len(), 2);
        assert_eq!(document["public_cert"], document["public_certs"][0]);
        assert_eq!(document["keys"][1], first["keys"][0]);
        assert_eq!(document["public_certs"][1], first["public_certs"][0]);
        assert_ne!(document["keys"][0], first["keys"][0]);
    }

    #[test]
    fn dos_earlier_keys_are_bounded() {
        let keys = keys();
        let again = SigningKey::generate().unwrap().to_pkcs8_der().unwrap();
        for _ in 0..20 {
            keys.rotate(SigningKey::from_pkcs8_der(&again).unwrap(), at(1)).unwrap();
        }
        assert_eq!(keys.ring.load().earlier.len(), MOST_EARLIER);
    }

    #[test]
    fn settings_are_moved_into_their_range() {
        let rotation = KeyRotation::default().interval(Duration::ZERO).overlap(400 * DAY);
        assert_eq!(rotation.interval, DAY);
        assert_eq!(rotation.overlap, 31 * DAY);
        let key = SigningKey::generate().unwrap();
        let keys = SigningKeys::new(key, ISSUER, rotation.manual(), at(0)).unwrap();
        assert!(!keys.is_rotation_due(at(100_000)));
    }

    #[test]
    fn every_key_size_signs_and_publishes() {
        for (size, bytes) in
            [(RsaKeySize::Bits2048, 256), (RsaKeySize::Bits3072, 384), (RsaKeySize::Bits4096, 512)]
        {
            let key = SigningKey::generate_of(size).unwrap();
            let rotation = KeyRotation::default();
            let keys = SigningKeys::new(key, ISSUER, rotation, at(0)).unwrap();
            assert!(verifies(&keys, &token(&keys), at(0)));
            let published = KeySet::from_jwks(&keys.published(at(0))).unwrap();
            assert_eq!(published.len(), 1);
            let signature = token(&keys).rsplit('.').next().unwrap().len();
            assert_eq!(signature, (bytes * 4_usize).div_ceil(3));
        }
    }
}
