//! A request to the login.

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method};

use crate::application::CanonicalHost;
use crate::clock::Timestamp;
use crate::facts::Sender;
use crate::session::cookie;

use super::Refusal;
use super::form::Fields;

/// A request below `/cdn-cgi/access/`, with its body.
#[derive(Debug)]
pub(crate) struct EndpointRequest {
    pub(crate) method: Method,
    pub(crate) host: CanonicalHost,
    /// The canonical path.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) extensions: Extensions,
    pub(crate) body: Bytes,
    pub(crate) sender: Sender,
    pub(crate) now: Timestamp,
}

impl EndpointRequest {
    pub(super) fn query(&self) -> Result<Fields, Refusal> {
        Ok(Fields::parse_query(self.query.as_bytes())?)
    }

    pub(super) fn form(&self) -> Result<Fields, Refusal> {
        Ok(Fields::parse(&self.body)?)
    }

    /// As `form`, for forms of up to this many bytes.
    #[cfg(feature = "saml")]
    pub(super) fn form_within(&self, max_bytes: usize) -> Result<Fields, Refusal> {
        Ok(Fields::parse_within(max_bytes, &self.body)?)
    }

    /// Returns the values of a cookie that have the form of those we issue. A sibling host may have
    /// planted others.
    pub(super) fn random_cookies(&self, name: &'static str) -> impl Iterator<Item = &str> {
        cookie::values(&self.headers, name).filter(|value| cookie::is_random(value))
    }
}
