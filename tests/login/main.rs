//! The login with one-time PINs: its steps, its addresses and cookies, sessions, and people who do
//! everything at once.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

mod binding;
mod catalogue;
mod cloudflared;
mod concurrency;
mod crossing;
mod dead_ends;
mod entry;
mod foreign_cookies;
mod github;
mod indistinguishable;
mod mail;
mod mail_link;
mod openid_connect;
mod own_sessions;
mod pasted_codes;
mod pending_logins;
mod pressure;
mod race;
mod saml;
mod sessions;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod two_tabs;
mod way_back;
