//! Identity claims of a good token that cannot be used, and why: facts that nobody knows.

use std::fmt;

use super::Claims;
use crate::audit::Disclosed;
use crate::identity::Email;
use crate::token::error::ClaimName;

/// Identity claims that cannot be used, with the reason of each.
///
/// Empty for the tokens that issuers usually make, and then asks for no memory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct UnusableClaims(Vec<(ClaimName, Unusable)>);

/// Why a claim cannot be used. Text from a token is never a part of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unusable {
    Null,
    Number,
    Missing,
    Empty,
    /// An address that [`Email`] does not take.
    TooLong,
    NotAscii,
    Blank,
    NoAddress,
    /// No code of two letters or digits.
    NoCountry,
    NoObject,
}

impl UnusableClaims {
    pub(crate) fn push(&mut self, claim: ClaimName, why: Unusable) {
        // `null` says it already.
        if !self.0.iter().any(|(known, _)| *known == claim) {
            self.0.push((claim, why));
        }
    }

    /// Adds what cannot be used of a person's claims.
    pub(crate) fn examine_person(&mut self, claims: &Claims) {
        let found = [
            (ClaimName::Email, unusable_email(claims.email.as_deref())),
            (ClaimName::Subject, absent(claims.sub.as_deref())),
            (ClaimName::IdentityNonce, empty(claims.identity_nonce.as_deref())),
            (ClaimName::Country, unusable_country(claims.country.as_deref())),
        ];
        for (claim, why) in found {
            if let Some(why) = why {
                self.push(claim, why);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClaimName, Unusable)> {
        self.0.iter().copied()
    }
}

/// Whether a text is a code of a country, or of what issuers use in its place (`XX`, `T1`).
pub(crate) fn is_country_code(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn unusable_email(email: Option<&str>) -> Option<Unusable> {
    let Some(email) = email else { return Some(Unusable::Missing) };
    if email.parse::<Email>().is_ok() {
        return None;
    }
    let has_blank = email.bytes().any(|byte| byte == b' ' || byte.is_ascii_control());
    let is_too_long = email.len() > 254 || email.split('@').next().is_some_and(|it| it.len() > 64);
    Some(if email.is_empty() {
        Unusable::Empty
    } else if !email.is_ascii() {
        Unusable::NotAscii
    } else if has_blank {
        Unusable::Blank
    } else if is_too_long {
        Unusable::TooLong
    } else {
        Unusable::NoAddress
    })
}

fn unusable_country(country: Option<&str>) -> Option<Unusable> {
    let is_odd = country.is_some_and(|country| !is_country_code(country));
    is_odd.then_some(Unusable::NoCountry)
}

fn absent(text: Option<&str>) -> Option<Unusable> {
    if text.is_none() { Some(Unusable::Missing) } else { empty(text) }
}

fn empty(text: Option<&str>) -> Option<Unusable> {
    text.is_some_and(str::is_empty).then_some(Unusable::Empty)
}

impl Disclosed for Unusable {}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "it is null",
            Self::Number => "it is a number",
            Self::Missing => "it is missing",
            Self::Empty => "it is empty",
            Self::TooLong => "it is longer than an address may be",
            Self::NotAscii => "it has characters beyond ASCII",
            Self::Blank => "it has blanks or control characters",
            Self::NoAddress => "it is no plain address such as `name@example.com`",
            Self::NoCountry => "it is no code of two letters",
            Self::NoObject => "it is no object",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jwt_28_the_reason_fits_the_address() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}example.com", "b.".repeat(150));
        for (email, expected) in [
            (Some("ada@example.com"), None),
            (Some("Ada@Example.COM"), None),
            (None, Some(Unusable::Missing)),
            (Some(""), Some(Unusable::Empty)),
            (Some("jörg@example.com"), Some(Unusable::NotAscii)),
            (Some("ada@münchen.example"), Some(Unusable::NotAscii)),
            (Some("ada@example.com "), Some(Unusable::Blank)),
            (Some("ada@example.com\r\nx: y"), Some(Unusable::Blank)),
            (Some("\"ada l\"@example.com"), Some(Unusable::Blank)),
            (Some(&*long), Some(Unusable::TooLong)),
            (Some(&*longer), Some(Unusable::TooLong)),
            (Some("ab..c@mobile.example"), Some(Unusable::NoAddress)),
            (Some("ada@ex_ample.com"), Some(Unusable::NoAddress)),
            (Some("adal"), Some(Unusable::NoAddress)),
        ] {
            assert_eq!(unusable_email(email), expected, "{email:?}");
        }
    }
}
