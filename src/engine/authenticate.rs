//! From a request to whom it comes from: steps 1 to 5 of a request's way.

use std::sync::Arc;

use http::uri::{PathAndQuery, Uri};
use http::{Extensions, HeaderMap, Method, Request, Version};

use crate::address::client_address;
use crate::application::{
    ApplicationId, CanonicalHost, CanonicalPath, CaseSensitiveOrigin, NotPlaced, PathError,
    Protected,
};
use crate::clock::Timestamp;
use crate::facts::{Circumstances, Person, RequestView, Sender};
use crate::identity::{Identity, Subject};
use crate::service_token::KnownToken;
use crate::token::keys::Refresh;

use super::carrier::Brought;
use super::credential::Credential;
use super::crossing::Crossing;
use super::further::{Further, Presented};
use super::peer::{arrived_uri, is_remainder, is_routed};
use super::rejection::{About, Rejection, RejectionKind};
use super::{Engine, EngineId};

/// What is known of a request once it is authenticated; what its authorization looks at.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    /// Whose it is: another engine does not take it.
    pub(super) engine: EngineId,
    pub(super) host: CanonicalHost,
    pub(super) application: ApplicationId,
    pub(super) credential: Credential,
    pub(super) circumstances: Circumstances,
    /// The service token behind a token that was made for one.
    pub(super) service_token: Option<Arc<KnownToken>>,
    /// Whether any part of a service token was shown, where that is a credential.
    pub(super) shows_service_token: bool,
    pub(super) now: Timestamp,
    /// How many changes there were when it came; see [`Permission`](super::Permission).
    pub(super) changes: u64,
    /// Whether the session of the host lets it in.
    pub(super) crossing: Crossing,
    /// The applications of what else it acts on.
    pub(super) further: Vec<Further>,
}

impl Admission {
    /// Who it is, if that was proved.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.credential.identity()
    }

    /// Lets what else a request shows count, where no policy lets its service token in and that is
    /// not all it is judged by.
    fn takes_other_credential(&mut self, protected: &Protected) -> bool {
        let Credential::ServiceToken(shown) = &self.credential else { return false };
        if shown.otherwise.is_none() || protected.policies.evaluate(&self.facts()).outcome().opens()
        {
            return false;
        }
        let Credential::ServiceToken(shown) = &mut self.credential else { return false };
        let Some(other) = shown.otherwise.take() else { return false };
        self.credential = other;
        true
    }
}

/// Where authentication stands.
#[derive(Debug)]
pub(crate) enum Step {
    Admit(Admission),
    Reject(Rejection),
    /// The issuer's keys are being fetched, or a session is looked up; [`Engine::resume`] afterwards.
    Wait(Box<Pending>),
}

/// A request that waits for keys, or for its session.
#[derive(Debug)]
pub(crate) struct Pending {
    admission: Admission,
    brought: Brought,
    further: Vec<Presented>,
    refresh: Refresh,
}

/// What is left of a [`Pending`] once it need not wait any more.
#[derive(Debug)]
pub(crate) struct Resumption {
    admission: Admission,
    brought: Brought,
    further: Vec<Presented>,
}

impl Resumption {
    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }
}

impl Pending {
    pub(crate) fn split(self) -> (Refresh, Resumption) {
        let Self { admission, brought, further, refresh } = self;
        (refresh, Resumption { admission, brought, further })
    }
}

impl Engine {
    /// Authenticates a request, and leaves it fit for an inner service: identity headers scrubbed,
    /// path in canonical form.
    pub(crate) fn authenticate<B>(&self, request: &mut Request<B>) -> Step {
        self.lasting.follow();
        // First of all, and on every path: nothing below may skip it.
        let in_place = self.role.verifies() && self.carriers.header();
        let mut brought = Brought::take(request.headers_mut(), in_place);
        request.extensions_mut().remove::<Identity>();
        let mut admission = match self.locate(request) {
            Ok(admission) => admission,
            Err((kind, host)) => {
                brought.settle(request.headers_mut(), false);
                let about = About { host, ..About::default() };
                return Step::Reject(self.reject(kind, request, about));
            }
        };
        let further = std::mem::take(&mut admission.further);
        let mut further = self.present(further, &brought, (request, &admission));
        let protected = self.protected(&admission);
        if let Some(name) = protected.and_then(|it| it.application.service_token_header.as_ref()) {
            brought.take_service_token(request.headers_mut(), name);
        }
        admission.shows_service_token = brought.shows_service_token();
        let wait = match self.credential(&admission, request.headers(), &brought, true) {
            Ok(credential) => {
                admission.credential = credential;
                self.cross(request, &mut admission, &brought)
            }
            Err(refresh) => Some(refresh),
        };
        let further_waits = self.authenticate_further(request, &mut further);
        match all_of(wait, further_waits) {
            None => {
                brought.settle(request.headers_mut(), admission.credential.is_assertion());
                admission.further = further.into_iter().map(Presented::into_further).collect();
                self.find_out(&mut admission, request);
                Step::Admit(admission)
            }
            Some(refresh) => Step::Wait(Box::new(Pending { admission, brought, further, refresh })),
        }
    }

    /// Goes on after a wait for keys; does not wait again.
    pub(crate) fn resume<B>(&self, resumption: Resumption, request: &mut Request<B>) -> Admission {
        let Resumption { mut admission, brought, further } = resumption;
        // It took a while.
        admission.now = self.now();
        admission.credential = self
            .credential(&admission, request.headers(), &brought, false)
            .unwrap_or_else(|_| Credential::Refused(RejectionKind::KeysUnavailable));
        self.arrive(&mut admission);
        admission.further = self.resume_further(further, request);
        brought.settle(request.headers_mut(), admission.credential.is_assertion());
        self.find_out(&mut admission, request);
        admission
    }

    /// The application a request of this engine's was admitted for.
    pub(super) fn protected(&self, admission: &Admission) -> Option<&Arc<Protected>> {
        self.directory.get(admission.application)
    }

    /// Canonical host and path, client address, application.
    fn locate<B>(
        &self,
        request: &mut Request<B>,
    ) -> Result<Admission, (RejectionKind, Option<CanonicalHost>)> {
        let host = CanonicalHost::of_request(request.uri(), request.headers())
            .map_err(|_| (RejectionKind::Host, None))?;
        let refuse = |error| (RejectionKind::Path(error), Some(host.clone()));
        // Before HTTP/2 a CONNECT asks for a tunnel to a host: a path in it means nothing.
        if request.method() == Method::CONNECT && request.version() < Version::HTTP_2 {
            return Err(refuse(PathError::NotAbsolute));
        }
        let uri = arrived_uri(request.uri(), request.extensions());
        let path = CanonicalPath::parse_with_ambiguities(uri.path()).map_err(refuse)?;
        // A router outside has chosen a handler by the spelling that arrived: there is no other.
        // (Letter case is that of the digits of escapes alone, which no route is told apart by.)
        if is_routed(request.extensions()) && path.is_respelled() {
            return Err(refuse(PathError::Respelled));
        }
        let application = self.directory.place(&host, &path).map_err(|error| match error {
            NotPlaced::NoApplication => (RejectionKind::NoApplication, Some(host.clone())),
            NotPlaced::Path(error) => refuse(error),
        })?;
        let served = if std::ptr::eq(uri, request.uri()) {
            (path.served() != uri.path()).then(|| with_path(uri, path.served())).transpose()
        } else {
            if !is_remainder(request.uri().path(), path.served(), request.extensions()) {
                self.check_rewritten(&host, request.uri(), application).map_err(refuse)?;
            }
            canonical_uri(request.uri())
        };
        let served = served.map_err(refuse)?;
        let plan =
            self.plan_further(request.method(), request.headers(), &host, (&path, application));
        let plan = plan.map_err(|error| (RejectionKind::Resource(error), Some(host.clone())))?;
        let sender = self.sender(request.headers(), request.extensions());
        // What was judged is what is served.
        if let Some(uri) = served {
            *request.uri_mut() = uri;
        }
        let protected = self.directory.get(application);
        if protected.is_some_and(|it| it.application.case_sensitive_origin) {
            request.extensions_mut().insert(CaseSensitiveOrigin);
        } else {
            request.extensions_mut().remove::<CaseSensitiveOrigin>();
        }
        let mut admission = Admission {
            engine: self.id,
            host,
            application,
            credential: Credential::None,
            circumstances: Circumstances { sender, ..Circumstances::default() },
            service_token: None,
            shows_service_token: false,
            now: self.now(),
            changes: self.lasting.changes().count(),
            crossing: Crossing::None,
            further: Vec::new(),
        };
        if let Some(plan) = plan {
            admission.further = plan.apply(request.headers_mut(), &admission);
        }
        Ok(admission)
    }

    /// Judges the path a request has now, where it is another than the one a router has routed:
    /// both have to belong to one application.
    fn check_rewritten(
        &self,
        host: &CanonicalHost,
        present: &Uri,
        application: ApplicationId,
    ) -> Result<(), PathError> {
        let present = CanonicalPath::parse_with_ambiguities(present.path())?;
        match self.directory.place(host, &present) {
            Ok(placed) if placed == application => Ok(()),
            Ok(_) | Err(NotPlaced::NoApplication) => Err(PathError::Rewritten),
            Err(NotPlaced::Path(error)) => Err(error),
        }
    }

    /// Finds out what the application's policies ask for beside the credential, and removes the
    /// headers that others may have written in the name of a trusted proxy.
    fn find_out<B>(&self, admission: &mut Admission, request: &mut Request<B>) {
        let sender = admission.circumstances.sender;
        self.collect_facts(admission, request);
        for further in &mut admission.further {
            self.collect_facts(&mut further.admission, request);
        }
        self.sources.scrub(request.headers_mut(), sender);
    }

    /// What one application's policies ask for.
    fn collect_facts<B>(&self, admission: &mut Admission, request: &Request<B>) {
        if let Some(protected) = self.protected(admission) {
            self.look_around(admission, protected, request);
            if admission.takes_other_credential(protected) {
                self.look_around(admission, protected, request);
            }
        }
    }

    /// What there is to find out about one credential.
    fn look_around<B>(
        &self,
        admission: &mut Admission,
        protected: &Protected,
        request: &Request<B>,
    ) {
        let verified = match &admission.credential {
            Credential::Token { verified, .. } => Some(verified),
            _ => None,
        };
        let person = verified.and_then(|verified| match verified.identity.subject() {
            Subject::User { email, id } => Some(Person { email: Some(email), user_id: Some(id) }),
            Subject::IncompleteUser { email, id } => {
                Some(Person { email: email.as_ref(), user_id: id.as_deref() })
            }
            Subject::Service { client_id } => {
                admission.service_token = self.service_tokens.known(client_id);
                if let Some(known) = &admission.service_token {
                    self.service_tokens.used(known, admission.now);
                }
                None
            }
        });
        let view = RequestView {
            sender: admission.circumstances.sender,
            headers: request.headers(),
            extensions: request.extensions(),
            person,
            now: admission.now,
        };
        let attributes =
            verified.filter(|_| person.is_some()).and_then(|verified| verified.attributes.as_ref());
        admission.circumstances =
            self.sources.circumstances(&view, &protected.policies, attributes);
    }

    /// Whom a request comes from, as far as addresses go.
    pub(crate) fn sender(&self, headers: &HeaderMap, extensions: &Extensions) -> Sender {
        let sender = self.sender_again(headers, extensions);
        if !sender.is_trusted_proxy
            && let Some(peer) = sender.address
        {
            self.lasting.ignored_forwarding.note(peer, headers, || self.now());
        }
        sender
    }

    /// The same of a request that was looked at before.
    pub(crate) fn sender_again(&self, headers: &HeaderMap, extensions: &Extensions) -> Sender {
        let peer = self.peer.address(extensions);
        Sender {
            address: client_address(peer, headers, &self.trusted_proxies),
            is_trusted_proxy: peer.is_some_and(|peer| self.trusted_proxies.contains(peer)),
        }
    }
}

/// A wait for all of them.
fn all_of(first: Option<Refresh>, further: Vec<Refresh>) -> Option<Refresh> {
    if further.is_empty() {
        return first;
    }
    Some(Refresh::new(async move {
        for refresh in first.into_iter().chain(further) {
            refresh.ended().await;
        }
    }))
}

/// The request target in canonical form, where it is not already.
fn canonical_uri(uri: &Uri) -> Result<Option<Uri>, PathError> {
    let path = CanonicalPath::parse_with_ambiguities(uri.path())?;
    if path.served() == uri.path() {
        return Ok(None);
    }
    with_path(uri, path.served()).map(Some)
}

fn with_path(uri: &Uri, path: &str) -> Result<Uri, PathError> {
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| PathError::Respelled)?);
    Uri::from_parts(parts).map_err(|_| PathError::Respelled)
}
