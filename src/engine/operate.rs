//! The state of a running engine.

use std::sync::Arc;
use std::time::Duration;

use crate::issuer::KeyRotationState;
use crate::login::mail::{MailError, MailStatus};

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

    /// Tests whether mail can be sent, without a mail: that the mail server can be reached and accepts
    /// the login. A failure is logged, and [`mail_status`](Self::mail_status) then reports that mail is
    /// failing until a mail is sent or a test succeeds. At most one minute. Does nothing if the engine
    /// runs no login, or the mailer has nothing to test.
    ///
    /// The proxy calls it when it starts and after each reload, beside the requests: it starts in spite of
    /// a mail server that is down, because everything but new logins works.
    ///
    /// # Errors
    ///
    /// If mail cannot be sent.
    pub fn check_mail(&self) -> impl Future<Output = Result<(), MailError>> + Send + use<> {
        let engine = self.engine();
        // Not the engine: a mail server that is silent must not keep its state open.
        let mail = engine
            .login()
            .map(|login| (Arc::clone(&login.mail_delivery), Arc::clone(&login.mailer)));
        async move {
            match mail {
                Some((delivery, mailer)) => delivery.test(&*mailer).await,
                None => Ok(()),
            }
        }
    }

    /// Waits until no mail is queued, at most for `limit`: call it before the program ends, after the last
    /// request. Mails that wait for another attempt are tried once more at once. Returns how many mails
    /// are lost, and logs it.
    pub async fn finish_mail(&self, limit: Duration) -> u64 {
        let engine = self.engine_owned();
        match engine.login() {
            Some(login) => login.mail_delivery.finish(limit).await,
            None => 0,
        }
    }
}
