//! What could not be carried over, and what to do.

use std::fmt;

/// Something an import could not carry over, or that has to be added by hand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImportNote {
    kind: ImportNoteKind,
    file: Box<str>,
    object: Box<str>,
    key: Box<str>,
    message: Box<str>,
}

/// What an [`ImportNote`] is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ImportNoteKind {
    /// Exports cannot say it: it has to be written by hand. Nothing was lost.
    ToBeAdded,
    /// Left out, or read in another way. Nobody gets in who did not before.
    NotCarriedOver,
    /// Closed, because leaving something out would have let people in.
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

    /// What the note is about.
    #[must_use]
    pub fn kind(&self) -> ImportNoteKind {
        self.kind
    }

    /// The file the object stands in; empty when all files are meant.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The object: its kind, and its name or id; empty when a whole file is meant.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// The key in the object; empty when the whole object is meant.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What happened to it, and what to do.
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
