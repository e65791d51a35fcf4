//! A whole file as one service: access in front, the proxy behind, replaced together.

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
use crate::layer::{AccessFuture, AccessLayer, AccessResponseBody, AccessService};
use crate::secret::SecretHash;

use super::super::BoxError;
use super::super::body::ProxyBody;
use super::super::service::ReverseProxy;
use super::setup_error::{Part, ProxySetupError};
use super::start_settings::StartSettings;

/// What a configuration file describes: a [`ReverseProxy`] behind an
/// [`AccessLayer`], which another file can take the place of while requests go on.
///
/// Every request sees one file, from its first step to its last. Cheap to clone; clones share
/// everything.
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
///     // An error: everything stays as it is.
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
    /// Held while another file is put in force: one after the other.
    reloading: Mutex<()>,
}

/// What one file says.
#[derive(Debug)]
struct Version {
    config: Arc<Config>,
    access: Access,
    service: AccessService<ReverseProxy>,
    admin_token: Option<Arc<SecretHash>>,
}

impl AccessProxy {
    /// Begins with this file.
    ///
    /// # Errors
    ///
    /// When something the file names cannot be used: a password file, a certificate, the store, the
    /// token of the administration.
    pub async fn new(config: &Config) -> Result<Self, ProxySetupError> {
        let admin_token = admin_token(config)?;
        let opened = config.open().await;
        let access = opened.map_err(|error| ProxySetupError::new(config, Part::Access, &error))?;
        let proxy = ReverseProxy::from_config(config)?;
        let version = Version::new(config.clone(), access, proxy, admin_token);
        Ok(Self(Arc::new(Inner {
            start: StartSettings::of(config),
            in_force: ArcSwap::from_pointee(version),
            reloading: Mutex::default(),
        })))
    }

    /// Puts this file in the place of the one before: all of it, or nothing where it cannot be used.
    /// Requests under way end under the file they began with; sessions and keys stay. Answers and
    /// connections that go on are closed where the new file would not open them. Returns when the
    /// store has what the new file ends, after three seconds at most: what it cannot take then is
    /// written later.
    ///
    /// `listen`, `state`, `limits` and who issues the tokens are settled at the start.
    ///
    /// # Errors
    ///
    /// When something the file names cannot be used, or the file has another role.
    pub async fn reload(&self, config: &Config) -> Result<(), ProxySetupError> {
        let (proxy, mut config) = (self.clone(), config.clone());
        // Addresses of this machine are made with the port that is listened on.
        config.listen = self.0.start.listen;
        let failed = {
            let config = config.clone();
            move |error| ProxySetupError::new(&config, Part::Access, &error)
        };
        // Beside the requests: policies are compiled.
        let replaced = tokio::task::spawn_blocking(move || proxy.replace(config)).await;
        replaced.map_err(|error: JoinError| failed(error)).flatten()?;
        self.access().record_ends().await;
        Ok(())
    }

    fn replace(&self, config: Config) -> Result<(), ProxySetupError> {
        let _one_at_a_time = self.0.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = |error: &dyn fmt::Display| ProxySetupError::new(&config, Part::Access, error);
        let admin_token = admin_token(&config)?;
        if self.0.start.verifies != StartSettings::of(&config).verifies {
            return Err(wrong(
                &"access.issuer: who issues the tokens is settled when the program starts; restart it",
            ));
        }
        let present = self.0.in_force.load_full();
        let access = config.successor_of(&present.access).map_err(|error| wrong(&error))?;
        let proxy = ReverseProxy::from_config_after(&config, Some(present.service.get_ref()))?;
        let next = Version::new(config, access.clone(), proxy, admin_token);
        self.0.in_force.store(Arc::new(next));
        access.take_over();
        Ok(())
    }

    /// Returns the engine in force: for revocations, and for looking things up. After a reload it is
    /// another one.
    #[must_use]
    pub fn access(&self) -> Access {
        self.0.in_force.load().access.clone()
    }

    /// Returns what is in force.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.in_force.load().config)
    }

    /// Returns the keys of settings that take effect after a restart.
    pub(super) fn after_restart(&self, config: &Config) -> Vec<&'static str> {
        self.0.start.differences(&StartSettings::of(config))
    }

    /// Returns the hash of the token of the administration; `None` where there is no administration.
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
        Ok(token) => Ok(Some(SecretHash::of(token.expose()))),
        Err(error) => Err(ProxySetupError::new(config, Part::Admin, &error)),
    }
}

impl<B> Service<Request<B>> for AccessProxy
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<AccessResponseBody<ProxyBody>>;
    type Error = Infallible;
    type Future = AccessFuture<ReverseProxy, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The proxy always is.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut service = self.0.in_force.load().service.clone();
        service.call(request)
    }
}
