//! An origin that reads requests by hand and records every byte of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as the origin received it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// Method and target.
    pub(crate) fn target(&self) -> String {
        let head = String::from_utf8_lossy(&self.head).into_owned();
        let line = head.lines().next().unwrap_or_default();
        line.rsplit_once(' ').unwrap_or_default().0.to_owned()
    }

    /// The values of all lines of a header, as bytes.
    pub(crate) fn header(&self, name: &str) -> Vec<Vec<u8>> {
        let lines = self.head.split(|byte| *byte == b'\n').skip(1);
        lines
            .filter_map(|line| {
                let colon = line.iter().position(|byte| *byte == b':')?;
                line[..colon]
                    .eq_ignore_ascii_case(name.as_bytes())
                    .then(|| line[colon + 1..].trim_ascii().to_vec())
            })
            .collect()
    }

    fn text(&self, name: &str) -> Option<String> {
        self.header(name).first().map(|value| String::from_utf8_lossy(value).to_lowercase())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct RawOrigin {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl RawOrigin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = Self { address, received: Arc::default() };
        let serving = origin.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let origin = serving.clone();
                // The proxy closes connections as it likes.
                tokio::spawn(async move { origin.serve(stream).await.ok() });
            }
        });
        origin
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        self.received().iter().map(Received::target).collect()
    }

    pub(crate) fn last(&self) -> Received {
        self.received().last().cloned().expect("the origin was asked")
    }

    /// Answers requests one after the other. A request for the protocol `echo` gets it.
    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut buffer = Vec::new();
        loop {
            let Some(head) = read_through(&mut stream, &mut buffer, b"\r\n\r\n").await? else {
                return Ok(());
            };
            let mut request = Received { head, body: Vec::new() };
            if let Some(length) = request.text("content-length") {
                read_exactly(&mut stream, &mut buffer, length.parse().unwrap(), &mut request.body)
                    .await?;
            } else if request.text("transfer-encoding").is_some() {
                read_chunks(&mut stream, &mut buffer, &mut request.body).await?;
            }
            let (target, upgrade) = (request.target(), request.text("upgrade"));
            self.received.lock().unwrap().push(request);
            if upgrade.as_deref() == Some("echo") {
                let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                              upgrade: echo\r\n\r\n";
                stream.write_all(answer.as_bytes()).await?;
                let (mut read, mut write) = stream.split();
                write.write_all(&buffer).await?;
                tokio::io::copy(&mut read, &mut write).await?;
                return write.shutdown().await;
            }
            let body = format!("origin saw {target}");
            let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            if !target.starts_with("HEAD ") {
                answer += &body;
            }
            stream.write_all(answer.as_bytes()).await?;
        }
    }
}

/// Reads up to and with `end`; none where the other side closes before anything came.
async fn read_through(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    end: &[u8],
) -> std::io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(place) = buffer.windows(end.len()).position(|window| window == end) {
            return Ok(Some(buffer.drain(..place + end.len()).collect()));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

async fn read_exactly(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    length: usize,
    body: &mut Vec<u8>,
) -> std::io::Result<()> {
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    body.extend(buffer.drain(..length));
    Ok(())
}

async fn read_chunks(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    body: &mut Vec<u8>,
) -> std::io::Result<()> {
    loop {
        let Some(line) = read_through(stream, buffer, b"\r\n").await? else {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        let size = usize::from_str_radix(str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
        read_exactly(stream, buffer, size, body).await?;
        read_through(stream, buffer, b"\r\n").await?;
        if size == 0 {
            return Ok(());
        }
    }
}
