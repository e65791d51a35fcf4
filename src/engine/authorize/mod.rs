//! Authorization of a request: step 6 of its way, and what the inner service sees.

mod admit;
mod cors;
mod further;
pub(super) mod judge;
mod options;
mod refuse;
mod web_socket_origin;

use std::sync::Arc;

use http::Request;
use http::header::HeaderValue;

use crate::application::{Application, CompiledApplication};
use crate::audit::{self, Event, EventKind};
use crate::headers;
use crate::policy::{Outcome, PolicyRef, Verdict};
use crate::session::cookie;
use crate::util::deferred::Deferred;
use crate::util::response::ResponseBytes;

pub(crate) use self::cors::Cors;
pub(super) use self::options::BeforePolicies;
pub(super) use self::web_socket_origin::is_foreign_upgrade;

use self::further::{judge_further, wait_for_all};
use self::refuse::{refuse_at, refuse_unresolved};
use super::Engine;
use super::access_grant::{ContextBox, Grant, OriginalRequest};
use super::caching::CachePolicy;
use super::rejection::{Refusal, Rejection, RejectionDetails, RejectionKind};
use super::renewal::{self, Renewal};
use super::request_context::{RequestContext, Scope};

/// The result of authorization.
#[derive(Debug)]
pub(crate) enum Authorization {
    /// The request passes to the inner service; its response gets the headers of `cors`.
    Allowed {
        verdict: Verdict,
        /// Who may store the response.
        caching: CachePolicy,
        cors: Option<Box<Cors>>,
        /// `None` if no policy was evaluated.
        grant: Option<Grant>,
        /// The cookie that a service token is exchanged for.
        cookie: Option<Box<HeaderValue>>,
        /// A new token for the response, if one is due.
        renewal: Option<Box<Renewal>>,
    },
    /// A preflight, which the engine answers.
    Answered(Box<ResponseBytes>),
    Refused(Box<Refusal>),
}

impl Engine {
    /// Authorizes a request. Adds identity and headers for the inner service to an allowed request.
    /// `Err` is a wait, if `may_wait`; call again afterwards.
    pub(crate) fn authorize<B>(
        &self,
        request: &mut Request<B>,
        mut context_box: ContextBox,
        may_wait: bool,
    ) -> Result<Authorization, Deferred<ContextBox>> {
        let Some(context) = context_box.get_mut() else {
            return Ok(Authorization::Refused(refuse_unresolved(self, request)));
        };
        let Some(application) = self.applications.get(context.target.resource.application) else {
            return Ok(Authorization::Refused(refuse_unresolved(self, request)));
        };
        if !may_wait {
            // The wait took time.
            context.receipt.now = self.now();
        }
        let settings = application.application.cors_headers.as_deref();
        let cors = settings.map(|settings| Box::new(Cors::new(settings, request.headers())));
        let parts = (request.method(), request.headers());
        let verdict = match BeforePolicies::decide(&application.application, parts, cors.as_deref())
        {
            BeforePolicies::Answered(response) => {
                return Ok(Authorization::Answered(Box::new(response)));
            }
            BeforePolicies::Refused => {
                let verdict = Verdict::undecided(Outcome::Denied);
                let kind = RejectionKind::Preflight;
                return Ok(refuse_target(
                    self,
                    request,
                    context,
                    application,
                    (kind, verdict, cors),
                ));
            }
            BeforePolicies::Unchecked => {
                strip_identity(request, application, context);
                Verdict::undecided(Outcome::Bypassed)
            }
            BeforePolicies::Judged => {
                let at = (application, &context.receipt);
                match judge::judge(self, &mut context.target, at, may_wait) {
                    Ok(verdict) => verdict,
                    Err(wait) => {
                        let wait = wait_for_all(self, wait, request, context);
                        return Err(after(wait, context_box));
                    }
                }
            }
        };
        if !verdict.outcome().grants_access() {
            let kind = refuse::kind(&context.target, application, &verdict, request);
            return Ok(refuse_target(self, request, context, application, (kind, verdict, cors)));
        }
        match judge_further(self, request, context, cors.as_deref(), may_wait) {
            Ok(None) => {}
            Ok(Some(refusal)) => return Ok(Authorization::Refused(refusal)),
            Err(wait) => return Err(after(wait, context_box)),
        }
        // Without an evaluated policy there is no identity to pass on.
        let admitted = match verdict.policy() {
            None => Ok(None),
            Some(_) => admit::admit(self, request, context, application, &verdict),
        };
        let cookie = match admitted {
            Ok(cookie) => cookie,
            Err(kind) => {
                let refused = (kind, verdict, cors);
                return Ok(refuse_target(self, request, context, application, refused));
            }
        };
        let caching = cache_policy(&verdict, context, &application.application);
        let renewal = renewal_of(self, request, context, application, (&verdict, caching));
        let original = verdict.policy().map(|_| OriginalRequest::new(request, context));
        let grant = original.map(|original| grant(self, request, context_box, original));
        Ok(Authorization::Allowed { verdict, caching, cors, grant, cookie, renewal })
    }

    /// Refuses a request that passed no `AuthenticateLayer`.
    pub(crate) fn refuse_unauthenticated<B>(&self, request: &Request<B>) -> Rejection {
        tracing::error!("request refused: no AuthenticateLayer outside the AuthorizeLayer");
        self.reject(RejectionKind::NotAuthenticated, request, RejectionDetails::default())
    }
}

fn refuse_target<B>(
    engine: &Engine,
    request: &Request<B>,
    context: &RequestContext,
    application: &Arc<CompiledApplication>,
    (kind, verdict, cors): (RejectionKind, Verdict, Option<Box<Cors>>),
) -> Authorization {
    let at = (&context.target, application);
    Authorization::Refused(refuse_at(engine, request, at, (kind, verdict), cors))
}

/// Returns the renewal of the user's token, if one is due.
fn renewal_of<B>(
    engine: &Engine,
    request: &Request<B>,
    context: &RequestContext,
    application: &Arc<CompiledApplication>,
    (verdict, caching): (&Verdict, CachePolicy),
) -> Option<Box<Renewal>> {
    match caching {
        // The response is the same for everyone, so it sets no user's cookie.
        CachePolicy::Unchanged => None,
        CachePolicy::SharedByName | CachePolicy::Private => {
            let at = Scope::new(application, &context.target.resource.host, &context.receipt);
            renewal::renewal(engine, request, &context.target.evidence.credential, at, verdict)
        }
    }
}

/// Grants access to a request; its extensions get the grant if it asks for an upgrade.
fn grant<B>(
    engine: &Engine,
    request: &mut Request<B>,
    context: ContextBox,
    original: OriginalRequest,
) -> Grant {
    let watch = engine.shared_state.revocation_watch.local();
    let mut grant = Grant::new(watch, context, original);
    if headers::is_upgrade(request.method(), request.headers()) {
        request.extensions_mut().insert(grant.share());
    }
    grant
}

/// Removes every identity from a request that passes unchecked.
fn strip_identity<B>(
    request: &mut Request<B>,
    application: &CompiledApplication,
    context: &RequestContext,
) {
    audit::record(
        &Event::new(EventKind::OptionsPassed)
            .application(application.audited())
            .address(context.receipt.sender.address),
    );
    request.extensions_mut().remove::<crate::identity::Identity>();
    request.headers_mut().remove(headers::JWT_ASSERTION);
    // The token in the cookie was not verified.
    cookie::remove_own_cookies(request.headers_mut(), Some(b""));
}

/// Returns the context after a wait.
fn after(wait: Deferred, context: ContextBox) -> Deferred<ContextBox> {
    Deferred::new(async {
        wait.await;
        context
    })
}

/// Returns who may store the response to an allowed request. Shared caches may store only what every
/// client would get.
fn cache_policy(
    verdict: &Verdict,
    context: &RequestContext,
    application: &Application,
) -> CachePolicy {
    let is_public = verdict.outcome() == Outcome::Bypassed
        // Further applications may refuse other clients.
        && context.further.is_empty()
        // `None`: an `OPTIONS` request, which passes for every client.
        && verdict.policy().is_none_or(PolicyRef::is_public);
    if is_public {
        CachePolicy::Unchanged
    } else if application.allows_shared_caching {
        CachePolicy::SharedByName
    } else {
        CachePolicy::Private
    }
}
