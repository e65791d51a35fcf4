//! The value of a key, with its position.

use crate::config::location::{Located, Location, Position};

/// The value of a key; empty if the key is omitted or null.
#[derive(Clone, Debug)]
pub(in crate::config) struct Field<T>(Option<Written<T>>);

/// A key that the file contains.
#[derive(Clone, Debug)]
pub(in crate::config) struct Written<T> {
    /// The position of the value.
    pub(in crate::config) at: Location,
    /// The position of the key.
    pub(in crate::config) key_at: Location,
    /// The key path, such as `access.mail.smtp`.
    pub(in crate::config) path: String,
    /// `None` if the value is invalid, which was reported.
    pub(in crate::config) value: Option<T>,
}

impl<T> Written<T> {
    /// Returns the position of the key instead of that of the value.
    pub(in crate::config) fn key_position(&self) -> Located<()> {
        Located { value: (), at: self.key_at, key: self.path.clone() }
    }
}

impl<T> Field<T> {
    pub(in crate::config) fn new(written: Written<T>) -> Self {
        Self(Some(written))
    }

    /// Returns the key with its position; `None` if it is omitted.
    pub(in crate::config) fn written(&self) -> Option<&Written<T>> {
        self.0.as_ref()
    }

    pub(in crate::config) fn is_written(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the value; `None` if it is omitted or invalid.
    pub(in crate::config) fn get(&self) -> Option<&T> {
        self.0.as_ref()?.value.as_ref()
    }

    /// As [`get`](Self::get), by value.
    pub(in crate::config) fn value(self) -> Option<T> {
        self.0?.value
    }

    /// Passes the value, if there is one, to a setter of a builder.
    pub(in crate::config) fn apply<B>(self, builder: B, set: impl FnOnce(B, T) -> B) -> B {
        match self.value() {
            Some(value) => set(builder, value),
            None => builder,
        }
    }

    /// Returns the value with its position.
    pub(in crate::config) fn located(self) -> Option<Located<T>> {
        let Written { at, path, value, .. } = self.0?;
        Some(Located { value: value?, at, key: path })
    }
}

impl Field<bool> {
    /// Whether the key is `true`; `false` is the default.
    pub(in crate::config) fn is_on(&self) -> bool {
        self.get() == Some(&true)
    }
}

impl<T> Default for Field<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Position for Written<T> {
    fn at(&self) -> Location {
        self.at
    }

    fn path(&self) -> &str {
        &self.path
    }
}
