//! The reasons of refusals.

use std::fmt;

use super::super::resources::ResourceError;
use crate::application::PathError;
use crate::audit::Disclosed;
use crate::token::TokenErrorKind;

/// Why a request was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The host is missing, repeated or ambiguous.
    Host,
    /// The path is invalid or ambiguous.
    Path(PathError),
    /// Another resource that the request acts on is ambiguous, or not covered by an application.
    Resource(ResourceError),
    /// No application covers host and path.
    NoApplication,
    /// A credential is repeated.
    AmbiguousCredential,
    /// The client is not logged in, and a login could give access.
    LoginRequired,
    /// The application token is invalid.
    Token(TokenErrorKind),
    /// The service token is invalid.
    ServiceToken,
    /// The service token is invalid, after many others with this client id or from this network.
    TooManyAttempts,
    /// Only service tokens give access, and the request has no valid one.
    ServiceRequired,
    /// The identity is known, and no policy allows it.
    Denied,
    /// A CORS preflight, which never carries a credential.
    Preflight,
    /// A page of another origin (scheme, host or port) asks for an upgrade.
    ForeignOrigin,
    /// The issuer's keys could not be fetched, so tokens cannot be verified.
    KeysUnavailable,
    /// The `AuthorizeLayer` has no `AuthenticateLayer` outside it.
    NotAuthenticated,
    /// An internal error.
    Internal,
}

impl Disclosed for RejectionKind {}

impl fmt::Display for RejectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("the host is missing or ambiguous"),
            Self::Path(error) => error.fmt(f),
            Self::Resource(error) => error.fmt(f),
            Self::NoApplication => f.write_str("no application covers this host and path"),
            Self::AmbiguousCredential => f.write_str("a credential is repeated"),
            Self::LoginRequired => f.write_str("a login is required"),
            Self::Token(kind) => kind.fmt(f),
            Self::ServiceToken => f.write_str("the service token is invalid"),
            Self::TooManyAttempts => f.write_str("too many invalid service tokens"),
            Self::ServiceRequired => f.write_str("a service token is required"),
            Self::Denied => f.write_str("no policy allows this identity"),
            Self::Preflight => f.write_str("a preflight carries no credential"),
            Self::ForeignOrigin => f.write_str("a page of another origin asks for the upgrade"),
            Self::KeysUnavailable => f.write_str("the issuer's keys could not be fetched"),
            Self::NotAuthenticated => {
                f.write_str("no AuthenticateLayer outside the AuthorizeLayer")
            }
            Self::Internal => f.write_str("internal error"),
        }
    }
}
