//! The credential of a request.

use std::sync::Arc;

use bytes::Bytes;

use crate::application::CompiledApplication;
use crate::identity::{Country, Details, Identity, Proof};
use crate::service_token::TokenEntry;
use crate::session::Session;
use crate::token::TokenErrorKind;

use super::rejection::RejectionKind;
use super::renewal::RenewedTokens;
use super::verified::Verified;

/// The credential of a request.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    None,
    /// A valid token of the application.
    Token {
        verified: Arc<Verified>,
        source: TokenSource,
    },
    /// A session of the host, which becomes a token if a policy allows the user.
    Session(Box<HostSession>),
    ServiceToken(Box<PresentedServiceToken>),
    /// A user's token for another application, which that application presents.
    Linked(Box<LinkedToken>),
    /// An invalid token, which counts like a missing one: usually a login helps.
    InvalidToken(RejectedToken),
    /// An invalid credential that is refused, unless a `bypass` policy allows the request.
    Refused(RejectionKind),
}

impl Credential {
    /// Returns the proved identity.
    pub(super) fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Token { verified, .. } => Some(&verified.identity),
            Self::Session(session) => Some(&session.identity),
            Self::ServiceToken(presented) => Some(&presented.identity),
            // That user has not logged in here.
            Self::Linked(_) | Self::None | Self::InvalidToken(_) | Self::Refused(_) => None,
        }
    }

    /// Returns whether the request has neither a valid nor a refused credential.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::None | Self::InvalidToken(_))
    }

    /// Returns the email address of the user, also if it proves nothing here.
    pub(super) fn email(&self) -> Option<&str> {
        match self {
            Self::Linked(linked) => linked.verified.identity.email(),
            _ => self.identity().and_then(Identity::email),
        }
    }

    /// Returns whether it is the assertion, which is still among the headers.
    pub(super) fn is_assertion(&self) -> bool {
        matches!(self, Self::Token { source: TokenSource::Assertion, .. })
    }

    /// Returns whether browsers add it to every request, whichever page causes it.
    pub(super) fn is_cookie(&self) -> bool {
        let Self::Token { source, .. } = self else { return false };
        matches!(source, TokenSource::Cookie | TokenSource::Session(_))
    }

    /// Returns the error of an invalid token, for the operator.
    pub(super) fn token_error(&self) -> Option<TokenErrorKind> {
        match self {
            Self::InvalidToken(RejectedToken { kind, .. })
            | Self::Refused(RejectionKind::Token(kind)) => Some(*kind),
            _ => None,
        }
    }
}

/// The source of a valid token.
#[derive(Clone, Debug)]
pub(super) enum TokenSource {
    /// The assertion header, which is still among the headers.
    Assertion,
    /// A header that was removed.
    Header,
    Cookie,
    /// The session of the host: the token is new, and the response sets its cookie.
    Session(Arc<RenewedTokens>),
}

/// A live session of the host that a browser presents.
#[derive(Clone, Debug)]
pub(super) struct HostSession {
    pub(super) session: Session,
    pub(super) identity: Identity,
}

/// A service token whose secret was verified.
#[derive(Clone, Debug)]
pub(super) struct PresentedServiceToken {
    pub(super) known: Arc<TokenEntry>,
    pub(super) client_id: Box<str>,
    pub(super) identity: Identity,
}

/// A user's token for another application.
#[derive(Clone, Debug)]
pub(super) struct LinkedToken {
    pub(super) verified: Arc<Verified>,
    /// The application that the token is for.
    pub(super) application: Arc<CompiledApplication>,
}

impl LinkedToken {
    /// Returns the identity that the origin sees.
    pub(super) fn identity(&self, assertion: &http::HeaderValue) -> Identity {
        let known = &self.verified.identity;
        let details = Details {
            country: known.country().and_then(Country::from_code),
            session: None,
            proof: Some(Proof::new(Bytes::copy_from_slice(assertion.as_bytes()))),
        };
        Identity::with_details(known.subject().clone(), known.expires_at(), details)
    }
}

/// An invalid token.
#[derive(Clone, Copy, Debug)]
pub(super) struct RejectedToken {
    pub(super) kind: TokenErrorKind,
    /// Whether a new login may bring a valid token.
    pub(super) login_helps: bool,
}
