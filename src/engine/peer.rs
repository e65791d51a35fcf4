//! The address of the TCP peer and the path as it arrived, from the extensions of a request.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{Extensions, Uri};

use crate::address::PeerAddress;
use crate::application::CanonicalPath;

/// Finds the peer's address.
#[derive(Clone, Default)]
pub(super) struct PeerSource(Option<Arc<Source>>);

type Source = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

impl PeerSource {
    pub(super) fn new(
        source: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(source)))
    }

    pub(super) fn address(&self, extensions: &Extensions) -> Option<IpAddr> {
        match &self.0 {
            Some(source) => source(extensions),
            None => default_source(extensions),
        }
    }
}

impl fmt::Debug for PeerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "PeerSource(<fn>)" } else { "PeerSource(default)" })
    }
}

fn default_source(extensions: &Extensions) -> Option<IpAddr> {
    let peer = extensions.get().map(|PeerAddress(address)| *address);
    peer.or_else(|| extensions.connected_peer())
}

/// Returns the request target as it arrived: a nested axum router passes on a shorter one.
pub(crate) fn arrived_uri<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a Uri {
    extensions.original_uri().unwrap_or(uri)
}

/// Returns whether an outer axum router has routed the path.
pub(super) fn is_routed(extensions: &Extensions) -> bool {
    extensions.original_uri().is_some()
}

/// Returns the path of the nested axum router that passed the request on, if any.
pub(crate) fn nested_at(extensions: &Extensions) -> Option<&str> {
    extensions.nested_path()
}

/// Extensions that axum adds to a request; none without the feature `axum`.
trait AxumExtensions {
    fn connected_peer(&self) -> Option<IpAddr> {
        None
    }

    fn original_uri(&self) -> Option<&Uri> {
        None
    }

    fn nested_path(&self) -> Option<&str> {
        None
    }
}

#[cfg(feature = "axum")]
impl AxumExtensions for Extensions {
    fn connected_peer(&self) -> Option<IpAddr> {
        let info = self.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        info.map(|axum::extract::ConnectInfo(address)| address.ip())
    }

    fn original_uri(&self) -> Option<&Uri> {
        self.get().map(|axum::extract::OriginalUri(uri)| uri)
    }

    fn nested_path(&self) -> Option<&str> {
        self.get().map(axum::extract::NestedPath::as_str)
    }
}

#[cfg(not(feature = "axum"))]
impl AxumExtensions for Extensions {}

/// Returns whether a path is the remainder that nested axum routers have left of the path that
/// arrived, and nothing else has changed it. `arrived` is in normal form.
pub(super) fn is_remainder(present: &str, arrived: &str, extensions: &Extensions) -> bool {
    let nested = nested_at(extensions).unwrap_or("/");
    let mut rest = arrived;
    for _ in nested.split('/').filter(|segment| !segment.is_empty()) {
        let Some(inner) = rest.strip_prefix('/') else { return false };
        let end = inner.find('/').unwrap_or(inner.len());
        rest = inner.get(end..).unwrap_or_default();
    }
    let rest = if rest.is_empty() { "/" } else { rest };
    // The digits of its escapes may still be in lower case.
    let normal = || CanonicalPath::parse_with_ambiguities(present);
    present == rest || normal().is_ok_and(|present| present.served() == rest)
}

#[cfg(all(test, feature = "axum"))]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::any;
    use http::Request;
    use tower::ServiceExt;

    use super::*;

    /// What nested routers make of a target, as axum itself does it.
    #[tokio::test]
    async fn path_21_what_nested_routers_leave_is_told_from_a_rewritten_path() {
        for (prefixes, target) in [
            (&["/a"][..], "/a"),
            (&["/a"], "/a/b/"),
            (&["/a"], "/a/b?c=/d"),
            (&["/a", "/b"], "/a/b/c"),
            (&["/a", "/{x}"], "/a/b/c/"),
            (&["/{x}"], "/a%20b/%c3%a4"),
            (&["/{x}", "/{y}/z"], "/1/2/z/4"),
        ] {
            let check = |request: Request<Body>| async move {
                let extensions = request.extensions();
                let arrived = arrived_uri(request.uri(), extensions).path().to_owned();
                let arrived = CanonicalPath::parse(&arrived).unwrap();
                let present = request.uri().path();
                assert!(is_remainder(present, arrived.served(), extensions), "{present}");
                // Any other path was rewritten.
                for other in [arrived.served(), "/", "/other", "/a/b/c", "", "/c/"] {
                    let is_same = is_remainder(other, arrived.served(), extensions);
                    assert_eq!(is_same, other == present, "{other} for {present}");
                }
            };
            let inner = Router::new().route("/", any(check)).route("/{*rest}", any(check));
            let nest = |inner: Router, prefix: &&str| Router::new().nest(prefix, inner);
            let app = prefixes.iter().rev().fold(inner, nest);
            let request = Request::get(target).body(Body::empty()).unwrap();
            assert_eq!(app.oneshot(request).await.unwrap().status(), 200, "{target}");
        }
    }
}
