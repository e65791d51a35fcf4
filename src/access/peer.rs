//! From a request's extensions to the address of its TCP peer, and to the path as it arrived.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{Extensions, Uri};

use crate::address::PeerAddress;

/// How the peer's address is found.
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
            None => usual_source(extensions),
        }
    }
}

impl fmt::Debug for PeerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "PeerSource(<fn>)" } else { "PeerSource(usual)" })
    }
}

fn usual_source(extensions: &Extensions) -> Option<IpAddr> {
    if let Some(PeerAddress(address)) = extensions.get() {
        return Some(*address);
    }
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(address)) =
        extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>()
    {
        return Some(address.ip());
    }
    None
}

/// The request target as it arrived: a nested axum router hands on a shorter one.
pub(crate) fn arrived_uri<'a>(uri: &'a Uri, extensions: &'a Extensions) -> &'a Uri {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(arrived)) = extensions.get() {
        return arrived;
    }
    let _ = extensions;
    uri
}

/// Whether an axum router has looked at the path before.
pub(super) fn is_routed(extensions: &Extensions) -> bool {
    #[cfg(feature = "axum")]
    if extensions.get::<axum::extract::OriginalUri>().is_some() {
        return true;
    }
    let _ = extensions;
    false
}
