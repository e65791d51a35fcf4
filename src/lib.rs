//! Identity-aware access for Tower services.

#[cfg(feature = "proxy")]
pub mod proxy;
