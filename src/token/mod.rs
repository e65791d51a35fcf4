//! Signed tokens: claims and verification.
//!
//! A token is valid for one issuer, one audience, one type, one period and one algorithm,
//! and the algorithm comes from our key, never from the token. Wire format: sections 1 and 2 of
//! the Access contract; RFC 7515, RFC 7517 and RFC 7519. This module does not depend on
//! applications, policies or signing.

mod algorithm;
mod cache;
mod claims;
mod error;
mod jws;
pub mod keys;
mod verify;

pub use self::algorithm::{Algorithm, Algorithms};
pub(crate) use self::cache::{CacheEntry, ThreadCache, VerifiedTokens};
pub use self::claims::{Audiences, Claims, ClaimsError, TokenKind};
pub(crate) use self::claims::{UnusableClaims, UnusableReason, is_country_code};
pub use self::error::{ClaimName, TokenError, TokenErrorKind};
pub(crate) use self::jws::{Jws, unverified_claims, unverified_lifetime};
pub use self::verify::{Expected, verify};
pub(crate) use self::verify::{Lifetime, MAX_TOKEN_LIFETIME, check_claims};
