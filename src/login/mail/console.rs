//! Mail printed to the terminal.

use std::io::Write;

use super::{Mail, MailError, MailFuture, Mailer};

/// Prints mail to standard output, for trying out and for development.
///
/// Whoever sees the terminal can log in as any user. Do not use it on a machine that others can reach.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsoleMailer;

impl Mailer for ConsoleMailer {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        Box::pin(async move {
            let line = "─".repeat(60);
            let Mail { to, subject, text, .. } = mail;
            let mut out = std::io::stdout().lock();
            writeln!(
                out,
                "\n{line}\nMail to {to}\nSubject: {subject}\n\n{}\n{line}",
                text.trim_end()
            )
            .and_then(|()| out.flush())
            .map_err(MailError::new)
        })
    }
}
