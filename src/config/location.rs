//! Positions in the file.

use std::fmt;

/// A position in the file: line and column, counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Location {
    /// The line.
    pub line: u64,
    /// The column in that line.
    pub column: u64,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value with its position and its key.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) at: Location,
    /// The key path, such as `access.applications[0].domain`.
    pub(super) key: String,
}

/// A position that errors and notes refer to.
pub(super) trait Position {
    fn at(&self) -> Location;
    fn path(&self) -> &str;
}

impl<T> Position for Located<T> {
    fn at(&self) -> Location {
        self.at
    }

    fn path(&self) -> &str {
        &self.key
    }
}
