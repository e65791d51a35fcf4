//! What a million logins cost that strangers begin and nobody finishes:
//! `cargo bench --features full --bench memory`, or with `-- 100000` so many.
//!
//! Each comes from a network of its own, with an address of its own, all at once, through the whole
//! service. In between people log in who were never here before. Then what a session takes that
//! somebody has begun.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench states what it expects"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use support::ledger::Ledger;
use support::{Browser, Mailbox, Origin, send};
use tower::{Layer, ServiceExt};
use tower_access::address::PeerAddress;
use tower_access::application::Application;
use tower_access::policy::{Policy, Rule};
use tower_access::store::{MemoryStore, Store};
use tower_access::{Access, AccessLayer};

const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const LOGINS: u32 = 1_000_000;
const RECORDS_PER_KIND: usize = 70_000;

fn main() {
    // Cargo builds and runs benches as tests as well: then a few are enough.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let asked_for = std::env::args().find_map(|argument| argument.parse().ok());
    let logins: u32 = asked_for.unwrap_or(if is_bench { LOGINS } else { 1_000 });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(strangers(logins));
    sessions(&runtime, if is_bench { 2_000 } else { 20 });
}

struct World {
    service: Service,
    store: Arc<Ledger>,
    mail: Mailbox,
}

type Service = tower_access::layer::AccessService<Origin>;

fn world() -> World {
    let clock = support::clock();
    let store = Ledger::new(MemoryStore::new(Arc::clone(&clock), RECORDS_PER_KIND));
    let mail = Mailbox::default();
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(
            Application::new("Wiki", "wiki.example.com")
                .unwrap()
                .audience(AUDIENCE.parse().unwrap())
                .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())),
        )
        .store(Arc::clone(&store))
        .mailer(mail.clone())
        .clock(clock)
        .build()
        .unwrap();
    World { service: AccessLayer::new(access).layer(Origin::default()), store, mail }
}

impl World {
    /// From an address of one's own.
    async fn log_in(&self, number: u32) {
        let address = IpAddr::V4(Ipv4Addr::from(number.wrapping_mul(2_654_435_761)));
        let service = self.service.clone().map_request(move |mut request: Request<Full<Bytes>>| {
            request.extensions_mut().insert(PeerAddress(address));
            request
        });
        let mut browser = Browser::new(service);
        browser.headers.push(("user-agent", BROWSER.to_owned()));
        let email = format!("person{number}@example.com");
        let url = "https://wiki.example.com/x";
        assert_eq!(support::log_in(&mut browser, &self.mail, url, &email).await, "origin saw /x");
    }
}

async fn strangers(logins: u32) {
    let world = world();
    let began = Instant::now();
    let (mut refused, mut people) = (0, 0);
    for number in 0..logins {
        let answer = send(&world.service, stranger(number)).await;
        refused += u32::from(answer.status() != StatusCode::FOUND);
        if (number + 1).is_multiple_of(logins / 10) {
            people += 1;
            world.log_in(u32::MAX - people).await;
        }
    }
    println!(
        "{logins} logins begun in {:.1?}, {refused} refused; {people} people logged in",
        began.elapsed()
    );
    println!("{:<26}{:>10}{:>14}", "kind", "records", "key and value");
    for (kind, (records, bytes)) in world.store.kinds() {
        assert!(records <= RECORDS_PER_KIND, "{kind}");
        println!("{kind:<26}{records:>10}{bytes:>12} B");
    }
    println!("resident: {} kB, the ledger of all keys included", resident());
}

/// What stays of a login while its session lives.
fn sessions(runtime: &tokio::runtime::Runtime, people: u32) {
    let world = world();
    runtime.block_on(async {
        for number in 0..people {
            world.log_in(number).await;
        }
    });
    let records: Vec<_> =
        ["session", "person"].iter().flat_map(|kind| world.store.sizes(kind)).collect();
    assert_eq!(records.len(), 2 * people as usize);
    let bytes: usize = records.iter().map(|(key, value)| key.len() + value).sum();
    let store = MemoryStore::new(support::clock(), RECORDS_PER_KIND);
    let lifetime = Duration::from_secs(24 * 3600);
    let kept = allocation_counter::measure(|| {
        runtime.block_on(async {
            for (key, value) in &records {
                let value = Bytes::from(vec![0; *value]);
                match key.split_once('\n') {
                    Some((set, member)) => store.put_member(set, member, value, lifetime).await,
                    None => store.put(key, value, lifetime).await,
                }
                .unwrap();
            }
        });
    });
    let people = people as usize;
    println!(
        "\na session: 2 records, {} bytes of keys and values; {} bytes in memory, all in",
        bytes / people,
        kept.bytes_current / i64::try_from(people).unwrap()
    );
}

fn stranger(number: u32) -> Request<Full<Bytes>> {
    let address = Ipv4Addr::from(number.wrapping_mul(2_654_435_761));
    let path = format!("verify-code/wiki.example.com?kid={AUDIENCE}&redirect_url=%2F");
    Request::builder()
        .method("POST")
        .uri(format!("/cdn-cgi/access/{path}"))
        .header("host", "login.example.com")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", format!("CF_Session={number:032x}"))
        .extension(PeerAddress(IpAddr::V4(address)))
        .body(Full::from(format!("email=stranger{number}%40evil.example")))
        .unwrap()
}

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

/// As Linux says; 0 elsewhere.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
