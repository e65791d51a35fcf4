//! Errors of a file, and notes about a valid one.

use std::borrow::Cow;
use std::fmt;

use super::levels::UNKNOWN_KEY;
use super::location::Location;

/// All errors of a configuration file, in the order of the file.
///
/// Displayed as one line for each error: `file:line:column: key: what is wrong; what to write
/// instead`.
///
/// ```
/// use tower_access::config::Config;
///
/// let errors = Config::parse("listen: 127.0.0.1:8080\nacces: {}\n", "access.yml").unwrap_err();
/// assert!(errors.to_string().contains("access.yml:2:1: acces: unknown key; did you mean `access`?"));
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct ConfigErrors {
    file: Box<str>,
    errors: Vec<Problem>,
}

impl ConfigErrors {
    pub(crate) fn new(file: &str, mut errors: Vec<Problem>) -> Self {
        errors.sort_by_key(|error| error.location);
        errors.dedup();
        let more = errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        if more > 0 {
            errors.push(Problem::new(None, "", format!("{more} more errors")));
        }
        Self { file: escape_controls(file).into(), errors }
    }

    pub(crate) fn for_file(file: &str, message: impl Into<String>) -> Self {
        Self::new(file, vec![Problem::new(None, "", message)])
    }

    /// Returns the name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the errors, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.errors.iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{error}", self.file)?;
        }
        Ok(())
    }
}

/// Prints them as displayed, beginning on a new line: `?` in `main` prints this.
impl fmt::Debug for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl std::error::Error for ConfigErrors {}

/// One error of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    location: Option<Location>,
    key: Box<str>,
    message: Box<str>,
    /// Whether the message contains nothing of the values of the file.
    has_fixed_message: bool,
}

impl Problem {
    pub(super) fn new(
        location: Option<Location>,
        key: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let (key, message) = (key.into(), message.into());
        Self {
            location,
            key: key.into(),
            message: escape_controls(&message).into(),
            has_fixed_message: false,
        }
    }

    /// Creates an error whose message contains nothing of the values of the file.
    pub(super) fn with_fixed_message(at: Location, key: &str, message: impl Into<String>) -> Self {
        Self { has_fixed_message: true, ..Self::new(Some(at), key, message) }
    }

    pub(super) fn has_fixed_message(&self) -> bool {
        self.has_fixed_message
    }

    pub(super) fn map_message(mut self, map: impl FnOnce(&str) -> Cow<'_, str>) -> Self {
        if let Cow::Owned(message) = map(&self.message) {
            self.message = message.into();
        }
        self
    }

    pub(super) fn is_unknown_key(&self, at: Location, key: &str) -> bool {
        self.location == Some(at) && *self.key == *key && self.message.starts_with(UNKNOWN_KEY)
    }

    /// Returns its position; `None` if it is about the whole file.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        self.location
    }

    /// Returns the key path, such as `access.applications[0].domain`; empty for the whole file.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns what is wrong, and what to write instead.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, self.location, &self.key, &self.message)
    }
}

/// A remark about a valid file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    kind: NoteKind,
    location: Location,
    key: Box<str>,
    message: Box<str>,
}

/// What a [`Note`] is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum NoteKind {
    /// A key that is known and has no effect.
    HasNoEffect,
    /// A setting that weakens a default.
    Weakens,
    /// A setting that may be a mistake.
    Surprises,
}

impl Note {
    pub(super) fn new(
        kind: NoteKind,
        location: Location,
        key: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let (key, message) = (key.into(), message.into());
        Self { kind, location, key: key.into(), message: escape_controls(&message).into() }
    }

    pub(super) fn map_message(mut self, map: impl FnOnce(&str) -> Cow<'_, str>) -> Self {
        if let Cow::Owned(message) = map(&self.message) {
            self.message = message.into();
        }
        self
    }

    /// Returns what the note is about.
    #[must_use]
    pub fn kind(&self) -> NoteKind {
        self.kind
    }

    /// Returns its position.
    #[must_use]
    pub fn location(&self) -> Location {
        self.location
    }

    /// Returns the key path.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, Some(self.location), &self.key, &self.message)
    }
}

fn write_line(
    f: &mut fmt::Formatter<'_>,
    location: Option<Location>,
    key: &str,
    message: &str,
) -> fmt::Result {
    if let Some(location) = location {
        write!(f, "{location}:")?;
    }
    if !key.is_empty() {
        write!(f, " {key}:")?;
    }
    write!(f, " {message}")
}

/// Returns a text as one line, with control characters escaped.
pub(super) fn escape_controls(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

const MAX_ERRORS: usize = 100;
