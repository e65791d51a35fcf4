//! From what a request presents to the credential that counts.

use http::HeaderMap;

use crate::application::LONGEST_SESSION;
use crate::identity::{Identity, Subject};
use crate::metrics;
use crate::service_token::Guess;
use crate::session::cookie;
use crate::token::{TokenErrorKind, TokenKind, unverified_claims};
use crate::util::deferred::Deferred;

use super::super::credential::{Credential, PresentedServiceToken, RejectedToken, TokenSource};
use super::super::rejection::{RejectionKind, rejected_token};
use super::super::request_context::Scope;
use super::super::session_facts::admits_login;
use super::super::verified::Verified;
use super::super::{Engine, Role};
use super::linked::linked_token;
use super::presented::{HeaderField, PresentedCredentials};
use super::verify::{self, TokenCheck, Verification};

/// What a request proves at one application.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) credential: Credential,
    /// What counts where no policy lets in the service token that is the credential.
    pub(super) fallback: Option<Credential>,
}

impl From<Credential> for Proof {
    fn from(credential: Credential) -> Self {
        Self { credential, fallback: None }
    }
}

/// The credential that counts; see [`Carrier`](crate::Carrier) for the order. `Err` asks for a
/// wait.
pub(super) fn prove(
    engine: &Engine,
    presented: &PresentedCredentials,
    headers: &HeaderMap,
    at: Scope<'_>,
    may_wait: bool,
) -> Result<Proof, Deferred> {
    let check = TokenCheck { at, may_wait, is_linked: false };
    let service_token = service_token(engine, presented, at);
    if engine.service_tokens.is_strict()
        && let Some(service_token) = service_token
    {
        return Ok(match service_token {
            Ok(presented) => Credential::ServiceToken(Box::new(presented)).into(),
            Err(kind) => Credential::Refused(kind).into(),
        });
    }
    let other = login_credential(engine, presented, headers, check)?;
    Ok(match service_token {
        Some(Ok(presented)) => Proof {
            credential: Credential::ServiceToken(Box::new(presented)),
            fallback: Some(other),
        },
        // What guessing costs is bounded in this mode, too.
        Some(Err(kind @ RejectionKind::TooManyAttempts)) if other.is_absent() => {
            Credential::Refused(kind).into()
        }
        None | Some(Err(_)) => other.into(),
    })
}

/// The token that counts beside a service token. A login that does not count at the application
/// is as good as none.
fn login_credential(
    engine: &Engine,
    presented: &PresentedCredentials,
    headers: &HeaderMap,
    check: TokenCheck<'_>,
) -> Result<Credential, Deferred> {
    let credential = match role_header(engine, presented) {
        HeaderField::Absent => cookie_credential(engine, headers, check)?,
        HeaderField::InPlace(token) => {
            header_credential(engine, token.as_bytes(), TokenSource::Assertion, headers, check)?
        }
        HeaderField::Single(token) => {
            header_credential(engine, token.as_bytes(), TokenSource::Header, headers, check)?
        }
        HeaderField::Repeated => Credential::Refused(RejectionKind::AmbiguousCredential),
    };
    let counts = match &credential {
        Credential::Token { verified, .. } if !verified.identity.is_service() => {
            admits_login(engine, verified, None, check)?
        }
        _ => true,
    };
    Ok(if counts { credential } else { Credential::None })
}

/// The header that carries a token in this role; absent where it does not count.
fn role_header<'a>(engine: &Engine, presented: &'a PresentedCredentials) -> &'a HeaderField {
    match &engine.role {
        _ if !engine.carriers.header() => &HeaderField::Absent,
        Role::Verifying(_) => &presented.assertion,
        Role::Issuing(_) => &presented.token,
    }
}

/// A token in a header is there on purpose: a bad one is not passed over.
fn header_credential(
    engine: &Engine,
    token: &[u8],
    source: TokenSource,
    headers: &HeaderMap,
    check: TokenCheck<'_>,
) -> Result<Credential, Deferred> {
    let kind = match verify::examine(engine, token, TokenKind::Application, check) {
        Verification::Good(verified) if is_bound(engine, &verified, headers, check)? => {
            return Ok(Credential::Token { verified, source });
        }
        Verification::Good(_) => TokenErrorKind::Binding,
        Verification::Wait(wait) => return Err(wait),
        // What is wrong otherwise is wrong for every application.
        Verification::Bad(kind @ (TokenErrorKind::Audience | TokenErrorKind::Issuer)) => {
            if let Some(linked) = linked_token(engine, token, check)? {
                return Ok(Credential::Linked(Box::new(linked)));
            }
            kind
        }
        Verification::Bad(kind) => kind,
    };
    metrics::token_refused(kind.as_str());
    Ok(match (&engine.role, kind) {
        (_, TokenErrorKind::KeysUnavailable) => Credential::Refused(RejectionKind::KeysUnavailable),
        // The issuer would send the same one again.
        (Role::Verifying(_), _) => Credential::Refused(RejectionKind::Token(kind)),
        // Where we issue, a login mends it.
        (Role::Issuing(_), _) => Credential::Useless(RejectedToken { kind, login_mends: true }),
    })
}

/// Several cookies may have our name, planted ones among them: the first good one counts, and
/// only when there is none is anything waited for. A bad one is as good as none.
fn cookie_credential(
    engine: &Engine,
    headers: &HeaderMap,
    check: TokenCheck<'_>,
) -> Result<Credential, Deferred> {
    if !engine.carriers.cookie() {
        return Ok(Credential::None);
    }
    let mut credential = Credential::None;
    let mut wait = None;
    let limit = (TokenKind::Application, MAX_TOKENS);
    for token in candidates(headers, cookie::AUTHORIZATION, limit, check.at) {
        let check = TokenCheck { may_wait: check.may_wait && wait.is_none(), ..check };
        let kind = match verify::verify(engine, token, TokenKind::Application, check) {
            Verification::Good(verified) if is_bound(engine, &verified, headers, check)? => {
                return Ok(Credential::Token { verified, source: TokenSource::Cookie });
            }
            Verification::Good(_) => {
                metrics::token_refused(TokenErrorKind::Binding.as_str());
                TokenErrorKind::Binding
            }
            Verification::Wait(keys) => {
                wait = Some(keys);
                continue;
            }
            Verification::Bad(kind) => kind,
        };
        credential = match (credential, kind) {
            (_, TokenErrorKind::KeysUnavailable) => {
                Credential::Refused(RejectionKind::KeysUnavailable)
            }
            (Credential::None, kind) => {
                Credential::Useless(rejected_token(engine, kind, token, check.at))
            }
            // One that no login mends says more than one that a login does.
            (Credential::Useless(known), kind) if known.login_mends => {
                let next = rejected_token(engine, kind, token, check.at);
                Credential::Useless(if next.login_mends { known } else { next })
            }
            (known, _) => known,
        };
    }
    wait.map_or(Ok(credential), Err)
}

/// Whether a token counts beside the cookies of a request: where the application asks for a
/// binding cookie, a person's token does only beside one that was made for the same session.
fn is_bound(
    engine: &Engine,
    verified: &Verified,
    headers: &HeaderMap,
    check: TokenCheck<'_>,
) -> Result<bool, Deferred> {
    if !check.at.application.application.binding_cookie || engine.role.verifies() {
        return Ok(true);
    }
    let limit = (TokenKind::Binding, MAX_BINDINGS);
    for binding in candidates(headers, cookie::BINDING, limit, check.at) {
        match verify::verify(engine, binding, TokenKind::Binding, check) {
            Verification::Good(binding) if binding.is_of_same_session(verified) => {
                return Ok(true);
            }
            Verification::Wait(keys) => return Err(keys),
            Verification::Good(_) | Verification::Bad(_) => {}
        }
    }
    Ok(false)
}

/// A service token, if any part of one is there where we issue.
fn service_token(
    engine: &Engine,
    presented: &PresentedCredentials,
    at: Scope<'_>,
) -> Option<Result<PresentedServiceToken, RejectionKind>> {
    if engine.role.verifies() || !presented.has_service_token() {
        return None;
    }
    let (id, secret) = match (&presented.client_id, &presented.client_secret) {
        (HeaderField::Single(id), HeaderField::Single(secret)) => {
            (id.to_str().ok(), secret.to_str().ok())
        }
        _ => (None, None),
    };
    // Halves, copies and odd bytes go the same way as a wrong secret.
    let pair = (id.unwrap_or_default(), secret.unwrap_or_default());
    let known = match engine.service_tokens.authenticate(pair, at.sender.address, at.now) {
        Ok(known) => known,
        Err(Guess::Counted) => return Some(Err(RejectionKind::ServiceToken)),
        Err(Guess::LimitReached | Guess::OverLimit) => {
            return Some(Err(RejectionKind::TooManyAttempts));
        }
    };
    engine.service_tokens.used(&known, at.now);
    let client_id = known.token.client_id.clone();
    let end = known.token.expires_at.unwrap_or_else(|| at.now.plus(LONGEST_SESSION));
    let identity = Identity::new(Subject::Service { client_id: client_id.clone() }, end);
    Some(Ok(PresentedServiceToken { known, client_id, identity }))
}

/// The cookies of a name that are tried: the first few as they come; of those behind them as many
/// again that say of themselves that they could be good. Ours stands behind whatever is left of
/// earlier days and of other hosts.
fn candidates<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
    (kind, most): (TokenKind, usize),
    at: Scope<'a>,
) -> impl Iterator<Item = &'a [u8]> {
    cookie::raw_values(headers, name)
        .enumerate()
        .filter(move |(place, token)| *place < most || could_be_good(token, kind, at))
        .map(|(_, token)| token)
        .take(2 * most)
}

/// Whether what a token says of itself, unverified, would make it good.
fn could_be_good(token: &[u8], kind: TokenKind, at: Scope<'_>) -> bool {
    let claims = std::str::from_utf8(token).ok().and_then(unverified_claims);
    claims.is_some_and(|claims| {
        claims.kind == kind
            && claims.exp > at.now.as_unix_seconds()
            && at.application.accepted(|audience| claims.aud.contains(audience)).is_some()
    })
}

/// Cookies of one name that are tried, each at the price of a signature check.
const MAX_TOKENS: usize = 8;
/// Binding cookies that are tried for each of them.
const MAX_BINDINGS: usize = 4;
