//! Unusable identity claims of a valid token, with their reasons: they count as unknown.

use std::fmt;

use super::Claims;
use crate::audit::Disclosed;
use crate::identity::{Country, Email};
use crate::token::error::ClaimName;

/// Unusable identity claims, with the reason of each.
///
/// Empty for usual tokens, and then allocates nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct UnusableClaims(Vec<(ClaimName, UnusableReason)>);

/// The reason why a claim is unusable. Never contains text from a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum UnusableReason {
    Null,
    Number,
    Missing,
    Empty,
    /// An address that [`Email`] refuses.
    TooLong,
    NotAscii,
    Blank,
    NoAddress,
    /// Not a code of two letters or digits.
    NoCountry,
    NoObject,
}

impl UnusableClaims {
    pub(crate) fn push(&mut self, claim: ClaimName, why: UnusableReason) {
        // `null` was reported already.
        if !self.0.iter().any(|(known, _)| *known == claim) {
            self.0.push((claim, why));
        }
    }

    /// Adds the unusable claims of a user.
    pub(crate) fn examine_user(&mut self, claims: &Claims) {
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

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClaimName, UnusableReason)> {
        self.0.iter().copied()
    }
}

fn unusable_email(email: Option<&str>) -> Option<UnusableReason> {
    let Some(email) = email else { return Some(UnusableReason::Missing) };
    if email.parse::<Email>().is_ok() {
        return None;
    }
    let has_blank = email.bytes().any(|byte| byte == b' ' || byte.is_ascii_control());
    let is_too_long = email.len() > 254 || email.split('@').next().is_some_and(|it| it.len() > 64);
    Some(if email.is_empty() {
        UnusableReason::Empty
    } else if !email.is_ascii() {
        UnusableReason::NotAscii
    } else if has_blank {
        UnusableReason::Blank
    } else if is_too_long {
        UnusableReason::TooLong
    } else {
        UnusableReason::NoAddress
    })
}

fn unusable_country(country: Option<&str>) -> Option<UnusableReason> {
    let is_odd = country.is_some_and(|code| Country::from_code(code).is_none());
    is_odd.then_some(UnusableReason::NoCountry)
}

fn absent(text: Option<&str>) -> Option<UnusableReason> {
    if text.is_none() { Some(UnusableReason::Missing) } else { empty(text) }
}

fn empty(text: Option<&str>) -> Option<UnusableReason> {
    text.is_some_and(str::is_empty).then_some(UnusableReason::Empty)
}

impl Disclosed for UnusableReason {}

impl fmt::Display for UnusableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "it is null",
            Self::Number => "it is a number",
            Self::Missing => "it is missing",
            Self::Empty => "it is empty",
            Self::TooLong => "it is longer than an address may be",
            Self::NotAscii => "it has characters beyond ASCII",
            Self::Blank => "it has blanks or control characters",
            Self::NoAddress => "it is not a plain address such as `name@example.com`",
            Self::NoCountry => "it is not a two-letter code",
            Self::NoObject => "it is not an object",
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
            (None, Some(UnusableReason::Missing)),
            (Some(""), Some(UnusableReason::Empty)),
            (Some("jörg@example.com"), Some(UnusableReason::NotAscii)),
            (Some("ada@münchen.example"), Some(UnusableReason::NotAscii)),
            (Some("ada@example.com "), Some(UnusableReason::Blank)),
            (Some("ada@example.com\r\nx: y"), Some(UnusableReason::Blank)),
            (Some("\"ada l\"@example.com"), Some(UnusableReason::Blank)),
            (Some(&*long), Some(UnusableReason::TooLong)),
            (Some(&*longer), Some(UnusableReason::TooLong)),
            (Some("ab..c@mobile.example"), Some(UnusableReason::NoAddress)),
            (Some("ada@ex_ample.com"), Some(UnusableReason::NoAddress)),
            (Some("adal"), Some(UnusableReason::NoAddress)),
        ] {
            assert_eq!(unusable_email(email), expected, "{email:?}");
        }
    }
}
