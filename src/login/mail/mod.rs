//! The mail with a one-time PIN, and its delivery.

mod console;
mod delivery;
mod message;
#[cfg(feature = "smtp")]
mod smtp;
mod test_mail;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

pub use self::console::ConsoleMailer;
pub(crate) use self::delivery::MailDelivery;
pub use self::delivery::MailStatus;
pub use self::message::PinMail;
#[cfg(feature = "smtp")]
pub use self::smtp::{SmtpError, SmtpMailer, SmtpTls};

use crate::identity::Email;

/// Delivers mail.
///
/// Called in the background, for at most 256 mails at a time and one minute each. Further mails are
/// not sent; each is logged.
pub trait Mailer: Send + Sync + fmt::Debug + 'static {
    /// Delivers one mail. The error is logged; it must not contain the mail's text.
    fn deliver(&self, mail: Mail) -> MailFuture<'_>;
}

impl<M: Mailer + ?Sized> Mailer for Box<M> {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        (**self).deliver(mail)
    }
}

/// The future that [`Mailer::deliver`] returns.
pub type MailFuture<'a> = Pin<Box<dyn Future<Output = Result<(), MailError>> + Send + 'a>>;

/// A mail to one recipient. Its `Debug` form omits the body.
#[derive(Clone)]
#[non_exhaustive]
pub struct Mail {
    /// The recipient.
    pub to: Email,
    /// The subject: one line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part, with the same content.
    pub html: String,
}

impl Mail {
    /// Creates a mail from its parts.
    #[must_use]
    pub fn new(to: Email, subject: String, text: String, html: String) -> Self {
        Self { to, subject, text, html }
    }
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("to", &self.to)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// The error of a mail that was not delivered.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct MailError {
    cause: Box<dyn std::error::Error + Send + Sync>,
    is_recipient_refused: bool,
}

impl MailError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), is_recipient_refused: false }
    }

    /// As [`new`](Self::new), if the mail server works but refuses this recipient, who does not exist
    /// or whose mailbox is full. An operator cannot fix that.
    pub fn recipient_refused(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), is_recipient_refused: true }
    }

    /// Returns whether the mail server refuses only this recipient.
    #[must_use]
    pub fn is_recipient_refused(&self) -> bool {
        self.is_recipient_refused
    }
}
