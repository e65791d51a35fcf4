//! `mail.smtp`: a mail server.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::application::CanonicalHost;
use crate::config::error::NoteKind;
use crate::config::reader::{NodeRef, Reader};
use crate::config::schema::{
    FilePath, Port, Secret, Shape, Time, document, from_serde, from_text, seconds,
};
use crate::identity::Email;
use crate::secret::SecretText;

/// A mail server.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SmtpConfig {
    /// `host`: the server's name or address.
    pub host: String,
    /// `port`. By default 587 (`starttls`), 465 (`implicit`) or 25 (`none`).
    pub port: u16,
    /// `from`: the sender, `Access <access@example.com>` or an address alone.
    pub from: String,
    /// `tls`. `starttls` by default.
    pub tls: SmtpTlsConfig,
    /// `username`.
    pub username: Option<String>,
    /// `password_file`: a file with the password, which is read when the mailer is built.
    pub password_file: Option<PathBuf>,
    /// `password`: from the environment, never in the file itself.
    pub password: Option<SecretText>,
    /// `ca_file`: authorities for the server's certificate beside the public ones, in PEM. It is read
    /// when the mailer is built.
    pub ca_file: Option<PathBuf>,
    /// `hello_name`: the name by which this machine introduces itself.
    pub hello_name: Option<String>,
    /// `timeout`: how long the server may take to accept a mail, 1 s to 60 s; 20 s by default.
    pub timeout: Duration,
}

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SmtpTlsConfig {
    /// Not at all. Only for a server on this machine, unless `dangerous_plaintext` is set.
    None,
    /// STARTTLS: begins in plain text and is then encrypted. Fails if the server does not support it.
    #[default]
    StartTls,
    /// Encrypted from the first byte.
    Implicit,
}

impl SmtpTlsConfig {
    fn default_port(self) -> u16 {
        match self {
            Self::None => 25,
            Self::StartTls => 587,
            Self::Implicit => 465,
        }
    }
}

document! {
    /// The mail server that delivers codes.
    pub(in crate::config) struct Smtp in "access.mail.smtp" {
        /// The host name or IP address of the mail server.
        "host" host: MailHost { required: "", example: "mail.example.com", }
        /// The port of the mail server.
        "port" port: Port {
            default: "587 with `starttls`, 465 with `implicit`, 25 with `none`", example: "587",
        }
        /// The sender: an address, or a name and an address.
        "from" from: Sender { required: "", example: "Access <access@example.com>", }
        /// How the connection is encrypted: `starttls`, `implicit` from the first byte, or `none`, which
        /// is for a server on this machine.
        "tls" tls: SmtpTlsConfig { default: "starttls", example: "implicit", }
        /// The user name at the mail server. Needs a password.
        "username" username: String { default: "no login", example: "access", }
        /// A file with the password, which is read when the program starts.
        "password_file" password_file: PathBuf {
            default: "no login", example: "/etc/access/smtp-password",
        }
        /// The password, from an environment variable: `${NAME}`.
        "password" password: Secret { default: "no login", example: "'${SMTP_PASSWORD}'", }
        /// Certificate authorities for the server's certificate beside the public ones, in PEM. Read when
        /// the program starts. Needs `tls: starttls` or `implicit`.
        "ca_file" ca_file: FilePath { default: "none", example: "/etc/access/mail-ca.pem", }
        /// The name by which this machine introduces itself to the server: a host name or IP address.
        "hello_name" hello_name: MailHost {
            default: "[127.0.0.1]", example: "access.example.com",
        }
        /// Allows `tls: none` to a server on another machine. Weakens the default: codes can be read on
        /// the way.
        "dangerous_plaintext" dangerous_plaintext: bool { default: "false", example: "true", }
        /// Time for the server to accept a mail.
        "timeout" timeout: Time<{ seconds(1) }, { seconds(60) }> { default: "20s", example: "10s", }
    }
}

from_serde! {
    SmtpTlsConfig: Shape::Choice(&["starttls", "implicit", "none"]);
}

from_text! {
    MailHost: Shape::Text { form: "host name or IP address", pattern: None };
    Sender: Shape::Text { form: "email address, or name and `<address>`", pattern: Some("@") };
}

pub(super) fn build(reader: &mut Reader, place: &NodeRef<'_>, smtp: Smtp) -> Option<SmtpConfig> {
    let (has_password, has_file) = (smtp.password.is_written(), smtp.password_file.is_written());
    if let Some(password) = smtp.password.written().filter(|_| has_file) {
        reader.fixed_error(
            password,
            "`password` and `password_file` exclude each other; leave one out",
        );
    }
    if smtp.username.is_written() && !has_password && !has_file {
        reader.error(place, "`username` without `password_file`; write both or neither");
    }
    let secret = [("password", smtp.password.get().is_some()), ("password_file", has_file)];
    if let Some((key, _)) = secret.iter().find(|(_, is_there)| *is_there)
        && !smtp.username.is_written()
    {
        reader.error(place, format_args!("`{key}` without `username`; write both or neither"));
    }
    let tls = smtp.tls.get().copied().unwrap_or_default();
    if tls == SmtpTlsConfig::None && smtp.host.get().is_some_and(|host| !host.is_loopback()) {
        let at = place.get("tls").unwrap_or_else(|| place.clone());
        if smtp.dangerous_plaintext.is_on() {
            reader.note(
                NoteKind::Weakens,
                &at,
                "codes travel in plain text: whoever reads them on the way can log in",
            );
        } else {
            reader.error(
                &at,
                "codes would travel in plain text; write `starttls` or `implicit` (or, if nobody can \
                 listen on the way, `dangerous_plaintext: true` beside it)",
            );
        }
    }
    if let Some(ca_file) = smtp.ca_file.written().filter(|_| tls == SmtpTlsConfig::None) {
        reader.fixed_error(
            ca_file,
            "`ca_file` without TLS; write `tls: starttls` or `tls: implicit`",
        );
    }
    Some(SmtpConfig {
        host: smtp.host.value()?.0,
        port: smtp.port.value().unwrap_or_else(|| tls.default_port()),
        from: smtp.from.value()?.0,
        tls,
        username: smtp.username.value(),
        password_file: smtp.password_file.value(),
        password: smtp.password.value(),
        ca_file: smtp.ca_file.value(),
        hello_name: smtp.hello_name.value().map(|name| name.0),
        timeout: smtp.timeout.value().unwrap_or(DEFAULT_TIMEOUT),
    })
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// The name or the address of a mail server.
#[derive(Debug)]
pub(in crate::config) struct MailHost(String);

impl FromStr for MailHost {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = || !text.contains(':') && text.parse::<CanonicalHost>().is_ok();
        if text.parse::<IpAddr>().is_ok() || is_name() {
            Ok(Self(text.to_owned()))
        } else {
            Err("invalid host; write a name or an address, without a port")
        }
    }
}

impl MailHost {
    fn is_loopback(&self) -> bool {
        let address = self.0.parse::<IpAddr>();
        self.0.eq_ignore_ascii_case("localhost")
            || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }
}

/// The sender of a mail.
#[derive(Debug)]
pub(in crate::config) struct Sender(pub(super) String);

impl FromStr for Sender {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_sender(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err("invalid sender; write `Access <access@example.com>` or `access@example.com`")
        }
    }
}

fn is_sender(text: &str) -> bool {
    let Some((name, address)) = text.split_once('<') else {
        return text.parse::<Email>().is_ok();
    };
    let name_is_plain =
        !name.contains(['>', '@', '"', ',', ';']) && !name.contains(char::is_control);
    let address = address.strip_suffix('>').map(str::parse::<Email>);
    name_is_plain && matches!(address, Some(Ok(_)))
}
