//! The load generator, and the origin behind the proxies, in one thread.
//!
//! `load ORIGIN JWKS` listens on the address `ORIGIN` and serves the key set of the file `JWKS`. Each
//! line on standard input is a run; the result is a line of JSON on standard output:
//!
//! ```text
//! PROXY MODE TOKENS CONNECTIONS MILLISECONDS
//! ```
//!
//! `MODE` is `none` (requests without a token), `turn` (the tokens of the file `TOKENS`, one a line, in
//! turn until the time is over) or `once` (each of them once). Every connection sends its next request
//! when it has the response to the last one.
//!
//! During a run the thread never sleeps. A proxy that has to wake another core pays for that itself,
//! and a slow proxy would have to do so more often than a quick one.

mod client;
mod origin;

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mio::{Events, Poll, Token};

use client::Run;
use origin::Origin;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(keys)) = (arguments.next(), arguments.next()) else {
        return Err("usage: load ORIGIN JWKS".into());
    };
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut origin = Origin::bind(listen.parse()?, std::fs::read(keys)?, poll.registry())?;
    let lines = read_lines();
    let mut run: Option<Run> = None;
    loop {
        match lines.try_recv() {
            Ok(line) => run = Some(start(&line, &poll)?),
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
        }
        let timeout = if run.is_some() { Duration::ZERO } else { Duration::from_millis(5) };
        poll.poll(&mut events, Some(timeout))?;
        for event in &events {
            match event.token() {
                Token(number) if number >= FIRST_CLIENT => {
                    if let Some(run) = &mut run {
                        run.ready(number - FIRST_CLIENT, poll.registry())?;
                    }
                }
                token => origin.ready(token, poll.registry())?,
            }
        }
        if let Some(result) = run.as_mut().and_then(Run::result) {
            writeln!(io::stdout(), "{result}")?;
            run = None;
        }
    }
}

/// Reads standard input on a thread of its own.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn start(line: &str, poll: &Poll) -> Result<Run, Box<dyn Error>> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    let &[proxy, mode, tokens, connections, time] = words.as_slice() else {
        return Err(format!("not a run: {line}").into());
    };
    let proxy: SocketAddr = proxy.parse()?;
    let time = Duration::from_millis(time.parse()?);
    let requests = match mode {
        "none" => vec![client::request(None)],
        _ => std::fs::read_to_string(tokens)?
            .lines()
            .map(|token| client::request(Some(token)))
            .collect(),
    };
    Ok(Run::start(proxy, requests, mode == "once", connections.parse()?, time, poll.registry())?)
}

/// The first number of a client's connection; those of the origin are smaller.
const FIRST_CLIENT: usize = 1 << 20;
