//! Upgrades: when client and origin agree to leave HTTP, the proxy joins both connections.
//!
//! The origin receives nothing that the client sent after its request before it agrees (responds with 101).
//! Upgrades to another version of HTTP are never forwarded: the requests on such a connection would bypass
//! all checks.

use std::future::pending;

use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Response, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::engine::AccessGrant;

use super::headers::tokens;

/// A client's upgrade request.
#[derive(Debug)]
pub(super) struct UpgradeRequest {
    client: OnUpgrade,
    protocols: Vec<String>,
}

impl UpgradeRequest {
    /// Takes the upgrade out of a request, if it has one that is allowed.
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

    /// Writes the upgrade into the request for the origin.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        if let Ok(protocols) = HeaderValue::try_from(self.protocols.join(", ")) {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocols);
        }
    }

    /// Returns the protocol that the origin chose, if the client requested it.
    pub(super) fn chosen(&self, response: &HeaderMap) -> Option<HeaderValue> {
        let value = response.get(UPGRADE)?;
        let chosen = value.to_str().ok()?;
        self.protocols
            .iter()
            .any(|protocol| protocol.eq_ignore_ascii_case(chosen.trim()))
            .then(|| value.clone())
    }

    /// Joins both sides once each has left HTTP. Ends when both have ended, one fails, or access is revoked.
    pub(super) fn join<B>(self, response: &mut Response<B>, grant: Option<AccessGrant>) {
        let origin = hyper::upgrade::on(response);
        tokio::spawn(async move {
            let (client, origin) = match (self.client.await, origin.await) {
                (Ok(client), Ok(origin)) => (client, origin),
                (Err(error), _) | (_, Err(error)) => {
                    return tracing::debug!(%error, "upgrade failed");
                }
            };
            let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
            let ended = async {
                match grant {
                    Some(grant) => grant.revoked().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                joined = tokio::io::copy_bidirectional(&mut client, &mut origin) => {
                    if let Err(error) = joined {
                        tracing::debug!(%error, "upgraded connection failed");
                    }
                }
                () = ended => {}
            }
        });
    }
}

/// Returns whether a protocol is some form of HTTP, or can hide one.
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
