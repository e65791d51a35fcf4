//! The compact form of a verified token, for the cache.

use std::sync::{Arc, OnceLock};

use super::{Verified, copied};
use crate::application::Audience;
use crate::clock::Timestamp;
use crate::identity::PackedIdentity;
use crate::token::{Audiences, Lifetime, Packed, TokenKind, allocated};

/// A verified token without its text, which the request brings again. Issuer and audience are shared
/// with the engine; attributes are parsed again where they are needed.
#[derive(Debug)]
pub(crate) struct PackedToken {
    identity: PackedIdentity,
    has_attributes: bool,
    kind: TokenKind,
    issuer: Arc<str>,
    /// Whether no engine shares the issuer's name.
    has_own_issuer: bool,
    audience: Audience,
    all_audiences: Option<Arc<Audiences>>,
    issued_at: Timestamp,
    lifetime: Lifetime,
}

impl PackedToken {
    pub(super) fn new(verified: &Verified) -> Option<Self> {
        Some(Self {
            identity: PackedIdentity::new(&verified.identity)?,
            has_attributes: verified.has_attributes,
            kind: verified.kind,
            // Evaluated before the name is shared with the cache.
            has_own_issuer: Arc::strong_count(&verified.issuer) == 1,
            issuer: Arc::clone(&verified.issuer),
            audience: verified.audience.clone(),
            all_audiences: verified.all_audiences.clone(),
            issued_at: verified.issued_at,
            lifetime: verified.lifetime,
        })
    }

    pub(super) fn unpack(&self, token: &[u8]) -> Option<Verified> {
        let email = Some(self.identity.email()).filter(|email| !email.is_empty());
        let (proof, email) = copied(token, email).ok()?;
        Some(Verified {
            identity: self.identity.unpack(proof)?,
            email,
            assertion: OnceLock::new(),
            has_attributes: self.has_attributes,
            attributes: OnceLock::new(),
            kind: self.kind,
            issuer: Arc::clone(&self.issuer),
            audience: self.audience.clone(),
            all_audiences: self.all_audiences.clone(),
            issued_at: self.issued_at,
            lifetime: self.lifetime,
        })
    }
}

impl Packed for PackedToken {
    fn heap_bytes(&self) -> usize {
        /// The two counters of an `Arc`.
        const COUNTERS: usize = 2 * size_of::<usize>();
        let issuer = if self.has_own_issuer { allocated(COUNTERS + self.issuer.len()) } else { 0 };
        let audiences = self.all_audiences.as_deref().map_or(0, |audiences| {
            allocated(COUNTERS + size_of::<Audiences>()) + audiences.heap_bytes()
        });
        allocated(self.identity.text_bytes()) + issuer + audiences
    }
}
