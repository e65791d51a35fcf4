//! With the servers that stand beside the proxy in a deployment: nginx, Varnish, Caddy, Redis.
//!
//! Run by name: `cargo test --features full --test peers`, or one part of it with `-- nodes::` and the like.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

mod identity_providers;
mod nodes;
mod refused_bodies;
mod server;
mod shared_caches;
#[path = "../support/mod.rs"]
mod support;
