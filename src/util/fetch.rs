//! Requests to other services over HTTPS, within bounds.
//!
//! Every request is bounded in time, every response in size; there are no redirects, and no proxies
//! from environment variables. Certificates are checked against the authorities of the platform, with the
//! crate's own cryptography; rustls's process-wide provider is not used.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, Method, StatusCode};
use url::Url;

/// Sends requests to other services.
pub(crate) trait Fetch: fmt::Debug + Send + Sync {
    /// Sends a request, and reads its whole response.
    fn send(&self, request: Request) -> FetchFuture;
}

/// The return type of [`Fetch::send`].
pub(crate) type FetchFuture = Pin<Box<dyn Future<Output = Result<Reply, HttpError>> + Send>>;

/// A request to another service.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// A response with a longer body is an error.
    pub(crate) max_reply_bytes: usize,
}

impl Request {
    pub(crate) fn get(url: &Url, max_reply_bytes: usize) -> Self {
        let (method, headers) = (Method::GET, HeaderMap::new());
        Self { method, url: url.clone(), headers, body: None, max_reply_bytes }
    }

    pub(crate) fn post_json(url: &Url, body: impl Into<Bytes>, max_reply_bytes: usize) -> Self {
        let json = HeaderValue::from_static("application/json");
        let request = Self::get(url, max_reply_bytes).header(CONTENT_TYPE, json);
        Self { method: Method::POST, body: Some(body.into()), ..request }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// A response with status 200.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The error of a failed request. It does not contain the URL, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("no client can be set up: {0}")]
    SetUp(String),
    #[error("{0}")]
    Exchange(String),
    #[error("the server returned status {0}")]
    Status(StatusCode),
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
}
