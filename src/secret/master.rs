//! Keys we compute with.

use std::fmt;

use aws_lc_rs::{hkdf, hmac};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::random::{Random, RandomUnavailable};

/// The secret all other symmetric keys of a deployment are derived from.
///
/// Every key has its own label (RFC 5869), so that a value made for one purpose is worthless for
/// any other.
#[derive(Clone)]
pub struct MasterSecret(Zeroizing<[u8; 32]>);

impl MasterSecret {
    /// Takes 32 secret bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Draws a fresh one.
    ///
    /// # Errors
    ///
    /// When the source of randomness fails.
    pub fn generate(random: &dyn Random) -> Result<Self, RandomUnavailable> {
        let mut bytes = Zeroizing::new([0; 32]);
        random.fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// The HMAC-SHA-256 key of one purpose.
    pub(crate) fn derive(&self, label: &'static str) -> hmac::Key {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tower-access");
        let info = [label.as_bytes()];
        let mut bytes = Zeroizing::new([0_u8; 32]);
        let derived = salt
            .extract(&*self.0)
            .expand(&info, hkdf::HKDF_SHA256)
            .map(|okm| okm.fill(bytes.as_mut()));
        // Thirty-two bytes are one block of HKDF-SHA-256, which cannot be too long.
        debug_assert!(matches!(derived, Ok(Ok(()))));
        hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref())
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSecret(***)")
    }
}

/// Length-prefixed parts under one tag, so that bytes cannot move from one part to the next.
pub(crate) fn tag(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign()
}

/// Whether two byte strings are equal, in time that depends on their lengths only.
pub(crate) fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ses_22_every_label_gives_another_key() {
        let master = MasterSecret::from_bytes([7; 32]);
        let tags: Vec<_> = ["pin", "device"]
            .map(|label| tag(&master.derive(label), &[b"x"]).as_ref().to_vec())
            .into();
        assert_ne!(tags[0], tags[1]);
        assert_eq!(tags[0], tag(&master.derive("pin"), &[b"x"]).as_ref());
    }

    #[test]
    fn ses_20_bytes_cannot_move_between_parts() {
        let key = MasterSecret::from_bytes([7; 32]).derive("test");
        assert_ne!(tag(&key, &[b"ab", b"c"]).as_ref(), tag(&key, &[b"a", b"bc"]).as_ref());
    }
}
