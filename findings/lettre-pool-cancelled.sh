#!/usr/bin/env bash
# lettre 0.11.23, feature `pool`: an asynchronous transport takes back the connection of a `send` that was
# cancelled, for instance by a time limit round it, as if nothing were under way on it. The next mail on this
# connection reads the answers to the one before, one command too early each: its last answer is the 354 to
# DATA, which is positive, so it counts as sent, whatever the server says about it. A program has to close the
# connection of a cancelled mail, which the pool does not let it do.
#
# Seen on 2026-11-28, with a server that takes a second to accept a first mail and refuses a second one:
#   first: cancelled
#   second: sent, the answer was 354
#   the server refused the second
set -euo pipefail

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "cancelled"
version = "0.0.0"
edition = "2024"

[dependencies]
lettre = { version = "=0.11.23", default-features = false, features = ["builder", "smtp-transport", "pool", "tokio1"] }
tokio = { version = "=1.54.1", features = ["macros", "rt", "time"] }
TOML
cat >src/main.rs <<'RUST'
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

const SLOW: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_millis(300);

fn serve(mut stream: TcpStream, refused: Sender<()>) -> std::io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(b"220 mail.example\r\n")?;
    let (mut mails, mut is_in_mail) = (0, false);
    for line in lines {
        let line = line?;
        let answer = match &*line {
            "." => {
                (is_in_mail, mails) = (false, mails + 1);
                if mails == 1 {
                    std::thread::sleep(SLOW);
                    "250 accepted"
                } else {
                    let _ = refused.send(());
                    "554 refused"
                }
            }
            _ if is_in_mail => continue,
            "DATA" => {
                is_in_mail = true;
                "354 go on"
            }
            _ => "250 fine",
        };
        write!(stream, "{answer}\r\n")?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    let (sender, refused) = channel();
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || serve(stream, sender));
        }
    });
    let mail = Message::builder()
        .from("access@mail.example".parse()?)
        .to("ada@mail.example".parse()?)
        .subject("Hello")
        .body("Hello".to_owned())?;
    let transport =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1").port(port).build();

    match tokio::time::timeout(LIMIT, transport.send(mail.clone())).await {
        Ok(_) => println!("first: an answer"),
        Err(_) => println!("first: cancelled"),
    }
    tokio::time::sleep(SLOW).await;
    match tokio::time::timeout(SLOW * 5, transport.send(mail)).await {
        Ok(Ok(answer)) => println!("second: sent, the answer was {}", answer.code()),
        Ok(Err(error)) => println!("second: {error}"),
        Err(_) => println!("second: no answer"),
    }
    match refused.recv_timeout(SLOW) {
        Ok(()) => println!("the server refused the second"),
        Err(_) => println!("the server refused nothing"),
    }
    Ok(())
}
RUST
cargo run --quiet >seen
cat seen
diff seen - <<'SEEN'
first: cancelled
second: sent, the answer was 354
the server refused the second
SEEN
echo "as described"
