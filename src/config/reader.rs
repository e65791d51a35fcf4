//! Walks the tree and collects all errors, not only the first.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;

use super::de::{
    Dropped, NodeDeserializer, ReadError, item_path, key_path, missing_hint, missing_key,
};
use super::environment::is_one_variable;
use super::error::{Note, NoteKind, Problem};
use super::levels::{Levels, UNKNOWN_KEY};
use super::location::{Located, Location, Position};
use super::schema::Level;
use super::tree::{Node, Value};
use crate::secret::SecretText;
use crate::util::suggest::closest;

/// Errors and notes found so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) errors: Vec<Problem>,
    pub(super) notes: Vec<Note>,
    levels: Levels,
}

/// A node and its key path.
#[derive(Clone, Debug)]
pub(super) struct NodeRef<'t> {
    pub(super) node: &'t Node,
    pub(super) path: String,
}

impl<'t> NodeRef<'t> {
    pub(super) fn root(node: &'t Node) -> Self {
        Self { node, path: String::new() }
    }

    pub(super) fn at(&self) -> Location {
        self.node.at
    }

    /// Returns the last key of the path.
    pub(super) fn key(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    /// Returns the value of a key; `None` if it is omitted or null.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let node = self.node.get(key).filter(|node| !node.is_null())?;
        Some(Self { node, path: key_path(&self.path, key) })
    }

    /// Returns the entries of a list.
    pub(super) fn items(&self) -> impl Iterator<Item = Self> + use<'t> {
        let path = self.path.clone();
        self.node
            .items()
            .iter()
            .enumerate()
            .map(move |(index, node)| Self { node, path: item_path(&path, index) })
    }

    /// Returns the position of a key.
    pub(super) fn key_at(&self, key: &str) -> Location {
        let entry = self.node.entries().iter().find(|entry| entry.key == key);
        entry.map_or(self.node.at, |entry| entry.key_at)
    }

    pub(super) fn locate<T>(&self, value: T) -> Located<T> {
        Located { value, at: self.at(), key: self.path.clone() }
    }
}

impl Position for NodeRef<'_> {
    fn at(&self) -> Location {
        self.node.at
    }

    fn path(&self) -> &str {
        &self.path
    }
}

impl Reader {
    /// Creates a reader that knows all levels of the file, for suggestions.
    pub(super) fn new(root: &'static Level) -> Self {
        Self { levels: Levels::new(root), ..Self::default() }
    }

    pub(super) fn error(&mut self, position: &impl Position, message: impl Display) {
        self.error_at(position.at(), position.path(), message);
    }

    /// Reports an error whose message contains nothing of the values of the file: it is printed even if
    /// the value comes from the environment.
    pub(super) fn fixed_error(&mut self, position: &impl Position, message: &'static str) {
        self.errors.push(Problem::with_fixed_message(position.at(), position.path(), message));
    }

    pub(super) fn error_at(&mut self, at: Location, key: &str, message: impl Display) {
        self.errors.push(Problem::new(Some(at), key, message.to_string()));
    }

    pub(super) fn note(&mut self, kind: NoteKind, position: &impl Position, message: impl Display) {
        self.notes.push(Note::new(kind, position.at(), position.path(), message.to_string()));
    }

    /// Adds a note about a value.
    pub(super) fn note_at<T>(&mut self, kind: NoteKind, value: &Located<T>, message: &str) {
        self.notes.push(Note::new(kind, value.at, value.key.as_str(), message));
    }

    /// Adds a note about a key without effect.
    pub(super) fn note_no_effect(&mut self, parent: &NodeRef<'_>, key: &str, message: &str) {
        self.notes.push(Note::new(
            NoteKind::HasNoEffect,
            parent.key_at(key),
            key_path(&parent.path, key),
            message,
        ));
    }

    /// Reports unknown keys of a mapping. Any other value is an error and `false`.
    pub(super) fn mapping(&mut self, place: &NodeRef<'_>, known: &[&[&'static str]]) -> bool {
        let Value::Mapping(entries) = &place.node.value else {
            self.error(place, ReadError::wrong_kind(place.node.value.kind(), &"a mapping"));
            return false;
        };
        // Keys of Cloudflare without effect are known, and not suggested.
        let listed = known.first().copied().unwrap_or_default();
        let known = known.concat();
        for entry in entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let path = key_path(&place.path, &entry.key);
            let message = if place.path.is_empty() && TLS_KEYS.contains(&entry.key.as_str()) {
                format!("{UNKNOWN_KEY}; {NO_TLS_LISTENER}")
            } else {
                self.levels.unknown_key(&entry.key, &known, listed)
            };
            self.error_at(entry.key_at, &path, message);
        }
        true
    }

    /// Returns the entries of a list: none if the key is omitted. Any other value is an error.
    pub(super) fn list<'t>(&mut self, parent: &NodeRef<'t>, key: &str) -> Vec<NodeRef<'t>> {
        let Some(place) = parent.get(key) else { return Vec::new() };
        if !matches!(place.node.value, Value::Sequence(_)) {
            self.error(&place, ReadError::not_a_list(place.node, false));
        }
        place.items().collect()
    }

    /// Reads a value that may be omitted.
    pub(super) fn optional<T: DeserializeOwned>(
        &mut self,
        parent: &NodeRef<'_>,
        key: &str,
    ) -> Option<Located<T>> {
        let place = parent.get(key)?;
        let value = self.read(&place, &[])?;
        Some(place.locate(value))
    }

    /// Reads a text and parses it.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        parent: &NodeRef<'_>,
        key: &str,
    ) -> Option<Located<T>> {
        let place = parent.get(key)?;
        let value = self.parse(&place)?;
        Some(place.locate(value))
    }

    /// Reads a secret from the environment. A secret in the file itself is an error that does not repeat
    /// it.
    pub(super) fn secret(&mut self, place: &NodeRef<'_>) -> Option<SecretText> {
        if !place.node.written.as_deref().is_some_and(is_one_variable) {
            let key = place.key();
            let message = format!(
                "a {key} does not belong in this file; write `{key}_file: /path/to/it`, or \
                 `{key}: ${{NAME}}` for one in the environment"
            );
            self.errors.push(Problem::with_fixed_message(place.at(), &place.path, message));
            return None;
        }
        // As with a file, to which editors add a line end.
        let secret = place.node.text()?.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            self.fixed_error(place, "the environment variable is empty; put the secret into it");
            return None;
        }
        Some(SecretText::from(secret.to_owned()))
    }

    /// Parses a text.
    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self, place: &NodeRef<'_>) -> Option<T> {
        let text: String = self.read(place, &[])?;
        text.parse().map_err(|error| self.error(place, error)).ok()
    }

    /// Reports required keys that are missing, unless an unknown key that looks like them was reported.
    pub(super) fn required(&mut self, place: &NodeRef<'_>, keys: &[&str], hint: &str) {
        for key in keys.iter().filter(|key| place.get(key).is_none()) {
            let misspelt = place.node.entries().iter().any(|entry| {
                closest(&entry.key, [*key]).is_some() && {
                    let path = key_path(&place.path, &entry.key);
                    // Reported just before, with the other unknown keys of this mapping.
                    let mut latest = self.errors.iter().rev().take(MAX_LATEST_ERRORS);
                    latest.any(|error| error.is_unknown_key(entry.key_at, &path))
                }
            });
            if !misspelt {
                self.error(place, format_args!("{}{hint}", missing_key(key)));
            }
        }
    }

    /// Reads a serde type and reports all errors in it. `None` goes with at least one error.
    ///
    /// Each invalid part is dropped and the rest read again, so that one mistake does not hide the next;
    /// errors that follow from dropping are not reported.
    pub(super) fn read<T: DeserializeOwned>(
        &mut self,
        place: &NodeRef<'_>,
        required: &[&str],
    ) -> Option<T> {
        let before = self.errors.len();
        let is_mapping = matches!(place.node.value, Value::Mapping(_));
        let complete = !is_mapping || required.iter().all(|key| place.get(key).is_some());
        let value = self.read_dropping(place, complete);
        if !complete {
            for key in required {
                self.required(place, &[key], missing_hint(key));
            }
        }
        if value.is_none() && self.errors.len() == before {
            self.error(place, "invalid value");
        }
        value
    }

    fn read_dropping<T: DeserializeOwned>(
        &mut self,
        place: &NodeRef<'_>,
        complete: bool,
    ) -> Option<T> {
        let mut dropped = Dropped::default();
        for _ in 0..MAX_ERRORS_OF_ONE_VALUE {
            let deserializer = NodeDeserializer::new(place.node, &place.path, &dropped);
            let error = match T::deserialize(deserializer) {
                Ok(value) => return (complete && dropped.is_empty()).then_some(value),
                Err(error) => error,
            };
            let (at, path) = error.position.unwrap_or_else(|| (place.at(), place.path.clone()));
            let is_whole = path == place.path;
            if !dropped.is_below(&path) && (complete || !is_whole) {
                let message = match &error.unknown_key {
                    Some((key, known)) => self.levels.unknown_key(key, known, known),
                    None => error.message,
                };
                self.error_at(at, &path, message);
            }
            if is_whole {
                return None;
            }
            dropped.add(path);
        }
        None
    }
}

/// Top-level keys by which other programs configure a TLS listener.
const TLS_KEYS: &[&str] =
    &["tls", "ssl", "https", "cert", "certificate", "certificates", "cert_file", "key_file"];
const NO_TLS_LISTENER: &str = "there is no TLS listener; end TLS in front of the proxy";
const MAX_ERRORS_OF_ONE_VALUE: usize = 64;
const MAX_LATEST_ERRORS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn keys_of_errors(yaml: &str) -> Vec<String> {
        let node = Node::parse(yaml).unwrap();
        let mut reader = Reader::default();
        let policy: Option<Policy> =
            reader.read(&NodeRef::root(&node), &["name", "decision", "include"]);
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
        assert!(keys_of_errors(&yaml).len() <= MAX_ERRORS_OF_ONE_VALUE);
    }
}
