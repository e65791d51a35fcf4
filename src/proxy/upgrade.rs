//! Upgrades: when client and origin agree to leave HTTP, their bytes are joined.
//!
//! The origin sees nothing the client sent behind its request before it has agreed (answered 101).
//! Upgrades to another version of HTTP are never passed on: the requests on such a connection would
//! reach the origin past everything that judges requests.

use std::future::pending;

use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Response, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::engine::Permission;

use super::headers::tokens;

/// A client's wish to go on in another protocol.
#[derive(Debug)]
pub(super) struct UpgradeRequest {
    client: OnUpgrade,
    protocols: Vec<String>,
}

impl UpgradeRequest {
    /// Takes the wish out of a request, if it has one that can be granted.
    pub(super) fn take(parts: &mut Parts) -> Option<Self> {
        let client = parts.extensions.remove::<OnUpgrade>()?;
        let asks =
            tokens(&parts.headers, &CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade"));
        if parts.version != Version::HTTP_11 || !asks {
            return None;
        }
        let protocols: Vec<String> = tokens(&parts.headers, &UPGRADE).map(str::to_owned).collect();
        if protocols.is_empty() || protocols.iter().any(|protocol| carries_requests(protocol)) {
            return None;
        }
        Some(Self { client, protocols })
    }

    /// Writes the wish into the request for the origin.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if let Ok(protocols) = HeaderValue::try_from(self.protocols.join(", ")) {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocols);
        }
    }

    /// The protocol the origin chose, if it is one that was asked for.
    pub(super) fn chosen(&self, response: &HeaderMap) -> Option<HeaderValue> {
        let value = response.get(UPGRADE)?;
        let chosen = value.to_str().ok()?;
        self.protocols
            .iter()
            .any(|protocol| protocol.eq_ignore_ascii_case(chosen.trim()))
            .then(|| value.clone())
    }

    /// Joins both sides once each has left HTTP; ends when both have ended, or one fails, or the
    /// client may not go on.
    pub(super) fn join(self, response: &mut Response<Incoming>, permission: Option<Permission>) {
        let origin = hyper::upgrade::on(response);
        tokio::spawn(async move {
            let (client, origin) = match (self.client.await, origin.await) {
                (Ok(client), Ok(origin)) => (client, origin),
                (Err(error), _) | (_, Err(error)) => {
                    return tracing::debug!(%error, "an upgrade was not completed");
                }
            };
            let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
            let ended = async {
                match permission {
                    Some(permission) => permission.ended().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                joined = tokio::io::copy_bidirectional(&mut client, &mut origin) => {
                    if let Err(error) = joined {
                        tracing::debug!(%error, "an upgraded connection broke");
                    }
                }
                () = ended => {}
            }
        });
    }
}

/// Whether a protocol is some form of HTTP, or hides one.
fn carries_requests(protocol: &str) -> bool {
    let name = protocol.split('/').next().unwrap_or(protocol).trim();
    ["h2c", "h2", "h3", "http", "tls"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_forms_of_http_are_no_upgrade() {
        for protocol in ["h2c", "H2C", "HTTP/2.0", "TLS/1.0", "h2"] {
            assert!(carries_requests(protocol), "{protocol}");
        }
        for protocol in ["websocket", "tailscale-control-protocol", "tcp"] {
            assert!(!carries_requests(protocol), "{protocol}");
        }
    }
}
