//! Sorts the errors of a mail server, and adds what an operator can do about them.

use lettre::transport::smtp::Error;

use crate::login::mail::MailError;

/// How far a mail came. Before the connection is made, the settings are wrong, not an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// Connecting, TLS and login.
    Connecting,
    /// The server, the settings and the login work.
    Sending,
}

pub(super) fn explain(error: Error, stage: Stage) -> MailError {
    let code = error.status().map(u16::from);
    let text = error.to_string();
    let hint = match code {
        Some(550..=559) if stage == Stage::Sending && is_about_recipient(&text) => {
            return MailError::recipient_refused(error);
        }
        Some(530) => {
            "the server requires authentication or TLS: set `username` and `password_file`, or `tls`"
        }
        Some(534 | 535 | 538) => "authentication failed: check `username` and `password_file`",
        Some(550..=559) => {
            "the server rejects the mail: check `from`, and whether this machine may send through it"
        }
        Some(400..=499) => "the server asks to try again later",
        Some(_) => "the server rejects the mail",
        None if error.is_timeout() => "timeout: check `host`, `port` and firewalls",
        // The error has no flag for a certificate that rustls does not trust.
        None if error.is_tls() || text.contains("certificate") => {
            "TLS cannot be set up: check that `tls` fits `port` (`implicit` on 465, `starttls` on \
             587), that the certificate is for `host`, and that `ca_file` has its authority if it is \
             not a public one"
        }
        None if error.is_client() && stage == Stage::Sending => {
            return MailError::recipient_refused(error);
        }
        None if error.is_client() => "the server does not support what `tls` or the login needs",
        None => "the server cannot be reached: check `host`, `port` and firewalls",
    };
    let explained = format!("{text} ({hint})");
    if error.is_permanent() || error.is_client() {
        MailError::permanent(explained)
    } else if error.is_transient() {
        MailError::delayed(explained)
    } else {
        MailError::new(explained)
    }
}

/// Whether an answer is about the address or the mailbox of the recipient (RFC 3463).
fn is_about_recipient(text: &str) -> bool {
    text.contains("5.1.") && !text.contains("5.1.7") && !text.contains("5.1.8")
        || text.contains("5.2.")
}
