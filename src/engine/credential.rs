//! How a request proves who sent it.

use std::sync::Arc;

use crate::application::CompiledApplication;
use crate::identity::{Details, Identity};
use crate::service_token::KnownToken;
use crate::session::Session;
use crate::token::TokenErrorKind;

use super::rejection::RejectionKind;
use super::renewal::RenewedTokens;
use super::verified::Verified;

/// How a request proves who sent it.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    None,
    /// A good token of the application.
    Token {
        verified: Arc<Verified>,
        source: TokenSource,
    },
    /// A session of the host, which becomes a token where a policy lets the person in.
    Session(Box<HostSession>),
    ServiceToken(Box<PresentedServiceToken>),
    /// A person's token for another application, which that application presents.
    Linked(Box<LinkedToken>),
    /// A token that is as good as none: mostly a login mends it.
    Useless(RejectedToken),
    /// Something was presented, and is not good. Opens nothing; a `bypass` policy still does.
    Refused(RejectionKind),
}

impl Credential {
    /// Who it is, if that is proved.
    pub(super) fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Token { verified, .. } => Some(&verified.identity),
            Self::Session(session) => Some(&session.identity),
            Self::ServiceToken(presented) => Some(&presented.identity),
            // That person has not logged in here.
            Self::Linked(_) | Self::None | Self::Useless(_) | Self::Refused(_) => None,
        }
    }

    /// Whether nothing was presented that proves or refuses anything.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::None | Self::Useless(_))
    }

    /// The person behind the request, also where that proves nothing here.
    pub(super) fn email(&self) -> Option<&str> {
        match self {
            Self::Linked(linked) => linked.verified.identity.email(),
            _ => self.identity().and_then(Identity::email),
        }
    }

    /// Whether it is the assertion that the request still carries.
    pub(super) fn is_assertion(&self) -> bool {
        matches!(self, Self::Token { source: TokenSource::Assertion, .. })
    }

    /// Whether browsers send it along by themselves, whoever asks them to.
    pub(super) fn is_cookie(&self) -> bool {
        let Self::Token { source, .. } = self else { return false };
        matches!(source, TokenSource::Cookie | TokenSource::Session(_))
    }

    /// What was wrong with a token, for the operator.
    pub(super) fn token_error(&self) -> Option<TokenErrorKind> {
        match self {
            Self::Useless(RejectedToken { kind, .. })
            | Self::Refused(RejectionKind::Token(kind)) => Some(*kind),
            _ => None,
        }
    }
}

/// Where a good token comes from.
#[derive(Clone, Debug)]
pub(super) enum TokenSource {
    /// The assertion header, which is still among the headers.
    Assertion,
    /// A header that has been taken out.
    Header,
    Cookie,
    /// The session of the host: the token was made lately, and the response sets its cookie.
    Session(Arc<RenewedTokens>),
}

/// A live session of the host that a browser presents.
#[derive(Clone, Debug)]
pub(super) struct HostSession {
    pub(super) session: Session,
    pub(super) identity: Identity,
}

/// A service token whose secret was presented.
#[derive(Clone, Debug)]
pub(super) struct PresentedServiceToken {
    pub(super) known: Arc<KnownToken>,
    pub(super) client_id: Box<str>,
    pub(super) identity: Identity,
}

/// A person's token for another application.
#[derive(Clone, Debug)]
pub(super) struct LinkedToken {
    pub(super) verified: Arc<Verified>,
    /// The application it was made for.
    pub(super) application: Arc<CompiledApplication>,
}

impl LinkedToken {
    /// The person, as the origin gets to see them.
    pub(super) fn identity(&self, assertion: &http::HeaderValue) -> Identity {
        let known = &self.verified.identity;
        let details = Details {
            country: known.country().map(Into::into),
            session: None,
            proof: Some(assertion.clone()),
        };
        Identity::with_details(known.subject().clone(), known.expires_at(), details)
    }
}

/// A token that is as good as none.
#[derive(Clone, Copy, Debug)]
pub(super) struct RejectedToken {
    pub(super) kind: TokenErrorKind,
    /// Whether the token of a new login may be good.
    pub(super) login_mends: bool,
}
