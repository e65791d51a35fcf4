//! Email addresses and their domains.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// An email address in lower case: one unquoted `@`, plain characters, a valid domain.
///
/// Stricter than RFC 5321 on purpose: quoted local parts, address literals, comments, control
/// characters, spaces and non-ASCII characters are refused, so that comparisons, headers and mail
/// servers all read the address in the same way.
///
/// ```
/// use tower_access::identity::Email;
///
/// let email: Email = "Ada@Example.COM".parse()?;
/// assert_eq!(email.as_str(), "ada@example.com");
/// assert_eq!(email.domain(), "example.com");
/// assert!("x@evil.example@example.com".parse::<Email>().is_err());
/// # Ok::<(), tower_access::identity::EmailError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Email(Box<str>);

impl Email {
    /// Returns the whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the address of a text that was an [`Email`] before.
    pub(super) fn from_parsed(text: Box<str>) -> Self {
        Self(text)
    }

    /// Returns the part after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        if text.len() > MAX_ADDRESS_BYTES {
            return Err(EmailError::ADDRESS);
        }
        let (local, domain) = text.split_once('@').ok_or(EmailError::ADDRESS)?;
        let local_is_plain = (1..=64).contains(&local.len())
            && !local.starts_with(['.', '-'])
            && !local.ends_with('.')
            && !local.contains("..")
            && local.bytes().all(is_local_byte);
        if !local_is_plain {
            return Err(EmailError::ADDRESS);
        }
        domain.parse::<EmailDomain>().map_err(|_| EmailError::ADDRESS)?;
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

/// The domain of email addresses, in lower case. Sub-domains do not match it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EmailDomain(Box<str>);

impl EmailDomain {
    /// Returns the domain.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmailDomain {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        let labels_are_plain = (1..=253).contains(&text.len())
            && text.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            });
        if labels_are_plain {
            Ok(Self(text.to_ascii_lowercase().into()))
        } else {
            Err(EmailError::DOMAIN)
        }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for EmailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Email {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for EmailDomain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Email {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for EmailDomain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text that is not a plain email address or domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct EmailError(&'static str);

impl EmailError {
    const ADDRESS: Self = Self("invalid email address: write `name@example.com`");
    const DOMAIN: Self = Self("invalid domain of email addresses: write `example.com`");
}

fn is_local_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-.".contains(&byte)
}

const MAX_ADDRESS_BYTES: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pol_01_otp_10_odd_addresses_are_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b.example",
            "x@evil.example@app.example",
            "\"x@app.example\"@evil.example",
            "x@app.example.",
            "x@.app.example",
            "x@app..example",
            "user@app.example\r\nBcc: x",
            "a@b.example,c@d.example",
            "\"x y\"@d.example",
            "a@[127.0.0.1]",
            "-a@b.example",
            " a@b.example",
            "a@b.example ",
            "a b@c.example",
            "ä@b.example",
            "a@bücher.example",
            "a@xn--\u{200b}.example",
            ".a@b.example",
            "a..b@c.example",
            "a\0@b.example",
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?}");
        }
        assert!(format!("{}@b.example", "a".repeat(400)).parse::<Email>().is_err());
        assert!(format!("a@{}", "b.".repeat(300)).parse::<Email>().is_err());
    }

    #[test]
    fn plain_addresses_are_lower_cased() {
        for (text, address) in [
            ("ada@example.com", "ada@example.com"),
            ("Ada.L+tag@Sub.Example.COM", "ada.l+tag@sub.example.com"),
            ("o'brien@example.com", "o'brien@example.com"),
            ("root@localhost", "root@localhost"),
        ] {
            assert_eq!(text.parse::<Email>().unwrap().as_str(), address);
        }
    }
}
