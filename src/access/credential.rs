//! From what a request carries to the credential it is judged by.

use std::sync::Arc;

use http::HeaderMap;

use crate::application::Protected;
#[cfg(feature = "login")]
use crate::clock::Timestamp;
use crate::identity::Identity;
#[cfg(feature = "login")]
use crate::identity::Subject;
use crate::session::cookie;
use crate::token::keys::Refresh;
use crate::token::{TokenErrorKind, TokenKind};

use super::authenticate::Admission;
use super::carrier::{Brought, Once};
#[cfg(feature = "login")]
use super::linked::Linked;
use super::rejection::RejectionKind;
use super::verify::{Ask, Verification, Verified};
use super::{Engine, Role};

/// How a request proves who sent it.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    None,
    Token {
        verified: Arc<Verified>,
        from: Place,
    },
    #[cfg(feature = "login")]
    ServiceToken(Box<ShownServiceToken>),
    /// A person's token for another application, which that application brings.
    #[cfg(feature = "login")]
    Linked(Box<Linked>),
    /// A token was there that is as good as none: a login mends it.
    Useless(TokenErrorKind),
    /// Something was there, and was not good. Opens nothing, but a `bypass` policy still does.
    Refused(RejectionKind),
}

/// Where a good token was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// In the assertion header, which is still among the headers.
    Assertion,
    /// In a header that has been taken out.
    Header,
    /// In a cookie.
    Cookie,
    /// Nowhere: there is none yet, and a session of the host that speaks for the person.
    #[cfg(feature = "login")]
    Session,
}

/// A service token whose secret was shown.
#[cfg(feature = "login")]
#[derive(Clone, Debug)]
pub(super) struct ShownServiceToken {
    pub(super) id: Box<str>,
    pub(super) client_id: Box<str>,
    pub(super) identity: Identity,
}

impl Credential {
    /// Who it is, if that was proved.
    pub(super) fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Token { verified, .. } => Some(&verified.identity),
            #[cfg(feature = "login")]
            Self::ServiceToken(shown) => Some(&shown.identity),
            // That person has not logged in here.
            #[cfg(feature = "login")]
            Self::Linked(_) => None,
            Self::None | Self::Useless(_) | Self::Refused(_) => None,
        }
    }

    /// The person or machine behind the request, also where that proves nothing here.
    pub(super) fn email(&self) -> Option<&str> {
        match self {
            #[cfg(feature = "login")]
            Self::Linked(linked) => linked.verified.identity.email(),
            _ => self.identity().and_then(Identity::email),
        }
    }

    /// Whether it is the assertion that the request still carries.
    pub(super) fn is_assertion(&self) -> bool {
        matches!(self, Self::Token { from: Place::Assertion, .. })
    }

    /// What was wrong with a token, for the operator.
    pub(super) fn token_error(&self) -> Option<TokenErrorKind> {
        match self {
            Self::Useless(kind) | Self::Refused(RejectionKind::Token(kind)) => Some(*kind),
            _ => None,
        }
    }
}

impl Engine {
    /// The credential that counts; see [`Carrier`](super::Carrier) for the order. `Err` asks for a
    /// wait.
    pub(super) fn credential(
        &self,
        admission: &Admission,
        lines: &HeaderMap,
        brought: &Brought,
        may_wait: bool,
    ) -> Result<Credential, Refresh> {
        let Some(protected) = self.protected(admission) else {
            return Ok(Credential::Refused(RejectionKind::Internal));
        };
        let credential = self.credential_for(protected, admission, lines, brought, may_wait)?;
        // A login that does not count here is as good as none.
        let is_person = credential.identity().is_some_and(|who| !who.is_service());
        Ok(if is_person && !self.admits_people(protected) { Credential::None } else { credential })
    }

    fn credential_for(
        &self,
        protected: &Protected,
        admission: &Admission,
        lines: &HeaderMap,
        brought: &Brought,
        may_wait: bool,
    ) -> Result<Credential, Refresh> {
        let ask = Ask { admission, protected, may_wait, is_linked: false };
        let header = match &self.role {
            Role::Verifying(_) => &brought.assertion,
            #[cfg(feature = "login")]
            Role::Issuing(_) => match self.service_token(brought, admission.now) {
                Some(credential) => return Ok(credential),
                None => &brought.token,
            },
        };
        let header = match header {
            Once::Absent => None,
            Once::InPlace(token) => Some(Ok((token, Place::Assertion))),
            Once::One(token) => Some(Ok((token, Place::Header))),
            Once::Many => Some(Err(RejectionKind::AmbiguousCredential)),
        };
        let credential = match header {
            Some(Err(kind)) if self.carriers.header() => Credential::Refused(kind),
            Some(Ok((token, from))) if self.carriers.header() => {
                match self.examine(token.as_bytes(), TokenKind::Application, ask) {
                    Verification::Good(verified) => Credential::Token { verified, from },
                    Verification::Wait(refresh) => return Err(refresh),
                    Verification::Bad(kind) => {
                        // What is wrong otherwise is wrong for every application.
                        #[cfg(feature = "login")]
                        if let TokenErrorKind::Audience | TokenErrorKind::Issuer = kind
                            && let Some(linked) = self.linked(token.as_bytes(), ask)
                        {
                            return Ok(Credential::Linked(Box::new(linked)));
                        }
                        crate::metrics::token_refused(kind.as_str());
                        self.bad_header(kind)
                    }
                }
            }
            _ if self.carriers.cookie() => return self.cookie(lines, ask),
            _ => Credential::None,
        };
        match &credential {
            Credential::Token { verified, .. } if !self.is_bound(verified, lines, ask)? => {
                crate::metrics::token_refused(TokenErrorKind::Binding.as_str());
                Ok(self.bad_header(TokenErrorKind::Binding))
            }
            _ => Ok(credential),
        }
    }

    /// Several cookies may have our name, planted ones among them: the first good one counts, and
    /// only when there is none is anything waited for. A bad one is as good as none.
    fn cookie(&self, headers: &HeaderMap, ask: Ask<'_>) -> Result<Credential, Refresh> {
        let mut credential = Credential::None;
        let mut wait = None;
        for token in cookie::raw_values(headers, cookie::AUTHORIZATION).take(MOST_TOKENS) {
            let ask = Ask { may_wait: ask.may_wait && wait.is_none(), ..ask };
            let verification = match self.verify(token, TokenKind::Application, ask) {
                Verification::Good(verified) if !self.is_bound(&verified, headers, ask)? => {
                    crate::metrics::token_refused(TokenErrorKind::Binding.as_str());
                    Verification::Bad(TokenErrorKind::Binding)
                }
                other => other,
            };
            match verification {
                Verification::Good(verified) => {
                    return Ok(Credential::Token { verified, from: Place::Cookie });
                }
                Verification::Bad(TokenErrorKind::KeysUnavailable) => {
                    credential = Credential::Refused(RejectionKind::KeysUnavailable);
                }
                Verification::Bad(kind) => {
                    if matches!(credential, Credential::None) {
                        credential = Credential::Useless(kind);
                    }
                }
                Verification::Wait(refresh) => wait = Some(refresh),
            }
        }
        wait.map_or(Ok(credential), Err)
    }

    /// Where the application asks for a binding cookie, a person's token counts only beside one
    /// that was made for the same session.
    fn is_bound(
        &self,
        verified: &Verified,
        headers: &HeaderMap,
        ask: Ask<'_>,
    ) -> Result<bool, Refresh> {
        if !ask.protected.application.binding_cookie || self.role.verifies() {
            return Ok(true);
        }
        for binding in cookie::raw_values(headers, cookie::BINDING).take(MOST_BINDINGS) {
            match self.verify(binding, TokenKind::Binding, ask) {
                Verification::Good(binding) if binding.is_of_same_session(verified) => {
                    return Ok(true);
                }
                Verification::Wait(refresh) => return Err(refresh),
                Verification::Good(_) | Verification::Bad(_) => {}
            }
        }
        Ok(false)
    }

    /// Whether people may come in by the one login method there is. Where somebody else issues the
    /// tokens they have seen to it.
    pub(super) fn admits_people(&self, protected: &Protected) -> bool {
        match &self.role {
            Role::Verifying(_) => {
                let _ = protected;
                true
            }
            #[cfg(feature = "login")]
            Role::Issuing(issuing) => issuing.login.offers_login(protected),
        }
    }

    /// A token in a header is there on purpose. Behind an issuer a bad one is refused outright:
    /// the issuer would bring the same one again. Where we issue, a login mends it.
    fn bad_header(&self, kind: TokenErrorKind) -> Credential {
        match (&self.role, kind) {
            (_, TokenErrorKind::KeysUnavailable) => {
                Credential::Refused(RejectionKind::KeysUnavailable)
            }
            (Role::Verifying(_), _) => Credential::Refused(RejectionKind::Token(kind)),
            #[cfg(feature = "login")]
            (Role::Issuing(_), _) => Credential::Useless(kind),
        }
    }

    /// A service token, if any part of one is there: then nothing else counts.
    #[cfg(feature = "login")]
    fn service_token(&self, brought: &Brought, now: Timestamp) -> Option<Credential> {
        let (id, secret) = match (&brought.client_id, &brought.client_secret) {
            (Once::Absent, Once::Absent) => return None,
            (Once::One(id), Once::One(secret)) => (id.to_str().ok(), secret.to_str().ok()),
            _ => (None, None),
        };
        // Halves, copies and odd bytes go the same way as a wrong secret.
        let (id, secret) = (id.unwrap_or_default(), secret.unwrap_or_default());
        let Some(token) = self.service_tokens.authenticate(id, secret, now) else {
            return Some(Credential::Refused(RejectionKind::ServiceToken));
        };
        let subject = Subject::Service { client_id: token.client_id.clone() };
        let end = token.expires_at.unwrap_or_else(|| now.plus(crate::application::LONGEST_SESSION));
        Some(Credential::ServiceToken(Box::new(ShownServiceToken {
            id: token.token_id().into(),
            client_id: token.client_id.clone(),
            identity: Identity::new(subject, end),
        })))
    }
}

/// Cookies of one name that are tried, each at the price of a signature check.
const MOST_TOKENS: usize = 8;
/// Binding cookies that are tried for each of them.
const MOST_BINDINGS: usize = 4;
