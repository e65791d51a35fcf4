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

    /// Logs in with a password alone, as the server's default user.
    pub fn password(mut self, password: RedisPassword) -> Self {
        self.password = Some(password);
        self
    }

    /// Trusts the authorities in this PEM file, and no others, for a `rediss://` server. Those of
    /// the platform by default.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Sets what all keys begin with, `tower-access:` by default: deployments that share a server
    /// have different ones. Visible ASCII, at most 64 bytes.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how long an operation may take, connecting included: 100 ms to 30 s, other values are
    /// moved into this range. 2 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.clamp(Duration::from_millis(100), Duration::from_secs(30));
        self
    }

    /// Sets how many members a set holds at most, 50,000 by default.
    pub fn members_per_set(mut self, members: usize) -> Self {
        self.members_per_set = members;
        self
    }

    /// Makes the store. Reads the authorities, and connects to nothing yet: a server that is away is
    /// an error when the store is used.
    ///
    /// # Errors
    ///
    /// When the authorities cannot be read, there are some and the address is not `rediss://`, or
    /// the prefix is none.
    pub fn build(self) -> Result<RedisStore, StoreError> {
        if self.prefix.len() > 64 || !self.prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(StoreError::new("the prefix of keys is visible ASCII, at most 64 bytes"));
        }
        let tls = match (self.url.is_tls(), &self.ca_file) {
            (true, file) => Some(tls::client_config(file.as_deref()).map_err(StoreError::new)?),
            (false, None) => None,
            (false, Some(_)) => {
                return Err(StoreError::new(format!(
                    "{}: authorities without TLS; write `rediss://`, or leave them out",
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
    /// The host's name or address, without brackets.
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
