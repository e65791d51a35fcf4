//! Certificates of providers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saml_rs::crypto::keys::load_certificate;

/// Reads certificates in PEM or Base64. Returns them in Base64.
pub(super) fn read_all(
    texts: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Vec<String>, CertificateError> {
    let mut all = Vec::new();
    for text in texts {
        for certificate in blocks(text.as_ref()) {
            if all.len() >= MAX_CERTIFICATES {
                return Err(CertificateError::TooMany);
            }
            let certificate = read(certificate)?;
            if !all.contains(&certificate) {
                all.push(certificate);
            }
        }
    }
    if all.is_empty() { Err(CertificateError::None) } else { Ok(all) }
}

/// Reads one certificate in PEM or Base64.
pub(super) fn read_one(text: &str) -> Result<String, CertificateError> {
    match &*read_all([text])? {
        [only] => Ok(only.clone()),
        _ => Err(CertificateError::TooMany),
    }
}

/// Returns the Base64 texts of PEM blocks, or the whole text if it has none.
fn blocks(text: &str) -> Vec<&str> {
    let mut blocks: Vec<&str> =
        text.split(BEGIN).skip(1).map(|rest| rest.split(END).next().unwrap_or_default()).collect();
    if blocks.is_empty() && !text.trim().is_empty() {
        blocks.push(text);
    }
    blocks
}

fn read(text: &str) -> Result<String, CertificateError> {
    let plain: String = text.split_whitespace().collect();
    let der = STANDARD.decode(plain).map_err(|_| CertificateError::NotBase64)?;
    let certificate = STANDARD.encode(der);
    let key = load_certificate(&certificate).map_err(|_| CertificateError::NotCertificate)?;
    if key.algorithm_name() != "RSA" {
        return Err(CertificateError::NotRsa);
    }
    match key.to_spki_der() {
        Some(key) if key.len() >= MIN_KEY_BYTES => Ok(certificate),
        _ => Err(CertificateError::Short),
    }
}

/// The error of a certificate that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum CertificateError {
    #[error("there is none")]
    None,
    #[error("there are too many: {MAX_CERTIFICATES} at most, for a change of keys")]
    TooMany,
    #[error("one is neither PEM nor Base64")]
    NotBase64,
    #[error("one is not an X.509 certificate")]
    NotCertificate,
    #[error("one has a key that is not an RSA key")]
    NotRsa,
    #[error("one has an RSA key of less than 2048 bits")]
    Short,
}

const MAX_CERTIFICATES: usize = 8;
/// A public key of 2048 bits has 294 bytes.
const MIN_KEY_BYTES: usize = 290;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
