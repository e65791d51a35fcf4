//! One HTTP/2 connection to an origin, shared by all requests of a rule.
//!
//! The lock is held only to clone a handle. Requests that find no open connection each open one, and the
//! last one is stored.

use std::error::Error;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::BoxError;
use super::connect::OriginConnector;
use super::request_body::RequestBody;

/// The shared connection, opened when first needed and again when lost.
#[derive(Debug)]
pub(super) struct SharedConnection {
    connector: OriginConnector,
    current: Mutex<Option<SendRequest<RequestBody>>>,
    declined: AtomicBool,
}

impl SharedConnection {
    /// `connector` offers HTTP/2.
    pub(super) fn new(connector: OriginConnector) -> Self {
        Self { connector, current: Mutex::new(None), declined: AtomicBool::new(false) }
    }

    /// Returns a handle that is ready to send; `None` if the origin did not negotiate HTTP/2.
    pub(super) async fn sender(&self) -> Result<Option<SendRequest<RequestBody>>, BoxError> {
        if self.declined.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let current = self.lock().clone();
        if let Some(mut sender) = current
            && sender.ready().await.is_ok()
        {
            return Ok(Some(sender));
        }
        // Boxed, because it is rare and large.
        Box::pin(self.open()).await
    }

    async fn open(&self) -> Result<Option<SendRequest<RequestBody>>, BoxError> {
        let stream = self.connector.connect().await?;
        if !stream.speaks_http2() {
            self.declined.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        let (mut sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                let error: &dyn Error = &error;
                tracing::debug!(error, "an HTTP/2 connection to an origin ended");
            }
        });
        sender.ready().await?;
        *self.lock() = Some(sender.clone());
        Ok(Some(sender))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<SendRequest<RequestBody>>> {
        // A handle is replaced as a whole, so it is valid even after a panic.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pause between pings on a connection in use.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Longest time for the response to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
