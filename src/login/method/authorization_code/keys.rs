//! The keys of the authorization code flow.

use aws_lc_rs::hmac;

use crate::secret::{MasterSecret, Seal, SealError};

/// One key for each purpose.
#[derive(Debug)]
pub(in crate::login) struct AuthorizationKeys {
    /// Seals a pending login into `state`.
    pub(super) state: Seal,
    /// Derives the PKCE verifier of a login.
    pub(super) verifier: hmac::Key,
    /// Derives the nonce of a login.
    pub(super) nonce: hmac::Key,
}

impl AuthorizationKeys {
    pub(in crate::login) fn derive(master: &MasterSecret) -> Result<Self, SealError> {
        Ok(Self {
            // Anybody can begin logins without limit.
            state: master.misuse_resistant_seal("state of an authorization")?,
            verifier: master.derive("code verifier of an authorization"),
            nonce: master.derive("nonce of an authorization"),
        })
    }
}
