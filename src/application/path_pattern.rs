//! The path of a destination: a plain path and everything below it, or one with wildcards.

use std::str::FromStr;

use percent_encoding::{CONTROLS, utf8_percent_encode};

use super::destination_error::DestinationError;
use super::fold::fold;
use super::path::CanonicalPath;

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct PathPattern {
    /// In canonical form, without trailing slash; empty for every path.
    text: Box<str>,
    /// The literal pieces between the `*`s; empty for a path without wildcard.
    pieces: Box<[Box<str>]>,
}

impl PathPattern {
    pub(crate) fn matches(&self, path: &str) -> bool {
        if self.is_plain() {
            return path
                .strip_prefix(&*self.text)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        }
        self.matches_pieces(path).unwrap_or(false)
    }

    /// Matches the pieces. A `*` stands for any characters, including slashes. After a last literal piece
    /// the path may continue below, as for a plain path.
    fn matches_pieces(&self, path: &str) -> Option<bool> {
        let (first, rest) = self.pieces.split_first()?;
        let (last, middle) = rest.split_last()?;
        if !path.starts_with(&**first) {
            return Some(false);
        }
        let mut at = first.len();
        // Leftmost matches leave the most text for the following pieces.
        for piece in middle {
            at = find(path, at, piece)? + piece.len();
        }
        if last.is_empty() {
            return Some(true);
        }
        // The last piece must end the path or a segment.
        let left = path.get(at..)?;
        let mut ends = left.match_indices('/').map(|(slash, _)| at + slash).chain([path.len()]);
        Some(ends.any(|end| {
            end.checked_sub(last.len()).is_some_and(|start| {
                start >= at
                    && path.get(start..end) == Some(&**last)
                    && is_between_characters(path, start)
            })
        }))
    }

    /// Returns the pattern for folded paths.
    pub(super) fn folded(&self) -> Self {
        let text = fold(&self.text);
        Self::from_text(text.strip_suffix('/').unwrap_or(&text))
    }

    fn from_text(text: &str) -> Self {
        let pieces = if text.contains('*') {
            text.split('*').map(Into::into).collect()
        } else {
            Box::default()
        };
        Self { text: text.into(), pieces }
    }

    /// Returns whether it matches any path that starts with this one, which ends in a slash; ignores letter
    /// case.
    pub(super) fn reaches_below(&self, path: &str) -> bool {
        let begins_with = |text: &str, start: &str| {
            text.as_bytes()
                .get(..start.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(start.as_bytes()))
        };
        let start = self.start();
        begins_with(start, path) || !self.is_plain() && begins_with(path, start)
    }

    /// As [`reaches_below`](Self::reaches_below), for a folded path.
    pub(super) fn reaches_below_when_folded(&self, path: &str) -> bool {
        let start = fold(self.start());
        start.starts_with(path) || !self.is_plain() && path.starts_with(&*start)
    }

    /// Returns whether it has no wildcard.
    pub(crate) fn is_plain(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the literal pieces between the `*`s of a path with wildcards.
    #[cfg(feature = "config")]
    pub(crate) fn pieces(&self) -> &[Box<str>] {
        &self.pieces
    }

    /// Returns the text before the first `*`.
    pub(super) fn start(&self) -> &str {
        self.pieces.first().unwrap_or(&self.text)
    }
}

impl FromStr for PathPattern {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        if text.split('/').any(|segment| segment.matches('*').count() > 1) {
            return Err(DestinationError::Path);
        }
        // An escaped asterisk would be read as a wildcard.
        if text.to_ascii_uppercase().contains("%2A") {
            return Err(DestinationError::Path);
        }
        let text = text.strip_suffix('/').unwrap_or(text);
        if matches!(text, "" | "/*") {
            return Ok(Self { text: Box::default(), pieces: Box::default() });
        }
        if text.ends_with('/') {
            return Err(DestinationError::Path);
        }
        let escaped = utf8_percent_encode(text, CONTROLS).to_string();
        let canonical = CanonicalPath::parse(&escaped).map_err(|_| DestinationError::Path)?;
        Ok(Self::from_text(canonical.as_str()))
    }
}

/// Finds a piece, starting at a position.
fn find(path: &str, mut from: usize, piece: &str) -> Option<usize> {
    loop {
        let at = from + path.get(from..)?.find(piece)?;
        if is_between_characters(path, at) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Returns whether a position is not inside an escape: a piece that starts with `A4` does not match inside
/// `%C3%A4`.
fn is_between_characters(path: &str, at: usize) -> bool {
    let is_percent =
        |back| at.checked_sub(back).and_then(|at| path.as_bytes().get(at)) == Some(&b'%');
    !is_percent(1) && !is_percent(2)
}
