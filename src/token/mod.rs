//! Signed tokens: what they claim, and how they are verified.
//!
//! A token is good for one issuer, one audience, one type, one window of time and one algorithm,
//! and the algorithm comes from our key, never from the token. Wire format: sections 1 and 2 of
//! the Access contract; RFC 7515, RFC 7517 and RFC 7519 beneath. This room knows nothing of
//! applications, policies or signing.

mod algorithm;
mod cache;
mod claims;
mod error;
mod jws;
pub mod keys;
mod verify;

pub use self::algorithm::{Algorithm, Algorithms};
pub(crate) use self::cache::{Near, Signed, VerifiedTokens};
pub use self::claims::{Audiences, Claims, ClaimsError, TokenKind};
pub(crate) use self::claims::{Unusable, UnusableClaims, is_country_code};
pub use self::error::{ClaimName, TokenError, TokenErrorKind};
pub(crate) use self::jws::{Jws, claimed_life, unverified_claims};
pub use self::verify::{Expected, check_claims, verify};
pub(crate) use self::verify::{LONGEST_TOKEN, Lifetime};
