//! What came from the environment, and is not repeated where something is said about a file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::error::{Note, Problem, escape_controls};
use super::location::Location;
use crate::secret::sha256;

/// Values from the environment, and where they stand.
#[derive(Clone, Default)]
pub(crate) struct Hidden {
    /// The texts that were written there, such as `${NAME}`.
    places: BTreeMap<Location, Box<str>>,
    /// Texts that could not be read: there is nothing more to say about them.
    unread: BTreeSet<Location>,
    /// The hashes of what variables hold.
    variables: BTreeMap<Box<str>, [u8; 32]>,
    /// What is not to be said, lower-cased, and what is said for it.
    values: BTreeMap<Box<str>, Box<str>>,
}

impl Hidden {
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

    /// Another one for other values.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut all = Vec::new();
        for (name, hash) in &self.variables {
            all.extend_from_slice(name.as_bytes());
            all.push(0);
            all.extend_from_slice(hash);
        }
        sha256(&all)
    }

    /// In every spelling messages have: as it is, and with control characters written out.
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

    /// What is wrong, without what came from the environment.
    pub(super) fn of_problem(&self, problem: Problem) -> Option<Problem> {
        if problem.location().is_some_and(|at| self.unread.contains(&at)) {
            return None;
        }
        let Some(written) = problem.location().and_then(|at| self.places.get(&at)) else {
            return Some(problem.map_message(|message| self.of_text(message)));
        };
        if problem.repeats_nothing() {
            return Some(problem);
        }
        Some(problem.map_message(|message| match message.strip_prefix("found a text, expected ") {
            Some(expected) => {
                let expected = expected.split(';').next().unwrap_or_default();
                Cow::Owned(format!(
                    "`{written}` is a text, expected {expected}; whatever is no text is written in \
                     the file itself"
                ))
            }
            // Messages about values say them, in spellings of their own.
            None => Cow::Owned(format!(
                "what `{written}` stands for cannot be used here; it is not repeated, as it comes \
                 from the environment"
            )),
        }))
    }

    pub(super) fn of_note(&self, note: Note) -> Note {
        note.map_message(|message| self.of_text(message))
    }

    /// A text without what came from the environment. What is short is looked for as a word.
    pub(crate) fn of_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.values.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut values: Vec<_> =
            self.values.iter().map(|(value, written)| (&**value, &**written)).collect();
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        let lower = text.to_ascii_lowercase();
        let mut told = String::new();
        let mut from = 0;
        while let Some((at, value, written)) = first_of(&values, &lower, from) {
            told.push_str(text.get(from..at).unwrap_or_default());
            told.push_str(written);
            from = at + value.len();
        }
        if from == 0 && told.is_empty() {
            return Cow::Borrowed(text);
        }
        told.push_str(text.get(from..).unwrap_or_default());
        Cow::Owned(told)
    }
}

/// The first of the values in a text; of those that begin together the longest.
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

/// Tells nothing.
impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// Bytes: what is shorter would be found in the middle of other words.
const SHORT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obs_02_values_are_said_as_they_were_written() {
        let mut hidden = Hidden::default();
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
            assert_eq!(hidden.of_text(text), told);
        }
        assert_eq!(format!("{hidden:?}"), "Hidden");
    }
}
