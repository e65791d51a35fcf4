//! Mail through an SMTP server.
//!
//! Mail is written and sent with lettre; what is surprising about it (behaviour, version):
//!
//! | behaviour of lettre | version | so |
//! | --- | --- | --- |
//! | its timeout ends with the connection; a server that then says nothing is waited for without end | 0.11.23 | a limit of our own is round everything |
//! | its pool takes back a connection whose mail was cancelled: the next mail on it reads the answer meant for the one before, and passes for accepted | 0.11.23 | connections are [kept](connections) here, and one that was cancelled is closed |
//! | its pool has to be made on a runtime | 0.11.23 | the same |
//! | a refused connection, a server that hangs up, and a certificate that is not trusted have no flag in common with each other or with a timeout | 0.11.23 | what has no flag is tried again |
//! | wrong settings (no STARTTLS, no AUTH) have the same flag as an address that the server cannot take | 0.11.23 | [`explain`] is told whether the connection was made |
//! | a file of certificates without any is accepted | 0.11.23 | refused here |
//! | a message has no `Message-ID` | 0.11.23 | [`compose`](super::compose) adds one |

mod connections;
mod explain;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::extension::ClientId;

use self::connections::{Connections, Server};
use self::explain::{Stage, explain};
use super::compose::compose;
use super::{Mail, MailError, MailFuture, Mailer};
use crate::application::CanonicalHost;

/// Delivers mail through an SMTP server.
///
/// At most four connections are kept for the next mail, for half a minute; one that does not respond is
/// replaced. The certificate of the server is checked against the public certificate authorities, and those
/// of [`ca_certificates`](Self::ca_certificates).
///
/// What the server answers decides whether a mail is tried again, see [`MailError`]: a refusal for good
/// (5xx) and wrong settings are not; a refusal for now (4xx), a server that cannot be reached, and all
/// else are.
///
/// ```
/// use tower_access::login::mail::{SmtpMailer, SmtpTls};
///
/// let mailer = SmtpMailer::new("mail.example.com", 587, SmtpTls::StartTls, "Access <access@example.com>")?
///     .hello_name("access.example.com")?;
/// # Ok::<(), tower_access::login::mail::SmtpError>(())
/// ```
#[derive(Clone)]
pub struct SmtpMailer {
    server: Server,
    tls: SmtpTls,
    from: Mailbox,
    timeout: Duration,
    connections: Arc<Connections>,
}

/// How the connection to the server is encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SmtpTls {
    /// TLS from the first byte (port 465).
    Implicit,
    /// TLS after `STARTTLS`, which the server must offer (port 587).
    StartTls,
    /// No encryption: only for a server on this machine.
    DangerousNone,
}

impl SmtpMailer {
    /// Creates a mailer that does not authenticate to the server.
    ///
    /// # Errors
    ///
    /// If `from` is not an email address or TLS cannot be set up.
    pub fn new(host: &str, port: u16, tls: SmtpTls, from: &str) -> Result<Self, SmtpError> {
        Self::build(host, port, tls, from, None)
    }

    /// Creates a mailer that authenticates to the server.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_login(
        host: &str,
        port: u16,
        tls: SmtpTls,
        from: &str,
        username: String,
        password: String,
    ) -> Result<Self, SmtpError> {
        Self::build(host, port, tls, from, Some(Credentials::new(username, password)))
    }

    /// Sets the timeout for a mail, including the connection. Default: 20 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Trusts these certificate authorities, in PEM, beside the public ones.
    ///
    /// # Errors
    ///
    /// If it has no certificate, or one that cannot be read.
    pub fn ca_certificates(mut self, pem: &[u8]) -> Result<Self, SmtpError> {
        const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
        if !pem.windows(BEGIN.len()).any(|part| part == BEGIN) {
            return Err(SmtpError::Certificates("no `BEGIN CERTIFICATE`".into()));
        }
        let invalid = |error: lettre::transport::smtp::Error| SmtpError::Certificates(error.into());
        let certificate = Certificate::from_pem(pem).map_err(invalid)?;
        let builder =
            TlsParameters::builder(self.server.host.clone()).add_root_certificate(certificate);
        self.server.set_tls(self.tls, builder).map_err(invalid)?;
        self.connections = Arc::default();
        Ok(self)
    }

    /// Sets the name by which this machine introduces itself (`EHLO`): a host name or an IP address.
    /// Default: `[127.0.0.1]`, which some servers do not like to hear from another machine.
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn hello_name(mut self, name: &str) -> Result<Self, SmtpError> {
        use std::net::IpAddr;

        self.server.hello_name = match name.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
            Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
            Err(_) => {
                let host = name.parse::<CanonicalHost>().ok().filter(|_| !name.contains(':'));
                ClientId::Domain(host.ok_or(SmtpError::HelloName)?.to_string())
            }
        };
        self.connections = Arc::default();
        Ok(self)
    }

    fn build(
        host: &str,
        port: u16,
        tls: SmtpTls,
        from: &str,
        credentials: Option<Credentials>,
    ) -> Result<Self, SmtpError> {
        let from = from.parse().map_err(|_| SmtpError::Sender)?;
        let mut server = Server {
            host: host.to_owned(),
            port,
            tls_at_once: None,
            starttls: None,
            hello_name: ClientId::default(),
            credentials,
        };
        server
            .set_tls(tls, TlsParametersBuilder::new(host.to_owned()))
            .map_err(|error| SmtpError::Tls(error.into()))?;
        Ok(Self { server, tls, from, timeout: DEFAULT_TIMEOUT, connections: Arc::default() })
    }

    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let message = compose(&self.from, mail)?;
        let bytes = message.formatted();
        self.in_time(async {
            let mut connection = self.connection().await?;
            let sent = connection.send(message.envelope(), &bytes).await;
            sent.map_err(|error| explain(error, Stage::Sending))?;
            self.connections.keep(connection);
            Ok(())
        })
        .await
    }

    async fn test(&self) -> Result<(), MailError> {
        self.in_time(async {
            let mut connection = self.connection().await?;
            if !connection.test_connected().await {
                return Err(MailError::new("the server closed the connection"));
            }
            self.connections.keep(connection);
            Ok(())
        })
        .await
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, MailError> {
        match self.connections.take().await {
            Some(connection) => Ok(connection),
            None => {
                let connected = self.server.connect().await;
                connected.map_err(|error| explain(error, Stage::Connecting))
            }
        }
    }

    /// A connection that is in use when the time is over is closed.
    async fn in_time(
        &self,
        done: impl Future<Output = Result<(), MailError>>,
    ) -> Result<(), MailError> {
        let too_late = || {
            let limit = self.timeout;
            MailError::new(format!(
                "no response within {limit:?}: check `host`, `port` and firewalls"
            ))
        };
        tokio::time::timeout(self.timeout, done).await.unwrap_or_else(|_| Err(too_late()))
    }
}

impl Mailer for SmtpMailer {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        Box::pin(self.send(mail))
    }

    fn check(&self) -> MailFuture<'_> {
        Box::pin(self.test())
    }
}

/// Omits the login.
impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpMailer")
            .field("host", &self.server.host)
            .field("port", &self.server.port)
            .field("tls", &self.tls)
            .field("from", &self.from)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The error of a mailer that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SmtpError {
    /// The sender is not an email address.
    #[error("invalid sender address; write for example `Access <access@example.com>`")]
    Sender,
    /// TLS cannot be set up for the server's name.
    #[error("TLS cannot be set up: {0}")]
    Tls(Box<dyn std::error::Error + Send + Sync>),
    /// The certificate authorities cannot be read.
    #[error("the certificates cannot be read, write them as PEM: {0}")]
    Certificates(Box<dyn std::error::Error + Send + Sync>),
    /// The name of this machine is not a host name.
    #[error("invalid name of this machine; write a host name or an IP address")]
    HelloName,
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
