//! Values from the environment, which messages about a file do not repeat.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::error::{Note, Problem, escape_controls};
use super::location::Location;
use crate::secret::sha256;

/// Values from the environment, and their positions.
#[derive(Clone, Default)]
pub(crate) struct Redaction {
    /// The texts as they stand in the file, such as `${NAME}`.
    places: BTreeMap<Location, Box<str>>,
    /// Texts that could not be expanded; this was reported, and further errors about them are dropped.
    unread: BTreeSet<Location>,
    /// The hashes of the values of variables.
    variables: BTreeMap<Box<str>, [u8; 32]>,
    /// Values that are not repeated, in lower case, and what is printed instead.
    values: BTreeMap<Box<str>, Box<str>>,
}

impl Redaction {
    pub(super) fn add_place(&mut self, at: Location, written: &str, value: &str) {
        self.add_value(value, written);
        self.places.insert(at, written.into());
    }

    pub(super) fn add_unread(&mut self, at: Location) {
        self.unread.insert(at);
    }

    pub(super) fn add_variable(&mut self, name: &str, value: &str) {
        self.variables.insert(name.into(), sha256(value.as_bytes()));
        self.add_value(value, &format!("${{{name}}}"));
    }

    /// Returns a hash of all variables and their values.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut all = Vec::new();
        for (name, hash) in &self.variables {
            all.extend_from_slice(name.as_bytes());
            all.push(0);
            all.extend_from_slice(hash);
        }
        sha256(&all)
    }

    /// Adds a value in every spelling that messages use: as it is, and with control characters escaped.
    fn add_value(&mut self, value: &str, written: &str) {
        let trimmed = value.trim();
        for spelling in
            [trimmed, value, &escape_controls(trimmed), &trimmed.escape_debug().to_string()]
        {
            if !spelling.is_empty() {
                self.values
                    .entry(spelling.to_ascii_lowercase().into())
                    .or_insert_with(|| written.into());
            }
        }
    }

    /// Returns an error without values from the environment; `None` if it is dropped.
    pub(super) fn redact_problem(&self, problem: Problem) -> Option<Problem> {
        if problem.location().is_some_and(|at| self.unread.contains(&at)) {
            return None;
        }
        let Some(written) = problem.location().and_then(|at| self.places.get(&at)) else {
            return Some(problem.map_message(|message| self.redact(message)));
        };
        if problem.has_fixed_message() {
            return Some(problem);
        }
        Some(problem.map_message(|message| match message.strip_prefix("found a text, expected ") {
            Some(expected) => {
                let expected = expected.split(';').next().unwrap_or_default();
                Cow::Owned(format!(
                    "`{written}` is a text, expected {expected}; write values other than texts in the \
                     file itself"
                ))
            }
            // Messages about values repeat them, in spellings of their own.
            None => Cow::Owned(format!(
                "the value of `{written}` is invalid here; it is not printed, because it comes from the \
                 environment"
            )),
        }))
    }

    pub(super) fn redact_note(&self, note: Note) -> Note {
        note.map_message(|message| self.redact(message))
    }

    /// Returns a text without values from the environment. Short values are searched for as words.
    pub(crate) fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.values.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut values: Vec<_> =
            self.values.iter().map(|(value, written)| (&**value, &**written)).collect();
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        let lower = text.to_ascii_lowercase();
        let mut redacted = String::new();
        let mut from = 0;
        while let Some((at, value, written)) = first_of(&values, &lower, from) {
            redacted.push_str(text.get(from..at).unwrap_or_default());
            redacted.push_str(written);
            from = at + value.len();
        }
        if from == 0 && redacted.is_empty() {
            return Cow::Borrowed(text);
        }
        redacted.push_str(text.get(from..).unwrap_or_default());
        Cow::Owned(redacted)
    }
}

/// Returns the first of the values in a text; of those that begin together, the longest.
fn first_of<'v>(
    values: &[(&'v str, &'v str)],
    text: &str,
    from: usize,
) -> Option<(usize, &'v str, &'v str)> {
    let found = values.iter().filter_map(|(value, written)| {
        let at = find(text, from, value)?;
        Some((at, *value, *written))
    });
    found.min_by_key(|(at, value, _)| (*at, std::cmp::Reverse(value.len())))
}

fn find(text: &str, from: usize, value: &str) -> Option<usize> {
    let mut begin = from;
    loop {
        let at = begin + text.get(begin..)?.find(value)?;
        let end = at + value.len();
        let is_word = |c: char| c.is_alphanumeric();
        let before = text.get(..at).is_some_and(|before| before.ends_with(is_word));
        let after = text.get(end..).is_some_and(|after| after.starts_with(is_word));
        if value.len() >= SHORT || !(before || after) {
            return Some(at);
        }
        begin = end;
    }
}

/// Prints no values.
impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redaction")
    }
}

/// Bytes: shorter values would be found inside other words.
const SHORT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obs_02_values_are_printed_as_they_were_written() {
        let mut hidden = Redaction::default();
        hidden.add_variable("A", "Geheim\n");
        hidden.add_variable("B", "Geheimnis");
        hidden.add_variable("C", "it");
        for (text, told) in [
            ("`geheim` is wrong", "`${A}` is wrong"),
            ("GEHEIMNIS, geheim", "${B}, ${A}"),
            ("`it` is written", "`${C}` is written"),
            ("nothing", "nothing"),
            ("geheim", "${A}"),
        ] {
            assert_eq!(hidden.redact(text), told);
        }
        assert_eq!(format!("{hidden:?}"), "Redaction");
    }
}
