//! Canonical host and path of a request, the address of its client, and the applications of the
//! resources that it acts on.

use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Version};

use crate::application::{
    ApplicationId, CanonicalHost, CanonicalPath, CaseSensitiveOrigin, LocateError, PathError,
};

use super::super::Engine;
use super::super::peer::{arrived_uri, is_remainder, is_routed};
use super::super::rejection::RejectionKind;
use super::super::request_context::{Receipt, Resource};
use super::further::{CoveredResource, further_resources};

/// The resources that a request acts on, with their applications.
#[derive(Debug)]
pub(super) struct Located<'e> {
    pub(super) receipt: Receipt,
    pub(super) target: CoveredResource<'e>,
    pub(super) further: Vec<CoveredResource<'e>>,
}

/// The reason to refuse a request before its credentials are read.
#[derive(Debug)]
pub(super) struct LocateRejection {
    pub(super) kind: RejectionKind,
    pub(super) host: Option<CanonicalHost>,
}

/// Locates the applications of a request, and writes the canonical request target.
pub(super) fn locate<'e, B>(
    engine: &'e Engine,
    request: &mut Request<B>,
) -> Result<Located<'e>, LocateRejection> {
    let host = CanonicalHost::from_request(request.uri(), request.headers())
        .map_err(|_| LocateRejection { kind: RejectionKind::Host, host: None })?;
    let refuse = |kind| LocateRejection { kind, host: Some(host.clone()) };
    let refuse_path = |error| refuse(RejectionKind::Path(error));
    // Before HTTP/2 a CONNECT asks for a tunnel to a host, and has no path.
    if request.method() == Method::CONNECT && request.version() < Version::HTTP_2 {
        return Err(refuse_path(PathError::NotAbsolute));
    }
    let uri = arrived_uri(request.uri(), request.extensions());
    let path = CanonicalPath::parse_with_ambiguities(uri.path()).map_err(refuse_path)?;
    // An outer router has chosen a handler by the path as it arrived: it cannot be respelled.
    // (Only the letter case of escape digits may differ, which no route depends on.)
    if is_routed(request.extensions()) && path.is_respelled() {
        return Err(refuse_path(PathError::Respelled));
    }
    let application = engine.applications.locate(&host, &path).map_err(|error| match error {
        LocateError::NoApplication => refuse(RejectionKind::NoApplication),
        LocateError::Path(error) => refuse_path(error),
    })?;
    let covering = engine.applications.get(application);
    let covering = covering.ok_or_else(|| refuse(RejectionKind::NoApplication))?;
    let served = if std::ptr::eq(uri, request.uri()) {
        (path.served() != uri.path()).then(|| with_path(uri, path.served())).transpose()
    } else {
        if !is_remainder(request.uri().path(), path.served(), request.extensions()) {
            check_rewritten(engine, &host, request.uri(), application).map_err(refuse_path)?;
        }
        canonical_uri(request.uri())
    };
    let served = served.map_err(refuse_path)?;
    let further =
        further_resources(engine, request.method(), request.headers(), &host, (&path, application));
    let further = further.map_err(|error| refuse(RejectionKind::Resource(error)))?;
    let sender = engine.sender(request.headers(), request.extensions());
    // The path that was judged is the path that is served.
    if let Some(uri) = served {
        *request.uri_mut() = uri;
    }
    if covering.application.case_sensitive_origin {
        request.extensions_mut().insert(CaseSensitiveOrigin);
    } else {
        request.extensions_mut().remove::<CaseSensitiveOrigin>();
    }
    let further = further.map(|it| it.write(request.headers_mut())).unwrap_or_default();
    let target = Resource { host, application, path: None };
    Ok(Located {
        receipt: Receipt {
            engine: engine.id,
            sender,
            now: engine.now(),
            changes: engine.shared_state.changes().count(),
        },
        target: CoveredResource { resource: target, application: covering },
        further,
    })
}

/// Checks a path that was rewritten after routing: both paths have to belong to one application.
fn check_rewritten(
    engine: &Engine,
    host: &CanonicalHost,
    present: &Uri,
    application: ApplicationId,
) -> Result<(), PathError> {
    let present = CanonicalPath::parse_with_ambiguities(present.path())?;
    match engine.applications.locate(host, &present) {
        Ok(found) if found == application => Ok(()),
        Ok(_) | Err(LocateError::NoApplication) => Err(PathError::Rewritten),
        Err(LocateError::Path(error)) => Err(error),
    }
}

/// Returns the request target in canonical form, unless it is canonical already.
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
