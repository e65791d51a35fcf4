//! Several proxies as they are deployed: the example program, a real nginx before it, a real Redis
//! behind it; and one proxy with a file, killed again and again.
//!
//! Run by name, `cargo test --features full --test peers nodes::`: it takes minutes, and needs `nginx` and
//! `redis-server`.
#![allow(clippy::print_stdout, reason = "a test says what it measured")]

mod client;
mod cluster;
mod crashes;
mod several;
mod without_redis;

use std::time::Duration;

/// Longest a test waits for something that has no promised time, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let all = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("it never was so: {what}"));
}
