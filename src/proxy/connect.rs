//! Opens connections to an origin: TCP or a Unix socket, then TLS if configured.
//!
//! A connector belongs to one rule and always connects to that rule's origin, whatever the request's
//! address.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::BoxError;
use super::origin::OriginSettings;
use super::origin_service::Address;

/// Opens connections to one origin.
#[derive(Clone)]
pub(super) struct OriginConnector {
    dial: Dial,
    connect_timeout: Duration,
    tls: Option<Tls>,
}

#[derive(Clone)]
enum Dial {
    Tcp(HttpConnector, Uri),
    #[cfg(unix)]
    Unix(Arc<std::path::Path>),
}

#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    timeout: Duration,
}

/// Why connecting failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("cannot connect: {0}")]
    Refused(#[source] BoxError),
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[source] io::Error),
    #[error("no TLS handshake within {0:?}")]
    HandshakeTimeout(Duration),
}

/// A connection to an origin, encrypted or not.
pub(super) struct OriginStream {
    inner: Box<dyn Stream>,
    speaks_http2: bool,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

// === impl OriginConnector ===

impl OriginConnector {
    /// Creates a connector for an unencrypted address.
    ///
    /// # Errors
    ///
    /// If this system does not support the kind of address.
    pub(super) fn new(address: &Address, settings: &OriginSettings) -> Result<Self, BoxError> {
        let dial = match address {
            Address::Tcp { host, port } => {
                let uri = Uri::builder().scheme("http").authority(format!("{host}:{port}"));
                Dial::Tcp(tcp(settings), uri.path_and_query("/").build()?)
            }
            #[cfg(unix)]
            Address::Unix(path) => Dial::Unix(path.as_path().into()),
            #[cfg(not(unix))]
            Address::Unix(_) => return Err("this system does not support Unix sockets: write an `http://` or `https://` service".into()),
        };
        Ok(Self { dial, connect_timeout: settings.connect_timeout, tls: None })
    }

    /// Adds TLS to the connector.
    pub(super) fn with_tls(
        self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        timeout: Duration,
    ) -> Self {
        let tls = Tls { connector: TlsConnector::from(config), name, timeout };
        Self { tls: Some(tls), ..self }
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> Result<OriginStream, ConnectError> {
        let plain = within(self.connect_timeout, self.dial.clone().open())
            .await
            .ok_or(ConnectError::ConnectTimeout(self.connect_timeout))?
            .map_err(ConnectError::Refused)?;
        let Some(Tls { connector, name, timeout }) = &self.tls else {
            return Ok(OriginStream { inner: plain, speaks_http2: false });
        };
        let encrypted = within(*timeout, connector.connect(name.clone(), plain))
            .await
            .ok_or(ConnectError::HandshakeTimeout(*timeout))?
            .map_err(ConnectError::Handshake)?;
        let speaks_http2 = encrypted.get_ref().1.alpn_protocol() == Some(super::tls::HTTP_2);
        Ok(OriginStream { inner: Box::new(encrypted), speaks_http2 })
    }
}

impl fmt::Debug for OriginConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginConnector").finish_non_exhaustive()
    }
}

impl Dial {
    async fn open(self) -> Result<Box<dyn Stream>, BoxError> {
        match self {
            Self::Tcp(mut connector, uri) => {
                std::future::poll_fn(|cx| connector.poll_ready(cx)).await?;
                Ok(Box::new(connector.call(uri).await?.into_inner()))
            }
            #[cfg(unix)]
            Self::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        }
    }
}

fn tcp(settings: &OriginSettings) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(true);
    connector.set_nodelay(true);
    let keep_alive = limit(settings.tcp_keep_alive);
    connector.set_keepalive(keep_alive);
    connector.set_keepalive_interval(keep_alive);
    if settings.no_happy_eyeballs {
        connector.set_happy_eyeballs_timeout(None);
    }
    connector
}

/// Runs `future` for at most `duration`; zero means no limit.
async fn within<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    match limit(duration) {
        Some(duration) => tokio::time::timeout(duration, future).await.ok(),
        None => Some(future.await),
    }
}

/// Converts a configured duration to a limit; zero means no limit.
pub(super) fn limit(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

// === impl ConnectError ===

impl ConnectError {
    /// Finds a connection error among `error` and its sources.
    pub(super) fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        chain(error).find_map(|error| error.downcast_ref())
    }

    /// Returns whether the error is a timeout.
    pub(super) fn is_timeout(&self) -> bool {
        match self {
            Self::ConnectTimeout(_) | Self::HandshakeTimeout(_) => true,
            Self::Refused(_) | Self::Handshake(_) => false,
        }
    }
}

/// Returns an error and all its sources.
pub(super) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

// === impl OriginStream ===

impl OriginStream {
    /// Returns whether both sides negotiated HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        self.speaks_http2
    }
}

impl AsyncRead for OriginStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for OriginStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl fmt::Debug for OriginStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginStream")
            .field("speaks_http2", &self.speaks_http2)
            .finish_non_exhaustive()
    }
}
