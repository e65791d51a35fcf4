//! What becomes of a request that was let in, as long as it goes on: a WebSocket, a stream of
//! events, a download.
//!
//! Every revocation and every new configuration is a *change*; at each, what is open is judged
//! anew, by what is in force then and what was known of the request when it came. What would not be
//! opened any more is closed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use http::header::{ACCEPT, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request};

use crate::application::{CanonicalHost, CanonicalPath, CompiledApplication};
use crate::audit::{self, Event, EventKind};
use crate::headers;
use crate::identity::Subject;

use super::Engine;
use super::authenticate::verify::{self, TokenCheck};
use super::authorize::judge;
use super::credential::Credential;
use super::oversight::NearOversight;
use super::peer::arrived_uri;
use super::rejection::{About, Rejection, RejectionKind};
use super::request_context::{ApplicationContext, Evidence, Receipt, RequestContext, Scope};
use super::session_facts::admits_login;
use super::verified::Verified;

/// That a request was let in, and whether it still would be.
///
/// Stands in the extensions of requests that ask for an upgrade, a WebSocket say: what goes on after
/// the answer is out of the layers' hands, and whoever carries it on has to listen. (Answers that go
/// on for long the layers end themselves.)
///
/// ```
/// use tower_access::Permission;
///
/// async fn carry(permission: Permission, conversation: impl Future<Output = ()>) {
///     tokio::select! {
///         () = conversation => {}
///         () = permission.ended() => println!("the session was ended, or may not go on"),
///     }
/// }
/// ```
///
/// It does not end when a token expires: who came in on time may stay until somebody says otherwise.
#[derive(Clone)]
pub struct Permission(Arc<Granted>);

struct Granted {
    oversight: NearOversight,
    context: RequestContext,
    asked: Asked,
    /// At how many changes it was last looked at.
    looked_at: AtomicU64,
    has_ended: AtomicBool,
}

impl Permission {
    /// For a request as it was judged.
    pub(super) fn new(oversight: NearOversight, context: RequestContext, asked: Asked) -> Self {
        // What has changed since the request came is looked at first.
        let looked_at = AtomicU64::new(context.receipt.changes);
        let has_ended = AtomicBool::new(false);
        Self(Arc::new(Granted { oversight, context, asked, looked_at, has_ended }))
    }

    /// The refusal of a request whose permission ended before it was answered: to the login, where
    /// a person has none any more, as with the next request.
    pub(crate) fn refusal(&self) -> Option<Rejection> {
        let Granted { oversight, context, asked, .. } = &*self.0;
        let engine = oversight.in_force()?;
        let RequestContext { target, receipt, .. } = context;
        let application = application_of(&engine, &target.resource.host, asked.path()).cloned();
        let is_over = |application: &Arc<CompiledApplication>| {
            application.policies.has_allow()
                && reconsidered(&engine, target, receipt, application).is_none()
        };
        let kind = match &application {
            Some(application) if asked.by_person && is_over(application) => {
                RejectionKind::LoginRequired
            }
            _ => RejectionKind::Denied,
        };
        let about = About {
            host: Some(target.resource.host.clone()),
            protected: application,
            email: target.evidence.credential.email().map(str::to_owned),
            ..About::default()
        };
        Some(engine.reject(kind, &asked.again(), about))
    }

    /// Whether the request would still be let in. Costs next to nothing while nothing has changed.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        let granted = &*self.0;
        if granted.has_ended.load(Ordering::Acquire) {
            return false;
        }
        let count = granted.oversight.changes.count();
        if granted.looked_at.load(Ordering::Acquire) == count {
            return true;
        }
        let opens =
            granted.oversight.in_force().is_some_and(|engine| still_opens(&engine, granted));
        if opens {
            granted.looked_at.store(count, Ordering::Release);
        } else if !granted.has_ended.swap(true, Ordering::AcqRel) {
            audit::record(
                &Event::new(EventKind::ResponseClosed)
                    .host(granted.context.target.resource.host.as_str())
                    .email(granted.context.target.evidence.credential.email()),
            );
        }
        opens
    }

    /// Waits until the request would not be let in any more. Where the last [`Access`](super::Access)
    /// is gone that could say so, it ends as well.
    pub async fn ended(&self) {
        self.ended_while(|| self.0.oversight.in_force().is_some()).await;
    }

    /// Waits until the request would not be let in any more, and for ever where nobody can say so:
    /// an answer is read to its end when the service is gone that gave it.
    async fn revoked(&self) {
        self.ended_while(|| true).await;
    }

    async fn ended_while(&self, is_overseen: impl Fn() -> bool) {
        // Listens before it looks, so that no change falls in between.
        let mut changes = self.0.oversight.changes.listen();
        while self.is_in_force() && is_overseen() && changes.changed().await.is_ok() {}
    }
}

/// What an answer in place of the one that was asked for depends on.
pub(super) struct Asked {
    method: Method,
    target: Option<PathAndQuery>,
    /// Whether a person with a browser will read it, as far as the request says.
    by_person: bool,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>, context: &RequestContext) -> Self {
        let uri = arrived_uri(request.uri(), request.extensions());
        Self {
            method: request.method().clone(),
            target: uri.path_and_query().cloned(),
            // Other credentials are those of programs: that saves looking at their headers.
            by_person: context.target.evidence.credential.is_cookie()
                && headers::is_by_person(request.headers()),
        }
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("/", PathAndQuery::path)
    }

    /// As much of the request as there is.
    fn again(&self) -> Request<()> {
        let mut request = Request::new(());
        request.method_mut().clone_from(&self.method);
        if let Some(target) = &self.target {
            *request.uri_mut() = target.clone().into();
        }
        if self.by_person {
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static("text/html"));
        }
        request
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permission")
            .field("host", &self.0.context.target.resource.host)
            .field("has_ended", &self.0.has_ended)
            .finish_non_exhaustive()
    }
}

/// A permission that is polled beside something else.
pub(crate) struct Watch {
    permission: Permission,
    /// Made when it is waited for the first time: mostly it never is.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl Watch {
    pub(crate) fn new(permission: Permission) -> Self {
        Self { permission, end: None }
    }

    pub(crate) fn permission(&self) -> &Permission {
        &self.permission
    }

    /// Ready when the permission has ended.
    pub(crate) fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let permission = &self.permission;
        let end = self.end.get_or_insert_with(|| {
            let permission = permission.clone();
            Box::pin(async move { permission.revoked().await })
        });
        ready!(end.as_mut().poll(context));
        self.end = None;
        Poll::Ready(())
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.permission.fmt(f)
    }
}

/// Whether a request that was let in would be let in now.
fn still_opens(engine: &Engine, granted: &Granted) -> bool {
    let RequestContext { target, further, receipt } = &granted.context;
    let mut all = std::iter::once(target).chain(further);
    all.all(|context| {
        let path = context.resource.path.as_deref().unwrap_or_else(|| granted.asked.path());
        still_opens_at(engine, context, receipt, path)
    })
}

/// Whether the application of a path would let a request in now.
fn still_opens_at(
    engine: &Engine,
    context: &ApplicationContext,
    receipt: &Receipt,
    path: &str,
) -> bool {
    let Some(application) = application_of(engine, &context.resource.host, path) else {
        return false;
    };
    let Some(evidence) = reconsidered(engine, context, receipt, application) else {
        return false;
    };
    let receipt = Receipt { now: engine.now(), ..*receipt };
    let mut context = ApplicationContext { evidence, fallback: None, ..context.clone() };
    // What nobody remembers of the person is missing, and missing facts open nothing.
    judge::judge(engine, &mut context, (application, &receipt), false)
        .is_ok_and(|verdict| verdict.outcome().opens())
}

fn application_of<'e>(
    engine: &'e Engine,
    host: &CanonicalHost,
    path: &str,
) -> Option<&'e Arc<CompiledApplication>> {
    let path = CanonicalPath::parse_with_ambiguities(path).ok()?;
    engine.directory.get(engine.directory.locate(host, &path).ok()?)
}

/// The evidence as it would be now; `None` when its credential has ended.
fn reconsidered(
    engine: &Engine,
    context: &ApplicationContext,
    receipt: &Receipt,
    application: &Arc<CompiledApplication>,
) -> Option<Evidence> {
    let at = Scope::new(application, &context.resource.host, receipt);
    let mut evidence = context.evidence.clone();
    match &mut evidence.credential {
        Credential::None | Credential::Useless(_) | Credential::Refused(_) => {}
        // It was replaced when it was let in.
        Credential::Session(_) => return None,
        Credential::Token { verified, .. } => {
            let check = TokenCheck::now(at);
            let takes_login = || admits_login(engine, verified, Some(&evidence.facts), check);
            if !verified.identity.is_service() && !takes_login().unwrap_or(false) {
                return None;
            }
            stands(engine, verified, TokenCheck::now(at))?;
            if let Subject::Service { client_id } = verified.identity.subject() {
                evidence.service_token = engine.service_tokens.known(client_id);
            }
        }
        Credential::Linked(linked) => {
            let at = at.with_application(&linked.application);
            let check = TokenCheck { is_linked: true, ..TokenCheck::now(at) };
            stands(engine, &linked.verified, check)?;
        }
        Credential::ServiceToken(presented) => {
            // It may have another name by now, or be off.
            let known = engine.service_tokens.known(&presented.client_id);
            presented.known = known.filter(|known| {
                known.token.is_good(engine.now()) && known.goes_on_from(&presented.known)
            })?;
        }
    }
    Some(evidence)
}

/// Nothing, where a token does not count any more that was made for this application.
fn stands(engine: &Engine, verified: &Verified, check: TokenCheck<'_>) -> Option<()> {
    let is_good = verified.is_for(check.at.application)
        && verify::check_standing(engine, verified, check).is_ok();
    is_good.then_some(())
}
