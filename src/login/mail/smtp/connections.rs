//! Connections to a mail server, and those that are kept for the next mail.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters, TlsParametersBuilder};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::{Instant, sleep, timeout};

use super::SmtpTls;

/// A mail server, and how to connect to it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls_at_once: Option<TlsParameters>,
    pub(super) starttls: Option<TlsParameters>,
    pub(super) hello_name: ClientId,
    pub(super) credentials: Option<Credentials>,
}

impl Server {
    pub(super) fn set_tls(
        &mut self,
        tls: SmtpTls,
        parameters: TlsParametersBuilder,
    ) -> Result<(), Error> {
        match tls {
            SmtpTls::Implicit => self.tls_at_once = Some(parameters.build()?),
            SmtpTls::StartTls => self.starttls = Some(parameters.build()?),
            SmtpTls::DangerousNone => {}
        }
        Ok(())
    }

    /// Connects and logs in. The caller sets a time limit.
    pub(super) async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            (self.host.as_str(), self.port),
            None,
            &self.hello_name,
            self.tls_at_once.clone(),
            None,
        )
        .await?;
        if let Some(parameters) = &self.starttls {
            connection.starttls(parameters.clone(), &self.hello_name).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

/// Connections on which a mail was accepted, for the next.
#[derive(Default)]
pub(super) struct Connections(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// With the time of their last use, oldest first.
    idle: Vec<(AsyncSmtpConnection, Instant)>,
    /// Whether a task closes them after some time.
    is_watched: bool,
}

impl Connections {
    /// Returns a connection that works, if there is one.
    pub(super) async fn take(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (mut connection, used) = self.lock().idle.pop()?;
            // One that was left alone for too long may hang instead of fail.
            let is_fresh = used.elapsed() < IDLE_TIME;
            if is_fresh && matches!(timeout(TEST_TIME, connection.test_connected()).await, Ok(true))
            {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection between two mails. Never one whose mail failed or was cancelled: the next
    /// mail would read the answer to that one.
    pub(super) fn keep(self: &Arc<Self>, connection: AsyncSmtpConnection) {
        let mut kept = self.lock();
        if kept.idle.len() >= MAX_IDLE {
            return;
        }
        kept.idle.push((connection, Instant::now()));
        if !std::mem::replace(&mut kept.is_watched, true) {
            tokio::spawn(close_idle(Arc::downgrade(self)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes those out that were idle for too long. Returns `None` once there are no others.
    fn take_idle(&self) -> Option<Vec<AsyncSmtpConnection>> {
        let mut kept = self.lock();
        let is_old = |used: &Instant| used.elapsed() >= IDLE_TIME;
        let old = kept.idle.iter().take_while(|(_, used)| is_old(used)).count();
        let taken: Vec<_> = kept.idle.drain(..old).map(|(connection, _)| connection).collect();
        kept.is_watched = !(kept.idle.is_empty() && taken.is_empty());
        kept.is_watched.then_some(taken)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

/// Ends with the last connection, or with the mailer.
async fn close_idle(connections: Weak<Connections>) {
    loop {
        sleep(IDLE_TIME).await;
        let Some(taken) = connections.upgrade().and_then(|kept| kept.take_idle()) else { return };
        for mut connection in taken {
            let _ = timeout(TEST_TIME, connection.quit()).await;
        }
    }
}

const MAX_IDLE: usize = 4;
const IDLE_TIME: Duration = Duration::from_secs(30);
/// For a response to a command that costs the server nothing.
const TEST_TIME: Duration = Duration::from_secs(3);
