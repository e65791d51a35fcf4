//! Walks the tree and collects everything that is wrong, not only the first thing.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::de::{
    Dropped, NodeDeserializer, Refusal, item_path, key_path, missing_key, unknown_key,
};
use super::environment::is_one_variable;
use super::error::{Note, NoteKind, Problem};
use super::location::{Located, Location};
use super::tree::{Node, Value};
use crate::clock::GoDuration;
use crate::secret::SecretText;
use crate::util::suggest::closest;

/// Errors and notes found so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) errors: Vec<Problem>,
    pub(super) notes: Vec<Note>,
}

/// A node and the key path that leads to it.
#[derive(Clone, Debug)]
pub(super) struct Place<'t> {
    pub(super) node: &'t Node,
    pub(super) path: String,
}

impl<'t> Place<'t> {
    pub(super) fn root(node: &'t Node) -> Self {
        Self { node, path: String::new() }
    }

    pub(super) fn at(&self) -> Location {
        self.node.at
    }

    /// What stands under a key; nothing where the file says nothing.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let node = self.node.get(key).filter(|node| !node.is_null())?;
        Some(Self { node, path: key_path(&self.path, key) })
    }

    /// The entries of a list.
    pub(super) fn items(&self) -> impl Iterator<Item = Self> + use<'t> {
        let path = self.path.clone();
        self.node
            .items()
            .iter()
            .enumerate()
            .map(move |(index, node)| Self { node, path: item_path(&path, index) })
    }

    /// Where the key of an entry stands.
    pub(super) fn key_at(&self, key: &str) -> Location {
        let entry = self.node.entries().iter().find(|entry| entry.key == key);
        entry.map_or(self.node.at, |entry| entry.key_at)
    }

    pub(super) fn locate<T>(&self, value: T) -> Located<T> {
        Located { value, at: self.at(), key: self.path.clone() }
    }
}

impl Reader {
    pub(super) fn error(&mut self, place: &Place<'_>, message: impl Display) {
        self.error_at(place.at(), &place.path, message);
    }

    /// An error whose words hold nothing of the file: they are shown even where a value comes from the
    /// environment.
    pub(super) fn error_saying(&mut self, place: &Place<'_>, message: &'static str) {
        self.errors.push(Problem::saying(place.at(), &place.path, message));
    }

    pub(super) fn error_at(&mut self, at: Location, key: &str, message: impl Display) {
        self.errors.push(Problem::new(Some(at), key, message.to_string()));
    }

    pub(super) fn note(&mut self, kind: NoteKind, place: &Place<'_>, message: impl Display) {
        self.notes.push(Note::new(kind, place.at(), place.path.as_str(), message.to_string()));
    }

    /// Notes a value that was read.
    pub(super) fn note_at<T>(&mut self, kind: NoteKind, value: &Located<T>, message: &str) {
        self.notes.push(Note::new(kind, value.at, value.key.as_str(), message));
    }

    /// Notes a key that changes nothing.
    pub(super) fn note_no_effect(&mut self, parent: &Place<'_>, key: &str, message: &str) {
        self.notes.push(Note::new(
            NoteKind::HasNoEffect,
            parent.key_at(key),
            key_path(&parent.path, key),
            message,
        ));
    }

    /// A mapping whose keys are all known. What is no mapping is an error and `false`.
    pub(super) fn mapping(&mut self, place: &Place<'_>, known: &[&[&'static str]]) -> bool {
        let Value::Mapping(entries) = &place.node.value else {
            self.error(place, Refusal::wrong_kind(place.node.value.kind(), &"a mapping"));
            return false;
        };
        let known = known.concat();
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let path = key_path(&place.path, &entry.key);
            self.error_at(entry.key_at, &path, unknown_key(&entry.key, &known));
        }
        true
    }

    /// A list; nothing where the file says nothing, an error where it says something else.
    pub(super) fn list<'t>(&mut self, parent: &Place<'t>, key: &str) -> Vec<Place<'t>> {
        let Some(place) = parent.get(key) else { return Vec::new() };
        if !matches!(place.node.value, Value::Sequence(_)) {
            self.error(&place, Refusal::wrong_kind(place.node.value.kind(), &"a list"));
        }
        place.items().collect()
    }

    /// Reads a value that may be left out.
    pub(super) fn optional<T: DeserializeOwned>(
        &mut self,
        parent: &Place<'_>,
        key: &str,
    ) -> Option<Located<T>> {
        let place = parent.get(key)?;
        let value = self.read(&place, &[])?;
        Some(place.locate(value))
    }

    /// Reads a text and parses it.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        parent: &Place<'_>,
        key: &str,
    ) -> Option<Located<T>> {
        let place = parent.get(key)?;
        let value = self.parse(&place)?;
        Some(place.locate(value))
    }

    /// Reports a duration that is out of its bounds.
    pub(super) fn check_duration(
        &mut self,
        duration: &Located<GoDuration>,
        shortest: Duration,
        longest: Duration,
    ) {
        if !(shortest..=longest).contains(&duration.value.get()) {
            let (shortest, longest) = (GoDuration::from(shortest), GoDuration::from(longest));
            let value = duration.value;
            self.error_at(
                duration.at,
                &duration.key,
                format_args!("{value} is out of range; write {shortest} to {longest}"),
            );
        }
    }

    /// Reads a secret, which comes from the environment. One that stands in the file itself is an
    /// error, which says what is written instead.
    pub(super) fn secret(
        &mut self,
        parent: &Place<'_>,
        key: &str,
        instead: &'static str,
    ) -> Option<SecretText> {
        let place = parent.get(key)?;
        if !place.node.written.as_deref().is_some_and(is_one_variable) {
            self.error_saying(&place, instead);
            return None;
        }
        // As in a file, where an editor adds a line's end.
        let secret = place.node.text()?.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            self.error_saying(&place, "the environment variable is empty; put the secret into it");
            return None;
        }
        Some(SecretText::from(secret.to_owned()))
    }

    /// Parses a text.
    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self, place: &Place<'_>) -> Option<T> {
        let text: String = self.read(place, &[])?;
        text.parse().map_err(|error| self.error(place, error)).ok()
    }

    /// Reports keys that have to be there and are not, unless an unknown key that looks like them
    /// was reported.
    pub(super) fn required(&mut self, place: &Place<'_>, keys: &[&str], hint: &str) {
        for key in keys.iter().filter(|key| place.get(key).is_none()) {
            let misspelt = place.node.entries().iter().any(|entry| {
                closest(&entry.key, [*key]).is_some() && {
                    let path = key_path(&place.path, &entry.key);
                    // Reported just before, with the other keys of this mapping.
                    let mut latest = self.errors.iter().rev().take(MOST_LATEST_ERRORS);
                    latest.any(|error| error.is_unknown_key(entry.key_at, &path))
                }
            });
            if !misspelt {
                self.error(place, format_args!("{}{hint}", missing_key(key)));
            }
        }
    }

    /// Reads a serde type, with all that is wrong in it. `None` goes with at least one error.
    ///
    /// What is found wrong is dropped and the rest read again, so that one mistake does not hide
    /// the next; errors that follow from dropping are not reported.
    pub(super) fn read<T: DeserializeOwned>(
        &mut self,
        place: &Place<'_>,
        required: &[&str],
    ) -> Option<T> {
        let before = self.errors.len();
        let is_mapping = matches!(place.node.value, Value::Mapping(_));
        let complete = !is_mapping || required.iter().all(|key| place.get(key).is_some());
        let value = self.read_dropping(place, complete);
        if !complete {
            self.required(place, required, "");
        }
        if value.is_none() && self.errors.len() == before {
            self.error(place, "cannot be read");
        }
        value
    }

    fn read_dropping<T: DeserializeOwned>(
        &mut self,
        place: &Place<'_>,
        complete: bool,
    ) -> Option<T> {
        let mut dropped = Dropped::default();
        for _ in 0..MOST_ERRORS_OF_ONE_VALUE {
            let deserializer = NodeDeserializer::new(place.node, &place.path, &dropped);
            let refusal = match T::deserialize(deserializer) {
                Ok(value) => return (complete && dropped.is_empty()).then_some(value),
                Err(refusal) => refusal,
            };
            let (at, path) = refusal.place.unwrap_or_else(|| (place.at(), place.path.clone()));
            let is_whole = path == place.path;
            if !dropped.is_below(&path) && (complete || !is_whole) {
                self.error_at(at, &path, &refusal.message);
            }
            if is_whole {
                return None;
            }
            dropped.add(path);
        }
        None
    }
}

const MOST_ERRORS_OF_ONE_VALUE: usize = 64;
const MOST_LATEST_ERRORS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn keys_of_errors(yaml: &str) -> Vec<String> {
        let node = Node::parse(yaml).unwrap();
        let mut reader = Reader::default();
        let policy: Option<Policy> =
            reader.read(&Place::root(&node), &["name", "decision", "include"]);
        assert_eq!(policy.is_some(), reader.errors.is_empty(), "{yaml}");
        reader.errors.iter().map(|error| error.key().to_owned()).collect()
    }

    #[test]
    fn one_mistake_hides_no_other_and_makes_none() {
        for (yaml, keys) in [
            ("{ name: p, decision: allow, include: [ { everyone: {} } ] }", vec![]),
            (
                "{ name: 1, decision: x, include: [ { email: { email: 1 } }, { ip: { ip: x } } ] }",
                vec!["name", "decision", "include[0].email.email", "include[1].ip.ip"],
            ),
            ("{ name: p, decision: allow, include: {} }", vec!["include"]),
            ("{ name: p, decision: allow, include: [ { email: {} } ] }", vec!["include[0].email"]),
            (
                "{ name: p, decision: allow, include: [ { email: { emial: x } } ] }",
                vec!["include[0].email.emial"],
            ),
            ("{ name: p, decision: allow, include: [ 7 ] }", vec!["include[0]"]),
            ("{ nmae: p, decision: allow, inclde: [] }", vec!["nmae", "inclde"]),
            ("{ extra: 1, x: 2 }", vec!["extra", "x", "", "", ""]),
            // Close to a key that is missing, and known.
            ("{ name: p, decision: deny, exclude: [] }", vec![""]),
            ("{ name: p, decision: deny, include: ~ }", vec!["include", ""]),
            ("[]", vec![""]),
            ("p", vec![""]),
        ] {
            assert_eq!(keys_of_errors(yaml), keys, "{yaml}");
        }
    }

    #[test]
    fn errors_of_one_value_are_bounded() {
        let rules = vec!["{ x: {} }"; 5_000].join(", ");
        let yaml = format!("{{ name: p, decision: allow, include: [ {rules} ] }}");
        assert!(keys_of_errors(&yaml).len() <= MOST_ERRORS_OF_ONE_VALUE);
    }
}
