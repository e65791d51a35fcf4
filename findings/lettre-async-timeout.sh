#!/usr/bin/env bash
# lettre 0.11.23: `timeout` of an asynchronous SMTP transport ends with the connection. A server that accepts
# the connection and says nothing is waited for as long as it is there; the blocking transport with the same
# setting gives up. A program that counts on the setting has a task for ever for each mail, unless it puts
# a limit of its own around `send`.
#
# Seen on 2026-11-28, with `timeout` of one second:
#   blocking: an error after 1 s
#   async: nothing after 5 s
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "silent"
version = "0.0.0"
edition = "2024"

[dependencies]
lettre = { version = "=0.11.23", default-features = false, features = ["builder", "smtp-transport", "tokio1"] }
tokio = { version = "=1.54.1", features = ["macros", "rt", "time"] }
TOML
cat >src/main.rs <<'RUST'
use std::error::Error;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use lettre::{AsyncSmtpTransport, AsyncTransport, Message, SmtpTransport, Tokio1Executor, Transport};

const TIMEOUT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // The system accepts connections, and nobody answers.
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    let mail = Message::builder()
        .from("access@mail.example".parse()?)
        .to("ada@mail.example".parse()?)
        .subject("Hello")
        .body("Hello".to_owned())?;

    let blocking = SmtpTransport::builder_dangerous("127.0.0.1")
        .port(port)
        .timeout(Some(TIMEOUT))
        .build();
    let begun = Instant::now();
    let sent = blocking.send(&mail);
    assert!(sent.is_err());
    println!("blocking: an error after {} s", begun.elapsed().as_secs());

    let asynchronous = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(port)
        .timeout(Some(TIMEOUT))
        .build();
    match tokio::time::timeout(PATIENCE, asynchronous.send(mail)).await {
        Ok(sent) => println!("async: an answer, error: {}", sent.is_err()),
        Err(_) => println!("async: nothing after {} s", PATIENCE.as_secs()),
    }
    Ok(())
}
RUST
cargo run --quiet >seen
cat seen
diff seen - <<'SEEN'
blocking: an error after 1 s
async: nothing after 5 s
SEEN
echo "as described"
