//! Writes YAML line by line: each rule on one line with a comment, which a serializer cannot write.

use std::fmt::Write as _;

use serde_json::Value;

use super::note::one_line;

/// YAML text under construction.
#[derive(Debug, Default)]
pub(super) struct Yaml(String);

/// A mapping in a list: its first key follows the dash.
#[derive(Debug)]
pub(super) struct Item<'a> {
    yaml: &'a mut Yaml,
    indent: usize,
    is_first: bool,
}

impl Yaml {
    pub(super) fn line(&mut self, indent: usize, text: &str) {
        self.line_with_comment(indent, text, None);
    }

    pub(super) fn line_with_comment(&mut self, indent: usize, text: &str, comment: Option<&str>) {
        let _ = write!(self.0, "{:width$}{text}", "", width = 2 * indent);
        if let Some(comment) = comment {
            let cut: String = one_line(comment).chars().take(80).collect();
            let _ = write!(self.0, "  # {cut}");
        }
        self.0.push('\n');
    }

    pub(super) fn comment(&mut self, indent: usize, text: &str) {
        let text = one_line(text);
        let line = if text.is_empty() { "#".to_owned() } else { format!("# {text}") };
        self.line(indent, &line);
    }

    /// Writes a key and a text.
    pub(super) fn entry(&mut self, indent: usize, key: &str, text: &str) {
        self.line(indent, &format!("{key}: {}", scalar(text)));
    }

    pub(super) fn item(&mut self, indent: usize) -> Item<'_> {
        Item { yaml: self, indent, is_first: true }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

impl Item<'_> {
    /// Writes a key and a text, if there is one.
    pub(super) fn entry(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.plain(key, &scalar(text));
        }
    }

    /// Writes a key and a value that is YAML already.
    pub(super) fn plain(&mut self, key: &str, yaml: &str) {
        let first = std::mem::replace(&mut self.is_first, false);
        if first {
            self.yaml.line(self.indent, &format!("- {key}: {yaml}"));
        } else {
            self.yaml.line(self.indent + 1, &format!("{key}: {yaml}"));
        }
    }
}

/// Returns a value on one line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Null => "~".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => scalar(text),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[ {} ]", items.join(", "))
        }
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), flow(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

/// Returns a text as a value in which nothing is an environment variable.
pub(super) fn scalar(text: &str) -> String {
    quoted(&text.replace("${", "$${"))
}

/// Returns a text, in quotes unless every reader takes it for a text without them.
fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./@+".contains(&byte);
    let begins_like_a_word = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    let words_alone = text.split(' ').all(|word| !word.is_empty() && word.bytes().all(is_plain));
    if begins_like_a_word && words_alone && !is_reserved(text) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            ' '..='~' => quoted.push(c),
            // Letters stay; invisible characters are escaped.
            _ if c.is_alphanumeric() => quoted.push(c),
            _ => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Whether some readers take the word for something else than a text.
fn is_reserved(text: &str) -> bool {
    const RESERVED: &[&str] =
        &["true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan", "inf", "infinity"];
    RESERVED.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Environment, Node, NodeValue, expand};

    fn parse(yaml: &str) -> Result<Node, TestCaseError> {
        let failed = |error| TestCaseError::fail(format!("{yaml}\n{error}"));
        let mut node = Node::parse(yaml).map_err(failed)?;
        // A variable that is looked for is not set.
        let expanded = expand(&mut node, &Environment::empty());
        expanded.problems.into_iter().next().map_or(Ok(node), |problem| Err(failed(problem)))
    }

    /// What YAML says, as JSON.
    fn json(node: &Node) -> Value {
        match &node.value {
            NodeValue::Null => Value::Null,
            NodeValue::Boolean(on) => (*on).into(),
            NodeValue::Number(number) => (*number).into(),
            NodeValue::OtherNumber(number) => (*number).into(),
            NodeValue::Text(text) => text.as_str().into(),
            NodeValue::Sequence(items) => items.iter().map(json).collect(),
            NodeValue::Mapping(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect()
            }
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,12}",
            any::<String>(),
            "[-_./@+a-zA-Z0-9 :#,{}\\[\\]'\"\\\\]{0,8}",
            prop::sample::select(vec![
                "",
                "yes",
                "No",
                "null",
                "~",
                "1e5",
                "0x1f",
                "1_000",
                "12:30:45",
                "2026-01-02",
                ".inf",
                "-",
                "- a",
                "a: b",
                "a #b",
                "#",
                "&a",
                "*a",
                "!t",
                "%",
                "`",
                "@",
                "<<",
                "=",
                "?",
                "|",
                ">",
                "---",
                "...",
                "{}",
                "[]",
                " a",
                "a ",
                "a\nb",
                "\u{85}",
                "\u{2028}",
                "\u{feff}",
                "\u{0}",
                "\u{7f}",
                "'",
                "\"",
                "\\",
                "on",
                "True",
                "e5",
                "é",
                "😀",
                "\u{202e}",
                "\r\n",
                "\t",
                "a\tb",
                "${HOME}",
                "$${HOME}",
                "$$${",
                "x ${",
            ])
            .prop_map(str::to_owned),
        ]
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            text().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::btree_map(text(), inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_text_is_read_as_it_was_written(text in text(), comment in text()) {
            let mut yaml = Yaml::default();
            yaml.comment(0, &comment);
            yaml.entry(0, "a", &text);
            yaml.line_with_comment(0, &format!("b: [ {} ]", scalar(&text)), Some(&comment));
            let mut item = Yaml::default();
            item.item(1).entry("d", Some(&text));
            let yaml = format!("{}c:\n{}", yaml.finish(), item.finish());
            let node = parse(&yaml)?;
            let expected = serde_json::json!({ "a": text, "b": [text], "c": [ { "d": text } ] });
            prop_assert_eq!(json(&node), expected, "{}", yaml);
        }

        #[test]
        fn every_value_is_read_as_it_was_written(value in value()) {
            let yaml = format!("v: {}\n", flow(&value));
            let node = parse(&yaml)?;
            prop_assert_eq!(json(&node), serde_json::json!({ "v": value }), "{}", yaml);
        }
    }

    #[test]
    fn texts_are_quoted_where_they_have_to_be() {
        for (text, yaml) in [
            ("ada@example.com", "ada@example.com"),
            ("Staff in FR", "Staff in FR"),
            ("24h", "\"24h\""),
            ("no", "\"no\""),
            ("a: b", "\"a: b\""),
            ("Größe", "\"Größe\""),
            ("a\nb", "\"a\\U0000000Ab\""),
            ("", "\"\""),
        ] {
            assert_eq!(scalar(text), yaml);
        }
    }
}
