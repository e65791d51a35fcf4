//! Further applications of a request: those of the resources that it acts on besides its request
//! target.
//!
//! Each of them judges the request with the request's own credentials, as if it had been sent there:
//! the same policies, the same facts, cookies and tokens of its own. All have to allow it. The inner
//! service sees only the identity at the first application, and no further application sets a cookie.

use std::sync::Arc;

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::application::{
    ApplicationId, Applications, CanonicalHost, CanonicalPath, CompiledApplication, LocateError,
};
use crate::login::is_own;

use super::super::Engine;
use super::super::request_context::Resource;
use super::super::resources::{MAX_RESOURCES, Members, ResourceError, Resources};

/// A resource with the application that covers it.
#[derive(Debug)]
pub(super) struct CoveredResource<'e> {
    pub(super) resource: Resource,
    pub(super) application: &'e Arc<CompiledApplication>,
}

/// The resources in the headers of a request, and the headers in canonical form.
#[derive(Debug)]
pub(super) struct FurtherResources<'e> {
    applications: &'e Applications,
    /// The application of the request target, which judges in any case.
    first: ApplicationId,
    resources: Vec<CoveredResource<'e>>,
    rewritten: Vec<(HeaderName, HeaderValue)>,
}

impl<'e> FurtherResources<'e> {
    /// Writes the headers as they were judged, and returns the resources.
    pub(super) fn write(self, headers: &mut HeaderMap) -> Vec<CoveredResource<'e>> {
        for (name, value) in self.rewritten {
            headers.insert(name, value);
        }
        self.resources
    }

    fn add(
        &mut self,
        host: &CanonicalHost,
        application: ApplicationId,
        path: impl Into<Box<str>>,
    ) -> Result<(), ResourceError> {
        let is_known = |known: &CoveredResource<'_>| known.resource.application == application;
        if application == self.first || self.resources.iter().any(is_known) {
            return Ok(());
        }
        if self.resources.len() == MAX_RESOURCES {
            return Err(ResourceError::TooManyApplications);
        }
        let covering = self.applications.get(application).ok_or(ResourceError::NotCovered)?;
        let resource = Resource { host: host.clone(), application, path: Some(path.into()) };
        self.resources.push(CoveredResource { resource, application: covering });
        Ok(())
    }
}

/// Returns the resources, one for each application, that a request acts on besides its request
/// target.
pub(super) fn further_resources<'e>(
    engine: &'e Engine,
    method: &Method,
    headers: &HeaderMap,
    host: &CanonicalHost,
    (path, application): (&CanonicalPath<'_>, ApplicationId),
) -> Result<Option<FurtherResources<'e>>, ResourceError> {
    let Some(resources) = Resources::read(method, headers, host, path.as_str())? else {
        return Ok(None);
    };
    let mut further = FurtherResources {
        applications: &engine.applications,
        first: application,
        resources: Vec::new(),
        rewritten: resources.rewritten,
    };
    match resources.members {
        Members::None => {}
        Members::Below => add_members(engine, &mut further, host, path)?,
        Members::WholeHost => {
            for (application, path) in engine.applications.below(host, "/") {
                further.add(host, application, path)?;
            }
        }
    }
    for resource in &resources.named {
        let found = engine.applications.locate(&resource.host, &resource.path);
        let found = found.map_err(|error| match error {
            LocateError::NoApplication => ResourceError::NotCovered,
            LocateError::Path(_) => ResourceError::Ambiguous,
        })?;
        // The login's own endpoints never reach an inner service.
        if engine.login().is_some() && is_own(resource.path.as_str()) {
            return Err(ResourceError::NotCovered);
        }
        further.add(&resource.host, found, resource.path.as_str())?;
        if resource.with_members {
            add_members(engine, &mut further, &resource.host, &resource.path)?;
        }
    }
    Ok(Some(further))
}

fn add_members(
    engine: &Engine,
    further: &mut FurtherResources<'_>,
    host: &CanonicalHost,
    path: &CanonicalPath<'_>,
) -> Result<(), ResourceError> {
    let mut below = engine.applications.below(host, path.as_str());
    for reading in path.readings().map_err(|_| ResourceError::Ambiguous)? {
        below.extend(engine.applications.below(host, &reading));
    }
    below.into_iter().try_for_each(|(application, path)| further.add(host, application, path))
}
