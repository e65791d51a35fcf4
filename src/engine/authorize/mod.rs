//! From an authenticated request to a verdict: step 6, and what the inner service sees.

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
use super::caching::CachePolicy;
use super::permission::{Asked, Permission};
use super::rejection::{About, Rejection, RejectionKind};
use super::renewal::{self, Renewal};
use super::request_context::{RequestContext, Scope};

/// How a request goes on.
#[derive(Debug)]
pub(crate) enum Authorization {
    /// To the inner service, whose response says what `cors` is.
    Allowed {
        verdict: Verdict,
        /// Who may store the response.
        caching: CachePolicy,
        cors: Option<Box<Cors>>,
        /// Whether it may go on; none where nobody was asked.
        permission: Option<Permission>,
        /// What a service token was exchanged for.
        cookie: Option<Box<HeaderValue>>,
        /// A fresh token for the response, where one is due.
        renewal: Option<Box<Renewal>>,
    },
    /// No further: a preflight that is answered here.
    Answered(Box<ResponseBytes>),
    Refused(Box<Refusal>),
}

/// A refusal, and the verdict it goes with.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) rejection: Rejection,
    pub(crate) verdict: Option<Verdict>,
}

impl Engine {
    /// Decides, and on access leaves identity and headers for the inner service. `Err` asks for a
    /// wait, if there may be one, and to be asked again then.
    pub(crate) fn authorize<B>(
        &self,
        request: &mut Request<B>,
        mut context: RequestContext,
        may_wait: bool,
    ) -> Result<Authorization, Deferred<RequestContext>> {
        let Some(application) = self.directory.get(context.target.resource.application) else {
            return Ok(Authorization::Refused(refuse_unresolved(self, request)));
        };
        if !may_wait {
            // It took a while.
            context.receipt.now = self.now();
        }
        let settings = application.application.cors_headers.as_deref();
        let cors = settings.map(|settings| Box::new(Cors::of(settings, request.headers())));
        let asked = (request.method(), request.headers());
        let verdict = match BeforePolicies::decide(&application.application, asked, cors.as_deref())
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
                    &context,
                    application,
                    (kind, verdict, cors),
                ));
            }
            BeforePolicies::Unchecked => {
                strip_identity(request, application, &context);
                Verdict::undecided(Outcome::Bypassed)
            }
            BeforePolicies::Judged => {
                let at = (application, &context.receipt);
                match judge::judge(self, &mut context.target, at, may_wait) {
                    Ok(verdict) => verdict,
                    Err(wait) => return Err(wait_for_all(self, wait, request, context)),
                }
            }
        };
        if !verdict.outcome().opens() {
            let kind = refuse::kind(&context.target, application, &verdict, request);
            return Ok(refuse_target(self, request, &context, application, (kind, verdict, cors)));
        }
        match judge_further(self, request, &mut context, cors.as_deref(), may_wait) {
            Ok(None) => {}
            Ok(Some(refusal)) => return Ok(Authorization::Refused(refusal)),
            Err(wait) => return Err(after(wait, context)),
        }
        // A request that nobody was asked about has no identity to admit.
        let admitted = match verdict.policy() {
            None => Ok(None),
            Some(_) => admit::admit(self, request, &mut context, application, &verdict),
        };
        Ok(match admitted {
            Ok(cookie) => allow(self, request, context, application, (verdict, cors, cookie)),
            Err(kind) => refuse_target(self, request, &context, application, (kind, verdict, cors)),
        })
    }

    /// The refusal of a request that no `AuthenticateLayer` has seen.
    pub(crate) fn refuse_unauthenticated<B>(&self, request: &Request<B>) -> Rejection {
        tracing::error!("an AuthorizeLayer stands without an AuthenticateLayer outside it");
        self.reject(RejectionKind::NotAuthenticated, request, About::default())
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

fn allow<B>(
    engine: &Engine,
    request: &mut Request<B>,
    context: RequestContext,
    application: &Arc<CompiledApplication>,
    (verdict, cors, cookie): (Verdict, Option<Box<Cors>>, Option<Box<HeaderValue>>),
) -> Authorization {
    let caching = cache_policy(&verdict, &context, &application.application);
    let renewal = match caching {
        // It is nobody's response: it sets nobody's cookie.
        CachePolicy::Unchanged => None,
        CachePolicy::SharedByName | CachePolicy::Private => {
            let at = Scope::new(application, &context.target.resource.host, &context.receipt);
            renewal::renewal(engine, request, &context.target.evidence.credential, at, &verdict)
        }
    };
    let permission = verdict.policy().is_some().then(|| {
        let asked = Asked::of(request, &context);
        Permission::new(engine.lasting.oversight.near(), context, asked)
    });
    if let Some(permission) = &permission
        && headers::is_upgrade(request.method(), request.headers())
    {
        request.extensions_mut().insert(permission.clone());
    }
    Authorization::Allowed { verdict, caching, cors, permission, cookie, renewal }
}

/// Leaves nothing of an identity on a request that goes on unchecked.
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
    // Whose it is was not asked.
    cookie::withhold(request.headers_mut(), Some(b""));
}

/// The request once a wait is over.
fn after(wait: Deferred, context: RequestContext) -> Deferred<RequestContext> {
    Deferred::new(async {
        wait.await;
        context
    })
}

/// Who may store the response to a request that was let in. Only what every stranger would get as
/// well is anybody's.
fn cache_policy(
    verdict: &Verdict,
    context: &RequestContext,
    application: &Application,
) -> CachePolicy {
    let is_public = verdict.outcome() == Outcome::Bypassed
        // What further applications were asked for, not every stranger may do.
        && context.further.is_empty()
        // None: an `OPTIONS` request, which passes whoever sends it.
        && verdict.policy().is_none_or(PolicyRef::is_public);
    if is_public {
        CachePolicy::Unchanged
    } else if application.allows_shared_caching {
        CachePolicy::SharedByName
    } else {
        CachePolicy::Private
    }
}
