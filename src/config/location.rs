//! Where something stands in the file.

use std::fmt;

/// A line and a column, both counted from one; columns count characters.
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

/// A value with the place and the key it was read from.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) at: Location,
    /// The key path, such as `access.applications[0].domain`.
    pub(super) key: String,
}
