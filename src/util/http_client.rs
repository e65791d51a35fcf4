//! The HTTP client for other services, with reqwest and rustls.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use reqwest::StatusCode;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use super::fetch::{Fetch, FetchFuture, HttpError, Reply, Request};

/// An HTTP client for other services.
#[derive(Debug)]
pub(crate) struct HttpClient(reqwest::Client);

impl HttpClient {
    /// Creates a client with this timeout, which trusts these authorities
    /// beside those of the platform.
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
}

impl Fetch for HttpClient {
    fn send(&self, request: Request) -> FetchFuture {
        let Request { method, url, headers, body, max_reply_bytes, takes_any_status } = request;
        let mut request = self.0.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        Box::pin(read_reply(request, max_reply_bytes, takes_any_status))
    }
}

/// Reads certificate authorities from PEM: at least one.
pub(crate) fn read_authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let authorities = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match authorities {
        Ok(authorities) if authorities.is_empty() => {
            Err(HttpError::SetUp("the certificate authorities contain no certificate".into()))
        }
        Ok(authorities) => Ok(authorities),
        Err(error) => {
            Err(HttpError::SetUp(format!("the certificate authorities cannot be read: {error:?}")))
        }
    }
}

async fn read_reply(
    request: reqwest::RequestBuilder,
    max: usize,
    takes_any_status: bool,
) -> Result<Reply, HttpError> {
    let failed = |error| HttpError::Exchange(described(error));
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status();
    if status != StatusCode::OK && !takes_any_status {
        return Err(HttpError::Status(status));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > max {
            return Err(HttpError::TooLarge(max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, headers: std::mem::take(response.headers_mut()), body: body.into() })
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

/// The error with its causes: `error sending request` alone does not explain it.
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
