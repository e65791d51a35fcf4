//! Identity-aware access for Tower services.

#[cfg(feature = "login")]
pub mod login;
