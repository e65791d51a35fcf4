//! Hints for selectors whose value is not a mapping.

use crate::policy::{Selector, SelectorValue};

use super::tree::{Node, Value};

/// Returns the error for a selector whose value is not a mapping; `None` for other keys.
pub(super) fn hint(key: &str, node: &Node) -> Option<String> {
    let selector = Selector::from_key(key)?;
    if matches!(node.value, Value::Mapping(_)) {
        return None;
    }
    let found = node.value.kind();
    let shape = match selector.value() {
        SelectorValue::Nothing => format!("{key}: {{}}"),
        SelectorValue::Text(field) => {
            let value = node.text().filter(|text| is_plain(text)).unwrap_or("…");
            format!("{key}: {{ {field}: {value} }}")
        }
        SelectorValue::Fields(fields) => format!("{key}: {{ {fields} }}"),
    };
    Some(format!("found {found}, expected a mapping; write `{shape}`"))
}

/// Whether YAML reads a text unchanged without quotes.
pub(super) fn is_plain(text: &str) -> bool {
    (1..=80).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@._-/".contains(&byte))
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}
