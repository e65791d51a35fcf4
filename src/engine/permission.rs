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

use crate::application::{CanonicalHost, CanonicalPath, Protected};
use crate::headers;
use crate::identity::Subject;

use super::Engine;
use super::authenticate::Admission;
use super::credential::{Credential, Place};
use super::oversight::NearOversight;
use super::peer::arrived_uri;
use super::rejection::{About, Rejection, RejectionKind};
use super::verify::{Ask, Verified};

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
    admission: Admission,
    asked: Asked,
    /// At how many changes it was last looked at.
    looked_at: AtomicU64,
    has_ended: AtomicBool,
}

impl Permission {
    /// For a request as it was judged.
    pub(super) fn new(oversight: NearOversight, admission: Admission, asked: Asked) -> Self {
        // What has changed since the request came is looked at first.
        let looked_at = AtomicU64::new(admission.changes);
        let has_ended = AtomicBool::new(false);
        Self(Arc::new(Granted { oversight, admission, asked, looked_at, has_ended }))
    }

    /// The refusal of a request whose permission ended before it was answered: to the login, where
    /// a person has none any more, as with the next request.
    pub(crate) fn refusal(&self) -> Option<Rejection> {
        let Granted { oversight, admission, asked, .. } = &*self.0;
        let engine = oversight.in_force()?;
        let protected = engine.application_of(&admission.host, asked.path()).cloned();
        let has_ended = |protected: &Arc<Protected>| {
            protected.policies.has_allow() && engine.reconsidered(admission, protected).is_none()
        };
        let kind = match &protected {
            Some(protected) if asked.by_person && has_ended(protected) => {
                RejectionKind::LoginRequired
            }
            _ => RejectionKind::Denied,
        };
        let about = About {
            host: Some(admission.host.clone()),
            protected,
            email: admission.credential.email().map(str::to_owned),
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
        let opens = granted.oversight.in_force().is_some_and(|engine| engine.still_opens(granted));
        if opens {
            granted.looked_at.store(count, Ordering::Release);
        } else if !granted.has_ended.swap(true, Ordering::AcqRel) {
            tracing::info!(
                target: "tower_access::audit",
                host = granted.admission.host.as_str(), email = granted.admission.credential.email(),
                "what was open is closed: the session was ended, or may not go on"
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
    pub(super) fn of<B>(request: &Request<B>, admission: &Admission) -> Self {
        let uri = arrived_uri(request.uri(), request.extensions());
        Self {
            method: request.method().clone(),
            target: uri.path_and_query().cloned(),
            // Other credentials are those of programs: that saves looking at their headers.
            by_person: is_in_cookie(&admission.credential)
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

fn is_in_cookie(credential: &Credential) -> bool {
    matches!(credential, Credential::Token { from: Place::Cookie, .. })
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permission")
            .field("host", &self.0.admission.host)
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

impl Engine {
    /// Whether a request that was let in would be let in now.
    fn still_opens(&self, granted: &Granted) -> bool {
        let first = &granted.admission;
        self.still_opens_at(first, granted.asked.path())
            && first.further.iter().all(|it| self.still_opens_at(&it.admission, &it.path))
    }

    /// Whether the application of a path would let a request in now.
    fn still_opens_at(&self, admission: &Admission, path: &str) -> bool {
        let Some(protected) = self.application_of(&admission.host, path) else { return false };
        let Some(mut admission) = self.reconsidered(admission, protected) else { return false };
        // What nobody remembers of the person is missing, and missing facts open nothing.
        self.judge(&mut admission, protected, false).is_ok_and(|verdict| verdict.outcome().opens())
    }

    fn application_of(&self, host: &CanonicalHost, path: &str) -> Option<&Arc<Protected>> {
        let path = CanonicalPath::parse_with_ambiguities(path).ok()?;
        self.directory.get(self.directory.place(host, &path).ok()?)
    }

    /// An admission as it would be now; `None` when its credential has ended.
    fn reconsidered(&self, admission: &Admission, protected: &Protected) -> Option<Admission> {
        let mut reconsidered = admission.clone();
        match &mut reconsidered.credential {
            Credential::None | Credential::Useless(_) | Credential::Refused(_) => {}
            Credential::Token { verified, .. } => {
                let subject = verified.identity.subject();
                let takes_login = || self.admits_login(verified, protected, admission, false);
                if !verified.identity.is_service() && !takes_login().unwrap_or(false) {
                    return None;
                }
                self.stands(verified, (admission, protected), false)?;
                if let Subject::Service { client_id } = subject {
                    reconsidered.service_token = self.service_tokens.known(client_id);
                }
            }
            Credential::Linked(linked) => {
                self.stands(&linked.verified, (admission, &linked.application), true)?;
            }
            Credential::ServiceToken(shown) => {
                // It may have another name by now, or be off.
                let known = self.service_tokens.known(&shown.client_id);
                shown.known = known.filter(|known| {
                    known.token.is_good(self.now()) && known.goes_on_from(&shown.known)
                })?;
            }
        }
        Some(reconsidered)
    }

    /// Nothing, where a token does not count any more that was made for this application.
    fn stands(
        &self,
        verified: &Verified,
        (admission, protected): (&Admission, &Protected),
        is_linked: bool,
    ) -> Option<()> {
        let ask = Ask { admission, protected, may_wait: false, is_linked };
        let is_good = verified.is_for(protected) && self.check_standing(verified, ask).is_ok();
        is_good.then_some(())
    }
}
