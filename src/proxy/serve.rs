//! Serves a listening socket: HTTP/1.1 and HTTP/2, with limits on all resources that clients can hold.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, pending};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service;

use crate::address::PeerAddress;

use super::BoxError;
use super::activity::Activity;
use super::drain::{DrainLimits, Drains, IncomingBody};
use super::exchange::Exchanges;
use super::idleness::{Close, Idleness};
use super::linger::{LingerLimits, LingeringStream};
use super::race::{First, race};

/// Limits for [`serve()`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_access::proxy::ServeLimits;
///
/// let mut limits = ServeLimits::default();
/// limits.grace_period = Duration::from_secs(5);
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServeLimits {
    /// Connections served at a time; further ones wait to be accepted. At least 1; default 10 000.
    pub max_connections: usize,
    /// Longest time for the head of a request to arrive: from its first byte, the first one from the
    /// connection's beginning. A head that begins in one piece with the body before it counts as an idle
    /// connection. Default 15 seconds.
    pub header_read_timeout: Duration,
    /// Most bytes in the head of a request. At least 8 KiB; default 64 KiB.
    pub max_header_bytes: u32,
    /// How long an idle connection stays open; at least 10 ms, and closed within twice that time. The timeout
    /// of a load balancer in front must be shorter: otherwise it sends requests into closing connections and
    /// responds with 502. Default 620 seconds.
    pub idle_timeout: Duration,
    /// How long running exchanges may take after shutdown has begun. Default 30 seconds.
    pub grace_period: Duration,
    /// Most bytes of a request body that are read and discarded after a response that did not need them, and
    /// again while a connection lingers before closing. 0 reads none. Default 64 MiB.
    pub max_drained_bytes: u64,
    /// Longest time that the rest of a request body is read and discarded. Default 30 seconds.
    pub drain_timeout: Duration,
    /// Request bodies that are read and discarded at a time, on all connections. Beyond it, and beyond
    /// the two limits above, the connection closes lingering. 0 drains none. Default 1 000.
    pub max_drains: usize,
    /// How long a closing connection is still read if the client may be sending, so that a reset does not
    /// destroy the response. It counts as a connection meanwhile. Also the longest silence while a
    /// body is drained. Default 5 seconds.
    pub linger_timeout: Duration,
    /// Requests at a time on one HTTP/2 connection. Default 200.
    pub max_http2_streams: u32,
    /// Interval of pings on an HTTP/2 connection. Default 30 seconds.
    pub http2_ping_interval: Duration,
    /// Longest time for the response to a ping; then the connection is closed. Default 10 seconds.
    pub http2_ping_timeout: Duration,
}

/// Serves connections until `shutdown` ends, then lets running exchanges end.
///
/// Speaks HTTP/1.1 (with upgrades) and HTTP/2 with prior knowledge, unencrypted. Each request carries
/// a [`PeerAddress`]. Errors while accepting are logged, and accepting continues. On shutdown nothing new is
/// accepted, idle connections close, and running exchanges have
/// [`grace_period`](ServeLimits::grace_period). Upgraded connections count as ended, both for the
/// limit and for shutdown: they live until one side closes them or the runtime stops.
///
/// A response that did not need the whole request body is sent at once, and reaches clients and proxies
/// that are still sending: the rest of the body is read and discarded meanwhile, within
/// [`max_drained_bytes`](ServeLimits::max_drained_bytes),
/// [`drain_timeout`](ServeLimits::drain_timeout) and [`max_drains`](ServeLimits::max_drains). If that
/// is not enough, an HTTP/1.1 connection closes lingering, and an HTTP/2 stream is reset with `NO_ERROR`
/// after the response. A client that waits for `100 Continue` in vain does not have to send its body.
///
/// Returns the number of connections that were closed because the grace period ended.
///
/// See the [module docs](crate::proxy) for an example.
pub async fn serve<S, B, F>(
    listener: TcpListener,
    service: S,
    limits: ServeLimits,
    shutdown: F,
) -> usize
where
    S: Service<Request<IncomingBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    F: Future,
{
    let slots = Arc::new(Semaphore::new(limits.max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let drains = Arc::new(Drains::new(limits.max_drains, limits.drain_limits()));
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (slot, stream, peer) = tokio::select! {
            biased;
            _ = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        let served = Served { service: service.clone(), drains: Arc::clone(&drains), limits };
        let connection = serve_connection(stream, peer, served, stopped.clone());
        connections.spawn(async move {
            connection.await;
            drop(slot);
        });
    }
    drop((listener, stop));
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(limits.grace_period, ended).await;
    connections.len()
}

/// Waits for a free slot, then for a connection. Retries after errors.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (OwnedSemaphorePermit, TcpStream, PeerAddress) {
    let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
        // The semaphore is never closed.
        return pending().await;
    };
    let mut pause = FIRST_PAUSE;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                return (slot, stream, PeerAddress(address.ip().to_canonical()));
            }
            Err(error) if is_one_connections(&error) => {}
            Err(error) => {
                tracing::warn!(%error, ?pause, "cannot accept connections");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

/// Returns whether an error concerns only the connection that was to be accepted.
fn is_one_connections(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}

/// State that all connections of a server share.
struct Served<S> {
    service: S,
    drains: Arc<Drains>,
    limits: ServeLimits,
}

async fn serve_connection<S, B>(
    stream: TcpStream,
    peer: PeerAddress,
    served: Served<S>,
    mut stop: watch::Receiver<()>,
) where
    S: Service<Request<IncomingBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let Served { service, drains, limits } = served;
    // Small frames must not wait for acknowledgements; an error here means that the peer is gone.
    let _ = stream.set_nodelay(true);
    let activity = Arc::new(Activity::default());
    let idleness =
        Idleness::new(Arc::clone(&activity), limits.header_read_timeout, limits.idle_timeout);
    let builder = builder(limits);
    let stream = LingeringStream::new(stream, Arc::clone(&activity), limits.linger_limits());
    let exchanges = Exchanges::new(service, peer, drains, activity);
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), exchanges));
    let closing = async {
        tokio::select! {
            _ = stop.changed() => Close::Gracefully,
            close = idleness.is_over() => close,
        }
    };
    let mut first = race(connection.as_mut(), closing).await;
    if let First::Quiet(Close::Gracefully) = first {
        connection.as_mut().graceful_shutdown();
        first = race(connection, idleness.is_over_while_closing()).await;
    }
    if let First::Busy(Err(error)) = first {
        let error: &dyn Error = &*error;
        tracing::debug!(error, "a connection ended with an error");
    }
}

fn builder(limits: ServeLimits) -> Builder<TokioExecutor> {
    let header_bytes = limits.max_header_bytes.max(MIN_HEADER_BYTES);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // The stream watches the heads, and `Idleness` the time between them; hyper would set a timer for each.
        .header_read_timeout(None)
        .max_buf_size(usize::try_from(header_bytes).unwrap_or(usize::MAX));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(header_bytes)
        .max_concurrent_streams(limits.max_http2_streams)
        .max_pending_accept_reset_streams(RESETS_PER_CONNECTION)
        .max_local_error_reset_streams(RESETS_PER_CONNECTION)
        .keep_alive_interval(limits.http2_ping_interval)
        .keep_alive_timeout(limits.http2_ping_timeout);
    builder
}

impl ServeLimits {
    fn drain_limits(self) -> DrainLimits {
        DrainLimits {
            bytes: self.max_drained_bytes,
            timeout: self.drain_timeout,
            silence: self.linger_timeout,
        }
    }

    fn linger_limits(self) -> LingerLimits {
        LingerLimits {
            bytes: self.max_drained_bytes,
            timeout: self.linger_timeout,
            head: self.header_read_timeout,
        }
    }
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            header_read_timeout: Duration::from_secs(15),
            max_header_bytes: 64 * 1024,
            idle_timeout: Duration::from_secs(620),
            grace_period: Duration::from_secs(30),
            max_drained_bytes: 64 * 1024 * 1024,
            drain_timeout: Duration::from_secs(30),
            max_drains: 1_000,
            linger_timeout: Duration::from_secs(5),
            max_http2_streams: 200,
            http2_ping_interval: Duration::from_secs(30),
            http2_ping_timeout: Duration::from_secs(10),
        }
    }
}

const MIN_HEADER_BYTES: u32 = 8 * 1024;
const RESETS_PER_CONNECTION: usize = 20;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_secs(1);
