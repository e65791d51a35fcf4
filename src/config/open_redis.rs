//! State in Redis: opening it.

use std::sync::Arc;

use crate::engine::ConfigError;
use crate::store::{RedisPassword, RedisStore};

use super::open::{OpenState, in_state};
use super::secret_file;
use super::state::RedisStateConfig;

impl RedisStateConfig {
    pub(super) const CAN_OPEN: bool = true;

    pub(super) fn open(&self) -> Result<OpenState, ConfigError> {
        let path = &self.secret_file;
        let secret = secret_file::read(path).map_err(in_state)?.ok_or_else(|| {
            in_state(format_args!(
                "{path}: the master secret is missing; create it once, with `openssl rand -hex 32 > \
                 {path}`, and copy it to all processes",
                path = path.display()
            ))
        })?;
        let mut builder = RedisStore::builder(self.url.clone());
        if let Some(path) = &self.password_file {
            let text = secret_file::read_text(path)
                .map_err(|error| in_state(format_args!("{}: {error}", path.display())))?;
            let password = RedisPassword::new(text.trim_end_matches(['\r', '\n']));
            builder = match &self.username {
                Some(username) => builder.login(username, password),
                None => builder.password(password),
            };
        }
        if let Some(path) = &self.ca_file {
            builder = builder.ca_file(path);
        }
        if let Some(prefix) = &self.prefix {
            builder = builder.prefix(prefix);
        }
        if let Some(timeout) = self.timeout {
            builder = builder.timeout(timeout);
        }
        if let Some(members) = self.members_per_set {
            builder = builder.members_per_set(members);
        }
        Ok((Arc::new(builder.build().map_err(in_state)?), secret))
    }
}
