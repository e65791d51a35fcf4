//! Refusals, and the reason for each verdict.

use std::sync::Arc;

use http::Request;

use crate::application::CompiledApplication;
use crate::facts::report_missing;
use crate::headers;
use crate::policy::{Outcome, Verdict};

use super::super::Engine;
use super::super::credential::Credential;
use super::super::rejection::{Refusal, RejectionDetails, RejectionKind, is_visit};
use super::super::request_context::ApplicationContext;
use super::cors::Cors;

/// Refuses a request at one application.
pub(super) fn refuse_at<B>(
    engine: &Engine,
    request: &Request<B>,
    (context, application): (&ApplicationContext, &Arc<CompiledApplication>),
    (kind, verdict): (RejectionKind, Verdict),
    cors: Option<Box<Cors>>,
) -> Box<Refusal> {
    // Policies may have allowed a request that something else refuses.
    let is_opened = verdict.outcome().grants_access();
    let deny_url = match kind {
        RejectionKind::Denied | RejectionKind::ServiceRequired if !is_opened => {
            application.deny_url(&context.evidence.facts())
        }
        _ => None,
    };
    let details = RejectionDetails {
        host: Some(context.resource.host.clone()),
        application: Some(Arc::clone(application)),
        email: context.evidence.credential.email().map(str::to_owned),
        token_error: context.evidence.credential.token_error(),
        verdict: verdict.id(),
        deny_url: deny_url.map(|url| url.as_str().to_owned()),
        cors,
    };
    let verdict = match kind {
        RejectionKind::LoginRequired if is_opened => Verdict::undecided(Outcome::LoginRequired),
        _ if is_opened => Verdict::undecided(Outcome::Denied),
        _ => verdict,
    };
    let rejection = engine.reject(kind, request, details);
    let audited = Some(application.audited());
    report_missing(verdict.missing_facts(), rejection.reference(), audited);
    Box::new(Refusal::with_verdict(rejection, verdict))
}

/// Refuses a request whose application this engine does not have.
pub(super) fn refuse_unresolved<B>(engine: &Engine, request: &Request<B>) -> Box<Refusal> {
    engine.reject(RejectionKind::Internal, request, RejectionDetails::default()).into()
}

/// Returns the reason to refuse for a verdict.
pub(super) fn kind<B>(
    context: &ApplicationContext,
    application: &CompiledApplication,
    verdict: &Verdict,
    request: &Request<B>,
) -> RejectionKind {
    match (&context.evidence.credential, verdict.outcome()) {
        (Credential::Refused(kind), _) => *kind,
        _ if headers::is_preflight(request.method(), request.headers()) => RejectionKind::Preflight,
        // The issuer would send the same token again.
        (Credential::InvalidToken(token), Outcome::LoginRequired)
            if !token.login_helps && is_visit(request) =>
        {
            RejectionKind::Token(token.kind)
        }
        // A client with a service token, valid or not, is no browser (`service_auth_401_redirect`).
        (_, Outcome::LoginRequired)
            if context.presents_service_token
                && application.application.service_auth_401_redirect =>
        {
            RejectionKind::ServiceRequired
        }
        (_, Outcome::LoginRequired) => RejectionKind::LoginRequired,
        (Credential::None | Credential::InvalidToken(_), _)
            if !application.policies.has_allow() =>
        {
            RejectionKind::ServiceRequired
        }
        _ => RejectionKind::Denied,
    }
}
