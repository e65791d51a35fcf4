//! The key that signs tokens.

use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::random::to_hex;
use crate::secret::sha256;
use crate::token::keys::PublicKey;
use crate::token::{Algorithm, KeyAlgorithm};

/// The size of an RSA key. Larger keys sign more slowly: 3072 bits about three times, 4096 bits
/// about six times as slowly as 2048.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RsaKeySize {
    /// 2048 bits, as at Cloudflare.
    #[default]
    Bits2048,
    /// 3072 bits.
    Bits3072,
    /// 4096 bits.
    Bits4096,
}

/// An RSA key that signs tokens (RS256). The key is parsed once, not for each signature.
///
/// ```
/// use tower_access::issuer::SigningKey;
///
/// let key = SigningKey::generate()?;
/// assert_eq!(key.key_id().len(), 64);
/// # Ok::<(), tower_access::issuer::SigningError>(())
/// ```
pub struct SigningKey {
    pair: RsaKeyPair,
    key_id: Box<str>,
    /// The encoded header: the same for every token of this key.
    header: Box<str>,
    public: PublicKey,
}

impl SigningKey {
    /// Generates a 2048-bit key. Takes some tens of milliseconds.
    ///
    /// # Errors
    ///
    /// If the crypto library fails.
    pub fn generate() -> Result<Self, SigningError> {
        Self::generate_with_size(RsaKeySize::default())
    }

    /// Generates a key of this size. With 4096 bits it may take seconds.
    ///
    /// # Errors
    ///
    /// If the crypto library fails.
    pub fn generate_with_size(size: RsaKeySize) -> Result<Self, SigningError> {
        let size = match size {
            RsaKeySize::Bits2048 => KeySize::Rsa2048,
            RsaKeySize::Bits3072 => KeySize::Rsa3072,
            RsaKeySize::Bits4096 => KeySize::Rsa4096,
        };
        Self::from_pair(RsaKeyPair::generate(size).map_err(|_| SigningError)?)
    }

    /// Reads a private key in PKCS #8 form, DER encoded.
    ///
    /// # Errors
    ///
    /// If it is not an RSA key of 2048 to 8192 bits.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, SigningError> {
        Self::from_pair(RsaKeyPair::from_pkcs8(der).map_err(|_| SigningError)?)
    }

    /// Returns the private key in PKCS #8 form, DER encoded.
    ///
    /// # Errors
    ///
    /// If the crypto library fails.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, SigningError> {
        let der = self.pair.as_der().map_err(|_| SigningError)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// Returns the key id: 64 hexadecimal digits, the SHA-256 hash of the public key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Returns modulus and exponent, big-endian.
    pub(super) fn public_components(&self) -> (Vec<u8>, Vec<u8>) {
        let public = self.pair.public_key();
        let bytes = |number: &[u8]| number.to_vec();
        (
            bytes(public.modulus().big_endian_without_leading_zero()),
            bytes(public.exponent().big_endian_without_leading_zero()),
        )
    }

    /// Signs claims. Returns a JWS in compact form.
    ///
    /// # Errors
    ///
    /// If the claims do not serialise or the crypto library fails.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, SigningError> {
        let payload = serde_json::to_vec(claims).map_err(|_| SigningError)?;
        let mut token = String::with_capacity(self.header.len() + payload.len() * 4 / 3 + 350);
        token.push_str(&self.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&payload, &mut token);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|_| SigningError)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
        Ok(token)
    }

    fn from_pair(pair: RsaKeyPair) -> Result<Self, SigningError> {
        let der = pair.public_key().as_der().map_err(|_| SigningError)?;
        let key_id = to_hex(&sha256(der.as_ref()));
        let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref())
            .map_err(|_| SigningError)?;
        let header = format!(r#"{{"alg":"RS256","kid":"{key_id}","typ":"JWT"}}"#);
        Ok(Self {
            pair,
            key_id: key_id.into(),
            header: URL_SAFE_NO_PAD.encode(header).into(),
            public: PublicKey::new(KeyAlgorithm::Common(Algorithm::Rs256), public),
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// A signing key could not be read, generated or used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the signing key cannot be read or used: an RSA key of 2048 to 8192 bits is required")]
#[non_exhaustive]
pub struct SigningError;
