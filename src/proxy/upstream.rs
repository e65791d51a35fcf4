//! The connections of one rule: a pool for HTTP/1.1 and, if enabled, a shared HTTP/2 connection; one set per
//! server name if the name in the handshake follows the host.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use http_body::Body;
use http_body_util::Full;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::BoxError;
use super::connect::OriginConnector;
use super::headers::join_cookies;
use super::http1::OriginBody;
use super::http2::SharedConnection;
use super::origin::OriginSettings;
use super::origin_service::Address;
use super::pool::{EncryptedPools, Pool, PoolsByName};
use super::progress::Progress;
use super::request_body::RequestBody;
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
    pub(super) progress: Progress,
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
    pub(super) async fn send(
        &self,
        mut outgoing: Outgoing,
    ) -> Result<Response<OriginBody>, BoxError> {
        let of_name;
        let pool = match &self.connections {
            Connections::OfAll(pool) => pool,
            Connections::PerServerName(pools) => {
                of_name = pools.for_host(&outgoing.host)?;
                &of_name
            }
        };
        if let Some(shared) = pool.shared.as_ref().filter(|_| !outgoing.upgrading) {
            match Box::pin(send_shared(shared, outgoing)).await? {
                Ok(response) => return Ok(response),
                Err(unsent) => outgoing = unsent,
            }
        }
        let Outgoing { mut parts, mut body, host: _, upgrading, mut progress } = outgoing;
        parts.uri = Uri::from(path(&parts.uri));
        parts.version = Version::HTTP_11;
        join_cookies(&mut parts.headers);
        let mut collected_slot = None;
        if !body.is_end_stream() && !parts.headers.contains_key(CONTENT_LENGTH) && !upgrading {
            if let Some(collecting) = &self.collecting {
                let (slot, length, collected) =
                    Box::pin(collecting.collect(body, &mut progress)).await?;
                parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                (body, collected_slot) = (collected, Some(slot));
            } else {
                // Without a length, the body of a GET would be lost.
                parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        let request = Request::from_parts(parts, body);
        let response = pool.http1.send(request, upgrading, &progress).await?;
        drop(collected_slot);
        Ok(response)
    }
}

impl Collecting {
    async fn collect(
        &self,
        body: RequestBody,
        progress: &mut Progress,
    ) -> Result<(SemaphorePermit<'_>, usize, RequestBody), BoxError> {
        let slot = progress.watch(self.slots.acquire()).await??;
        let collected = body.collect(self.max_bytes);
        let (length, bytes) = progress.watch(collected).await??;
        Ok((slot, length, RequestBody::new(Full::new(bytes), progress)))
    }
}

/// Sends a request over HTTP/2; returns it if the origin does not speak that.
async fn send_shared(
    shared: &SharedConnection,
    outgoing: Outgoing,
) -> Result<Result<Response<OriginBody>, Outgoing>, BoxError> {
    let Some(mut sender) = outgoing.progress.watch(shared.sender()).await?? else {
        return Ok(Err(outgoing));
    };
    let Outgoing { mut parts, body, host, progress, .. } = outgoing;
    let uri = Uri::builder().scheme(Scheme::HTTPS).authority(host);
    parts.uri = uri.path_and_query(path(&parts.uri)).build()?;
    parts.version = Version::HTTP_2;
    parts.headers.remove(HOST);
    let sent = sender.send_request(Request::from_parts(parts, body));
    Ok(Ok(progress.watch(sent).await??.map(OriginBody::from)))
}

fn path(uri: &Uri) -> PathAndQuery {
    uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"))
}

/// Most bodies that are collected at a time, per rule.
const MAX_COLLECTED: usize = 32;
