//! A whole file as one service: access in front, the proxy behind, replaced together.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use crate::config::Config;
use crate::engine::Access;
use crate::layer::{AccessFuture, AccessLayer, AccessResponseBody, AccessService};

use super::BoxError;
use super::body::ProxyBody;
use super::service::ReverseProxy;

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
///     if let Err(error) = Config::load("access.yml").map_err(Into::into).and_then(|new| reloading.reload(&new)) {
///         eprintln!("everything stays as it is: {error}");
///     }
/// });
/// serve(listener, proxy, ServeLimits::default(), std::future::pending::<()>()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AccessProxy(Arc<ArcSwap<Version>>);

/// What one file says.
#[derive(Debug)]
struct Version {
    access: Access,
    service: AccessService<ReverseProxy>,
}

impl AccessProxy {
    /// Begins with this file.
    ///
    /// # Errors
    ///
    /// When something the file names cannot be used: a password file, a certificate, the store.
    pub async fn new(config: &Config) -> Result<Self, BoxError> {
        let access = config.open().await?;
        let proxy = ReverseProxy::from_config(config)?;
        Ok(Self(Arc::new(ArcSwap::from_pointee(Version::new(access, proxy)))))
    }

    /// Puts this file in the place of the one before: all of it, or nothing where it cannot be used.
    /// Requests under way end under the file they began with; sessions and keys stay. Answers and
    /// connections that go on are closed where the new file would not open them.
    ///
    /// `listen`, `state`, `limits` and who issues the tokens are settled at the start.
    ///
    /// # Errors
    ///
    /// When something the file names cannot be used, or the file has another role.
    pub fn reload(&self, config: &Config) -> Result<(), BoxError> {
        let present = self.0.load_full();
        let access = config.successor_of(&present.access)?;
        let proxy = ReverseProxy::from_config_after(config, Some(present.service.get_ref()))?;
        let next = Version::new(access.clone(), proxy);
        self.0.store(Arc::new(next));
        access.take_over();
        Ok(())
    }

    /// The engine in force: for revocations, and for looking things up. After a reload it is another
    /// one.
    #[must_use]
    pub fn access(&self) -> Access {
        self.0.load().access.clone()
    }
}

impl Version {
    fn new(access: Access, proxy: ReverseProxy) -> Self {
        Self { service: AccessLayer::new(access.clone()).layer(proxy), access }
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
        let mut service = self.0.load().service.clone();
        service.call(request)
    }
}
