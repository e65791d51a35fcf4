//! TLS towards the server. The crypto provider is passed explicitly: the process-wide provider is
//! neither used nor installed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("{0}: the CA certificates cannot be read: {1}; write a PEM file")]
    Unreadable(PathBuf, pem::Error),
    #[error("{0}: no CA certificate found; write a PEM file")]
    Empty(PathBuf),
    #[error("server certificates cannot be verified: {0}")]
    Verifier(#[from] rustls::Error),
}

/// Returns a configuration that trusts only the CA certificates of a file, or those of the platform.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let config = match ca_file {
        Some(file) => config.with_root_certificates(authorities(file)?),
        None => {
            config.dangerous().with_custom_certificate_verifier(Arc::new(Verifier::new(provider)?))
        }
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

fn authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let unreadable = |error| TlsError::Unreadable(file.to_owned(), error);
    let mut found = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        found.add(certificate.map_err(unreadable)?)?;
    }
    if found.is_empty() {
        return Err(TlsError::Empty(file.to_owned()));
    }
    Ok(found)
}
