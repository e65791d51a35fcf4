//! Secrets that compare in constant time and never print.
//!
//! A secret we only compare is kept as a [`SecretHash`]; a key we compute with is derived from one
//! master secret with a label of its own ([`MasterSecret`]), so no key ever serves two purposes.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{digest, hkdf, hmac};
use serde::{Deserialize, Deserializer, de};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::random::{Random, RandomUnavailable, to_hex};

/// The SHA-256 hash of a high-entropy secret, written `sha256:` and 64 hexadecimal digits.
///
/// For secrets of at least 128 random bits, such as the secret of a service token. A password
/// that a person chose needs a slow hash instead.
///
/// ```
/// use tower_access::secret::SecretHash;
///
/// let kept: SecretHash = SecretHash::of("3397e352352f5a6103796a578fdcf6dc");
/// assert!(kept.matches("3397e352352f5a6103796a578fdcf6dc"));
/// assert!(!kept.matches("another"));
/// assert_eq!(format!("{kept:?}"), "SecretHash(***)");
/// ```
#[derive(Clone)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Hashes a secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(sha256(secret.as_bytes()))
    }

    /// Whether `candidate` is the secret; takes the same time either way.
    #[must_use]
    pub fn matches(&self, candidate: &str) -> bool {
        self.0.ct_eq(&sha256(candidate.as_bytes())).into()
    }
}

impl FromStr for SecretHash {
    type Err = SecretHashError;

    fn from_str(text: &str) -> Result<Self, SecretHashError> {
        let digits = text.strip_prefix("sha256:").ok_or(SecretHashError)?;
        Ok(Self(from_hex(digits).ok_or(SecretHashError)?))
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", to_hex(&self.0))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(***)")
    }
}

impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text that is no hash of a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "no hash of a secret: write `sha256:` and 64 hexadecimal digits \
     (printf %s \"$SECRET\" | sha256sum)"
)]
pub struct SecretHashError;

/// The secret all other symmetric keys of a deployment are derived from.
///
/// Every key has its own label (RFC 5869), so that a value made for one purpose is worthless for
/// any other.
#[derive(Clone)]
pub struct MasterSecret(Zeroizing<[u8; 32]>);

impl MasterSecret {
    /// Takes 32 secret bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Draws a fresh one.
    ///
    /// # Errors
    ///
    /// When the source of randomness fails.
    pub fn generate(random: &dyn Random) -> Result<Self, RandomUnavailable> {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// The HMAC-SHA-256 key of one purpose.
    pub(crate) fn derive(&self, label: &'static str) -> hmac::Key {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tower-access");
        let info = [label.as_bytes()];
        let mut bytes = Zeroizing::new([0_u8; 32]);
        let derived = salt.extract(&*self.0).expand(&info, hkdf::HKDF_SHA256).map(|okm| okm.fill(bytes.as_mut()));
        // Thirty-two bytes are one block of HKDF-SHA-256, which cannot be too long.
        debug_assert!(matches!(derived, Ok(Ok(()))));
        hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref())
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSecret(***)")
    }
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = digest::digest(&digest::SHA256, bytes);
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    hash
}

/// Length-prefixed parts under one tag, so that bytes cannot move from one part to the next.
pub(crate) fn tag(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign()
}

/// Whether two byte strings are equal, in time that depends on their lengths only.
pub(crate) fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

fn from_hex(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn svc_08_the_written_form_is_a_hash_and_reads_back() {
        let hash = SecretHash::of("secret");
        let written = hash.to_string();
        assert!(!written.contains("secret"));
        assert!(written.parse::<SecretHash>().unwrap().matches("secret"));
        for text in ["", "sha256:", "sha256:zz", "2bb80d537b1da3e38bd30361aa855686"] {
            assert!(text.parse::<SecretHash>().is_err());
        }
    }

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
    fn ses_20_bytes_cannot_move_between_parts() {
        let key = MasterSecret::from_bytes([7; 32]).derive("test");
        assert_ne!(tag(&key, &[b"ab", b"c"]).as_ref(), tag(&key, &[b"a", b"bc"]).as_ref());
    }
}
