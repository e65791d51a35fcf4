//! `limits`: times, sizes and counts of the running proxy.

use std::time::Duration;

use super::reader::{NodeRef, Reader};
use super::schema::{Field, Time, Whole, document, hours, minutes, seconds};

/// `limits`: times, sizes and counts of the running proxy. `None` is the default.
///
/// The [configuration reference](crate::_guide::configuration#limits) lists all keys.
///
/// ```
/// use tower_access::config::Config;
///
/// let text = "
/// limits: { listen: { idle_timeout: 75s } }
/// access:
///   mail: console
///   applications: [ { domain: wiki.example.com } ]
/// ";
/// let config = Config::parse(text, "access.yml")?;
/// assert_eq!(config.limits.listen.idle_timeout.map(|time| time.as_secs()), Some(75));
/// # Ok::<(), tower_access::config::ConfigErrors>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// `listen`: limits of the proxy's listener.
    pub listen: ListenerLimits,
    /// `admin`: limits of the listener of `admin`, with the same keys.
    pub admin: ListenerLimits,
    /// `token_cache_bytes`: memory for tokens with verified signatures, 0 to 1 GiB; 16 MiB by default.
    pub token_cache_bytes: Option<usize>,
}

/// Limits of a listener. `None` is the default.
///
/// `proxy::ServeLimits` (feature `proxy`) documents each of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct ListenerLimits {
    /// `max_connections`: 1 to 1 000 000; 10 000 by default, 64 for `admin`.
    pub max_connections: Option<usize>,
    /// `header_read_timeout`: 10 ms to 10 m; 15 s by default.
    pub header_read_timeout: Option<Duration>,
    /// `max_header_bytes`: 8 KiB to 1 MiB; 64 KiB by default.
    pub max_header_bytes: Option<u32>,
    /// `idle_timeout`: 10 ms to 24 h; 620 s by default.
    pub idle_timeout: Option<Duration>,
    /// `grace_period`: 0 s to 24 h; 30 s by default.
    pub grace_period: Option<Duration>,
    /// `max_drained_bytes`: 0 to 1 TiB; 64 MiB by default.
    pub max_drained_bytes: Option<u64>,
    /// `drain_timeout`: 10 ms to 1 h; 30 s by default.
    pub drain_timeout: Option<Duration>,
    /// `max_drains`: 0 to 1 000 000; 1 000 by default.
    pub max_drains: Option<usize>,
    /// `linger_timeout`: 10 ms to 5 m; 5 s by default.
    pub linger_timeout: Option<Duration>,
    /// `max_http2_streams`: 1 to 10 000; 200 by default.
    pub max_http2_streams: Option<u32>,
    /// `http2_ping_interval`: 1 s to 1 h; 30 s by default.
    pub http2_ping_interval: Option<Duration>,
    /// `http2_ping_timeout`: 1 s to 10 m; 10 s by default.
    pub http2_ping_timeout: Option<Duration>,
}

document! {
    /// Times, sizes and counts of the running proxy. They take effect after a restart.
    pub(super) struct Limits in "limits" {
        /// Limits of the proxy's listener.
        "listen" listen: Listener {
            default: "the defaults of its keys", example: "{ max_connections: 20000 }",
        }
        /// Limits of the listener of `admin`.
        "admin" admin: Listener {
            default: "the defaults of its keys, with 64 connections", example: "{ max_connections: 16 }",
        }
        /// Bytes of memory for tokens with verified signatures.
        "token_cache_bytes" token_cache_bytes: Whole<usize, 0, 1_073_741_824> {
            default: "16777216", example: "67108864",
        }
    }
}

document! {
    /// Limits of one listener.
    pub(super) struct Listener in "limits.listen" {
        /// Number of connections at a time; further ones wait.
        "max_connections" max_connections: Whole<usize, 1, 1_000_000> {
            default: "10000", example: "20000",
        }
        /// Time for the head of a request, from its first byte.
        "header_read_timeout" header_read_timeout: Time<TICK, { minutes(10) }> {
            default: "15s", example: "30s",
        }
        /// Bytes of the head of a request.
        "max_header_bytes" max_header_bytes: Whole<u32, 8_192, 1_048_576> {
            default: "65536", example: "131072",
        }
        /// Time for which a connection without a request under way stays open.
        "idle_timeout" idle_timeout: Time<TICK, { hours(24) }> {
            default: "620s", example: "75s",
        }
        /// Time for requests under way when the program stops.
        "grace_period" grace_period: Time<0, { hours(24) }> {
            default: "30s", example: "5m",
        }
        /// Bytes of a request body that are read and discarded after a response that did not need them; `0`
        /// reads none.
        "max_drained_bytes" max_drained_bytes: Whole<u64, 0, 1_099_511_627_776> {
            default: "67108864", example: "1048576",
        }
        /// Time for reading and discarding the rest of a request body.
        "drain_timeout" drain_timeout: Time<TICK, { hours(1) }> {
            default: "30s", example: "10s",
        }
        /// Number of request bodies that are read and discarded at a time, on all connections.
        "max_drains" max_drains: Whole<usize, 0, 1_000_000> { default: "1000", example: "100", }
        /// Time for which a closing connection is still read, so that the client gets the response.
        "linger_timeout" linger_timeout: Time<TICK, { minutes(5) }> {
            default: "5s", example: "2s",
        }
        /// Number of HTTP/2 requests at a time on one connection.
        "max_http2_streams" max_http2_streams: Whole<u32, 1, 10_000> {
            default: "200", example: "100",
        }
        /// Time between HTTP/2 pings on a quiet connection.
        "http2_ping_interval" http2_ping_interval: Time<{ seconds(1) }, { hours(1) }> {
            default: "30s", example: "1m",
        }
        /// Time for the response to an HTTP/2 ping.
        "http2_ping_timeout" http2_ping_timeout: Time<{ seconds(1) }, { minutes(10) }> {
            default: "10s", example: "20s",
        }
    }
}

/// Builds the settings, and notes limits of a listener that does not exist.
pub(super) fn build(
    reader: &mut Reader,
    root: &NodeRef<'_>,
    limits: Field<Limits>,
) -> LimitsConfig {
    let Limits { listen, admin, token_cache_bytes } = limits.value().unwrap_or_default();
    if let Some(limits) = root.get("limits").filter(|_| admin.is_written())
        && root.get("admin").is_none()
    {
        reader.note_no_effect(&limits, "admin", "the file has no `admin`, so nobody listens");
    }
    LimitsConfig {
        listen: listen.value().unwrap_or_default().into(),
        admin: admin.value().unwrap_or_default().into(),
        token_cache_bytes: token_cache_bytes.value(),
    }
}

impl From<Listener> for ListenerLimits {
    fn from(listener: Listener) -> Self {
        Self {
            max_connections: listener.max_connections.value(),
            header_read_timeout: listener.header_read_timeout.value(),
            max_header_bytes: listener.max_header_bytes.value(),
            idle_timeout: listener.idle_timeout.value(),
            grace_period: listener.grace_period.value(),
            max_drained_bytes: listener.max_drained_bytes.value(),
            drain_timeout: listener.drain_timeout.value(),
            max_drains: listener.max_drains.value(),
            linger_timeout: listener.linger_timeout.value(),
            max_http2_streams: listener.max_http2_streams.value(),
            http2_ping_interval: listener.http2_ping_interval.value(),
            http2_ping_timeout: listener.http2_ping_timeout.value(),
        }
    }
}

/// Milliseconds: the precision of the timers.
const TICK: u64 = 10;
