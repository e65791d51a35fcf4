//! The proxy of a configuration file, and reloading it.

mod access_proxy;
mod fingerprint;
mod reloader;
mod setup_error;
mod start_settings;

use std::fmt;
use std::time::Duration;

use crate::config::{Config, IngressEntry, ListenerLimits, OriginRequest};

pub use self::access_proxy::AccessProxy;
pub use self::reloader::{ReloadError, ReloadReport, Reloader};
use self::setup_error::Part;
pub use self::setup_error::ProxySetupError;
use super::ingress::{Ingress, IngressError, IngressRule};
use super::origin::OriginSettings;
use super::serve::ServeLimits;
use super::service::ReverseProxy;

impl ReverseProxy {
    /// Creates the proxy of a configuration: its `ingress`, `trusted_proxies` and public addresses.
    ///
    /// # Errors
    ///
    /// If a rule is invalid, for example because its file of certificate authorities is missing.
    ///
    /// ```no_run
    /// use tower_access::config::Config;
    /// use tower_access::proxy::ReverseProxy;
    ///
    /// let proxy = ReverseProxy::from_config(&Config::load("access.yml")?)?;
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    pub fn from_config(config: &Config) -> Result<Self, ProxySetupError> {
        Self::from_config_after(config, None)
    }

    /// Builds a proxy that reuses the connections of an earlier one.
    fn from_config_after(config: &Config, earlier: Option<&Self>) -> Result<Self, ProxySetupError> {
        let wrong = |error: &dyn fmt::Display| ProxySetupError::new(config, Part::Ingress, error);
        let ingress = Ingress::from_entries(&config.ingress).map_err(|error| wrong(&error))?;
        let builder = Self::builder(ingress)
            .trusted_proxies(config.trusted_proxies.clone())
            .public_addresses(config.public_addresses.clone());
        builder.build_reusing(earlier).map_err(|error| wrong(&error))
    }
}

impl Ingress {
    /// Creates the table of a configuration's `ingress`.
    ///
    /// # Errors
    ///
    /// If a rule is invalid, or the last rule does not match everything.
    pub fn from_entries(entries: &[IngressEntry]) -> Result<Self, IngressError> {
        let rules = entries.iter().enumerate().map(|(number, entry)| {
            let hostname = entry.hostname.as_deref().unwrap_or_default();
            let settings = OriginSettings::from(&entry.origin_request);
            IngressRule::parse(hostname, entry.path.as_deref(), &entry.service, settings)
                .map_err(|error| IngressError::new(number, error))
        });
        Self::new(rules.collect::<Result<_, _>>()?)
    }
}

impl ServeLimits {
    /// Creates the limits of `limits.listen`, for the proxy's listener.
    #[must_use]
    pub fn from_config(config: &Config) -> Self {
        Self::default().with(config.limits.listen)
    }

    /// Creates the limits of `limits.admin`, for the listener of [`admin`](crate::admin). Default: 64
    /// connections at a time.
    #[must_use]
    pub fn for_admin(config: &Config) -> Self {
        Self { max_connections: 64, ..Self::default() }.with(config.limits.admin)
    }

    // Without `..`, so that a new limit without a key does not compile.
    fn with(self, written: ListenerLimits) -> Self {
        Self {
            max_connections: written.max_connections.unwrap_or(self.max_connections),
            header_read_timeout: written.header_read_timeout.unwrap_or(self.header_read_timeout),
            max_header_bytes: written.max_header_bytes.unwrap_or(self.max_header_bytes),
            idle_timeout: written.idle_timeout.unwrap_or(self.idle_timeout),
            grace_period: written.grace_period.unwrap_or(self.grace_period),
            max_drained_bytes: written.max_drained_bytes.unwrap_or(self.max_drained_bytes),
            drain_timeout: written.drain_timeout.unwrap_or(self.drain_timeout),
            max_drains: written.max_drains.unwrap_or(self.max_drains),
            linger_timeout: written.linger_timeout.unwrap_or(self.linger_timeout),
            max_http2_streams: written.max_http2_streams.unwrap_or(self.max_http2_streams),
            http2_ping_interval: written.http2_ping_interval.unwrap_or(self.http2_ping_interval),
            http2_ping_timeout: written.http2_ping_timeout.unwrap_or(self.http2_ping_timeout),
        }
    }
}

impl From<&OriginRequest> for OriginSettings {
    fn from(written: &OriginRequest) -> Self {
        let usual = Self::default();
        let duration = |written: Option<Duration>, usual| written.unwrap_or(usual);
        Self {
            connect_timeout: duration(written.connect_timeout, usual.connect_timeout),
            tls_timeout: duration(written.tls_timeout, usual.tls_timeout),
            tcp_keep_alive: duration(written.tcp_keep_alive, usual.tcp_keep_alive),
            no_happy_eyeballs: written.no_happy_eyeballs.unwrap_or(usual.no_happy_eyeballs),
            keep_alive_connections: written
                .keep_alive_connections
                .unwrap_or(usual.keep_alive_connections),
            keep_alive_timeout: duration(written.keep_alive_timeout, usual.keep_alive_timeout),
            http_host_header: written.http_host_header.clone(),
            origin_server_name: written.origin_server_name.clone(),
            match_sni_to_host: written.match_sni_to_host.unwrap_or(usual.match_sni_to_host),
            disable_chunked_encoding: written
                .disable_chunked_encoding
                .unwrap_or(usual.disable_chunked_encoding),
            max_collected_body_bytes: written
                .max_collected_body_bytes
                .unwrap_or(usual.max_collected_body_bytes),
            ca_pool: written.ca_pool.clone(),
            dangerous_no_tls_verify: written
                .dangerous_no_tls_verify
                .unwrap_or(usual.dangerous_no_tls_verify),
            http2_origin: written.http2_origin.unwrap_or(usual.http2_origin),
            response_header_timeout: written.response_header_timeout,
        }
    }
}
