//! The reverse proxy, its listeners, its administration and its reloads, over real sockets.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

mod access_proxy;
mod admin;
mod catalogue;
mod chain;
mod file_limits;
mod open_connections;
mod reload;
mod reverse_proxy;
#[path = "../support/mod.rs"]
mod support;
mod untrusted_proxy;
mod wire;
