//! Mail through an SMTP server.

use std::time::Duration;

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::AsyncSmtpTransportBuilder;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::{Mail, MailError, MailFuture, Mailer};

/// Delivers mail through an SMTP server, over one connection per mail.
///
/// ```
/// use tower_access::login::mail::{SmtpMailer, SmtpTls};
///
/// let mailer = SmtpMailer::new("mail.example.com", 587, SmtpTls::StartTls, "Access <access@example.com>")?;
/// # Ok::<(), tower_access::login::mail::SmtpError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SmtpMailer {
    transport: AsyncSmtpTransportBuilder,
    from: Mailbox,
    timeout: Duration,
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

    fn build(
        host: &str,
        port: u16,
        tls: SmtpTls,
        from: &str,
        credentials: Option<Credentials>,
    ) -> Result<Self, SmtpError> {
        let from = from.parse().map_err(|_| SmtpError::Sender)?;
        let parameters =
            || TlsParameters::new(host.to_owned()).map_err(|error| SmtpError::Tls(error.into()));
        let tls = match tls {
            SmtpTls::Implicit => Tls::Wrapper(parameters()?),
            SmtpTls::StartTls => Tls::Required(parameters()?),
            SmtpTls::DangerousNone => Tls::None,
        };
        let mut builder =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(port).tls(tls);
        if let Some(credentials) = credentials {
            builder = builder.credentials(credentials);
        }
        Ok(Self { transport: builder, from, timeout: DEFAULT_TIMEOUT })
    }

    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        let to = Mailbox::new(None, mail.to.as_str().parse().map_err(MailError::new)?);
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(mail.subject)
            .multipart(MultiPart::alternative_plain_html(mail.text, mail.html))
            .map_err(MailError::new)?;
        let transport = self.transport.clone().build::<Tokio1Executor>();
        // The transport's own timeout covers only the connection, not a server that stops responding
        // after it.
        match tokio::time::timeout(self.timeout, transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(explain(error)),
            Err(_) => Err(MailError::new(format!(
                "no response within {:?}: check `host`, `port` and firewalls",
                self.timeout
            ))),
        }
    }
}

impl Mailer for SmtpMailer {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        Box::pin(self.send(mail))
    }
}

/// Adds what an operator can do about an error.
fn explain(error: lettre::transport::smtp::Error) -> MailError {
    let code = error.status().map(u16::from);
    let text = error.to_string();
    let hint = match code {
        // RFC 3463: the address or the mailbox of the recipient.
        Some(550..=559)
            if text.contains("5.1.") && !text.contains("5.1.8") || text.contains("5.2.") =>
        {
            return MailError::recipient_refused(error);
        }
        Some(530) => {
            "the server requires authentication or TLS: set `username` and `password_file`, or `tls`"
        }
        Some(534 | 535 | 538) => "authentication failed: check `username` and `password_file`",
        Some(550..=559) => {
            "the server rejects the mail: check `from`, and whether this machine may send through it"
        }
        Some(_) => "the server rejects the mail",
        None if error.is_timeout() => "timeout: check `host`, `port` and firewalls",
        // The error has no flag for a certificate that rustls does not trust.
        None if error.is_tls() || text.contains("certificate") => {
            "TLS cannot be set up: check that `tls` fits `port` (`implicit` on 465, `starttls` on \
             587), and that the certificate is for `host`"
        }
        None if error.is_client() => "the server does not support what `tls` or the login needs",
        None => "the server cannot be reached: check `host`, `port` and firewalls",
    };
    MailError::new(format!("{text} ({hint})"))
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
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
