//! Clients that write bytes and frames as a test wants them.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Waits for what must happen.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, future).await.expect("it should have happened long ago")
}

/// An answer as it was read from the socket.
#[derive(Clone, Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    /// The lines of the head; header names in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl RawAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            (key == name).then_some(value)
        })
    }

    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.lines().skip(1).filter_map(move |line| {
            let (key, value) = line.split_once(": ")?;
            (key == name).then_some(value)
        })
    }
}

/// One HTTP/1.1 connection.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new() }
    }

    /// Writes bytes; whether the other side still takes them.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        soon(self.stream.write_all(bytes.as_ref())).await.is_ok()
    }

    /// The next answer with a body; none where the connection ends instead.
    pub(crate) async fn answer(&mut self) -> Option<RawAnswer> {
        self.answer_to("GET").await
    }

    pub(crate) async fn answer_to(&mut self, method: &str) -> Option<RawAnswer> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let head: Vec<String> = String::from_utf8_lossy(&head)
            .lines()
            .map(|line| match line.split_once(':') {
                Some((name, value)) => format!("{}:{value}", name.to_lowercase()),
                None => line.to_owned(),
            })
            .collect();
        let head = head.join("\n");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = RawAnswer { status, head, body: String::new() };
        if method == "HEAD" || matches!(status, 100 | 101 | 204 | 304) {
            return Some(answer);
        }
        let mut body = Vec::new();
        if let Some(length) = answer.header("content-length") {
            body = self.take(length.parse().unwrap()).await;
        } else if answer.header("transfer-encoding").is_some() {
            loop {
                let size = usize::from_str_radix(&self.line().await, 16).unwrap();
                body.extend(self.take(size).await);
                self.line().await;
                if size == 0 {
                    break;
                }
            }
        }
        answer.body = String::from_utf8_lossy(&body).into_owned();
        Some(answer)
    }

    /// All final answers until the other side closes the connection.
    pub(crate) async fn answers(&mut self) -> Vec<RawAnswer> {
        let mut answers = Vec::new();
        while let Some(answer) = self.answer().await {
            answers.extend((answer.status != 100).then_some(answer));
        }
        answers
    }

    /// Whether the other side ends the connection in order, with no byte more and no reset.
    pub(crate) async fn ends_in_order(&mut self) -> bool {
        let read = soon(self.stream.read_buf(&mut self.buffer)).await;
        self.buffer.is_empty() && matches!(read, Ok(0))
    }

    /// So many bytes as they are.
    pub(crate) async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            self.read().await.expect("the rest of the body");
        }
        self.buffer.drain(..length).collect()
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return String::from_utf8_lossy(&line[..end]).into_owned();
            }
            self.read().await.expect("the rest of a line");
        }
    }

    async fn read(&mut self) -> Option<()> {
        let count = soon(self.stream.read_buf(&mut self.buffer)).await.unwrap_or(0);
        (count > 0).then_some(())
    }
}

/// Sends one request, and reads its answer.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> RawAnswer {
    let request = request.as_ref();
    let mut wire = Wire::connect(address).await;
    wire.send(request).await;
    let method = request.split(|byte| *byte == b' ').next().unwrap_or_default();
    let answer = wire.answer_to(&String::from_utf8_lossy(method)).await;
    answer.unwrap_or_else(|| panic!("no answer to {}", String::from_utf8_lossy(request)))
}

/// One HTTP/2 connection of a client that keeps the rules.
pub(crate) async fn http2(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

/// Sends a request over HTTP/2, and reads the answer whole.
pub(crate) async fn ask_http2(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Response<String> {
    let line = format!("{} {}", request.method(), request.uri());
    let answer = soon(sender.send_request(request)).await;
    let (parts, body) = answer.unwrap_or_else(|error| panic!("{line}: {error:?}")).into_parts();
    let body = soon(body.collect()).await;
    let body = body.unwrap_or_else(|error| panic!("{line}: {error:?}")).to_bytes();
    Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap())
}

/// One HTTP/2 connection of a client that keeps none.
pub(crate) struct Frames(TcpStream);

#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// In answers: `:status 400` in the static table.
pub(crate) const STATUS_400: u8 = 0x8c;

impl Frames {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut frames = Self(stream);
        assert!(frames.send(SETTINGS, 0, 0, &[]).await);
        frames
    }

    /// Writes a frame; whether the other side still takes it.
    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let bytes = frame(kind, flags, stream, payload);
        soon(self.0.write_all(&bytes)).await.is_ok()
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        soon(self.0.write_all(bytes)).await.is_ok()
    }

    /// The next frame; none where the connection ends.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        soon(self.0.read_exact(&mut head)).await.ok()?;
        let [a, b, c, kind, _, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        soon(self.0.read_exact(&mut payload)).await.ok()?;
        Some(Frame { kind, stream: u32::from_be_bytes(stream), payload })
    }

    /// The next frame of one of these kinds; none where the connection ends.
    pub(crate) async fn next_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block: every field a literal that enters no table.
pub(crate) fn header_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            block.extend(text.bytes());
        }
    }
    block
}
