//! The host of a request: in canonical form for the rules, as it was sent for the origin.

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;

use crate::application::{CanonicalHost, HostError};

/// The host of one request.
#[derive(Clone, Debug)]
pub(super) struct RequestHost {
    /// As the client sent it, port included.
    pub(super) sent: Authority,
    /// The form that rules are compared with.
    pub(super) canonical: CanonicalHost,
}

impl RequestHost {
    /// Returns the host of a request.
    pub(super) fn from_parts(parts: &Parts) -> Result<Self, HostError> {
        let canonical = CanonicalHost::from_request(&parts.uri, &parts.headers)?;
        let header = || Authority::try_from(parts.headers.get(HOST)?.as_bytes()).ok();
        let sent = parts.uri.authority().cloned().or_else(header).ok_or(HostError)?;
        Ok(Self { sent, canonical })
    }
}
