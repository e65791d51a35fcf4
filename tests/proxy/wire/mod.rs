//! Raw bytes and frames on the sockets of the proxy and of an axum app, with the layers in between:
//! what parsers, layers and origins make of requests that are malformed or can be read two ways.

mod authority;
mod background;
mod client;
mod cookies;
mod disconnects;
mod early_answers;
mod failures;
mod framing;
mod limits;
mod methods;
mod origin;
mod paths;
mod rewriting;
mod upgrades;
mod world;
