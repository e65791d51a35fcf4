//! What a million logins cost that strangers begin and nobody finishes:
//! `cargo bench --features login --bench memory`, or with `-- 100000` so many.
//!
//! Each comes from a network of its own, with an address of its own, all within a quarter of an
//! hour, through the whole service. In between people log in who were never here before.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench states what it expects"
)]

#[path = "../tests/support/ledger.rs"]
mod ledger;
#[allow(clippy::duplicate_mod, reason = "the same browser as in the tests")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use ledger::Ledger;
use support::{Browser, Mailbox, Origin, send};
use tower::{Layer, ServiceExt};
use tower_access::address::PeerAddress;
use tower_access::application::Application;
use tower_access::policy::{Policy, Rule};
use tower_access::store::MemoryStore;
use tower_access::{Access, AccessLayer};

const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const LOGINS: u32 = 1_000_000;
const RECORDS_PER_KIND: usize = 70_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Cargo builds and runs benches as tests as well: then a few are enough.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let asked_for = std::env::args().find_map(|argument| argument.parse().ok());
    let logins: u32 = asked_for.unwrap_or(if is_bench { LOGINS } else { 1_000 });
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
    let service = AccessLayer::new(access).layer(Origin::default());
    let began = Instant::now();
    let (mut refused, mut people) = (0, 0_u8);
    for number in 0..logins {
        let answer = send(&service, stranger(number)).await;
        refused += u32::from(answer.status() != StatusCode::FOUND);
        if (number + 1).is_multiple_of(logins / 10) {
            people += 1;
            let service = service.clone().map_request(move |mut request: Request<Full<Bytes>>| {
                request.extensions_mut().insert(PeerAddress(IpAddr::from([192, 0, 2, people])));
                request
            });
            let email = format!("person{people}@example.com");
            let url = "https://wiki.example.com/x";
            let seen = support::log_in(&mut Browser::new(service), &mail, url, &email).await;
            assert_eq!(seen, "origin saw /x");
        }
    }
    println!(
        "{logins} logins begun in {:.1?}, {refused} refused; {people} people logged in",
        began.elapsed()
    );
    println!("{:<26}{:>10}{:>14}", "kind", "records", "key and value");
    for (kind, (records, bytes)) in store.kinds() {
        assert!(records <= RECORDS_PER_KIND, "{kind}");
        println!("{kind:<26}{records:>10}{bytes:>12} B");
    }
    println!("resident: {} kB, the ledger of all keys included", resident());
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

/// As Linux says; 0 elsewhere.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
