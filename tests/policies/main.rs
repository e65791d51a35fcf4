//! Policies: what their documents mean, which application a request belongs to, where facts come from,
//! and what is said about a decision.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

mod catalogue;
mod documents;
mod explain;
mod explained_sentences;
mod external_evaluation;
mod letter_case;
mod matching;
mod model;
mod path_switches;
mod sources;
#[path = "../support/mod.rs"]
mod support;
mod vectors;
