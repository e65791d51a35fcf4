//! The URL of a Redis server.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use crate::util::trusted_url;

/// The URL of a Redis or Valkey server: `redis://host:port/database`, or `rediss://` for TLS.
///
/// If omitted, the port is 6379 and the database 0. A user name or password is refused: URLs appear
/// in logs and process lists.
///
/// ```
/// use tower_access::store::RedisUrl;
///
/// let url: RedisUrl = "rediss://redis.example.com".parse()?;
/// assert_eq!(url.to_string(), "rediss://redis.example.com:6379/0");
/// assert!("redis://:hush@redis.example.com".parse::<RedisUrl>().is_err());
/// # Ok::<(), tower_access::store::RedisUrlError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedisUrl {
    tls: bool,
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) database: u16,
}

impl RedisUrl {
    /// Whether the connection is encrypted: `rediss://`.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether the server is on this machine, so that the traffic stays off the network.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        trusted_url::is_loopback(&self.host)
    }
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(text: &str) -> Result<Self, RedisUrlError> {
        let url = Url::parse(text).map_err(|_| RedisUrlError::NoAddress)?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(RedisUrlError::NoAddress),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RedisUrlError::HasCredentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(RedisUrlError::NoAddress);
        }
        // The parser leaves hosts of unknown schemes unchanged.
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = Host::parse(host.ok_or(RedisUrlError::NoAddress)?);
        let port = url.port().unwrap_or(6379);
        let database = match url.path().trim_start_matches('/') {
            "" => 0,
            number => number.parse().map_err(|_| RedisUrlError::NoDatabase)?,
        };
        if port == 0 {
            return Err(RedisUrlError::NoAddress);
        }
        Ok(Self { tls, host: host.map_err(|_| RedisUrlError::NoAddress)?, port, database })
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, host, port, database } = self;
        write!(f, "redis{}://{host}:{port}/{database}", if *tls { "s" } else { "" })
    }
}

/// The error for a text that is not a [`RedisUrl`]. It does not repeat the text, which may contain
/// a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisUrlError {
    /// It is not a valid URL.
    #[error("invalid Redis URL; write `redis://host:6379/0`, or `rediss://` for TLS")]
    NoAddress,
    /// The database is not a number.
    #[error("no database; write its number after the port, such as `redis://host:6379/0`")]
    NoDatabase,
    /// It contains a user name or a password.
    #[error(
        "the Redis URL contains a user name or password; write `username` and the password beside \
         it, the password in a file of its own"
    )]
    HasCredentials,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_and_written_out() {
        for (text, written) in [
            ("redis://localhost", "redis://localhost:6379/0"),
            ("redis://10.0.0.7:7000/3", "redis://10.0.0.7:7000/3"),
            ("rediss://[::1]/", "rediss://[::1]:6379/0"),
            ("REDIS://Host.Example", "redis://host.example:6379/0"),
        ] {
            assert_eq!(text.parse::<RedisUrl>().unwrap().to_string(), written);
        }
        for (text, loopback) in [
            ("redis://localhost", true),
            ("redis://127.0.0.9", true),
            ("redis://[::ffff:127.0.0.1]", true),
            ("redis://localhost.example", false),
            ("redis://10.0.0.7", false),
        ] {
            assert_eq!(text.parse::<RedisUrl>().unwrap().is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for text in [
            "",
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis:///0",
            "redis://host:0",
            "redis://host:x",
            "redis://host?db=1",
            "redis://host#x",
            "unix:///run/redis.sock",
        ] {
            assert_eq!(text.parse::<RedisUrl>(), Err(RedisUrlError::NoAddress), "{text}");
        }
        for text in ["redis://host/x", "redis://host/-1", "redis://host/0/1", "redis://host/70000"]
        {
            assert_eq!(text.parse::<RedisUrl>(), Err(RedisUrlError::NoDatabase), "{text}");
        }
        for text in ["redis://user@host", "redis://:hush@host", "rediss://u:hush@host:1/0"] {
            let error = text.parse::<RedisUrl>().unwrap_err();
            assert_eq!(error, RedisUrlError::HasCredentials, "{text}");
            assert!(!error.to_string().contains("hush"));
        }
    }
}
