//! A server under a test's control, over real sockets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The lines before the body, lower-cased but for their values.
    pub head: String,
    pub body: Vec<u8>,
}

impl Arrived {
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// What a server does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    Answer {
        status: &'static str,
        headers: String,
        body: Vec<u8>,
    },
    /// Says nothing until the client goes away.
    Hang,
    /// Closes the connection without a word.
    Close,
    /// Begins a good answer and goes on with one blank now and then.
    Drip,
    /// Ten gigabytes of blanks.
    Flood,
}

impl Act {
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status: "200 OK", headers: String::new(), body: body.into() }
    }

    pub fn status(status: &'static str) -> Self {
        Self::Answer { status, headers: String::new(), body: b"{}".to_vec() }
    }
}

type Decide = Box<dyn FnMut(&Arrived) -> Act + Send>;

/// A server whose answers a closure decides.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    decide: Mutex<Decide>,
    connections: AtomicUsize,
    /// Bytes of floods that were handed to the system.
    flooded: AtomicUsize,
}

impl Server {
    pub async fn start(decide: impl FnMut(&Arrived) -> Act + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self(Arc::new(Inner {
            address: listener.local_addr().unwrap(),
            decide: Mutex::new(Box::new(decide)),
            connections: AtomicUsize::new(0),
            flooded: AtomicUsize::new(0),
        }));
        let accepting = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepting.0.connections.fetch_add(1, Ordering::SeqCst);
                let server = accepting.clone();
                // Clients go away as they like.
                tokio::spawn(async move { server.serve(stream).await.ok() });
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.0.address)
    }

    pub fn connections(&self) -> usize {
        self.0.connections.load(Ordering::SeqCst)
    }

    pub fn flooded(&self) -> usize {
        self.0.flooded.load(Ordering::SeqCst)
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut text = Vec::new();
        let head_ends = loop {
            if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut text).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8(text[..head_ends].to_vec()).unwrap();
        let arrived = Arrived { head, body: Vec::new() };
        let length: usize = arrived.header("content-length").map_or(0, |it| it.parse().unwrap());
        while text.len() < head_ends + length {
            if stream.read_buf(&mut text).await? == 0 {
                return Ok(());
            }
        }
        let arrived = Arrived { body: text[head_ends..].to_vec(), ..arrived };
        let act = (self.0.decide.lock().unwrap())(&arrived);
        match act {
            Act::Answer { status, headers, body } => {
                let head = format!(
                    "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), &body].concat()).await?;
            }
            Act::Hang => while stream.read_buf(&mut text).await? > 0 {},
            Act::Close => {}
            Act::Drip => {
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3600\r\n\r\n";
                stream.write_all(head.as_bytes()).await?;
                loop {
                    stream.write_all(b" ").await?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Act::Flood => {
                let length: u64 = 10_000_000_000;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await?;
                loop {
                    stream.write_all(&[b' '; 16 * 1024]).await?;
                    self.0.flooded.fetch_add(16 * 1024, Ordering::SeqCst);
                }
            }
        }
        stream.shutdown().await
    }
}
