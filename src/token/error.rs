//! Why a token was refused.

use std::fmt;

/// A token that was refused.
///
/// From outside all refusals look the same; [`kind`](Self::kind) is for the audit record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenError {
    kind: TokenErrorKind,
}

impl TokenError {
    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> TokenErrorKind {
        self.kind
    }
}

impl From<TokenErrorKind> for TokenError {
    fn from(kind: TokenErrorKind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TokenErrorKind::TooLarge => "the token is too large",
            TokenErrorKind::Malformed => "the token is malformed",
            TokenErrorKind::Algorithm => "the token names another algorithm than its key has",
            TokenErrorKind::Critical => "the token needs an extension that is not supported",
            TokenErrorKind::UnknownKey => "no known key has the token's key id",
            TokenErrorKind::Signature => "the token's signature is wrong",
            TokenErrorKind::Issuer => "the token is of another issuer",
            TokenErrorKind::Audience => "the token is for another audience",
            TokenErrorKind::Type => "the token is of another type",
            TokenErrorKind::Expired => "the token has expired",
            TokenErrorKind::NotYetValid => "the token is not valid yet",
            TokenErrorKind::Lifetime => "the token lives longer than any token may",
            TokenErrorKind::Subject => "the token names no person and no service",
            TokenErrorKind::Revoked => "the token's session has been ended",
            TokenErrorKind::KeysUnavailable => "the issuer's keys could not be fetched",
        })
    }
}

impl std::error::Error for TokenError {}

/// What was wrong with a token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// Over 16 KiB.
    TooLarge,
    /// Not three segments of unpadded base64url, or not the JSON expected in them.
    Malformed,
    /// `alg` is missing or is not the one the key is for.
    Algorithm,
    /// `crit`, `b64` or `zip` is there, or `typ` is that of another protocol.
    Critical,
    /// `kid` is missing or names no key of the issuer.
    UnknownKey,
    /// The signature does not verify.
    Signature,
    /// `iss` is not exactly the issuer.
    Issuer,
    /// `aud` does not hold exactly the application's audience.
    Audience,
    /// `type` is not the one expected here.
    Type,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` lies in the future.
    NotYetValid,
    /// `exp` lies more than 366 days after `iat`.
    Lifetime,
    /// Neither a person nor a service, or both.
    Subject,
    /// The session has been ended before the token's time.
    Revoked,
    /// There are no keys to verify with, and none could be fetched.
    KeysUnavailable,
}
