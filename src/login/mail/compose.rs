//! Writes mail in the format of mail servers and mailboxes.

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};

use super::{Mail, MailError};
use crate::random::{SystemRandom, hex};

/// Writes a mail to its one recipient. Line ends and other characters with a meaning in headers cannot
/// get into them: addresses have none, and the subject is encoded.
pub(super) fn compose(from: &Mailbox, mail: Mail) -> Result<Message, MailError> {
    let to = Mailbox::new(None, mail.to.as_str().parse().map_err(MailError::recipient_refused)?);
    let sender =
        Mailbox { name: mail.sender_name.or_else(|| from.name.clone()), email: from.email.clone() };
    let mut builder = Message::builder().from(sender).to(to).subject(mail.subject);
    if let Ok(id) = hex::<16>(&SystemRandom) {
        builder = builder.message_id(Some(format!("<{id}@{}>", from.email.domain())));
    }
    // Nobody's absence note is an answer to a code.
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    builder
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
        .multipart(MultiPart::alternative_plain_html(mail.text, mail.html))
        .map_err(MailError::permanent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(mail: Mail) -> String {
        let from = "Access <access@example.com>".parse().unwrap();
        String::from_utf8(compose(&from, mail).unwrap().formatted()).unwrap()
    }

    fn mail(subject: &str, text: &str) -> Mail {
        let to = "ada@example.com".parse().unwrap();
        Mail::new(to, subject.to_owned(), text.to_owned(), format!("<p>{text}</p>"))
    }

    #[test]
    fn a_mail_has_all_headers() {
        let mail = written(mail("Hello", "048213"));
        for header in [
            "From: Access <access@example.com>\r\n",
            "To: ada@example.com\r\n",
            "Subject: Hello\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "MIME-Version: 1.0\r\n",
            "\r\nDate: ",
            "multipart/alternative",
        ] {
            assert!(mail.contains(header), "{header} is missing in {mail}");
        }
        let to = "ada@example.com".parse().unwrap();
        let mut named = Mail::new(to, String::new(), String::new(), String::new());
        named.sender_name = Some("ACME, \"Wiki\" <x@evil.example>".to_owned());
        let head = written(named);
        let sender = head.lines().find(|line| line.starts_with("From: ")).unwrap();
        assert!(sender.ends_with(" <access@example.com>"), "{sender}");
        assert!(!sender.contains("<x@evil.example>") || sender.contains('"'), "{sender}");
        let id = mail.lines().find(|line| line.starts_with("Message-ID: <")).unwrap();
        assert!(id.ends_with("@example.com>"), "{id}");
    }

    /// OTP-14
    #[test]
    fn no_text_becomes_a_header_and_every_line_is_short_and_ascii() {
        for hostile in ["x\r\nBcc: eve@evil.example", "x\nBcc: eve@evil.example", "ä\r\n\r\nbody"]
        {
            let mail = written(mail(hostile, &format!("{hostile}{}", "ü".repeat(3_000))));
            let (head, _) = mail.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("MIME-Version"), "{head}");
            assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc")), "{head}");
            assert!(mail.lines().all(|line| line.len() <= 200) && mail.is_ascii(), "{mail}");
        }
    }
}
