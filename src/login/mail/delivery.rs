//! Sends mail in the background and records the outcomes.
//!
//! If a mail server refuses mail or does not respond, only the users who wait for a code notice. So
//! each failure is logged with the application and the recipient's domain, and all outcomes are
//! counted for the operator.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Mail, MailError, Mailer};
use crate::clock::{Clock, Timestamp};

/// Sends mail, at most 256 at a time, and records the outcomes.
#[derive(Debug)]
pub(crate) struct MailDelivery {
    slots: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    status: Mutex<MailStatus>,
}

/// Counts of delivered and failed mails since this process started.
///
/// ```
/// use tower_access::login::mail::MailStatus;
///
/// assert!(!MailStatus::default().is_failing());
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct MailStatus {
    /// Mails that the mail server accepted.
    pub sent: u64,
    /// Mails refused because of their recipient, who does not exist or whose mailbox is full.
    pub recipients_refused: u64,
    /// All other mails that were not sent.
    pub failed: u64,
    /// Failed mails since the last accepted one.
    pub failed_since_sent: u64,
    /// When the last mail was accepted.
    pub last_sent_at: Option<Timestamp>,
    /// When the last mail failed.
    pub last_failed_at: Option<Timestamp>,
    /// Why the last mail failed, without the recipient's name: 500 characters at most.
    pub last_error: Option<String>,
}

impl MailStatus {
    /// Returns whether no mail was accepted since the last failure: users wait for their codes.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failed_since_sent > 0
    }
}

impl MailDelivery {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let slots = Arc::new(Semaphore::new(MAX_MAILS_IN_PROGRESS));
        Self { slots, clock, status: Mutex::default() }
    }

    pub(crate) fn status(&self) -> MailStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a mail for an application in the background. `make` is called there, so that a request
    /// takes the same time whether or not a mail is sent.
    pub(crate) fn send(
        self: &Arc<Self>,
        mailer: &Arc<dyn Mailer>,
        application: Box<str>,
        make: impl FnOnce() -> Mail + Send + 'static,
    ) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            self.record_failure("too many mails in progress");
            tracing::error!(
                target: TARGET, application = &*application, most = MAX_MAILS_IN_PROGRESS,
                "one-time PIN not mailed: too many mails in progress"
            );
            return;
        };
        let (this, mailer) = (Arc::clone(self), Arc::clone(mailer));
        tokio::spawn(async move {
            let mail = make();
            let to = mail.to.clone();
            let delivered = tokio::time::timeout(TIME_LIMIT, mailer.deliver(mail)).await;
            let delivered = delivered.unwrap_or_else(|_| {
                Err(MailError::new(format!("not delivered within {} s", TIME_LIMIT.as_secs())))
            });
            drop(slot);
            let recipient_domain = to.domain();
            let Err(error) = delivered else {
                this.record_sent();
                tracing::debug!(
                    target: TARGET, application = &*application, recipient_domain,
                    "one-time PIN mailed"
                );
                return;
            };
            let text = without_recipient(&error.to_string(), to.as_str());
            if error.is_recipient_refused() {
                this.record_refused_recipient();
                tracing::warn!(
                    target: TARGET, application = &*application, recipient_domain, error = %text,
                    "one-time PIN not mailed: the mail server refuses the recipient"
                );
                return;
            }
            this.record_failure(&text);
            tracing::error!(
                target: TARGET, application = &*application, recipient_domain, error = %text,
                "one-time PIN not mailed"
            );
        });
    }

    fn record_sent(&self) {
        let now = self.clock.now();
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.sent += 1;
        status.failed_since_sent = 0;
        status.last_sent_at = Some(now);
    }

    /// Counted apart: the server works, but this does not prove that it accepts other mail.
    fn record_refused_recipient(&self) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.recipients_refused += 1;
    }

    fn record_failure(&self, error: &str) {
        let now = self.clock.now();
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.failed += 1;
        status.failed_since_sent += 1;
        status.last_failed_at = Some(now);
        status.last_error = Some(error.to_owned());
    }
}

/// Returns a mail server's error on one line, without the recipient's name.
fn without_recipient(error: &str, recipient: &str) -> String {
    let line: String =
        error.chars().take(MAX_ERROR_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let Some((_, domain)) = recipient.rsplit_once('@') else { return line };
    let hidden = format!("…@{domain}");
    // Addresses are ASCII: offsets are the same in both texts.
    let lower = line.to_ascii_lowercase();
    let mut text = String::with_capacity(line.len());
    let mut rest = 0;
    for (at, found) in lower.match_indices(&recipient.to_ascii_lowercase()) {
        text.push_str(line.get(rest..at).unwrap_or_default());
        text.push_str(&hidden);
        rest = at + found.len();
    }
    text.push_str(line.get(rest..).unwrap_or_default());
    text
}

const TARGET: &str = "tower_access::mail";
const MAX_MAILS_IN_PROGRESS: usize = 256;
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Characters.
const MAX_ERROR_CHARS: usize = 500;

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::clock::ManualClock;
    use crate::login::mail::MailFuture;

    #[derive(Debug)]
    enum Server {
        Accepts,
        Refuses,
        RefusesRecipient,
        IsSilent,
    }

    impl Mailer for Server {
        fn deliver(&self, mail: Mail) -> MailFuture<'_> {
            Box::pin(async move {
                match self {
                    Self::Accepts => Ok(()),
                    Self::Refuses => Err(MailError::new(format!("550 relay denied <{}>", mail.to))),
                    Self::RefusesRecipient => Err(MailError::recipient_refused("5.1.1 nobody")),
                    Self::IsSilent => pending().await,
                }
            })
        }
    }

    fn delivery() -> Arc<MailDelivery> {
        Arc::new(MailDelivery::new(Arc::new(ManualClock::new(NOW))))
    }

    async fn send(delivery: &Arc<MailDelivery>, server: Server) {
        let before = delivery.status();
        let mailer: Arc<dyn Mailer> = Arc::new(server);
        delivery.send(&mailer, "Wiki".into(), mail);
        while delivery.status() == before {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn mail() -> Mail {
        let to = "Ada@example.com".parse().unwrap();
        Mail::new(to, String::new(), String::new(), String::new())
    }

    #[tokio::test(start_paused = true)]
    async fn outcomes_are_recorded() {
        let delivery = delivery();
        assert_eq!(delivery.status(), MailStatus::default());
        send(&delivery, Server::Accepts).await;
        let fine = delivery.status();
        assert_eq!((fine.sent, fine.last_sent_at, fine.is_failing()), (1, Some(NOW), false));
        send(&delivery, Server::RefusesRecipient).await;
        assert_eq!(delivery.status(), MailStatus { recipients_refused: 1, ..fine });
        send(&delivery, Server::Refuses).await;
        send(&delivery, Server::IsSilent).await;
        let broken = delivery.status();
        assert_eq!((broken.failed, broken.failed_since_sent), (2, 2));
        assert!(broken.is_failing());
        assert_eq!(broken.last_error.as_deref(), Some("not delivered within 60 s"));
        send(&delivery, Server::Accepts).await;
        let mended = delivery.status();
        assert!(!mended.is_failing());
        assert_eq!((mended.failed, mended.failed_since_sent), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_256_are_in_progress() {
        let delivery = delivery();
        let mailer: Arc<dyn Mailer> = Arc::new(Server::IsSilent);
        for _ in 0..MAX_MAILS_IN_PROGRESS {
            delivery.send(&mailer, "Wiki".into(), mail);
        }
        assert_eq!(delivery.status().failed, 0);
        delivery.send(&mailer, "Wiki".into(), mail);
        assert_eq!(delivery.status().last_error.as_deref(), Some("too many mails in progress"));
    }

    /// OTP-15
    #[test]
    fn an_error_leaves_the_recipient_out() {
        for (error, expected) in [
            ("550 <ADA@example.com> unknown", "550 <…@example.com> unknown"),
            ("a\r\nb ada@example.com, ada@example.com", "a  b …@example.com, …@example.com"),
            ("ü ada@example.com ü", "ü …@example.com ü"),
            ("connection refused", "connection refused"),
        ] {
            assert_eq!(without_recipient(error, "ada@example.com"), expected);
        }
        let long = without_recipient(&"x".repeat(9_000), "ada@example.com");
        assert_eq!(long.len(), MAX_ERROR_CHARS);
    }

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
}
