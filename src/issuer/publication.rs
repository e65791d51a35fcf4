//! The key set as `/cdn-cgi/access/certs` shows it: section 2.1 of the contract.

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
    /// Publishes the key that signs now, and those before it that still verify.
    ///
    /// Makes a self-signed certificate for each, a signature a key.
    ///
    /// # Errors
    ///
    /// When a certificate cannot be made.
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

    /// Publishes keys whose certificates are made. The same keys give the same document.
    pub(super) fn with_certificates(keys: &[(&SigningKey, &str)]) -> Self {
        let certificates: Vec<_> =
            keys.iter().map(|(key, cert)| Certificate { kid: key.key_id(), cert }).collect();
        let document = Document {
            keys: keys.iter().map(|(key, _)| PublishedKey::from(*key)).collect(),
            public_cert: certificates.first(),
            public_certs: &certificates,
        };
        // Nothing but text: it always serialises.
        let json = serde_json::to_vec(&document).unwrap_or_default().into();
        let public = |key: &SigningKey| (key.key_id().into(), key.public_key().clone());
        Self { json, keys: KeySet::from_keys(keys.iter().map(|(key, _)| public(key))) }
    }

    /// The document, as JSON text.
    #[must_use]
    pub fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// The same document, with the same keys as they are known already.
    pub(super) fn with_keys(self, keys: KeySet) -> Self {
        Self { keys, ..self }
    }

    /// The same keys, to verify with.
    #[must_use]
    pub fn key_set(&self) -> &KeySet {
        &self.keys
    }
}

/// A key that could not be published.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no certificate could be made for a signing key")]
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

/// A self-signed certificate: a container for the public key, valid for a year around the key's
/// use. Nobody trusts it for anything but the key in it.
pub(super) fn certificate(
    key: &SigningKey,
    issuer: &str,
    now: Timestamp,
) -> Result<String, PublishError> {
    let der = key.to_pkcs8_der()?;
    let pair = CertificateKey::try_from(der.as_slice()).map_err(|_| PublishError)?;
    let moment = i64::try_from(now.as_unix_seconds()).map_err(|_| PublishError)?;
    let start = OffsetDateTime::from_unix_timestamp(moment).map_err(|_| PublishError)?;
    let mut params = CertificateParams::default();
    params.not_before = start.saturating_sub(time::Duration::days(1));
    params.not_after = start.saturating_add(time::Duration::days(400));
    params.serial_number =
        Some(SerialNumber::from_slice(key.key_id().as_bytes().get(..16).unwrap_or_default()));
    params.distinguished_name.push(DnType::CommonName, issuer.trim_start_matches("https://"));
    Ok(params.self_signed(&pair).map_err(|_| PublishError)?.pem())
}
