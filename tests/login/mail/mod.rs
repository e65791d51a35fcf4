//! Mail that leaves the login, with real mail servers (aiosmtpd), mailboxes and services.

mod delivery;
mod maildir;
mod server;
mod smtp;
mod webhook;

use std::time::Duration;

use tower_access::login::mail::{Mail, SmtpMailer, SmtpTls};

fn mail() -> Mail {
    let text = "Your code:\n\n048213\n\nGrüße\n";
    let to = "ada@example.com".parse().unwrap();
    Mail::new(to, "Hello".to_owned(), text.to_owned(), "<p>048213, Grüße</p>".to_owned())
}

fn mailer(port: u16) -> SmtpMailer {
    let mailer = SmtpMailer::new("127.0.0.1", port, SmtpTls::DangerousNone, SENDER);
    mailer.unwrap().timeout(TIMEOUT)
}

const SENDER: &str = "Access <access@example.com>";
/// For a server that is there.
const TIMEOUT: Duration = Duration::from_secs(20);
