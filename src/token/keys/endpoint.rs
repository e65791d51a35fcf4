//! Fetching a key set over HTTPS.

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::{Position, Url};

use super::{FetchError, FetchedKeys, KeyFetch, KeyFuture};
use crate::util::http_client::{HttpClient, send};
use crate::util::trusted_url;

/// Fetches a key set over HTTPS: five seconds, one MiB, no redirects, status 200 only.
///
/// The certificate is checked against the certificate authorities of the platform, with the crate's
/// own cryptography: what a program has installed as rustls's process-wide provider makes no
/// difference. Proxies that environment variables name are not used.
#[derive(Clone, Debug)]
pub struct HttpFetch {
    client: HttpClient,
    url: Url,
}

impl HttpFetch {
    /// A fetcher for this address. Plain `http` is for loopback addresses only.
    ///
    /// # Errors
    ///
    /// When the address is neither `https` nor `http` to a loopback address, carries a user name, a
    /// password or a fragment, or when no TLS client can be set up.
    pub fn new(url: &str) -> Result<Self, FetchError> {
        Self::trusting(url, Vec::new())
    }

    /// A fetcher that trusts these certificate authorities (PEM) beside those of the platform: for
    /// key servers with a certificate of the house.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and when the text holds no certificate.
    pub fn with_authorities(url: &str, pem: &[u8]) -> Result<Self, FetchError> {
        let authorities = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| {
                FetchError::new(format!("the certificate authorities cannot be read: {error:?}"))
            })?;
        if authorities.is_empty() {
            return Err(FetchError::new("there is no certificate in the certificate authorities"));
        }
        Self::trusting(url, authorities)
    }

    fn trusting(url: &str, authorities: Vec<CertificateDer<'static>>) -> Result<Self, FetchError> {
        let url = trusted_url::parse(url).map_err(FetchError::new)?;
        let client = HttpClient::new(TIME_LIMIT, authorities).map_err(FetchError::new)?;
        Ok(Self { client, url })
    }

    async fn get(&self) -> Result<FetchedKeys, FetchError> {
        let reply = send(self.client.get(&self.url), LARGEST_KEY_SET).await.map_err(|error| {
            // What follows the path may be nobody's business.
            let address = &self.url[..Position::AfterPath];
            FetchError::new(format!("{address}: {error}"))
        })?;
        let fetched = FetchedKeys::new(reply.body);
        Ok(match max_age(&reply.headers) {
            Some(max_age) => fetched.max_age(max_age),
            None => fetched,
        })
    }
}

impl KeyFetch for HttpFetch {
    fn fetch(&self) -> KeyFuture<'_> {
        Box::pin(self.get())
    }
}

/// For how long an answer is fresh (RFC 9111, section 4.2.1); `None` when it does not say.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = || {
        let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).map(str::trim)
    };
    if directives().any(|directive| ["no-store", "no-cache"].contains(&directive)) {
        return Some(Duration::ZERO);
    }
    let seconds = directives().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let value = value.trim_matches('"');
        // More digits than fit are a very long time.
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        (name.eq_ignore_ascii_case("max-age") && digits).then(|| value.parse().unwrap_or(LONG))
    })?;
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok()).unwrap_or(0);
    Some(Duration::from_secs(seconds.saturating_sub(age)))
}

const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Seconds; more than anybody bounds the age by.
const LONG: u64 = u32::MAX as u64;
const LARGEST_KEY_SET: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_11_cache_headers_are_read_as_seconds() {
        for (line, seconds) in [
            ("max-age=0", Some(0)),
            ("public, Max-Age=\"600\", must-revalidate", Some(600)),
            ("max-age=99999999999999999999999", Some(LONG)),
            ("no-store, max-age=600", Some(0)),
            ("no-cache", Some(0)),
            ("max-age=", None),
            ("max-age=-1", None),
            ("s-maxage=10", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, line.parse().unwrap());
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{line}");
            headers.insert(AGE, "500".parse().unwrap());
            let left = seconds.map(|seconds: u64| Duration::from_secs(seconds.saturating_sub(500)));
            assert_eq!(max_age(&headers), left, "{line}");
        }
        assert_eq!(max_age(&HeaderMap::new()), None);
    }

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
