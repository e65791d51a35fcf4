//! Issuing tokens: signing keys, their rotation and publication, and where they are stored.
//!
//! Keys are replaced on a schedule or at once; the key before verifies for an overlap. A key set is
//! published at `/cdn-cgi/access/certs` (section 2 of the Access contract; RFC 7517). This room knows
//! nothing of login pages.

mod issue;
mod publication;
mod ring;
mod rotate;
mod rotation;
mod rotation_state;
mod signer;
mod stored_keys;

pub(crate) use self::issue::{IssueError, IssuedToken, Issuer};
pub use self::publication::{PublishError, PublishedKeys};
pub(crate) use self::ring::{KeyRing, Position, RingKey};
pub use self::rotation::{AnnounceError, KeyRotation, SigningKeys};
pub(crate) use self::rotation::{SHORTEST_ANNOUNCEMENT, first_turn, next_turn};
pub use self::rotation_state::KeyRotationState;
pub use self::signer::{RsaKeySize, SigningError, SigningKey};
pub(crate) use self::stored_keys::KeptKeys;
