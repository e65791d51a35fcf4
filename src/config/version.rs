//! Which text a configuration was read from.

use crate::random::to_hex;
use crate::secret::sha256;

/// The beginning of the text's SHA-256.
#[derive(Clone, Debug, Default)]
pub(super) struct Version(Box<str>);

impl Version {
    pub(super) fn of(text: &str) -> Self {
        let mut digits = to_hex(&sha256(text.as_bytes()));
        digits.truncate(DIGITS);
        Self(digits.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

const DIGITS: usize = 16;
