//! Signed tokens: claims and verification.
//!
//! A token is valid for one issuer, one audience, one type, one period and one algorithm,
//! and the algorithm comes from our key, never from the token. Wire format: sections 1 and 2 of
//! the Access contract; RFC 7515, RFC 7517 and RFC 7519 beneath. This module does not depend on
//! applications, policies or signing.

mod algorithm;
mod cache;
mod claims;
mod error;
mod jws;
pub mod keys;
mod verify;

pub(crate) use self::algorithm::KeyAlgorithm;
pub use self::algorithm::{Algorithm, Algorithms};
pub(crate) use self::cache::{CacheEntry, Packed, ThreadCache, VerifiedTokens, allocated};
pub use self::claims::{Audiences, Claims, ClaimsError, TokenKind};
pub(crate) use self::claims::{UnusableClaims, UnusableReason};
pub use self::error::{ClaimName, TokenError, TokenErrorKind};
#[cfg(feature = "oidc")]
pub(crate) use self::jws::unverified_payload;
pub(crate) use self::jws::{Jws, custom_claims, unverified_claims, unverified_lifetime};
pub use self::verify::{Expected, verify};
pub(crate) use self::verify::{Lifetime, MAX_TOKEN_LIFETIME, check_claims};
