//! The engine and its layers: what a request and an answer become, for every kind of inner service.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

mod builders;
mod caching;
mod catalogue_records;
mod catalogue_robustness;
mod forwarded_chain;
mod hostile;
mod http_vectors;
mod identity_headers;
mod layers;
mod metrics;
mod nested_router;
mod public_address;
mod refusal_forms;
mod refusals;
mod second_paths;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod web_socket_origin;
