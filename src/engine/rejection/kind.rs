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
    /// No host, two hosts, or one that can be read two ways.
    Host,
    /// A path that can be read two ways.
    Path(PathError),
    /// A resource that the request acts on besides its request target cannot be judged.
    Resource(ResourceError),
    /// No application covers host and path: closed.
    NoApplication,
    /// A credential is there twice.
    AmbiguousCredential,
    /// Nobody has logged in yet, and a login could help.
    LoginRequired,
    /// An application token that is not good.
    Token(TokenErrorKind),
    /// A service token that is not good.
    ServiceToken,
    /// A service token that is not good, after many others of this client id or from this network.
    TooManyAttempts,
    /// Only services may enter, and none has proved itself.
    ServiceRequired,
    /// Known who it is, and no policy lets them in.
    Denied,
    /// A CORS preflight, which never carries a credential.
    Preflight,
    /// An upgrade that a page of another origin asked for: another scheme, host or port.
    ForeignOrigin,
    /// The issuer's keys could not be fetched: nothing can be verified.
    KeysUnavailable,
    /// No `AuthenticateLayer` stands outside this `AuthorizeLayer`.
    NotAuthenticated,
    /// Something of ours failed.
    Internal,
}

impl Disclosed for RejectionKind {}

impl fmt::Display for RejectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => {
                f.write_str("the request names no host, or one that can be read two ways")
            }
            Self::Path(error) => error.fmt(f),
            Self::Resource(error) => error.fmt(f),
            Self::NoApplication => f.write_str("no application covers this host and path"),
            Self::AmbiguousCredential => f.write_str("a credential is there more than once"),
            Self::LoginRequired => f.write_str("a login is required"),
            Self::Token(kind) => kind.fmt(f),
            Self::ServiceToken => f.write_str("the service token is not good"),
            Self::TooManyAttempts => f.write_str("too many service tokens were not good"),
            Self::ServiceRequired => f.write_str("only services may enter here"),
            Self::Denied => f.write_str("no policy lets this identity in"),
            Self::Preflight => f.write_str("a preflight carries no credential"),
            Self::ForeignOrigin => f.write_str("the upgrade was asked for by another origin"),
            Self::KeysUnavailable => f.write_str("the issuer's keys could not be fetched"),
            Self::NotAuthenticated => f.write_str("no AuthenticateLayer stands outside"),
            Self::Internal => f.write_str("internal error"),
        }
    }
}
