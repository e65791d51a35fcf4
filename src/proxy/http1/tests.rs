//! Connections to an origin that a test writes byte by byte.

use std::convert::Infallible;
use std::future::Future;

use http_body_util::{BodyExt, Empty, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::proxy::origin_service::Address;

/// Longest that a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("it should have happened long ago")
}

struct Origin {
    listener: TcpListener,
    connections: Arc<Http1Connections>,
}

impl Origin {
    async fn new(settings: &OriginSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let address = Address::Tcp { host: address.ip().to_string(), port: address.port() };
        let connector = OriginConnector::new(&address, settings).unwrap();
        Self { listener, connections: Arc::new(Http1Connections::new(connector, settings)) }
    }

    /// The next connection.
    async fn accept(&self) -> TcpStream {
        soon(self.listener.accept()).await.unwrap().0
    }

    async fn accepts_none(&self) -> bool {
        timeout(Duration::from_millis(50), self.listener.accept()).await.is_err()
    }

    async fn get(&self) -> Result<Response<OriginBody>, BoxError> {
        let mut progress = Progress::start(PATIENCE);
        let body = RequestBody::new(Empty::new(), &mut progress);
        let request = Request::get("/").header("host", "a").body(body).unwrap();
        self.connections.send(request, false, &progress).await
    }

    /// One whole exchange, with what the origin sends for it.
    async fn exchange(&self, stream: &mut TcpStream, response: &[u8]) -> Bytes {
        let answer = async {
            read_head(stream).await;
            stream.write_all(response).await.unwrap();
        };
        let (response, ()) = soon(async { tokio::join!(self.get(), answer) }).await;
        soon(response.unwrap().into_body().collect()).await.unwrap().to_bytes()
    }

    /// The first exchange, and its connection.
    async fn first_exchange(&self, response: &[u8]) -> TcpStream {
        let answer = async {
            let mut stream = self.accept().await;
            read_head(&mut stream).await;
            stream.write_all(response).await.unwrap();
            stream
        };
        let (response, stream) = tokio::join!(soon(self.get()), answer);
        assert_eq!(soon(response.unwrap().into_body().collect()).await.unwrap().to_bytes(), "ok");
        stream
    }
}

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.expect("the head is cut off"));
    }
}

/// Waits until the other side has closed.
async fn closed(stream: &mut TcpStream) {
    // A reset is an end, too.
    assert_eq!(soon(stream.read(&mut [0])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_connection_is_used_again_at_once() {
    let origin = Origin::new(&OriginSettings::default()).await;
    let mut stream = origin.first_exchange(OK).await;
    for response in [
        OK,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".as_slice(),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ] {
        assert_eq!(origin.exchange(&mut stream, response).await, "ok");
    }
    let nothing = b"HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(origin.exchange(&mut stream, nothing).await, "");
    assert_eq!(origin.exchange(&mut stream, OK).await, "ok");
    assert!(origin.accepts_none().await);
}

#[tokio::test]
async fn a_response_in_pieces_keeps_the_connection() {
    let origin = Origin::new(&OriginSettings::default()).await;
    let mut stream = origin.first_exchange(OK).await;
    let (response, ()) = tokio::join!(soon(origin.get()), async {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await.unwrap();
    });
    let mut body = response.unwrap().into_body();
    assert_eq!(soon(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "ab");
    stream.write_all(b"cd").await.unwrap();
    assert_eq!(soon(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "cd");
    assert!(body.is_end_stream());
    drop(body);
    assert_eq!(origin.exchange(&mut stream, OK).await, "ok");
}

#[tokio::test]
async fn bytes_after_a_response_answer_no_other_request() {
    let origin = Origin::new(&OriginSettings::default()).await;
    // With the response, or later.
    let mut both = OK.to_vec();
    both.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged");
    let mut first = origin.first_exchange(&both).await;
    closed(&mut first).await;
    let mut second = origin.first_exchange(OK).await;
    second.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged").await.unwrap();
    second.flush().await.unwrap();
    // The runtime has to see the bytes.
    sleep(Duration::from_millis(50)).await;
    origin.first_exchange(OK).await;
    closed(&mut second).await;
}

#[tokio::test]
async fn a_connection_that_either_side_ends_is_not_used_again() {
    let origin = Origin::new(&OriginSettings::default()).await;
    for response in [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok".as_slice(),
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let mut stream = origin.first_exchange(response).await;
        closed(&mut stream).await;
    }
    drop(origin.first_exchange(OK).await);
    sleep(Duration::from_millis(50)).await;
    // Not an error: nothing of the request was sent.
    origin.first_exchange(OK).await;
}

#[tokio::test]
async fn a_truncated_response_fails() {
    let origin = Origin::new(&OriginSettings::default()).await;
    for truncated in [
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".as_slice(),
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let answer = async {
            let mut stream = origin.accept().await;
            read_head(&mut stream).await;
            stream.write_all(truncated).await.unwrap();
        };
        let (response, ()) = tokio::join!(soon(origin.get()), answer);
        assert!(soon(response.unwrap().into_body().collect()).await.is_err());
    }
    let headless = async {
        let mut stream = origin.accept().await;
        read_head(&mut stream).await;
    };
    let (response, ()) = tokio::join!(soon(origin.get()), headless);
    assert!(response.is_err());
}

#[tokio::test]
async fn a_response_that_nobody_reads_to_its_end_closes_the_connection() {
    let origin = Origin::new(&OriginSettings::default()).await;
    let answer = async {
        let mut stream = origin.accept().await;
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await.unwrap();
        stream
    };
    let (response, mut stream) = tokio::join!(soon(origin.get()), answer);
    let mut body = response.unwrap().into_body();
    soon(body.frame()).await.unwrap().unwrap();
    drop(body);
    closed(&mut stream).await;

    // Nor one that nobody waits for.
    let waiting = origin.get();
    let asked = async {
        let mut stream = origin.accept().await;
        read_head(&mut stream).await;
        stream
    };
    let mut stream = tokio::select! {
        _ = waiting => unreachable!(),
        stream = asked => stream,
    };
    closed(&mut stream).await;
    origin.first_exchange(OK).await;
}

#[tokio::test]
async fn a_body_is_sent_on_after_an_early_response() {
    let origin = Origin::new(&OriginSettings::default()).await;
    let (frames, body) = mpsc::channel::<Frame<Bytes>>(1);
    let body = futures_util::stream::unfold(body, |mut body| async move {
        body.recv().await.map(|frame| (Ok::<_, Infallible>(frame), body))
    });
    let mut progress = Progress::start(PATIENCE);
    let body = RequestBody::new(StreamBody::new(Box::pin(body)), &mut progress);
    let request = Request::post("/").header("host", "a").header("content-length", 6);
    let sent = origin.connections.send(request.body(body).unwrap(), false, &progress);
    let answer = async {
        let mut stream = origin.accept().await;
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await.unwrap();
        stream
    };
    let (response, mut stream) = tokio::join!(soon(sent), answer);
    // Nobody reads the response meanwhile.
    let mut received = [0; 6];
    frames.send(Frame::data("one".into())).await.unwrap();
    soon(stream.read_exact(&mut received[..3])).await.unwrap();
    frames.send(Frame::data("two".into())).await.unwrap();
    soon(stream.read_exact(&mut received[3..])).await.unwrap();
    assert_eq!(&received, b"onetwo");
    stream.write_all(b"cd").await.unwrap();
    let body = soon(response.unwrap().into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "abcd");
    // The task puts the connection back.
    while origin.connections.with_idle(|idle| idle.list.is_empty()) {
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.exchange(&mut stream, OK).await, "ok");
}

#[tokio::test]
async fn idle_connections_are_bounded() {
    let settings = OriginSettings { keep_alive_connections: 0, ..Default::default() };
    let origin = Origin::new(&settings).await;
    for _ in 0..2 {
        let mut stream = origin.first_exchange(OK).await;
        closed(&mut stream).await;
    }
}

#[tokio::test]
async fn idle_connections_are_closed_in_time() {
    let keep_alive_timeout = Duration::from_millis(10);
    let settings = OriginSettings { keep_alive_timeout, ..Default::default() };
    let expiring = Origin::new(&settings).await;
    let mut expired = expiring.first_exchange(OK).await;
    closed(&mut expired).await;
    // At once if the origin closes, and with the pool.
    let origin = Origin::new(&OriginSettings::default()).await;
    let mut stream = origin.first_exchange(OK).await;
    stream.shutdown().await.unwrap();
    closed(&mut stream).await;
    let mut stream = origin.first_exchange(OK).await;
    drop(origin);
    closed(&mut stream).await;
}

#[tokio::test]
async fn silence_closes_the_connection() {
    let origin = Origin::new(&OriginSettings::default()).await;
    let mut progress = Progress::start(Duration::from_millis(50));
    let body = RequestBody::new(Empty::new(), &mut progress);
    let request = Request::get("/").header("host", "a").body(body).unwrap();
    let sent = origin.connections.send(request, false, &progress);
    let asked = async {
        let mut stream = origin.accept().await;
        read_head(&mut stream).await;
        stream
    };
    let (response, mut stream) = tokio::join!(soon(sent), asked);
    assert!(response.err().unwrap().is::<crate::proxy::progress::Silence>());
    closed(&mut stream).await;
}

#[test]
fn a_response_may_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<OriginBody>();
}
