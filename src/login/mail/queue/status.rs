//! What an operator sees of the queue.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::metrics;

/// Counts of mails since this process started, and the state of the queue.
///
/// Each mail that left the queue is counted once, as `sent`, `recipients_refused` or `failed`.
///
/// ```
/// use tower_access::login::mail::MailStatus;
///
/// assert!(!MailStatus::default().is_failing());
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct MailStatus {
    /// Mails in the queue now: waiting, being sent, or in a pause before another attempt.
    pub queued: u64,
    /// Mails that the mail server accepted.
    pub sent: u64,
    /// Mails refused because of their recipient, who does not exist or whose mailbox is full.
    pub recipients_refused: u64,
    /// All other mails that were not sent.
    pub failed: u64,
    /// Those of `failed` whose code expired before an attempt succeeded.
    pub expired: u64,
    /// Those of `failed` that were never tried, because the queue was full.
    pub dropped: u64,
    /// Attempts that failed and were followed by another.
    pub retried: u64,
    /// Failed mails since the last accepted one.
    pub failed_since_sent: u64,
    /// Attempts since the last accepted mail, or since the last successful test of the connection, to
    /// which the mail server did not respond as one that works.
    pub attempts_failed_since_sent: u64,
    /// When the last mail was accepted.
    pub last_sent_at: Option<Timestamp>,
    /// When the last attempt failed, or the last test of the connection.
    pub last_failed_at: Option<Timestamp>,
    /// Why it failed, without the recipient's name: 500 characters at most.
    pub last_error: Option<String>,
}

impl MailStatus {
    /// Returns whether no mail was accepted since the last failure: users wait for their codes.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failed_since_sent > 0 || self.attempts_failed_since_sent > 0
    }
}

/// How a mail left the queue without being sent, other than by its recipient.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Loss {
    /// An error that another attempt would meet as well.
    Rejected,
    /// The code expired.
    Expired,
    /// The queue was full.
    Dropped,
    /// The program ended.
    Ended,
}

impl Loss {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "failed",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
            Self::Ended => "lost",
        }
    }
}

/// The status, as the queue changes it.
#[derive(Debug, Default)]
pub(super) struct Records(Mutex<MailStatus>);

impl Records {
    pub(super) fn read(&self) -> MailStatus {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, MailStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn queued(&self) {
        self.lock().queued += 1;
        metrics::mail("queued");
    }

    /// A mail left the queue.
    pub(super) fn left(&self) {
        let mut status = self.lock();
        status.queued = status.queued.saturating_sub(1);
    }

    pub(super) fn sent(&self, now: Timestamp) {
        let mut status = self.lock();
        status.sent += 1;
        status.failed_since_sent = 0;
        status.attempts_failed_since_sent = 0;
        status.last_sent_at = Some(now);
        metrics::mail("sent");
    }

    /// Counted apart: the server works, but this does not prove that it accepts other mail.
    pub(super) fn recipient_refused(&self) {
        self.lock().recipients_refused += 1;
        metrics::mail("recipient_refused");
    }

    /// An attempt failed. A server that asks to wait works.
    pub(super) fn attempt_failed(&self, error: &str, is_delayed: bool, now: Timestamp) {
        let mut status = self.lock();
        status.attempts_failed_since_sent += u64::from(!is_delayed);
        status.last_failed_at = Some(now);
        status.last_error = Some(error.to_owned());
    }

    pub(super) fn retried(&self) {
        self.lock().retried += 1;
        metrics::mail("retried");
    }

    pub(super) fn lost(&self, loss: Loss) {
        let mut status = self.lock();
        status.failed += 1;
        status.failed_since_sent += 1;
        match loss {
            Loss::Expired => status.expired += 1,
            Loss::Dropped => status.dropped += 1,
            Loss::Rejected | Loss::Ended => {}
        }
        metrics::mail(loss.as_str());
    }

    /// The connection works, which does not prove that mail is accepted.
    pub(super) fn connected(&self) {
        self.lock().attempts_failed_since_sent = 0;
    }
}
