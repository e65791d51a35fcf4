//! The state of a running engine.

use crate::issuer::KeyRotationState;
use crate::login::mail::MailStatus;

use super::Access;

impl Access {
    /// Returns when the signing key was made and when it is rotated; `None` if the engine issues no
    /// tokens.
    #[must_use]
    pub fn key_rotation(&self) -> Option<KeyRotationState> {
        let engine = self.engine();
        Some(engine.login()?.issuer.rotation_state(engine.now()))
    }

    /// Returns the state of mail delivery since this process started; `None` if the engine runs no
    /// login.
    #[must_use]
    pub fn mail_status(&self) -> Option<MailStatus> {
        Some(self.engine().login()?.mail_delivery.status())
    }
}
