//! The reverse proxy over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests state what they expect by failing loudly"
)]

mod failures;
mod headers;
#[cfg(all(feature = "config", feature = "test-util"))]
mod letter_case;
mod lifecycle;
#[cfg(all(feature = "config", feature = "test-util"))]
mod path_switches;
mod server_name;
mod streaming;
mod support;
mod tls;
mod upgrade;
