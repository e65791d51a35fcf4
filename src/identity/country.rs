//! The code of a country.

/// A country code (ISO 3166-1 alpha-2), or a code that issuers use instead (`XX`, `T1`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Country([u8; 2]);

impl Country {
    /// Returns the code; `None` unless it has two letters or digits.
    pub(crate) fn from_code(code: &str) -> Option<Self> {
        let code = <[u8; 2]>::try_from(code.as_bytes()).ok()?;
        code.iter().all(u8::is_ascii_alphanumeric).then_some(Self(code))
    }

    pub(crate) fn as_str(&self) -> &str {
        // Letters and digits only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
