//! The mail with a one-time PIN, and its delivery.
//!
//! | | |
//! | --- | --- |
//! | [`Mailer`] | how mail is sent: `SmtpMailer`, `MaildirMailer` (feature `smtp`), `WebhookMailer` (feature `http-client`), [`ConsoleMailer`], or one of your own |
//! | [`MailError`] | whether a mail is tried again |
//! | [`MailTemplate`] | the words of the mail |
//! | [`MailStatus`] | what an operator sees |
//!
//! Mail waits in a bounded queue beside the requests, and is tried again until its code expires. A mail has
//! one recipient. Addresses are ASCII ([`Email`]): users of an international domain type it as `xn--…`, the
//! form in which mail servers know it.

#[cfg(feature = "smtp")]
mod compose;
mod console;
mod error;
#[cfg(feature = "smtp")]
mod maildir;
mod message;
mod queue;
#[cfg(feature = "smtp")]
mod smtp;
mod template;
mod test_mail;
#[cfg(feature = "http-client")]
mod webhook;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

pub use self::console::ConsoleMailer;
pub use self::error::MailError;
#[cfg(feature = "smtp")]
pub use self::maildir::{InvalidSender, MaildirMailer};
pub use self::message::PinMail;
pub(crate) use self::queue::MailDelivery;
pub use self::queue::MailStatus;
#[cfg(feature = "smtp")]
pub use self::smtp::{SmtpError, SmtpMailer, SmtpTls};
pub use self::template::{MailTemplate, TemplateError};
#[cfg(feature = "http-client")]
pub use self::webhook::{WebhookError, WebhookMailer};

use crate::clock::Timestamp;
use crate::identity::Email;

/// Delivers mail: implement it to send mail your own way.
///
/// Called in the background, for at most 8 mails at a time and one minute each. Up to 1,024 mails wait
/// in memory; further ones are dropped, and counted. After an error that is not
/// [permanent](MailError::is_permanent), the mail is delivered again: after a second first, then after
/// pauses that double up to 45 seconds, until its code expires.
///
/// ```
/// use tower_access::login::mail::{Mail, MailError, MailFuture, Mailer};
///
/// /// Hands mail to a program, one JSON object a line.
/// #[derive(Debug)]
/// struct Handover(tokio::sync::mpsc::Sender<String>);
///
/// impl Mailer for Handover {
///     fn deliver(&self, mail: Mail) -> MailFuture<'_> {
///         Box::pin(async move {
///             let line = serde_json::json!({ "to": mail.to, "subject": mail.subject, "text": mail.text });
///             // Tried again later.
///             self.0.try_send(line.to_string()).map_err(|_| MailError::delayed("too much mail"))
///         })
///     }
/// }
/// ```
pub trait Mailer: Send + Sync + fmt::Debug + 'static {
    /// Delivers one mail. The error is logged; it must not contain the mail's text.
    fn deliver(&self, mail: Mail) -> MailFuture<'_>;

    /// Tests whether mail could be delivered, without a mail: that the mail server can be reached and
    /// accepts the login. [`Access::check_mail`](crate::Access::check_mail) calls it. Default: nothing
    /// is tested.
    fn check(&self) -> MailFuture<'_> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl<M: Mailer + ?Sized> Mailer for Box<M> {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        (**self).deliver(mail)
    }

    fn check(&self) -> MailFuture<'_> {
        (**self).check()
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
    /// The name of the sender, beside the mailer's own address. `None`: the mailer's own name.
    pub sender_name: Option<String>,
    /// The subject: one line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part, with the same content.
    pub html: String,
    /// When the mail is of no use any more, if ever.
    pub expires_at: Option<Timestamp>,
}

impl Mail {
    /// Creates a mail from its parts.
    #[must_use]
    pub fn new(to: Email, subject: String, text: String, html: String) -> Self {
        Self { to, sender_name: None, subject, text, html, expires_at: None }
    }

    /// Creates a mail to a recipient.
    pub(crate) fn from_parts(to: Email, parts: MailParts) -> Self {
        let MailParts { sender_name, subject, text, html } = parts;
        Self { sender_name, ..Self::new(to, subject, text, html) }
    }

    /// Sets when the mail is of no use any more: it is not tried again then.
    #[must_use]
    pub fn expires_at(mut self, time: Timestamp) -> Self {
        self.expires_at = Some(time);
        self
    }
}

/// What of a mail does not depend on its recipient.
pub(crate) struct MailParts {
    sender_name: Option<String>,
    subject: String,
    text: String,
    html: String,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail")
            .field("to", &self.to)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
