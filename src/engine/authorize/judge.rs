//! Evaluates the policies of an application, with facts from external evaluators and the issuer.
//!
//! Their responses are cached; a request waits only if none is cached and it could change the verdict.

use std::sync::Arc;

use crate::application::CompiledApplication;
use crate::facts::{Bearer, GetIdentity};
use crate::login::{EvaluationContext, Evaluations};
use crate::policy::{EvaluatorResults, Verdict};
use crate::util::deferred::Deferred;

use super::super::credential::Credential;
use super::super::request_context::{ApplicationContext, Evidence, Receipt, Scope};
use super::super::session_facts::ask_session;
use super::super::{Engine, Role};

/// Judges a request at one application, or returns a wait. Call again after the wait; it does not wait
/// again.
pub(in crate::engine) fn judge(
    engine: &Engine,
    context: &mut ApplicationContext,
    (application, receipt): (&Arc<CompiledApplication>, &Receipt),
    may_wait: bool,
) -> Result<Verdict, Deferred> {
    loop {
        let at = Scope::new(application, &context.resource.host, receipt);
        let verdict = judge_evidence(engine, &mut context.evidence, at, may_wait)?;
        if verdict.outcome().grants_access() || !context.fall_back() {
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
    evidence.facts.evaluations = cached_answers(engine, evidence, at);
    let verdict = at.application.policies.evaluate(&evidence.facts());
    if !may_wait || !Evaluations::could_change_outcome(&verdict) {
        return Ok(verdict);
    }
    about_person(engine, evidence, at, |evaluations, about| evaluations.ask(about))
        .flatten()
        .map_or(Ok(verdict), Err)
}

/// Adds the facts that the issuer knows about the user, if policies need them.
fn ask_issuer(
    engine: &Engine,
    evidence: &mut Evidence,
    at: Scope<'_>,
    may_wait: bool,
) -> Result<(), Deferred> {
    let Some(issuer) = engine.role.get_identity() else { return Ok(()) };
    if !GetIdentity::is_needed_by(&at.application.policies) {
        return Ok(());
    }
    let Credential::Token { verified, .. } = &evidence.credential else { return Ok(()) };
    // Without an email address the response cannot be matched to the user.
    let (Some(email), Some(token)) = (verified.identity.address(), verified.assertion()) else {
        return Ok(());
    };
    let bearer = Bearer { token, email, attributes: verified.attributes() };
    if let Some(known) = issuer.look(bearer, at.now, may_wait)? {
        evidence.facts.merge(&known);
    }
    Ok(())
}

/// Returns the cached answers of evaluators, if rules need them.
fn cached_answers(engine: &Engine, evidence: &Evidence, at: Scope<'_>) -> Option<EvaluatorResults> {
    if at.application.policies.evaluators().is_empty() {
        return None;
    }
    about_person(engine, evidence, at, |evaluations, about| evaluations.cached(about))
}

/// Calls the evaluations for a user who is logged in.
fn about_person<T>(
    engine: &Engine,
    evidence: &Evidence,
    at: Scope<'_>,
    ask: impl FnOnce(&Evaluations, &EvaluationContext<'_>) -> T,
) -> Option<T> {
    let Role::Issuing(issuing) = &engine.role else { return None };
    let identity = match &evidence.credential {
        Credential::Token { verified, .. } => &verified.identity,
        Credential::Session(session) => &session.identity,
        _ => return None,
    };
    let issuer = issuing.login.issuer_name(at.host);
    let about = EvaluationContext {
        session: identity.session_id()?,
        email: identity.address()?,
        protected: at.application,
        issuer: &issuer,
        now: at.now,
    };
    Some(ask(&issuing.login.evaluations, &about))
}
