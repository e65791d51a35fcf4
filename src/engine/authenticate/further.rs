//! Further applications of a request: those of the resources that it acts on besides its request
//! target.
//!
//! Each of them decides about the request with the request's own credentials, as if it had been sent
//! there: the same policies, the same facts, cookies and tokens of its own. All have to let it in.
//! The inner service sees the identity at the first application alone, and no further application
//! sets a cookie.

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

/// A resource, and the application that covers it.
#[derive(Debug)]
pub(super) struct Covered<'e> {
    pub(super) resource: Resource,
    pub(super) application: &'e Arc<CompiledApplication>,
}

/// What the headers of a request lead to.
#[derive(Debug)]
pub(super) struct FurtherResources<'e> {
    directory: &'e Applications,
    /// The application of the request target, which decides in any case.
    first: ApplicationId,
    resources: Vec<Covered<'e>>,
    rewritten: Vec<(HeaderName, HeaderValue)>,
}

impl<'e> FurtherResources<'e> {
    /// Writes the headers as they were judged, and returns the resources.
    pub(super) fn write(self, headers: &mut HeaderMap) -> Vec<Covered<'e>> {
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
        let is_known = |known: &Covered<'_>| known.resource.application == application;
        if application == self.first || self.resources.iter().any(is_known) {
            return Ok(());
        }
        if self.resources.len() == MAX_RESOURCES {
            return Err(ResourceError::TooManyApplications);
        }
        let covering = self.directory.get(application).ok_or(ResourceError::NotCovered)?;
        let resource = Resource { host: host.clone(), application, path: Some(path.into()) };
        self.resources.push(Covered { resource, application: covering });
        Ok(())
    }
}

/// The resources, one of each application, that a request acts on besides its request target.
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
        directory: &engine.directory,
        first: application,
        resources: Vec::new(),
        rewritten: resources.rewritten,
    };
    match resources.members {
        Members::None => {}
        Members::Below => add_members(engine, &mut further, host, path)?,
        Members::OfHost => {
            for (application, path) in engine.directory.below(host, "/") {
                further.add(host, application, path)?;
            }
        }
    }
    for resource in &resources.named {
        let found = engine.directory.locate(&resource.host, &resource.path);
        let found = found.map_err(|error| match error {
            LocateError::NoApplication => ResourceError::NotCovered,
            LocateError::Path(_) => ResourceError::Ambiguous,
        })?;
        // What the login answers itself no inner service gets a request for.
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
    let mut below = engine.directory.below(host, path.as_str());
    for reading in path.readings().map_err(|_| ResourceError::Ambiguous)? {
        below.extend(engine.directory.below(host, &reading));
    }
    below.into_iter().try_for_each(|(application, path)| further.add(host, application, path))
}
