//! What tokens cost, and what strangers with bad ones can do to the others:
//! `cargo bench --features full --bench tokens`.
//!
//! Prints criterion's timings, then allocations, memory, throughput of several threads, and two
//! floods. `ACCESS_BENCH_FLOOD` sets how many bad tokens the floods have, a million by default.
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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use criterion::Criterion;
use http::Request;
use http::header::{CACHE_CONTROL, HeaderValue};
use http_body_util::Empty;
use support::{Layers, Nothing, clone, layers, pass, with_cookie, with_header};
use tower::Service;
use tower_access::clock::{Clock, SystemClock, Timestamp};
use tower_access::identity::Subject;
use tower_access::test_util::TestIssuer;
use tower_access::token::keys::{
    FetchedKeys, KeyFetch, KeyFuture, KeySet, KeySetId, KeySource, RemoteKeys,
};
use tower_access::token::{Expected, TokenKind, verify};
use tower_access::{Access, Identity, headers};

/// The token with another signature: as long, and of the same key.
fn forged(token: &str, number: u64) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    for (to, from) in signature.iter_mut().skip(8).zip(number.to_be_bytes()) {
        *to ^= from ^ 0x5a;
    }
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A published key, parsed: what the least possible check needs.
fn parsed_key(issuer: &TestIssuer) -> ParsedPublicKey {
    let document: serde_json::Value = serde_json::from_slice(&issuer.key_set_json()).unwrap();
    let key = document.pointer("/keys/0").unwrap();
    let number =
        |name: &str| URL_SAFE_NO_PAD.decode(key.get(name).unwrap().as_str().unwrap()).unwrap();
    let der = PublicKeyComponents { n: &number("n"), e: &number("e") }.as_der().unwrap();
    ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref()).unwrap()
}

fn hot(criterion: &mut Criterion, issuer: &TestIssuer) {
    // By the system's clock: reading it is a part of the cost.
    issuer.clock().set(SystemClock.now());
    let token = issuer.token_for("ada@example.com");
    let mut group = criterion.benchmark_group("hot token");
    let access = issuer.verifier_builder().audience(TestIssuer::AUDIENCE.parse().unwrap());
    let mut service = layers(access.clock(SystemClock).build().unwrap());
    for (name, request) in
        [("layers, header", with_header(&token)), ("layers, cookie", with_cookie(&token))]
    {
        assert_eq!(pass(&mut service, clone(&request)), 200);
        group.bench_function(name, |bencher| {
            bencher.iter(|| pass(&mut service, clone(black_box(&request))));
        });
    }
    // Making the request is in all three.
    let (mut bare, request) = (Nothing, with_header(&token));
    group.bench_function("the service alone", |bencher| {
        bencher.iter(|| bare.call(clone(black_box(&request))));
    });
    // What is handed on, put in by hand: less is not to be had.
    let subject = Subject::Service { client_id: "ci.access".into() };
    let identity = Identity::new(subject, SystemClock.now());
    let email = HeaderValue::from_static("ada@example.com");
    group.bench_function("the service, with what the layers hand on", |bencher| {
        bencher.iter(|| {
            let mut request = clone(black_box(&request));
            request.extensions_mut().insert(identity.clone());
            request.headers_mut().insert(headers::AUTHENTICATED_USER_EMAIL, email.clone());
            let Ok(mut response) = bare.call(request).into_inner();
            response.extensions_mut().insert(email.clone());
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private"));
            response
        });
    });
    group.finish();
}

fn cold(criterion: &mut Criterion, issuer: &TestIssuer) {
    let token = issuer.token_for("ada@example.com");
    let mut group = criterion.benchmark_group("cold token");
    let key = parsed_key(issuer);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    group.bench_function("aws-lc-rs RS256 with a parsed key, nothing else", |bencher| {
        bencher.iter(|| key.verify_sig(black_box(signed.as_bytes()), &signature).unwrap());
    });
    let keys = KeySet::from_jwks(&issuer.key_set_json()).unwrap();
    let expected =
        Expected::new(TestIssuer::ISSUER, &[TestIssuer::AUDIENCE], TokenKind::Application);
    let now = issuer.clock().now();
    group.bench_function("verify: signature and all claims", |bencher| {
        bencher.iter(|| verify(black_box(&token), &keys, expected, now).unwrap());
    });
    let without_cache = issuer.verifier_builder().audience(TestIssuer::AUDIENCE.parse().unwrap());
    let mut service = layers(without_cache.token_cache_bytes(0).build().unwrap());
    let good = with_header(&token);
    assert_eq!(pass(&mut service, clone(&good)), 200);
    group.bench_function("layers, good", |bencher| {
        bencher.iter(|| pass(&mut service, clone(black_box(&good))));
    });
    let bad = with_header(&forged(&token, 1));
    assert_eq!(pass(&mut service, clone(&bad)), 401);
    group.bench_function("layers, garbage with a valid kid", |bencher| {
        bencher.iter(|| pass(&mut service, clone(black_box(&bad))));
    });
    group.finish();
}

fn threads(issuer: &TestIssuer) {
    println!("\none hot token, requests per second");
    let service = layers(issuer.access());
    let token = issuer.token_for("ada@example.com");
    let mut alone = 0.0;
    for count in [1_u32, 2, 16] {
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Instant::now();
        let workers: Vec<_> = (0..count)
            .map(|_| {
                // Every connection has buffers of its own.
                let (mut service, request) = (service.clone(), with_header(&token));
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || {
                    let mut passed = 0_u32;
                    while !stop.load(Ordering::Relaxed) {
                        for _ in 0..1000 {
                            assert_eq!(pass(&mut service, clone(&request)), 200);
                        }
                        passed += 1000;
                    }
                    f64::from(passed)
                })
            })
            .collect();
        std::thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        let passed: f64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        let rate = passed / begun.elapsed().as_secs_f64();
        if count == 1 {
            alone = rate;
        }
        println!("  {count:2} threads: {rate:9.0} ({:.2} of one)", rate / alone);
    }
}

/// A source that counts full checks: a token from the cache only asks whether the set is current.
#[derive(Debug)]
struct Counting {
    keys: KeySet,
    full_checks: Arc<AtomicUsize>,
}

impl KeySource for Counting {
    fn current(&self, _: Timestamp) -> Option<KeySet> {
        self.full_checks.fetch_add(1, Ordering::Relaxed);
        Some(self.keys.clone())
    }

    fn is_current(&self, id: KeySetId, _: Timestamp) -> bool {
        id == self.keys.id()
    }
}

fn flood_size() -> u64 {
    std::env::var("ACCESS_BENCH_FLOOD").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000)
}

/// A stranger sends distinct bad tokens with a valid `kid`; one request in ten is a good one's.
fn flood_of_garbage(issuer: &TestIssuer) {
    let full_checks = Arc::new(AtomicUsize::new(0));
    let keys = KeySet::from_jwks(&issuer.key_set_json()).unwrap();
    let counting = Counting { keys, full_checks: Arc::clone(&full_checks) };
    let access = Access::verifier_builder(TestIssuer::TEAM_DOMAIN)
        .unwrap()
        .audience(TestIssuer::AUDIENCE.parse().unwrap())
        .keys(counting)
        .clock(issuer.clock())
        .build()
        .unwrap();
    let mut service = layers(access);
    let good: Vec<_> = (0..1000)
        .map(|number| with_header(&issuer.token_for(&format!("person{number}@example.com"))))
        .collect();
    for request in &good {
        assert_eq!(pass(&mut service, clone(request)), 200);
    }
    let template = issuer.token_for("stranger@example.com");
    full_checks.store(0, Ordering::Relaxed);
    let (mut hits, mut asked) = (0_u64, 0_u64);
    for number in 0..flood_size() {
        assert_eq!(pass(&mut service, with_header(&forged(&template, number))), 401);
        if number.is_multiple_of(10) {
            let request = &good[usize::try_from(number / 10).unwrap() % good.len()];
            let before = full_checks.load(Ordering::Relaxed);
            assert_eq!(pass(&mut service, clone(request)), 200);
            hits += u64::from(full_checks.load(Ordering::Relaxed) == before);
            asked += 1;
        }
    }
    println!(
        "\n{} distinct bad tokens with a valid kid: {hits} of {asked} good requests from the cache",
        flood_size()
    );
}

#[derive(Debug)]
struct Server {
    document: Bytes,
    asked: Arc<AtomicUsize>,
}

impl KeyFetch for Server {
    fn fetch(&self) -> KeyFuture<'_> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(FetchedKeys::new(self.document.clone()))
        })
    }
}

/// Good tokens while strangers send tokens with key ids that do not exist, each another one.
fn flood_of_unknown_keys(issuer: &TestIssuer) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let server = Server { document: issuer.key_set_json(), asked: Arc::clone(&asked) };
    let access = Access::verifier_builder(TestIssuer::TEAM_DOMAIN)
        .unwrap()
        .audience(TestIssuer::AUDIENCE.parse().unwrap())
        .keys(RemoteKeys::new(server))
        .build()
        .unwrap();
    let service = layers(access);
    let now = SystemClock.now().as_unix_seconds();
    let mut claims = issuer.claims_for("ada@example.com");
    (claims.iat, claims.nbf, claims.exp) = (now, Some(now), now + 3600);
    let token = issuer.sign(&claims);
    let good = Arc::new(with_header(&token));
    let begun = Instant::now();
    let (quiet, flooded, sent) = runtime.block_on(async {
        let mut first = service.clone();
        assert_eq!(first.call(clone(&good)).await.unwrap().status(), 200);
        let quiet = percentiles(service.clone(), Arc::clone(&good)).await;
        let (_, rest) = token.split_once('.').map(|(a, b)| (a, b.to_owned())).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stranger = {
            let (mut service, stop) = (service.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut number = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    let header =
                        format!(r#"{{"alg":"RS256","kid":"unknown-{number}","typ":"JWT"}}"#);
                    let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
                    let answer = service.call(with_header(&token));
                    // Strangers do not wait for their answer.
                    tokio::spawn(answer);
                    number += 1;
                    if number.is_multiple_of(64) {
                        tokio::task::yield_now().await;
                    }
                }
                number
            })
        };
        let flooded = percentiles(service.clone(), Arc::clone(&good)).await;
        stop.store(true, Ordering::Relaxed);
        (quiet, flooded, stranger.await.unwrap())
    });
    println!("\ngood token while a stranger sends {sent} distinct unknown key ids");
    println!("  p50, p99 without: {quiet:?}; with: {flooded:?}");
    println!("  fetches in {:.0?}: {}", begun.elapsed(), asked.load(Ordering::Relaxed));
}

async fn percentiles(mut service: Layers, good: Arc<Request<Empty<Bytes>>>) -> [Duration; 2] {
    let worker = tokio::spawn(async move {
        let mut times = Vec::with_capacity(100_000);
        for number in 0..100_000_u32 {
            let request = clone(&good);
            let begun = Instant::now();
            let answer = service.call(request).await.unwrap();
            times.push(begun.elapsed());
            assert_eq!(answer.status(), 200);
            if number.is_multiple_of(16) {
                tokio::task::yield_now().await;
            }
        }
        times.sort_unstable();
        [times[times.len() / 2], times[times.len() * 99 / 100]]
    });
    worker.await.unwrap()
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let issuer = TestIssuer::new();
    hot(&mut criterion, &issuer);
    cold(&mut criterion, &issuer);
    criterion.final_summary();
    threads(&issuer);
    flood_of_garbage(&issuer);
    flood_of_unknown_keys(&issuer);
}
