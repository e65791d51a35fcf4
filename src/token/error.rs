//! The reasons for refusing a token.

use std::fmt;

use crate::audit::Disclosed;

/// The error for a refused token.
///
/// Clients see the same response for every reason; [`kind`](Self::kind) is for the operator: it is in the
/// log line of the refusal, in the [`Rejection`](crate::Rejection) and in the metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenError {
    kind: TokenErrorKind,
}

impl TokenError {
    /// Returns the reason.
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
        self.kind.fmt(f)
    }
}

impl std::error::Error for TokenError {}

/// The reason why a token was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// Over 16 KiB.
    TooLarge,
    /// Not three segments.
    Segments,
    /// Five segments: an encrypted token (RFC 7516).
    Encrypted,
    /// A segment is not unpadded, canonical base64url.
    Encoding,
    /// The header is not a JSON object, or a member of it has the wrong type or is repeated.
    Header,
    /// `crit`, `b64` or `zip` is present.
    Critical,
    /// `typ` is that of another protocol.
    MediaType,
    /// `alg` is missing, unknown, or differs from the key's algorithm.
    Algorithm,
    /// `kid` is missing.
    NoKeyId,
    /// No key of the issuer has this `kid`.
    UnknownKey,
    /// The signature does not verify.
    Signature,
    /// The payload is not a JSON object.
    Payload,
    /// A claim is repeated.
    DuplicateClaim(ClaimName),
    /// A claim has the wrong type. `null` is a wrong type for claims of validity; an identity claim of
    /// another issuer's token may be `null`.
    WrongType(ClaimName),
    /// A claim is missing.
    MissingClaim(ClaimName),
    /// `iss` is not exactly the issuer.
    Issuer,
    /// `aud` does not contain an accepted audience.
    Audience,
    /// `type` is not the expected one.
    Type,
    /// `exp` has passed.
    Expired,
    /// `nbf` or `iat` lies in the future.
    NotYetValid,
    /// `exp` lies more than 366 days after `iat`.
    Lifetime,
    /// The claims identify neither a user nor a service, or both.
    Subject,
    /// The session ended before the token expired.
    Revoked,
    /// The application requires a binding cookie, and the request has none that belongs to the token.
    Binding,
    /// No keys are loaded, and fetching them failed.
    KeysUnavailable,
}

/// A claim that is read here. An error never contains text from a token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ClaimName {
    /// `type`
    Type,
    /// `iss`
    Issuer,
    /// `aud`
    Audience,
    /// `exp`
    ExpiresAt,
    /// `iat`
    IssuedAt,
    /// `nbf`
    NotBefore,
    /// `sub`
    Subject,
    /// `email`
    Email,
    /// `common_name`
    CommonName,
    /// `identity_nonce`
    IdentityNonce,
    /// `country`
    Country,
    /// `custom`
    Custom,
    /// Any other claim.
    Other,
}

impl Disclosed for ClaimName {}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "type",
            Self::Issuer => "iss",
            Self::Audience => "aud",
            Self::ExpiresAt => "exp",
            Self::IssuedAt => "iat",
            Self::NotBefore => "nbf",
            Self::Subject => "sub",
            Self::Email => "email",
            Self::CommonName => "common_name",
            Self::IdentityNonce => "identity_nonce",
            Self::Country => "country",
            Self::Custom => "custom",
            Self::Other => "(another)",
        })
    }
}

impl TokenErrorKind {
    /// Returns a short name, for metrics and logs: `expired`, `unknown_key`, ….
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Segments => "segments",
            Self::Encrypted => "encrypted",
            Self::Encoding => "encoding",
            Self::Header => "header",
            Self::Critical => "critical",
            Self::MediaType => "media_type",
            Self::Algorithm => "algorithm",
            Self::NoKeyId => "no_key_id",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Payload => "payload",
            Self::DuplicateClaim(_) => "duplicate_claim",
            Self::WrongType(_) => "wrong_type",
            Self::MissingClaim(_) => "missing_claim",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Type => "type",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Lifetime => "lifetime",
            Self::Subject => "subject",
            Self::Revoked => "revoked",
            Self::Binding => "binding",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }
}

impl fmt::Display for TokenErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the token is over 16 KiB",
            Self::Segments => "the token is not three segments",
            Self::Encrypted => "the token is encrypted (JWE)",
            Self::Encoding => "a segment of the token is not canonical base64url",
            Self::Header => "the token's header is malformed",
            Self::Critical => "the token needs an extension that is not supported",
            Self::MediaType => "the token's `typ` is that of another protocol",
            Self::Algorithm => "the token's algorithm differs from its key's",
            Self::NoKeyId => "the token has no key id (`kid`)",
            Self::UnknownKey => "no known key has the token's key id",
            Self::Signature => "the token's signature is wrong",
            Self::Payload => "the token's claims are not a JSON object",
            Self::DuplicateClaim(claim) => {
                return write!(f, "the token's claim `{claim}` is repeated");
            }
            Self::WrongType(claim) => {
                return write!(f, "the token's claim `{claim}` has the wrong type");
            }
            Self::MissingClaim(claim) => return write!(f, "the token has no claim `{claim}`"),
            Self::Issuer => "the token was issued by another issuer",
            Self::Audience => "the token is for another audience",
            Self::Type => "the token has another type",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
            Self::Lifetime => "the token's lifetime is longer than 366 days",
            Self::Subject => "the token names neither a person nor a service, or both",
            Self::Revoked => "the token's session has been ended",
            Self::Binding => "the token's binding cookie is missing or belongs to another token",
            Self::KeysUnavailable => "the issuer's keys could not be fetched",
        })
    }
}
