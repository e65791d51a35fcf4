//! Verifies the credentials of a request, and selects the one that counts.

use http::HeaderMap;

use crate::application::MAX_SESSION_DURATION;
use crate::identity::{Identity, Subject};
use crate::metrics;
use crate::service_token::FailedAttempt;
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

/// The credential of a request at one application.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) credential: Credential,
    /// The credential to use if no policy allows the service token.
    pub(super) fallback: Option<Credential>,
}

impl From<Credential> for Proof {
    fn from(credential: Credential) -> Self {
        Self { credential, fallback: None }
    }
}

/// Returns the credential that counts; see [`TokenLocation`](crate::TokenLocation) for the order. `Err`
/// is a wait for keys.
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
        // Guessing is limited in this mode as well.
        Some(Err(kind @ RejectionKind::TooManyAttempts)) if other.is_absent() => {
            Credential::Refused(kind).into()
        }
        None | Some(Err(_)) => other.into(),
    })
}

/// Returns the token that counts in addition to a service token. A login that the application does not
/// accept is ignored.
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
    let is_accepted = match &credential {
        Credential::Token { verified, .. } if !verified.identity.is_service() => {
            admits_login(engine, verified, None, check)?
        }
        _ => true,
    };
    Ok(if is_accepted { credential } else { Credential::None })
}

/// Returns the header that carries a token in this role; absent if it is switched off.
fn role_header<'a>(engine: &Engine, presented: &'a PresentedCredentials) -> &'a HeaderField {
    match &engine.role {
        _ if !engine.token_locations.header() => &HeaderField::Absent,
        Role::Verifying(_) => &presented.assertion,
        Role::Issuing(_) => &presented.token,
    }
}

/// Verifies a token in a header. Clients send it on purpose, so an invalid one is not ignored.
fn header_credential(
    engine: &Engine,
    token: &[u8],
    source: TokenSource,
    headers: &HeaderMap,
    check: TokenCheck<'_>,
) -> Result<Credential, Deferred> {
    let kind = match verify::examine(engine, token, TokenKind::Application, check) {
        Verification::Valid(verified) if is_bound(engine, &verified, headers, check)? => {
            return Ok(Credential::Token { verified, source });
        }
        Verification::Valid(_) => TokenErrorKind::Binding,
        Verification::Wait(wait) => return Err(wait),
        // Other errors are the same at every application.
        Verification::Invalid(kind @ (TokenErrorKind::Audience | TokenErrorKind::Issuer)) => {
            if let Some(linked) = linked_token(engine, token, check)? {
                return Ok(Credential::Linked(Box::new(linked)));
            }
            kind
        }
        Verification::Invalid(kind) => kind,
    };
    metrics::token_refused(kind.as_str());
    Ok(match (&engine.role, kind) {
        (_, TokenErrorKind::KeysUnavailable) => Credential::Refused(RejectionKind::KeysUnavailable),
        // The issuer would send the same token again.
        (Role::Verifying(_), _) => Credential::Refused(RejectionKind::Token(kind)),
        // A login here brings a valid one.
        (Role::Issuing(_), _) => {
            Credential::InvalidToken(RejectedToken { kind, login_helps: true })
        }
    })
}

/// Verifies the cookies. Several may have our name, planted ones among them: the first valid one
/// counts; waits only if none is valid. An invalid one is ignored.
fn cookie_credential(
    engine: &Engine,
    headers: &HeaderMap,
    check: TokenCheck<'_>,
) -> Result<Credential, Deferred> {
    if !engine.token_locations.cookie() {
        return Ok(Credential::None);
    }
    let mut credential = Credential::None;
    let mut wait = None;
    let limit = (TokenKind::Application, MAX_TOKENS);
    for token in candidates(headers, cookie::AUTHORIZATION, limit, check.at) {
        let check = TokenCheck { may_wait: check.may_wait && wait.is_none(), ..check };
        let kind = match verify::verify(engine, token, TokenKind::Application, check) {
            Verification::Valid(verified) if is_bound(engine, &verified, headers, check)? => {
                return Ok(Credential::Token { verified, source: TokenSource::Cookie });
            }
            Verification::Valid(_) => {
                metrics::token_refused(TokenErrorKind::Binding.as_str());
                TokenErrorKind::Binding
            }
            Verification::Wait(keys) => {
                wait = Some(keys);
                continue;
            }
            Verification::Invalid(kind) => kind,
        };
        credential = match (credential, kind) {
            (_, TokenErrorKind::KeysUnavailable) => {
                Credential::Refused(RejectionKind::KeysUnavailable)
            }
            (Credential::None, kind) => {
                Credential::InvalidToken(rejected_token(engine, kind, token, check.at))
            }
            // An error that a login does not help with takes precedence.
            (Credential::InvalidToken(known), kind) if known.login_helps => {
                let next = rejected_token(engine, kind, token, check.at);
                Credential::InvalidToken(if next.login_helps { known } else { next })
            }
            (known, _) => known,
        };
    }
    wait.map_or(Ok(credential), Err)
}

/// Returns whether a token is accepted with the cookies of the request: if the application requires a
/// binding cookie, a user's token needs one that was made for the same session.
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
            Verification::Valid(binding) if binding.is_of_same_session(verified) => {
                return Ok(true);
            }
            Verification::Wait(keys) => return Err(keys),
            Verification::Valid(_) | Verification::Invalid(_) => {}
        }
    }
    Ok(false)
}

/// Authenticates the service token, if the request has any part of one and this engine issues.
fn service_token(
    engine: &Engine,
    presented: &PresentedCredentials,
    at: Scope<'_>,
) -> Option<Result<PresentedServiceToken, RejectionKind>> {
    if engine.role.verifies() {
        return None;
    }
    let pair = presented.service_token.as_ref()?;
    let (id, secret) = match (&pair.client_id, &pair.client_secret) {
        (HeaderField::Single(id), HeaderField::Single(secret)) => {
            (id.to_str().ok(), secret.to_str().ok())
        }
        _ => (None, None),
    };
    // Missing, repeated and unreadable values are handled like a wrong secret.
    let pair = (id.unwrap_or_default(), secret.unwrap_or_default());
    let known = match engine.service_tokens.authenticate(pair, at.sender.address, at.now) {
        Ok(known) => known,
        Err(FailedAttempt::Counted) => return Some(Err(RejectionKind::ServiceToken)),
        Err(FailedAttempt::LimitReached | FailedAttempt::OverLimit) => {
            return Some(Err(RejectionKind::TooManyAttempts));
        }
    };
    engine.service_tokens.record_use(&known, at.now);
    let client_id = known.token.client_id.clone();
    let end = known.token.expires_at.unwrap_or_else(|| at.now.plus(MAX_SESSION_DURATION));
    let identity = Identity::new(Subject::Service { client_id: client_id.clone() }, end);
    Some(Ok(PresentedServiceToken { known, client_id, identity }))
}

/// Returns the cookies of a name that are verified: the first few in order, and of the others as many
/// again whose unverified claims could be valid. Ours may be behind old cookies and those of other
/// hosts.
fn candidates<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
    (kind, limit): (TokenKind, usize),
    at: Scope<'a>,
) -> impl Iterator<Item = &'a [u8]> {
    cookie::raw_values(headers, name)
        .enumerate()
        .filter(move |(index, token)| *index < limit || could_be_valid(token, kind, at))
        .map(|(_, token)| token)
        .take(2 * limit)
}

/// Returns whether the unverified claims of a token could be valid.
fn could_be_valid(token: &[u8], kind: TokenKind, at: Scope<'_>) -> bool {
    let claims = std::str::from_utf8(token).ok().and_then(unverified_claims);
    claims.is_some_and(|claims| {
        claims.kind == kind
            && claims.exp > at.now.as_unix_seconds()
            && at.application.accepted(|audience| claims.aud.contains(audience)).is_some()
    })
}

/// The number of application cookies that are verified. Each costs a signature check.
const MAX_TOKENS: usize = 8;
/// The number of binding cookies that are verified for each of them.
const MAX_BINDINGS: usize = 4;
