//! The file as a tree in which every value and every key has its position.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use super::error::Problem;
use super::location::Location;

/// A value and its position.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(super) at: Location,
    pub(crate) value: Value,
    /// The text as it stands in the file, if it contains environment variables.
    pub(super) written: Option<Box<str>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    /// A whole number from 0.
    Number(u64),
    /// Any other number.
    OtherNumber(f64),
    Text(String),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(super) key_at: Location,
    pub(crate) value: Node,
}

impl Node {
    /// Parses YAML.
    ///
    /// Size, depth and the expansion of aliases are bounded; a duplicate key is an error.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_reader_input_bytes: Some(MAX_FILE_BYTES),
                max_depth: MAX_DEPTH,
                max_documents: 1,
                max_nodes: MAX_NODES,
                max_events: MAX_EVENTS,
            },
            alias_limits: serde_saphyr::alias_limits! {
                max_total_replayed_events: MAX_ALIASED_EVENTS,
            },
            duplicate_keys: DuplicateKeyPolicy::Error,
            strict_booleans: true,
            reject_unsupported_tags: true,
            with_snippet: false,
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let location = error.location().map(location).filter(|at| at.line > 0);
            Problem::new(location, "", describe(text, location, &error))
        })
    }

    /// Returns the value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Mapping(entries) => {
                entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
            }
            _ => None,
        }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        if let Value::Mapping(entries) = &self.value { entries } else { &[] }
    }

    pub(super) fn items(&self) -> &[Self] {
        if let Value::Sequence(items) = &self.value { items } else { &[] }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Removes all entries except one.
    pub(super) fn keep_only(&mut self, key: &str) {
        if let Value::Mapping(entries) = &mut self.value {
            entries.retain(|entry| entry.key == key);
        }
    }

    /// Whether this is null, `false`, zero, or empty.
    pub(super) fn is_switched_off(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Boolean(on) => !on,
            Value::Number(number) => *number == 0,
            Value::OtherNumber(_) => false,
            Value::Text(text) => text.is_empty(),
            Value::Sequence(items) => items.is_empty(),
            Value::Mapping(entries) => entries.is_empty(),
        }
    }
}

impl Value {
    /// Returns the kind of value, never its content, which may be a secret.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "true or false",
            Self::Number(_) | Self::OtherNumber(_) => "a number",
            Self::Text(_) => "a text",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { at: location(spanned.referenced), value: spanned.value, written: None })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let _level = NestingLevel::enter().ok_or_else(|| {
            D::Error::custom(format_args!("nested more than {MAX_DEPTH} levels deep"))
        })?;
        deserializer.deserialize_any(AnyValue)
    }
}

/// One level of nesting. The parser counts levels of the text, but not those that aliases add.
struct NestingLevel;

impl NestingLevel {
    fn enter() -> Option<Self> {
        LEVELS.with(|levels| {
            levels.set(levels.get() + 1);
            // From here on `drop` leaves the level again.
            let level = Self;
            (levels.get() <= MAX_DEPTH).then_some(level)
        })
    }
}

impl Drop for NestingLevel {
    fn drop(&mut self) {
        LEVELS.with(|levels| levels.set(levels.get() - 1));
    }
}

thread_local! {
    static LEVELS: Cell<usize> = const { Cell::new(0) };
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::OtherNumber(value as f64), Value::Number))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Value, E> {
        Ok(Value::OtherNumber(f64::MAX))
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Value, E> {
        Ok(Value::OtherNumber(f64::MAX))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::OtherNumber(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Value::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            entries.push(Entry {
                key: key.value,
                key_at: location(key.referenced),
                value: map.next_value()?,
            });
        }
        Ok(Value::Mapping(entries))
    }
}

fn location(at: serde_saphyr::Location) -> Location {
    Location { line: at.line(), column: at.column() }
}

/// Describes an error of the parser, with hints for common mistakes.
fn describe(text: &str, at: Option<Location>, error: &serde_saphyr::Error) -> String {
    let error = error.without_snippet();
    match error {
        serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_ref().map(|key| key.chars().take(40).collect::<String>());
            let key = key.map(|key| format!(" `{key}`")).unwrap_or_default();
            return format!(
                "duplicate key{key}: the mapping already has it; remove one of the two"
            );
        }
        serde_saphyr::Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            return format!("nested more than {MAX_DEPTH} levels deep");
        }
        serde_saphyr::Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            return "more than one document; write one, without `---`".into();
        }
        serde_saphyr::Error::Budget {
            breach: BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. },
            ..
        } => {
            return format!("more than {MAX_NODES} keys and values; remove some");
        }
        serde_saphyr::Error::NullIntoString { .. } => {
            return "a key without a name; put it in quotes if this is intended".into();
        }
        _ => {}
    }
    let rendered = error.to_string();
    let message = rendered.lines().next().unwrap_or_default();
    let position = at.map(|at| format!(" at line {}, column {}", at.line, at.column));
    let message = position.and_then(|position| message.strip_suffix(&position)).unwrap_or(message);
    let line = at.and_then(|at| text.lines().nth(usize::try_from(at.line).ok()?.checked_sub(1)?));
    if message.contains("unknown anchor") {
        return format!(
            "invalid YAML: {message}; put a text that begins with `*` in quotes: '*.example.com'"
        );
    }
    if line.is_some_and(|line| line.trim_start_matches(' ').starts_with('\t')) {
        return format!("invalid YAML: {message}; indent with spaces, not with tabs");
    }
    if let Some(text) = line.and_then(unquoted_variable) {
        return format!(
            "invalid YAML: {message}; within `{{ … }}` and `[ … ]` write `'{text}'` in quotes"
        );
    }
    format!("invalid YAML: {message}")
}

/// Returns the first text with `${NAME}` in a line that has no quotes around it.
fn unquoted_variable(line: &str) -> Option<String> {
    let variables = line.match_indices("${").filter(|(at, _)| {
        let before = line.get(..*at).unwrap_or_default();
        ['"', '\''].iter().all(|quote| before.matches(*quote).count() % 2 == 0)
    });
    variables.map(|(at, _)| at).next().map(|at| {
        let (before, from) = line.split_at(at);
        let begin = before.rfind([' ', ',', '[', '{']).map_or(0, |at| at + 1);
        let end = from.find('}').map_or(from.len(), |at| at + 1);
        let (variable, behind) = from.split_at(end);
        let more = behind.find([' ', ',', ']', '}']).unwrap_or(behind.len());
        let behind = behind.get(..more).unwrap_or_default();
        format!("{}{variable}{behind}", before.get(begin..).unwrap_or_default())
    })
}

/// Bytes of a file, at most.
pub(crate) const MAX_FILE_BYTES: usize = 16 << 20;
const MAX_DEPTH: usize = 24;
/// Lists, mappings, keys and values: a rule about an address has five. Bounds the memory for a file
/// that consists of commas.
const MAX_NODES: usize = 2_000_000;
/// Events of the parser: one for each node, and one for the end of each list and mapping.
const MAX_EVENTS: usize = 2 * MAX_NODES;
const MAX_ALIASED_EVENTS: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u64, column: u64) -> Location {
        Location { line, column }
    }

    #[test]
    fn everything_has_its_position() {
        let node = Node::parse("a: 1\nb:\n  - x: text\n    y: { z: true }\n").unwrap();
        let [a, b] = node.entries() else { panic!() };
        assert_eq!((a.key_at, a.value.at), (at(1, 1), at(1, 4)));
        assert_eq!(b.key_at, at(2, 1));
        let item = &b.value.items()[0];
        assert_eq!(item.at, at(3, 5));
        let y = &item.entries()[1];
        assert_eq!((y.key_at, y.value.at), (at(4, 5), at(4, 8)));
        assert_eq!(y.value.get("z").unwrap().at, at(4, 13));
        assert!(matches!(y.value.get("z").unwrap().value, Value::Boolean(true)));
    }

    #[test]
    fn scalars_have_the_kinds_of_yaml_1_2() {
        let kind =
            |text: &str| Node::parse(&format!("v: {text}")).unwrap().get("v").unwrap().value.kind();
        for (text, expected) in [
            ("none", "a text"),
            ("no", "a text"),
            ("true", "true or false"),
            ("~", "nothing"),
            ("7", "a number"),
            ("-7", "a number"),
            ("1.5", "a number"),
            ("99999999999999999999999999", "a number"),
            ("\"7\"", "a text"),
            ("5m", "a text"),
            ("127.0.0.1:8080", "a text"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn finds_a_variable_without_quotes() {
        for (line, text) in [
            ("a: { b: ${C} }", Some("${C}")),
            ("a: {b: ${C}}", Some("${C}")),
            ("a: { b: \"${A}\", c: ${C}, d: 1 }", Some("${C}")),
            ("a: { b: '${A}', c: /x/${C}/y }", Some("/x/${C}/y")),
            ("a: [${C}]", Some("${C}")),
            ("a: [ é${C", Some("é${C")),
            ("a: { b: '${A}' }", None),
            ("a: { b: $A }", None),
        ] {
            assert_eq!(unquoted_variable(line).as_deref(), text, "{line}");
        }
    }

    #[test]
    fn pol_09_duplicate_keys_are_refused_where_they_stand() {
        let error = Node::parse("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(error.location(), Some(at(3, 1)), "{error}");
        assert!(error.message().contains("duplicate"), "{error}");
    }

    #[test]
    fn depth_aliases_and_documents_are_bounded() {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(Node::parse(&deep).is_err());
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let below = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(", ")));
        }
        assert!(Node::parse(&bomb).is_err());
        let mut chain = String::from("a0: &a0 [x]\n");
        for level in 1..300 {
            chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        let error = Node::parse(&chain).unwrap_err();
        assert!(error.message().contains("levels deep"), "{error}");
        assert!(Node::parse("a: [[[[1]]]]").is_ok(), "levels are left again after an error");
        assert!(Node::parse("a: 1\n---\nb: 2\n").is_err());
        assert!(Node::parse("a: !include /etc/passwd\n").is_err());
    }
}
