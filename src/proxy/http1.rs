//! HTTP/1.1 connections to an origin, kept for further exchanges.
//!
//! An exchange without a request body drives its connection itself: it is polled with the response, then with
//! the response's body, in the task of whoever waits for them. A task of its own, and a wakeup each way, would
//! cost more than the proxy's check. An exchange that can make progress while nobody waits, because it sends a
//! body or may become an upgrade, has a task.
//!
//! A connection is kept only after hyper has found it idle: request and response complete and framed by both
//! sides, no byte beyond, no `Connection: close`.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::BoxError;
use super::body::RequestBody;
use super::connect::{OriginConnector, OriginStream, limit};
use super::idle::IdleList;
use super::origin::OriginSettings;

/// The HTTP/1.1 connections to one origin with one server name.
pub(super) struct Http1Connections {
    connector: OriginConnector,
    idle: Mutex<IdleList<Box<Http1>>>,
    /// Closes idle connections; runs while there are some.
    reaper: Mutex<Option<AbortHandle>>,
}

/// One connection.
struct Http1 {
    sender: SendRequest<RequestBody>,
    connection: Connection<TokioIo<OriginStream>, RequestBody>,
}

/// An exchange whose response is not complete, with its connection.
struct Exchange {
    http1: Box<Http1>,
    connections: Arc<Http1Connections>,
}

/// The body of an origin's response. Dropping it ends the exchange.
pub(super) struct OriginBody {
    incoming: Incoming,
    /// `None` once the connection has nothing more to do for this body, or if a task drives it.
    exchange: Option<Mutex<Exchange>>,
}

type SendError = TrySendError<Request<RequestBody>>;

// === impl Http1Connections ===

impl Http1Connections {
    /// Opens no connection yet.
    pub(super) fn new(connector: OriginConnector, settings: &OriginSettings) -> Self {
        let idle = IdleList::new(settings.keep_alive_connections, limit(settings.keep_alive_timeout));
        Self { connector, idle: Mutex::new(idle), reaper: Mutex::default() }
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// A request that an idle connection returns because the origin has closed it is sent on another one.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
        upgrading: bool,
    ) -> Result<Response<OriginBody>, BoxError> {
        let has_task = upgrading || !request.body().is_end_stream();
        loop {
            let (http1, is_reused) = match self.take_idle() {
                Some(idle) => (idle, true),
                None => (Box::pin(self.connect()).await?, false),
            };
            let sent = if upgrading {
                http1.send_upgrade(request).await
            } else if has_task {
                http1.send_in_task(request, self).await
            } else {
                http1.send(request, self).await
            };
            match sent {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if is_reused => request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        }
    }

    async fn connect(&self) -> Result<Box<Http1>, BoxError> {
        let stream = self.connector.connect().await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Http1 { sender, connection }))
    }

    fn take_idle(&self) -> Option<Box<Http1>> {
        let (found, expired) = self.lock().take(Instant::now());
        drop(expired);
        found
    }

    /// Keeps an idle connection.
    fn keep(self: &Arc<Self>, http1: Box<Http1>) {
        let refused = self.lock().insert(http1, Instant::now());
        drop(refused);
    }

    fn lock(&self) -> MutexGuard<'_, IdleList<Box<Http1>>> {
        // A list changes entry by entry, so it is valid even after a panic.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Http1Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1Connections").finish_non_exhaustive()
    }
}

// === impl Http1 ===

impl Http1 {
    /// Drives the exchange until the response's head is there; its body drives the rest.
    async fn send(
        mut self: Box<Self>,
        request: Request<RequestBody>,
        connections: &Arc<Http1Connections>,
    ) -> Result<Response<OriginBody>, SendError> {
        let mut response = pin!(self.sender.try_send_request(request));
        let mut open = Some(self);
        let response = poll_fn(|cx| {
            if let Some(http1) = &mut open
                && Pin::new(&mut http1.connection).poll(cx).is_ready()
            {
                // Dropped, it answers what it has not answered.
                open = None;
            }
            response.as_mut().poll(cx)
        })
        .await?;
        let exchange = open.and_then(|http1| {
            if http1.sender.is_ready() {
                connections.keep(http1);
                return None;
            }
            Some(Mutex::new(Exchange { http1, connections: Arc::clone(connections) }))
        });
        Ok(response.map(|incoming| OriginBody { incoming, exchange }))
    }

    /// Drives the exchange in a task, so that both bodies move independently of each other.
    async fn send_in_task(
        mut self: Box<Self>,
        request: Request<RequestBody>,
        connections: &Arc<Http1Connections>,
    ) -> Result<Response<OriginBody>, SendError> {
        let response = self.sender.try_send_request(request);
        let mut exchange = Exchange { http1: self, connections: Arc::clone(connections) };
        tokio::spawn(async move {
            poll_fn(|cx| exchange.poll(cx)).await;
            exchange.finish();
        });
        Ok(response.await?.map(OriginBody::from))
    }

    /// Drives the exchange in a task that hands over the connection if the origin switches protocols.
    async fn send_upgrade(
        mut self: Box<Self>,
        request: Request<RequestBody>,
    ) -> Result<Response<OriginBody>, SendError> {
        let response = self.sender.try_send_request(request);
        let connection = self.connection.with_upgrades();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to an origin ended with an error");
            }
        });
        Ok(response.await?.map(OriginBody::from))
    }
}

// === impl Exchange ===

impl Exchange {
    /// Drives the connection; ready once it has nothing more to do.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Http1 { sender, connection } = &mut *self.http1;
        if Pin::new(connection).poll(cx).is_ready() || sender.is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Keeps the connection if it can be used again.
    fn finish(self) {
        if self.http1.sender.is_ready() {
            self.connections.keep(self.http1);
        }
    }
}

// === impl OriginBody ===

impl From<Incoming> for OriginBody {
    fn from(incoming: Incoming) -> Self {
        Self { incoming, exchange: None }
    }
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self { incoming, exchange } = &mut *self;
        if let Some(running) = exchange {
            let running = running.get_mut().unwrap_or_else(PoisonError::into_inner);
            if running.poll(cx).is_ready() 
                && let Some(over) = exchange.take() { over.into_inner().unwrap_or_else(PoisonError::into_inner).finish(); }
        }
        Pin::new(incoming).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
