//! Secrets that compare in constant time and never print.
//!
//! A secret we only compare is kept as a [`SecretHash`]; a key we compute with is derived from one
//! master secret with its own label, so no key has two purposes.

mod master;
mod text;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Deserializer, de};
use subtle::ConstantTimeEq;

pub use self::master::MasterSecret;
pub(crate) use self::master::{Seal, SealError, equal, tag};
pub use self::text::SecretText;
use crate::random::to_hex;

/// The SHA-256 hash of a high-entropy secret, written `sha256:` and 64 hexadecimal digits.
///
/// For secrets of at least 128 random bits, such as the secret of a service token. A password
/// that a person chose needs a slow hash instead.
///
/// ```
/// use tower_access::secret::SecretHash;
///
/// let kept: SecretHash = SecretHash::new("3397e352352f5a6103796a578fdcf6dc");
/// assert!(kept.matches("3397e352352f5a6103796a578fdcf6dc"));
/// assert!(!kept.matches("another"));
/// assert_eq!(format!("{kept:?}"), "SecretHash(***)");
/// ```
#[derive(Clone)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Hashes a secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(sha256(secret.as_bytes()))
    }

    /// Whether `candidate` is the secret, compared in constant time.
    #[must_use]
    pub fn matches(&self, candidate: &str) -> bool {
        self.equals_hash(&sha256(candidate.as_bytes()))
    }

    /// Returns whether this is the hash, compared in constant time.
    pub(crate) fn equals_hash(&self, hash: &[u8; 32]) -> bool {
        #[cfg(test)]
        COMPARISONS.with(|done| done.set(done.get() + 1));
        self.0.ct_eq(hash).into()
    }

    /// Whether both hash the same secret.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
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

/// The error for a text that is not a secret hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "not a secret hash: write `sha256:` and 64 hexadecimal digits \
     (printf %s \"$SECRET\" | sha256sum)"
)]
pub struct SecretHashError;

/// Returns the SHA-256 hash of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    let digest = digest::digest(&digest::SHA256, bytes);
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    hash
}

/// Decodes 64 hexadecimal digits.
pub(crate) fn from_hex(digits: &str) -> Option<[u8; 32]> {
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
thread_local! {
    static COMPARISONS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Returns the number of hashes this thread has compared.
#[cfg(test)]
pub(crate) fn comparisons() -> usize {
    COMPARISONS.with(std::cell::Cell::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn svc_08_the_written_form_is_a_hash_and_reads_back() {
        let hash = SecretHash::new("secret");
        let written = hash.to_string();
        assert!(!written.contains("secret"));
        assert!(written.parse::<SecretHash>().unwrap().matches("secret"));
        for text in ["", "sha256:", "sha256:zz", "2bb80d537b1da3e38bd30361aa855686"] {
            assert!(text.parse::<SecretHash>().is_err());
        }
    }
}
