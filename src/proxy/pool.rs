//! Connection pools: one for each origin and server name.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use http::uri::Authority;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::BoxError;
use super::connect::OriginConnector;
use super::http1::Http1Connections;
use super::http2::SharedConnection;
use super::origin::OriginSettings;
use super::tls;

/// The connections to an origin with one server name.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) http1: Arc<Http1Connections>,
    /// The HTTP/2 connection, if HTTP/2 is enabled.
    pub(super) shared: Option<SharedConnection>,
}

/// State that all pools of an encrypted origin share.
#[derive(Debug)]
pub(super) struct EncryptedPools {
    plain: OriginConnector,
    settings: OriginSettings,
    http1: Arc<ClientConfig>,
    /// Offers HTTP/2 as well.
    both: Arc<ClientConfig>,
}

/// A pool for each recent server name.
#[derive(Debug)]
pub(super) struct PoolsByName {
    pools: EncryptedPools,
    /// Sorted by last use, the most recent last.
    recent: Mutex<VecDeque<(ServerName<'static>, Arc<Pool>)>>,
}

impl Pool {
    pub(super) fn unencrypted(connector: OriginConnector, settings: &OriginSettings) -> Self {
        Self { http1: Arc::new(Http1Connections::new(connector, settings)), shared: None }
    }
}

impl EncryptedPools {
    /// # Errors
    ///
    /// If the settings are invalid, for example because the CA file is missing.
    pub(super) fn new(plain: OriginConnector, settings: &OriginSettings) -> Result<Self, BoxError> {
        let http1 = tls::client_config(settings)?;
        let mut both = http1.clone();
        both.alpn_protocols = vec![tls::HTTP_2.to_vec(), tls::HTTP_1.to_vec()];
        Ok(Self { plain, settings: settings.clone(), http1: Arc::new(http1), both: Arc::new(both) })
    }

    /// Creates the pool of a server name; opens no connections yet.
    pub(super) fn pool(&self, name: ServerName<'static>) -> Pool {
        let encrypted = |config: &Arc<ClientConfig>, name| {
            self.plain.clone().with_tls(Arc::clone(config), name, self.settings.tls_timeout)
        };
        let shared = self
            .settings
            .http2_origin
            .then(|| SharedConnection::new(encrypted(&self.both, name.clone())));
        let http1 = Http1Connections::new(encrypted(&self.http1, name), &self.settings);
        Pool { http1: Arc::new(http1), shared }
    }
}

impl PoolsByName {
    pub(super) fn new(pools: EncryptedPools) -> Self {
        Self { pools, recent: Mutex::default() }
    }

    /// Returns the pool for the `Host` of a request to the origin, without its port.
    ///
    /// # Errors
    ///
    /// If the host is not a valid server name.
    pub(super) fn for_host(&self, host: &Authority) -> Result<Arc<Pool>, BoxError> {
        let host = host.host();
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let name = tls::server_name(&host)?;
        // A list changes entry by entry, so it is valid even after a panic.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let place = recent.iter().position(|(known, _)| *known == name);
        let entry = place.and_then(|place| recent.remove(place)).unwrap_or_else(|| {
            let pool = Arc::new(self.pools.pool(name.clone()));
            (name, pool)
        });
        let pool = Arc::clone(&entry.1);
        if recent.len() >= MAX_NAMES {
            // Its idle connections close; exchanges under way go on.
            recent.pop_front();
        }
        recent.push_back(entry);
        Ok(pool)
    }
}

/// Most server names with open connections: clients choose any name below a wildcard.
const MAX_NAMES: usize = 64;
