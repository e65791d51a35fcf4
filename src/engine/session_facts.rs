//! Facts from the session of a user, in an engine that issues: read from the session's record, once for
//! each session, if policies or the allowed login methods need them. Those of a session that is
//! refreshed may change while a response is open.

use std::sync::Arc;

use crate::application::CompiledApplication;
use crate::clock::Timestamp;
use crate::facts::RequestFacts;
use crate::identity::{Attributes, Identity};
use crate::session::KnownAttributes;
use crate::util::deferred::Deferred;

use super::authenticate::verify::TokenCheck;
use super::credential::Credential;
use super::request_context::{Evidence, Scope};
use super::verified::Verified;
use super::{Engine, Role};

/// Adds the facts of the session to the evidence.
pub(super) fn ask_session(
    engine: &Engine,
    evidence: &mut Evidence,
    at: Scope<'_>,
    may_wait: bool,
) -> Result<(), Deferred> {
    let chooses_methods = !at.application.application.allowed_login_methods.is_empty();
    if engine.role.verifies() || !chooses_methods && !at.application.policies.uses_login_facts() {
        return Ok(());
    }
    let known = match (&evidence.credential, engine.role.login()) {
        (Credential::Session(session), Some(login)) => {
            Some(login.sessions.attributes_of(&session.session, at.now))
        }
        (Credential::Token { verified, .. }, _) => {
            known_attributes(engine, &verified.identity, at.now, may_wait)?
        }
        _ => None,
    };
    // An open response keeps them, because it is judged again after a change.
    if let Some(known) = known {
        if let Some(attributes) = known.at(at.now) {
            evidence.facts.set_attributes(&attributes);
        }
        evidence.set_live_attributes(known);
    }
    Ok(())
}

/// Returns whether an application accepts the login behind a user's token. An engine that verifies
/// leaves that to the issuer. `Err` is a wait for the session.
pub(super) fn admits_login(
    engine: &Engine,
    verified: &Verified,
    known: Option<&RequestFacts>,
    check: TokenCheck<'_>,
) -> Result<bool, Deferred> {
    let application = &check.at.application.application;
    if engine.role.verifies() || application.allowed_login_methods.is_empty() {
        return Ok(true);
    }
    if !admits_people(engine, check.at.application) {
        return Ok(false);
    }
    let allows = |attributes: &Attributes| {
        let method = attributes.login_method.as_ref();
        method.map(|method| application.allows_login_method(&method.id))
    };
    let known = known.and_then(|known| known.attributes.as_deref()).and_then(allows);
    if let Some(is_allowed) = known {
        return Ok(is_allowed);
    }
    let attributes = session_attributes(engine, &verified.identity, check.at.now, check.may_wait)?;
    Ok(attributes.as_deref().and_then(allows).unwrap_or(false))
}

/// Returns the attributes of a user's session; `None` if unknown, and for services.
pub(super) fn session_attributes(
    engine: &Engine,
    identity: &Identity,
    now: Timestamp,
    may_wait: bool,
) -> Result<Option<Arc<Attributes>>, Deferred> {
    let known = known_attributes(engine, identity, now, may_wait)?;
    Ok(known.and_then(|known| known.at(now)))
}

fn known_attributes(
    engine: &Engine,
    identity: &Identity,
    now: Timestamp,
    may_wait: bool,
) -> Result<Option<KnownAttributes>, Deferred> {
    let Some(login) = engine.role.login() else { return Ok(None) };
    let (Some(id), Some(email)) = (identity.session_id(), identity.address()) else {
        return Ok(None);
    };
    login.sessions.attributes(id, email, now, may_wait)
}

/// Returns whether an existing login method gives access. An engine that verifies leaves that to the
/// issuer.
pub(super) fn admits_people(engine: &Engine, application: &CompiledApplication) -> bool {
    match &engine.role {
        Role::Verifying(_) => true,
        Role::Issuing(issuing) => issuing.login.methods.offers_login(&application.application),
    }
}
