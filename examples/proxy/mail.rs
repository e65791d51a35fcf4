//! `proxy mail test`: sends a test mail.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use tower_access::config::{Config, MailConfig, Role};
use tower_access::identity::Email;
use tower_access::login::mail::{Mail, MailError, Mailer};

use crate::format::unusable;
use crate::output;

/// An action on mail.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sends a mail without a code to an address, the way of the configuration.
    Test(Test),
}

/// The recipient and the configuration.
#[derive(Args)]
pub(crate) struct Test {
    /// An address whose mailbox you can read.
    address: Email,
    /// The configuration: `access.mail` sets the way.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Sends a mail. Exit code 0: the mail server accepted it; 1: it was not sent; 2: the configuration has
/// no mail server, or is invalid.
pub(crate) async fn run(Command::Test(Test { address, config }): Command) -> ExitCode {
    let config = match Config::load(&config) {
        Ok(config) => config,
        Err(errors) => return unusable(&errors),
    };
    let mailer = match config.mailer() {
        Ok(Some(mailer)) => mailer,
        Ok(None) => {
            return unusable(&"this proxy sends no mail: the issuer of the tokens runs the login");
        }
        Err(error) => return unusable(&error),
    };
    let way = way(&config);
    let sent = tokio::time::timeout(TIME_LIMIT, mailer.deliver(Mail::test(address.clone()))).await;
    match sent {
        Ok(Ok(())) => {
            output::line(format_args!(
                "{way}: accepted a mail for {address}; check the mailbox and the spam folder"
            ));
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => failed(&way, &format!("{error}; {}", consequence(&error))),
        Err(_) => failed(&way, "no response within a minute: check `host`, `port` and firewalls"),
    }
}

/// What happens to a mail with a code after such an error.
fn consequence(error: &MailError) -> &'static str {
    if error.is_recipient_refused() {
        "this recipient is refused: others may get their codes"
    } else if error.is_permanent() {
        "codes are given up after this error"
    } else {
        "codes are sent again after this error, until they expire"
    }
}

fn failed(way: &str, error: &str) -> ExitCode {
    let error: String = error.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    output::warn(format_args!("{way}: {error}"));
    ExitCode::FAILURE
}

/// Describes how mail is sent.
fn way(config: &Config) -> String {
    match &config.access.role {
        Role::Issuing { mail: MailConfig::Smtp(smtp), .. } => {
            format!("{}:{}, from {}", smtp.host, smtp.port, smtp.from)
        }
        Role::Issuing { mail: MailConfig::Maildir(maildir), .. } => {
            format!("maildir {}", maildir.path.display())
        }
        // Its path may be a secret.
        Role::Issuing { mail: MailConfig::Webhook(_), .. } => "webhook".to_owned(),
        _ => "console".to_owned(),
    }
}

const TIME_LIMIT: Duration = Duration::from_secs(60);
