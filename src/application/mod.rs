//! Applications: which hosts and paths stand under which policies.
//!
//! A request's host and path are brought into one canonical form ([`CanonicalHost`],
//! [`CanonicalPath`]); the [`Router`] finds the most specific application for them (section 7.3 of
//! the Access contract). What no application covers stays closed. This room knows nothing of
//! logins.

mod audience;
mod cookie_path;
mod cors;
mod deny_url;
mod domain;
mod host;
#[cfg(feature = "login")]
mod origin;
mod path;
mod pattern;
mod protected;
mod router;
mod settings;

pub use self::audience::{Audience, AudienceError};
pub use self::cors::{CorsHeaders, CorsHeadersError};
pub use self::deny_url::DenyUrlError;
pub use self::domain::{TeamDomain, TeamDomainError};
pub use self::host::{CanonicalHost, HostError};
#[cfg(feature = "login")]
pub(crate) use self::origin::PublicOrigins;
pub use self::path::{CanonicalPath, PathError};
pub use self::pattern::{Destination, DestinationError};
pub(crate) use self::protected::{ApplicationId, Directory, Protected};
pub use self::router::{Router, RouterError};
#[cfg(feature = "login")]
pub(crate) use self::settings::LONGEST_SESSION;
pub use self::settings::{Application, SameSite, ServiceTokenHeaderError};
