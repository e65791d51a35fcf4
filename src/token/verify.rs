//! Verifying a token: signature first, then every claim.

use std::time::Duration;

use crate::clock::Timestamp;

use super::claims::{Claims, TokenKind};
use super::error::{TokenError, TokenErrorKind};
use super::jws::Jws;
use super::keys::KeySet;

/// What a token has to be to be good here.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The issuer, compared byte for byte.
    pub issuer: &'a str,
    /// The audiences accepted here. One of the token's has to be one of them, compared as a whole.
    pub audiences: &'a [&'a str],
    /// Application token or session token.
    pub kind: TokenKind,
    /// Tolerance for `exp`, `nbf` and `iat` between two clocks.
    pub leeway: Duration,
}

/// Verifies a token: one signature check, then the claims.
///
/// A pure function of its arguments. A token is good while `now < exp + leeway`, and from
/// `nbf - leeway` and `iat - leeway` on.
///
/// # Errors
///
/// What was wrong; see [`TokenErrorKind`].
///
/// ```
/// use std::time::Duration;
/// use tower_access::clock::Timestamp;
/// use tower_access::token::keys::KeySet;
/// use tower_access::token::{Expected, TokenErrorKind, TokenKind, verify};
///
/// let keys = KeySet::default();
/// let expected = Expected {
///     issuer: "https://acme.cloudflareaccess.com",
///     audiences: &["7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc"],
///     kind: TokenKind::Application,
///     leeway: Duration::ZERO,
/// };
/// let now = Timestamp::from_unix_seconds(1_790_000_000);
/// let error = verify("no.token.", &keys, expected, now).unwrap_err();
/// assert_eq!(error.kind(), TokenErrorKind::Encoding);
/// ```
pub fn verify(
    token: &str,
    keys: &KeySet,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    let claims = Jws::parse(token)?.verify(keys)?;
    check_claims(&claims, expected, now)?;
    Ok(claims)
}

/// Checks the claims of a token whose signature has been checked, now or earlier.
///
/// # Errors
///
/// What was wrong; see [`TokenErrorKind`].
pub fn check_claims(
    claims: &Claims,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<(), TokenError> {
    if claims.iss != expected.issuer {
        return Err(TokenErrorKind::Issuer.into());
    }
    if claims.kind != expected.kind {
        return Err(TokenErrorKind::Type.into());
    }
    if !expected.audiences.iter().any(|audience| claims.aud.contains(audience)) {
        return Err(TokenErrorKind::Audience.into());
    }
    Lifetime::of(claims)?.check(now, expected.leeway)
}

/// From when to when a token is good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    start: u64,
    end: u64,
}

impl Lifetime {
    pub(crate) fn of(claims: &Claims) -> Result<Self, TokenError> {
        if claims.exp.saturating_sub(claims.iat) > LONGEST_TOKEN.as_secs() {
            return Err(TokenErrorKind::Lifetime.into());
        }
        Ok(Self { start: claims.iat.max(claims.nbf.unwrap_or(0)), end: claims.exp })
    }

    pub(crate) fn check(self, now: Timestamp, leeway: Duration) -> Result<(), TokenError> {
        let (now, leeway) = (now.as_unix_seconds(), leeway.as_secs());
        if self.end.saturating_add(leeway) <= now {
            return Err(TokenErrorKind::Expired.into());
        }
        if self.start > now.saturating_add(leeway) {
            return Err(TokenErrorKind::NotYetValid.into());
        }
        Ok(())
    }
}

/// A token that lives for ever is a mistake or an attack.
pub(crate) const LONGEST_TOKEN: Duration = Duration::from_secs(366 * 86_400);
