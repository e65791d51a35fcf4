//! Country codes.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// A country: one of the 249 codes of two letters that ISO 3166-1 assigns, `XK` (Kosovo, as
/// databases write it), or `T1` for the Tor network.
///
/// Other codes are refused, so that every rule names a country users can come from. The error for
/// `UK`, `EU` and codes of former countries says which code to write. Letter case is ignored.
///
/// `XX` is refused, too: databases write it for "unknown", and an unknown country is a missing
/// fact that no rule can name.
///
/// ```
/// use tower_access::address::Country;
///
/// let france: Country = "fr".parse()?;
/// assert_eq!(france.as_str(), "FR");
/// assert!("XX".parse::<Country>().is_err());
/// let error = "UK".parse::<Country>().unwrap_err();
/// assert!(error.to_string().contains("write `GB`"));
/// # Ok::<(), tower_access::address::CountryError>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Country([u8; 2]);

impl Country {
    /// Returns the code in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns an iterator over all countries: those of ISO 3166-1 in the order of their codes, then the others.
    pub fn all() -> impl Iterator<Item = Self> {
        let assigned = ASSIGNED
            .iter()
            .zip(b'A'..)
            .flat_map(|(seconds, first)| seconds.bytes().map(move |second| Self([first, second])));
        assigned.chain(NON_ISO_CODES.into_iter().map(Self))
    }
}

impl FromStr for Country {
    type Err = CountryError;

    fn from_str(text: &str) -> Result<Self, CountryError> {
        let [first, second] =
            <[u8; 2]>::try_from(text.as_bytes()).map_err(|_| CountryError(InvalidCountry::Form))?;
        let code = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
        if is_assigned(code) || NON_ISO_CODES.contains(&code) {
            Ok(Self(code))
        } else if code == UNKNOWN || !code.iter().all(u8::is_ascii_uppercase) {
            Err(CountryError(InvalidCountry::Form))
        } else {
            Err(CountryError(InvalidCountry::Code(code)))
        }
    }
}

fn is_assigned([first, second]: [u8; 2]) -> bool {
    let row = first.checked_sub(b'A').and_then(|row| ASSIGNED.get(usize::from(row)));
    row.is_some_and(|seconds| seconds.as_bytes().contains(&second))
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

/// The error for an invalid country code. Its text says what to write instead.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(transparent)]
pub struct CountryError(InvalidCountry);

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum InvalidCountry {
    #[error(
        "invalid country code: write two letters such as `FR` (ISO 3166-1), or `T1` for the Tor network"
    )]
    Form,
    #[error("`{}` is not a country code (ISO 3166-1): {}", .0.escape_ascii(), instead(*.0))]
    Code([u8; 2]),
}

/// Returns what to write instead of a code that is not assigned.
fn instead(code: [u8; 2]) -> &'static str {
    match &code {
        // Codes of other lists: reserved ones, languages, cars.
        b"UK" => "write `GB` for the United Kingdom (`UA` is Ukraine)",
        b"EN" => "it is the language English; write `GB`, `US` or the intended country",
        b"EU" => "it is the European Union; write one rule for each of its countries",
        b"EZ" => "it is the euro area; write one rule for each of its countries",
        b"UN" => "it is the United Nations; write one rule for each intended country",
        b"AP" => "it is a region; write one rule for each of its countries",
        b"AC" | b"TA" => "write `SH`, to which it belongs",
        b"CP" | b"FX" => "write `FR`, to which it belongs",
        b"CQ" => "write `GG`, to which it belongs",
        b"DG" => "write `IO`, to which it belongs",
        b"EA" | b"IC" => "write `ES`, to which it belongs",
        b"DA" => "it is the language Danish; write `DK`",
        b"EL" => "write `GR` for Greece",
        b"JA" => "it is the language Japanese; write `JP`",
        b"KO" => "it is the language Korean; write `KR`",
        b"SF" => "write `FI` for Finland",
        b"ZH" => "it is the language Chinese; write `CN`, `TW` or `HK`",
        // Former countries and former names.
        b"AN" => "the Netherlands Antilles are `BQ`, `CW` and `SX` now",
        b"BU" => "write `MM` for Myanmar",
        b"CS" => "write `CZ` for Czechia, `SK` for Slovakia, or `RS` and `ME`",
        b"DD" => "write `DE` for Germany",
        b"SU" => "write `RU` for Russia, or the intended country",
        b"TP" => "write `TL` for Timor-Leste",
        b"YD" => "write `YE` for Yemen",
        b"YU" => "Yugoslavia is `RS`, `ME`, `HR`, `SI`, `BA` and `MK` now",
        b"ZR" => "write `CD` for the Democratic Republic of the Congo",
        _ => "it is not assigned; write an assigned code such as `FR`",
    }
}

/// The second letters of the codes that ISO 3166-1 assigns, by the first letter.
#[rustfmt::skip]
const ASSIGNED: [&str; 26] = [
    "DEFGILMOQRSTUWXZ", // A
    "ABDEFGHIJLMNOQRSTVWYZ", // B
    "ACDFGHIKLMNORUVWXYZ", // C
    "EJKMOZ", // D
    "CEGHRST", // E
    "IJKMOR", // F
    "ABDEFGHILMNPQRSTUWY", // G
    "KMNRTU", // H
    "DELMNOQRST", // I
    "EMOP", // J
    "EGHIMNPRWYZ", // K
    "ABCIKRSTUVY", // L
    "ACDEFGHKLMNOPQRSTUVWXYZ", // M
    "ACEFGILOPRUZ", // N
    "M", // O
    "AEFGHKLMNRSTWY", // P
    "A", // Q
    "EOSUW", // R
    "ABCDEGHIJKLMNORSTVXYZ", // S
    "CDFGHJKLMNORTVWZ", // T
    "AGMSYZ", // U
    "ACEGINU", // V
    "FS", // W
    "", // X
    "ET", // Y
    "AMW", // Z
];

/// Kosovo, as MaxMind and Cloudflare write it, and the Tor network, as Cloudflare does.
const NON_ISO_CODES: [[u8; 2]; 2] = [*b"T1", *b"XK"];

/// The code for an unknown country.
const UNKNOWN: [u8; 2] = *b"XX";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<Country>().unwrap_err().to_string()
    }

    #[test]
    fn pol_15_only_codes_of_countries_are_countries() {
        for text in ["FR", "fr", "t1", "T1", "GB", "Xk", "NO", "AQ", "ZW"] {
            assert!(text.parse::<Country>().is_ok(), "{text}");
        }
        for text in ["", "F", "FRA", "F1", "1F", "xx", "é", "F ", "T2"] {
            assert!(refusal(text).starts_with("invalid country code: write two letters"), "{text}");
        }
    }

    #[test]
    fn pol_21_a_code_assigned_to_no_country_is_refused_with_what_was_meant() {
        for (text, meant) in [
            ("UK", "write `GB`"),
            ("uk", "`UK` is not a country code"),
            ("EU", "European Union"),
            ("EN", "English"),
            ("YU", "`RS`, `ME`"),
            ("AA", "not assigned"),
            ("QQ", "not assigned"),
            ("ZZ", "not assigned"),
            ("XA", "not assigned"),
            ("AP", "region"),
        ] {
            assert!(refusal(text).contains(meant), "{text}: {}", refusal(text));
            assert!(refusal(text).contains("is not a country code"), "{text}");
        }
    }

    /// What a hint says to write can be written.
    #[test]
    fn pol_21_hints_name_countries_alone() {
        let letters = || b'A'..=b'Z';
        let codes = letters().flat_map(|first| letters().map(move |second| [first, second]));
        let refused = codes.filter(|code| !is_assigned(*code)).collect::<Vec<_>>();
        assert_eq!(refused.len(), 26 * 26 - 249);
        for code in refused {
            let hint = instead(code);
            for named in hint.split('`').skip(1).step_by(2) {
                assert!(named.parse::<Country>().is_ok(), "{code:?}: {hint}");
            }
        }
    }

    #[test]
    fn pol_21_the_table_has_each_country_once_and_in_order() {
        let all: Vec<Country> = Country::all().collect();
        assert_eq!(all.len(), 251);
        let assigned = &all[..249];
        assert!(assigned.windows(2).all(|pair| pair[0] < pair[1]));
        for country in all {
            assert_eq!(country.as_str().parse(), Ok(country));
        }
    }
}
