//! A mail that shows an operator that mail arrives.

use super::Mail;
use crate::identity::Email;

impl Mail {
    /// A mail without a code, which tells its reader that codes would arrive as it did.
    ///
    /// ```
    /// use tower_access::login::mail::Mail;
    ///
    /// let mail = Mail::test("ada@example.com".parse()?);
    /// assert_eq!(mail.subject, "Test of the login's mail");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn test(to: Email) -> Self {
        let html = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{SUBJECT}</title>\
             <p>{}</p></html>",
            TEXT.join(" ")
        );
        Self::new(to, SUBJECT.to_owned(), format!("{}\n", TEXT.join("\n")), html)
    }
}

const SUBJECT: &str = "Test of the login's mail";
const TEXT: [&str; 2] = [
    "Somebody who operates the login has sent this mail to see whether mail arrives.",
    "It has: login codes take the same way. There is nothing to do.",
];
