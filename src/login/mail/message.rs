use std::fmt;

use askama::Template;

/// The text of the mail with a one-time PIN.
///
/// Only the browser that requested the code can use it. The mail has at most one link, which fills in the
/// code there. Software that follows it cannot use up the code.
#[non_exhaustive]
#[derive(Clone, Copy)]
pub struct PinMail<'a> {
    /// The name of the application.
    pub application: &'a str,
    /// The requested host.
    pub host: &'a str,
    /// The code.
    pub code: &'a str,
    /// How long the code is valid, in minutes.
    pub minutes: u64,
    /// Whether all logins of the address share this code because too many codes were requested. It
    /// is valid on each of their pages, for any application.
    pub is_shared: bool,
    /// The URL that fills in the code in the browser that requested it; up to 2 KiB. `None` for a shared
    /// code, which belongs to no particular login, and if links are
    /// [switched off](crate::login::OneTimePin::link_in_mail).
    pub link: Option<&'a str>,
}

impl PinMail<'_> {
    /// Returns the subject: one line, without the code.
    #[must_use]
    pub fn subject(&self) -> String {
        if self.is_shared {
            return "Your login code".to_owned();
        }
        format!("Your login code for {}", single_line(self.application))
    }

    /// Returns the body as plain text.
    #[must_use]
    pub fn text(&self) -> String {
        let (title, purpose) = (self.title(), self.purpose());
        let (code, digits, validity) = (self.code, self.digits(), self.validity());
        let note =
            if self.is_shared { format!("{}\n\n", SHARED.join("\n")) } else { String::new() };
        let link = self.link.map(|link| format!("{}:\n\n{link}\n\n", LINK_NOTE.join("\n")));
        let (link, secrets) = (link.unwrap_or_default(), self.secrets());
        format!(
            "{title}\n\
             \n\
             {purpose}:\n\
             \n\
             {code}\n\
             \n\
             The code has {digits} digits, is valid for {validity} and works once.\n\
             \n\
             {link}{note}If you did not ask to log in, ignore this email: without the code nobody\n\
             gets in. Never share {secrets}, whoever asks for it.\n"
        )
    }

    /// Returns the body as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let document = PinDocument {
            subject: &self.subject(),
            title: &self.title(),
            host: &single_line(self.host),
            code: self.code,
            digits: self.digits(),
            validity: &self.validity(),
            link: self.link,
            secrets: self.secrets(),
            note: &if self.is_shared { SHARED.join(" ") } else { String::new() },
        };
        // Writing text into a `String` does not fail.
        document.render().unwrap_or_default()
    }

    /// Explains a code that several logins share.
    pub(super) fn shared_note() -> String {
        SHARED.join(" ")
    }

    fn title(&self) -> String {
        if self.is_shared {
            return "Log in".to_owned();
        }
        format!("Log in to {}", single_line(self.application))
    }

    fn purpose(&self) -> String {
        if self.is_shared {
            return "Enter this code on the page that asks for it".to_owned();
        }
        format!("Enter this code to continue to {}", single_line(self.host))
    }

    fn secrets(&self) -> &'static str {
        if self.link.is_some() { "the code or the link" } else { "the code" }
    }

    fn digits(&self) -> usize {
        self.code.len()
    }

    fn validity(&self) -> String {
        match self.minutes {
            1 => "1 minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        }
    }
}

/// Omits the code.
impl fmt::Debug for PinMail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinMail")
            .field("application", &self.application)
            .field("host", &self.host)
            .field("minutes", &self.minutes)
            .finish_non_exhaustive()
    }
}

#[derive(Template)]
#[template(path = "pin.html")]
struct PinDocument<'a> {
    subject: &'a str,
    title: &'a str,
    /// Empty for a shared code.
    host: &'a str,
    code: &'a str,
    digits: usize,
    validity: &'a str,
    link: Option<&'a str>,
    secrets: &'a str,
    /// Empty for a code of one login.
    note: &'a str,
}

/// Explains the link.
const LINK_NOTE: [&str; 2] = [
    "Or let this link fill in the code. It works only in the browser in which you",
    "asked for the code",
];

/// Explains a code that several logins share.
const SHARED: [&str; 3] = [
    "Many codes have been requested for your address, maybe by somebody else. So",
    "all requests within some minutes get this one code, for any application, and",
    "you get few emails. Use it only on the page that you have opened yourself.",
];

/// Returns the text on one line, without characters that control a terminal, end a header line or
/// change the text direction.
pub(super) fn single_line(text: &str) -> String {
    let printable: String = text
        .chars()
        .filter(|c| !is_direction_control(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    printable.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_direction_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OTP-14
    #[test]
    fn subject_is_one_line_without_the_code() {
        let mail = PinMail {
            application: "Wiki\r\nBcc: mallory@evil.example\u{2028}\0\u{85}\u{202e}x",
            ..mail()
        };
        assert_eq!(mail.subject(), "Your login code for Wiki Bcc: mallory@evil.example x");
        assert!(!mail.subject().contains(mail.code));
    }

    #[test]
    fn body_says_what_the_code_is_for() {
        for body in [mail().text(), mail().html()] {
            for part in ["Wiki", "wiki.example.com", "048213", "10 minutes", "ignore this email"] {
                assert!(body.contains(part), "{part} is missing in {body}");
            }
        }
    }

    /// OTP-12, OTP-13
    #[test]
    fn otp_21_body_says_how_long_the_code_is() {
        for code in ["048213", "0482131234", "0482131234567890"] {
            let mail = PinMail { code, ..mail() };
            for body in [mail.text(), mail.html()] {
                assert!(body.contains(&format!("has {} digits", code.len())), "{body}");
            }
        }
    }

    #[test]
    fn otp_22_a_shared_code_names_no_application() {
        let mail = PinMail { is_shared: true, link: None, ..mail() };
        for text in [mail.subject(), mail.text(), mail.html()] {
            assert!(!text.contains("Wiki") && !text.contains("wiki.example.com"), "{text}");
        }
        for body in [mail.text(), mail.html()] {
            assert!(body.contains("048213") && body.contains("opened yourself"), "{body}");
        }
        assert!(mail.text().lines().all(|line| line.len() <= 78));
    }

    #[test]
    fn body_has_no_link_but_the_one_to_the_login() {
        let without = PinMail { link: None, ..mail() };
        for body in [without.text(), without.html()] {
            for part in ["href", "src=", "://", "<a ", " link"] {
                assert!(!body.contains(part), "{part} in {body}");
            }
        }
        let (text, html) = (mail().text(), mail().html());
        assert!(text.lines().any(|line| line == LINK), "{text}");
        assert!(html.contains(&format!("<a href=\"{LINK}\"")), "{html}");
        for body in [text, html] {
            assert_eq!(body.matches("://").count(), 1, "{body}");
            assert!(!body.contains("src=") && body.contains("the code or the link"), "{body}");
            // After the code: programs that look for the code find it first.
            assert!(body.find("048213") < body.find(LINK), "{body}");
        }
    }

    #[test]
    fn lines_are_short() {
        let text = mail().text();
        assert!(text.lines().all(|line| line.len() <= 78 || line == LINK));
    }

    #[test]
    fn one_minute_is_singular() {
        let mail = PinMail { minutes: 1, ..mail() };
        assert!(mail.text().contains("valid for 1 minute and"));
        assert!(mail.html().contains("valid for 1 minute and"));
    }

    /// OTP-14
    #[test]
    fn text_of_others_cannot_add_lines() {
        let mail =
            PinMail { application: "Wiki\n\n999999\n", host: "a.example\r\n\r\n111111", ..mail() };
        assert_eq!(mail.text().lines().count(), mail_lines());
        assert!(mail.text().lines().all(|line| line != "999999" && line != "111111"));
    }

    /// OTP-14
    #[test]
    fn html_is_escaped() {
        for hostile in [r#""><script>"#, "'-alert(1)-'", "</pre>"] {
            let link = Some(hostile);
            let mail =
                PinMail { application: hostile, host: hostile, code: hostile, link, ..mail() };
            let html = mail.html();
            assert!(!html.contains(hostile), "{html}");
            assert!(!html.contains("<script"), "{html}");
        }
    }

    /// OTP-15
    #[test]
    fn debug_leaves_the_code_out() {
        assert!(!format!("{:?}", mail()).contains("048213"));
    }

    fn mail_lines() -> usize {
        mail().text().lines().count()
    }

    fn mail() -> PinMail<'static> {
        PinMail {
            application: "Wiki",
            host: "wiki.example.com",
            code: "048213",
            minutes: 10,
            is_shared: false,
            link: Some(LINK),
        }
    }

    const LINK: &str = "https://login.example.com/cdn-cgi/access/emailed-code?nonce=x-Y_z#048213";
}
