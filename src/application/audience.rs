//! The audience tag of an application.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, de};

use crate::random::to_hex;
use crate::secret::sha256;

/// An application's audience (AUD) tag: 64 lower-case hexadecimal digits.
///
/// ```
/// use tower_access::application::Audience;
///
/// let audience: Audience =
///     "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc".parse()?;
/// # Ok::<(), tower_access::application::AudienceError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Audience(Arc<str>);

impl Audience {
    /// Returns the tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Derives the tag of an application without one: always the same for the same definition, so that
    /// links survive a restart.
    pub(crate) fn derived_from(definition: &str) -> Self {
        Self(to_hex(&sha256(format!("tower-access application {definition}").as_bytes())).into())
    }
}

impl FromStr for Audience {
    type Err = AudienceError;

    fn from_str(text: &str) -> Result<Self, AudienceError> {
        let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(digits) {
            Ok(Self(text.into()))
        } else {
            Err(AudienceError)
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text that is not an audience tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "invalid audience tag: write the 64 lower-case hexadecimal digits of the application's overview"
)]
pub struct AudienceError;
