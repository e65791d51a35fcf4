//! Identity-aware access for Tower services.

mod access;
pub mod address;
mod answer;
pub mod application;
pub mod clock;
#[cfg(feature = "config")]
pub mod config;
pub mod headers;
pub mod identity;
pub mod layer;
#[cfg(feature = "login")]
pub mod login;
pub mod policy;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod random;
pub mod secret;
pub mod service_token;
pub mod session;
#[cfg(feature = "login")]
pub mod store;
pub mod token;

#[cfg(feature = "login")]
pub use self::access::AccessBuilder;
pub use self::access::{Access, ConfigError, Rejection, RejectionKind, VerifierBuilder};
pub use self::identity::Identity;
pub use self::layer::{AccessLayer, AuthenticateLayer, AuthorizeLayer, LoginLayer};
