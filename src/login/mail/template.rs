//! Subject, text and HTML of the mail with a code, in the operator's words.
//!
//! A template is text with placeholders, `{{code}}`. Everything about them is checked when it is read,
//! so that no mail is ever sent with a misspelt one, or without the code.

use super::message::single_line;
use super::{MailParts, PinMail};
use crate::util::suggest::closest;

/// The words of the mail with a one-time PIN.
///
/// | placeholder | |
/// | --- | --- |
/// | `{{code}}` | the code. Required in the text and in the HTML, not allowed in the subject, which a locked screen shows |
/// | `{{application}}` | the name of the application |
/// | `{{host}}` | the requested host |
/// | `{{minutes}}` | how long the code is valid |
/// | `{{digits}}` | how many digits it has |
/// | `{{link}}` | the URL that fills in the code in the browser that asked for it. A line with it is left out if there is none |
/// | `{{note}}` | an explanation, if one code is shared by all logins of an address because too many were requested. A line with it is left out otherwise. If there is no such line, the explanation comes last |
///
/// A shared code belongs to no application: then `{{application}}` and `{{host}}` are neutral words.
///
/// Values are escaped in the HTML; put them into the text or into quoted attributes. In the subject and the
/// text, they are one line each. Long lines of the text are wrapped.
///
/// A part that is not set has the built-in words; only the HTML follows the text if that is set.
///
/// ```
/// use tower_access::login::mail::MailTemplate;
///
/// let template = MailTemplate::new()
///     .subject("ACME: log in to {{application}}")?
///     .text("Your code for {{host}}:\n\n{{code}}\n\nIt is valid for {{minutes}} minutes.\n")?;
///
/// let error = MailTemplate::new().text("Your code:\n{{cod}}\n").unwrap_err();
/// assert_eq!(error.to_string(), "line 2: unknown placeholder `{{cod}}`; did you mean `{{code}}`?");
/// # Ok::<(), tower_access::login::mail::TemplateError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MailTemplate {
    sender_name: Option<Template>,
    subject: Option<Template>,
    text: Option<Template>,
    html: Option<Template>,
}

/// The error of a template that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TemplateError {
    line: usize,
    problem: String,
}

impl TemplateError {
    /// Returns the number of the line; the first is 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns what is wrong, without the line.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl MailTemplate {
    /// Creates the built-in template.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the subject: one line of at most 200 characters.
    ///
    /// # Errors
    ///
    /// If it is longer, if a placeholder is unknown, or if it has the code or the link.
    pub fn subject(mut self, template: &str) -> Result<Self, TemplateError> {
        self.subject = Some(Template::parse_head("subject", template)?);
        Ok(self)
    }

    /// Sets the name of the sender, beside the mailer's own address: one line of at most 200 characters.
    /// Default: the mailer's own name.
    ///
    /// # Errors
    ///
    /// As [`subject`](Self::subject).
    pub fn sender_name(mut self, template: &str) -> Result<Self, TemplateError> {
        self.sender_name = Some(Template::parse_head("name of the sender", template)?);
        Ok(self)
    }

    /// Sets the plain text part, at most 64 KiB.
    ///
    /// # Errors
    ///
    /// If it is longer, if a placeholder is unknown, or if it does not have the code.
    pub fn text(mut self, template: &str) -> Result<Self, TemplateError> {
        self.text = Some(Template::parse_body(template)?);
        Ok(self)
    }

    /// Sets the HTML part, at most 64 KiB: a whole document.
    ///
    /// # Errors
    ///
    /// As [`text`](Self::text).
    pub fn html(mut self, template: &str) -> Result<Self, TemplateError> {
        self.html = Some(Template::parse_body(template)?);
        Ok(self)
    }

    /// Writes what does not depend on the recipient.
    pub(crate) fn parts(&self, pin: &PinMail<'_>) -> MailParts {
        let values = Values::of(pin);
        let plain = |value: &str| value.to_owned();
        let head = |template: &Template| single_line(&template.fill(&values, plain));
        let sender_name = self.sender_name.as_ref().map(head);
        let subject = self.subject.as_ref().map_or_else(|| pin.subject(), head);
        let text = match &self.text {
            Some(template) => wrapped(&noted(template, &values, plain)),
            None => pin.text(),
        };
        let html = match (&self.html, &self.text) {
            (Some(template), _) => noted(template, &values, escaped),
            (None, Some(_)) => document(&subject, &text, pin.link),
            (None, None) => pin.html(),
        };
        MailParts { sender_name, subject, text, html }
    }
}

/// A parsed template: its lines.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Template(Vec<Vec<Part>>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(Box<str>),
    Value(Name),
}

/// A placeholder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Name {
    Code,
    Application,
    Host,
    Minutes,
    Digits,
    Link,
    Note,
}

impl Name {
    const ALL: [Self; 7] = [
        Self::Code,
        Self::Application,
        Self::Host,
        Self::Minutes,
        Self::Digits,
        Self::Link,
        Self::Note,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Application => "application",
            Self::Host => "host",
            Self::Minutes => "minutes",
            Self::Digits => "digits",
            Self::Link => "link",
            Self::Note => "note",
        }
    }
}

impl Template {
    /// Parses a line of the mail's head.
    fn parse_head(what: &str, template: &str) -> Result<Self, TemplateError> {
        let error = |problem: String| Err(TemplateError { line: 1, problem });
        let template = template.trim();
        if template.is_empty() || template.lines().count() > 1 {
            return error(format!("the {what} is not one line"));
        }
        if template.chars().count() > MAX_HEAD_CHARS {
            return error(format!("the {what} is longer than 200 characters"));
        }
        let parsed = Self::parse(template)?;
        for name in [Name::Code, Name::Link, Name::Note] {
            if parsed.has(name) {
                let name = name.as_str();
                return error(format!(
                    "`{{{{{name}}}}}` in the {what}, which a locked screen shows"
                ));
            }
        }
        Ok(parsed)
    }

    fn parse_body(template: &str) -> Result<Self, TemplateError> {
        if template.len() > MAX_BODY_BYTES {
            let problem = "longer than 64 KiB; many mail programs cut such mail off".to_owned();
            return Err(TemplateError { line: 1, problem });
        }
        let parsed = Self::parse(template)?;
        if !parsed.has(Name::Code) {
            let problem = "there is no `{{code}}`: nobody could log in".to_owned();
            return Err(TemplateError { line: 1, problem });
        }
        Ok(parsed)
    }

    fn parse(template: &str) -> Result<Self, TemplateError> {
        let lines = template.lines().enumerate();
        let parse = |(index, line): (usize, &str)| {
            parse_line(line).map_err(|problem| TemplateError { line: index + 1, problem })
        };
        lines.map(parse).collect::<Result<_, _>>().map(Self)
    }

    fn has(&self, name: Name) -> bool {
        self.0.iter().flatten().any(|part| *part == Part::Value(name))
    }

    /// Replaces the placeholders. A line with a value that there is not is left out.
    fn fill(&self, values: &Values<'_>, write: impl Fn(&str) -> String) -> String {
        let mut filled = String::new();
        'lines: for line in &self.0 {
            let begin = filled.len();
            for part in line {
                match part {
                    Part::Text(text) => filled.push_str(text),
                    Part::Value(name) => match values.get(*name) {
                        Some(value) => filled.push_str(&write(value)),
                        None => {
                            filled.truncate(begin);
                            continue 'lines;
                        }
                    },
                }
            }
            filled.push('\n');
        }
        filled
    }
}

fn parse_line(line: &str) -> Result<Vec<Part>, String> {
    if let Some(control) = line.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(format!("the control character {control:?}"));
    }
    let mut parts = Vec::new();
    let mut rest = line;
    while let Some((text, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or("`{{` without `}}`")?;
        let name = name.trim();
        let known = Name::ALL.into_iter().find(|known| known.as_str() == name);
        let known = known.ok_or_else(|| unknown(name))?;
        if !text.is_empty() {
            parts.push(Part::Text(text.into()));
        }
        parts.push(Part::Value(known));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    Ok(parts)
}

fn unknown(name: &str) -> String {
    let shown: String = name.chars().take(40).collect();
    match closest(name, Name::ALL.map(Name::as_str)) {
        Some(known) => {
            format!("unknown placeholder `{{{{{shown}}}}}`; did you mean `{{{{{known}}}}}`?")
        }
        None => {
            let known = Name::ALL.map(|name| format!("`{{{{{}}}}}`", name.as_str())).join(", ");
            format!("unknown placeholder `{{{{{shown}}}}}`; there are {known}")
        }
    }
}

/// The values of one mail.
struct Values<'a> {
    code: &'a str,
    application: String,
    host: String,
    minutes: String,
    digits: String,
    link: Option<&'a str>,
    note: Option<String>,
}

impl<'a> Values<'a> {
    fn of(pin: &PinMail<'a>) -> Self {
        let (application, host) = if pin.is_shared {
            ("the application that you opened".to_owned(), "the page that you opened".to_owned())
        } else {
            (single_line(pin.application), single_line(pin.host))
        };
        Self {
            code: pin.code,
            application,
            host,
            minutes: pin.minutes.to_string(),
            digits: pin.code.len().to_string(),
            link: pin.link,
            note: pin.is_shared.then(PinMail::shared_note),
        }
    }

    fn get(&self, name: Name) -> Option<&str> {
        match name {
            Name::Code => Some(self.code),
            Name::Application => Some(&self.application),
            Name::Host => Some(&self.host),
            Name::Minutes => Some(&self.minutes),
            Name::Digits => Some(&self.digits),
            Name::Link => self.link,
            Name::Note => self.note.as_deref(),
        }
    }
}

/// Fills a body, with the note in any case: a user has to know that others may have caused the mail.
fn noted(template: &Template, values: &Values<'_>, write: fn(&str) -> String) -> String {
    let mut body = template.fill(values, write);
    if let Some(note) = values.note.as_deref().filter(|_| !template.has(Name::Note)) {
        let note = write(note);
        match body.rfind("</body>") {
            Some(end) => body.insert_str(end, &format!("<p>{note}</p>\n")),
            None => body.push_str(&format!("\n{note}\n")),
        }
    }
    body
}

/// The HTML of a mail that has only a text.
fn document(subject: &str, text: &str, link: Option<&str>) -> String {
    let (subject, mut text) = (escaped(subject), escaped(text));
    if let Some(link) = link.map(escaped) {
        text = text.replace(&link, &format!("<a href=\"{link}\">{link}</a>"));
    }
    format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>{subject}</title></head>\n\
         <body><div style=\"white-space:pre-wrap;font-family:sans-serif;font-size:16px;\">{text}</div>\
         </body></html>\n"
    )
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            c => text.push(c),
        }
    }
    text
}

/// Breaks long lines between words. A word that is too long, such as a link, stays whole.
fn wrapped(text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + 16);
    for line in text.lines() {
        if line.chars().count() <= MAX_LINE_CHARS {
            lines.push_str(line.trim_end());
        } else {
            let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
            let mut width = 0;
            for word in line.split_whitespace() {
                let length = word.chars().count();
                if width > 0 && width + 1 + length > MAX_LINE_CHARS {
                    lines.push('\n');
                    width = 0;
                }
                let space = if width == 0 { indent.as_str() } else { " " };
                lines.push_str(space);
                lines.push_str(word);
                width += space.chars().count() + length;
            }
        }
        lines.push('\n');
    }
    lines
}

const MAX_HEAD_CHARS: usize = 200;
const MAX_BODY_BYTES: usize = 64 << 10;
const MAX_LINE_CHARS: usize = 76;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::mail::Mail;

    fn pin() -> PinMail<'static> {
        PinMail {
            application: "Wiki",
            host: "wiki.example.com",
            code: "048213",
            minutes: 5,
            is_shared: false,
            link: None,
        }
    }

    fn write(template: &MailTemplate, pin: &PinMail<'_>) -> Mail {
        Mail::from_parts("ada@example.com".parse().unwrap(), template.parts(pin))
    }

    /// OTP-14
    #[test]
    fn the_name_of_the_sender_has_the_rules_of_the_subject() {
        let template = MailTemplate::new().sender_name("ACME {{application}}").unwrap();
        let hostile = PinMail { application: "Wiki\r\nBcc: eve@evil.example", ..pin() };
        let mail = write(&template, &hostile);
        assert_eq!(mail.sender_name.as_deref(), Some("ACME Wiki Bcc: eve@evil.example"));
        assert_eq!(write(&MailTemplate::new(), &pin()).sender_name, None);
        for wrong in ["", "a\nb", "{{code}}", "{{link}}", "{{nmae}}"] {
            assert!(MailTemplate::new().sender_name(wrong).is_err(), "{wrong:?}");
        }
    }

    fn text(template: &str) -> MailTemplate {
        MailTemplate::new().text(template).unwrap()
    }

    #[test]
    fn without_templates_the_mail_is_the_built_in_one() {
        let mail = write(&MailTemplate::new(), &pin());
        assert_eq!(mail.subject, pin().subject());
        assert_eq!((mail.text, mail.html), (pin().text(), pin().html()));
    }

    #[test]
    fn each_placeholder_has_its_value() {
        let template = "{{code}} {{ application }} {{host}} {{minutes}} {{digits}} {{link}}";
        let pin = PinMail { link: Some("https://a.example/?b#c"), ..pin() };
        let mail = write(&text(template).subject("{{host}}: {{minutes}}").unwrap(), &pin);
        let values = "048213 Wiki wiki.example.com 5 6 https://a.example/?b#c\n";
        assert_eq!((&*mail.subject, &*mail.text), ("wiki.example.com: 5", values));
        assert!(mail.html.contains(
            "048213 Wiki wiki.example.com 5 6 <a href=\"https://a.example/?b#c\">https://a.example/?b#c</a>\n"
        ));
    }

    #[test]
    fn a_line_about_a_link_or_a_note_that_there_is_not_is_left_out() {
        let template = text("{{code}}\n\nOr open {{link}}\n{{note}}\nBye\n");
        assert_eq!(write(&template, &pin()).text, "048213\n\nBye\n");
        let linked = PinMail { link: Some("https://a.example/"), ..pin() };
        let expected = "048213\n\nOr open https://a.example/\nBye\n";
        assert_eq!(write(&template, &linked).text, expected);
    }

    #[test]
    fn otp_22_a_shared_code_names_no_application_and_is_explained() {
        let shared = PinMail { is_shared: true, ..pin() };
        let body = "<body>{{application}}, {{host}}: {{code}}</body>";
        for template in [
            text("{{application}}, {{host}}: {{code}}"),
            text("{{application}}, {{host}}: {{code}}\n{{note}}"),
            text("{{code}}").html(body).unwrap().subject("{{application}}, {{host}}").unwrap(),
        ] {
            let mail = write(&template, &shared);
            for part in [&mail.subject, &mail.text, &mail.html] {
                assert!(!part.contains("Wiki") && !part.contains("wiki.example.com"), "{part}");
            }
            for part in [&mail.text, &mail.html] {
                assert_eq!(part.matches("Many codes have been requested").count(), 1, "{part}");
            }
            assert!(mail.text.lines().all(|line| line.len() <= MAX_LINE_CHARS), "{}", mail.text);
            assert!(
                mail.html.trim_end().ends_with("</html>") || mail.html.contains("</p>\n</body>")
            );
        }
    }

    /// OTP-14
    #[test]
    fn values_are_escaped_in_html_and_lines_nowhere_else() {
        for hostile in [r#""><script>"#, "'-alert(1)-'", "a\r\nBcc: eve@evil.example", "{{code}}"] {
            let pin = PinMail { application: hostile, host: hostile, ..pin() };
            let template = text("{{application}} {{host}} {{code}}")
                .html("<p title=\"{{host}}\">{{application}} {{code}}</p>")
                .unwrap()
                .subject("{{application}} {{host}}")
                .unwrap();
            for template in [template.clone(), MailTemplate { html: None, ..template }] {
                let mail = write(&template, &pin);
                assert_eq!(mail.text.lines().count(), 1, "{mail:?}");
                assert!(!mail.subject.chars().any(char::is_control), "{mail:?}");
                assert!(!mail.subject.contains("048213"), "{mail:?}");
                for part in ["<script", "\"><s", "'-"] {
                    assert!(!mail.html.contains(part), "{}", mail.html);
                }
            }
        }
    }

    #[test]
    fn long_lines_are_wrapped_and_links_stay_whole() {
        let link = format!("https://login.example.com/{}", "x".repeat(300));
        let words = "  many words ".repeat(40);
        let template = text(&format!("{words}\n{{{{code}}}}\n{{{{link}}}}\n"));
        let mail = write(&template, &PinMail { link: Some(&link), ..pin() });
        assert!(mail.text.lines().any(|line| line == link));
        assert!(mail.text.lines().all(|line| line.len() <= MAX_LINE_CHARS || line == link));
        assert_eq!(mail.text.matches("many").count(), 40);
        assert!(mail.html.contains(&format!("<a href=\"{link}\">")), "{}", mail.html);
    }

    #[test]
    fn bad_templates_are_refused_with_the_line() {
        for (template, line, words) in [
            ("Hello", 1, "there is no `{{code}}`"),
            ("", 1, "there is no `{{code}}`"),
            ("{{code}}\n\n{{aplication}}", 3, "did you mean `{{application}}`?"),
            ("{{code}} {{x}}", 1, "there are `{{code}}`, `{{application}}`"),
            ("{{code}}\r\n{{host", 2, "`{{` without `}}`"),
            ("{{code}}\n\u{7}", 2, "control character"),
            ("{{}} {{code}}", 1, "unknown placeholder"),
        ] {
            for error in [
                MailTemplate::new().text(template).unwrap_err(),
                MailTemplate::new().html(template).unwrap_err(),
            ] {
                assert_eq!(error.line(), line, "{template:?}: {error}");
                assert!(error.problem().contains(words), "{template:?}: {error}");
            }
        }
        let long = format!("{{{{code}}}}{}", "x".repeat(MAX_BODY_BYTES));
        assert!(MailTemplate::new().text(&long).is_err());
    }

    #[test]
    fn bad_subjects_are_refused() {
        let long = "x".repeat(201);
        for subject in ["", " ", "a\nb", "{{code}}", "{{link}}", "{{note}}", "{{x}}", "\0", &long] {
            assert!(MailTemplate::new().subject(subject).is_err(), "{subject:?}");
        }
        let fine = "ä".repeat(200);
        MailTemplate::new().subject(&fine).unwrap();
    }
}
