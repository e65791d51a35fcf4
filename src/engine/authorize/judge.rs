//! What the policies of an application decide, and what others are asked for that: evaluators, the
//! issuer.
//!
//! What they said before is remembered; a request waits only where nothing is, and where it could
//! make a difference.

use std::sync::Arc;

use crate::application::CompiledApplication;
use crate::facts::{Bearer, GetIdentity};
use crate::login::{About, Evaluations};
use crate::policy::{Answers, Verdict};
use crate::util::deferred::Deferred;

use super::super::credential::Credential;
use super::super::request_context::{ApplicationContext, Evidence, Receipt, Scope};
use super::super::session_facts::ask_session;
use super::super::{Engine, Role};

/// Decides about a request at one application, or says what to wait for first. After a wait it is
/// asked again, and does not wait again.
pub(in crate::engine) fn judge(
    engine: &Engine,
    context: &mut ApplicationContext,
    (application, receipt): (&Arc<CompiledApplication>, &Receipt),
    may_wait: bool,
) -> Result<Verdict, Deferred> {
    loop {
        let at = Scope::new(application, &context.resource.host, receipt);
        let verdict = judge_evidence(engine, &mut context.evidence, at, may_wait)?;
        if verdict.outcome().opens() || !context.fall_back() {
            return Ok(verdict);
        }
    }
}

fn judge_evidence(
    engine: &Engine,
    evidence: &mut Evidence,
    at: Scope<'_>,
    may_wait: bool,
) -> Result<Verdict, Deferred> {
    ask_issuer(engine, evidence, at, may_wait)?;
    ask_session(engine, evidence, at, may_wait)?;
    evidence.facts.evaluations = recalled_answers(engine, evidence, at);
    let verdict = at.application.policies.evaluate(&evidence.facts());
    if !may_wait || !Evaluations::could_turn(&verdict) {
        return Ok(verdict);
    }
    about_person(engine, evidence, at, |evaluations, about| evaluations.ask(about))
        .flatten()
        .map_or(Ok(verdict), Err)
}

/// Lets the issuer tell what it knows of the person, where policies ask for that.
fn ask_issuer(
    engine: &Engine,
    evidence: &mut Evidence,
    at: Scope<'_>,
    may_wait: bool,
) -> Result<(), Deferred> {
    let Some(issuer) = engine.role.get_identity() else { return Ok(()) };
    if !GetIdentity::can_help(&at.application.policies) {
        return Ok(());
    }
    let Credential::Token { verified, .. } = &evidence.credential else { return Ok(()) };
    // Without an address nobody can tell whether the answer is about the same person.
    let (Some(email), Some(token)) = (verified.identity.address(), verified.assertion()) else {
        return Ok(());
    };
    let bearer = Bearer { token, email, attributes: verified.attributes.as_ref() };
    if let Some(known) = issuer.look(bearer, at.now, may_wait)? {
        evidence.facts.merge(&known);
    }
    Ok(())
}

/// What evaluators have said, where rules ask for it.
fn recalled_answers(engine: &Engine, evidence: &Evidence, at: Scope<'_>) -> Option<Answers> {
    if at.application.policies.evaluators().is_empty() {
        return None;
    }
    about_person(engine, evidence, at, |evaluations, about| evaluations.recalled(about))
}

/// Asks evaluators about a person who is logged in.
fn about_person<T>(
    engine: &Engine,
    evidence: &Evidence,
    at: Scope<'_>,
    ask: impl FnOnce(&Evaluations, &About<'_>) -> T,
) -> Option<T> {
    let Role::Issuing(issuing) = &engine.role else { return None };
    let identity = match &evidence.credential {
        Credential::Token { verified, .. } => &verified.identity,
        Credential::Session(session) => &session.identity,
        _ => return None,
    };
    let issuer = issuing.login.issuer_name(at.host);
    let about = About {
        session: identity.session_id()?,
        email: identity.address()?,
        protected: at.application,
        issuer: &issuer,
        now: at.now,
    };
    Some(ask(&issuing.login.evaluations, &about))
}
