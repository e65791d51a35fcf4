//! One request through `tower-access`, and through other crates that verify JWTs:
//! `cargo bench` in this directory. Prints criterion's timings, then a table of the medians.
//!
//! Everybody gets the same RS256 token (2048-bit key) of the same issuer, in a request with the
//! same other headers, over the same handler: it answers 200 with the caller's e-mail address. No
//! socket is in the way. Keys come from the same JWK set, from memory. The same loop drives all of
//! them, on one current-thread Tokio runtime. Before anything is measured, each has to let the good
//! token in, with the right address, and to refuse a changed signature, another issuer, another
//! audience, a token that has expired and one that is not good yet.
//!
//! A token is either the same every time, or one the service has not seen: `tower-access` keeps
//! tokens it has verified, so these are its hot and its cold case. The others keep nothing.
//!
//! | crate | token from | checked | signature by |
//! | --- | --- | --- | --- |
//! | `tower-access` | `Cf-Access-Jwt-Assertion` | signature, `iss`, `aud`, `exp`, `nbf`, `iat`, `type`, lifetime | aws-lc-rs |
//! | `jwt-authorizer` | `Authorization: Bearer` | signature, `iss`, `aud`, `exp`, `nbf`; `type` in a closure | jsonwebtoken 9: ring |
//! | `tower-oauth2-resource-server` | `Authorization: Bearer` | signature, `iss`, `aud`, `exp`, `nbf` | jsonwebtoken 11: aws-lc-rs |
//! | `axum-jwt-auth` | `Authorization: Bearer` | signature, `iss`, `aud`, `exp`, `nbf` | jsonwebtoken 10: RustCrypto's `rsa` |
//!
//! Where they clash:
//!
//! - jsonwebtoken 10 and 11 have two backends, and with both of them `decode` panics until
//!   `CryptoProvider::install_default` was called. `tower-access` turns `aws_lc_rs` of version 11
//!   on; the default features of `tower-oauth2-resource-server` turn `rust_crypto` of the same
//!   version on. A program with both needs `default-features = false, features =
//!   ["jwt-aws-lc-rs"]` there, as here, or the call.
//! - `axum-jwt-auth` turns `rust_crypto` of version 10 on and has no switch for it. That is how it
//!   is measured. With the feature `axum-jwt-auth-on-aws-lc-rs` of this crate the other backend is
//!   there too and is installed as the default: the best it can do.
//! - `jwt-authorizer` is made for axum 0.7: its refusals have that version's body, so the handler's
//!   answers have it too.
//! - `axum-jwt-auth` is an extractor and no layer. It is measured as the service axum makes of a
//!   handler, without a router.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench states what it expects"
)]

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Ready, poll_fn, ready};
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use axum::body::Body;
use axum::handler::Handler;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use criterion::{Bencher, Criterion};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use tokio::runtime::Runtime;
use tower::{Layer, Service, service_fn};
use tower_access::clock::{Clock, SystemClock};
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::token::keys::KeySet;
use tower_access::token::{Audiences, Claims, TokenKind};
use tower_access::{Access, AccessLayer, Identity};

const TEAM: &str = "acme.cloudflareaccess.com";
const ISSUER: &str = "https://acme.cloudflareaccess.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const EMAIL: &str = "ada@example.com";
const ASSERTION: HeaderName = HeaderName::from_static("cf-access-jwt-assertion");

/// More than the 10,000 verified tokens that `tower-access` keeps.
const DISTINCT_TOKENS: usize = 12_000;
/// Requests that are made ahead, timed together and dropped afterwards.
const BATCH: usize = 60;

/// What all candidates are given.
struct World {
    runtime: Runtime,
    jwks: Bytes,
    good: String,
    bad: Vec<(&'static str, String)>,
    distinct: Vec<String>,
}

fn world() -> World {
    let key = SigningKey::generate().unwrap();
    let now = SystemClock.now();
    let mut claims = Claims::new(
        TokenKind::Application,
        ISSUER,
        Audiences::single(AUDIENCE),
        now,
        now.plus(Duration::from_secs(86_400)),
    );
    claims.nbf = Some(now.as_unix_seconds());
    claims.sub = Some("4f0a7d0e-2c11-5b7f-9d0f-0c8f6a5d1b22".to_owned());
    claims.email = Some(EMAIL.to_owned());
    claims.identity_nonce = Some("q2ZkWf0yTn9sVb3L".to_owned());
    claims.country = Some("FR".to_owned());
    let sign = |change: &dyn Fn(&mut Claims)| {
        let mut claims = claims.clone();
        change(&mut claims);
        key.sign(&claims).unwrap()
    };
    let good = sign(&|_| ());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let now = now.as_unix_seconds();
    World {
        runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        jwks: PublishedKeys::new(&key, &[], ISSUER, SystemClock.now()).unwrap().json(),
        bad: vec![
            ("a changed signature", format!("{message}.{first}{}", &signature[1..])),
            ("another issuer", sign(&|claims| claims.iss = "https://eve.example".to_owned())),
            ("another audience", sign(&|claims| claims.aud = Audiences::single("another"))),
            ("expired", sign(&|claims| (claims.iat, claims.exp) = (now - 7200, now - 3600))),
            ("not good yet", sign(&|claims| claims.nbf = Some(now + 3600))),
        ],
        distinct: (0..DISTINCT_TOKENS)
            .map(|number| sign(&|claims| claims.identity_nonce = Some(format!("{number:016}"))))
            .collect(),
        good,
    }
}

/// Where a candidate looks for the token, and what stands before it.
struct Place {
    header: HeaderName,
    prefix: &'static str,
}

impl Place {
    fn assertion() -> Self {
        Self { header: ASSERTION, prefix: "" }
    }

    fn bearer() -> Self {
        Self { header: AUTHORIZATION, prefix: "Bearer " }
    }

    fn value(&self, token: &str) -> HeaderValue {
        HeaderValue::try_from(format!("{}{token}", self.prefix)).unwrap()
    }

    fn request(&self, token: &HeaderValue) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = http::Uri::from_static("/docs/page?x=1");
        let headers: &mut HeaderMap = request.headers_mut();
        headers.insert("host", HeaderValue::from_static("wiki.example.com"));
        headers.insert("accept", HeaderValue::from_static("text/html"));
        headers.insert(
            "user-agent",
            HeaderValue::from_static(
                "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
            ),
        );
        headers.insert(self.header.clone(), token.clone());
        request
    }
}

/// The handler: 200 and the address.
fn answer(email: Option<&str>) -> Ready<Result<Response<Body>, Infallible>> {
    ready(Ok(Response::new(Body::from(email.unwrap_or_default().to_owned()))))
}

async fn call<S, B>(service: &mut S, request: Request<Body>) -> Response<B>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
{
    poll_fn(|context| service.poll_ready(context)).await.unwrap();
    service.call(request).await.unwrap()
}

/// Lets the good token in and none of the bad ones.
async fn prove<S, B>(name: &str, place: &Place, world: &World, service: &mut S)
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
    B: http_body::Body<Error: Debug>,
{
    // Twice: a token that is kept has to give the same answer.
    for _ in 0..2 {
        let response = call(service, place.request(&place.value(&world.good))).await;
        assert_eq!(response.status(), 200, "{name}");
        let body = std::pin::pin!(response.into_body()).collect().await.unwrap().to_bytes();
        assert_eq!(body, EMAIL, "{name}");
    }
    for (fault, token) in &world.bad {
        let response = call(service, place.request(&place.value(token))).await;
        assert!(matches!(response.status().as_u16(), 401 | 403), "{name}: {fault}");
    }
}

/// The time of one request for each of these tokens.
async fn timed<S, B>(service: &mut S, place: &Place, tokens: &[HeaderValue]) -> Duration
where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
{
    let requests: Vec<_> = tokens.iter().map(|token| place.request(token)).collect();
    let mut answers = Vec::with_capacity(requests.len());
    let start = Instant::now();
    for request in requests {
        answers.push(call(service, black_box(request)).await);
    }
    let elapsed = start.elapsed();
    assert!(answers.iter().all(|answer| answer.status() == 200));
    elapsed
}

/// Measures one candidate, with the same token and with distinct ones. `make` makes a service that
/// has its keys: a new one whenever the distinct tokens have been used up, so that it has seen none.
fn measure<S, B>(
    criterion: &mut Criterion,
    world: &World,
    name: &str,
    place: &Place,
    make: impl AsyncFn() -> S,
) where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
    B: http_body::Body<Error: Debug>,
{
    let runtime = &world.runtime;
    let mut service = runtime.block_on(make());
    runtime.block_on(prove(name, place, world, &mut service));

    let mut group = criterion.benchmark_group(name);
    let token = place.value(&world.good);
    group.bench_function(SAME, |bencher| repeat(bencher, runtime, &mut service, place, &token));

    let distinct: Vec<_> = world.distinct.iter().map(|token| place.value(token)).collect();
    let mut unseen: &[HeaderValue] = &[];
    group.bench_function(DISTINCT, |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let (mut left, mut total) = (iterations as usize, Duration::ZERO);
                while left > 0 {
                    if unseen.is_empty() {
                        (service, unseen) = (make().await, &distinct);
                    }
                    let (batch, rest) = unseen.split_at(left.min(BATCH).min(unseen.len()));
                    total += timed(&mut service, place, batch).await;
                    unseen = rest;
                    left -= batch.len();
                }
                total
            })
        });
    });
    group.finish();
}

/// The same token again and again.
fn repeat<S, B>(
    bencher: &mut Bencher<'_>,
    runtime: &Runtime,
    service: &mut S,
    place: &Place,
    token: &HeaderValue,
) where
    S: Service<Request<Body>, Response = Response<B>, Error: Debug>,
{
    let tokens = vec![token.clone(); BATCH];
    bencher.iter_custom(|iterations| {
        runtime.block_on(async {
            let (mut left, mut total) = (iterations as usize, Duration::ZERO);
            while left > 0 {
                let batch = &tokens[..left.min(BATCH)];
                total += timed(service, place, batch).await;
                left -= batch.len();
            }
            total
        })
    });
}

/// The handler alone: what is left when nobody checks anything.
fn bare(criterion: &mut Criterion, world: &World) {
    let place = Place::assertion();
    let token = place.value(&world.good);
    let mut service = service_fn(|_: Request<Body>| answer(Some(EMAIL)));
    criterion.benchmark_group(BARE).bench_function(SAME, |bencher| {
        repeat(bencher, &world.runtime, &mut service, &place, &token);
    });
}

fn ours(criterion: &mut Criterion, world: &World) {
    measure(criterion, world, OURS, &Place::assertion(), async || {
        AccessLayer::new(access(&world.jwks)).layer(service_fn(|request: Request<Body>| {
            answer(request.extensions().get::<Identity>().and_then(Identity::email))
        }))
    });
}

fn access(jwks: &Bytes) -> Access {
    Access::verifier_builder(TEAM)
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .keys(KeySet::from_jwks(jwks).unwrap())
        .build()
        .unwrap()
}

fn jwt_authorizer(criterion: &mut Criterion, world: &World) {
    use axum07::body::Body as Body07;
    use jsonwebtoken9::TokenData;
    use jwt_authorizer::{Authorizer, IntoLayer, JwtAuthorizer, Validation};

    let jwks = std::str::from_utf8(&world.jwks).unwrap();
    measure(criterion, world, "jwt-authorizer", &Place::bearer(), async || {
        // The algorithm is that of the JWK.
        let authorizer: Authorizer<Claims> = JwtAuthorizer::from_jwks_text(jwks)
            .validation(Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]).exp(true).nbf(true))
            .check(|claims: &Claims| claims.kind == TokenKind::Application)
            .build()
            .await
            .unwrap();
        authorizer.into_layer().layer(service_fn(|request: Request<Body>| {
            let token = request.extensions().get::<TokenData<Claims>>();
            let email = token.and_then(|token| token.claims.email.as_deref());
            let body = Body07::from(email.unwrap_or_default().to_owned());
            ready(Ok::<_, Infallible>(Response::new(body)))
        }))
    });
}

fn tower_oauth2_resource_server(criterion: &mut Criterion, world: &World) {
    use jsonwebtoken::Algorithm;
    use tower_oauth2_resource_server::server::OAuth2ResourceServer;
    use tower_oauth2_resource_server::tenant::TenantConfiguration;
    use tower_oauth2_resource_server::validation::ClaimsValidationSpec;

    let jwks = std::str::from_utf8(&world.jwks).unwrap();
    let name = "tower-oauth2-resource-server";
    measure(criterion, world, name, &Place::bearer(), async || {
        let claims = ClaimsValidationSpec::recommended(ISSUER, &vec![AUDIENCE.to_owned()]);
        let tenant = TenantConfiguration::static_builder(jwks)
            .claims_validation(claims)
            .allowed_algorithms(&[Algorithm::RS256])
            .build()
            .unwrap();
        let server =
            OAuth2ResourceServer::<Claims>::builder().add_tenant(tenant).build().await.unwrap();
        server.into_layer::<Body>().layer(service_fn(|request: Request<Body>| {
            let claims = request.extensions().get::<Claims>();
            answer(claims.and_then(|claims| claims.email.as_deref()))
        }))
    });
}

fn axum_jwt_auth(criterion: &mut Criterion, world: &World) {
    use axum_jwt_auth::{Decoder, LocalDecoder};
    use jsonwebtoken10::jwk::JwkSet;
    use jsonwebtoken10::{Algorithm, DecodingKey, Validation};

    async fn greet(caller: axum_jwt_auth::Claims<Claims>) -> Response<Body> {
        Response::new(Body::from(caller.claims.email.unwrap_or_default()))
    }

    #[cfg(feature = "axum-jwt-auth-on-aws-lc-rs")]
    jsonwebtoken10::crypto::aws_lc::DEFAULT_PROVIDER.install_default().unwrap();
    let jwks: JwkSet = serde_json::from_slice(&world.jwks).unwrap();
    measure(criterion, world, "axum-jwt-auth", &Place::bearer(), async || {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.validate_nbf = true;
        let keys = jwks.keys.iter().map(|jwk| DecodingKey::from_jwk(jwk).unwrap()).collect();
        let decoder = LocalDecoder::builder().keys(keys).validation(validation).build().unwrap();
        let decoder: Decoder<Claims> = Arc::new(decoder);
        greet.with_state(decoder)
    });
}

/// Parts of the work alone, with the same key and token.
fn references(criterion: &mut Criterion, world: &World) {
    let jwks: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(&world.jwks).unwrap();
    let jwk = jwks.keys.first().unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_nbf = true;
    criterion.benchmark_group(DECODE).bench_function(SAME, |bencher| {
        bencher.iter(|| {
            jsonwebtoken::decode::<Claims>(black_box(&world.good), &key, &validation).unwrap()
        });
    });

    let document: serde_json::Value = serde_json::from_slice(&world.jwks).unwrap();
    let number =
        |name| URL_SAFE_NO_PAD.decode(document["keys"][0][name].as_str().unwrap()).unwrap();
    let der = PublicKeyComponents { n: number("n"), e: number("e") }.as_der().unwrap();
    let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref()).unwrap();
    let (message, signature) = world.good.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    criterion.benchmark_group(VERIFY_SIG).bench_function(SAME, |bencher| {
        bencher.iter(|| key.verify_sig(black_box(message.as_bytes()), &signature).unwrap());
    });
}

/// The medians criterion has written, and how they compare with `tower-access`.
fn table() {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let median = |name: &str, tokens: &str| {
        let file = target.join("criterion").join(name).join(tokens).join("new/estimates.json");
        let estimates = std::fs::read(file).ok()?;
        let estimates: serde_json::Value = serde_json::from_slice(&estimates).ok()?;
        Some(estimates["median"]["point_estimate"].as_f64()? / 1_000.0)
    };
    let (Some(hot), Some(cold)) = (median(OURS, SAME), median(OURS, DISTINCT)) else { return };
    println!("{:<30} {:<15} {:>10} {:>8} {:>8}", "", "tokens", "median", "/ hot", "/ cold");
    for name in NAMES {
        for tokens in [SAME, DISTINCT] {
            if let Some(time) = median(name, tokens) {
                let (to_hot, to_cold) = (time / hot, time / cold);
                println!("{name:<30} {tokens:<15} {time:>7.2} µs {to_hot:>8.2} {to_cold:>8.2}");
            }
        }
    }
}

const SAME: &str = "the same token";
const DISTINCT: &str = "distinct tokens";
const BARE: &str = "the handler alone";
const OURS: &str = "tower-access";
const DECODE: &str = "jsonwebtoken decode alone";
const VERIFY_SIG: &str = "aws-lc-rs verify_sig alone";
const NAMES: [&str; 7] = [
    BARE,
    OURS,
    "jwt-authorizer",
    "tower-oauth2-resource-server",
    "axum-jwt-auth",
    DECODE,
    VERIFY_SIG,
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let world = world();
    bare(&mut criterion, &world);
    ours(&mut criterion, &world);
    jwt_authorizer(&mut criterion, &world);
    tower_oauth2_resource_server(&mut criterion, &world);
    axum_jwt_auth(&mut criterion, &world);
    references(&mut criterion, &world);
    criterion.final_summary();
    table();
}
