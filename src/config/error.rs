//! What is wrong with a file, and what is worth knowing about one that is right.

use std::borrow::Cow;
use std::fmt;

use super::location::Location;

/// Everything that is wrong with a configuration file, in the order of the file.
///
/// Displayed as one line for each error: `file:line:column: key: what is wrong; what would be
/// right`.
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
        let more = errors.len().saturating_sub(MOST_ERRORS);
        errors.truncate(MOST_ERRORS);
        if more > 0 {
            errors.push(Problem::new(None, "", format!("{more} more errors")));
        }
        Self { file: escape_controls(file).into(), errors }
    }

    pub(crate) fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self::new(file, vec![Problem::new(None, "", message)])
    }

    /// The file's name.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The errors, in the order of the file.
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

/// As they are displayed, from a line of their own on: `?` in `main` prints this.
impl fmt::Debug for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl std::error::Error for ConfigErrors {}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    location: Option<Location>,
    key: Box<str>,
    message: Box<str>,
    /// Whether the message is the same whatever the file holds.
    repeats_nothing: bool,
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
            repeats_nothing: false,
        }
    }

    /// With a message that holds nothing of the file.
    pub(super) fn saying(at: Location, key: &str, message: &'static str) -> Self {
        Self { repeats_nothing: true, ..Self::new(Some(at), key, message) }
    }

    pub(super) fn repeats_nothing(&self) -> bool {
        self.repeats_nothing
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

    /// Where it is; `None` when the whole file is meant.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        self.location
    }

    /// The key path, such as `access.applications[0].domain`; empty for the whole file.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is wrong, and what would be right.
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

/// Something worth knowing about a file that is right.
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
    /// A key that is understood and changes nothing.
    HasNoEffect,
    /// A setting that weakens a default.
    Weakens,
    /// Something that may not be meant.
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

    /// What the note is about.
    #[must_use]
    pub fn kind(&self) -> NoteKind {
        self.kind
    }

    /// Where it is.
    #[must_use]
    pub fn location(&self) -> Location {
        self.location
    }

    /// The key path.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is worth knowing.
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

/// Returns one line in which control characters are escaped, so that all of them can be seen.
pub(super) fn escape_controls(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// How messages about unknown keys begin.
pub(super) const UNKNOWN_KEY: &str = "unknown key";
const MOST_ERRORS: usize = 100;
