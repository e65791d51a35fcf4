//! A client's key, and what is sealed for it.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;

use crate::login::Refusal;
use crate::random::Random;

/// The public key a client made for one login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ClientKey(pub(super) [u8; 32]);

/// Padded URL-safe base64, in its one spelling.
impl FromStr for ClientKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        if text.len() != WRITTEN_KEY {
            return Err(NotAKey);
        }
        let bytes = URL_SAFE.decode(text).map_err(|_| NotAKey)?;
        bytes.try_into().map(Self).map_err(|_| NotAKey)
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE.encode(self.0))
    }
}

/// A text that is no key of a client's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no key: 32 bytes in padded URL-safe base64 are needed")]
pub(crate) struct NotAKey;

/// A text only one client can read.
#[derive(Debug, serde::Deserialize, serde::Serialize)]
pub(super) struct Sealed {
    /// The key it was sealed with: padded URL-safe base64.
    pub(super) service_public_key: String,
    /// Nonce and box: standard base64.
    pub(super) text: String,
}

/// Seals a text for a client, with a key and a nonce made for it alone.
pub(super) type Seal = fn(&[u8], ClientKey, &dyn Random) -> Result<Sealed, Refusal>;

/// 32 bytes in padded base64.
const WRITTEN_KEY: usize = 44;

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
