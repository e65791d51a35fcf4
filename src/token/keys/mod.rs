//! An issuer's keys, and their sources.
//!
//! A [`KeySource`] is one of three: the issuer's published set, fetched and kept up to date
//! ([`RemoteKeys`]); a fixed set ([`KeySet`]); or our own signer (`SigningKeys`).
//! Whatever the source, only keys that passed the filter get into a set, and each is bound to one
//! algorithm there.

mod endpoint;
mod fetch;
mod filter;
#[cfg(feature = "http-client")]
mod http_fetch;
mod refresh_policy;
mod remote;
mod unknown;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::signature::ParsedPublicKey;

use crate::clock::Timestamp;

use super::algorithm::KeyAlgorithm;

pub(crate) use self::endpoint::{KeyEndpoint, TIME_LIMIT};
pub use self::fetch::{FetchError, FetchedKeys, KeyFetch, KeyFuture};
pub use self::filter::KeySetError;
#[cfg(feature = "http-client")]
pub use self::http_fetch::HttpFetch;
pub use self::refresh_policy::RefreshPolicy;
pub use self::remote::RemoteKeys;
pub use crate::util::deferred::Deferred;

/// A source of an issuer's keys.
///
/// Called on every request, so its methods do not wait: a source fetches in the background, and
/// [`look_for`](Self::look_for) returns a future if waiting can help.
pub trait KeySource: Send + Sync + fmt::Debug + 'static {
    /// Returns the keys to verify with now; `None` while no keys are loaded, or they are too old.
    fn current(&self, now: Timestamp) -> Option<KeySet>;

    /// Returns whether the set of this id is the one to verify with now. The default calls
    /// [`current`](Self::current); a source that can compare ids without cloning the set is faster.
    fn is_current(&self, id: KeySetId, now: Timestamp) -> bool {
        self.current(now).is_some_and(|keys| keys.id() == id)
    }

    /// Called if a token names a key that is not in the current set, or if there is no set. Returns
    /// a future that completes when a refresh that may find the key has ended; starts one if it is due.
    /// `None`, the default: waiting does not help.
    fn look_for(&self, key_id: &str, now: Timestamp) -> Option<Deferred> {
        let _ = (key_id, now);
        None
    }

    /// Returns the state of the keys now.
    fn state(&self, now: Timestamp) -> KeyState {
        match self.current(now) {
            Some(keys) => KeyState::Fresh { keys: keys.len() },
            None => KeyState::NeverLoaded,
        }
    }
}

impl<S: KeySource + ?Sized> KeySource for Arc<S> {
    fn current(&self, now: Timestamp) -> Option<KeySet> {
        (**self).current(now)
    }

    fn is_current(&self, id: KeySetId, now: Timestamp) -> bool {
        (**self).is_current(id, now)
    }

    fn look_for(&self, key_id: &str, now: Timestamp) -> Option<Deferred> {
        (**self).look_for(key_id, now)
    }

    fn state(&self, now: Timestamp) -> KeyState {
        (**self).state(now)
    }
}

/// The state of a source's keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum KeyState {
    /// No set has been loaded yet: no token can be verified.
    NeverLoaded,
    /// The set is fresh.
    Fresh {
        /// The number of keys.
        keys: usize,
    },
    /// The set could not be refreshed in time; it is still used.
    Stale {
        /// The number of keys.
        keys: usize,
        /// The time at which it was loaded.
        loaded_at: Timestamp,
    },
    /// The set is too old: nothing can be verified.
    Expired {
        /// The time at which it was loaded.
        loaded_at: Timestamp,
    },
}

impl KeyState {
    /// Returns whether tokens can be verified.
    #[must_use]
    pub fn serves(self) -> bool {
        match self {
            Self::Fresh { .. } | Self::Stale { .. } => true,
            Self::NeverLoaded | Self::Expired { .. } => false,
        }
    }

    /// Returns the number of keys that can verify tokens.
    #[must_use]
    pub fn keys(self) -> usize {
        match self {
            Self::Fresh { keys } | Self::Stale { keys, .. } => keys,
            Self::NeverLoaded | Self::Expired { .. } => 0,
        }
    }

    /// Returns a short name, for metrics and logs: `never_loaded`, `fresh`, `stale`, `expired`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverLoaded => "never_loaded",
            Self::Fresh { .. } => "fresh",
            Self::Stale { .. } => "stale",
            Self::Expired { .. } => "expired",
        }
    }
}

/// A set of public keys by key id. Every key has one algorithm.
///
/// Parsed once, when the set is loaded; an unusable key is skipped and does not
/// affect the others. Cheap to clone. As a [`KeySource`] it never changes.
#[derive(Clone, Debug)]
pub struct KeySet {
    id: KeySetId,
    keys: Arc<HashMap<Box<str>, PublicKey>>,
}

/// Identifies a loaded set.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct KeySetId(u64);

impl KeySet {
    pub(crate) fn from_keys(keys: impl IntoIterator<Item = (Box<str>, PublicKey)>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = KeySetId(NEXT.fetch_add(1, Ordering::Relaxed));
        Self { id, keys: Arc::new(keys.into_iter().collect()) }
    }

    /// Returns the key with this id.
    pub(crate) fn get(&self, key_id: &str) -> Option<&PublicKey> {
        self.keys.get(key_id)
    }

    /// Returns whether both sets hold the same keys under the same ids.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len()
            && self.keys.iter().all(|(id, key)| {
                other.keys.get(id).is_some_and(|other| {
                    key.algorithm == other.algorithm
                        && AsRef::<[u8]>::as_ref(&*key.parsed) == (*other.parsed).as_ref()
                })
            })
    }

    /// Returns the id of this set: the same for its clones, different for every loaded set.
    #[must_use]
    pub fn id(&self) -> KeySetId {
        self.id
    }

    /// Whether the set contains a key with this id.
    #[must_use]
    pub fn contains(&self, key_id: &str) -> bool {
        self.keys.contains_key(key_id)
    }

    /// Returns the number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether the set is empty; then no token verifies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl Default for KeySet {
    /// Returns a set without keys.
    fn default() -> Self {
        Self::from_keys([])
    }
}

impl KeySource for KeySet {
    fn current(&self, _: Timestamp) -> Option<KeySet> {
        (!self.is_empty()).then(|| self.clone())
    }

    fn is_current(&self, id: KeySetId, _: Timestamp) -> bool {
        id == self.id
    }
}

/// A public key, bound to one algorithm.
#[derive(Clone)]
pub(crate) struct PublicKey {
    algorithm: KeyAlgorithm,
    parsed: Arc<ParsedPublicKey>,
}

impl PublicKey {
    pub(crate) fn new(algorithm: KeyAlgorithm, parsed: ParsedPublicKey) -> Self {
        Self { algorithm, parsed: Arc::new(parsed) }
    }

    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.algorithm.fmt(f)
    }
}
