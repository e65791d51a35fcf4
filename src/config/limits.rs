//! `limits`: times, sizes and counts of the running proxy.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::clock::GoDuration;

use super::keys;
use super::location::Located;
use super::reader::{Place, Reader};

/// `limits`: times, sizes and counts of the running proxy. What the file does not say is `None`: the
/// default. The [module docs](super#limits) list all keys.
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
    /// `listen`: of the proxy's listener.
    pub listen: ListenerLimits,
    /// `admin`: of the listener of `admin`, with the same keys.
    pub admin: ListenerLimits,
    /// `token_cache_bytes`: memory for tokens whose signatures were verified, 0 to 1 GiB; 16 MiB by
    /// default.
    pub token_cache_bytes: Option<usize>,
}

/// Limits of a listener. `None` is the default.
///
/// `proxy::ServeLimits` (feature `proxy`) says what each of them does.
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

/// Reads `limits`.
pub(super) fn read(reader: &mut Reader, root: &Place<'_>) -> LimitsConfig {
    let mut limits = LimitsConfig::default();
    let Some(place) = root.get("limits") else { return limits };
    if !reader.mapping(&place, &[keys::LIMITS]) {
        return limits;
    }
    limits.listen = listener(reader, &place, "listen");
    limits.admin = listener(reader, &place, "admin");
    limits.token_cache_bytes = number(reader, &place, "token_cache_bytes", 0..=1 << 30);
    if root.get("admin").is_none() && place.get("admin").is_some() {
        reader.note_no_effect(&place, "admin", "the file has no `admin`, so nobody listens");
    }
    limits
}

fn listener(reader: &mut Reader, limits: &Place<'_>, key: &str) -> ListenerLimits {
    let Some(place) = limits.get(key) else { return ListenerLimits::default() };
    if !reader.mapping(&place, &[keys::LISTENER]) {
        return ListenerLimits::default();
    }
    let place = &place;
    ListenerLimits {
        max_connections: number(reader, place, "max_connections", 1..=1_000_000),
        header_read_timeout: duration(reader, place, "header_read_timeout", TICK..=minutes(10)),
        max_header_bytes: number(reader, place, "max_header_bytes", 8_192..=1 << 20),
        idle_timeout: duration(reader, place, "idle_timeout", TICK..=hours(24)),
        grace_period: duration(reader, place, "grace_period", Duration::ZERO..=hours(24)),
        max_drained_bytes: number(reader, place, "max_drained_bytes", 0..=1 << 40),
        drain_timeout: duration(reader, place, "drain_timeout", TICK..=hours(1)),
        max_drains: number(reader, place, "max_drains", 0..=1_000_000),
        linger_timeout: duration(reader, place, "linger_timeout", TICK..=minutes(5)),
        max_http2_streams: number(reader, place, "max_http2_streams", 1..=10_000),
        http2_ping_interval: duration(reader, place, "http2_ping_interval", SECOND..=hours(1)),
        http2_ping_timeout: duration(reader, place, "http2_ping_timeout", SECOND..=minutes(10)),
    }
}

/// A whole number within bounds; one outside is an error that names them.
pub(super) fn number<T: TryFrom<u64>>(
    reader: &mut Reader,
    parent: &Place<'_>,
    key: &str,
    bounds: RangeInclusive<u64>,
) -> Option<T> {
    let Located { value, at, key } = reader.optional::<u64>(parent, key)?;
    let number = Some(value).filter(|value| bounds.contains(value));
    let number = number.and_then(|value| T::try_from(value).ok());
    if number.is_none() {
        let (least, most) = bounds.into_inner();
        reader.error_at(at, &key, format_args!("{value} is out of range; write {least} to {most}"));
    }
    number
}

/// A duration within bounds; one outside is an error that names them.
pub(super) fn duration(
    reader: &mut Reader,
    parent: &Place<'_>,
    key: &str,
    bounds: RangeInclusive<Duration>,
) -> Option<Duration> {
    let written = reader.optional::<GoDuration>(parent, key)?;
    let (shortest, longest) = bounds.into_inner();
    reader.check_duration(&written, shortest, longest);
    Some(written.value.get())
}

pub(super) const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

pub(super) const fn hours(hours: u64) -> Duration {
    minutes(60 * hours)
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// No timer is more exact.
const TICK: Duration = Duration::from_millis(10);
