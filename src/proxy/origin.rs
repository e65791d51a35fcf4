//! Settings for an origin: timeouts, connection reuse, host name, certificates.

use std::path::PathBuf;
use std::time::Duration;

/// Settings for one origin, with cloudflared's `originRequest` names and defaults.
///
/// A duration of zero means no limit, as in cloudflared.
///
/// # Example
///
/// ```
/// use tower_access::proxy::OriginSettings;
///
/// let mut settings = OriginSettings::default();
/// assert_eq!(settings.connect_timeout.as_secs(), 30);
/// settings.http_host_header = Some("wiki.internal".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OriginSettings {
    /// Longest time to find the address and connect. Default 30 seconds.
    pub connect_timeout: Duration,
    /// Longest time for the TLS handshake. Default 10 seconds.
    pub tls_timeout: Duration,
    /// Interval of TCP keep-alive probes; zero disables them. Default 30 seconds.
    pub tcp_keep_alive: Duration,
    /// Try addresses strictly in order instead of racing IPv6 and IPv4. Default false.
    pub no_happy_eyeballs: bool,
    /// Idle connections kept for reuse. Default 100.
    pub keep_alive_connections: usize,
    /// Longest time an idle connection is kept. Default 90 seconds.
    pub keep_alive_timeout: Duration,
    /// The `Host` for the origin. The client's goes to `X-Forwarded-Host`. Default: the client's.
    pub http_host_header: Option<http::uri::Authority>,
    /// The name sent to the origin in the handshake and expected in its certificate. Default: the
    /// service's host (`localhost` for a Unix socket).
    pub origin_server_name: Option<String>,
    /// Use the host for the origin (`http_host_header`, or else the client's) as the name in the handshake and
    /// the certificate, unless `origin_server_name` is set. Connections of one name never serve another; those
    /// of the 64 most recent names stay open. Default false.
    pub match_sni_to_host: bool,
    /// Collect request bodies of unknown length, at most 32 at a time, and send them with a length instead
    /// of chunked. Not over HTTP/2. Default false.
    pub disable_chunked_encoding: bool,
    /// Most bytes of a collected body; a longer one is refused with 413. Default 1 MiB.
    pub max_collected_body_bytes: usize,
    /// A PEM file of certificate authorities to trust in addition to the system's. Read when the proxy is
    /// built.
    pub ca_pool: Option<PathBuf>,
    /// Accept any certificate (`noTLSVerify`). An attacker who can impersonate the origin can then
    /// read and change everything. Default false.
    pub dangerous_no_tls_verify: bool,
    /// Offer HTTP/2 to an encrypted origin. Upgrades and origins that do not take the offer use
    /// HTTP/1.1; so do unencrypted ones. Default false.
    pub http2_origin: bool,
    /// Longest silence before the head of a response; zero means no limit. It restarts while the request's
    /// body is still moving, and does not apply to the body of the response. Default: that of the proxy
    /// ([`response_header_timeout`](super::ReverseProxyBuilder::response_header_timeout)), 100 seconds.
    pub response_header_timeout: Option<Duration>,
}

impl Default for OriginSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(30),
            tls_timeout: Duration::from_secs(10),
            tcp_keep_alive: Duration::from_secs(30),
            no_happy_eyeballs: false,
            keep_alive_connections: 100,
            keep_alive_timeout: Duration::from_secs(90),
            http_host_header: None,
            origin_server_name: None,
            match_sni_to_host: false,
            disable_chunked_encoding: false,
            max_collected_body_bytes: 1 << 20,
            ca_pool: None,
            dangerous_no_tls_verify: false,
            http2_origin: false,
            response_header_timeout: None,
        }
    }
}

impl OriginSettings {
    /// Returns whether the same connections can serve both; `response_header_timeout` may differ.
    pub(super) fn has_same_connection_settings(&self, other: &Self) -> bool {
        let untimed = |settings: &Self| Self { response_header_timeout: None, ..settings.clone() };
        self == other || untimed(self) == untimed(other)
    }
}
