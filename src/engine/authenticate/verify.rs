//! Verification of a token for an application: from the cache, or by a full check.

use std::sync::Arc;

use crate::application::CompiledApplication;
use crate::audit::{self, Event, EventKind};
use crate::clock::Timestamp;
use crate::identity::{Identity, Subject};
use crate::metrics;
use crate::session::TokenSubject;
use crate::token::keys::{KeySet, KeySource};
use crate::token::{
    ClaimName, Jws, TokenError, TokenErrorKind, TokenKind, UnusableClaims, UnusableReason,
};
use crate::util::deferred::Deferred;

use super::super::request_context::Scope;
use super::super::verified::{IssuerName, Verified};
use super::super::{Engine, Role};

/// The scope and mode of a token check.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct TokenCheck<'a> {
    pub(in crate::engine) at: Scope<'a>,
    /// Whether the check may ask to wait for keys.
    pub(in crate::engine) may_wait: bool,
    /// Whether the token is presented to another application than the one it was made for.
    pub(in crate::engine) is_linked: bool,
}

impl<'a> TokenCheck<'a> {
    /// Returns a check that does not wait, of a token for the application itself.
    pub(in crate::engine) fn now(at: Scope<'a>) -> Self {
        Self { at, may_wait: false, is_linked: false }
    }
}

/// The result of a token check.
#[derive(Debug)]
pub(in crate::engine) enum Verification {
    Valid(Arc<Verified>),
    Invalid(TokenErrorKind),
    /// Its key is unknown, and a refresh of the keys is under way.
    Wait(Deferred),
}

/// Verifies a token of this kind for an application, and counts refused tokens.
pub(in crate::engine) fn verify(
    engine: &Engine,
    token: &[u8],
    kind: TokenKind,
    check: TokenCheck<'_>,
) -> Verification {
    let verification = examine(engine, token, kind, check);
    if let Verification::Invalid(kind) = &verification {
        metrics::token_refused(kind.as_str());
    }
    verification
}

/// Verifies a token as [`verify`] does, without counting.
pub(in crate::engine) fn examine(
    engine: &Engine,
    token: &[u8],
    kind: TokenKind,
    check: TokenCheck<'_>,
) -> Verification {
    let Scope { application, now, .. } = check.at;
    let keys = engine.role.key_source();
    if let Some(known) = engine.shared_state.verified.get(token, |id| keys.is_current(id, now))
        && known.kind == kind
    {
        if !known.is_for(application) {
            return Verification::Invalid(TokenErrorKind::Audience);
        }
        return match recheck(engine, &known, check) {
            Ok(()) => Verification::Valid(known),
            Err(error) => Verification::Invalid(error.kind()),
        };
    }
    match full_check(engine, token, kind, check) {
        Ok(verified) => Verification::Valid(verified),
        Err(Unverified::Wait(refresh)) => Verification::Wait(refresh),
        Err(Unverified::Invalid(error)) => Verification::Invalid(error.kind()),
    }
}

fn full_check(
    engine: &Engine,
    token: &[u8],
    kind: TokenKind,
    check: TokenCheck<'_>,
) -> Result<Arc<Verified>, Unverified> {
    let Scope { application, now, .. } = check.at;
    let text = std::str::from_utf8(token).map_err(|_| TokenErrorKind::Encoding)?;
    let jws = Jws::parse(text)?;
    let keys = keys_for(&jws, engine.role.key_source(), now, check.may_wait)?;
    let (claims, mut unusable) = match &engine.role {
        Role::Verifying(_) => jws.verify_foreign(&keys)?,
        Role::Issuing(_) => (jws.verify(&keys)?, UnusableClaims::default()),
    };
    let issuer = issuer_of(engine, check);
    let claims = (claims, &mut unusable);
    let mut verified = Verified::new(text, claims, kind, issuer, application)?;
    // Tokens that this engine issues are complete.
    if !engine.role.verifies()
        && matches!(verified.identity.subject(), Subject::IncompleteUser { .. })
    {
        return Err(TokenErrorKind::Subject.into());
    }
    if engine.role.verifies() && !verified.identity.is_service() {
        let custom = jws.custom_claims();
        if custom.as_ref().is_some_and(|it| !it.is_object() && !it.is_null()) {
            unusable.push(ClaimName::Custom, UnusableReason::NoObject);
        }
        if let Some(custom) = custom.as_ref().and_then(serde_json::Value::as_object) {
            verified.set_custom_claims(custom);
        }
    }
    recheck(engine, &verified, check)?;
    report_unusable(&unusable, &verified.identity, application);
    // Only valid tokens are cached, so that nobody can fill the cache with others.
    engine.shared_state.verified.insert(keys.id(), &verified);
    Ok(Arc::new(verified))
}

/// Checks what may have changed since the signature was checked.
fn recheck(engine: &Engine, verified: &Verified, check: TokenCheck<'_>) -> Result<(), TokenError> {
    verified.lifetime.check(check.at.now, engine.leeway)?;
    check_revocation(engine, verified, check)
}

/// Checks issuer, subject and revocations of a token, and ignores its expiry.
pub(in crate::engine) fn check_revocation(
    engine: &Engine,
    verified: &Verified,
    check: TokenCheck<'_>,
) -> Result<(), TokenError> {
    let Scope { application, now, .. } = check.at;
    if !issuer_of(engine, check).is(&verified.issuer) {
        return Err(TokenErrorKind::Issuer.into());
    }
    if is_for_an_origin(engine, verified) {
        return Err(TokenErrorKind::Subject.into());
    }
    let is_revoked = |audience: &str| {
        engine.shared_state.revocations.is_revoked(TokenSubject {
            session: verified.identity.session_id(),
            email: verified.identity.email(),
            audience,
            issued_at: verified.issued_at,
        })
    };
    let is_revoked = match verified.all_audiences.as_deref() {
        None => is_revoked(verified.audience.as_str()),
        // Revoked for one of the accepted audiences is revoked.
        Some(all) => {
            let is_accepted =
                |it: &&str| application.accepted(|accepted| accepted == *it).is_some();
            all.iter().filter(is_accepted).any(is_revoked)
        }
    };
    if is_revoked || !is_valid_subject(engine, verified, now) {
        return Err(TokenErrorKind::Revoked.into());
    }
    Ok(())
}

fn issuer_of<'a>(engine: &'a Engine, check: TokenCheck<'a>) -> IssuerName<'a> {
    match &engine.role {
        Role::Verifying(verifying) => IssuerName::Fixed(&verifying.issuer),
        Role::Issuing(issuing) => match issuing.issuer_name(check.at.host) {
            IssuerName::OfHost(origins, _) if check.is_linked => {
                IssuerName::OfApplication(origins, check.at.application)
            }
            name => name,
        },
    }
}

/// Returns whether this engine made the token for an origin, on behalf of a user who did not log in to
/// this application: it names no session, and is invalid as a credential.
fn is_for_an_origin(engine: &Engine, verified: &Verified) -> bool {
    !engine.role.verifies()
        && verified.kind == TokenKind::Application
        && !verified.identity.is_service()
        && verified.identity.session_id().is_none()
}

/// Returns whether the service token behind a token is still valid: not disabled, and, in an engine that
/// issues, known.
fn is_valid_subject(engine: &Engine, verified: &Verified, now: Timestamp) -> bool {
    let Subject::Service { client_id } = verified.identity.subject() else { return true };
    match (&engine.role, engine.service_tokens.is_valid(client_id, verified.issued_at, now)) {
        (_, Some(is_good)) => is_good,
        (Role::Verifying(_), None) => true,
        (Role::Issuing(_), None) => false,
    }
}

/// Logs which claims of a verified token are unusable, once for each token that enters the cache.
fn report_unusable(
    unusable: &UnusableClaims,
    identity: &Identity,
    application: &CompiledApplication,
) {
    for (claim, why) in unusable.iter() {
        let event = Event::new(EventKind::ClaimUnusable { claim: &claim, why: &why });
        let event = event.application(application.audited());
        audit::record(&event.email(identity.email()).user_id(identity.user_id()));
    }
}

/// Returns the keys that contain the token's key, or a wait for them.
fn keys_for(
    jws: &Jws<'_>,
    keys: &dyn KeySource,
    now: Timestamp,
    may_wait: bool,
) -> Result<KeySet, Unverified> {
    let matching = || keys.current(now).filter(|set| set.contains(jws.key_id()));
    if let Some(set) = matching() {
        return Ok(set);
    }
    if may_wait && let Some(refresh) = keys.look_for(jws.key_id(), now) {
        return Err(Unverified::Wait(refresh));
    }
    // A refresh may have finished since.
    match (matching(), keys.current(now)) {
        (Some(set), _) => Ok(set),
        (None, Some(_)) => Err(TokenErrorKind::UnknownKey.into()),
        (None, None) => Err(TokenErrorKind::KeysUnavailable.into()),
    }
}

enum Unverified {
    Invalid(TokenError),
    Wait(Deferred),
}

impl From<TokenError> for Unverified {
    fn from(error: TokenError) -> Self {
        Self::Invalid(error)
    }
}

impl From<TokenErrorKind> for Unverified {
    fn from(kind: TokenErrorKind) -> Self {
        Self::Invalid(kind.into())
    }
}
