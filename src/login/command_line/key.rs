//! A client's key, and text sealed for it.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use crate::login::Refusal;
use crate::random::Random;

/// The public key that a client generated for one login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ClientKey(pub(super) [u8; 32]);

/// Reads canonical padded URL-safe base64.
impl FromStr for ClientKey {
    type Err = InvalidClientKey;

    fn from_str(text: &str) -> Result<Self, InvalidClientKey> {
        if text.len() != ENCODED_KEY_LENGTH {
            return Err(InvalidClientKey);
        }
        let bytes = URL_SAFE.decode(text).map_err(|_| InvalidClientKey)?;
        bytes.try_into().map(Self).map_err(|_| InvalidClientKey)
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE.encode(self.0))
    }
}

/// The error of an invalid client key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid client key; expected 32 bytes in padded URL-safe base64")]
pub(crate) struct InvalidClientKey;

/// A text that only one client can read.
#[derive(Debug, serde::Deserialize, serde::Serialize)]
pub(super) struct Sealed {
    /// The public key it was sealed with: padded URL-safe base64.
    pub(super) service_public_key: String,
    /// Nonce and box: standard base64.
    pub(super) text: String,
}

/// Seals a text for a client, with a fresh key and nonce.
pub(super) type Seal = fn(&[u8], ClientKey, &dyn Random) -> Result<Sealed, Refusal>;

/// 32 bytes in padded base64.
const ENCODED_KEY_LENGTH: usize = 44;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_spelling() {
        let key = ClientKey([0xfb; 32]);
        let text = key.to_string();
        assert!(text.contains('-') && text.ends_with('='), "{text}");
        assert_eq!(text.parse(), Ok(key));
        let not_canonical = format!("{}9=", &text[..42]);
        for text in [
            "",
            &text[..43],
            &text[1..],
            &text.replace('-', "+"),
            &format!("{text}="),
            &URL_SAFE.encode([1; 31]),
            &URL_SAFE.encode([1; 33]),
            &not_canonical,
            &format!("{} {}", &text[..21], &text[22..]),
        ] {
            assert!(text.parse::<ClientKey>().is_err(), "{text}");
        }
    }
}
