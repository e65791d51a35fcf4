//! Reading the name and the dates of a TLS peer's certificate.

use crate::clock::Timestamp;

use super::PeerCertificate;

impl PeerCertificate {
    /// Creates a verified certificate from DER; its name and dates are read from it.
    ///
    /// Reading verifies nothing. The TLS layer has verified it: the chain up to an authority that
    /// counts for this host, and that the peer has the key. With rustls, a `WebPkiClientVerifier` has
    /// done so if the connection's `peer_certificates` is not empty.
    ///
    /// # Errors
    ///
    /// If it cannot be parsed, or has more than one common name, which is
    /// ambiguous. Then omit it: it is unknown.
    pub fn from_verified_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (rest, certificate) =
            x509_parser::parse_x509_certificate(der).map_err(|_| CertificateError::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed);
        }
        let mut names = certificate.subject().iter_common_name();
        let name = match (names.next(), names.next()) {
            (None, _) => None,
            (Some(name), None) => Some(name.as_str().map_err(|_| CertificateError::CommonName)?),
            (Some(_), Some(_)) => return Err(CertificateError::CommonName),
        };
        if name.is_some_and(|name| name.contains(char::is_control)) {
            return Err(CertificateError::CommonName);
        }
        let validity = certificate.validity();
        // Times before 1970 all count as 1970.
        let at = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_unix_seconds(u64::try_from(time.timestamp()).unwrap_or(0))
        };
        Ok(Self::verified(name).valid_between(at(validity.not_before), at(validity.not_after)))
    }
}

/// The error for a certificate without an unambiguous name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not a certificate in DER.
    #[error("not a DER certificate")]
    Malformed,
    /// More than one common name, or one that is not text.
    #[error("the certificate has more than one common name, or one that is not text")]
    CommonName,
}
