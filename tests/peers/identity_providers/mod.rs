//! Logins at real identity providers, oidc-provider and samlp, through the proxy and by a browser without a screen.
//!
//! Run by name, `cargo test --features full --test peers identity_providers::`: it needs Node.js, and what
//! `tests/run` installs for it.

mod agent;
mod file;
mod lifetime;
mod openid;
mod saml;
mod world;
