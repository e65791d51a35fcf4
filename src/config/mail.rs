//! `mail`: how one-time PINs reach people.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::clock::GoDuration;
use crate::identity::Email;
use crate::secret::SecretText;

use super::error::NoteKind;
use super::keys;
use super::reader::{Place, Reader};
use super::tree::Value;

/// How one-time PINs reach people.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MailConfig {
    /// `console`: printed on this program's output. For trying out alone.
    Console,
    /// `smtp`: through a mail server.
    Smtp(SmtpConfig),
}

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
    /// `password_file`: a file with the password, read when the mailer is built.
    pub password_file: Option<PathBuf>,
    /// `password`: from the environment, never in the file itself.
    pub password: Option<SecretText>,
    /// `timeout`: how long the server may take to accept a mail, 1 s to 60 s; 20 s by default.
    pub timeout: Duration,
}

/// How the connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SmtpTlsConfig {
    /// Not at all. Only to this machine, unless `dangerous_plaintext` says otherwise.
    None,
    /// Begun in plain text and then encrypted; refused when the server cannot.
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

/// Reads `mail`. `None` when it is wrong.
pub(super) fn read(reader: &mut Reader, place: &Place<'_>) -> Option<MailConfig> {
    match &place.node.value {
        Value::Text(text) if text == "console" => Some(console(reader, place)),
        Value::Mapping(_) => {
            if !reader.mapping(place, &[keys::MAIL]) {
                return None;
            }
            match (place.node.get("console"), place.get("smtp")) {
                (Some(_), None) => {
                    if let Some(empty) = place.get("console") {
                        reader.mapping(&empty, &[]);
                    }
                    Some(console(reader, place))
                }
                (None, Some(smtp)) => smtp_server(reader, &smtp).map(MailConfig::Smtp),
                _ => {
                    reader.error(place, "name one way: `console`, or `smtp: { host: …, from: … }`");
                    None
                }
            }
        }
        _ => {
            reader.error(
                place,
                "no way to send mail; write `console` or `smtp: { host: …, from: … }`",
            );
            None
        }
    }
}

fn console(reader: &mut Reader, place: &Place<'_>) -> MailConfig {
    reader.note(
        NoteKind::Weakens,
        place,
        "codes are printed on the output of this program: for trying out, not for real people; write \
         `smtp: { host: …, from: … }`",
    );
    MailConfig::Console
}

fn smtp_server(reader: &mut Reader, place: &Place<'_>) -> Option<SmtpConfig> {
    const SECRET: &[&str] = &["password"];
    if !reader.mapping(place, &[keys::SMTP, SECRET]) {
        return None;
    }
    let password = reader.secret(
        place,
        "password",
        "a password does not belong into this file; write `password_file: /path/to/it`, or \
         `password: ${NAME}` for one in the environment",
    );
    if let Some(both) = place.get("password").filter(|_| place.get("password_file").is_some()) {
        reader.error_saying(
            &both,
            "`password` and `password_file` exclude each other; leave one out",
        );
    }
    reader.required(place, &["host", "from"], "");
    let host = reader.optional::<String>(place, "host");
    let from = reader.optional::<String>(place, "from");
    let tls = reader
        .optional::<SmtpTlsConfig>(place, "tls")
        .map_or_else(SmtpTlsConfig::default, |tls| tls.value);
    let port = reader.optional::<u16>(place, "port");
    let username = reader.optional::<String>(place, "username").map(|name| name.value);
    let password_file = reader.optional::<PathBuf>(place, "password_file").map(|path| path.value);
    let timeout = read_timeout(reader, place);
    let plaintext =
        reader.optional::<bool>(place, "dangerous_plaintext").is_some_and(|on| on.value);

    if let Some(port) = port.as_ref().filter(|port| port.value == 0) {
        reader.error_at(port.at, &port.key, "no port; write one from 1 to 65535");
    }
    if let Some(from) = from.as_ref().filter(|from| !is_sender(&from.value)) {
        reader.error_at(
            from.at,
            &from.key,
            "no sender; write `Access <access@example.com>` or `access@example.com`",
        );
    }
    if username.is_some() && place.get("password_file").is_none() && place.get("password").is_none()
    {
        reader.error(place, "`username` without `password_file`; write both or none");
    }
    if (password_file.is_some() || password.is_some()) && place.get("username").is_none() {
        let key = if password.is_some() { "password" } else { "password_file" };
        reader.error(place, format_args!("`{key}` without `username`; write both or none"));
    }
    if let Some(host) = &host {
        if !is_host(&host.value) {
            reader.error_at(
                host.at,
                &host.key,
                "no host; write a name or an address, without a port",
            );
        } else if tls == SmtpTlsConfig::None && !is_loopback(&host.value) {
            let at = place.get("tls").unwrap_or_else(|| place.clone());
            if plaintext {
                reader.note(
                    NoteKind::Weakens,
                    &at,
                    "codes travel in plain text: whoever reads them on the way can log in",
                );
            } else {
                reader.error(
                    &at,
                    "codes would travel in plain text; write `starttls` or `implicit` (or, if nobody \
                     can listen on the way, `dangerous_plaintext: true` beside it)",
                );
            }
        }
    }
    Some(SmtpConfig {
        host: host?.value,
        port: port.map_or_else(|| tls.default_port(), |port| port.value),
        from: from?.value,
        tls,
        username,
        password_file,
        password,
        timeout,
    })
}

fn read_timeout(reader: &mut Reader, place: &Place<'_>) -> Duration {
    let Some(timeout) = reader.optional::<GoDuration>(place, "timeout") else {
        return DEFAULT_TIMEOUT;
    };
    if (SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&timeout.value.get()) {
        return timeout.value.get();
    }
    reader.error_at(timeout.at, &timeout.key, "out of bounds; write a time from 1s to 60s");
    DEFAULT_TIMEOUT
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

fn is_sender(text: &str) -> bool {
    let Some((name, address)) = text.split_once('<') else {
        return text.parse::<Email>().is_ok();
    };
    let name_is_plain =
        !name.contains(['>', '@', '"', ',', ';']) && !name.contains(char::is_control);
    let address = address.strip_suffix('>').map(str::parse::<Email>);
    name_is_plain && matches!(address, Some(Ok(_)))
}

fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
        || (!text.contains(':') && text.parse::<crate::application::CanonicalHost>().is_ok())
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}
