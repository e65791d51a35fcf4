//! What the layers allocate, and what a cached token takes:
//! `cargo bench --features full --bench allocations`.
//!
//! A binary of its own, since counting allocations slows them down.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench states what it expects"
)]

mod support;

use std::hint::black_box;

use bytes::Bytes;
use http::Response;
use http_body_util::Empty;
use support::{clone, layers, pass, with_cookie, with_header};
use tower_access::clock::Timestamp;
use tower_access::headers;
use tower_access::test_util::TestIssuer;

fn allocations(issuer: &TestIssuer) {
    let token = issuer.token_for("ada@example.com");
    let mut service = layers(issuer.access());
    println!("\nallocations (count, bytes), what the service and the caller cost taken off");
    for (name, request) in [("header", with_header(&token)), ("cookie", with_cookie(&token))] {
        // A thread copies a token that it sees again: the fourth request is like every later one.
        for _ in 0..4 {
            assert_eq!(pass(&mut service, clone(&request)), 200);
        }
        let copy = clone(&request);
        let layers = allocation_counter::measure(|| {
            black_box(pass(&mut service, copy));
        });
        println!("  hot token, {name}: {}, {}", layers.count_total, layers.bytes_total);
    }
    // What an identity in the extensions, a verdict on the answer and the headers cost by
    // themselves: nobody can do with less who hands these on.
    let identity = tower_access::Identity::new(
        tower_access::identity::Subject::Service { client_id: "x".into() },
        Timestamp::default(),
    );
    let (mut request, value) = (with_header(&token), http::HeaderValue::from_static("x"));
    request.headers_mut().remove(headers::JWT_ASSERTION);
    let least = allocation_counter::measure(|| {
        request.extensions_mut().insert(identity);
        request.headers_mut().insert(headers::JWT_ASSERTION, value.clone());
        request.headers_mut().insert(headers::AUTHENTICATED_USER_EMAIL, value.clone());
        let mut response = Response::new(Empty::<Bytes>::new());
        response.extensions_mut().insert(7_u64);
        response.headers_mut().insert("cache-control", value);
        black_box((&request, response));
    });
    println!(
        "  two headers and an extension, a header and an extension on the answer: {}, {}",
        least.count_total, least.bytes_total
    );
}

fn memory(issuer: &TestIssuer) {
    const TOKENS: usize = 5_000;
    let requests: Vec<_> = (0..TOKENS)
        .map(|number| with_header(&issuer.token_for(&format!("person{number:05}@example.com"))))
        .collect();
    // A value that is shared for the first time takes a counter: not what is measured here.
    requests.iter().for_each(|request| drop(clone(request)));
    let length = requests[0].headers()[headers::JWT_ASSERTION].len();
    let mut service = layers(issuer.access());
    let filled = allocation_counter::measure(|| {
        for request in requests.iter().map(clone) {
            assert_eq!(pass(&mut service, request), 200);
        }
    });
    let each = filled.bytes_current / i64::try_from(TOKENS).unwrap();
    println!("\nmemory per cached token of {length} bytes: {each} bytes, all in");
    let bounded = issuer.verifier_builder().audience(TestIssuer::AUDIENCE.parse().unwrap());
    let mut service = layers(bounded.token_cache_bytes(1024 * 1024).build().unwrap());
    let filled = allocation_counter::measure(|| {
        for request in requests.iter().map(clone) {
            assert_eq!(pass(&mut service, request), 200);
        }
    });
    println!("  {TOKENS} tokens in a cache of 1 MiB: {} bytes", filled.bytes_current);
}

fn main() {
    let issuer = TestIssuer::new();
    allocations(&issuer);
    memory(&issuer);
}
