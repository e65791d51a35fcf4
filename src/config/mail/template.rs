//! `mail.template`: the words of the mail with a code.

#[cfg(feature = "proxy")]
use std::path::Path;
use std::path::PathBuf;

use crate::config::file::read_text_file;
use crate::config::reader::{NodeRef, Reader};
use crate::config::schema::{Field, FilePath, Read, Shape, document};
use crate::engine::ConfigError;
use crate::login::mail::{MailTemplate, TemplateError};

/// The words of the mail with a code: what is not set is built in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct MailTemplateConfig {
    /// `sender_name`.
    pub sender_name: Option<String>,
    /// `subject`.
    pub subject: Option<String>,
    /// `text` or `text_file`.
    pub text: Option<TemplateSource>,
    /// `html` or `html_file`.
    pub html: Option<TemplateSource>,
}

/// Where the words of a part are.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TemplateSource {
    /// In the configuration.
    Text(String),
    /// In a file, which is read when the engine is built.
    File(PathBuf),
}

document! {
    /// The words of the mail with a code, with placeholders: `{{code}}`, `{{application}}`, `{{host}}`,
    /// `{{minutes}}`, `{{digits}}`, `{{link}}`, `{{note}}`.
    pub(in crate::config) struct Template in "access.mail.template" {
        /// The name of the sender, beside the address of `from`.
        "sender_name" sender_name: SubjectText {
            default: "that of `from`", example: "'ACME {{application}}'",
        }
        /// The subject, without the code.
        "subject" subject: SubjectText {
            default: "the built-in one", example: "'ACME: log in to {{application}}'",
        }
        /// The plain text. It has to have `{{code}}`.
        "text" text: BodyText { default: "the built-in one", example: "'Your code: {{code}}'", }
        /// A file with the plain text. Read when the program starts.
        "text_file" text_file: FilePath {
            default: "the built-in one", example: "/etc/access/mail.txt",
        }
        /// The HTML, a whole document. It has to have `{{code}}`.
        "html" html: BodyText {
            default: "the built-in one, or the text", example: "'<p>Your code: {{code}}</p>'",
        }
        /// A file with the HTML. Read when the program starts.
        "html_file" html_file: FilePath {
            default: "the built-in one, or the text", example: "/etc/access/mail.html",
        }
    }
}

impl Template {
    /// Builds the settings.
    pub(super) fn build(self, reader: &mut Reader) -> MailTemplateConfig {
        for (name, part, file) in
            [("text", &self.text, &self.text_file), ("html", &self.html, &self.html_file)]
        {
            if let Some(file) = file.written().filter(|_| part.is_written()) {
                reader.error(
                    file,
                    format_args!("`{name}` and `{name}_file` exclude each other; leave one out"),
                );
            }
        }
        MailTemplateConfig {
            sender_name: self.sender_name.value(),
            subject: self.subject.value(),
            text: source(self.text, self.text_file),
            html: source(self.html, self.html_file),
        }
    }
}

fn source(text: Field<String>, file: Field<PathBuf>) -> Option<TemplateSource> {
    text.value().map(TemplateSource::Text).or_else(|| file.value().map(TemplateSource::File))
}

impl MailTemplateConfig {
    /// Reads the files, and builds the template.
    pub(in crate::config) fn build(&self) -> Result<MailTemplate, ConfigError> {
        let mut template = MailTemplate::new();
        if let Some(name) = &self.sender_name {
            template = template.sender_name(name).map_err(|error| of_key("sender_name", &error))?;
        }
        if let Some(subject) = &self.subject {
            template = template.subject(subject).map_err(|error| of_key("subject", &error))?;
        }
        if let Some(text) = &self.text {
            template = text.apply("text", template, MailTemplate::text)?;
        }
        if let Some(html) = &self.html {
            template = html.apply("html", template, MailTemplate::html)?;
        }
        Ok(template)
    }

    /// Returns the files that it names.
    #[cfg(feature = "proxy")]
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.text, &self.html].into_iter().filter_map(|source| match source {
            Some(TemplateSource::File(path)) => Some(path.as_path()),
            _ => None,
        })
    }
}

impl TemplateSource {
    fn apply(
        &self,
        key: &str,
        template: MailTemplate,
        set: fn(MailTemplate, &str) -> Result<MailTemplate, TemplateError>,
    ) -> Result<MailTemplate, ConfigError> {
        match self {
            Self::Text(text) => set(template, text).map_err(|error| of_key(key, &error)),
            Self::File(path) => {
                let named = |line: &str, problem: &dyn std::fmt::Display| {
                    ConfigError::new(format!(
                        "access.mail.template.{key}_file: {}{line}: {problem}",
                        path.display()
                    ))
                };
                let text =
                    read_text_file(path, MAX_FILE_BYTES).map_err(|error| named("", &error))?;
                set(template, &text)
                    .map_err(|error| named(&format!(":{}", error.line()), &error.problem()))
            }
        }
    }
}

fn of_key(key: &str, error: &TemplateError) -> ConfigError {
    ConfigError::new(format!("access.mail.template.{key}: {error}"))
}

/// The words of a subject.
#[derive(Debug)]
pub(in crate::config) struct SubjectText;

/// The words of a part.
#[derive(Debug)]
pub(in crate::config) struct BodyText;

impl Read for SubjectText {
    type Output = String;

    fn shape() -> Shape {
        Shape::Text { form: "one line", pattern: Some(".") }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<String> {
        read(reader, place, |text| MailTemplate::new().subject(text))
    }
}

impl Read for BodyText {
    type Output = String;

    fn shape() -> Shape {
        Shape::Text { form: "text with `{{code}}`", pattern: Some(r"\{\{ *code *\}\}") }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<String> {
        read(reader, place, |text| MailTemplate::new().text(text))
    }
}

/// Reads words, and reports an error with the line in them.
fn read(
    reader: &mut Reader,
    place: &NodeRef<'_>,
    parse: impl FnOnce(&str) -> Result<MailTemplate, TemplateError>,
) -> Option<String> {
    let text: String = reader.read(place, &[])?;
    match parse(&text) {
        Ok(_) => Some(text),
        Err(error) if text.trim_end().contains('\n') => {
            reader.error(place, format_args!("{error}"));
            None
        }
        Err(error) => {
            reader.error(place, error.problem());
            None
        }
    }
}

/// A longer file is an error.
const MAX_FILE_BYTES: usize = 64 << 10;
