//! Notes about what could not be converted.

use std::fmt;

/// Something that an import could not convert, or that has to be added by hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImportNote {
    kind: ImportNoteKind,
    file: Box<str>,
    object: Box<str>,
    key: Box<str>,
    message: Box<str>,
}

/// The kind of an [`ImportNote`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ImportNoteKind {
    /// Exports do not contain it: it has to be written by hand. Nothing was lost.
    ToBeAdded,
    /// Left out, or interpreted differently. Nobody is admitted who was not admitted before.
    NotCarriedOver,
    /// Closed, because leaving something out would have admitted users.
    Closed,
}

impl ImportNote {
    pub(super) fn new(
        kind: ImportNoteKind,
        place: (&str, &str),
        key: &str,
        message: impl fmt::Display,
    ) -> Self {
        let (file, object) = place;
        Self {
            kind,
            file: one_line(file),
            object: one_line(object),
            key: one_line(key),
            message: one_line(&message.to_string()),
        }
    }

    /// Returns the kind of the note.
    #[must_use]
    pub fn kind(&self) -> ImportNoteKind {
        self.kind
    }

    /// Returns the file that contains the object; empty if the note is about all files.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the object's kind, and its name or id; empty if the note is about a whole file.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// Returns the key in the object; empty if the note is about the whole object.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns what happened, and what to do.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ImportNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.file, &self.object, &self.key] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        f.write_str(&self.message)
    }
}

/// Returns one line in which control characters, and marks that turn the direction of writing, are
/// blanks.
pub(super) fn one_line(text: &str) -> Box<str> {
    let is_plain = |c: &char| {
        !c.is_control()
            && !matches!(*c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if is_plain(&c) { c } else { ' ' }).collect()
}
