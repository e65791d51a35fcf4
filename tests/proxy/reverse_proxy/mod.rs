//! The reverse proxy over real sockets.

mod failures;
mod headers;
mod letter_case;
mod lifecycle;
mod path_switches;
mod server_name;
mod streaming;
mod tls;
mod upgrade;
pub(crate) mod world;
