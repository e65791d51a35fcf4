//! The master secret and the keys derived from it.

use std::fmt;

use aws_lc_rs::aead::{
    AES_256_GCM, AES_256_GCM_SIV, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey,
};
use aws_lc_rs::{hkdf, hmac};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::random::{Random, RandomUnavailable};

/// The secret from which all other symmetric keys of a deployment are derived.
///
/// Every key has its own label (RFC 5869), so that a value made for one purpose is useless for
/// any other.
#[derive(Clone)]
pub struct MasterSecret(Zeroizing<[u8; 32]>);

impl MasterSecret {
    /// Creates the secret from 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Generates a new secret.
    ///
    /// # Errors
    ///
    /// If the source of randomness fails.
    pub fn generate(random: &dyn Random) -> Result<Self, RandomUnavailable> {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// Derives the HMAC-SHA-256 key of one purpose.
    pub(crate) fn derive(&self, label: &'static str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.derived(label).as_ref())
    }

    /// Derives the encryption key for the records of one purpose.
    pub(crate) fn seal(&self, label: &'static str) -> Result<Seal, SealError> {
        self.seal_by(&AES_256_GCM, label)
    }

    /// Like `seal`, for records that unauthenticated requests create without limit: with AES-256-GCM-SIV
    /// (RFC 8452) a repeated nonce does not reveal the key.
    pub(crate) fn misuse_resistant_seal(&self, label: &'static str) -> Result<Seal, SealError> {
        self.seal_by(&AES_256_GCM_SIV, label)
    }

    fn seal_by(
        &self,
        algorithm: &'static Algorithm,
        label: &'static str,
    ) -> Result<Seal, SealError> {
        let key = UnboundKey::new(algorithm, self.derived(label).as_ref());
        Ok(Seal(LessSafeKey::new(key.map_err(|_| SealError)?)))
    }

    fn derived(&self, label: &'static str) -> Zeroizing<[u8; 32]> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tower-access");
        let info = [label.as_bytes()];
        let mut bytes = Zeroizing::new([0_u8; 32]);
        let derived = salt
            .extract(&*self.0)
            .expand(&info, hkdf::HKDF_SHA256)
            .map(|okm| okm.fill(bytes.as_mut()));
        // Thirty-two bytes are one block of HKDF-SHA-256, which cannot be too long.
        debug_assert!(matches!(derived, Ok(Ok(()))));
        bytes
    }
}

/// Encrypts records: with an AEAD under a random nonce, which comes first, and bound to the name of
/// the record, so that one record cannot replace another.
#[derive(Debug)]
pub(crate) struct Seal(LessSafeKey);

impl Seal {
    pub(crate) fn close(
        &self,
        name: &str,
        text: &[u8],
        random: &dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE];
        random.fill(&mut nonce).map_err(|_| SealError)?;
        let mut record = Zeroizing::new(text.to_vec());
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                record.as_mut_slice(),
            )
            .map_err(|_| SealError)?;
        Ok([nonce.as_slice(), record.as_slice(), tag.as_ref()].concat())
    }

    pub(crate) fn open(&self, name: &str, record: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, sealed) = record.split_at_checked(NONCE).ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut text = Zeroizing::new(sealed.to_vec());
        let length = self
            .0
            .open_in_place(nonce, Aad::from(name.as_bytes()), text.as_mut_slice())
            .map_err(|_| SealError)?
            .len();
        text.truncate(length);
        Ok(text)
    }
}

/// The error for a record sealed with another secret or name, or changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the record cannot be opened: it was sealed with another secret, or has been changed")]
pub(crate) struct SealError;

const NONCE: usize = 12;

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSecret(***)")
    }
}

/// Computes one tag over length-prefixed parts, so that bytes cannot move from one part to the next.
pub(crate) fn tag(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign()
}

/// Returns whether two byte strings are equal, in time that depends on their lengths only.
pub(crate) fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ses_22_every_label_gives_another_key() {
        let master = MasterSecret::from_bytes([7; 32]);
        let tags: Vec<_> = ["pin", "device"]
            .map(|label| tag(&master.derive(label), &[b"x"]).as_ref().to_vec())
            .into();
        assert_ne!(tags[0], tags[1]);
        assert_eq!(tags[0], tag(&master.derive("pin"), &[b"x"]).as_ref());
    }

    #[test]
    fn ses_22_a_record_opens_under_its_name_and_its_secret_alone() {
        let seal = MasterSecret::from_bytes([7; 32]).seal("test").unwrap();
        only_as_named(&seal, MasterSecret::seal);
        let seal = MasterSecret::from_bytes([7; 32]).misuse_resistant_seal("test").unwrap();
        only_as_named(&seal, MasterSecret::misuse_resistant_seal);
    }

    fn only_as_named(
        seal: &Seal,
        derive: fn(&MasterSecret, &'static str) -> Result<Seal, SealError>,
    ) {
        let random = crate::random::SystemRandom;
        let record = seal.close("one", b"text", &random).unwrap();
        assert_eq!(seal.open("one", &record).unwrap().as_slice(), b"text");
        assert_ne!(record, seal.close("one", b"text", &random).unwrap());
        assert!(seal.open("two", &record).is_err());
        let other = derive(&MasterSecret::from_bytes([8; 32]), "test").unwrap();
        assert!(other.open("one", &record).is_err());
        let purpose = derive(&MasterSecret::from_bytes([7; 32]), "other").unwrap();
        assert!(purpose.open("one", &record).is_err());
        for place in 0..record.len() {
            let mut changed = record.clone();
            changed[place] ^= 1;
            assert!(seal.open("one", &changed).is_err());
            assert!(seal.open("one", &record[..place]).is_err());
        }
    }

    #[test]
    fn ses_20_bytes_cannot_move_between_parts() {
        let key = MasterSecret::from_bytes([7; 32]).derive("test");
        assert_ne!(tag(&key, &[b"ab", b"c"]).as_ref(), tag(&key, &[b"a", b"bc"]).as_ref());
    }
}
