//! Whether the time of an answer tells who may log in: `cargo bench --features full --bench login_timing`,
//! or with `-- 500` so many tries of each kind in place of 2,000.
//!
//! A client asks over a real socket, with addresses that may log in and addresses that may not, in random
//! order, each with a browser and a network of its own. Codes are mailed meanwhile, to a server that takes
//! its time. For each step the medians and the fastest tenths of both kinds are compared. What such a
//! difference is by chance is known from the same times with random kinds. It is printed as "by chance": the
//! standard deviation over 1,000 such divisions. If a difference has a probability of less than one in a
//! million by chance, the bench fails.
//!
//! The sizes of differences depend on the machine; whether there are any does not.
//!
//! Each step is taken by a whole block of tries, in an order of its own, after the mails of the step before
//! are gone. One line is about something else, and does not let the bench fail: `at once` is a page that is
//! asked for while the mail is being sent. Sending is work for the same processors, and here the mail
//! server is on them as well.
#![allow(
    missing_docs,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench states what it expects"
)]

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn};
use tower_access::address::PeerAddress;
use tower_access::application::Application;
use tower_access::clock::{ManualClock, Timestamp};
use tower_access::login::OneTimePin;
use tower_access::login::mail::{Mail, MailError, MailFuture, Mailer};
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer};

const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const TRIES: u32 = 2_000;
/// After so many tries of each kind a day passes: the wrong codes of a block leave codes short.
const BLOCK: u32 = 100;
const STEPS: [&str; 6] =
    ["address", "at once", "code page", "link's page", "wrong code", "new code"];
/// The step that is taken while the mail is being sent.
const AT_ONCE: usize = 1;
const MAIL_TAKES: Duration = Duration::from_millis(20);
const DIVISIONS: usize = 1_000;
/// The standard deviations of a difference that is by chance once in a million.
const FAILS_AT: f64 = 4.89;

fn main() {
    // Cargo builds and runs benches as tests as well: then a few are enough.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let asked_for = std::env::args().find_map(|argument| argument.parse().ok());
    let tries: u32 = asked_for.unwrap_or(if is_bench { TRIES } else { 100 });
    let mut found = 0;
    for policies in [1, 200] {
        let world = World::start(policies);
        let times = world.all_times(tries);
        println!("\n{tries} tries of each kind, {policies} policies (times in microseconds)");
        println!("step         statistic   may     may not  difference  by chance  deviations");
        for (number, (step, [may, may_not])) in STEPS.iter().zip(&times).enumerate() {
            for (statistic, part) in [("median", 0.5), ("10 %", 0.1)] {
                let it = Comparison::of(may, may_not, part);
                let is_found = number != AT_ONCE && it.deviations().abs() > FAILS_AT;
                found += usize::from(is_found);
                println!(
                    "{step:<12} {statistic:<9} {:>7.1} {:>8.1} {:>11.2} {:>10.2} {:>11.1}{}",
                    it.may,
                    it.may_not,
                    it.may - it.may_not,
                    it.by_chance,
                    it.deviations(),
                    if is_found { "  TELLS" } else { "" },
                );
            }
        }
    }
    // A tenth of the tries finds only what is large, and what cargo runs as a test states no times.
    if is_bench && found > 0 {
        println!("\n{found} of the times tell who may log in");
        std::process::exit(1);
    }
}

/// A statistic of two groups of times, and what it differs by chance.
struct Comparison {
    may: f64,
    may_not: f64,
    by_chance: f64,
}

impl Comparison {
    fn of(may: &[f64], may_not: &[f64], part: f64) -> Self {
        let mut all = [may, may_not].concat();
        let mut random = Random(7);
        let differences: Vec<_> = (0..DIVISIONS)
            .map(|_| {
                random.shuffle(&mut all);
                let (one, other) = all.split_at(may.len());
                quantile(one, part) - quantile(other, part)
            })
            .collect();
        let squares: f64 = differences.iter().map(|difference| difference * difference).sum();
        Self {
            may: quantile(may, part),
            may_not: quantile(may_not, part),
            by_chance: (squares / differences.len() as f64).sqrt(),
        }
    }

    fn deviations(&self) -> f64 {
        (self.may - self.may_not) / self.by_chance
    }
}

fn quantile(times: &[f64], part: f64) -> f64 {
    let mut times = times.to_vec();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small index")]
    let index = (times.len() as f64 * part) as usize;
    *times.select_nth_unstable_by(index, f64::total_cmp).1
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for end in (1..all.len()).rev() {
            all.swap(end, self.below(end + 1));
        }
    }
}

struct World {
    _runtime: tokio::runtime::Runtime,
    server: SocketAddr,
    clock: Arc<ManualClock>,
}

impl World {
    /// The first policy lets all of `example.com` in. The further ones let in somebody else each.
    fn start(policies: u32) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_seconds(1_790_000_000)));
        let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
        let mut wiki = Application::new("Wiki", "wiki.example.com")
            .unwrap()
            .audience(AUDIENCE.parse().unwrap())
            .policy(staff);
        for number in 1..policies {
            let guest = Rule::email(&format!("guest{number}@example.org")).unwrap();
            wiki = wiki.policy(Policy::allow(format!("guest {number}")).include(guest));
        }
        let mail_server = runtime.block_on(slow_mail_server());
        let access = Access::builder()
            .team_domain("login.example.com".parse().unwrap())
            .application(wiki)
            .one_time_pin(OneTimePin::new().digits(12))
            .mailer(SlowMailer(mail_server))
            .clock(Arc::clone(&clock))
            .build()
            .unwrap();
        let server = runtime.block_on(serve(access));
        Self { _runtime: runtime, server, clock }
    }

    /// For each step, the times of the addresses that may log in and of those that may not.
    fn all_times(&self, tries: u32) -> [[Vec<f64>; 2]; STEPS.len()] {
        let mut client = Client::connect(self.server);
        let mut times = <[[Vec<f64>; 2]; STEPS.len()]>::default();
        let mut random = Random(1);
        // The first of all are slow, and are left out.
        for block in 0..=tries.div_ceil(BLOCK) {
            let mut all: Vec<_> = (0..2 * BLOCK).map(|n| Try::new(block * 2 * BLOCK + n)).collect();
            for step in (0..STEPS.len()).filter(|step| *step != AT_ONCE) {
                random.shuffle(&mut all);
                for one in &mut all {
                    let kind = usize::from(!one.may);
                    let mut note = |step: usize, taken: Duration| {
                        if block > 0 {
                            times[step][kind].push(taken.as_secs_f64() * 1e6);
                        }
                    };
                    note(step, client.take(step, one));
                    if step == 0 {
                        note(AT_ONCE, client.take(AT_ONCE, one));
                    }
                }
                std::thread::sleep(3 * MAIL_TAKES);
            }
            self.clock.advance(Duration::from_secs(37 * 3_600));
        }
        times
    }
}

/// One login, with a browser of its own.
struct Try {
    number: u32,
    may: bool,
    /// The path of its code page.
    page: String,
    nonce: String,
}

impl Try {
    fn new(number: u32) -> Self {
        let may = number.is_multiple_of(2);
        Self { number, may, page: String::new(), nonce: String::new() }
    }
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Takes a step, and tells how long the answer took.
    fn take(&mut self, step: usize, one: &mut Try) -> Duration {
        let Try { number, may, page, nonce } = one;
        let (path, form, expected) = match STEPS[step] {
            "address" => {
                let domain = if *may { "com" } else { "net" };
                let path =
                    format!("verify-code/wiki.example.com?kid={AUDIENCE}&redirect_url=%2Fdocs");
                (path, Some(format!("email=somebody{number:06}%40example.{domain}")), 302)
            }
            "link's page" => (format!("emailed-code?nonce={nonce}"), None, 200),
            "wrong code" => {
                let form = format!("nonce={nonce}&code=000000000000");
                ("callback".to_owned(), Some(form), 403)
            }
            "new code" => (format!("resend-code?nonce={nonce}"), None, 302),
            _ => (page.clone(), None, 200),
        };
        let (taken, status, location) = self.ask(*number, &path, form.as_deref());
        assert_eq!(status, expected, "{}", STEPS[step]);
        if step == 0 {
            *page = location.strip_prefix("/cdn-cgi/access/").expect("a path").to_owned();
            *nonce = page.split_once("nonce=").expect("a nonce").1.to_owned();
        }
        taken
    }

    fn ask(&mut self, number: u32, path: &str, form: Option<&str>) -> (Duration, u16, String) {
        let method = if form.is_some() { "POST" } else { "GET" };
        let form = form.unwrap_or_default();
        let request = format!(
            "{method} /cdn-cgi/access/{path} HTTP/1.1\r\nhost: login.example.com\r\n\
             network: {number}\r\ncookie: CF_Session={number:032x}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        );
        let start = Instant::now();
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut status, mut length, mut location) = (0, 0, String::new());
        let mut line = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some((name, value)) = line.split_once(": ") {
                match name {
                    "content-length" => length = value.parse().unwrap(),
                    "location" => value.clone_into(&mut location),
                    _ => {}
                }
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (start.elapsed(), status, location)
    }
}

async fn serve(access: Access) -> SocketAddr {
    let nothing = service_fn(|_: Request<_>| async {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let service = AccessLayer::new(access).layer(nothing);
    // Every try comes from a network of its own.
    let service = service.map_request(|mut request: Request<hyper::body::Incoming>| {
        let number: u32 = request.headers()["network"].to_str().unwrap().parse().unwrap();
        let address = Ipv4Addr::from(number.wrapping_mul(2_654_435_761));
        request.extensions_mut().insert(PeerAddress(IpAddr::V4(address)));
        request
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    address
}

/// Takes its time for each mail.
async fn slow_mail_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut mail = Vec::new();
                let _ = socket.read_to_end(&mut mail).await;
                tokio::time::sleep(MAIL_TAKES).await;
                let _ = socket.write_all(b"250 accepted\r\n").await;
            });
        }
    });
    address
}

#[derive(Debug)]
struct SlowMailer(SocketAddr);

impl Mailer for SlowMailer {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        Box::pin(async move {
            let mut server =
                tokio::net::TcpStream::connect(self.0).await.map_err(MailError::new)?;
            let text = format!("{}\r\n{}\r\n{}\r\n", mail.to, mail.text, mail.html);
            server.write_all(text.as_bytes()).await.map_err(MailError::new)?;
            server.shutdown().await.map_err(MailError::new)?;
            let mut answer = String::new();
            server.read_to_string(&mut answer).await.map_err(MailError::new)?;
            assert!(answer.starts_with("250"));
            Ok(())
        })
    }
}
