//! Tokens and keys: what is verified, where it is carried, which claims count, service tokens.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

mod carriers;
mod catalogue;
mod get_identity;
mod key_server;
mod linked_applications;
mod model;
mod service_tokens;
#[path = "../support/mod.rs"]
mod support;
mod unusable_claims;
mod vectors;
mod verifier;
