//! The mail that carries a one-time PIN, and who delivers it.

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
/// Called beside the request that asked for mail, at most 256 at a time, each for a minute at most.
/// A mail beyond that is not sent, and logged.
pub trait Mailer: Send + Sync + fmt::Debug + 'static {
    /// Delivers one mail, or says why not. The error is logged; it must not hold the text.
    fn deliver(&self, mail: Mail) -> MailFuture<'_>;
}

impl<M: Mailer + ?Sized> Mailer for Box<M> {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        (**self).deliver(mail)
    }
}

/// What [`Mailer::deliver`] returns.
pub type MailFuture<'a> = Pin<Box<dyn Future<Output = Result<(), MailError>> + Send + 'a>>;

/// A mail to one person. Its `Debug` form leaves out what it says.
#[derive(Clone)]
#[non_exhaustive]
pub struct Mail {
    /// To whom.
    pub to: Email,
    /// One line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part; says the same.
    pub html: String,
}

impl Mail {
    /// A mail from its parts.
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

/// A mail that was not delivered.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct MailError {
    cause: Box<dyn std::error::Error + Send + Sync>,
    is_recipient_refused: bool,
}

impl MailError {
    /// Wraps whatever went wrong.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), is_recipient_refused: false }
    }

    /// As [`new`](Self::new), where the mail server works and refuses this recipient alone, who does
    /// not exist or has a full mailbox: nothing for an operator to mend.
    pub fn recipient_refused(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), is_recipient_refused: true }
    }

    /// Whether the mail server refuses this recipient alone.
    #[must_use]
    pub fn is_recipient_refused(&self) -> bool {
        self.is_recipient_refused
    }
}
