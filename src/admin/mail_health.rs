//! How the delivery of mail goes, for an operator.

use serde::Serialize;

use crate::clock::Timestamp;
use crate::engine::explain::Moment;
use crate::login::mail::MailStatus;

/// `mail` in the answer to `GET /health`.
#[derive(Serialize)]
pub(super) struct MailHealth {
    state: &'static str,
    sent: u64,
    recipients_refused: u64,
    failed: u64,
    failed_since_sent: u64,
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
        let text = |moment: Timestamp| Moment(moment).to_string();
        Self {
            state,
            sent: status.sent,
            recipients_refused: status.recipients_refused,
            failed: status.failed,
            failed_since_sent: status.failed_since_sent,
            last_sent_at: status.last_sent_at.map(text),
            last_failed_at: status.last_failed_at.map(text),
            last_error: status.last_error,
        }
    }
}
