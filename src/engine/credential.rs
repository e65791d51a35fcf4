//! From what a request carries to the credential it is judged by.

use std::sync::Arc;

use http::HeaderMap;

use crate::application::Protected;
use crate::identity::Identity;
use crate::identity::Subject;
use crate::service_token::{Guess, KnownToken};
use crate::session::cookie;
use crate::token::keys::Refresh;
use crate::token::{TokenErrorKind, TokenKind, unverified_claims};

use super::authenticate::Admission;
use super::carrier::{Brought, Once};
use super::linked::Linked;
use super::rejection::RejectionKind;
use super::returned::UselessToken;
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
    ServiceToken(Box<ShownServiceToken>),
    /// A person's token for another application, which that application brings.
    Linked(Box<Linked>),
    /// A token was there that is as good as none: mostly a login mends it.
    Useless(UselessToken),
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
    Session,
}

/// A service token whose secret was shown.
#[derive(Clone, Debug)]
pub(super) struct ShownServiceToken {
    pub(super) known: Arc<KnownToken>,
    pub(super) client_id: Box<str>,
    pub(super) identity: Identity,
    /// What counts where the policies do not let the service in: nothing in strict mode.
    pub(super) otherwise: Option<Credential>,
}

impl Credential {
    /// Who it is, if that was proved.
    pub(super) fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Token { verified, .. } => Some(&verified.identity),
            Self::ServiceToken(shown) => Some(&shown.identity),
            // That person has not logged in here.
            Self::Linked(_) | Self::None | Self::Useless(_) | Self::Refused(_) => None,
        }
    }

    /// The person or machine behind the request, also where that proves nothing here.
    pub(super) fn email(&self) -> Option<&str> {
        match self {
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
            Self::Useless(UselessToken { kind, .. })
            | Self::Refused(RejectionKind::Token(kind)) => Some(*kind),
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
        if let Some(shown) = self.service_token(brought, admission) {
            if self.service_tokens.is_strict() {
                return Ok(match shown {
                    Ok(shown) => Credential::ServiceToken(Box::new(shown)),
                    Err(kind) => Credential::Refused(kind),
                });
            }
            let other = self.credential_beside(protected, admission, lines, brought, may_wait)?;
            return Ok(match (shown, other) {
                (Ok(shown), other) => Credential::ServiceToken(Box::new(ShownServiceToken {
                    otherwise: Some(other),
                    ..shown
                })),
                // What guessing costs is bounded in this mode, too.
                (
                    Err(kind @ RejectionKind::TooManyAttempts),
                    Credential::None | Credential::Useless(_),
                ) => Credential::Refused(kind),
                (Err(_), other) => other,
            });
        }
        self.credential_beside(protected, admission, lines, brought, may_wait)
    }

    /// The credential that counts where no service token is shown, or none of use.
    fn credential_beside(
        &self,
        protected: &Protected,
        admission: &Admission,
        lines: &HeaderMap,
        brought: &Brought,
        may_wait: bool,
    ) -> Result<Credential, Refresh> {
        let credential = self.credential_for(protected, admission, lines, brought, may_wait)?;
        match &credential {
            // A login that does not count here is as good as none.
            Credential::Token { verified, .. }
                if !verified.identity.is_service()
                    && !self.admits_login(verified, protected, admission, may_wait)? =>
            {
                Ok(Credential::None)
            }
            _ => Ok(credential),
        }
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
            Role::Issuing(_) => &brought.token,
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
                        if let TokenErrorKind::Audience | TokenErrorKind::Issuer = kind
                            && let Some(linked) = self.linked(token.as_bytes(), ask)?
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
        for token in
            tried(headers, cookie::AUTHORIZATION, (TokenKind::Application, MOST_TOKENS), ask)
        {
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
                    let useless = self.useless(kind, token, ask);
                    // One that no login mends says more than one that a login does.
                    credential = match credential {
                        Credential::None => Credential::Useless(useless),
                        Credential::Useless(known) if known.login_mends && !useless.login_mends => {
                            Credential::Useless(useless)
                        }
                        known => known,
                    };
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
        for binding in tried(headers, cookie::BINDING, (TokenKind::Binding, MOST_BINDINGS), ask) {
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

    /// Whether people may come in by a login method there is. Where somebody else issues the
    /// tokens they have seen to it.
    pub(super) fn admits_people(&self, protected: &Protected) -> bool {
        match &self.role {
            Role::Verifying(_) => {
                let _ = protected;
                true
            }
            Role::Issuing(issuing) => issuing.login.methods.offers_login(&protected.application),
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
            (Role::Issuing(_), _) => Credential::Useless(UselessToken { kind, login_mends: true }),
        }
    }

    /// A service token, if any part of one is there where we issue.
    fn service_token(
        &self,
        brought: &Brought,
        admission: &Admission,
    ) -> Option<Result<ShownServiceToken, RejectionKind>> {
        if self.role.verifies() || !brought.shows_service_token() {
            return None;
        }
        let (id, secret) = match (&brought.client_id, &brought.client_secret) {
            (Once::One(id), Once::One(secret)) => (id.to_str().ok(), secret.to_str().ok()),
            _ => (None, None),
        };
        // Halves, copies and odd bytes go the same way as a wrong secret.
        let pair = (id.unwrap_or_default(), secret.unwrap_or_default());
        let (address, now) = (admission.circumstances.sender.address, admission.now);
        let known = match self.service_tokens.authenticate(pair, address, now) {
            Ok(known) => known,
            Err(Guess::Counted) => return Some(Err(RejectionKind::ServiceToken)),
            Err(Guess::LimitReached | Guess::OverLimit) => {
                return Some(Err(RejectionKind::TooManyAttempts));
            }
        };
        self.service_tokens.used(&known, now);
        let token = &known.token;
        let client_id = token.client_id.clone();
        let end = token.expires_at.unwrap_or_else(|| now.plus(crate::application::LONGEST_SESSION));
        let identity = Identity::new(Subject::Service { client_id: client_id.clone() }, end);
        Some(Ok(ShownServiceToken { known, client_id, identity, otherwise: None }))
    }
}

/// The cookies of a name that are tried: the first few as they come; of those behind them as many
/// again that say of themselves that they could be good. Ours stands behind whatever is left of
/// earlier days and of other hosts.
fn tried<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
    (kind, most): (TokenKind, usize),
    ask: Ask<'a>,
) -> impl Iterator<Item = &'a [u8]> {
    cookie::raw_values(headers, name)
        .enumerate()
        .filter(move |(place, token)| *place < most || could_be_good(token, kind, ask))
        .map(|(_, token)| token)
        .take(2 * most)
}

/// Whether what a token says of itself, unverified, would make it good.
fn could_be_good(token: &[u8], kind: TokenKind, ask: Ask<'_>) -> bool {
    let claims = std::str::from_utf8(token).ok().and_then(unverified_claims);
    claims.is_some_and(|claims| {
        claims.kind == kind
            && claims.exp > ask.admission.now.as_unix_seconds()
            && ask.protected.accepted(|audience| claims.aud.contains(audience)).is_some()
    })
}

/// Cookies of one name that are tried, each at the price of a signature check.
const MOST_TOKENS: usize = 8;
/// Binding cookies that are tried for each of them.
const MOST_BINDINGS: usize = 4;
