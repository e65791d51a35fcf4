//! Reads serde types from the tree; errors say where.

use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use super::levels::{UNKNOWN_KEY, suggestion};
use super::location::Location;
use super::selector_value;
use super::tree::{Entry, Node, Value};

/// Invalid parts of the tree, which were reported and are skipped.
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

    /// Whether something below this was dropped: an error about it may follow from that.
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

    fn visit<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, ReadError> {
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
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.visit(visitor).map_err(|refusal| refusal.at(self.node.at, &self.path))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let (at, path) = (self.node.at, self.path.clone());
        let variant = match &self.node.value {
            Value::Text(text) => Variant { name: text, content: None, of: self },
            Value::Mapping(entries) => match entries.as_slice() {
                [entry] => Variant { name: &entry.key, content: Some(entry), of: self },
                _ => return Err(ReadError::wrong_kind("a mapping", &"a text").at(at, &path)),
            },
            other => return Err(ReadError::wrong_kind(other.kind(), &"a text").at(at, &path)),
        };
        visitor.visit_enum(variant).map_err(|refusal| refusal.at(at, &path))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if matches!(self.node.value, Value::Text(_) | Value::Mapping(_)) {
            let last = self.path.rsplit('.').next().unwrap_or_default();
            let of_texts = !["include", "require", "exclude"].contains(&last);
            return Err(ReadError::not_a_list(self.node, of_texts).at(self.node.at, &self.path));
        }
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant of an enum: its name alone, or a mapping from its name to its content.
struct Variant<'de> {
    name: &'de str,
    content: Option<&'de Entry>,
    of: NodeDeserializer<'de>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), ReadError> {
        Ok((seed.deserialize(self.name.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match self.content {
            None => Ok(()),
            Some(_) => Err(ReadError::wrong_kind("a mapping", &"a text")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        let Some(entry) = self.content else {
            return Err(ReadError::wrong_kind("a text", &"a mapping"));
        };
        let path = key_path(&self.of.path, &entry.key);
        if self.of.dropped.contains(&path) {
            return Err(de::Error::custom("a key without a value"));
        }
        seed.deserialize(NodeDeserializer::new(&entry.value, &path, self.of.dropped))
            .map_err(|refusal| refusal.at(entry.value.at, &path))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, ReadError> {
        Err(ReadError::wrong_kind("a mapping", &"a text"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ReadError> {
        Err(ReadError::wrong_kind("a mapping", &"a text"))
    }
}

struct Items<'de, 'p> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
    path: &'p str,
    dropped: &'de Dropped,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
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
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        for entry in self.entries.by_ref() {
            let path = key_path(self.path, &entry.key);
            if !self.dropped.contains(&path) {
                self.value = Some(entry);
                return seed
                    .deserialize(entry.key.as_str().into_deserializer())
                    .map(Some)
                    .map_err(|refusal: ReadError| refusal.at(entry.key_at, &path));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let entry = self.value.take().ok_or_else(|| de::Error::custom("a key without a value"))?;
        let path = key_path(self.path, &entry.key);
        seed.deserialize(NodeDeserializer::new(&entry.value, &path, self.dropped))
            .map_err(|refusal| refusal.at(entry.value.at, &path))
            .map_err(|refusal| refusal.with_selector_hint(entry, self.path, &path))
    }
}

/// Why a value is invalid, and where.
#[derive(Debug)]
pub(super) struct ReadError {
    pub(super) message: String,
    /// The innermost position and its key path.
    pub(super) position: Option<(Location, String)>,
    /// An unknown key that may belong to another level, and the known ones.
    pub(super) unknown_key: Option<(Box<str>, &'static [&'static str])>,
}

impl ReadError {
    fn at(mut self, at: Location, path: &str) -> Self {
        self.position.get_or_insert_with(|| (at, path.to_owned()));
        self
    }

    /// Adds the mapping that a selector expects.
    fn with_selector_hint(mut self, entry: &Entry, parent: &str, path: &str) -> Self {
        let is_value = self.position.as_ref().is_some_and(|(_, innermost)| innermost == path);
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

    /// Returns the error for a value that is not a list, with the list to write.
    pub(super) fn not_a_list(node: &Node, of_texts: bool) -> Self {
        let error = Self::wrong_kind(node.value.kind(), &"a list");
        let hint = match &node.value {
            // Values from the environment are not repeated.
            Value::Text(text)
                if of_texts
                    && node.written.is_none()
                    && selector_value::is_plain(text)
                    && text.parse::<f64>().is_err()
                    && boolean(text).is_none() =>
            {
                format!("; write `[ {text} ]`")
            }
            Value::Text(_) | Value::Mapping(_) => "; write `[ … ]`".to_owned(),
            _ => String::new(),
        };
        Self { message: error.message + &hint, ..error }
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

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), position: None, unknown_key: None }
    }

    /// Names the kind only: the value may be a secret.
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
        let hint = match expected.contains(&"non_identity") {
            true if means_deny(&variant) => "write `deny`".to_owned(),
            // Guessing another decision could open what should be closed.
            true => format!("write {DECISIONS}"),
            false => suggestion(&variant, expected),
        };
        Self::custom(format_args!("unknown value `{variant}`; {hint}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let mut error =
            Self::custom(format_args!("{UNKNOWN_KEY}; {}", suggestion(field, expected)));
        // The few keys of a selector belong to no other level.
        if expected.contains(&"include") {
            error.unknown_key = Some((field.into(), expected));
        }
        error
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(missing_key(field))
    }
}

pub(super) fn missing_key(key: &str) -> String {
    format!("`{key}` is missing")
}

/// Returns what to write for a required key.
pub(super) fn missing_hint(key: &str) -> &'static str {
    match key {
        "decision" => {
            ": write `decision: allow`, `deny`, `bypass` (no login) or `non_identity` (service \
                       tokens)"
        }
        "include" => {
            ": write whom it is about, such as `include: [ { email: { email: \
                      ada@example.com } } ]`"
        }
        _ => "",
    }
}

/// Whether a word is `deny`, misspelt or as other programs call it.
fn means_deny(word: &str) -> bool {
    let plain: String = word.chars().filter(char::is_ascii_alphabetic).collect();
    let plain = plain.to_ascii_lowercase();
    matches!(&*plain, "deny" | "block" | "reject" | "refuse" | "forbid")
}

const DECISIONS: &str = "`allow`, `deny`, `bypass` (no login) or `non_identity` (service tokens)";

/// Returns the truth value that YAML 1.1 read.
fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "true" => Some(true),
        "no" | "off" | "n" | "false" => Some(false),
        _ => None,
    }
}

/// Returns the path of a list entry.
pub(super) fn item_path(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// Returns the path of a key; unusual keys are quoted and cut.
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
