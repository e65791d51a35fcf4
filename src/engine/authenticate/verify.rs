//! Whether a token opens an application: from the cache, or by a full check.

use std::sync::Arc;

use crate::application::CompiledApplication;
use crate::audit::{self, Event, EventKind};
use crate::clock::Timestamp;
use crate::identity::{Attributes, ClaimValues, Identity, Subject};
use crate::metrics;
use crate::session::Issued;
use crate::token::keys::{KeySet, KeySource};
use crate::token::{
    ClaimName, Jws, TokenError, TokenErrorKind, TokenKind, Unusable, UnusableClaims,
};
use crate::util::deferred::Deferred;

use super::super::request_context::Scope;
use super::super::verified::{IssuerName, Verified};
use super::super::{Engine, Role};

/// What a token is asked about.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct TokenCheck<'a> {
    pub(in crate::engine) at: Scope<'a>,
    /// Whether the answer may be to wait for keys.
    pub(in crate::engine) may_wait: bool,
    /// Whether the token was made for another application than the one that is asked for.
    pub(in crate::engine) is_linked: bool,
}

impl<'a> TokenCheck<'a> {
    /// A check that does not wait, of a token for the application itself.
    pub(in crate::engine) fn now(at: Scope<'a>) -> Self {
        Self { at, may_wait: false, is_linked: false }
    }
}

/// What a check of a token comes to.
#[derive(Debug)]
pub(in crate::engine) enum Verification {
    Good(Arc<Verified>),
    Bad(TokenErrorKind),
    /// Its key is not known, and a refresh that may bring it is under way.
    Wait(Deferred),
}

/// Whether a token of this kind is good for this application.
pub(in crate::engine) fn verify(
    engine: &Engine,
    token: &[u8],
    kind: TokenKind,
    check: TokenCheck<'_>,
) -> Verification {
    let verification = examine(engine, token, kind, check);
    if let Verification::Bad(kind) = &verification {
        metrics::token_refused(kind.as_str());
    }
    verification
}

/// As [`verify`], and nothing is counted.
pub(in crate::engine) fn examine(
    engine: &Engine,
    token: &[u8],
    kind: TokenKind,
    check: TokenCheck<'_>,
) -> Verification {
    let Scope { application, now, .. } = check.at;
    let keys = engine.role.key_source();
    if let Some(known) = engine.lasting.verified.get(token, |id| keys.is_current(id, now))
        && known.kind == kind
    {
        if !known.is_for(application) {
            return Verification::Bad(TokenErrorKind::Audience);
        }
        return match recheck(engine, &known, check) {
            Ok(()) => Verification::Good(known),
            Err(error) => Verification::Bad(error.kind()),
        };
    }
    match full_check(engine, token, kind, check) {
        Ok(verified) => Verification::Good(verified),
        Err(Unverified::Wait(refresh)) => Verification::Wait(refresh),
        Err(Unverified::Bad(error)) => Verification::Bad(error.kind()),
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
    // What we issue is complete.
    if !engine.role.verifies()
        && matches!(verified.identity.subject(), Subject::IncompleteUser { .. })
    {
        return Err(TokenErrorKind::Subject.into());
    }
    if engine.role.verifies() && !verified.identity.is_service() {
        let custom = jws.custom_claims();
        if custom.as_ref().is_some_and(|it| !it.is_object() && !it.is_null()) {
            unusable.push(ClaimName::Custom, Unusable::NoObject);
        }
        let custom = custom.as_ref().and_then(serde_json::Value::as_object);
        verified.attributes = custom.map(|custom| Arc::new(attributes(custom)));
    }
    let verified = Arc::new(verified);
    recheck(engine, &verified, check)?;
    report_unusable(&unusable, &verified.identity, application);
    // Only what is good is kept: nobody fills the cache with anything else.
    engine.lasting.verified.insert(keys.id(), Arc::clone(&verified));
    Ok(verified)
}

/// What may have changed since the signature was checked.
fn recheck(engine: &Engine, verified: &Verified, check: TokenCheck<'_>) -> Result<(), TokenError> {
    verified.lifetime.check(check.at.now, engine.leeway)?;
    check_standing(engine, verified, check)
}

/// Whether a token counts that was made for this application, however old it is by now.
pub(in crate::engine) fn check_standing(
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
        engine.lasting.revocations.cover(Issued {
            session: verified.identity.session_id(),
            email: verified.identity.email(),
            audience,
            issued_at: verified.issued_at,
        })
    };
    let is_revoked = match verified.all_audiences.as_deref() {
        None => is_revoked(verified.audience.as_str()),
        // Ended for one of those that count here is ended.
        Some(all) => {
            let counts = |it: &&str| application.accepted(|accepted| accepted == *it).is_some();
            all.iter().filter(counts).any(is_revoked)
        }
    };
    if is_revoked || !is_good_subject(engine, verified, now) {
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

/// Whether we made it for an origin, of a person who never logged in to this application: that
/// names no session, and proves nothing here.
fn is_for_an_origin(engine: &Engine, verified: &Verified) -> bool {
    !engine.role.verifies()
        && verified.kind == TokenKind::Application
        && !verified.identity.is_service()
        && verified.identity.session_id().is_none()
}

/// A token made from a service token is good while the service token is: while it is switched
/// on where it is known, and known where we issue.
fn is_good_subject(engine: &Engine, verified: &Verified, now: Timestamp) -> bool {
    let Subject::Service { client_id } = verified.identity.subject() else { return true };
    match (&engine.role, engine.service_tokens.is_good(client_id, verified.issued_at, now)) {
        (_, Some(is_good)) => is_good,
        (Role::Verifying(_), None) => true,
        (Role::Issuing(_), None) => false,
    }
}

/// Logs which claims of a verified token are unusable, once for each token that enters the cache.
fn report_unusable(
    unusable: &UnusableClaims,
    identity: &Identity,
    protected: &CompiledApplication,
) {
    for (claim, why) in unusable.iter() {
        let event = Event::new(EventKind::ClaimUnusable { claim: &claim, why: &why });
        let event = event.application(protected.audited());
        audit::record(&event.email(identity.email()).user_id(identity.user_id()));
    }
}

/// What the claim `custom` says: OIDC claims or SAML attributes, as the login method has it, which
/// the token does not name.
fn attributes(custom: &serde_json::Map<String, serde_json::Value>) -> Attributes {
    let claims = ClaimValues::of_hints(custom);
    Attributes {
        oidc_claims: Some(claims.clone()),
        saml_attributes: Some(claims),
        ..Attributes::default()
    }
}

/// The keys that hold the token's, now or after a wait.
fn keys_for(
    jws: &Jws<'_>,
    keys: &dyn KeySource,
    now: Timestamp,
    may_wait: bool,
) -> Result<KeySet, Unverified> {
    let with_the_key = || keys.current(now).filter(|set| set.contains(jws.key_id()));
    if let Some(set) = with_the_key() {
        return Ok(set);
    }
    if may_wait && let Some(refresh) = keys.look_for(jws.key_id(), now) {
        return Err(Unverified::Wait(refresh));
    }
    // A refresh may have ended since.
    match (with_the_key(), keys.current(now)) {
        (Some(set), _) => Ok(set),
        (None, Some(_)) => Err(TokenErrorKind::UnknownKey.into()),
        (None, None) => Err(TokenErrorKind::KeysUnavailable.into()),
    }
}

enum Unverified {
    Bad(TokenError),
    Wait(Deferred),
}

impl From<TokenError> for Unverified {
    fn from(error: TokenError) -> Self {
        Self::Bad(error)
    }
}

impl From<TokenErrorKind> for Unverified {
    fn from(kind: TokenErrorKind) -> Self {
        Self::Bad(kind.into())
    }
}
