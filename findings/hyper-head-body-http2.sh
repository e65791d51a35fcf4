#!/usr/bin/env bash
# hyper 1.12.0 (hyper-util 0.1.21, h2 0.4.20): a server whose service answers HEAD with a body sends no
# body over HTTP/1.1, but sends it over HTTP/2. hyper's own client then fails: it resets the stream with
# PROTOCOL_ERROR, although status and headers were right. A service that answers GET and HEAD alike works
# in every test over HTTP/1.1 and breaks HEAD for clients of HTTP/2.
#
# Seen on 2026-11-28:
#   HTTP/1.1 HEAD: 200, body of 0 bytes
#   HTTP/2 HEAD: 200, then an error in the body: PROTOCOL_ERROR
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "head"
version = "0.0.0"
edition = "2024"

[dependencies]
bytes = "=1.12.1"
h2 = "=0.4.20"
http = "=1.5.0"
http-body-util = "=0.1.5"
hyper = { version = "=1.12.0", features = ["client", "http1", "http2", "server"] }
hyper-util = { version = "=0.1.21", features = ["tokio"] }
tokio = { version = "=1.54.1", features = ["io-util", "macros", "rt"] }
TOML
cat >src/main.rs <<'RUST'
use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

async fn page(_: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"a page"))))
}

async fn report(name: &str, answer: Response<hyper::body::Incoming>) {
    let status = answer.status().as_u16();
    match answer.into_body().collect().await {
        Ok(body) => println!("{name} HEAD: {status}, body of {} bytes", body.to_bytes().len()),
        Err(error) => {
            let reset = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
            let reason = reset.and_then(h2::Error::reason);
            assert_eq!(reason, Some(h2::Reason::PROTOCOL_ERROR), "{error:?}");
            println!("{name} HEAD: {status}, then an error in the body: PROTOCOL_ERROR");
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let head = || Request::head("http://page.example/").header("host", "page.example");

    let (client, server) = tokio::io::duplex(65_536);
    tokio::spawn(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(server), service_fn(page)),
    );
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(client)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(head().body(Full::<Bytes>::default())?).await?;
    report("HTTP/1.1", answer).await;

    let (client, server) = tokio::io::duplex(65_536);
    tokio::spawn(
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(server), service_fn(page)),
    );
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client)).await?;
    tokio::spawn(connection);
    let answer = sender.send_request(head().body(Full::<Bytes>::default())?).await?;
    report("HTTP/2", answer).await;
    Ok(())
}
RUST
seen="$(cargo run --quiet)"
printf '%s\n' "$seen"
diff <(printf '%s\n' "$seen") - <<'EXPECTED'
HTTP/1.1 HEAD: 200, body of 0 bytes
HTTP/2 HEAD: 200, then an error in the body: PROTOCOL_ERROR
EXPECTED
