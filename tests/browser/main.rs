//! The whole thing, in a real browser, with mail over real SMTP.
//!
//! Needs `chromium` and `chromedriver` (Debian: `chromium`, `chromium-driver`) and Python 3 with
//! `aiosmtpd`; without them the tests fail. `tests/run` installs them. Pictures of all pages are
//! left in `tests/artifacts`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod browser;
mod codes;
mod cookies;
mod denials;
#[path = "../support/identity_providers.rs"]
#[allow(dead_code, unreachable_pub, reason = "what test programs share")]
mod identity_providers;
mod login;
mod login_at_providers;
mod looks;
mod mail;
mod mail_link;
mod other_sites;
mod paths;
mod sessions;
mod sharing;
mod way_back;
mod world;

use std::future::Future;
use std::time::Duration;

/// Waits for something that never takes long.
async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(30), future).await {
        Ok(output) => output,
        Err(_) => panic!("waited too long until {what}"),
    }
}
