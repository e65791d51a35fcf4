//! Issuing tokens: signing keys, their rotation and publication, and where they are stored.
//!
//! Keys are replaced on a schedule or at once; the key before verifies for an overlap. A key set is
//! published at `/cdn-cgi/access/certs` (section 2 of the Access contract; RFC 7517). This room signs
//! the claims it is given; it knows nothing of sessions, applications and login pages.

mod issuing;
mod publication;
mod ring;
mod rotation;
mod signer;
mod signing_keys;
mod stored_keys;

pub(crate) use self::issuing::{IssuedToken, Issuer};
pub use self::publication::{PublishError, PublishedKeys};
pub use self::rotation::{KeyRotation, KeyRotationState};
pub use self::signer::{RsaKeySize, SigningError, SigningKey};
#[doc(hidden)]
pub use self::signing_keys::{AnnounceError, SigningKeys};
pub(crate) use self::stored_keys::StoredKeys;
