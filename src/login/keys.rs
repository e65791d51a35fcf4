//! The keys of the login.

use aws_lc_rs::hmac;

use super::method::MethodKeys;
use crate::secret::{MasterSecret, SealError};

/// One key for each purpose.
#[derive(Debug)]
pub(crate) struct Keys {
    /// Signs the `meta` parameter.
    pub(super) meta: hmac::Key,
    /// Names counters.
    pub(super) limits: hmac::Key,
    /// Names long return targets.
    pub(super) return_target: hmac::Key,
    /// Protects the approval of a command-line client against forgery.
    pub(super) client: hmac::Key,
    pub(super) methods: MethodKeys,
}

impl Keys {
    pub(crate) fn derive(master: &MasterSecret) -> Result<Self, SealError> {
        Ok(Self {
            meta: master.derive("login meta"),
            limits: master.derive("limits"),
            return_target: master.derive("long return targets"),
            client: master.derive("approval of a command-line client"),
            methods: MethodKeys::derive(master)?,
        })
    }
}
