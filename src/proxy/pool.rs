//! Connections that may serve each other's requests: to one origin, under one name.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use http::uri::Authority;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::BoxError;
use super::body::RequestBody;
use super::connect::{OriginConnector, limit};
use super::http2::SharedConnection;
use super::origin::OriginSettings;
use super::tls;

/// The connections to an origin under one name.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) pooled: Client<OriginConnector, RequestBody>,
    /// For HTTP/2, where it is wanted.
    pub(super) shared: Option<SharedConnection>,
}

/// What all pools of an encrypted origin share.
#[derive(Debug)]
pub(super) struct EncryptedPools {
    plain: OriginConnector,
    settings: OriginSettings,
    http1: Arc<ClientConfig>,
    /// Offers HTTP/2 as well.
    both: Arc<ClientConfig>,
}

/// A pool for each name that was asked for lately.
#[derive(Debug)]
pub(super) struct PoolsByName {
    pools: EncryptedPools,
    /// The last one is the one that was used last.
    recent: Mutex<VecDeque<(ServerName<'static>, Arc<Pool>)>>,
}

impl Pool {
    pub(super) fn unencrypted(connector: OriginConnector, settings: &OriginSettings) -> Self {
        Self { pooled: client(connector, settings), shared: None }
    }
}

impl EncryptedPools {
    /// # Errors
    ///
    /// If the settings cannot work, for example because the CA file is missing.
    pub(super) fn new(plain: OriginConnector, settings: &OriginSettings) -> Result<Self, BoxError> {
        let http1 = tls::client_config(settings)?;
        let mut both = http1.clone();
        both.alpn_protocols = vec![tls::HTTP_2.to_vec(), tls::HTTP_1.to_vec()];
        Ok(Self { plain, settings: settings.clone(), http1: Arc::new(http1), both: Arc::new(both) })
    }

    /// Prepares connections under a name; opens none yet.
    pub(super) fn pool(&self, name: ServerName<'static>) -> Pool {
        let encrypted = |config: &Arc<ClientConfig>, name| {
            self.plain.clone().with_tls(Arc::clone(config), name, self.settings.tls_timeout)
        };
        let shared = self
            .settings
            .http2_origin
            .then(|| SharedConnection::new(encrypted(&self.both, name.clone())));
        Pool { pooled: client(encrypted(&self.http1, name), &self.settings), shared }
    }
}

impl PoolsByName {
    pub(super) fn new(pools: EncryptedPools) -> Self {
        Self { pools, recent: Mutex::default() }
    }

    /// The pool for the host that an origin is sent, without its port.
    ///
    /// # Errors
    ///
    /// If no certificate can have the host's name.
    pub(super) fn of(&self, host: &Authority) -> Result<Arc<Pool>, BoxError> {
        let host = host.host();
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let name = tls::server_name(&host)?;
        // A list is replaced entry by entry: what a panicking holder left is still whole.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let place = recent.iter().position(|(known, _)| *known == name);
        let entry = place.and_then(|place| recent.remove(place)).unwrap_or_else(|| {
            let pool = Arc::new(self.pools.pool(name.clone()));
            (name, pool)
        });
        let pool = Arc::clone(&entry.1);
        if recent.len() >= MOST_NAMES {
            // Its idle connections close; exchanges under way go on.
            recent.pop_front();
        }
        recent.push_back(entry);
        Ok(pool)
    }
}

fn client(
    connector: OriginConnector,
    settings: &OriginSettings,
) -> Client<OriginConnector, RequestBody> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(settings.keep_alive_connections)
        .pool_idle_timeout(limit(settings.keep_alive_timeout))
        .set_host(false)
        .build(connector)
}

/// A client can ask for any name below a wildcard.
const MOST_NAMES: usize = 64;
