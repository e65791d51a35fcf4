//! Access of a request that goes on after it was allowed: a WebSocket, a stream of events, a
//! download.
//!
//! Every revocation and every new configuration is a *change*. At each change all open responses
//! are judged again, by the engine in force and the request context of their arrival. A response
//! that would not be allowed any more is closed.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::thread::LocalKey;

use http::header::{ACCEPT, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request};

use crate::application::{CanonicalHost, CanonicalPath, CompiledApplication};
use crate::audit::{self, Event, EventKind};
use crate::headers;
use crate::identity::{Identity, Subject};
use crate::util::recycled::{Recycle, Recycled, Rooms};

use super::authenticate::verify::{self, TokenCheck};
use super::authorize::judge;
use super::credential::Credential;
use super::peer::arrived_uri;
use super::rejection::{Rejection, RejectionDetails, RejectionKind};
use super::request_context::{ApplicationContext, Evidence, Receipt, RequestContext, Scope};
use super::revocation_watch::LocalRevocationWatch;
use super::session_facts::admits_login;
use super::verified::Verified;
use super::{Engine, EngineId};

/// The access of an allowed request, until it is revoked.
///
/// The extensions of a request that asks for an upgrade, such as a WebSocket, hold one: the layers
/// do not see the connection after the response, so the code that serves it has to end it. (The
/// layers end long response bodies themselves.)
///
/// ```
/// use tower_access::AccessGrant;
///
/// async fn serve(grant: AccessGrant, connection: impl Future<Output = ()>) {
///     tokio::select! {
///         () = connection => {}
///         () = grant.revoked() => println!("closed: access revoked"),
///     }
/// }
/// ```
///
/// An expiring token revokes nothing: an open connection stays open until a revocation or a new
/// configuration closes it.
#[derive(Clone)]
pub struct AccessGrant(Arc<ContextBox>);

impl AccessGrant {
    /// Returns whether the request would still be allowed. Costs a few atomic loads while nothing has
    /// changed.
    #[must_use]
    pub fn is_in_force(&self) -> bool {
        self.0.is_in_force()
    }

    /// Waits until access is revoked. Returns as well when the last [`Access`](super::Access) of this
    /// engine is dropped.
    pub async fn revoked(&self) {
        self.wait_while(|granted| granted.revocation_watch.engine().is_some()).await;
    }

    /// Waits until access is revoked, and forever when the last `Access` is dropped: a response may
    /// outlive its service.
    async fn until_revoked(&self) {
        self.wait_while(|_| true).await;
    }

    async fn wait_while(&self, is_watched: impl Fn(&Granted) -> bool) {
        let Some(granted) = self.0.granted() else { return };
        // Subscribes before the first check, so that no change is missed.
        let mut changes = granted.revocation_watch.changes.listen();
        while self.is_in_force() && is_watched(granted) && changes.changed().await.is_ok() {}
    }
}

impl fmt::Debug for AccessGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.get().map(|context| &context.target.resource.host);
        let is_revoked = self.0.granted().map(|granted| &granted.is_revoked);
        f.debug_struct("AccessGrant")
            .field("host", &host)
            .field("is_revoked", &is_revoked)
            .finish_non_exhaustive()
    }
}

/// The context of a request, in the allocation that goes through the layers with the request. Once the
/// request is allowed, it holds what its grant needs as well.
#[derive(Clone, Debug)]
pub(crate) struct ContextBox(Recycled<RequestState>);

#[derive(Clone, Debug)]
struct RequestState {
    context: RequestContext,
    /// `None` until the request is allowed.
    granted: Option<Granted>,
}

thread_local! {
    static ROOMS: Rooms<RequestState> = const { RefCell::new(Vec::new()) };
}

impl Recycle for RequestState {
    fn rooms() -> &'static LocalKey<Rooms<Self>> {
        &ROOMS
    }
}

/// What is needed to judge an allowed request again.
struct Granted {
    revocation_watch: LocalRevocationWatch,
    request: OriginalRequest,
    /// The number of changes at the last check.
    checked_at: AtomicU64,
    is_revoked: AtomicBool,
}

impl ContextBox {
    pub(super) fn new(context: RequestContext) -> Self {
        Self(Recycled::new(RequestState { context, granted: None }))
    }

    /// Returns the context; `None` after [`take`](Self::take).
    pub(super) fn get(&self) -> Option<&RequestContext> {
        self.0.get().map(|state| &state.context)
    }

    /// Returns the context, mutable; `None` after [`take`](Self::take).
    pub(super) fn get_mut(&mut self) -> Option<&mut RequestContext> {
        self.0.get_mut().map(|state| &mut state.context)
    }

    /// Moves the context out of here.
    pub(crate) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    /// Returns the identity of the client, if it is proved.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.get()?.identity()
    }

    /// Returns whether this engine made the context.
    pub(super) fn belongs_to(&self, engine: EngineId) -> bool {
        self.get().is_some_and(|context| context.receipt.engine == engine)
    }

    fn granted(&self) -> Option<&Granted> {
        self.0.get()?.granted.as_ref()
    }

    /// Returns the refusal of a request whose access was revoked before its response: a redirect to
    /// the login if the session of a user was revoked, as for the next request.
    fn refusal(&self) -> Option<Rejection> {
        let RequestState { context, granted } = self.0.get()?;
        let Granted { revocation_watch, request, .. } = granted.as_ref()?;
        let engine = revocation_watch.engine()?;
        let RequestContext { target, receipt, .. } = context;
        let application = application_of(&engine, &target.resource.host, request.path()).cloned();
        let is_revoked = |application: &Arc<CompiledApplication>| {
            application.policies.has_allow()
                && current_evidence(&engine, target, receipt, application).is_none()
        };
        let kind = match &application {
            Some(application) if request.by_person && is_revoked(application) => {
                RejectionKind::LoginRequired
            }
            _ => RejectionKind::Denied,
        };
        let details = RejectionDetails {
            host: Some(target.resource.host.clone()),
            application,
            email: target.evidence.credential.email().map(str::to_owned),
            ..RejectionDetails::default()
        };
        Some(engine.reject(kind, &request.rebuild(), details))
    }

    /// Returns whether the request would still be allowed; `false` for one that was not allowed.
    fn is_in_force(&self) -> bool {
        let Some(RequestState { context, granted: Some(granted) }) = self.0.get() else {
            return false;
        };
        if granted.is_revoked.load(Ordering::Acquire) {
            return false;
        }
        let count = granted.revocation_watch.changes.count();
        if granted.checked_at.load(Ordering::Acquire) == count {
            return true;
        }
        let engine = granted.revocation_watch.engine();
        let is_allowed =
            engine.is_some_and(|engine| is_still_allowed(&engine, context, &granted.request));
        if is_allowed {
            granted.checked_at.store(count, Ordering::Release);
        } else if !granted.is_revoked.swap(true, Ordering::AcqRel) {
            audit::record(
                &Event::new(EventKind::ResponseClosed)
                    .host(context.target.resource.host.as_str())
                    .email(context.target.evidence.credential.email()),
            );
        }
        is_allowed
    }
}

/// A copy has not been checked since the original.
impl Clone for Granted {
    fn clone(&self) -> Self {
        let Self { revocation_watch, request, checked_at, is_revoked } = self;
        Self {
            revocation_watch: Arc::clone(revocation_watch),
            request: request.clone(),
            checked_at: AtomicU64::new(checked_at.load(Ordering::Acquire)),
            is_revoked: AtomicBool::new(is_revoked.load(Ordering::Acquire)),
        }
    }
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted").field("is_revoked", &self.is_revoked).finish_non_exhaustive()
    }
}

/// The grant of an allowed request, while it is under way. It is shared only if somebody else needs it:
/// the code that serves an upgraded connection, or the wait of a response that is streaming.
#[derive(Debug)]
pub(crate) enum Grant {
    Own(ContextBox),
    Shared(AccessGrant),
}

impl Grant {
    /// Grants access to a request as it was judged.
    pub(super) fn new(
        revocation_watch: LocalRevocationWatch,
        mut context: ContextBox,
        request: OriginalRequest,
    ) -> Self {
        if let Some(state) = context.0.get_mut() {
            // The first check covers changes since the request arrived.
            let checked_at = AtomicU64::new(state.context.receipt.changes);
            let is_revoked = AtomicBool::new(false);
            state.granted = Some(Granted { revocation_watch, request, checked_at, is_revoked });
        }
        Self::Own(context)
    }

    /// Returns the grant for others.
    pub(crate) fn share(&mut self) -> AccessGrant {
        match self {
            Self::Own(context) => {
                let shared = AccessGrant(Arc::new(context.take()));
                *self = Self::Shared(shared.clone());
                shared
            }
            Self::Shared(shared) => shared.clone(),
        }
    }

    fn context(&self) -> &ContextBox {
        match self {
            Self::Own(context) => context,
            Self::Shared(AccessGrant(context)) => context,
        }
    }

    /// Returns whether the request would still be allowed; see [`AccessGrant::is_in_force`].
    pub(crate) fn is_in_force(&self) -> bool {
        self.context().is_in_force()
    }

    /// Returns the refusal of a request whose access was revoked before its response.
    pub(crate) fn refusal(&self) -> Option<Rejection> {
        self.context().refusal()
    }
}

/// What is needed of a request to refuse it later.
#[derive(Clone)]
pub(super) struct OriginalRequest {
    method: Method,
    target: Option<PathAndQuery>,
    /// Whether the request comes from a browser that shows the response to its user.
    by_person: bool,
}

impl OriginalRequest {
    pub(super) fn new<B>(request: &Request<B>, context: &RequestContext) -> Self {
        let uri = arrived_uri(request.uri(), request.extensions());
        Self {
            method: request.method().clone(),
            target: uri.path_and_query().cloned(),
            // Other credentials come from programs: their headers need not be examined.
            by_person: context.target.evidence.credential.is_cookie()
                && headers::is_user_initiated(request.headers()),
        }
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("/", PathAndQuery::path)
    }

    /// Rebuilds as much of the request as is known.
    fn rebuild(&self) -> Request<()> {
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

/// A grant that is polled along with a response body.
pub(crate) struct GrantWatch {
    grant: Grant,
    /// Created at the first wait, which most responses never reach.
    revocation: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl GrantWatch {
    pub(crate) fn new(grant: Grant) -> Self {
        Self { grant, revocation: None }
    }

    /// Returns whether the request would still be allowed.
    pub(crate) fn is_in_force(&self) -> bool {
        self.grant.is_in_force()
    }

    /// Polls for the revocation.
    pub(crate) fn poll_revoked(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let grant = &mut self.grant;
        let revocation = self.revocation.get_or_insert_with(|| {
            let grant = grant.share();
            Box::pin(async move { grant.until_revoked().await })
        });
        ready!(revocation.as_mut().poll(context));
        self.revocation = None;
        Poll::Ready(())
    }
}

impl fmt::Debug for GrantWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.grant.fmt(f)
    }
}

/// Returns whether an allowed request would be allowed now.
fn is_still_allowed(engine: &Engine, context: &RequestContext, request: &OriginalRequest) -> bool {
    let RequestContext { target, further, receipt } = context;
    let mut all = std::iter::once(target).chain(further);
    all.all(|context| {
        let path = context.resource.path.as_deref().unwrap_or_else(|| request.path());
        is_still_allowed_at(engine, context, receipt, path)
    })
}

/// Returns whether the application of a path would allow a request now.
fn is_still_allowed_at(
    engine: &Engine,
    context: &ApplicationContext,
    receipt: &Receipt,
    path: &str,
) -> bool {
    let Some(application) = application_of(engine, &context.resource.host, path) else {
        return false;
    };
    let Some(evidence) = current_evidence(engine, context, receipt, application) else {
        return false;
    };
    let receipt = Receipt { now: engine.now(), ..*receipt };
    let mut context = ApplicationContext { evidence, fallback: None, ..context.clone() };
    // Facts about the user that are not cached count as missing, and missing facts open nothing.
    judge::judge(engine, &mut context, (application, &receipt), false)
        .is_ok_and(|verdict| verdict.outcome().grants_access())
}

fn application_of<'e>(
    engine: &'e Engine,
    host: &CanonicalHost,
    path: &str,
) -> Option<&'e Arc<CompiledApplication>> {
    let path = CanonicalPath::parse_with_ambiguities(path).ok()?;
    engine.applications.get(engine.applications.locate(host, &path).ok()?)
}

/// Returns the evidence as of now; `None` if its credential is invalid by now.
fn current_evidence(
    engine: &Engine,
    context: &ApplicationContext,
    receipt: &Receipt,
    application: &Arc<CompiledApplication>,
) -> Option<Evidence> {
    let at = Scope::new(application, &context.resource.host, receipt);
    let mut evidence = context.evidence.clone();
    evidence.update_attributes(engine.now())?;
    match &mut evidence.credential {
        Credential::None | Credential::InvalidToken(_) | Credential::Refused(_) => {}
        // Replaced by a token when the request was allowed.
        Credential::Session(_) => return None,
        Credential::Token { verified, .. } => {
            let check = TokenCheck::now(at);
            let takes_login = || admits_login(engine, verified, Some(&evidence.facts), check);
            if !verified.identity.is_service() && !takes_login().unwrap_or(false) {
                return None;
            }
            require_valid(engine, verified, TokenCheck::now(at))?;
            if let Subject::Service { client_id } = verified.identity.subject() {
                evidence.service_token = engine.service_tokens.known(client_id);
            }
        }
        Credential::Linked(linked) => {
            let at = at.with_application(&linked.application);
            let check = TokenCheck { is_linked: true, ..TokenCheck::now(at) };
            require_valid(engine, &linked.verified, check)?;
        }
        Credential::ServiceToken(presented) => {
            // It may be renamed or disabled by now.
            let known = engine.service_tokens.known(&presented.client_id);
            presented.known = known.filter(|known| {
                known.token.is_valid(engine.now()) && known.is_continued_from(&presented.known)
            })?;
        }
    }
    Some(evidence)
}

/// Returns `None` if a token is invalid for this application by now.
fn require_valid(engine: &Engine, verified: &Verified, check: TokenCheck<'_>) -> Option<()> {
    let is_good = verified.is_for(check.at.application)
        && verify::check_revocation(engine, verified, check).is_ok();
    is_good.then_some(())
}
