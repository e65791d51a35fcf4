//! The published keys of an issuer.

use std::sync::Arc;

use crate::application::TeamDomain;
use crate::token::Algorithms;
use crate::token::keys::{KeySource, RefreshPolicy};

use super::super::ConfigError;

/// Where keys are fetched, and which algorithms are accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::engine) struct PublishedKeys {
    pub(super) team_domain: TeamDomain,
    pub(super) certs_url: Option<String>,
    pub(super) algorithms: Algorithms,
}

impl PublishedKeys {
    /// Returns a source that fetches these keys.
    #[cfg(feature = "http-client")]
    pub(super) fn source(&self, refresh: RefreshPolicy) -> Result<Arc<dyn KeySource>, ConfigError> {
        use crate::token::keys::{HttpFetch, RemoteKeys};

        let default_url = || format!("{}/cdn-cgi/access/certs", self.team_domain.issuer());
        let url = self.certs_url.clone().unwrap_or_else(default_url);
        let fetch = HttpFetch::new(&url).map_err(ConfigError::new)?;
        Ok(Arc::new(RemoteKeys::with_policy(fetch, refresh, self.algorithms)))
    }

    #[cfg(not(feature = "http-client"))]
    #[allow(clippy::unused_self, reason = "as with a client")]
    pub(super) fn source(&self, _: RefreshPolicy) -> Result<Arc<dyn KeySource>, ConfigError> {
        Err(ConfigError::new(
            "keys cannot be fetched: set `keys`, or enable the feature `http-client`",
        ))
    }
}
