//! From the keys to the settings of login methods.

use super::IdentityProviderConfig;
use crate::engine::ConfigError;
use crate::login::{IdentityProvider, MethodInfo};

impl IdentityProviderConfig {
    pub(in crate::config) fn info(&self) -> MethodInfo<'_> {
        MethodInfo { id: &self.id, kind: self.kind.as_str(), name: &self.name }
    }

    /// Returns the settings of the login method. Reads the files that they name.
    pub(in crate::config) fn provider(&self) -> Result<IdentityProvider, ConfigError> {
        let Self { kind, path, .. } = self;
        let _ = &self.keys;
        Err(ConfigError::new(format!("{path}: `{}` is not built in", kind.as_str())))
    }
}
