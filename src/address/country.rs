//! Countries, as databases of addresses name them.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// A country: the two letters of ISO 3166-1, or `T1`, which stands for the Tor network.
///
/// `XX` is no country. It is what "unknown" is written as, and an unknown country is a missing
/// fact, never one that rules could name.
///
/// ```
/// use tower_access::address::Country;
///
/// let france: Country = "fr".parse()?;
/// assert_eq!(france.as_str(), "FR");
/// assert!("XX".parse::<Country>().is_err());
/// # Ok::<(), tower_access::address::CountryError>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Country([u8; 2]);

impl Country {
    /// The code, in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Country {
    type Err = CountryError;

    fn from_str(text: &str) -> Result<Self, CountryError> {
        let [first, second] = <[u8; 2]>::try_from(text.as_bytes()).map_err(|_| CountryError)?;
        let code = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
        let is_code = code.iter().all(u8::is_ascii_uppercase) || code == *b"T1";
        if is_code && code != *b"XX" { Ok(Self(code)) } else { Err(CountryError) }
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Country").field(&self.as_str()).finish()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text that is no country's code.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no country: write two letters such as `FR` (ISO 3166-1), or `T1` for the Tor network")]
pub struct CountryError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pol_15_only_codes_of_countries_are_countries() {
        for text in ["FR", "fr", "t1", "T1", "GB"] {
            assert!(text.parse::<Country>().is_ok(), "{text}");
        }
        for text in ["", "F", "FRA", "F1", "1F", "xx", "é", "F ", "T2"] {
            assert!(text.parse::<Country>().is_err(), "{text}");
        }
    }
}
