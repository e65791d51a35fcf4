//! HTTP/1.1 connections to an origin, used for one exchange after another.
//!
//! An exchange without a request body drives its connection itself: whoever waits for the response, or reads its
//! body, polls the connection with it. A task for each connection would cost two wakeups more for each request.
//! An exchange that must get on even if nobody waits has a task: one that sends a body, or may leave HTTP.
//!
//! A connection is used again only if hyper is ready to send on it: request and response are complete, nothing
//! was received after them, and neither side said `Connection: close`.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::BoxError;
use super::connect::{OriginConnector, OriginStream, limit};
use super::idle_list::IdleList;
use super::origin::OriginSettings;
use super::progress::{Progress, Timer};
use super::request_body::RequestBody;

/// The HTTP/1.1 connections to one origin with one server name.
pub(super) struct Http1Connections {
    connector: OriginConnector,
    idle: Mutex<Idle>,
}

struct Idle {
    list: IdleList<Box<Http1>>,
    /// The task that closes idle connections.
    sweeping: Option<AbortHandle>,
}

/// One connection.
struct Http1 {
    sender: SendRequest<RequestBody>,
    connection: Connection<TokioIo<OriginStream>, RequestBody>,
    timer: Timer,
}

/// An exchange and its connection, which goes back to the idle ones afterwards.
struct Exchange {
    http1: Box<Http1>,
    connections: Arc<Http1Connections>,
}

/// The body of an origin's response. Dropping it ends the exchange.
pub(super) struct OriginBody {
    incoming: Incoming,
    /// `None` if the response has arrived completely, or if a task drives the connection. The mutex is never
    /// locked: it makes the body `Sync`.
    exchange: Option<Mutex<Exchange>>,
}

/// The reason that a request got no response.
enum SendError {
    /// Nothing of the request was sent.
    Unsent(Box<Request<RequestBody>>, hyper::Error),
    Failed(BoxError),
}

// === impl Http1Connections ===

impl Http1Connections {
    /// Opens no connection yet.
    pub(super) fn new(connector: OriginConnector, settings: &OriginSettings) -> Self {
        let timeout = limit(settings.keep_alive_timeout);
        let list = IdleList::new(settings.keep_alive_connections, timeout);
        Self { connector, idle: Mutex::new(Idle { list, sweeping: None }) }
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// A request of which nothing was sent, because the origin had closed the idle connection, is sent on
    /// another one.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
        is_upgrade: bool,
        progress: &Progress,
    ) -> Result<Response<OriginBody>, BoxError> {
        let drives_itself = !is_upgrade && request.body().is_end_stream();
        loop {
            let idle = self.with_idle(|idle| idle.list.take(progress.started()));
            let is_reused = idle.is_some();
            let http1 = match idle {
                Some(http1) => http1,
                None => Box::pin(progress.watch(self.connect())).await??,
            };
            let exchange = Exchange { http1, connections: Arc::clone(self) };
            let sent = if drives_itself {
                exchange.send(request, progress).await
            } else {
                Box::pin(exchange.send_in_task(request, is_upgrade, progress)).await
            };
            match sent {
                Ok(response) => return Ok(response),
                Err(SendError::Unsent(unsent, _)) if is_reused => request = *unsent,
                Err(SendError::Unsent(_, error)) => return Err(error.into()),
                Err(SendError::Failed(error)) => return Err(error),
            }
        }
    }

    async fn connect(&self) -> Result<Box<Http1>, BoxError> {
        let stream = self.connector.connect().await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Http1 { sender, connection, timer: Timer::default() }))
    }

    /// Puts an idle connection back.
    fn put_back(self: &Arc<Self>, http1: Box<Http1>) {
        let now = Instant::now();
        let refused = self.with_idle(|idle| {
            let refused = idle.list.insert(http1, now);
            let is_swept = idle.sweeping.as_ref().is_some_and(|task| !task.is_finished());
            if !is_swept && !idle.list.is_empty() {
                idle.sweeping = self.spawn_sweeping();
            }
            refused
        });
        // Closed outside of the lock.
        drop(refused);
    }

    fn spawn_sweeping(self: &Arc<Self>) -> Option<AbortHandle> {
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        Some(runtime.spawn(Self::sweep_until_empty(Arc::downgrade(self))).abort_handle())
    }

    /// Closes what has expired, and what the origin closed or sent something on, until nothing is idle.
    async fn sweep_until_empty(connections: Weak<Self>) {
        let mut timer = pin!(sleep(SWEEP_INTERVAL));
        poll_fn(|cx| {
            // Idle connections wake this task, too.
            while timer.as_mut().poll(cx).is_ready() {
                timer.as_mut().reset(Instant::now() + SWEEP_INTERVAL);
            }
            let Some(connections) = connections.upgrade() else { return Poll::Ready(()) };
            let now = Instant::now();
            let (over, is_empty) = connections.with_idle(|idle| {
                let over = idle.list.sweep(now, SWEEP_INTERVAL, |http1| http1.is_over(cx));
                if idle.list.is_empty() {
                    idle.sweeping = None;
                }
                (over, idle.list.is_empty())
            });
            // Closed outside of the lock.
            drop(over);
            if is_empty { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn with_idle<T>(&self, run: impl FnOnce(&mut Idle) -> T) -> T {
        // A list changes entry by entry, so it is valid even after a panic.
        run(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Http1Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1Connections").finish_non_exhaustive()
    }
}

// === impl Http1 ===

impl Http1 {
    /// Drives the connection; returns whether it has ended.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        match Pin::new(&mut self.connection).poll(cx) {
            Poll::Ready(result) => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a connection to an origin ended with an error");
                }
                true
            }
            Poll::Pending => false,
        }
    }
}

// === impl Exchange ===

impl Exchange {
    /// Drives the connection until the head of the response is there. The response's body does the rest.
    async fn send(
        mut self,
        request: Request<RequestBody>,
        progress: &Progress,
    ) -> Result<Response<OriginBody>, SendError> {
        let mut response = pin!(self.http1.sender.try_send_request(request));
        let mut open = Some(self);
        let response = poll_fn(|cx| {
            if open.as_mut().is_some_and(|exchange| exchange.http1.is_over(cx)) {
                // A connection that is dropped fails what it has not answered.
                open = None;
            }
            if let Poll::Ready(sent) = response.as_mut().poll(cx) {
                return Poll::Ready(sent.map_err(SendError::from));
            }
            let Some(Self { http1, .. }) = &mut open else { return Poll::Pending };
            progress
                .poll_silence(&mut http1.timer, cx)
                .map(|silence| Err(SendError::Failed(silence.into())))
        })
        .await?;
        let mut unfinished = None;
        match open {
            // Most responses arrive in one piece.
            Some(exchange) if exchange.http1.sender.is_ready() => exchange.put_back(),
            open => unfinished = open.map(Mutex::new),
        }
        Ok(response.map(|incoming| OriginBody { incoming, exchange: unfinished }))
    }

    /// Sends a request whose exchange gets on by itself.
    async fn send_in_task(
        mut self,
        request: Request<RequestBody>,
        is_upgrade: bool,
        progress: &Progress,
    ) -> Result<Response<OriginBody>, SendError> {
        let response = self.http1.sender.try_send_request(request);
        if is_upgrade {
            // Even if the origin stays with HTTP, this connection is not used again.
            let connection = self.http1.connection.with_upgrades();
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to an origin ended with an error");
                }
            });
        } else {
            tokio::spawn(async move {
                if poll_fn(|cx| self.poll_finished(cx)).await {
                    self.put_back();
                }
            });
        }
        let sent = progress.watch(response).await;
        Ok(sent.map_err(|silence| SendError::Failed(silence.into()))??.map(OriginBody::from))
    }

    /// Drives the connection; ready once it has nothing more to do for this exchange. Returns whether it can be
    /// used again.
    fn poll_finished(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.http1.is_over(cx) {
            return Poll::Ready(false);
        }
        if self.http1.sender.is_ready() { Poll::Ready(true) } else { Poll::Pending }
    }

    fn put_back(self) {
        self.connections.put_back(self.http1);
    }
}

// === impl OriginBody ===

impl From<Incoming> for OriginBody {
    fn from(incoming: Incoming) -> Self {
        Self { incoming, exchange: None }
    }
}

impl OriginBody {
    /// Drives the connection until it has nothing more to do for this body.
    fn drive(&mut self, cx: &mut Context<'_>) {
        let Some(exchange) = &mut self.exchange else { return };
        let exchange = exchange.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Poll::Ready(is_reusable) = exchange.poll_finished(cx) else { return };
        if let Some(exchange) = self.exchange.take()
            && is_reusable
        {
            exchange.into_inner().unwrap_or_else(PoisonError::into_inner).put_back();
        }
    }
}

impl Body for OriginBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.drive(cx);
        Pin::new(&mut self.incoming).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

// === impl SendError ===

impl From<TrySendError<Request<RequestBody>>> for SendError {
    fn from(mut error: TrySendError<Request<RequestBody>>) -> Self {
        match error.take_message() {
            Some(unsent) => Self::Unsent(Box::new(unsent), error.into_error()),
            None => Self::Failed(error.into_error().into()),
        }
    }
}

/// How often idle connections are looked at. Those that are busy are used again sooner.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
