//! The client of other services, with reqwest and rustls.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use reqwest::StatusCode;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls_platform_verifier::Verifier;

use super::fetch::{Fetch, FetchFuture, HttpError, Reply, Request};

/// A client of other services.
#[derive(Debug)]
pub(crate) struct HttpClient(reqwest::Client);

impl HttpClient {
    /// Creates a client whose requests take no longer than this, and which trusts these authorities
    /// in addition to those of the platform.
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
        let Request { method, url, headers, body, max_reply_bytes } = request;
        let mut request = self.0.request(method, url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        Box::pin(read_reply(request, max_reply_bytes))
    }
}

async fn read_reply(request: reqwest::RequestBuilder, max: usize) -> Result<Reply, HttpError> {
    let failed = |error| HttpError::Exchange(described(error));
    let mut response = request.send().await.map_err(failed)?;
    if response.status() != StatusCode::OK {
        return Err(HttpError::Status(response.status()));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > max {
            return Err(HttpError::TooLarge(max));
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

/// Returns the error with its causes: `error sending request` alone does not name the problem.
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
