//! The exchanges of one connection: each request is passed to the service, and counts until its response has
//! been sent.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use http::{Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::address::PeerAddress;

use super::activity::{Activity, Running, RunningBody};
use super::drain::{Drains, IncomingBody};

/// The service of one connection.
#[derive(Debug)]
pub(super) struct Exchanges<S> {
    service: S,
    peer: PeerAddress,
    drains: Arc<Drains>,
    activity: Arc<Activity>,
}

pin_project! {
    /// The response to one request.
    pub(super) struct ExchangeFuture<S: Service<Request<IncomingBody>>> {
        #[pin]
        state: State<S, S::Future>,
        running: Option<Running>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        // A request with a body, of HTTP/2, or for which the service is not ready.
        Waiting { waiting: Option<Box<Waiting<S>>> },
        Called { #[pin] future: F },
    }
}

struct Waiting<S> {
    service: S,
    request: Request<IncomingBody>,
}

impl<S> Exchanges<S> {
    pub(super) fn new(
        service: S,
        peer: PeerAddress,
        drains: Arc<Drains>,
        activity: Arc<Activity>,
    ) -> Self {
        Self { service, peer, drains, activity }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Exchanges<S>
where
    S: Service<Request<IncomingBody>, Response = Response<B>, Error = Infallible> + Clone,
{
    type Response = Response<RunningBody<B>>;
    type Error = Infallible;
    type Future = ExchangeFuture<S>;

    fn call(&self, request: Request<Incoming>) -> ExchangeFuture<S> {
        let running = Some(Running::begin(&self.activity));
        let mut request = IncomingBody::wrap(request, &self.drains, &self.activity);
        request.extensions_mut().insert(self.peer);
        let mut service = self.service.clone();
        // The task of an HTTP/2 connection serves all its streams, and this would hold it up. A body must not be
        // dropped before hyper waits for the response.
        let can_begin = request.version() != Version::HTTP_2 && request.body().is_end_stream();
        if can_begin && service.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready() {
            return ExchangeFuture {
                state: State::Called { future: service.call(request) },
                running,
            };
        }
        let waiting = Some(Box::new(Waiting { service, request }));
        ExchangeFuture { state: State::Waiting { waiting }, running }
    }
}

impl<S, B> Future for ExchangeFuture<S>
where
    S: Service<Request<IncomingBody>, Response = Response<B>, Error = Infallible>,
{
    type Output = Result<Response<RunningBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let future = match this.state.as_mut().project() {
                StateProjection::Called { future } => {
                    let response = ready!(future.poll(cx))?;
                    // Polled again after its end, which never happens.
                    let Some(running) = this.running.take() else { return Poll::Pending };
                    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                        running.leave_http();
                    }
                    return Poll::Ready(Ok(response.map(|body| RunningBody::new(body, running))));
                }
                StateProjection::Waiting { waiting } => {
                    if let Some(waiting) = waiting {
                        ready!(waiting.service.poll_ready(cx))?;
                    }
                    let Some(waiting) = waiting.take() else { return Poll::Pending };
                    let Waiting { mut service, request } = *waiting;
                    service.call(request)
                }
            };
            this.state.set(State::Called { future });
        }
    }
}
