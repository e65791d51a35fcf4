//! The connection: made when it is needed, shared by all, and made anew when it is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisConnectionInfo};
use redis::{InfoDict, ServerErrorKind, cmd};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::super::RedisUrl;
use super::failure::Failure;
use super::scripts::Script;

/// Where the server is, and how to be let in.
pub(super) struct Target {
    pub(super) url: RedisUrl,
    pub(super) login: RedisConnectionInfo,
    /// `None`: without TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// For each operation, connecting included.
    pub(super) timeout: Duration,
}

/// One connection that all operations share, or the attempt to make one.
pub(super) struct Connection {
    target: Arc<Target>,
    attempt: Mutex<Option<Attempt>>,
    /// Whether the last attempt failed: an outage is logged once.
    is_away: Arc<AtomicBool>,
}

/// What becomes of an attempt; nothing while it is under way.
type Attempt = watch::Receiver<Option<Result<OpenConnection, Failure>>>;

#[derive(Clone)]
struct OpenConnection {
    commands: MultiplexedConnection,
    driver: Arc<Driver>,
}

/// The task that moves the bytes. It ends with the connection, or when nobody holds it.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    pub(super) fn new(target: Target) -> Self {
        Self { target: Arc::new(target), attempt: Mutex::new(None), is_away: Arc::default() }
    }

    pub(super) fn url(&self) -> &RedisUrl {
        &self.target.url
    }

    pub(super) fn timeout(&self) -> Duration {
        self.target.timeout
    }

    /// Has a command done. It is sent once: what became of it when a connection breaks is unknown.
    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.with_timeout(async |connection: &mut MultiplexedConnection| {
            command.query_async(connection).await
        })
        .await
    }

    /// Has a script run, by its hash; a server that does not know it gets it whole.
    pub(super) async fn evaluate<T: FromRedisValue>(
        &self,
        script: &Script,
        key: &str,
        arguments: &[&[u8]],
    ) -> Result<T, Failure> {
        let call = |name: &str, text: &str| {
            let mut call = cmd(name);
            call.arg(text).arg(1).arg(key).arg(arguments);
            call
        };
        let (by_hash, whole) = (call("EVALSHA", script.hash()), call("EVAL", script.text()));
        self.with_timeout(async |connection: &mut MultiplexedConnection| {
            match by_hash.query_async(connection).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    whole.query_async(connection).await
                }
                answer => answer,
            }
        })
        .await
    }

    async fn with_timeout<T>(
        &self,
        ask: impl AsyncFnOnce(&mut MultiplexedConnection) -> redis::RedisResult<T>,
    ) -> Result<T, Failure> {
        let mut used = None;
        let asking = async {
            let connection = used.insert(self.open().await?);
            let answer = ask(&mut connection.commands).await;
            answer.map_err(|error| Failure::from_redis(&error))
        };
        let answer = tokio::time::timeout(self.target.timeout, asking).await;
        match answer.unwrap_or(Err(Failure::Slow(self.target.timeout))) {
            // The server may be gone without a word: the next operation finds another way.
            Err(failure @ (Failure::Slow(_) | Failure::Lost)) => {
                used.inspect(|connection| self.discard(connection));
                Err(failure)
            }
            answer => answer,
        }
    }

    /// The connection there is; where there is none, the one attempt to make it, for all who wait.
    async fn open(&self) -> Result<OpenConnection, Failure> {
        let mut attempt = {
            let mut present = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
            match present.as_ref().filter(|attempt| is_usable(attempt)) {
                Some(attempt) => attempt.clone(),
                None => present.insert(self.start_attempt()).clone(),
            }
        };
        match attempt.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            Ok(None) | Err(_) => Err(Failure::Lost),
        }
    }

    fn start_attempt(&self) -> Attempt {
        let (sender, attempt) = watch::channel(None);
        let (target, is_away) = (Arc::clone(&self.target), Arc::clone(&self.is_away));
        tokio::spawn(async move {
            let connected = tokio::time::timeout(target.timeout, target.connect()).await;
            let connected = connected.unwrap_or(Err(Failure::Slow(target.timeout)));
            match (&connected, is_away.swap(connected.is_err(), Ordering::Relaxed)) {
                (Err(failure), false) => {
                    tracing::error!(url = %target.url, %failure, "the store is away");
                }
                (Ok(_), true) => tracing::info!(url = %target.url, "the store is back"),
                (Ok(_), false) | (Err(_), true) => {}
            }
            sender.send_replace(Some(connected));
        });
        attempt
    }

    fn discard(&self, connection: &OpenConnection) {
        let mut present = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        let is_this = present.as_ref().is_some_and(|attempt| match &*attempt.borrow() {
            Some(Ok(open)) => Arc::ptr_eq(&open.driver, &connection.driver),
            Some(Err(_)) | None => false,
        });
        if is_this {
            *present = None;
        }
    }
}

/// Whether an attempt is under way, or has led to a connection that stands.
fn is_usable(attempt: &Attempt) -> bool {
    match &*attempt.borrow() {
        // Its task ends with the runtime it was begun in.
        None => attempt.has_changed().is_ok(),
        Some(Ok(connection)) => !connection.driver.0.is_finished(),
        Some(Err(_)) => false,
    }
}

impl Target {
    async fn connect(&self) -> Result<OpenConnection, Failure> {
        let host = self.url.host();
        let unreachable = |error| Failure::Unreachable(Arc::new(error));
        let stream =
            TcpStream::connect((host.as_str(), self.url.port())).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let mut connection = match &self.tls {
            None => self.log_in(stream).await?,
            Some(config) => {
                let name = ServerName::try_from(host).map_err(|_| Failure::NoServerName)?;
                let connector = TlsConnector::from(Arc::clone(config));
                self.log_in(connector.connect(name, stream).await.map_err(unreachable)?).await?
            }
        };
        warn_of_eviction(&self.url, &mut connection.commands).await;
        Ok(connection)
    }

    async fn log_in(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<OpenConnection, Failure> {
        // Time is bounded here, over everything an operation takes.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let logged_in = MultiplexedConnection::new_with_config(&self.login, stream, config).await;
        let (commands, driver) = logged_in.map_err(|error| Failure::from_redis(&error))?;
        let driver = Driver(tokio::spawn(driver).abort_handle());
        Ok(OpenConnection { commands, driver: Arc::new(driver) })
    }
}

/// A server that evicts keys forgets who has logged out. Not every user may ask.
async fn warn_of_eviction(url: &RedisUrl, commands: &mut MultiplexedConnection) {
    let Ok(info) = cmd("INFO").arg("memory").query_async::<InfoDict>(commands).await else {
        return;
    };
    let bound: u64 = info.get("maxmemory").unwrap_or(0);
    let policy: String = info.get("maxmemory_policy").unwrap_or_default();
    if bound > 0 && policy != "noeviction" && !policy.is_empty() {
        tracing::warn!(
            %url, %policy,
            "the server evicts keys when it is full, and so may forget logouts and revocations; set \
             `maxmemory-policy noeviction`"
        );
    }
}
