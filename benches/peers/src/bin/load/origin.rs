//! The origin. It answers `/certs` with the key set, `/echo` with the request's head, and all else with
//! three bytes.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

pub(crate) struct Origin {
    listener: TcpListener,
    keys: Vec<u8>,
    connections: HashMap<Token, Connection>,
    next: usize,
}

struct Connection {
    stream: TcpStream,
    /// What was received of requests that are not answered.
    received: Vec<u8>,
    /// What could not be sent yet.
    unsent: Vec<u8>,
}

impl Origin {
    pub(crate) fn bind(
        address: SocketAddr,
        keys: Vec<u8>,
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self { listener, keys, connections: HashMap::new(), next: LISTENER.0 + 1 })
    }

    pub(crate) fn ready(&mut self, token: Token, registry: &Registry) -> io::Result<()> {
        if token == LISTENER {
            return self.accept(registry);
        }
        if let Some(connection) = self.connections.get_mut(&token)
            && !connection.serve(&self.keys).unwrap_or(false)
        {
            self.connections.remove(&token);
        }
        Ok(())
    }

    fn accept(&mut self, registry: &Registry) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.next);
            self.next += 1;
            registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            let connection = Connection { stream, received: Vec::new(), unsent: Vec::new() };
            self.connections.insert(token, connection);
        }
    }
}

impl Connection {
    /// Answers what has come. Returns `false` at the end of the connection.
    fn serve(&mut self, keys: &[u8]) -> io::Result<bool> {
        let is_open = receive(&mut self.stream, &mut self.received)?;
        while let Some(length) = self.answer(keys) {
            self.received.drain(..length);
        }
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(is_open)
    }

    /// Answers one request, and returns its length. Requests have no body here.
    fn answer(&mut self, keys: &[u8]) -> Option<usize> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(&self.received) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) | Err(_) => return None,
        };
        match request.path {
            Some("/certs") => respond(&mut self.unsent, "application/json", keys),
            Some("/echo") => respond(&mut self.unsent, "text/plain", &self.received[..length]),
            _ => self.unsent.extend_from_slice(ANSWER),
        }
        Some(length)
    }
}

fn respond(output: &mut Vec<u8>, content_type: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    output.extend_from_slice(head.as_bytes());
    output.extend_from_slice(body);
}

/// Receives until nothing is there. Returns `false` if the other side has closed.
pub(crate) fn receive(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<bool> {
    let mut part = [0; 16 << 10];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return Ok(false),
            Ok(length) => {
                received.extend_from_slice(&part[..length]);
                if length < part.len() {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

const LISTENER: Token = Token(0);
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nok\n";
