//! The signing keys of an issuer: one signs, others are announced, and previous ones still verify.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::Serialize;

use crate::clock::Timestamp;

use super::publication::{PublishError, PublishedKeys};
use super::ring::{KeyRing, RingKey};
use super::rotation::{KeyRotation, KeyRotationState};
use super::signer::{SigningError, SigningKey};
use crate::token::keys::{KeySet, KeySetId, KeySource};

/// The keys of an issuer: one signs, previous ones verify until their overlap ends, and an announced one
/// already verifies and starts to sign later.
///
/// Replaced as a whole, so that a token is never signed with a key that is not published. An issuer
/// verifies its own tokens with it as a [`KeySource`].
///
/// ```
/// use std::time::Duration;
/// use tower_access::clock::Timestamp;
/// use tower_access::token::keys::KeySource;
/// use tower_access::issuer::{KeyRotation, SigningKey, SigningKeys};
///
/// let now = Timestamp::from_unix_seconds(1_790_000_000);
/// let issuer = "https://login.example.com";
/// let keys = SigningKeys::new(SigningKey::generate()?, issuer, KeyRotation::default(), now)?;
/// let token = keys.sign(&serde_json::json!({ "sub": "ada" }), now)?;
///
/// let in_an_hour = now.plus(Duration::from_secs(3_600));
/// let first = keys.key_id(now);
/// keys.announce(SigningKey::generate()?, in_an_hour, now)?;
/// assert_eq!(keys.current(now).map(|keys| keys.len()), Some(2));
/// assert_eq!(keys.key_id(now), first);
/// assert_ne!(keys.key_id(in_an_hour), first);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SigningKeys {
    state: ArcSwap<SigningState>,
    /// Serialises changes.
    writing: Mutex<()>,
    issuer: Box<str>,
}

/// The keys and their published document, until the next scheduled change.
struct SigningState {
    ring: KeyRing,
    rotation: KeyRotation,
    published: PublishedKeys,
    /// When the first key stops to verify.
    next_end: Option<Timestamp>,
    /// When another key starts to sign: the document lists the signing key first.
    next_switch: Option<Timestamp>,
}

impl SigningKeys {
    /// Creates the set with one key.
    ///
    /// # Errors
    ///
    /// If its certificate cannot be created.
    pub fn new(
        key: SigningKey,
        issuer: &str,
        rotation: KeyRotation,
        now: Timestamp,
    ) -> Result<Self, PublishError> {
        let ring =
            KeyRing::new(RingKey::new(key, issuer, (now, now), KeyRing::first_sequence(now))?);
        Ok(Self::from_ring(ring, issuer, rotation, now))
    }

    /// Continues with stored keys.
    pub(crate) fn from_ring(
        ring: KeyRing,
        issuer: &str,
        rotation: KeyRotation,
        now: Timestamp,
    ) -> Self {
        let state = ArcSwap::from_pointee(SigningState::new(ring, rotation, None, now));
        Self { state, writing: Mutex::default(), issuer: issuer.into() }
    }

    /// Signs claims with the key that signs at `now`. Returns a JWS in compact form.
    ///
    /// # Errors
    ///
    /// If the claims do not serialise or the crypto library fails.
    pub fn sign(&self, claims: &impl Serialize, now: Timestamp) -> Result<String, SigningError> {
        // The state is not held while signing, which is slow.
        let key = Arc::clone(&self.state.load().ring.signer(now).key);
        key.sign(claims)
    }

    /// Returns the key set as published at `now`, as JSON: the signing key first.
    #[must_use]
    pub fn key_set_json(&self, now: Timestamp) -> Bytes {
        self.up_to_date(now).published.json()
    }

    /// Returns whether the next key is to be announced, so that it signs when the interval of the newest
    /// one ends.
    #[must_use]
    pub fn is_rotation_due(&self, now: Timestamp) -> bool {
        let state = self.state.load();
        let newest = state.ring.newest();
        state.rotation.interval.is_some_and(|interval| {
            now.plus(state.rotation.lead()) >= newest.signs_from.plus(interval)
        })
    }

    /// Signs with this key from now on; the previous one verifies until its overlap ends. Of more than
    /// eight earlier keys the oldest is removed immediately.
    ///
    /// # Errors
    ///
    /// If the certificate cannot be created, or too many other keys are announced; nothing has changed
    /// then.
    pub fn rotate(&self, key: SigningKey, now: Timestamp) -> Result<(), AnnounceError> {
        self.announce(key, now, now)
    }

    /// Publishes this key now, and signs with it from `signs_from` on; the previous one signs until
    /// then, and verifies until its overlap ends. A key that was announced before and would sign later
    /// never does.
    ///
    /// # Errors
    ///
    /// If the certificate cannot be created, or eight other keys are already announced; nothing has
    /// changed then.
    pub fn announce(
        &self,
        key: SigningKey,
        signs_from: Timestamp,
        now: Timestamp,
    ) -> Result<(), AnnounceError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = self.ring();
        let sequence = ring.next_sequence(now);
        let key = RingKey::new(key, &self.issuer, (now, signs_from), sequence)?;
        let ring = ring.with_announced(key, now).ok_or(AnnounceError::TooMany)?;
        self.store(ring, now);
        Ok(())
    }

    /// Returns the rotation state at `now`.
    pub(crate) fn rotation_state(&self, now: Timestamp) -> KeyRotationState {
        let state = self.state.load();
        let signer = state.ring.signer(now);
        let next =
            state.ring.iter().filter(|key| key.signs_from > now && key.sequence > signer.sequence);
        let next = next.min_by_key(|key| key.signs_from);
        KeyRotationState {
            key_id: signer.key.key_id().to_owned(),
            last_rotated_at: signer.signs_from,
            interval: state.rotation.interval,
            next: next.map(|key| (key.key.key_id().to_owned(), key.signs_from)),
        }
    }

    /// Returns the id of the key that signs at `now`.
    #[must_use]
    pub fn key_id(&self, now: Timestamp) -> String {
        self.state.load().ring.signer(now).key.key_id().to_owned()
    }

    /// Returns a copy of the ring.
    pub(crate) fn ring(&self) -> KeyRing {
        self.state.load().ring.clone()
    }

    /// Merges keys and key ends of other processes. Returns whether a key was new.
    pub(crate) fn adopt(&self, ring: &KeyRing, now: Timestamp) -> bool {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.ring();
        let is_new = !present.contains_all(ring);
        if !present.covers(ring) {
            self.store(present.merged(ring, now), now);
        }
        is_new
    }

    pub(crate) fn rotation(&self) -> KeyRotation {
        self.state.load().rotation
    }

    /// Sets the rotation. Previous keys may end earlier, never later. Returns whether one does.
    pub(crate) fn set_rotation(&self, rotation: KeyRotation, now: Timestamp) -> bool {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state.load();
        if state.rotation == rotation {
            return false;
        }
        let known = state.published.key_set().clone();
        let next = SigningState::new(state.ring.clone(), rotation, Some(known), now);
        let ends_earlier = !state.ring.covers(&next.ring);
        self.state.store(Arc::new(next));
        ends_earlier
    }

    fn store(&self, ring: KeyRing, now: Timestamp) {
        let state = self.state.load();
        let known = state.published.key_set().clone();
        self.state.store(Arc::new(SigningState::new(ring, state.rotation, Some(known), now)));
    }

    /// Returns the state without expired keys, with the signing key first.
    fn up_to_date(&self, now: Timestamp) -> Arc<SigningState> {
        let state = self.state.load_full();
        if state.is_valid_at(now) {
            return state;
        }
        let known = state.published.key_set().clone();
        let newer = SigningState::new(state.ring.clone(), state.rotation, Some(known), now);
        let newer = Arc::new(newer);
        // A concurrent change has applied the time as well.
        self.state.compare_and_swap(&state, Arc::clone(&newer));
        newer
    }
}

impl KeySource for SigningKeys {
    fn current(&self, now: Timestamp) -> Option<KeySet> {
        Some(self.up_to_date(now).published.key_set().clone())
    }

    fn is_current(&self, id: KeySetId, now: Timestamp) -> bool {
        let state = self.state.load();
        // A switch of the signing key does not change the verifying keys.
        state.next_end.is_none_or(|end| now < end) && state.published.key_set().id() == id
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.load();
        f.debug_struct("SigningKeys")
            .field("newest", &state.ring.newest().key.key_id())
            .field("keys", &state.ring.len())
            .finish_non_exhaustive()
    }
}

impl SigningState {
    fn new(ring: KeyRing, rotation: KeyRotation, known: Option<KeySet>, now: Timestamp) -> Self {
        // First: record the key ends, so that nothing later extends them.
        let ring = ring.without_expired(rotation.overlap, now);
        let keys: Vec<_> = ring
            .in_publication_order(now)
            .into_iter()
            .map(|key| (&*key.key, &*key.certificate))
            .collect();
        let mut published = PublishedKeys::with_certificates(&keys);
        // Keep the id of an equal key set, so that cached verifications stay valid.
        if let Some(known) = known.filter(|known| known.is_same_as(published.key_set())) {
            published = published.with_keys(known);
        }
        let (next_end, next_switch) = (ring.next_end(), ring.next_switch(now));
        Self { ring, rotation, published, next_end, next_switch }
    }

    fn is_valid_at(&self, now: Timestamp) -> bool {
        let changes = [self.next_end, self.next_switch];
        changes.into_iter().flatten().all(|change| now < change)
    }
}

/// A key could not be announced; nothing has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// The key cannot be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Too many announced keys do not sign yet.
    #[error("too many keys are announced already: wait until they sign")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::issuer::RsaKeySize;
    use crate::issuer::ring::MAX_EARLIER;
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

    fn token(keys: &SigningKeys, now: Timestamp) -> String {
        let claims = serde_json::json!({
            "type": "app", "iss": ISSUER, "aud": [], "exp": 2, "iat": 1
        });
        keys.sign(&claims, now).unwrap()
    }

    #[test]
    fn key_14_a_token_verifies_until_the_overlap_of_its_key_ends() {
        let keys = keys();
        let before = token(&keys, at(0));
        let hour = Duration::from_secs(3_600);
        assert!(!keys.is_rotation_due(at(42).minus(hour + Duration::from_secs(1))));
        assert!(keys.is_rotation_due(at(42).minus(hour)));
        keys.rotate(SigningKey::generate().unwrap(), at(42)).unwrap();
        assert!(!keys.is_rotation_due(at(83)));
        let after = token(&keys, at(42));
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
    fn key_14_an_announced_key_verifies_at_once_and_signs_by_the_clock() {
        let keys = keys();
        let before = token(&keys, at(0));
        let document = keys.key_set_json(at(0));
        let first = keys.key_id(at(0));
        keys.announce(SigningKey::generate().unwrap(), at(2), at(1)).unwrap();
        let set = keys.current(at(1)).unwrap();
        assert_eq!(set.len(), 2);
        let announced: serde_json::Value =
            serde_json::from_slice(&keys.key_set_json(at(1))).unwrap();
        let old: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(announced["public_cert"], old["public_cert"], "it does not sign yet");
        assert_eq!(keys.key_id(at(1)), first);

        let moment = at(2).minus(Duration::from_secs(1));
        let last_of_the_first = token(&keys, moment);
        assert_eq!(keys.key_id(moment), first);
        let second = keys.key_id(at(2));
        assert_ne!(second, first);
        let after = token(&keys, at(2));
        let switched: serde_json::Value =
            serde_json::from_slice(&keys.key_set_json(at(2))).unwrap();
        assert_eq!(switched["public_cert"]["kid"], second);
        assert_eq!(switched["keys"][0]["kid"], second);
        assert_eq!(switched["keys"][1], old["keys"][0]);
        // The same keys verify: nothing that was verified is verified again.
        assert!(keys.is_current(set.id(), at(2)));
        assert_eq!(keys.current(at(2)).unwrap().id(), set.id());
        for now in [at(2), at(8), at(9).minus(Duration::from_secs(1))] {
            assert!(
                [&before, &last_of_the_first, &after].iter().all(|it| verifies(&keys, it, now))
            );
        }
        // The overlap counts from when it stopped to sign, and ends by the clock as well.
        assert!(!keys.is_current(set.id(), at(9)));
        assert!(!verifies(&keys, &last_of_the_first, at(9)));
        assert!(verifies(&keys, &after, at(9)));
    }

    #[test]
    fn key_14_a_key_is_announced_so_that_it_signs_when_the_interval_ends() {
        let keys = keys();
        let due = at(42).minus(Duration::from_secs(3_600));
        assert!(keys.is_rotation_due(due));
        keys.announce(SigningKey::generate().unwrap(), due.plus(keys.rotation().lead()), due)
            .unwrap();
        assert!(!keys.is_rotation_due(due) && !keys.is_rotation_due(at(42)));
        assert!(keys.is_rotation_due(at(84).minus(Duration::from_secs(3_600))));
    }

    #[test]
    fn key_14_the_document_names_the_newest_key_first_and_stays_the_same() {
        let keys = keys();
        let first: serde_json::Value = serde_json::from_slice(&keys.key_set_json(at(1))).unwrap();
        keys.rotate(SigningKey::generate().unwrap(), at(3)).unwrap();
        let document: serde_json::Value =
            serde_json::from_slice(&keys.key_set_json(at(4))).unwrap();
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
        assert_eq!(keys.ring().len(), 1 + MAX_EARLIER);
    }

    #[test]
    fn a_key_that_is_rotated_manually_is_never_due() {
        let key = SigningKey::generate().unwrap();
        let rotation = KeyRotation::default().interval(Duration::ZERO).manual();
        let keys = SigningKeys::new(key, ISSUER, rotation, at(0)).unwrap();
        assert!(!keys.is_rotation_due(at(100_000)));
    }

    #[test]
    fn every_key_size_signs_and_publishes() {
        for (size, bytes) in
            [(RsaKeySize::Bits2048, 256), (RsaKeySize::Bits3072, 384), (RsaKeySize::Bits4096, 512)]
        {
            let key = SigningKey::generate_with_size(size).unwrap();
            let rotation = KeyRotation::default();
            let keys = SigningKeys::new(key, ISSUER, rotation, at(0)).unwrap();
            assert!(verifies(&keys, &token(&keys, at(0)), at(0)));
            let published = KeySet::from_jwks(&keys.key_set_json(at(0))).unwrap();
            assert_eq!(published.len(), 1);
            let signature = token(&keys, at(0)).rsplit('.').next().unwrap().len();
            assert_eq!(signature, (bytes * 4_usize).div_ceil(3));
        }
    }
}
