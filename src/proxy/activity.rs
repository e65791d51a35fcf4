//! The activity of a connection: exchanges from a request's head to the last byte of its response.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// The activity of one connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    begun: AtomicUsize,
    running: AtomicUsize,
    received: AtomicUsize,
    has_left_http: AtomicBool,
    has_sized_body: AtomicBool,
}

/// One running exchange; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running(Arc<Activity>);

pin_project! {
    /// A body whose exchange runs until the body is sent or dropped.
    #[derive(Debug)]
    pub(super) struct RunningBody<B> {
        #[pin]
        body: B,
        running: Running,
    }
}

impl Activity {
    /// Returns how many exchanges have begun so far.
    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Returns whether no exchange is running.
    pub(super) fn is_quiet(&self) -> bool {
        self.running.load(Ordering::Relaxed) == 0
    }

    /// Returns how many requests have been received completely, with their bodies.
    pub(super) fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    /// Records that a request has been received completely.
    pub(super) fn receive(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether the latest request had a `Content-Length` body.
    pub(super) fn has_sized_body(&self) -> bool {
        self.has_sized_body.load(Ordering::Relaxed)
    }

    /// Records whether a starting request has a `Content-Length` body.
    pub(super) fn set_sized_body(&self, is_sized: bool) {
        self.has_sized_body.store(is_sized, Ordering::Relaxed);
    }

    /// Returns whether the connection was upgraded.
    pub(super) fn has_left_http(&self) -> bool {
        self.has_left_http.load(Ordering::Relaxed)
    }

    /// Records that the connection is upgraded.
    pub(super) fn leave_http(&self) {
        self.has_left_http.store(true, Ordering::Relaxed);
    }
}

impl Running {
    /// Begins an exchange.
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        activity.running.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }

    /// Records that this exchange upgrades its connection.
    pub(super) fn leave_http(&self) {
        self.0.leave_http();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<B> RunningBody<B> {
    pub(super) fn new(body: B, running: Running) -> Self {
        Self { body, running }
    }
}

impl<B: Body> Body for RunningBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_runs_until_its_body_is_dropped() {
        let activity = Arc::new(Activity::default());
        assert!(activity.is_quiet());
        let body = RunningBody::new((), Running::begin(&activity));
        assert!(!activity.is_quiet());
        drop(body);
        assert!(activity.is_quiet());
        assert_eq!(activity.begun(), 1);
    }
}
