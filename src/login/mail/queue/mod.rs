//! The queue of mails, beside the requests that cause them.
//!
//! A request only puts its mail here: its response and its time do not depend on whether a mail is sent.
//! Each mail has a task of its own, which tries until the mail server accepts it, refuses it for good, or
//! the code expires. If a mail server refuses mail or does not respond, only the users who wait for a code
//! notice; so every failure is logged with the application and the recipient's domain, every outcome is
//! an audit event, and all are counted for the operator.
//!
//! Bounds: [`MAX_QUEUED`] mails wait, [`MAX_SENDING`] of them are being sent, each for [`TIME_LIMIT`] at
//! most. A mail that finds the queue full is dropped, and counted; none that waits is evicted for it. A
//! reload keeps the queue; each mail is sent by the mailer that it was queued with.
//!
//! When the program ends, what is queued gets some seconds: see [`MailDelivery::finish`]. The queue is in
//! memory, as a code is nowhere else either; what is lost, its user requests again.

mod retry;
mod status;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

use self::retry::Pauses;
pub use self::status::MailStatus;
use self::status::{Loss, Records};
use super::{Mail, MailError, Mailer};
use crate::audit::{self, Event, EventKind};
use crate::clock::Clock;
use crate::random::Random;
use crate::util::panics;

/// The queue.
#[derive(Debug)]
pub(crate) struct MailDelivery {
    /// A permit for each mail in the queue.
    places: Arc<Semaphore>,
    /// A permit for each mail that is being sent; fair.
    connections: Semaphore,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    pauses: Pauses,
    records: Records,
    is_ending: watch::Sender<bool>,
}

/// A mail on its way.
struct Delivery {
    queue: Arc<MailDelivery>,
    mailer: Arc<dyn Mailer>,
    application_id: Box<str>,
    application_name: Box<str>,
    mail: Mail,
    /// When the code expires. The wall clock is asked as well, in case the machine was suspended.
    deadline: Instant,
    attempts: u32,
}

/// What follows from an attempt.
enum Attempt {
    Sent,
    Retry,
    RecipientRefused,
    Lost(Loss),
}

impl MailDelivery {
    pub(crate) fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            places: Arc::new(Semaphore::new(MAX_QUEUED)),
            connections: Semaphore::new(MAX_SENDING),
            clock,
            random,
            pauses: Pauses::USUAL,
            records: Records::default(),
            is_ending: watch::Sender::new(false),
        }
    }

    pub(crate) fn status(&self) -> MailStatus {
        self.records.read()
    }

    /// Queues a mail for an application. `make` is called in the background. It may decide that there is
    /// none: the caller's time does not depend on that.
    pub(crate) fn send(
        self: &Arc<Self>,
        mailer: &Arc<dyn Mailer>,
        application: audit::Application<'_>,
        make: impl FnOnce() -> Option<Mail> + Send + 'static,
    ) {
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let (queue, mailer) = (Arc::clone(self), Arc::clone(mailer));
        let (application_id, application_name) = (application.id.into(), application.name.into());
        tokio::spawn(async move {
            let Some(mail) = make() else { return };
            let lifetime = mail.expires_at.map_or(USUAL_LIFETIME, |at| at.since(queue.clock.now()));
            let deadline = Instant::now() + lifetime.min(LONGEST_LIFETIME);
            let delivery = Delivery {
                queue,
                mailer,
                application_id,
                application_name,
                mail,
                deadline,
                attempts: 0,
            };
            match place {
                Some(place) => delivery.run(place).await,
                None => delivery.lost(Loss::Dropped, "too many mails wait"),
            }
        });
    }

    /// Tests whether the mail server can be reached with the settings of the mailer. The result is
    /// logged and part of the status.
    pub(crate) async fn test(&self, mailer: &dyn Mailer) -> Result<(), MailError> {
        let tested = timeout(TIME_LIMIT, panics::caught_future(async { mailer.check().await }));
        let tested = outcome(tested.await);
        match &tested {
            Ok(()) => {
                self.records.connected();
                tracing::debug!(target: TARGET, "the connection for mail works");
            }
            Err(error) => {
                let text = single_line(&error.to_string());
                self.records.attempt_failed(&text, error.is_delayed(), self.clock.now());
                tracing::error!(
                    target: TARGET, error = %text,
                    "mail cannot be sent: users who need a code cannot log in"
                );
            }
        }
        tested
    }

    /// Ends the queue: what waits for another attempt is tried once more at once. Waits until the queue
    /// is empty, at most for `limit`. Returns how many mails were lost, and logs it.
    pub(crate) async fn finish(&self, limit: Duration) -> u64 {
        let before = self.status().failed;
        self.is_ending.send_replace(true);
        let all = u32::try_from(MAX_QUEUED).unwrap_or(u32::MAX);
        let is_empty = timeout(limit, self.places.acquire_many(all)).await.is_ok();
        let status = self.status();
        let left = if is_empty { 0 } else { status.queued };
        let lost = status.failed.saturating_sub(before).saturating_add(left);
        if lost > 0 {
            tracing::error!(
                target: TARGET, lost,
                "the program ends, and these mails with codes were not sent"
            );
        }
        lost
    }
}

impl Delivery {
    async fn run(mut self, place: OwnedSemaphorePermit) {
        self.queue.records.queued();
        self.report(EventKind::MailQueued);
        let mut is_ending = self.queue.is_ending.subscribe();
        loop {
            let was_ending = *is_ending.borrow();
            match self.attempt().await {
                Attempt::Sent => break self.sent(),
                Attempt::RecipientRefused => break self.recipient_refused(),
                Attempt::Lost(loss) => break self.lost(loss, ""),
                Attempt::Retry if was_ending => break self.lost(Loss::Ended, ""),
                Attempt::Retry => {}
            }
            let pause = self.queue.pauses.after(self.attempts, &*self.queue.random);
            if Instant::now() + pause >= self.deadline {
                break self.lost(Loss::Expired, "");
            }
            self.queue.records.retried();
            // Ends early, for a last attempt, if the program ends.
            let _ = timeout(pause, is_ending.wait_for(|is_ending| *is_ending)).await;
        }
        self.queue.records.left();
        drop(place);
    }

    async fn attempt(&mut self) -> Attempt {
        let connection = timeout_at(self.deadline, self.queue.connections.acquire()).await;
        let now = self.queue.clock.now();
        if connection.is_err() || self.mail.expires_at.is_some_and(|at| at <= now) {
            return Attempt::Lost(Loss::Expired);
        }
        self.attempts = self.attempts.saturating_add(1);
        let ends = self.deadline.min(Instant::now() + TIME_LIMIT);
        let mail = self.mail.clone();
        let delivered = panics::caught_future(async { self.mailer.deliver(mail).await });
        let delivered = outcome(timeout_at(ends, delivered).await);
        drop(connection);
        let Err(error) = delivered else { return Attempt::Sent };
        let text = without_recipient(&error.to_string(), self.mail.to.as_str());
        let (application, recipient_domain) = (&*self.application_name, self.mail.to.domain());
        let attempt = self.attempts;
        if error.is_recipient_refused() {
            tracing::warn!(
                target: TARGET, application, recipient_domain, error = %text,
                "one-time PIN not mailed: the mail server refuses the recipient"
            );
            return Attempt::RecipientRefused;
        }
        self.queue.records.attempt_failed(&text, error.is_delayed(), self.queue.clock.now());
        if error.is_permanent() {
            tracing::error!(
                target: TARGET, application, recipient_domain, error = %text,
                "one-time PIN not mailed"
            );
            return Attempt::Lost(Loss::Rejected);
        }
        tracing::warn!(
            target: TARGET, application, recipient_domain, attempt, error = %text,
            "one-time PIN not mailed yet: it is tried again until it expires"
        );
        Attempt::Retry
    }

    fn sent(&self) {
        self.queue.records.sent(self.queue.clock.now());
        self.report(EventKind::MailSent { attempts: self.attempts });
        tracing::debug!(
            target: TARGET, application = &*self.application_name,
            recipient_domain = self.mail.to.domain(), attempts = self.attempts,
            "one-time PIN mailed"
        );
    }

    fn recipient_refused(&self) {
        self.queue.records.recipient_refused();
        self.report_failure("recipient_refused");
    }

    fn lost(&self, loss: Loss, error: &str) {
        let records = &self.queue.records;
        if !error.is_empty() {
            records.attempt_failed(error, true, self.queue.clock.now());
        }
        records.lost(loss);
        self.report_failure(loss.as_str());
        if loss != Loss::Rejected {
            tracing::error!(
                target: TARGET, application = &*self.application_name,
                recipient_domain = self.mail.to.domain(), attempts = self.attempts,
                reason = loss.as_str(), "one-time PIN not mailed"
            );
        }
    }

    fn report_failure(&self, reason: &'static str) {
        self.report(EventKind::MailFailed { outcome: reason, attempts: self.attempts });
    }

    fn report(&self, kind: EventKind<'_>) {
        let application =
            audit::Application { id: &self.application_id, name: &self.application_name };
        let event = Event::new(kind).application(application).email(self.mail.to.as_str());
        audit::record(&event);
    }
}

/// Returns the result of a call that may have taken too long, or panicked.
fn outcome(
    called: Result<Option<Result<(), MailError>>, tokio::time::error::Elapsed>,
) -> Result<(), MailError> {
    match called {
        Ok(Some(delivered)) => delivered,
        Ok(None) => {
            Err(MailError::permanent("the mailer panicked; the panic hook has reported where"))
        }
        Err(_) => Err(MailError::new("no response in time")),
    }
}

/// Returns a mail server's error on one line.
fn single_line(error: &str) -> String {
    error.chars().take(MAX_ERROR_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Returns a mail server's error on one line, without the recipient's name.
fn without_recipient(error: &str, recipient: &str) -> String {
    let line = single_line(error);
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
const MAX_QUEUED: usize = 1024;
/// Many mail servers accept no more than ten connections of one sender.
const MAX_SENDING: usize = 8;
/// Of one attempt.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// How long a mail is tried that does not say when it expires.
const USUAL_LIFETIME: Duration = Duration::from_secs(600);
const LONGEST_LIFETIME: Duration = Duration::from_secs(3600);
/// Characters.
const MAX_ERROR_CHARS: usize = 500;
