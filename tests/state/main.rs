//! State: what every store promises, keys over time, and what outlasts a process.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

mod ended_stays_ended;
mod restarts;
mod rotation;
mod stores;
#[path = "../support/mod.rs"]
mod support;
