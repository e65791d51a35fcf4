//! The settings of a store in Redis.

use std::path::PathBuf;
use std::time::Duration;

use redis::{ProtocolVersion, RedisConnectionInfo};
use url::Host;

use super::super::{RedisUrl, StoreError};
use super::connection::{Connection, Target};
use super::{RedisPassword, RedisStore, tls};

/// Settings of a [`RedisStore`].
#[derive(Clone, Debug)]
#[must_use = "settings do nothing until they are built"]
pub struct RedisStoreBuilder {
    url: RedisUrl,
    username: Option<String>,
    password: Option<RedisPassword>,
    ca_file: Option<PathBuf>,
    prefix: String,
    timeout: Duration,
    members_per_set: usize,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: RedisUrl) -> Self {
        Self {
            url,
            username: None,
            password: None,
            ca_file: None,
            prefix: "tower-access:".to_owned(),
            timeout: Duration::from_secs(2),
            members_per_set: 50_000,
        }
    }

    /// Logs in as this user.
    pub fn login(mut self, username: impl Into<String>, password: RedisPassword) -> Self {
        self.username = Some(username.into());
        self.password(password)
    }

    /// Logs in with a password only, as the server's default user.
    pub fn password(mut self, password: RedisPassword) -> Self {
        self.password = Some(password);
        self
    }

    /// Trusts only the CA certificates in this PEM file for a `rediss://` server. Default: those of
    /// the platform.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Sets the prefix of all keys. Default: `tower-access:`. Deployments that share a server need
    /// different ones. Visible ASCII, at most 64 bytes.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the timeout of an operation, connecting included. Values are clamped to 100 ms to 30 s.
    /// Default: 2 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_millis(100), Duration::from_secs(30));
        self
    }

    /// Sets the maximum number of members of a set. Default: 50,000.
    pub fn members_per_set(mut self, members: usize) -> Self {
        self.members_per_set = members;
        self
    }

    /// Builds the store. Reads the CA certificates and does not connect yet: an unavailable server
    /// is an error when the store is used.
    ///
    /// # Errors
    ///
    /// If the CA certificates cannot be read, if they are set and the URL is not `rediss://`, or if the
    /// prefix is invalid.
    pub fn build(self) -> Result<RedisStore, StoreError> {
        if self.prefix.len() > 64 || !self.prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(StoreError::new(
                "invalid key prefix; write visible ASCII, at most 64 bytes",
            ));
        }
        let tls = match (self.url.is_tls(), &self.ca_file) {
            (true, file) => Some(tls::client_config(file.as_deref()).map_err(StoreError::new)?),
            (false, None) => None,
            (false, Some(_)) => {
                return Err(StoreError::new(format!(
                    "{}: CA certificates without TLS; write `rediss://`, or remove them",
                    self.url
                )));
            }
        };
        let mut login = RedisConnectionInfo::default()
            .set_db(self.url.database.into())
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password.as_str());
        }
        let target = Target { url: self.url, login, tls, timeout: self.timeout };
        Ok(RedisStore {
            connection: Connection::new(target),
            prefix: self.prefix,
            members_per_set: self.members_per_set,
        })
    }
}

impl RedisUrl {
    /// Returns the host's name or address, without brackets.
    pub(super) fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}
