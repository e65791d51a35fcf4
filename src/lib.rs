//! Identity-aware access for Tower services.

pub mod address;
pub mod application;
pub mod clock;
pub mod headers;
pub mod identity;
#[cfg(feature = "login")]
pub mod login;
pub mod policy;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod random;
pub mod secret;
pub mod service_token;
#[cfg(feature = "login")]
pub mod session;
#[cfg(feature = "login")]
pub mod store;
pub mod token;

pub use self::identity::Identity;
