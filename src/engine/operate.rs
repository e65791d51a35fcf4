//! What programs ask an engine that they run.

use crate::issuer::KeyRotationState;
use crate::login::mail::MailStatus;

use super::Access;

impl Access {
    /// Returns when the signing key was made and when it is replaced; `None` where no tokens are
    /// issued.
    #[must_use]
    pub fn key_rotation(&self) -> Option<KeyRotationState> {
        let engine = self.engine();
        Some(engine.login()?.issuer.rotation_state(engine.now()))
    }

    /// Returns how the delivery of one-time PINs goes, since this process started; `None` where nobody
    /// logs in here.
    #[must_use]
    pub fn mail_status(&self) -> Option<MailStatus> {
        Some(self.engine().login()?.mail_delivery.status())
    }
}
