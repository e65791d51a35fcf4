//! The streaming reverse proxy.
//!
//! An [`Ingress`] is an ordered table of rules, first match wins, with the same meaning as
//! cloudflared's `ingress:` list. A [`ReverseProxy`] is a tower service over such a table: it sends
//! each request to the origin of its rule and streams the response back. [`serve()`] runs any such
//! service on a listening socket.
//!
//! This module must not depend on login, policies or identities. The service that wraps it decides who
//! gets access, replaces the identity headers of the client by verified ones, and limits upgraded
//! connections with a [`AccessGrant`](crate::AccessGrant). The proxy guarantees that a client cannot remove
//! those headers (with `Connection: cf-access-…`), smuggle them in as trailers, or get a raw connection to
//! the origin (with `Upgrade: h2c`).
//!
//! The path is never rewritten: the origin receives the path that was checked, byte by byte.
//! If headers name other resources as well (the target of a `MOVE`, the source of a copy; see
//! [`layer`](crate::layer#requests-that-act-on-more-than-their-target)), the origin of the request target
//! gets the request, even if the rule for the other resource has another origin. If that rule has a status
//! instead of an origin, such as `http_status:403`, the response has that status.
//!
//! # Example
//!
//! ```
//! use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ingress = Ingress::new(vec![
//!     IngressRule::parse("wiki.example.com", None, "http://localhost:8080", OriginSettings::default())?,
//!     IngressRule::parse("", None, "http_status:404", OriginSettings::default())?,
//! ])?;
//! let proxy = ReverseProxy::builder(ingress).build()?;
//! # drop(proxy);
//! # Ok(())
//! # }
//! ```
//!
//! With settings of its own for one origin, and served:
//!
//! ```no_run
//! use std::time::Duration;
//! use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy, ServeLimits, serve};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut settings = OriginSettings::default();
//! settings.connect_timeout = Duration::from_secs(3);
//! settings.ca_pool = Some("/etc/ssl/internal.pem".into());
//! let ingress = Ingress::new(vec![IngressRule::parse("*", None, "https://10.0.0.7:8443", settings)?])?;
//! let proxy = ReverseProxy::builder(ingress)
//!     .response_header_timeout(Duration::from_secs(30))
//!     .build()?;
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//! let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
//! serve(listener, proxy, ServeLimits::default(), stop).await;
//! # Ok(())
//! # }
//! ```

mod activity;
mod body;
#[cfg(feature = "config")]
mod configured;
mod connect;
mod drain;
mod exchange;
mod failure;
mod forward;
mod forwarded;
mod headers;
mod host;
mod http1;
mod http2;
mod idle_list;
mod idleness;
mod ingress;
mod linger;
mod origin;
mod origin_service;
mod pattern;
mod pool;
mod progress;
mod race;
mod request_body;
mod rule_error;
mod serve;
mod service;
mod tls;
mod upgrade;
mod upstream;

pub use self::body::ProxyBody;
#[cfg(feature = "config")]
pub use self::configured::{AccessProxy, ProxySetupError, ReloadError, ReloadReport, Reloader};
pub use self::drain::IncomingBody;
pub use self::ingress::{Ingress, IngressError, IngressRule};
pub use self::origin::OriginSettings;
pub use self::origin_service::OriginService;
pub use self::pattern::{HostPattern, PathRegex};
pub use self::rule_error::IngressRuleError;
pub use self::serve::{ServeLimits, serve};
pub use self::service::{ProxyError, ProxyFuture, ReverseProxy, ReverseProxyBuilder};

/// A boxed error of another crate.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
