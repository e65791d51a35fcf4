//! `mail`: how codes reach users, and in which words.

mod build;
mod smtp;
mod template;

#[cfg(feature = "proxy")]
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use self::smtp::{Sender, Smtp};
pub use self::smtp::{SmtpConfig, SmtpTlsConfig};
use self::template::Template;
pub use self::template::{MailTemplateConfig, TemplateSource};
use crate::secret::SecretText;
use crate::util::trusted_url;

use super::error::NoteKind;
use super::reader::{NodeRef, Reader};
use super::schema::{FilePath, Read, Secret, Shape, document, from_text};
use super::tree::Value;

/// How codes reach users.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum MailConfig {
    /// `console`: prints codes on the output of this program. For trying out only.
    Console,
    /// `smtp`: through a mail server.
    Smtp(SmtpConfig),
    /// `maildir`: into a folder.
    Maildir(MaildirConfig),
    /// `webhook`: to a service that sends them.
    Webhook(WebhookConfig),
}

/// A folder that mail is put into.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct MaildirConfig {
    /// `path`: the folder.
    pub path: PathBuf,
    /// `from`: the sender. `Access <access@localhost>` by default.
    pub from: String,
}

/// A service that mail is posted to.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct WebhookConfig {
    /// `url`.
    pub url: String,
    /// `token_file`: a file with the token, which is read when the mailer is built.
    pub token_file: Option<PathBuf>,
    /// `token`: from the environment, never in the file itself.
    pub token: Option<SecretText>,
}

/// Omits the URL, whose path may be a secret.
impl std::fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("token_file", &self.token_file)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// What `mail` says.
#[derive(Debug)]
pub(super) struct MailSection {
    pub(super) way: MailConfig,
    pub(super) template: MailTemplateConfig,
}

impl Default for MailSection {
    fn default() -> Self {
        Self { way: MailConfig::Console, template: MailTemplateConfig::default() }
    }
}

document! {
    /// How codes reach users: one of `console`, `smtp`, `maildir` and `webhook`. And in which words.
    pub(super) struct Mail in "access.mail" {
        /// Prints codes on the output of the program, for trying out.
        "console" console: Console { default: "off", example: "{}", }
        /// Sends codes through a mail server.
        "smtp" smtp: Smtp {
            default: "off", example: "{ host: mail.example.com, from: access@example.com }",
        }
        /// Puts codes into a folder, in Maildir format: for a mail server on this machine that fetches
        /// them. Whoever reads the folder can log in.
        "maildir" maildir: Maildir { default: "off", example: "{ path: /var/spool/access }", }
        /// Posts codes to a service of yours that sends them.
        "webhook" webhook: Webhook {
            default: "off", example: "{ url: 'https://mail.example.com/codes' }",
        }
        /// The words of the mail.
        "template" template: Template {
            default: "the built-in words", example: "{ subject: 'ACME: log in to {{application}}' }",
        }
    }
}

document! {
    /// An empty mapping.
    pub(super) struct Console in "access.mail.console" {}
}

document! {
    /// A folder that mail is put into.
    pub(super) struct Maildir in "access.mail.maildir" {
        /// The folder. It is created if its parent exists.
        "path" path: FilePath { required: "", example: "/var/spool/access", }
        /// The sender: an address, or a name and an address.
        "from" from: Sender {
            default: "Access <access@localhost>", example: "Access <access@example.com>",
        }
    }
}

document! {
    /// A service that mail is posted to, as JSON with `to`, `subject`, `text` and `html`.
    pub(super) struct Webhook in "access.mail.webhook" {
        /// Where to: `https`, or `http` to this machine.
        "url" url: WebhookUrl { required: "", example: "https://mail.example.com/codes", }
        /// A file with a secret that is sent as `Authorization: Bearer …`. Read when the program starts.
        "token_file" token_file: FilePath { default: "none", example: "/etc/access/mail-token", }
        /// The secret, from an environment variable: `${NAME}`.
        "token" token: Secret { default: "none", example: "'${MAIL_TOKEN}'", }
    }
}

from_text! {
    WebhookUrl: Shape::Text { form: "URL", pattern: Some("^[hH][tT][tT][pP][sS]?://") };
}

impl MailConfig {
    /// Returns the files that it names.
    #[cfg(feature = "proxy")]
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let files = match self {
            Self::Smtp(smtp) => [&smtp.password_file, &smtp.ca_file],
            Self::Webhook(webhook) => [&webhook.token_file, &None],
            Self::Console | Self::Maildir(_) => [&None, &None],
        };
        files.into_iter().filter_map(Option::as_deref)
    }
}

impl Read for MailConfig {
    type Output = MailSection;

    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::Choice(&["console"]), Mail::shape()])
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<MailSection> {
        match &place.node.value {
            Value::Text(text) if text == "console" => {
                Some(MailSection { way: console(reader, place), ..MailSection::default() })
            }
            Value::Mapping(_) => {
                let mail = Mail::read(reader, place)?;
                // `console:` without a value counts as well.
                let is_console = place.node.get("console").is_some();
                let ways = [
                    is_console,
                    mail.smtp.is_written(),
                    mail.maildir.is_written(),
                    mail.webhook.is_written(),
                ];
                if ways.into_iter().filter(|is_written| *is_written).count() != 1 {
                    reader.error(place, format_args!("name one way: {WAYS}"));
                    return None;
                }
                let way = if is_console {
                    Some(console(reader, place))
                } else if let Some(at) = place.get("smtp") {
                    smtp::build(reader, &at, mail.smtp.value()?).map(Self::Smtp)
                } else if let Some(maildir) = mail.maildir.value() {
                    build_maildir(maildir).map(Self::Maildir)
                } else {
                    build_webhook(reader, mail.webhook.value()?).map(Self::Webhook)
                };
                let template = mail.template.value().unwrap_or_default().build(reader);
                Some(MailSection { way: way?, template })
            }
            _ => {
                reader.error(place, format_args!("invalid way to send mail; write {WAYS}"));
                None
            }
        }
    }
}

fn console(reader: &mut Reader, place: &NodeRef<'_>) -> MailConfig {
    reader.note(
        NoteKind::Weakens,
        place,
        "codes are printed on the output of this program: for trying out, not for real users; write \
         `smtp: { host: …, from: … }`",
    );
    MailConfig::Console
}

fn build_maildir(maildir: Maildir) -> Option<MaildirConfig> {
    let from = maildir.from.value().map_or_else(|| LOCAL_SENDER.to_owned(), |from| from.0);
    Some(MaildirConfig { path: maildir.path.value()?, from })
}

fn build_webhook(reader: &mut Reader, webhook: Webhook) -> Option<WebhookConfig> {
    if let Some(token) = webhook.token.written().filter(|_| webhook.token_file.is_written()) {
        reader.fixed_error(token, "`token` and `token_file` exclude each other; leave one out");
    }
    Some(WebhookConfig {
        url: webhook.url.value()?.0,
        token_file: webhook.token_file.value(),
        token: webhook.token.value(),
    })
}

/// The URL of a service that gets codes.
#[derive(Debug)]
pub(super) struct WebhookUrl(String);

impl FromStr for WebhookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match trusted_url::parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("{error}; codes are sent there")),
        }
    }
}

const LOCAL_SENDER: &str = "Access <access@localhost>";
const WAYS: &str = "`console`, `smtp: { host: …, from: … }`, `maildir: { path: … }`, or `webhook: \
                    { url: … }`";
