use std::collections::VecDeque;
use std::future::pending;
use std::sync::Mutex;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::login::mail::MailFuture;
use crate::random::RandomUnavailable;

/// How a mail server answers an attempt.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Accepts,
    Refuses,
    RefusesRecipient,
    Delays,
    IsDown,
    IsSilent,
    Panics,
}
use Answer::*;

/// A mail server with one answer for each attempt; the last one is repeated. When it was asked.
#[derive(Debug)]
struct Server {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Instant>>,
    /// Attempts under way.
    together: Mutex<[usize; 2]>,
}

impl Server {
    fn new(answers: &[Answer]) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.iter().copied().collect()),
            asked: Mutex::default(),
            together: Mutex::default(),
        })
    }

    fn answer(&self) -> Answer {
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0] }
    }

    /// Seconds between the attempts.
    fn pauses(&self) -> Vec<u64> {
        let asked = self.asked.lock().unwrap();
        asked.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect()
    }
}

impl Mailer for Server {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(Instant::now());
            {
                let [now, most] = &mut *self.together.lock().unwrap();
                *now += 1;
                *most = (*most).max(*now);
            }
            tokio::task::yield_now().await;
            self.together.lock().unwrap()[0] -= 1;
            match self.answer() {
                Accepts => Ok(()),
                Refuses => Err(MailError::permanent(format!("550 relay denied <{}>", mail.to))),
                RefusesRecipient => Err(MailError::recipient_refused("5.1.1 nobody")),
                Delays => Err(MailError::delayed("450 later")),
                IsDown => Err(MailError::new("connection refused")),
                IsSilent => pending().await,
                Panics => panic!("of a test"),
            }
        })
    }

    fn check(&self) -> MailFuture<'_> {
        self.deliver(mail())
    }
}

#[derive(Debug)]
struct NoChance;

impl Random for NoChance {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
        bytes.fill(0);
        Ok(())
    }
}

fn queue() -> Arc<MailDelivery> {
    let clock = Arc::new(ManualClock::new(NOW));
    Arc::new(MailDelivery::new(clock, Arc::new(NoChance)))
}

const WIKI: audit::Application<'static> = audit::Application { id: "wiki-1", name: "Wiki" };

fn put(queue: &Arc<MailDelivery>, server: &Arc<Server>) {
    let mailer: Arc<dyn Mailer> = Arc::clone(server) as _;
    queue.send(&mailer, WIKI, || Some(mail()));
}

/// Sends a mail, and waits until it has left the queue.
async fn send(queue: &Arc<MailDelivery>, answers: &[Answer]) -> Arc<Server> {
    let server = Server::new(answers);
    put(queue, &server);
    settle(queue).await;
    server
}

async fn settle(queue: &Arc<MailDelivery>) {
    // Its task begins.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    while queue.status().queued > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn mail() -> Mail {
    let to = "Ada@example.com".parse().unwrap();
    let mail = Mail::new(to, String::new(), String::new(), String::new());
    mail.expires_at(NOW.plus(Duration::from_secs(300)))
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_recorded() {
    let queue = queue();
    assert_eq!(queue.status(), MailStatus::default());
    send(&queue, &[Accepts]).await;
    let fine = queue.status();
    assert_eq!((fine.sent, fine.last_sent_at, fine.is_failing()), (1, Some(NOW), false));
    send(&queue, &[RefusesRecipient]).await;
    assert_eq!(queue.status(), MailStatus { recipients_refused: 1, ..fine });
    send(&queue, &[Refuses]).await;
    send(&queue, &[IsSilent]).await;
    let broken = queue.status();
    assert_eq!((broken.failed, broken.failed_since_sent, broken.expired), (2, 2, 1));
    assert!(broken.is_failing());
    assert_eq!(broken.last_error.as_deref(), Some("no response in time"));
    send(&queue, &[Accepts]).await;
    let mended = queue.status();
    assert!(!mended.is_failing());
    assert_eq!((mended.failed, mended.failed_since_sent), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_after_growing_pauses() {
    let queue = queue();
    let server = send(&queue, &[Delays, IsDown, Delays, IsDown, Accepts]).await;
    assert_eq!(server.pauses(), [1, 2, 4, 8]);
    let status = queue.status();
    assert_eq!((status.sent, status.retried, status.failed), (1, 4, 0));
    assert!(!status.is_failing());
}

#[tokio::test(start_paused = true)]
async fn what_another_attempt_would_meet_as_well_is_given_up() {
    for answer in [Refuses, RefusesRecipient, Panics] {
        let queue = queue();
        let server = send(&queue, &[answer, Accepts]).await;
        assert_eq!(server.asked.lock().unwrap().len(), 1, "{answer:?}");
        assert_eq!((queue.status().sent, queue.status().retried), (0, 0), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_code_expired() {
    for answer in [Delays, IsDown, IsSilent] {
        let queue = queue();
        let begun = Instant::now();
        let server = send(&queue, &[answer]).await;
        assert!(begun.elapsed() < Duration::from_secs(301), "{answer:?}");
        let last = *server.asked.lock().unwrap().last().unwrap() - begun;
        assert!(last < Duration::from_secs(300) && last > Duration::from_secs(200), "{last:?}");
        let status = queue.status();
        assert_eq!((status.expired, status.failed, status.sent), (1, 1, 0), "{answer:?}");
    }
}

/// The machine was suspended: no time passed for the program.
#[tokio::test(start_paused = true)]
async fn the_wall_clock_ends_a_code_too() {
    let clock = Arc::new(ManualClock::new(NOW));
    let queue = Arc::new(MailDelivery::new(Arc::clone(&clock) as _, Arc::new(NoChance)));
    let server = Server::new(&[IsDown, Accepts]);
    put(&queue, &server);
    tokio::time::sleep(Duration::from_millis(500)).await;
    clock.advance(Duration::from_secs(300));
    settle(&queue).await;
    assert_eq!((queue.status().expired, queue.status().sent), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_to_wait_does_not_fail_and_one_that_is_away_does() {
    for (answer, is_failing) in [(Delays, false), (IsDown, true)] {
        let queue = queue();
        let server = Server::new(&[answer]);
        put(&queue, &server);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let status = queue.status();
        assert_eq!((status.queued, status.retried), (1, 1), "{answer:?}");
        assert_eq!(status.is_failing(), is_failing, "{answer:?}");
        assert!(status.last_error.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_drops_and_counts_what_comes_and_evicts_nothing() {
    let queue = queue();
    let server = Server::new(&[IsDown]);
    for _ in 0..MAX_QUEUED {
        put(&queue, &server);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((queue.status().queued, queue.status().failed), (1024, 0));
    for _ in 0..3 {
        put(&queue, &server);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let full = queue.status();
    assert_eq!((full.queued, full.dropped, full.failed), (1024, 3, 3));
    assert_eq!(full.last_error.as_deref(), Some("too many mails wait"));
    // The server is back: all others arrive.
    *server.answers.lock().unwrap() = [Accepts].into();
    settle(&queue).await;
    assert_eq!((queue.status().sent, queue.status().dropped), (1024, 3));
}

#[tokio::test(start_paused = true)]
async fn eight_are_sent_at_a_time() {
    let queue = queue();
    let server = Server::new(&[Accepts]);
    for _ in 0..100 {
        put(&queue, &server);
    }
    settle(&queue).await;
    assert_eq!(queue.status().sent, 100);
    assert_eq!(server.together.lock().unwrap()[1], MAX_SENDING);
}

/// Those in a pause leave the connections to others.
#[tokio::test(start_paused = true)]
async fn mail_that_has_to_wait_does_not_hold_up_other_mail() {
    let queue = queue();
    let slow = Server::new(&[Delays]);
    for _ in 0..100 {
        put(&queue, &slow);
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    let begun = Instant::now();
    let fine = Server::new(&[Accepts]);
    put(&queue, &fine);
    while queue.status().sent == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(begun.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_waits_is_tried_at_once_and_for_the_last_time() {
    let queue = queue();
    let (back, down) = (Server::new(&[IsDown, IsDown, IsDown, Accepts]), Server::new(&[IsDown]));
    put(&queue, &back);
    put(&queue, &down);
    // In a pause of four seconds.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!(queue.status().queued, 2);
    let begun = Instant::now();
    assert_eq!(queue.finish(Duration::from_secs(5)).await, 1);
    assert!(begun.elapsed() < Duration::from_millis(100));
    let status = queue.status();
    assert_eq!((status.sent, status.failed, status.expired, status.queued), (1, 1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_end_does_not_wait_for_a_silent_server() {
    let queue = queue();
    let server = Server::new(&[IsSilent]);
    for _ in 0..3 {
        put(&queue, &server);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = Instant::now();
    assert_eq!(queue.finish(Duration::from_secs(5)).await, 3);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(self::queue().finish(Duration::from_secs(5)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_test_of_the_connection_shows_until_one_succeeds() {
    let queue = queue();
    for answer in [IsDown, Refuses, IsSilent, Panics] {
        assert!(queue.test(&*Server::new(&[answer])).await.is_err(), "{answer:?}");
        assert!(queue.status().is_failing(), "{answer:?}");
        assert!(queue.status().last_error.is_some());
        queue.test(&*Server::new(&[Accepts])).await.unwrap();
        assert!(!queue.status().is_failing(), "{answer:?}");
    }
    assert_eq!(queue.status().failed, 0);
    // Where mail failed, a connection is no proof.
    send(&queue, &[Refuses]).await;
    queue.test(&*Server::new(&[Accepts])).await.unwrap();
    assert!(queue.status().is_failing());
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
