//! TLS to an origin: trusted authorities and offered protocols.
//!
//! The cryptography provider is passed explicitly everywhere; the process-wide one is neither read nor set.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::BoxError;
use super::origin::OriginSettings;

/// An error in an origin's TLS settings.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsSettingsError {
    #[error("the CA pool {0} cannot be read: {1}")]
    UnreadablePool(PathBuf, #[source] BoxError),
    #[error("the CA pool {0} holds no certificate")]
    EmptyPool(PathBuf),
    #[error("`{0}` is not a server name")]
    ServerName(String),
    #[error("the certificate verifier cannot be built: {0}")]
    Verifier(#[from] rustls::Error),
}

/// Builds the TLS client configuration of an origin, which offers only HTTP/1.1.
pub(super) fn client_config(settings: &OriginSettings) -> Result<ClientConfig, TlsSettingsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier(settings, provider)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP_1.to_vec()];
    Ok(config)
}

/// Parses the server name of an origin, which its certificate must have.
pub(super) fn server_name(text: &str) -> Result<ServerName<'static>, TlsSettingsError> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsSettingsError::ServerName(text.to_owned()))
}

fn verifier(
    settings: &OriginSettings,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsSettingsError> {
    if settings.dangerous_no_tls_verify {
        return Ok(Arc::new(AcceptAnyCertificate(provider)));
    }
    Ok(match &settings.ca_pool {
        Some(file) => Arc::new(Verifier::new_with_extra_roots(authorities(file)?, provider)?),
        None => Arc::new(Verifier::new(provider)?),
    })
}

fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSettingsError> {
    let unreadable =
        |error| TlsSettingsError::UnreadablePool(file.to_owned(), BoxError::from(error));
    let found = CertificateDer::pem_file_iter(file)
        .map_err(unreadable)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if found.is_empty() {
        return Err(TlsSettingsError::EmptyPool(file.to_owned()));
    }
    Ok(found)
}

/// Accepts any certificate; the signatures of the handshake are still verified.
#[derive(Debug)]
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The ALPN id of HTTP/1.1.
pub(super) const HTTP_1: &[u8] = b"http/1.1";
/// The ALPN id of HTTP/2.
pub(super) const HTTP_2: &[u8] = b"h2";
