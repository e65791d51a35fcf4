//! Why a mail was not delivered, and whether another try may help.

use std::error::Error;

/// The error of a mail that was not delivered. Its kind decides what happens to the mail:
///
/// | made by | meaning | the mail |
/// | --- | --- | --- |
/// | [`new`](Self::new) | unknown, or the mail server cannot be reached | is tried again |
/// | [`delayed`](Self::delayed) | the mail server asks to try again later | is tried again |
/// | [`permanent`](Self::permanent) | another try would fail as well | is given up |
/// | [`recipient_refused`](Self::recipient_refused) | the same, and only because of the recipient | is given up |
///
/// ```
/// use tower_access::login::mail::MailError;
///
/// assert!(!MailError::new("connection refused").is_permanent());
/// assert!(MailError::recipient_refused("550 5.1.1 no such user").is_permanent());
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct MailError {
    cause: Box<dyn Error + Send + Sync>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Unknown,
    Delayed,
    Permanent,
    RecipientRefused,
}

impl MailError {
    /// Wraps the cause of a failure that may pass.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), kind: Kind::Unknown }
    }

    /// As [`new`](Self::new), if the mail server works and asks to try again later, as one does that
    /// keeps unknown senders waiting. An operator does not have to do anything.
    pub fn delayed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), kind: Kind::Delayed }
    }

    /// As [`new`](Self::new), if another try would fail as well until an operator changes something.
    pub fn permanent(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), kind: Kind::Permanent }
    }

    /// As [`permanent`](Self::permanent), if the mail server works but refuses this recipient, who does
    /// not exist or whose mailbox is full. An operator cannot fix that.
    pub fn recipient_refused(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), kind: Kind::RecipientRefused }
    }

    /// Returns whether the mail server refuses only this recipient.
    #[must_use]
    pub fn is_recipient_refused(&self) -> bool {
        self.kind == Kind::RecipientRefused
    }

    /// Returns whether another try would fail as well, be it because of the recipient.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        matches!(self.kind, Kind::Permanent | Kind::RecipientRefused)
    }

    /// Returns whether the mail server works and asks to try again later.
    #[must_use]
    pub fn is_delayed(&self) -> bool {
        self.kind == Kind::Delayed
    }
}
