//! Signed tokens: what they claim, how they are verified, which keys sign them.
//!
//! A token is good for one issuer, one audience, one type, one window of time and one algorithm,
//! and the algorithm comes from our key, never from the token. Wire format: sections 1 and 2 of
//! the Access contract; RFC 7515, RFC 7517 and RFC 7519 beneath. This room knows nothing of
//! applications or policies.

mod algorithm;
mod cache;
mod claims;
mod error;
mod jws;
pub mod keys;
#[cfg(feature = "issuer")]
mod publish;
#[cfg(feature = "issuer")]
#[cfg_attr(
    not(feature = "login"),
    allow(dead_code, reason = "keys are kept, and put together, where people log in")
)]
mod ring;
#[cfg(feature = "issuer")]
mod rotate;
#[cfg(feature = "login")]
mod rotation_state;
#[cfg(feature = "issuer")]
mod sign;
mod verify;

pub use self::algorithm::{Algorithm, Algorithms};
pub(crate) use self::cache::{Near, Signed, VerifiedTokens};
pub use self::claims::{Audiences, Claims, ClaimsError, TokenKind};
pub(crate) use self::claims::{Unusable, UnusableClaims, is_country_code};
pub use self::error::{ClaimName, TokenError, TokenErrorKind};
pub(crate) use self::jws::{Jws, claimed_life, unverified_claims};
#[cfg(feature = "issuer")]
pub use self::publish::{PublishError, PublishedKeys};
#[cfg(feature = "login")]
pub(crate) use self::ring::{KeyRing, Position, RingKey};
#[cfg(feature = "issuer")]
pub use self::rotate::{AnnounceError, KeyRotation, SigningKeys};
#[cfg(feature = "login")]
pub(crate) use self::rotate::{SHORTEST_ANNOUNCEMENT, first_turn, next_turn};
#[cfg(feature = "login")]
pub use self::rotation_state::KeyRotationState;
#[cfg(feature = "issuer")]
pub use self::sign::{RsaKeySize, SigningError, SigningKey};
pub use self::verify::{Expected, check_claims, verify};
pub(crate) use self::verify::{LONGEST_TOKEN, Lifetime};
