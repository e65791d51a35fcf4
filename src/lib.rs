//! Identity-aware access for Tower services.

pub mod address;
pub mod application;
pub mod clock;
#[cfg(feature = "config")]
pub mod config;
pub mod identity;
#[cfg(feature = "login")]
pub mod login;
pub mod policy;
pub mod random;
pub mod secret;
pub mod service_token;
pub mod token;

pub use self::identity::Identity;
