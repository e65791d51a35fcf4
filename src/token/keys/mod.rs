//! The keys an issuer signs with.

mod filter;
mod remote;

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::signature::ParsedPublicKey;

pub use self::filter::KeySetError;
#[cfg(feature = "http-client")]
pub use self::remote::HttpFetch;
pub(crate) use self::remote::Lookup;
pub use self::remote::{FetchError, KeyFetch, KeyFuture, RemoteKeys};

/// A set of public keys by key id. Every key has one algorithm.
///
/// Parsed once, when the set is loaded; a key that is unfit is left out there, and does not take
/// the others with it.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: HashMap<Box<str>, PublicKey>,
}

impl KeySet {
    pub(crate) fn from_keys(keys: impl IntoIterator<Item = (Box<str>, PublicKey)>) -> Self {
        Self { keys: keys.into_iter().collect() }
    }

    /// The key of this id.
    pub(crate) fn get(&self, key_id: &str) -> Option<&PublicKey> {
        self.keys.get(key_id)
    }

    /// Whether both sets hold the same keys under the same ids.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len()
            && self.keys.iter().all(|(id, key)| {
                other.keys.get(id).is_some_and(|other| key.0.as_ref() == other.0.as_ref())
            })
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key at all; then no token verifies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// An RSA key of at least 2048 bits, for RS256 and nothing else.
#[derive(Clone)]
pub(crate) struct PublicKey(ParsedPublicKey);

impl PublicKey {
    pub(crate) fn rs256(key: ParsedPublicKey) -> Self {
        Self(key)
    }

    #[allow(clippy::unused_self, reason = "the algorithm belongs to the key")]
    pub(crate) fn algorithm(&self) -> &'static str {
        "RS256"
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm())
    }
}
