//! The clients: connections that send one request after the other.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::FIRST_CLIENT;
use crate::origin::receive;

/// Writes the request with a token.
pub(crate) fn request(token: Option<&str>) -> Vec<u8> {
    let token =
        token.map(|token| format!("cf-access-jwt-assertion: {token}\r\n")).unwrap_or_default();
    format!("GET / HTTP/1.1\r\nhost: bench.example\r\naccept: */*\r\n{token}\r\n").into_bytes()
}

/// A run under way.
pub(crate) struct Run {
    proxy: SocketAddr,
    requests: Vec<Vec<u8>>,
    /// The number of the next request.
    next: usize,
    is_once: bool,
    clients: Vec<Client>,
    /// Connections that still send.
    active: usize,
    start: Instant,
    end: Instant,
    outcome: Outcome,
}

#[derive(Default)]
struct Outcome {
    statuses: BTreeMap<u16, u64>,
    /// Requests whose connection ended before the response did.
    broken: u64,
    nanoseconds: Vec<u64>,
}

struct Client {
    stream: TcpStream,
    request: usize,
    sent: usize,
    started: Instant,
    received: Vec<u8>,
    is_done: bool,
}

impl Run {
    pub(crate) fn start(
        proxy: SocketAddr,
        requests: Vec<Vec<u8>>,
        is_once: bool,
        connections: usize,
        time: Duration,
        registry: &Registry,
    ) -> io::Result<Self> {
        let start = Instant::now();
        let mut run = Self {
            proxy,
            requests,
            next: 0,
            is_once,
            clients: Vec::with_capacity(connections),
            active: connections,
            start,
            end: start + time,
            outcome: Outcome::default(),
        };
        for number in 0..connections {
            let stream = connect(proxy, number, registry)?;
            let client = Client {
                stream,
                request: 0,
                sent: 0,
                started: start,
                received: Vec::new(),
                is_done: false,
            };
            run.clients.push(client);
            run.next_request(number);
        }
        Ok(run)
    }

    /// Continues a connection on which something has happened.
    pub(crate) fn ready(&mut self, number: usize, registry: &Registry) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(number) else { return Ok(()) };
        if client.is_done {
            return Ok(());
        }
        let is_open = client.send(&self.requests).is_ok()
            && receive(&mut client.stream, &mut client.received).unwrap_or(false);
        let response = Response::parse(&client.received);
        if let Some(response) = response {
            *self.outcome.statuses.entry(response.status).or_default() += 1;
            let time = u64::try_from(client.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.outcome.nanoseconds.push(time);
        } else if !is_open {
            self.outcome.broken += 1;
        } else {
            return Ok(());
        }
        if !is_open || response.is_some_and(|response| response.closes) {
            client.stream = connect(self.proxy, number, registry)?;
        }
        self.next_request(number);
        Ok(())
    }

    /// Sends the next request on a connection, unless the run is over.
    fn next_request(&mut self, number: usize) {
        let is_over = if self.is_once {
            self.next == self.requests.len() || Instant::now() >= self.end
        } else {
            Instant::now() >= self.end
        };
        let client = &mut self.clients[number];
        client.received.clear();
        if is_over {
            client.is_done = true;
            self.active -= 1;
            return;
        }
        client.request = self.next % self.requests.len();
        client.sent = 0;
        client.started = Instant::now();
        self.next += 1;
        // A connection that is not established yet sends when it is.
        let _ = client.send(&self.requests);
    }

    /// Returns the result once all responses are there, or if they do not come.
    pub(crate) fn result(&mut self) -> Option<String> {
        if self.active > 0 && Instant::now() < self.end + Duration::from_secs(5) {
            return None;
        }
        let Outcome { statuses, broken, nanoseconds } = &mut self.outcome;
        nanoseconds.sort_unstable();
        let quantile = |part: usize| {
            let time = nanoseconds.get(nanoseconds.len() * part / 100).copied();
            time.unwrap_or_default() / 1000
        };
        let statuses: Vec<_> =
            statuses.iter().map(|(status, n)| format!("\"{status}\": {n}")).collect();
        Some(format!(
            "{{\"answers\": {}, \"microseconds\": {}, \"statuses\": {{{}}}, \"broken\": {}, \
             \"p50\": {}, \"p99\": {}}}",
            nanoseconds.len(),
            self.start.elapsed().as_micros(),
            statuses.join(", "),
            *broken + self.active as u64,
            quantile(50),
            quantile(99),
        ))
    }
}

fn connect(proxy: SocketAddr, number: usize, registry: &Registry) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_nodelay(true)?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    registry.register(&mut stream, Token(FIRST_CLIENT + number), interest)?;
    Ok(stream)
}

impl Client {
    fn send(&mut self, requests: &[Vec<u8>]) -> io::Result<()> {
        let request = &requests[self.request];
        while self.sent < request.len() {
            match self.stream.write(&request[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) =>
                {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A complete response.
#[derive(Clone, Copy)]
struct Response {
    status: u16,
    /// Whether the connection ends with it.
    closes: bool,
}

impl Response {
    fn parse(received: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(length)) = response.parse(received) else { return None };
        let body = &received[length..];
        let (mut is_complete, mut closes) = (true, false);
        for header in response.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                let length: usize = std::str::from_utf8(header.value).ok()?.parse().ok()?;
                is_complete = body.len() >= length;
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                is_complete = body.ends_with(b"0\r\n\r\n");
            } else if header.name.eq_ignore_ascii_case("connection") {
                closes = header.value.eq_ignore_ascii_case(b"close");
            }
        }
        is_complete.then_some(Self { status: response.code?, closes })
    }
}
