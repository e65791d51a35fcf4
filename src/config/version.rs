//! Which text a configuration was read from.

use super::hidden::Hidden;
use crate::random::to_hex;
use crate::secret::sha256;

/// The beginning of the text's SHA-256, and one of all that counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Version {
    digits: Box<str>,
    #[cfg_attr(not(feature = "proxy"), allow(dead_code, reason = "reloads ask for it"))]
    digest: [u8; 32],
}

impl Version {
    /// Of a text, with all that came from the environment.
    pub(super) fn of(text: &str, hidden: &Hidden) -> Self {
        let of_text = sha256(text.as_bytes());
        let mut digits = to_hex(&of_text);
        digits.truncate(DIGITS);
        let digest = sha256(&[of_text, hidden.digest()].concat());
        Self { digits: digits.into(), digest }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.digits
    }

    /// Another one for another text, or other values from the environment. Not to be told: it would
    /// tell whether a value was guessed.
    #[cfg(feature = "proxy")]
    pub(super) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

const DIGITS: usize = 16;
