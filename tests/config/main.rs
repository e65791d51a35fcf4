//! The configuration file: what is read, what is said about it, and what the guides show of it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

mod check;
mod closed_hosts;
mod closed_sets;
mod diff;
mod guides;
mod import;
mod large;
mod login_methods;
mod mail;
mod messages;
mod reading;
mod schema;
#[path = "../support/mod.rs"]
mod support;
