//! The path of a destination: a plain path and what is below it, or one with wildcards.

use std::str::FromStr;

use percent_encoding::{CONTROLS, utf8_percent_encode};

use super::destination_error::DestinationError;
use super::fold::fold;
use super::path::CanonicalPath;

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct PathPattern {
    /// In canonical form, without the slash at the end; empty for every path.
    text: Box<str>,
    /// The literal pieces between the `*`s; none of a path without wildcard.
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

    /// A `*` stands for any characters, slashes included. Behind a last literal piece the path may
    /// go on below, as behind a plain one.
    fn matches_pieces(&self, path: &str) -> Option<bool> {
        let (first, rest) = self.pieces.split_first()?;
        let (last, middle) = rest.split_last()?;
        if !path.starts_with(&**first) {
            return Some(false);
        }
        let mut at = first.len();
        // Leftmost matches leave the most for what follows.
        for piece in middle {
            at = find(path, at, piece)? + piece.len();
        }
        if last.is_empty() {
            return Some(true);
        }
        // The last piece ends the path, or a segment with more below it.
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

    /// The pattern for folded paths.
    pub(super) fn folded(&self) -> Self {
        let text = fold(&self.text);
        Self::of_text(text.strip_suffix('/').unwrap_or(&text))
    }

    fn of_text(text: &str) -> Self {
        let pieces = if text.contains('*') {
            text.split('*').map(Into::into).collect()
        } else {
            Box::default()
        };
        Self { text: text.into(), pieces }
    }

    /// Whether it matches some path that begins with this one, which ends in a slash; without
    /// regard to the case of letters. A wildcard takes in whatever is left of the path.
    pub(super) fn reaches_below(&self, path: &str) -> bool {
        let begins_with = |text: &str, start: &str| {
            text.as_bytes()
                .get(..start.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(start.as_bytes()))
        };
        let start = self.start();
        begins_with(start, path) || !self.is_plain() && begins_with(path, start)
    }

    /// The same for a server that takes several spellings for one; of a folded path.
    pub(super) fn reaches_below_when_folded(&self, path: &str) -> bool {
        let start = fold(self.start());
        start.starts_with(path) || !self.is_plain() && path.starts_with(&*start)
    }

    /// Whether there is no wildcard in it.
    pub(crate) fn is_plain(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The literal pieces between the `*`s of a path with wildcards.
    #[cfg(feature = "config")]
    pub(crate) fn pieces(&self) -> &[Box<str>] {
        &self.pieces
    }

    /// What stands before the first `*`.
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
        Ok(Self::of_text(canonical.as_str()))
    }
}

/// Where a piece begins, from a position on.
fn find(path: &str, mut from: usize, piece: &str) -> Option<usize> {
    loop {
        let at = from + path.get(from..)?.find(piece)?;
        if is_between_characters(path, at) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Whether a position is not inside an escape: `%C3%A4` is no place for a piece that begins with
/// `A4`.
fn is_between_characters(path: &str, at: usize) -> bool {
    let is_percent =
        |back| at.checked_sub(back).and_then(|at| path.as_bytes().get(at)) == Some(&b'%');
    !is_percent(1) && !is_percent(2)
}
