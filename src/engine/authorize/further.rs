//! The further applications of a request, which have to allow it as well.

use http::Request;

use crate::util::deferred::Deferred;

use super::super::Engine;
use super::super::rejection::Refusal;
use super::super::request_context::{ApplicationContext, Receipt, RequestContext};
use super::admit::{check_page, settle_session};
use super::cors::Cors;
use super::refuse::{refuse_at, refuse_unresolved};
use super::{judge, refuse};

/// Returns the refusal of the first further application that does not allow the request. `Err` is a
/// wait, if `may_wait`; call again afterwards.
pub(super) fn judge_further<B>(
    engine: &Engine,
    request: &Request<B>,
    context: &mut RequestContext,
    cors: Option<&Cors>,
    may_wait: bool,
) -> Result<Option<Box<Refusal>>, Deferred> {
    if context.further.is_empty() {
        return Ok(None);
    }
    let receipt = context.receipt;
    let (mut refusal, mut waits) = (None, Vec::new());
    for further in &mut context.further {
        match judge_resource(engine, request, further, &receipt, (cors, may_wait)) {
            Ok(refused) => refusal = refusal.or(refused),
            Err(wait) => waits.push(wait),
        }
    }
    match (refusal, Deferred::all(waits)) {
        (None, Some(wait)) => Err(wait),
        (refusal, _) => Ok(refusal),
    }
}

/// Waits for what the first application needs, and the further ones.
pub(super) fn wait_for_all<B>(
    engine: &Engine,
    wait: Deferred,
    request: &Request<B>,
    context: &mut RequestContext,
) -> Deferred {
    match judge_further(engine, request, context, None, true) {
        Ok(_) => wait,
        Err(further) => wait.and(further),
    }
}

fn judge_resource<B>(
    engine: &Engine,
    request: &Request<B>,
    context: &mut ApplicationContext,
    receipt: &Receipt,
    (cors, may_wait): (Option<&Cors>, bool),
) -> Result<Option<Box<Refusal>>, Deferred> {
    let Some(application) = engine.applications.get(context.resource.application) else {
        return Ok(Some(refuse_unresolved(engine, request)));
    };
    let verdict = judge::judge(engine, context, (application, receipt), may_wait)?;
    let kind = if verdict.outcome().grants_access() {
        let admitted = settle_session(engine, context, (application, receipt), &verdict)
            .and_then(|()| check_page(engine, request, context));
        match admitted {
            Ok(()) => return Ok(None),
            Err(kind) => kind,
        }
    } else {
        refuse::kind(context, application, &verdict, request)
    };
    let cors = cors.cloned().map(Box::new);
    Ok(Some(refuse_at(engine, request, (context, application), (kind, verdict), cors)))
}
