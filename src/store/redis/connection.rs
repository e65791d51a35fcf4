//! The shared connection: opened on demand, and reopened when lost.

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

/// The server's address and login.
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

/// The result of an attempt; `None` while it runs.
type Attempt = watch::Receiver<Option<Result<OpenConnection, Failure>>>;

#[derive(Clone)]
struct OpenConnection {
    commands: MultiplexedConnection,
    driver: Arc<Driver>,
}

/// The I/O task. It ends with the connection, or when its last user is dropped.
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

    /// Runs a command. It is sent once: when the connection breaks, its outcome is unknown.
    pub(super) async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Failure> {
        self.with_timeout(async |connection: &mut MultiplexedConnection| {
            command.query_async(connection).await
        })
        .await
    }

    /// Runs a script by its hash; sends its text if the server does not know it.
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
            // The server may be gone silently: the next operation reconnects.
            Err(failure @ (Failure::Slow(_) | Failure::Lost)) => {
                used.inspect(|connection| self.discard(connection));
                Err(failure)
            }
            answer => answer,
        }
    }

    /// Returns the open connection, or waits for the one shared attempt to open it.
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
                    tracing::error!(url = %target.url, %failure, "the store is unavailable");
                }
                (Ok(_), true) => tracing::info!(url = %target.url, "the store is available again"),
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

/// Whether an attempt runs, or has led to a connection that is still open.
fn is_usable(attempt: &Attempt) -> bool {
    match &*attempt.borrow() {
        // Its task ends with the runtime that started it.
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
        // The timeout here covers the whole operation.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let logged_in = MultiplexedConnection::new_with_config(&self.login, stream, config).await;
        let (commands, driver) = logged_in.map_err(|error| Failure::from_redis(&error))?;
        let driver = Driver(tokio::spawn(driver).abort_handle());
        Ok(OpenConnection { commands, driver: Arc::new(driver) })
    }
}

/// Warns if the server evicts keys, as it would then lose revocations. Some users may not run `INFO`.
async fn warn_of_eviction(url: &RedisUrl, commands: &mut MultiplexedConnection) {
    let Ok(info) = cmd("INFO").arg("memory").query_async::<InfoDict>(commands).await else {
        return;
    };
    let bound: u64 = info.get("maxmemory").unwrap_or(0);
    let policy: String = info.get("maxmemory_policy").unwrap_or_default();
    if bound > 0 && policy != "noeviction" && !policy.is_empty() {
        tracing::warn!(
            %url, %policy,
            "the server evicts keys when it is full and may lose logouts and revocations; set \
             `maxmemory-policy noeviction`"
        );
    }
}
