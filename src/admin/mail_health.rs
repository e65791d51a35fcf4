//! The state of mail delivery, for the operator.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::engine::explain::Rfc3339Time;
use crate::login::mail::MailStatus;

/// `mail` in the response to `GET /health`.
#[derive(Serialize)]
pub(super) struct MailHealth {
    state: &'static str,
    sent: u64,
    recipients_refused: u64,
    failed: u64,
    failed_since_sent: u64,
    attempts_failed_since_sent: u64,
    queued: u64,
    retried: u64,
    expired: u64,
    dropped: u64,
    last_sent_at: Option<String>,
    last_failed_at: Option<String>,
    last_error: Option<String>,
}

impl From<MailStatus> for MailHealth {
    fn from(status: MailStatus) -> Self {
        let state = match status {
            _ if status.is_failing() => "failing",
            MailStatus { sent: 0, recipients_refused: 0, .. } => "unused",
            _ => "working",
        };
        let text = |time: Timestamp| Rfc3339Time(time).to_string();
        Self {
            state,
            sent: status.sent,
            recipients_refused: status.recipients_refused,
            failed: status.failed,
            failed_since_sent: status.failed_since_sent,
            attempts_failed_since_sent: status.attempts_failed_since_sent,
            queued: status.queued,
            retried: status.retried,
            expired: status.expired,
            dropped: status.dropped,
            last_sent_at: status.last_sent_at.map(text),
            last_failed_at: status.last_failed_at.map(text),
            last_error: status.last_error,
        }
    }
}
