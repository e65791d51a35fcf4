//! Signature algorithms, and the set that an operator allows.

use std::fmt;

/// A signature algorithm (RFC 7518, RFC 8037).
///
/// It belongs to a key, not to a token: a token whose `alg` differs from its key's is refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, used by Access.
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

    /// Returns the `alg` value.
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
    /// Accepts keys of this algorithm, too.
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

    /// Whether keys of this algorithm are accepted.
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

/// The algorithm of a key: an [`Algorithm`], or one that only keys of identity providers may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyAlgorithm {
    Common(Algorithm),
    Rs384,
    Rs512,
    Ps384,
    Ps512,
    Es384,
    Es512,
}

impl KeyAlgorithm {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            name => Self::Common(Algorithm::from_name(name)?),
        })
    }

    /// Returns the hash function of the signature, which is also that of `at_hash` (OpenID Connect
    /// Core, section 3.1.3.6).
    #[cfg(feature = "oidc")]
    pub(crate) fn digest(self) -> &'static aws_lc_rs::digest::Algorithm {
        use aws_lc_rs::digest::{SHA256, SHA384, SHA512};
        match self {
            Self::Common(Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256) => &SHA256,
            Self::Rs384 | Self::Ps384 | Self::Es384 => &SHA384,
            // Ed25519 hashes with SHA-512.
            Self::Rs512 | Self::Ps512 | Self::Es512 | Self::Common(Algorithm::EdDsa) => &SHA512,
        }
    }
}

/// The algorithms whose keys are accepted from a key set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyAlgorithms {
    /// For tokens of an Access issuer.
    Allowed(Algorithms),
    /// For tokens of an identity provider: every algorithm, as the key says.
    #[cfg(feature = "oidc")]
    OfProvider,
}

impl KeyAlgorithms {
    pub(crate) fn allows(self, algorithm: KeyAlgorithm) -> bool {
        match (self, algorithm) {
            (Self::Allowed(algorithms), KeyAlgorithm::Common(algorithm)) => {
                algorithms.allows(algorithm)
            }
            (
                Self::Allowed(_),
                KeyAlgorithm::Rs384
                | KeyAlgorithm::Rs512
                | KeyAlgorithm::Ps384
                | KeyAlgorithm::Ps512
                | KeyAlgorithm::Es384
                | KeyAlgorithm::Es512,
            ) => false,
            #[cfg(feature = "oidc")]
            (Self::OfProvider, _) => true,
        }
    }
}
