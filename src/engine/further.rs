//! Further applications that a request needs: those of the resources that it acts on besides its
//! request target.
//!
//! Each of them decides about the request with the request's own credentials, as if it had been sent
//! there: the same policies, the same facts, cookies and tokens of its own. All have to let it in.
//! The inner service sees the identity at the first application alone, and no further application
//! sets a cookie.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};

use crate::application::{ApplicationId, CanonicalHost, CanonicalPath, NotPlaced};
use crate::facts::{Wait, report_missing};
use crate::policy::{Outcome, Verdict};
use crate::token::keys::Refresh;

use super::Engine;
use super::authenticate::Admission;
use super::authorize::{Passage, why};
use super::carrier::Brought;
use super::cors::Cors;
use super::credential::{Credential, Place};
use super::rejection::{About, RejectionKind};
use super::resources::{MAX_RESOURCES, Members, ResourceError, Resources};

/// A further application, and how the request stands with it.
#[derive(Clone, Debug)]
pub(super) struct Further {
    pub(super) admission: Admission,
    /// A path of the application that the request acts on.
    pub(super) path: Box<str>,
}

/// A further application whose credential is not known yet.
#[derive(Debug)]
pub(super) struct Presented {
    further: Further,
    brought: Brought,
}

impl Presented {
    pub(super) fn into_further(self) -> Further {
        self.further
    }
}

/// What the headers of a request lead to.
#[derive(Debug)]
pub(super) struct Plan {
    /// The application of the request target, which decides in any case.
    first: ApplicationId,
    applications: Vec<(CanonicalHost, ApplicationId, Box<str>)>,
    rewritten: Vec<(HeaderName, HeaderValue)>,
}

impl Plan {
    /// Writes the headers as they were judged, and begins with each application.
    pub(super) fn apply(self, headers: &mut HeaderMap, first: &Admission) -> Vec<Further> {
        for (name, value) in self.rewritten {
            headers.insert(name, value);
        }
        self.applications
            .into_iter()
            .map(|(host, application, path)| {
                let admission = Admission { host, application, ..first.clone() };
                Further { admission, path }
            })
            .collect()
    }

    fn add(
        &mut self,
        host: &CanonicalHost,
        application: ApplicationId,
        path: impl Into<Box<str>>,
    ) -> Result<(), ResourceError> {
        let is_known = |known: &(_, ApplicationId, _)| known.1 == application;
        if application == self.first || self.applications.iter().any(is_known) {
            return Ok(());
        }
        if self.applications.len() == MAX_RESOURCES {
            return Err(ResourceError::TooManyApplications);
        }
        self.applications.push((host.clone(), application, path.into()));
        Ok(())
    }
}

impl Engine {
    /// The applications that a request acts on besides the one of its request target.
    pub(super) fn plan_further(
        &self,
        method: &Method,
        headers: &HeaderMap,
        host: &CanonicalHost,
        (path, application): (&CanonicalPath<'_>, ApplicationId),
    ) -> Result<Option<Plan>, ResourceError> {
        let Some(resources) = Resources::read(method, headers, host, path.as_str())? else {
            return Ok(None);
        };
        let mut plan =
            Plan { first: application, applications: Vec::new(), rewritten: resources.rewritten };
        match resources.members {
            Members::None => {}
            Members::Below => self.add_members(&mut plan, host, path)?,
            Members::OfHost => {
                for (application, path) in self.directory.below(host, "/") {
                    plan.add(host, application, path)?;
                }
            }
        }
        for resource in &resources.named {
            let found = self.directory.place(&resource.host, &resource.path);
            let found = found.map_err(|error| match error {
                NotPlaced::NoApplication => ResourceError::NotCovered,
                NotPlaced::Path(_) => ResourceError::Ambiguous,
            })?;
            if self.is_own_endpoint(&resource.path) {
                return Err(ResourceError::NotCovered);
            }
            plan.add(&resource.host, found, resource.path.as_str())?;
            if resource.with_members {
                self.add_members(&mut plan, &resource.host, &resource.path)?;
            }
        }
        Ok(Some(plan))
    }

    /// Whether a path is the login's, which no inner service gets a request for.
    fn is_own_endpoint(&self, path: &CanonicalPath<'_>) -> bool {
        self.login().is_some() && crate::login::is_own(path.as_str())
    }

    fn add_members(
        &self,
        plan: &mut Plan,
        host: &CanonicalHost,
        path: &CanonicalPath<'_>,
    ) -> Result<(), ResourceError> {
        let mut below = self.directory.below(host, path.as_str());
        for reading in path.readings().map_err(|_| ResourceError::Ambiguous)? {
            below.extend(self.directory.below(host, &reading));
        }
        below.into_iter().try_for_each(|(application, path)| plan.add(host, application, path))
    }

    /// What each further application reads as a credential, before the first one takes its own.
    pub(super) fn present<B>(
        &self,
        all: Vec<Further>,
        brought: &Brought,
        (request, first): (&mut Request<B>, &Admission),
    ) -> Vec<Presented> {
        let header_of = |admission: &Admission| {
            let protected = self.protected(admission);
            protected.and_then(|it| it.application.service_token_header.as_ref())
        };
        let lines = if all.is_empty() { HeaderMap::new() } else { request.headers().clone() };
        all.into_iter()
            .map(|mut further| {
                let mut brought = brought.clone();
                if let Some(name) = header_of(&further.admission) {
                    brought.take_service_token(&mut lines.clone(), name);
                    // The inner service must not see it. The first application removes its own
                    // header itself.
                    if header_of(first) != Some(name) {
                        Brought::default().take_service_token(request.headers_mut(), name);
                    }
                }
                {
                    further.admission.shows_service_token = brought.shows_service_token();
                }
                further.admission.credential = Credential::None;
                Presented { further, brought }
            })
            .collect()
    }

    /// Finds the credential for each further application; what has to be waited for, if anything
    /// has.
    pub(super) fn authenticate_further<B>(
        &self,
        request: &Request<B>,
        all: &mut [Presented],
    ) -> Vec<Refresh> {
        let mut waits = Vec::new();
        for Presented { further, brought } in all {
            match self.credential(&further.admission, request.headers(), brought, true) {
                Ok(credential) => further.admission.credential = credential,
                Err(refresh) => {
                    waits.push(refresh);
                    continue;
                }
            }
            waits.extend(self.cross(request, &mut further.admission, brought));
        }
        waits
    }

    /// Goes on after a wait; does not wait again.
    pub(super) fn resume_further<B>(
        &self,
        all: Vec<Presented>,
        request: &Request<B>,
    ) -> Vec<Further> {
        let resume = |Presented { mut further, brought }| {
            let admission = &mut further.admission;
            admission.now = self.now();
            admission.credential = self
                .credential(admission, request.headers(), &brought, false)
                .unwrap_or_else(|_| Credential::Refused(RejectionKind::KeysUnavailable));
            self.arrive(admission);
            further
        };
        all.into_iter().map(resume).collect()
    }

    /// The refusal of the first of the further applications that does not let a request in. `Err`
    /// asks for a wait, if there may be one, and to be asked again then.
    pub(super) fn judge_further<B>(
        &self,
        request: &Request<B>,
        all: &mut [Further],
        (cors, may_wait): (Option<&Cors>, bool),
    ) -> Result<Option<Passage>, Wait> {
        let (mut refusal, mut waits) = (None, Vec::new());
        for further in all {
            match self.judge_one(request, &mut further.admission, (cors, may_wait)) {
                Ok(passage) => refusal = refusal.or(passage),
                Err(wait) => waits.push(wait),
            }
        }
        match (refusal, Wait::all(waits)) {
            (None, Some(wait)) => Err(wait),
            (refusal, _) => Ok(refusal),
        }
    }

    /// A wait for the first application, and for what the further ones have to wait for.
    pub(super) fn wait_with_further<B>(
        &self,
        wait: Wait,
        request: &Request<B>,
        all: &mut [Further],
    ) -> Wait {
        match self.judge_further(request, all, (None, true)) {
            Ok(_) => wait,
            Err(further) => Wait::both(wait, further),
        }
    }

    fn judge_one<B>(
        &self,
        request: &Request<B>,
        admission: &mut Admission,
        (cors, may_wait): (Option<&Cors>, bool),
    ) -> Result<Option<Passage>, Wait> {
        let protected = self.protected(admission);
        let (kind, mut verdict, deny_url) = match protected {
            None => (RejectionKind::Internal, Verdict::undecided(Outcome::Denied), None),
            Some(protected) => {
                let verdict = self.judge(admission, protected, may_wait)?;
                if verdict.outcome().opens() {
                    match self.settle_further(request, admission, &verdict) {
                        Ok(()) => return Ok(None),
                        Err(kind) => (kind, verdict, None),
                    }
                } else {
                    let url = protected.deny_url(&admission.facts());
                    let url = url.map(|url| url.as_str().to_owned());
                    (why(admission, protected, &verdict, request), verdict, url)
                }
            }
        };
        let about = About {
            host: Some(admission.host.clone()),
            protected: protected.cloned(),
            email: admission.credential.email().map(str::to_owned),
            token_error: admission.credential.token_error(),
            verdict: verdict.id(),
            deny_url,
            cors: cors.cloned().map(Box::new),
        };
        if verdict.outcome().opens() {
            verdict = Verdict::undecided(match kind {
                RejectionKind::LoginRequired => Outcome::LoginRequired,
                _ => Outcome::Denied,
            });
        }
        let rejection = self.reject(kind, request, about);
        let application = protected.map(|protected| protected.audited());
        report_missing(verdict.missing_facts(), rejection.reference(), application);
        Ok(Some(Passage::Refused(Box::new((rejection, Some(verdict))))))
    }

    /// What an application asks for besides its policies.
    fn settle_further<B>(
        &self,
        request: &Request<B>,
        admission: &mut Admission,
        verdict: &Verdict,
    ) -> Result<(), RejectionKind> {
        if let Credential::Token { from: Place::Session, .. } = &admission.credential {
            if verdict.outcome() == Outcome::Allowed {
                self.settle_crossing(admission, verdict)?;
            } else {
                admission.credential = Credential::None;
            }
        }
        let _ = verdict;
        match &admission.credential {
            Credential::Token { from: Place::Cookie, .. }
                if self.is_foreign_upgrade(request, admission) =>
            {
                Err(RejectionKind::ForeignOrigin)
            }
            _ => Ok(()),
        }
    }
}
