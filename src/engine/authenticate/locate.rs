//! Canonical host and path of a request, the address of its client, and the applications of what it
//! acts on.

use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Version};

use crate::application::{
    ApplicationId, CanonicalHost, CanonicalPath, CaseSensitiveOrigin, LocateError, PathError,
};

use super::super::Engine;
use super::super::peer::{arrived_uri, is_remainder, is_routed};
use super::super::rejection::RejectionKind;
use super::super::request_context::{Receipt, Resource};
use super::further::{Covered, further_resources};

/// What a request acts on.
#[derive(Debug)]
pub(super) struct Located<'e> {
    pub(super) receipt: Receipt,
    pub(super) target: Covered<'e>,
    pub(super) further: Vec<Covered<'e>>,
}

/// Why a request is refused before anybody is asked.
#[derive(Debug)]
pub(super) struct LocateRejection {
    pub(super) kind: RejectionKind,
    pub(super) host: Option<CanonicalHost>,
}

/// Reads where a request goes, and leaves the target as it was judged.
pub(super) fn locate<'e, B>(
    engine: &'e Engine,
    request: &mut Request<B>,
) -> Result<Located<'e>, LocateRejection> {
    let host = CanonicalHost::of_request(request.uri(), request.headers())
        .map_err(|_| LocateRejection { kind: RejectionKind::Host, host: None })?;
    let refuse = |kind| LocateRejection { kind, host: Some(host.clone()) };
    let refuse_path = |error| refuse(RejectionKind::Path(error));
    // Before HTTP/2 a CONNECT asks for a tunnel to a host: a path in it means nothing.
    if request.method() == Method::CONNECT && request.version() < Version::HTTP_2 {
        return Err(refuse_path(PathError::NotAbsolute));
    }
    let uri = arrived_uri(request.uri(), request.extensions());
    let path = CanonicalPath::parse_with_ambiguities(uri.path()).map_err(refuse_path)?;
    // A router outside has chosen a handler by the spelling that arrived: there is no other.
    // (Letter case is that of the digits of escapes alone, which no route is told apart by.)
    if is_routed(request.extensions()) && path.is_respelled() {
        return Err(refuse_path(PathError::Respelled));
    }
    let application = engine.directory.locate(&host, &path).map_err(|error| match error {
        LocateError::NoApplication => refuse(RejectionKind::NoApplication),
        LocateError::Path(error) => refuse_path(error),
    })?;
    let covering = engine.directory.get(application);
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
    // What was judged is what is served.
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
            changes: engine.lasting.changes().count(),
        },
        target: Covered { resource: target, application: covering },
        further,
    })
}

/// Judges the path a request has now, where it is another than the one a router has routed:
/// both have to belong to one application.
fn check_rewritten(
    engine: &Engine,
    host: &CanonicalHost,
    present: &Uri,
    application: ApplicationId,
) -> Result<(), PathError> {
    let present = CanonicalPath::parse_with_ambiguities(present.path())?;
    match engine.directory.locate(host, &present) {
        Ok(placed) if placed == application => Ok(()),
        Ok(_) | Err(LocateError::NoApplication) => Err(PathError::Rewritten),
        Err(LocateError::Path(error)) => Err(error),
    }
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
