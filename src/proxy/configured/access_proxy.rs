//! A whole configuration as one service: an access layer and a proxy, reloaded together.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::task::JoinError;
use tower_layer::Layer;
use tower_service::Service;

use crate::config::Config;
use crate::engine::Access;
use crate::layer::{AccessBody, AccessFuture, AccessLayer, AccessService};
use crate::secret::SecretHash;

use super::super::BoxError;
use super::super::body::ProxyBody;
use super::super::service::ReverseProxy;
use super::setup_error::{Part, ProxySetupError};
use super::start_settings::StartSettings;

/// The service of a configuration file: a [`ReverseProxy`] behind an [`AccessLayer`]. It can be reloaded
/// while requests are running.
///
/// Every request uses one configuration from start to end. Cheap to clone; clones share all state.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use tower_access::config::Config;
/// use tower_access::proxy::{AccessProxy, ServeLimits, serve};
///
/// let config = Config::load("access.yml")?;
/// let proxy = AccessProxy::new(&config).await?;
/// let listener = tokio::net::TcpListener::bind(config.listen).await?;
/// let reloading = proxy.clone();
/// tokio::spawn(async move {
///     // When the file has changed:
///     let config = Config::load("access.yml")?;
///     // After an error, the old configuration stays active.
///     reloading.reload(&config).await?;
///     Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// });
/// serve(listener, proxy, ServeLimits::default(), std::future::pending::<()>()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AccessProxy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: StartSettings,
    in_force: ArcSwap<Version>,
    /// Serializes reloads.
    reloading: Mutex<()>,
}

/// One loaded configuration.
#[derive(Debug)]
struct Version {
    config: Arc<Config>,
    access: Access,
    service: AccessService<ReverseProxy>,
    admin_token: Option<Arc<SecretHash>>,
}

impl AccessProxy {
    /// Creates the service of a configuration.
    ///
    /// # Errors
    ///
    /// If something that the configuration names cannot be used: a password file, a certificate, the store,
    /// the token of the admin API.
    pub async fn new(config: &Config) -> Result<Self, ProxySetupError> {
        let admin_token = admin_token(config)?;
        let opened = config.open().await;
        let access = opened.map_err(|error| ProxySetupError::new(config, Part::Access, &error))?;
        let proxy = ReverseProxy::from_config(config)?;
        let version = Version::new(config.clone(), access, proxy, admin_token);
        Ok(Self(Arc::new(Inner {
            start: StartSettings::from_config(config),
            in_force: ArcSwap::from_pointee(version),
            reloading: Mutex::default(),
        })))
    }

    /// Replaces the configuration, completely or, after an error, not at all. Running requests finish with
    /// their configuration; sessions and keys stay. Open responses and connections are closed if the new
    /// configuration would refuse them. Returns when the store has the revocations of the new configuration,
    /// after at most three seconds: the rest is written later.
    ///
    /// `listen`, `state`, `limits` and the issuer of tokens only change after a restart.
    ///
    /// # Errors
    ///
    /// If something that the configuration names cannot be used, or it has another issuer.
    pub async fn reload(&self, config: &Config) -> Result<(), ProxySetupError> {
        let (proxy, mut config) = (self.clone(), config.clone());
        // URLs of this machine use the port that the program listens on.
        config.listen = self.0.start.listen;
        let failed = {
            let config = config.clone();
            move |error| ProxySetupError::new(&config, Part::Access, &error)
        };
        // Compiling policies must not block requests.
        let replaced = tokio::task::spawn_blocking(move || proxy.replace(config)).await;
        replaced.map_err(|error: JoinError| failed(error)).flatten()?;
        self.access().sync_store().await;
        Ok(())
    }

    fn replace(&self, config: Config) -> Result<(), ProxySetupError> {
        let _one_at_a_time = self.0.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = |error: &dyn fmt::Display| ProxySetupError::new(&config, Part::Access, error);
        let admin_token = admin_token(&config)?;
        if self.0.start.verifies != StartSettings::from_config(&config).verifies {
            return Err(wrong(
                &"access.issuer: a reload cannot change who issues the tokens; restart the program",
            ));
        }
        let present = self.0.in_force.load_full();
        let access = config.build_successor(&present.access).map_err(|error| wrong(&error))?;
        let proxy = ReverseProxy::from_config_after(&config, Some(present.service.get_ref()))?;
        let next = Version::new(config, access.clone(), proxy, admin_token);
        self.0.in_force.store(Arc::new(next));
        access.activate();
        Ok(())
    }

    /// Returns the current engine, for revocations and lookups. A reload replaces it.
    #[must_use]
    pub fn access(&self) -> Access {
        self.0.in_force.load().access.clone()
    }

    /// Returns the current configuration.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.in_force.load().config)
    }

    /// Returns the keys of settings that take effect after a restart.
    pub(super) fn after_restart(&self, config: &Config) -> Vec<&'static str> {
        self.0.start.differences(&StartSettings::from_config(config))
    }

    /// Returns the hash of the token of the admin API; `None` if the admin API is disabled.
    pub(super) fn admin_token(&self) -> Option<Arc<SecretHash>> {
        self.0.in_force.load().admin_token.clone()
    }
}

impl Version {
    fn new(
        config: Config,
        access: Access,
        proxy: ReverseProxy,
        admin_token: Option<SecretHash>,
    ) -> Self {
        Self {
            config: Arc::new(config),
            service: AccessLayer::new(access.clone()).layer(proxy),
            access,
            admin_token: admin_token.map(Arc::new),
        }
    }
}

fn admin_token(config: &Config) -> Result<Option<SecretHash>, ProxySetupError> {
    let Some(admin) = &config.admin else { return Ok(None) };
    match admin.token() {
        Ok(token) => Ok(Some(SecretHash::new(token.expose()))),
        Err(error) => Err(ProxySetupError::new(config, Part::Admin, &error)),
    }
}

impl<B> Service<Request<B>> for AccessProxy
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AccessBody<ProxyBody>>;
    type Error = Infallible;
    type Future = AccessFuture<ReverseProxy, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The proxy is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut service = self.0.in_force.load().service.clone();
        service.call(request)
    }
}
