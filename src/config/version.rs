//! The version of a configuration: a hash of its text.

use super::redaction::Redaction;
use crate::random::to_hex;
use crate::secret::sha256;

/// The beginning of the SHA-256 of the text, and a hash of the text and the environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Version {
    digits: Box<str>,
    #[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "only reloads compare it"))]
    digest: [u8; 32],
}

impl Version {
    /// Hashes a text and the values from the environment.
    pub(super) fn new(text: &str, hidden: &Redaction) -> Self {
        let text_hash = sha256(text.as_bytes());
        let mut digits = to_hex(&text_hash);
        digits.truncate(DIGITS);
        let digest = sha256(&[text_hash, hidden.digest()].concat());
        Self { digits: digits.into(), digest }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.digits
    }

    /// Returns the hash of the text and the values from the environment. It must not be published: it
    /// would confirm a guessed value.
    #[cfg(feature = "proxy")]
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

const DIGITS: usize = 16;
