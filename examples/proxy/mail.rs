//! `proxy mail test`: whether mail arrives.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use tower_access::config::{Config, MailConfig, Role};
use tower_access::identity::Email;
use tower_access::login::mail::{Mail, Mailer};

use crate::format::unusable;
use crate::output;

/// What is done about mail.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sends a mail without a code to an address, with the mail server of the configuration.
    Test(Test),
}

/// To whom, and by which mail server.
#[derive(Args)]
pub(crate) struct Test {
    /// An address whose mailbox you can read.
    address: Email,
    /// The configuration: `access.mail` in it says how mail is sent.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Sends a mail. Exit code 0: the mail server accepted it; 1: it was not sent; 2: the configuration
/// says nothing of mail, or is wrong.
pub(crate) async fn run(Command::Test(Test { address, config }): Command) -> ExitCode {
    let config = match Config::load(&config) {
        Ok(config) => config,
        Err(errors) => return unusable(&errors),
    };
    let mailer = match config.mailer() {
        Ok(Some(mailer)) => mailer,
        Ok(None) => return unusable(&"no mail is sent: the issuer of the tokens runs the login"),
        Err(error) => return unusable(&error),
    };
    let way = way(&config);
    let sent = tokio::time::timeout(PATIENCE, mailer.deliver(Mail::test(address.clone()))).await;
    match sent {
        Ok(Ok(())) => {
            output::line(format_args!(
                "{way}: accepted a mail for {address}; look into the mailbox, and for spam as well"
            ));
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => failed(&way, &error.to_string()),
        Err(_) => failed(&way, "no answer within a minute: check `host`, `port` and firewalls"),
    }
}

fn failed(way: &str, error: &str) -> ExitCode {
    let error: String = error.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    output::warn(format_args!("{way}: {error}"));
    ExitCode::FAILURE
}

/// How mail is sent, for people.
fn way(config: &Config) -> String {
    match &config.access.role {
        Role::Issuing { mail: MailConfig::Smtp(smtp), .. } => {
            format!("{}:{}, from {}", smtp.host, smtp.port, smtp.from)
        }
        _ => "console".to_owned(),
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
