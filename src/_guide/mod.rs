#![doc = include_str!("overview.md")]

#[doc = include_str!("origin_verification.md")]
pub mod origin_verification {}

#[doc = include_str!("embedded_login.md")]
pub mod embedded_login {}

#[doc = include_str!("proxy.md")]
pub mod proxy {}

#[doc = include_str!("policies.md")]
pub mod policies {}

#[doc = include_str!("login_methods.md")]
pub mod login_methods {}

#[doc = include_str!("sessions.md")]
pub mod sessions {}

#[doc = include_str!("operations.md")]
pub mod operations {}

#[doc = include_str!("guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("configuration.md")]
pub mod configuration {}

#[doc = include_str!("costs.md")]
pub mod costs {}
