//! Authentication of a request: steps 1 to 5 of its way.

mod collect_facts;
mod credential;
mod further;
mod host_session;
mod linked;
mod locate;
mod presented;
mod single_header;
pub(super) mod verify;

use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, Request};

use crate::application::CompiledApplication;
use crate::identity::Identity;
use crate::session::Session;
use crate::util::deferred::Deferred;

use self::collect_facts::collect_facts;
use self::credential::Proof;
use self::further::CoveredResource;
use self::host_session::{SessionLookup, host_session, session_credential};
use self::locate::{LocateRejection, Located};
use self::presented::PresentedCredentials;
use super::access_grant::ContextBox;
use super::credential::Credential;
use super::rejection::{Refusal, RejectionDetails, RejectionKind};
use super::request_context::{ApplicationContext, Receipt, RequestContext, Resource, Scope};
use super::{Engine, EngineId};

/// The result of authentication.
#[derive(Debug)]
pub(crate) enum Authentication {
    /// The request goes on, with or without an identity.
    Done(ContextBox),
    Rejected(Box<Refusal>),
    /// Keys are being fetched, or a session is looked up; [`Engine::resume`] afterwards.
    Deferred(Deferred<Pending>),
}

/// A request whose applications are located, and whose credentials are not verified yet.
#[derive(Debug)]
pub(crate) struct Pending {
    receipt: Receipt,
    target: Presentation,
    further: Vec<Presentation>,
}

impl Pending {
    /// Returns whether this engine received it.
    pub(super) fn belongs_to(&self, engine: EngineId) -> bool {
        self.receipt.engine == engine
    }
}

/// The credentials that a request presents to one application.
#[derive(Debug)]
struct Presentation {
    resource: Resource,
    credentials: PresentedCredentials,
    /// The session of the host, once it is looked up.
    session: Option<Box<Session>>,
}

impl Presentation {
    fn scope<'a>(
        &'a self,
        application: &'a Arc<CompiledApplication>,
        receipt: &Receipt,
    ) -> Scope<'a> {
        Scope::new(application, &self.resource.host, receipt)
    }
}

/// An application, and the credentials that a request presents to it.
type Candidate<'e> = (&'e Arc<CompiledApplication>, Presentation);

/// A candidate whose credentials are verified.
type Proved<'e> = (&'e Arc<CompiledApplication>, Presentation, Proof);

/// The wait for keys, or for the session of the host.
type SessionWait = Deferred<Option<Box<Session>>>;

impl Engine {
    /// Authenticates a request, and prepares it for the inner service: removes identity headers and
    /// brings the path into canonical form.
    pub(crate) fn authenticate<B>(&self, request: &mut Request<B>) -> Authentication {
        self.shared_state.start_tasks();
        // First, on every path: nothing below may skip it.
        let in_place = self.role.verifies() && self.token_locations.header();
        let presented = PresentedCredentials::take(request.headers_mut(), in_place);
        request.extensions_mut().remove::<Identity>();
        let Located { receipt, target, further } = match locate::locate(self, request) {
            Ok(located) => located,
            Err(LocateRejection { kind, host }) => {
                presented.settle(request.headers_mut(), false);
                let details = RejectionDetails { host, ..RejectionDetails::default() };
                return Authentication::Rejected(self.reject(kind, request, details).into());
            }
        };
        let (target, further) = present(presented, target, further, request.headers_mut());
        let prove = |(application, presentation): &Candidate<'_>| {
            prove_or_wait(self, presentation, application, (request, &receipt))
        };
        let first = prove(&target);
        let others = match further.is_empty() {
            true => Vec::new(),
            false => further.iter().map(prove).collect(),
        };
        match all_proved(first, others) {
            Ok((proof, proofs)) => {
                let (application, target) = target;
                let proved = |((application, it), proof)| (application, it, proof);
                let further = match further.is_empty() {
                    true => Vec::new(),
                    false => further.into_iter().zip(proofs).map(proved).collect(),
                };
                let target = (application, target, proof);
                Authentication::Done(finish(self, receipt, target, further, request))
            }
            Err((wait, waits)) => Authentication::Deferred(after(
                receipt,
                (target.1, wait),
                further.into_iter().map(|(_, it)| it).zip(waits).collect(),
            )),
        }
    }

    /// Continues after a wait; does not wait again.
    ///
    /// # Errors
    ///
    /// If another engine received the request.
    pub(crate) fn resume<B>(
        &self,
        pending: Pending,
        request: &mut Request<B>,
    ) -> Result<ContextBox, Box<Refusal>> {
        let Pending { receipt, target, further } = pending;
        // The wait took time.
        let receipt = Receipt { now: self.now(), ..receipt };
        let prove = |mut presentation: Presentation, headers: &HeaderMap| {
            let application = self.applications.get(presentation.resource.application)?;
            let session = presentation.session.take();
            let at = presentation.scope(application, &receipt);
            let proof = prove_after_wait(self, &presentation.credentials, session, headers, at);
            Some((application, presentation, proof))
        };
        let headers = request.headers();
        let proved = prove(target, headers).and_then(|target| {
            let further = further.into_iter().map(|it| prove(it, headers));
            Some((target, further.collect::<Option<Vec<_>>>()?))
        });
        let Some((target, further)) = proved.filter(|_| receipt.engine == self.id) else {
            let details = RejectionDetails::default();
            return Err(self.reject(RejectionKind::Internal, request, details).into());
        };
        Ok(finish(self, receipt, target, further, request))
    }
}

/// Verifies the credentials at an application, or returns what to wait for first.
fn prove_or_wait<B>(
    engine: &Engine,
    presentation: &Presentation,
    application: &Arc<CompiledApplication>,
    (request, receipt): (&Request<B>, &Receipt),
) -> Result<Proof, SessionWait> {
    let (credentials, at) = (&presentation.credentials, presentation.scope(application, receipt));
    let proof = match credential::prove(engine, credentials, request.headers(), at, true) {
        Ok(proof) if proof.credential.is_absent() => proof,
        Ok(proof) => return Ok(proof),
        Err(keys) => {
            return Err(Deferred::new(async {
                keys.await;
                None
            }));
        }
    };
    match host_session(engine, request, credentials, at) {
        SessionLookup::None => Ok(proof),
        SessionLookup::Token(credential) => Ok(credential.into()),
        SessionLookup::Deferred(session) => Err(session),
    }
}

fn prove_after_wait(
    engine: &Engine,
    presented: &PresentedCredentials,
    session: Option<Box<Session>>,
    headers: &HeaderMap,
    at: Scope<'_>,
) -> Proof {
    let keys_unavailable = |_| Credential::Refused(RejectionKind::KeysUnavailable).into();
    let proof =
        credential::prove(engine, presented, headers, at, false).unwrap_or_else(keys_unavailable);
    if !proof.credential.is_absent() {
        return proof;
    }
    let session = session.and_then(|session| session_credential(*session, at));
    session.map_or(proof, Proof::from)
}

/// Completes the context of a request whose credentials are verified.
fn finish<'e, B>(
    engine: &Engine,
    receipt: Receipt,
    target: Proved<'e>,
    further: Vec<Proved<'e>>,
    request: &mut Request<B>,
) -> ContextBox {
    let is_assertion = target.2.credential.is_assertion();
    target.1.credentials.settle(request.headers_mut(), is_assertion);
    let complete = |(application, presentation, proof): Proved<'_>| {
        let evidence =
            |credential| collect_facts(engine, credential, application, (request, &receipt));
        ApplicationContext {
            evidence: evidence(proof.credential),
            fallback: proof.fallback.map(|credential| Box::new(evidence(credential))),
            is_replaced: false,
            presents_service_token: presentation.credentials.has_service_token(),
            resource: presentation.resource,
        }
    };
    let target = complete(target);
    let further = match further.is_empty() {
        true => Vec::new(),
        false => further.into_iter().map(complete).collect(),
    };
    let context = ContextBox::new(RequestContext { receipt, target, further });
    // Removes headers of trusted proxies that an untrusted sender may have written.
    engine.sources.scrub(request.headers_mut(), receipt.sender);
    context
}

/// Reads the credentials for each application. Further applications read their header before the first
/// one removes it.
fn present<'e>(
    mut presented: PresentedCredentials,
    target: CoveredResource<'e>,
    further: Vec<CoveredResource<'e>>,
    headers: &mut HeaderMap,
) -> (Candidate<'e>, Vec<Candidate<'e>>) {
    let own_header = target.application.application.service_token_header.as_ref();
    let further = match further.is_empty() {
        true => Vec::new(),
        false => present_further(&presented, further, (own_header, &mut *headers)),
    };
    if let Some(name) = own_header {
        presented.take_service_token(headers, name);
    }
    let CoveredResource { resource, application } = target;
    ((application, Presentation { resource, credentials: presented, session: None }), further)
}

/// Reads the credentials for the further applications.
fn present_further<'e>(
    presented: &PresentedCredentials,
    further: Vec<CoveredResource<'e>>,
    (own_header, headers): (Option<&HeaderName>, &mut HeaderMap),
) -> Vec<Candidate<'e>> {
    let received = headers.clone();
    let read = |CoveredResource { resource, application }: CoveredResource<'e>| {
        let mut credentials = presented.clone();
        if let Some(name) = application.application.service_token_header.as_ref() {
            credentials.take_service_token(&mut received.clone(), name);
            // The inner service must not see it. The first application removes its own header.
            if own_header != Some(name) {
                PresentedCredentials::default().take_service_token(headers, name);
            }
        }
        (application, Presentation { resource, credentials, session: None })
    };
    further.into_iter().map(read).collect()
}

/// Returns the proofs, or the waits if there is something to wait for.
#[allow(clippy::type_complexity, reason = "one wait for each application")]
fn all_proved(
    target: Result<Proof, SessionWait>,
    further: Vec<Result<Proof, SessionWait>>,
) -> Result<(Proof, Vec<Proof>), (Option<SessionWait>, Vec<Option<SessionWait>>)> {
    match target {
        Ok(proof) if further.is_empty() => Ok((proof, Vec::new())),
        Ok(proof) if further.iter().all(Result::is_ok) => {
            Ok((proof, further.into_iter().flatten().collect()))
        }
        target => Err((target.err(), further.into_iter().map(Result::err).collect())),
    }
}

/// Returns the request after all its waits.
fn after(
    receipt: Receipt,
    target: (Presentation, Option<SessionWait>),
    further: Vec<(Presentation, Option<SessionWait>)>,
) -> Deferred<Pending> {
    async fn arrived(
        (mut presentation, wait): (Presentation, Option<SessionWait>),
    ) -> Presentation {
        if let Some(wait) = wait {
            presentation.session = wait.await;
        }
        presentation
    }
    Deferred::new(async move {
        let target = arrived(target).await;
        let mut others = Vec::with_capacity(further.len());
        for presentation in further {
            others.push(arrived(presentation).await);
        }
        Pending { receipt, target, further: others }
    })
}
