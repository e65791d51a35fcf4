//! Settings that a reload does not change.

use std::net::SocketAddr;

use crate::config::{Config, LimitsConfig, Role, StateConfig};
use crate::token::keys::RefreshPolicy;

/// The settings that only apply when a program starts. Add new keys to
/// [`differences`](Self::differences), too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct StartSettings {
    pub(super) listen: SocketAddr,
    admin_listen: Option<SocketAddr>,
    state: Option<StateConfig>,
    limits: LimitsConfig,
    key_refresh: Option<RefreshPolicy>,
    pub(super) verifies: bool,
}

impl StartSettings {
    pub(super) fn from_config(config: &Config) -> Self {
        Self {
            listen: config.listen,
            admin_listen: config.admin.as_ref().map(|admin| admin.listen),
            state: config.state.clone(),
            limits: config.limits.clone(),
            key_refresh: match &config.access.role {
                Role::Verifying { key_refresh, .. } => Some(*key_refresh),
                Role::Issuing { .. } => None,
            },
            verifies: matches!(config.access.role, Role::Verifying { .. }),
        }
    }

    /// Returns the keys of the settings that differ. Another issuer is a separate error.
    pub(super) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        if self.listen != other.listen {
            keys.push("listen");
        }
        if self.admin_listen != other.admin_listen {
            keys.push("admin.listen");
        }
        if self.state != other.state {
            keys.push("state");
        }
        if self.key_refresh != other.key_refresh {
            keys.push("access.issuer.key_refresh");
        }
        if self.limits.listen != other.limits.listen {
            keys.push("limits.listen");
        }
        if self.limits.admin != other.limits.admin {
            keys.push("limits.admin");
        }
        if self.limits.token_cache_bytes != other.limits.token_cache_bytes {
            keys.push("limits.token_cache_bytes");
        }
        keys
    }
}
