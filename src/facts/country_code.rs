//! Parsing of country codes from fact sources.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::address::Country;

/// Reads the codes of one source. A code that is assigned to no country (`EU`, `AP`, `A1`) makes the
/// country unknown, which is logged once. Clones share that memory.
#[derive(Clone, Debug, Default)]
pub(super) struct CountryCodes {
    warned: Arc<AtomicBool>,
}

impl CountryCodes {
    pub(super) fn read(&self, code: &str, source: impl Display) -> Option<Country> {
        match code.parse() {
            Ok(country) => Some(country),
            Err(_) => {
                if !is_unknown(code) && !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        code = ?code.chars().take(MAX_LOGGED_CHARS).collect::<String>(), %source,
                        "a source names a country that does not exist: the country of such requests \
                         is unknown, and what a rule about it would open stays closed"
                    );
                }
                None
            }
        }
    }
}

/// Returns whether the code means an unknown country.
fn is_unknown(code: &str) -> bool {
    code.is_empty() || code.eq_ignore_ascii_case("XX")
}

const MAX_LOGGED_CHARS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pol_21_a_code_of_no_country_is_an_unknown_country() {
        let codes = CountryCodes::default();
        assert_eq!(codes.read("fr", "a test"), "FR".parse().ok());
        for code in ["", "XX", "xx"] {
            assert_eq!(codes.read(code, "a test"), None);
            assert!(!codes.warned.load(Ordering::Relaxed), "{code:?} says that nothing is known");
        }
        for code in ["EU", "AP", "A1", "UK", "FRA", "FR,DE", "é", " "] {
            let codes = CountryCodes::default();
            assert_eq!(codes.read(code, "a test"), None, "{code:?}");
            assert!(codes.clone().warned.load(Ordering::Relaxed), "{code:?}");
        }
    }
}
