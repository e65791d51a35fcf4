//! Fetching a key set with the crate's HTTP client.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use crate::util::http_client::{self, HttpClient};

use super::endpoint::{KeyEndpoint, TIME_LIMIT};
use super::{FetchError, KeyFetch, KeyFuture};

/// Fetches a key set over HTTPS: five seconds, one MiB, no redirects, status 200 only.
///
/// The certificate is checked against the certificate authorities of the platform, with the crate's
/// own cryptography: rustls's process-wide provider has no effect.
/// Proxies from environment variables are not used.
#[derive(Clone, Debug)]
pub struct HttpFetch(KeyEndpoint);

impl HttpFetch {
    /// Creates a fetcher for this URL. Plain `http` is for loopback addresses only.
    ///
    /// # Errors
    ///
    /// If the URL is neither `https` nor `http` to a loopback address, carries a user name, a
    /// password or a fragment, or when no TLS client can be set up.
    pub fn new(url: &str) -> Result<Self, FetchError> {
        Self::trusting(url, Vec::new())
    }

    /// Creates a fetcher that trusts these certificate authorities (PEM) beside those of the platform: for
    /// key servers with a private certificate authority.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and if the text contains no certificate.
    pub fn with_authorities(url: &str, pem: &[u8]) -> Result<Self, FetchError> {
        let authorities = http_client::read_authorities(pem).map_err(FetchError::new)?;
        Self::trusting(url, authorities)
    }

    fn trusting(url: &str, authorities: Vec<CertificateDer<'static>>) -> Result<Self, FetchError> {
        let client = HttpClient::new(TIME_LIMIT, authorities).map_err(FetchError::new)?;
        KeyEndpoint::new(Arc::new(client), url).map(Self)
    }
}

impl KeyFetch for HttpFetch {
    fn fetch(&self) -> KeyFuture<'_> {
        self.0.fetch()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_05_key_12_addresses_that_are_none_are_refused() {
        for url in [
            "http://keys.example.com/",
            "ftp://localhost/",
            "https://user@keys.example.com/",
            "https://user:secret@keys.example.com/",
            "https://keys.example.com/#current",
            "file:///etc/passwd",
            "keys.example.com",
            "",
        ] {
            assert!(HttpFetch::new(url).is_err(), "{url}");
        }
        assert!(HttpFetch::with_authorities("https://keys.example.com/", b"").is_err());
        for url in ["https://keys.example.com/", "http://[::ffff:127.0.0.1]/", "http://[::1]/"] {
            assert!(HttpFetch::new(url).is_ok(), "{url}");
        }
    }
}
