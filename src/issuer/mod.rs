//! Issuing tokens: signing keys, their rotation and publication, and where they are stored.
//!
//! Keys are replaced on a schedule or on request; the previous key verifies for an overlap. The key set
//! is published at `/cdn-cgi/access/certs` (section 2 of the Access contract; RFC 7517). This module
//! signs claims; it does not depend on sessions, applications or login pages.

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
