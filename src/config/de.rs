//! Reads serde types from the tree; errors say where.

use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};

use super::error::UNKNOWN_KEY;
use super::levels::{elsewhere, synonym};
use super::location::Location;
use super::selector_value;
use super::tree::{Entry, Node, Value};
use crate::util::suggest::{closest, same_word};

/// Parts of the tree that are not looked at: they were found wrong before.
#[derive(Debug, Default)]
pub(super) struct Dropped(Vec<String>);

impl Dropped {
    pub(super) fn add(&mut self, path: String) {
        self.0.push(path);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn contains(&self, path: &str) -> bool {
        self.0.iter().any(|dropped| dropped == path)
    }

    /// Whether something below this was dropped: what is wrong with it now follows from that.
    pub(super) fn is_below(&self, path: &str) -> bool {
        self.0.iter().any(|dropped| {
            path.is_empty()
                || dropped.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']))
        })
    }
}

/// A node as a source of serde types.
pub(super) struct NodeDeserializer<'de> {
    node: &'de Node,
    path: String,
    dropped: &'de Dropped,
}

impl<'de> NodeDeserializer<'de> {
    pub(super) fn new(node: &'de Node, path: &str, dropped: &'de Dropped) -> Self {
        Self { node, path: path.to_owned(), dropped }
    }

    fn visit<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Number(value) => visitor.visit_u64(*value),
            Value::OtherNumber(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Sequence(items) => visitor.visit_seq(Items {
                items: items.iter().enumerate(),
                path: &self.path,
                dropped: self.dropped,
            }),
            Value::Mapping(entries) => visitor.visit_map(Entries {
                entries: entries.iter(),
                value: None,
                path: &self.path,
                dropped: self.dropped,
            }),
        }
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.visit(visitor).map_err(|refusal| refusal.at(self.node.at, &self.path))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.node.text() {
            Some(text) => visitor
                .visit_enum(text.into_deserializer())
                .map_err(|refusal: Refusal| refusal.at(self.node.at, &self.path)),
            None => {
                Err(Refusal::wrong_kind(self.node.value.kind(), &"a text")
                    .at(self.node.at, &self.path))
            }
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de, 'p> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
    path: &'p str,
    dropped: &'de Dropped,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Refusal;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refusal> {
        for (index, node) in self.items.by_ref() {
            let path = item_path(self.path, index);
            if !self.dropped.contains(&path) {
                return seed
                    .deserialize(NodeDeserializer::new(node, &path, self.dropped))
                    .map(Some)
                    .map_err(|refusal| refusal.at(node.at, &path));
            }
        }
        Ok(None)
    }
}

struct Entries<'de, 'p> {
    entries: std::slice::Iter<'de, Entry>,
    value: Option<&'de Entry>,
    path: &'p str,
    dropped: &'de Dropped,
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refusal> {
        for entry in self.entries.by_ref() {
            let path = key_path(self.path, &entry.key);
            if !self.dropped.contains(&path) {
                self.value = Some(entry);
                return seed
                    .deserialize(entry.key.as_str().into_deserializer())
                    .map(Some)
                    .map_err(|refusal: Refusal| refusal.at(entry.key_at, &path));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refusal> {
        let entry = self.value.take().ok_or_else(|| de::Error::custom("a key without a value"))?;
        let path = key_path(self.path, &entry.key);
        seed.deserialize(NodeDeserializer::new(&entry.value, &path, self.dropped))
            .map_err(|refusal| refusal.at(entry.value.at, &path))
            .map_err(|refusal| refusal.of_selector(entry, self.path, &path))
    }
}

/// Why something could not be read, and where.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) message: String,
    /// The innermost place and its key path.
    pub(super) place: Option<(Location, String)>,
}

impl Refusal {
    fn at(mut self, at: Location, path: &str) -> Self {
        self.place.get_or_insert_with(|| (at, path.to_owned()));
        self
    }

    /// Shows the mapping that a rule's selector wants.
    fn of_selector(mut self, entry: &Entry, parent: &str, path: &str) -> Self {
        let is_value = self.place.as_ref().is_some_and(|(_, place)| place == path);
        let is_rule = parent.ends_with(']')
            && parent.rsplit('.').next().is_some_and(|list| {
                ["include[", "require[", "exclude["].iter().any(|name| list.starts_with(name))
            });
        if is_value
            && is_rule
            && let Some(hint) = selector_value::hint(&entry.key, &entry.value)
        {
            self.message = hint;
        }
        self
    }

    pub(super) fn wrong_kind(found: &str, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        let expected = match expected.as_str() {
            "a string" | "a borrowed string" | "an owned string" => "a text",
            "a boolean" => "`true` or `false`",
            "a sequence" => "a list",
            "a map" | "map" => "a mapping",
            "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
            other => match other.strip_prefix("struct ") {
                Some(name) if name.starts_with(char::is_uppercase) => "a mapping",
                Some(name) => name,
                None => other,
            },
        };
        let hint = match (expected, found) {
            ("a text", "a number" | "true or false") => "; put it in quotes",
            _ => "",
        };
        de::Error::custom(format_args!("found {found}, expected {expected}{hint}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), place: None }
    }

    /// Names the kind alone: the value may be a secret.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        if let Unexpected::Str(text) = found
            && let "`true` or `false`" | "a boolean" = expected.to_string().as_str()
            && let Some(meant) = boolean(text)
        {
            return Self::custom(format_args!(
                "found a text, expected `true` or `false`; write `{meant}`"
            ));
        }
        let found = match found {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
            Unexpected::Str(_) | Unexpected::Char(_) => "a text",
            Unexpected::Unit | Unexpected::Option => "nothing",
            Unexpected::Seq => "a list",
            Unexpected::Map => "a mapping",
            _ => "something else",
        };
        Self::wrong_kind(found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        match found {
            Unexpected::Unsigned(number) => Self::custom(format_args!("{number} is out of range")),
            other => Self::invalid_type(other, expected),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let variant: String = variant.chars().take(40).collect();
        let alias = alias(&variant).filter(|alias| expected.contains(alias));
        let hint = match alias {
            Some(alias) => format!("write `{alias}`"),
            None => meant(&variant, expected),
        };
        Self::custom(format_args!("`{variant}` is not known here; {hint}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        // Of a selector's few keys none belongs to another level.
        if expected.contains(&"include") {
            return Self::custom(unknown_key(field, expected));
        }
        Self::custom(format_args!("{UNKNOWN_KEY}; {}", meant(field, expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(missing_key(field))
    }
}

pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    let elsewhere = elsewhere(key);
    let is_exact = elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.key == key);
    let same = same_word(key, known.iter().copied()).filter(|_| !is_exact);
    if let Some(word) = same.or_else(|| synonym(key, known)) {
        return format!("{UNKNOWN_KEY}; did you mean `{word}`?");
    }
    match elsewhere {
        Some(elsewhere) => format!("{UNKNOWN_KEY}; {elsewhere}"),
        None => format!("{UNKNOWN_KEY}; {}", meant(key, known)),
    }
}

pub(super) fn missing_key(key: &str) -> String {
    format!("`{key}` is missing")
}

fn meant(word: &str, known: &[&str]) -> String {
    match closest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let more = if known.len() > MOST_SHOWN { ", …" } else { "" };
            let shown: Vec<&str> = known.iter().copied().take(MOST_SHOWN).collect();
            format!("known are `{}`{more}", shown.join("`, `"))
        }
    }
}

/// What other programs, and the dashboard, call a decision.
fn alias(word: &str) -> Option<&'static str> {
    let plain: String = word.chars().filter(char::is_ascii_alphabetic).collect();
    match plain.to_ascii_lowercase().as_str() {
        "block" | "reject" | "refuse" | "forbid" => Some("deny"),
        "permit" | "accept" | "grant" => Some("allow"),
        "serviceauth" | "servicetoken" => Some("non_identity"),
        "public" | "skip" => Some("bypass"),
        _ => None,
    }
}

/// What an older YAML took for truth values.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "true" => Some(true),
        "no" | "off" | "n" | "false" => Some(false),
        _ => None,
    }
}

/// The path of a list entry.
pub(super) fn item_path(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// The path of a key; odd keys are quoted and cut.
pub(super) fn key_path(path: &str, key: &str) -> String {
    let plain = (1..=64).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let dot = if path.is_empty() { "" } else { "." };
    if plain {
        format!("{path}{dot}{key}")
    } else {
        let cut: String = key.chars().take(40).collect();
        format!("{path}{dot}\"{}\"", cut.escape_default())
    }
}

const MOST_SHOWN: usize = 14;
