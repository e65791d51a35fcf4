//! The lingering close: shuts down sending first and reads what the client still sends for a while, so
//! that the system sends no reset that destroys a response on its way.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::activity::Activity;

/// A connection that lingers before closing if the client may still be sending.
#[derive(Debug)]
pub(super) struct LingeringStream<S> {
    stream: S,
    activity: Arc<Activity>,
    limits: LingerLimits,
    /// The number of completely received requests when the last bytes were read.
    received_before_read: Option<usize>,
    /// Whether it speaks HTTP/2, which ends each stream by itself; a protocol error then closes it at once.
    is_http2: bool,
    /// How many bytes of HTTP/2's preface the connection started with; `None` once they differ.
    preface: Option<usize>,
    /// The last three bytes that were read.
    tail: [u8; 3],
    /// The partially received head of an HTTP/1.1 request.
    head: Option<Head>,
    lingering: Option<Lingering>,
}

/// Bounds on what is read after sending has been shut down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct LingerLimits {
    pub(super) bytes: u64,
    pub(super) timeout: Duration,
    /// Longest time from the first byte of a head to its last.
    pub(super) head: Duration,
}

#[derive(Debug)]
struct Head {
    /// The number of exchanges that had begun before.
    begun: usize,
    /// Set when the rest is waited for: most heads arrive in one piece.
    timeout: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct Lingering {
    bytes_left: u64,
    timeout: Pin<Box<Sleep>>,
}

impl<S> LingeringStream<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>, limits: LingerLimits) -> Self {
        Self {
            stream,
            activity,
            limits,
            received_before_read: None,
            is_http2: false,
            preface: Some(0),
            tail: [0; 3],
            head: None,
            lingering: None,
        }
    }

    /// Returns whether the last bytes that were read belong to an incomplete request.
    ///
    /// An upgraded connection never lingers: the task that joins both sides reads on after the end of one
    /// direction.
    fn is_mid_request(&self) -> bool {
        !self.is_http2
            && !self.activity.has_left_http()
            && self.received_before_read == Some(self.activity.received())
    }
}

impl<S> LingeringStream<S> {
    fn watch_beginning(&mut self, read: &[u8]) {
        let Some(matched) = self.preface.filter(|_| !self.is_http2) else { return };
        let rest = PREFACE.get(matched..).unwrap_or_default();
        let length = rest.len().min(read.len());
        if rest.get(..length) != read.get(..length) {
            self.preface = None;
        } else if matched + length == PREFACE.len() {
            (self.is_http2, self.head) = (true, None);
        } else {
            self.preface = Some(matched + length);
        }
    }

    /// Records the first bytes of a head: those that arrive while no exchange is running.
    fn watch_head(&mut self) {
        let begun = self.activity.begun();
        if self.is_http2 || self.activity.has_left_http() || !self.activity.is_quiet() {
            self.head = None;
        } else if self.head.as_ref().is_none_or(|head| head.begun != begun) {
            self.head = Some(Head { begun, timeout: None });
        }
    }

    fn watch_end(&mut self, read: &[u8]) {
        for byte in read.iter().rev().take(self.tail.len()).rev() {
            self.tail.rotate_left(1);
            if let Some(last) = self.tail.last_mut() {
                *last = *byte;
            }
        }
    }

    /// Records the start of a head that arrived together with the previous request, which ended with an empty
    /// line. After a body with a length, it cannot be distinguished from the body: such a connection counts as
    /// idle.
    fn watch_pipelined_head(&mut self) {
        let activity = &self.activity;
        let ends_with_empty_line = self.tail == *b"\n\r\n" || self.tail.ends_with(b"\n\n");
        if self.head.is_none()
            && !self.is_http2
            && activity.begun() > 0
            && activity.is_quiet()
            && !activity.has_left_http()
            && !activity.has_sized_body()
            && !ends_with_empty_line
        {
            self.head = Some(Head { begun: activity.begun(), timeout: None });
        }
    }

    /// Waits for the deadline of the rest of a head.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let begun = self.activity.begun();
        if self.head.as_ref().is_some_and(|head| head.begun != begun) {
            self.head = None;
        }
        self.watch_pipelined_head();
        let Some(head) = &mut self.head else { return Poll::Pending };
        let limit = self.limits.head;
        let timeout = head.timeout.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timeout.as_mut().poll(cx)
    }
}

impl<S: AsyncRead + Unpin> LingeringStream<S> {
    /// Reads and discards until the client stops sending, or a limit is reached.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(lingering) = &mut self.lingering else { return Poll::Ready(()) };
        if lingering.timeout.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut space = [MaybeUninit::uninit(); BUFFER];
        loop {
            let mut buffer = ReadBuf::uninit(&mut space);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
            let length = u64::try_from(buffer.filled().len()).unwrap_or(u64::MAX);
            match lingering.bytes_left.checked_sub(length) {
                Some(rest) => lingering.bytes_left = rest,
                None => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LingeringStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => result?,
            Poll::Pending => {
                ready!(self.poll_head(cx));
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
        }
        if buffer.filled().len() > before {
            self.watch_beginning(buffer.filled().get(before..).unwrap_or_default());
            self.watch_end(buffer.filled().get(before..).unwrap_or_default());
            self.watch_head();
            self.received_before_read = Some(self.activity.received());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LingeringStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.is_mid_request() {
                return Poll::Ready(Ok(()));
            }
            let LingerLimits { bytes, timeout, head: _ } = self.limits;
            let timeout = Box::pin(tokio::time::sleep(timeout));
            self.lingering = Some(Lingering { bytes_left: bytes, timeout });
        }
        self.poll_linger(cx).map(Ok)
    }
}

const BUFFER: usize = 16 * 1024;
const PREFACE: &[u8] = b"PRI ";

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::Instant;

    use super::*;
    use crate::proxy::activity::Running;

    const LIMITS: LingerLimits = LingerLimits {
        bytes: 100_000,
        timeout: Duration::from_secs(5),
        head: Duration::from_secs(15),
    };

    /// A connection of which one byte has been read, and its client.
    async fn connection() -> (LingeringStream<DuplexStream>, DuplexStream, Arc<Activity>) {
        let (mut client, server) = tokio::io::duplex(1_000);
        let activity = Arc::new(Activity::default());
        let mut server = LingeringStream::new(server, Arc::clone(&activity), LIMITS);
        client.write_all(b"G").await.unwrap();
        server.read_u8().await.unwrap();
        (server, client, activity)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stays_is_left_after_the_timeout() {
        let (mut server, mut client, _) = connection().await;
        let begun = Instant::now();
        let (ended, closed) = tokio::join!(client.read_u8(), server.shutdown());
        assert!(ended.is_err() && closed.is_ok(), "the client has our end before it is left");
        assert_eq!(begun.elapsed(), LIMITS.timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_still_sends_is_read_until_it_ends() {
        let (mut server, mut client, _) = connection().await;
        let begun = Instant::now();
        let sending = async {
            client.write_all(&[0; 50_000]).await.unwrap();
            drop(client);
        };
        let (_, closed) = tokio::join!(sending, server.shutdown());
        assert!(closed.is_ok() && begun.elapsed() < LIMITS.timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_without_end_is_left_after_the_limit_of_bytes() {
        let (mut server, mut client, _) = connection().await;
        let begun = Instant::now();
        let sending = async { while client.write_all(&[0; 1_000]).await.is_ok() {} };
        let closing = async {
            server.shutdown().await.unwrap();
            drop(server);
        };
        tokio::join!(sending, closing);
        assert!(begun.elapsed() < LIMITS.timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_head_has_a_time_in_which_it_must_arrive() {
        let (mut server, mut client, _) = connection().await;
        let begun = Instant::now();
        let dribbling = async {
            loop {
                tokio::time::sleep(Duration::from_secs(4)).await;
                client.write_all(b"x").await.unwrap();
            }
        };
        let reading = async {
            loop {
                if let Err(error) = server.read_u8().await {
                    return error.kind();
                }
            }
        };
        tokio::select! {
            () = dribbling => unreachable!(),
            kind = reading => assert_eq!(kind, ErrorKind::TimedOut),
        }
        assert_eq!(begun.elapsed(), LIMITS.head);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_waits_for_a_request_or_speaks_http2_has_no_head_to_wait_for() {
        let (mut idle, mut client, activity) = connection().await;
        client.write_all(b"ET / HTTP/1.1\r\n\r\n").await.unwrap();
        idle.read_exact(&mut [0; 17]).await.unwrap();
        drop(Running::begin(&activity));
        let _client = client;
        let (mut server, mut client) = tokio::io::duplex(1_000);
        let mut http2 = LingeringStream::new(&mut server, Arc::new(Activity::default()), LIMITS);
        for part in [b"P", b"R", b"I", b" ", b"*"] {
            client.write_all(part).await.unwrap();
            http2.read_u8().await.unwrap();
        }
        let long = 10 * LIMITS.head;
        assert!(tokio::time::timeout(long, idle.read_u8()).await.is_err());
        assert!(tokio::time::timeout(long, http2.read_u8()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_lingers_after_a_whole_request_nor_after_an_upgrade() {
        for end in [Activity::receive, Activity::leave_http] {
            let (mut server, _client, activity) = connection().await;
            end(&activity);
            let begun = Instant::now();
            server.shutdown().await.unwrap();
            assert_eq!(begun.elapsed(), Duration::ZERO);
        }
    }
}
