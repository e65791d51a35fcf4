//! The keys of the login method.

use aws_lc_rs::hmac;

use crate::secret::{MasterSecret, Seal, SealError};

/// One key for each purpose.
#[derive(Debug)]
pub(in crate::login) struct PinKeys {
    /// Binds a code to its login.
    pub(super) code: hmac::Key,
    /// Derives the codes that logins of an address share.
    pub(super) shared_code: hmac::Key,
    /// Seals a pending login.
    pub(super) pending: Seal,
    /// Proves that a browser has logged in with an address.
    pub(super) device: hmac::Key,
}

impl PinKeys {
    pub(in crate::login) fn derive(master: &MasterSecret) -> Result<Self, SealError> {
        Ok(Self {
            code: master.derive("one-time pin"),
            shared_code: master.derive("shared one-time pin"),
            pending: master.misuse_resistant_seal("login under way")?,
            device: master.derive("device cookie"),
        })
    }
}
