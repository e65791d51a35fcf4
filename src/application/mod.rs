//! Applications: hosts and paths, and the policies that protect them.
//!
//! A request's host and path are converted to a canonical form ([`CanonicalHost`], [`CanonicalPath`]);
//! the router finds the most specific application for them (section 7.3 of the Access contract).
//! Requests that no application covers are refused. This module does not depend on the login.
//!
//! [`Destination`] documents what a destination covers, which of several wins, and every case that the
//! format leaves open.

mod ambiguity;
mod applications;
mod audience;
mod compiled_application;
mod contradiction;
mod cookie_path;
mod cookie_settings;
mod cors;
mod deny_url;
mod destination;
mod destination_error;
mod domain;
mod endpoint;
mod explain;
mod fold;
mod host;
mod host_pattern;
mod index;
mod normal_form;
mod origin;
mod path;
mod path_error;
mod path_pattern;
mod path_settings;
mod public_addresses;
mod readings;
mod router;
mod service_token_header;
#[cfg(feature = "config")]
pub(crate) mod setting;
mod settings;
mod specificity;
mod spelling;

pub use self::ambiguity::Ambiguity;
pub(crate) use self::applications::{ApplicationId, Applications, LocateError};
pub use self::audience::{Audience, AudienceError};
pub(crate) use self::compiled_application::CompiledApplication;
pub use self::cors::{CorsHeaders, CorsHeadersError};
pub use self::deny_url::DenyUrlError;
pub use self::destination::Destination;
pub use self::destination_error::DestinationError;
pub use self::domain::{TeamDomain, TeamDomainError};
pub(crate) use self::endpoint::{OWN_PREFIX, is_own};
pub use self::explain::NotSelectedReason;
// Public for the tests and benches alone.
#[doc(hidden)]
pub use self::explain::{OtherDestination, RouteExplanation, SelectedDestination};
#[cfg(feature = "config")]
pub(crate) use self::fold::decode;
#[cfg(feature = "proxy")]
pub(crate) use self::fold::{fold, without_segment_ends};
pub use self::host::{CanonicalHost, HostError};
#[cfg(feature = "config")]
pub(crate) use self::host_pattern::{HostPattern, Label};
pub(crate) use self::origin::PublicOrigins;
pub use self::path::CanonicalPath;
pub use self::path_error::PathError;
#[cfg(feature = "config")]
pub(crate) use self::path_pattern::PathPattern;
pub use self::public_addresses::{PublicAddressError, PublicAddresses};
// Public for the tests and benches alone.
#[doc(hidden)]
pub use self::router::{Router, RouterError};
pub use self::service_token_header::ServiceTokenHeaderError;
pub(crate) use self::settings::MAX_SESSION_DURATION;
pub use self::settings::{Application, SameSite};
pub use self::specificity::Criterion;
pub use self::spelling::CaseSensitiveOrigin;
