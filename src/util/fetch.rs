//! Bounded HTTPS requests to other services.
//!
//! Time and response size are bounded. Redirects are not followed; proxies from
//! environment variables are not used. Certificates are checked against the authorities of the platform, with the
//! crate's own cryptography: rustls's process-wide provider has no
//! effect.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, Method, StatusCode};
use url::Url;

/// Sends requests to other services.
pub(crate) trait Fetch: fmt::Debug + Send + Sync {
    /// Sends a request, and reads the whole response.
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
    /// A longer response body is an error.
    pub(crate) max_reply_bytes: usize,
    /// Whether a response with a status other than 200 is a reply instead of an error.
    pub(crate) takes_any_status: bool,
}

impl Request {
    pub(crate) fn get(url: &Url, max_reply_bytes: usize) -> Self {
        let (method, headers) = (Method::GET, HeaderMap::new());
        Self {
            method,
            url: url.clone(),
            headers,
            body: None,
            max_reply_bytes,
            takes_any_status: false,
        }
    }

    pub(crate) fn post_json(url: &Url, body: impl Into<Bytes>, max_reply_bytes: usize) -> Self {
        let json = HeaderValue::from_static("application/json");
        let request = Self::get(url, max_reply_bytes).header(CONTENT_TYPE, json);
        Self { method: Method::POST, body: Some(body.into()), ..request }
    }

    /// Creates a request with a form that is already encoded.
    #[cfg(any(feature = "github", feature = "oidc"))]
    pub(crate) fn post_form(url: &Url, body: impl Into<Bytes>, max_reply_bytes: usize) -> Self {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let request = Self::get(url, max_reply_bytes).header(CONTENT_TYPE, form);
        Self { method: Method::POST, body: Some(body.into()), ..request }
    }

    /// Reads a response with any status.
    pub(crate) fn take_any_status(self) -> Self {
        Self { takes_any_status: true, ..self }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// A response: with status 200, unless others were asked for.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The error of a failed request. It does not contain the URL, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("the HTTP client cannot be created: {0}")]
    SetUp(String),
    #[error("{0}")]
    Exchange(String),
    #[error("the server returned status {0}")]
    Status(StatusCode),
    #[error("the response is larger than {0} bytes")]
    TooLarge(usize),
}
