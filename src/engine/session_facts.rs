//! What a person's session says of them, where we issue: read from the session's record, once for
//! each session, where policies or the choice of login methods ask for it.

use std::sync::Arc;

use crate::application::CompiledApplication;
use crate::clock::Timestamp;
use crate::facts::{RequestFacts, asks_of_login};
use crate::identity::{Attributes, Identity};
use crate::util::deferred::Deferred;

use super::authenticate::verify::TokenCheck;
use super::credential::Credential;
use super::request_context::{Evidence, Scope};
use super::verified::Verified;
use super::{Engine, Role};

/// Adds what the session says to the facts about a person.
pub(super) fn ask_session(
    engine: &Engine,
    evidence: &mut Evidence,
    at: Scope<'_>,
    may_wait: bool,
) -> Result<(), Deferred> {
    let chooses_methods = !at.application.application.allowed_login_methods.is_empty();
    if engine.role.verifies() || !chooses_methods && !asks_of_login(&at.application.policies) {
        return Ok(());
    }
    let attributes = match &evidence.credential {
        Credential::Session(session) => Some(Arc::clone(session.session.attributes())),
        Credential::Token { verified, .. } => {
            session_attributes(engine, &verified.identity, at.now, may_wait)?
        }
        _ => None,
    };
    // They stay with an open response, which is judged again when something changes.
    if let Some(attributes) = attributes {
        evidence.facts.set_attributes(&attributes);
    }
    Ok(())
}

/// Whether an application takes the login that a person's token was made from. Where somebody
/// else issues the tokens they have seen to it. `Err` asks for a wait.
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

/// What the session of a person says; `None` where nothing is known, and of machines.
pub(super) fn session_attributes(
    engine: &Engine,
    identity: &Identity,
    now: Timestamp,
    may_wait: bool,
) -> Result<Option<Arc<Attributes>>, Deferred> {
    let Some(login) = engine.role.login() else { return Ok(None) };
    let (Some(id), Some(email)) = (identity.session_id(), identity.address()) else {
        return Ok(None);
    };
    login.sessions.attributes(id, email, now, may_wait)
}

/// Whether people may come in by the login methods there are. Where somebody else issues the
/// tokens they have seen to it.
pub(super) fn admits_people(engine: &Engine, application: &CompiledApplication) -> bool {
    match &engine.role {
        Role::Verifying(_) => true,
        Role::Issuing(issuing) => issuing.login.methods.offers_login(&application.application),
    }
}
