//! Asking other services over HTTPS, within bounds.
//!
//! Every question is bounded in time, every answer in size; there are no redirects, and no proxies
//! that environment variables name. Certificates are checked against the authorities of the
//! platform, with the crate's own cryptography: what a program has installed as rustls's
//! process-wide provider makes no difference.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;
use url::Url;

/// A client of other services. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient(reqwest::Client);

/// An answer of status 200, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there is no answer. Says nothing of the address: it may hold a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("no client can be set up: {0}")]
    SetUp(String),
    #[error("{0}")]
    Exchange(String),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl HttpClient {
    /// A client whose questions take no longer than this, and which trusts these authorities beside
    /// those of the platform.
    pub(crate) fn new(
        time_limit: Duration,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<Self, HttpError> {
        let tls = tls(authorities).map_err(|error| HttpError::SetUp(error.to_string()))?;
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(time_limit)
            .connect_timeout(time_limit)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("tower-access/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
            .map_err(|error| HttpError::SetUp(described(error)))
    }

    pub(crate) fn get(&self, url: &Url) -> RequestBuilder {
        self.0.get(url.clone())
    }

    pub(crate) fn post(&self, url: &Url) -> RequestBuilder {
        self.0.post(url.clone())
    }
}

/// Whether nobody on the way to an address can answer in its place.
pub(crate) fn is_trustworthy(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    let is_plain =
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    is_plain && (url.scheme() == "https" || url.scheme() == "http" && is_loopback)
}

/// Sends a request, and reads its answer up to so many bytes.
pub(crate) async fn send(request: RequestBuilder, most: usize) -> Result<Reply, HttpError> {
    let failed = |error| HttpError::Exchange(described(error));
    let mut response = request.send().await.map_err(failed)?;
    if response.status() != StatusCode::OK {
        return Err(HttpError::Status(response.status()));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > most {
            return Err(HttpError::TooLarge(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { headers: std::mem::take(response.headers_mut()), body: body.into() })
}

fn tls(authorities: Vec<CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider))?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// The error with its causes: `error sending request` alone helps nobody.
fn described(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
