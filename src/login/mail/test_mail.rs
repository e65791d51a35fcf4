//! A test mail.

use super::Mail;
use crate::identity::Email;

impl Mail {
    /// Creates a test mail, without a code, that an operator sends to check delivery.
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
    "An operator of the login has sent this mail to check that mail arrives.",
    "Login codes are delivered the same way. You do not have to do anything.",
];
