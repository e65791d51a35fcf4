//! What the layer costs: `cargo bench --features full`.
//!
//! Prints criterion's timings, then the allocations of each step on the allowed path.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench states what it expects"
)]

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use criterion::Criterion;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer, Service};
use tower_access::application::Application;
use tower_access::clock::{Clock, SystemClock, Timestamp};
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::policy::{Policy, Rule};
use tower_access::token::keys::KeySet;
use tower_access::token::{Audiences, Claims, Expected, TokenKind, verify};
use tower_access::{Access, AccessLayer};

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

const EXPECTED: Expected<'static> = Expected::new(ISSUER, &[AUDIENCE], TokenKind::Application);

/// A service that does nothing.
#[derive(Clone)]
struct Nothing;

impl Service<Request<Empty<Bytes>>> for Nothing {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Empty::new())))
    }
}

struct World {
    keys: KeySet,
    token: String,
    jwks: jsonwebtoken::jwk::JwkSet,
    service: <AccessLayer as Layer<Nothing>>::Service,
    now: Timestamp,
}

fn world() -> World {
    let key = SigningKey::generate().unwrap();
    let copy = SigningKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
    let now = SystemClock.now();
    let published = PublishedKeys::new(&key, &[], ISSUER, now).unwrap();
    let mut claims = Claims::new(
        TokenKind::Application,
        ISSUER,
        Audiences::single(AUDIENCE),
        now,
        now.plus(Duration::from_secs(86_400)),
    );
    claims.nbf = Some(now.as_unix_seconds());
    claims.sub = Some("4f0a7d0e-2c11-5b7f-9d0f-0c8f6a5d1b22".to_owned());
    claims.email = Some("ada@example.com".to_owned());
    claims.identity_nonce = Some("q2ZkWf0yTn9sVb3L".to_owned());
    claims.country = Some("FR".to_owned());
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .mailer(tower_access::login::mail::ConsoleMailer)
        .signing_key(copy)
        .application(
            Application::new("Wiki", "wiki.example.com")
                .unwrap()
                .audience(AUDIENCE.parse().unwrap())
                .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())),
        )
        .build()
        .unwrap();
    World {
        token: key.sign(&claims).unwrap(),
        keys: KeySet::from_jwks(&published.json()).unwrap(),
        jwks: serde_json::from_slice(&published.json()).unwrap(),
        service: AccessLayer::new(access).layer(Nothing),
        now,
    }
}

impl World {
    fn request(&self) -> Request<Empty<Bytes>> {
        Request::builder()
            .uri("/docs/page?x=1")
            .header("host", "wiki.example.com")
            .header("accept", "text/html")
            .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0")
            .header("cookie", format!("theme=dark; CF_Authorization={}", self.token))
            .body(Empty::new())
            .unwrap()
    }

    /// One request through the layer; nothing on the way waits.
    fn pass(&mut self, request: Request<Empty<Bytes>>) -> http::StatusCode {
        let mut future = Box::pin(self.service.call(request));
        let mut context = Context::from_waker(Waker::noop());
        match future.as_mut().poll(&mut context) {
            Poll::Ready(Ok(response)) => response.status(),
            _ => unreachable!("a cached token waits for nothing"),
        }
    }
}

fn token(criterion: &mut Criterion, world: &World) {
    let mut group = criterion.benchmark_group("token");
    group.bench_function("cold: one RSA check and all claims", |bencher| {
        bencher.iter(|| verify(black_box(&world.token), &world.keys, EXPECTED, world.now).unwrap());
    });
    // What a program would do otherwise.
    let jwk = world.jwks.keys.first().unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    group.bench_function("jsonwebtoken::decode, for comparison", |bencher| {
        bencher.iter(|| {
            jsonwebtoken::decode::<serde_json::Value>(black_box(&world.token), &key, &validation)
                .unwrap()
        });
    });
    group.finish();
}

fn layer(criterion: &mut Criterion, world: &mut World) {
    let mut group = criterion.benchmark_group("layer");
    let request = world.request();
    assert_eq!(world.pass(clone(&request)), 200);
    group.bench_function("hot: allowed request over a service that does nothing", |bencher| {
        bencher.iter_batched(
            || clone(&request),
            |request| world.pass(black_box(request)),
            criterion::BatchSize::SmallInput,
        );
    });
    let mut bare = Nothing;
    group.bench_function("the same service without the layer", |bencher| {
        bencher.iter_batched(
            || clone(&request),
            |request| bare.call(black_box(request)),
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn clone(request: &Request<Empty<Bytes>>) -> Request<Empty<Bytes>> {
    let mut copy = Request::new(Empty::new());
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn allocations(world: &mut World) {
    let request = world.request();
    let hot = allocation_counter::measure(|| {
        world.pass(request);
    });
    let cold = allocation_counter::measure(|| {
        black_box(verify(&world.token, &world.keys, EXPECTED, world.now).unwrap());
    });
    println!("\nallocations (count, bytes)");
    for (name, info) in
        [("layer, hot: allowed request, dropped at the end", hot), ("token, cold", cold)]
    {
        println!("  {name}: {}, {}", info.count_total, info.bytes_total);
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut world = world();
    token(&mut criterion, &world);
    layer(&mut criterion, &mut world);
    criterion.final_summary();
    allocations(&mut world);
}
