//! Signature algorithms, and those an operator allows.

use std::fmt;

/// A signature algorithm (RFC 7518, RFC 8037).
///
/// It belongs to a key, not to a token: a token whose `alg` differs from its key's is refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, the algorithm of Access.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519; `alg` is `EdDSA`, or `Ed25519` as in RFC 9864.
    EdDsa,
}

impl Algorithm {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "PS256" => Self::Ps256,
            "ES256" => Self::Es256,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    /// Returns the value of `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The algorithms whose keys are accepted from a key set: RS256 always, others if allowed.
///
/// ```
/// use tower_access::token::{Algorithm, Algorithms};
///
/// let algorithms = Algorithms::default().allow(Algorithm::Es256);
/// assert!(algorithms.allows(Algorithm::Rs256));
/// assert!(algorithms.allows(Algorithm::Es256));
/// assert!(!algorithms.allows(Algorithm::EdDsa));
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Algorithms {
    ps256: bool,
    es256: bool,
    ed_dsa: bool,
}

impl Algorithms {
    /// Also accepts keys of this algorithm.
    #[must_use]
    pub fn allow(mut self, algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => {}
            Algorithm::Ps256 => self.ps256 = true,
            Algorithm::Es256 => self.es256 = true,
            Algorithm::EdDsa => self.ed_dsa = true,
        }
        self
    }

    /// Returns whether keys of this algorithm are accepted.
    #[must_use]
    pub fn allows(&self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Rs256 => true,
            Algorithm::Ps256 => self.ps256,
            Algorithm::Es256 => self.es256,
            Algorithm::EdDsa => self.ed_dsa,
        }
    }
}
