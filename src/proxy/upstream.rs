//! The connections of one rule: a pool for HTTP/1.1 and, if enabled, a shared HTTP/2 connection; one set per
//! server name if the name in the handshake follows the host.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use http_body::Body;
use tokio::sync::Semaphore;

use super::BoxError;
use super::body::RequestBody;
use super::connect::OriginConnector;
use super::headers::join_cookies;
use super::http1::OriginBody;
use super::origin::OriginSettings;
use super::origin_service::Address;
use super::pool::{EncryptedPools, Pool, PoolsByName};
use super::tls;

/// An origin and its connections.
#[derive(Debug)]
pub(super) struct Upstream {
    connections: Connections,
    /// `None` if bodies of unknown length are sent chunked.
    collecting: Option<Collecting>,
}

/// Bounds on bodies that are collected.
#[derive(Debug)]
struct Collecting {
    slots: Semaphore,
    max_bytes: usize,
}

#[derive(Debug)]
enum Connections {
    OfAll(Arc<Pool>),
    PerServerName(Box<PoolsByName>),
}

/// One request for an origin, with all headers.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) parts: Parts,
    pub(super) body: RequestBody,
    /// The host for the origin.
    pub(super) host: Authority,
    /// Whether the client requested an upgrade, which needs its own connection.
    pub(super) upgrading: bool,
}

impl Upstream {
    /// Prepares the connections to an origin; opens none yet.
    ///
    /// # Errors
    ///
    /// If the settings are invalid: an unreadable CA file, an invalid server name.
    pub(super) fn new(
        encrypted: bool,
        address: &Address,
        settings: &OriginSettings,
    ) -> Result<Self, BoxError> {
        let host = match address {
            Address::Tcp { host, .. } => host.as_str(),
            Address::Unix(_) => "localhost",
        };
        let plain = OriginConnector::new(address, settings)?;
        let connections = if encrypted {
            let pools = EncryptedPools::new(plain, settings)?;
            match &settings.origin_server_name {
                None if settings.match_sni_to_host => {
                    Connections::PerServerName(Box::new(PoolsByName::new(pools)))
                }
                name => {
                    let name = tls::server_name(name.as_deref().unwrap_or(host))?;
                    Connections::OfAll(Arc::new(pools.pool(name)))
                }
            }
        } else {
            Connections::OfAll(Arc::new(Pool::unencrypted(plain, settings)))
        };
        let collecting = settings.disable_chunked_encoding.then(|| Collecting {
            slots: Semaphore::new(MAX_COLLECTED),
            max_bytes: settings.max_collected_body_bytes,
        });
        Ok(Self { connections, collecting })
    }

    /// Sends a request and waits for the head of the response.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<Response<OriginBody>, BoxError> {
        let Outgoing { mut parts, mut body, host, upgrading } = outgoing;
        let path = parts.uri.path_and_query().cloned();
        let pool = match &self.connections {
            Connections::OfAll(pool) => Arc::clone(pool),
            Connections::PerServerName(pools) => pools.for_host(&host)?,
        };
        if let Some(shared) = pool.shared.as_ref().filter(|_| !upgrading)
            && let Some(mut sender) = shared.sender().await?
        {
            let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
            let uri = Uri::builder().scheme(Scheme::HTTPS).authority(host).path_and_query(path);
            parts.uri = uri.build()?;
            parts.version = Version::HTTP_2;
            parts.headers.remove(HOST);
            return Ok(sender.send_request(Request::from_parts(parts, body)).await?.map(OriginBody::from));
        }
        parts.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        parts.version = Version::HTTP_11;
        join_cookies(&mut parts.headers);
        let mut collected_slot = None;
        if !body.is_end_stream() && !parts.headers.contains_key(CONTENT_LENGTH) && !upgrading {
            if let Some(Collecting { slots, max_bytes }) = &self.collecting {
                collected_slot = Some(slots.acquire().await?);
                let (length, collected) = body.collect(*max_bytes).await?;
                parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                body = collected;
            } else {
                // Without a length, the body of a GET would be lost.
                parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        let answer = pool.http1.send(Request::from_parts(parts, body), upgrading).await?;
        drop(collected_slot);
        Ok(answer)
    }
}

/// Most bodies that are collected at a time, per rule.
const MAX_COLLECTED: usize = 32;
