//! The key set document of `/cdn-cgi/access/certs`: section 2.1 of the contract.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use rcgen::{CertificateParams, DnType, KeyPair as CertificateKey, SerialNumber};
use serde::Serialize;
use time::OffsetDateTime;

use crate::clock::Timestamp;

use super::signer::{SigningError, SigningKey};
use crate::token::keys::KeySet;

/// The public halves of the signing keys: JWKs and the same keys as PEM certificates.
#[derive(Clone, Debug)]
pub struct PublishedKeys {
    json: Bytes,
    keys: KeySet,
}

impl PublishedKeys {
    /// Publishes the key that signs now, and previous keys that still verify.
    ///
    /// Creates a self-signed certificate for each: one signature per key.
    ///
    /// # Errors
    ///
    /// If a certificate cannot be created.
    pub fn new(
        current: &SigningKey,
        previous: &[&SigningKey],
        issuer: &str,
        now: Timestamp,
    ) -> Result<Self, PublishError> {
        let all = || std::iter::once(current).chain(previous.iter().copied());
        let certificates = all().map(|key| certificate(key, issuer, now));
        let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
        let certificates = certificates.iter().map(String::as_str);
        Ok(Self::with_certificates(&all().zip(certificates).collect::<Vec<_>>()))
    }

    /// Publishes keys with existing certificates. The same keys give the same document.
    pub(super) fn with_certificates(keys: &[(&SigningKey, &str)]) -> Self {
        let certificates: Vec<_> =
            keys.iter().map(|(key, cert)| Certificate { kid: key.key_id(), cert }).collect();
        let document = Document {
            keys: keys.iter().map(|(key, _)| PublishedKey::from(*key)).collect(),
            public_cert: certificates.first(),
            public_certs: &certificates,
        };
        // Text only: it always serialises.
        let json = serde_json::to_vec(&document).unwrap_or_default().into();
        let public = |key: &SigningKey| (key.key_id().into(), key.public_key().clone());
        Self { json, keys: KeySet::from_keys(keys.iter().map(|(key, _)| public(key))) }
    }

    /// Returns the document as JSON text.
    #[must_use]
    pub fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// Replaces the key set with an equal one, which keeps its id.
    pub(super) fn with_keys(self, keys: KeySet) -> Self {
        Self { keys, ..self }
    }

    /// Returns the keys for verification.
    #[must_use]
    pub fn key_set(&self) -> &KeySet {
        &self.keys
    }
}

/// The certificate of a signing key could not be created.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the certificate of a signing key could not be created")]
#[non_exhaustive]
pub struct PublishError;

impl From<SigningError> for PublishError {
    fn from(_: SigningError) -> Self {
        Self
    }
}

#[derive(Serialize)]
struct Document<'a> {
    keys: Vec<PublishedKey>,
    public_cert: Option<&'a Certificate<'a>>,
    public_certs: &'a [Certificate<'a>],
}

#[derive(Serialize)]
struct PublishedKey {
    kid: String,
    kty: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    e: String,
    n: String,
}

#[derive(Serialize)]
struct Certificate<'a> {
    kid: &'a str,
    cert: &'a str,
}

impl From<&SigningKey> for PublishedKey {
    fn from(key: &SigningKey) -> Self {
        let (n, e) = key.public_components();
        Self {
            kid: key.key_id().to_owned(),
            kty: "RSA",
            alg: "RS256",
            usage: "sig",
            e: URL_SAFE_NO_PAD.encode(e),
            n: URL_SAFE_NO_PAD.encode(n),
        }
    }
}

/// Returns a self-signed certificate in PEM: a container for the public key, valid from one day before
/// `now` for 400 days after it. It is trusted for nothing but the key in it.
pub(super) fn certificate(
    key: &SigningKey,
    issuer: &str,
    now: Timestamp,
) -> Result<String, PublishError> {
    let der = key.to_pkcs8_der()?;
    let pair = CertificateKey::try_from(der.as_slice()).map_err(|_| PublishError)?;
    let seconds = i64::try_from(now.as_unix_seconds()).map_err(|_| PublishError)?;
    let start = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| PublishError)?;
    let mut params = CertificateParams::default();
    params.not_before = start.saturating_sub(time::Duration::days(1));
    params.not_after = start.saturating_add(time::Duration::days(400));
    params.serial_number =
        Some(SerialNumber::from_slice(key.key_id().as_bytes().get(..16).unwrap_or_default()));
    params.distinguished_name.push(DnType::CommonName, issuer.trim_start_matches("https://"));
    Ok(params.self_signed(&pair).map_err(|_| PublishError)?.pem())
}
