//! Examples and defaults of the tables as JSON.

use serde_json::Value;

use crate::clock::GoDuration;
use crate::config::schema::shape::Shape;
use crate::config::tree::{self, Node};

/// Parses an example.
pub(super) fn yaml(text: &str) -> Option<Value> {
    Node::parse(&format!("v: {text}\n")).ok()?.get("v").map(json)
}

/// Returns the default if the words of a table are a value and not a description.
pub(super) fn default_value(text: &str, shape: &Shape) -> Option<Value> {
    yaml(text).filter(|value| is_value(text, value, shape))
}

fn is_value(text: &str, value: &Value, shape: &Shape) -> bool {
    match shape {
        Shape::Switch => value.is_boolean(),
        Shape::Integer { min, max } => {
            value.as_i64().is_some_and(|number| (*min..=*max).contains(&number))
        }
        Shape::Duration { .. } => {
            value.as_str().is_some_and(|text| text.parse::<GoDuration>().is_ok())
        }
        Shape::Text { .. } => text.starts_with('\'') && value.is_string(),
        Shape::Choice(texts) => value.as_str().is_some_and(|text| texts.contains(&text)),
        Shape::List(_) => value.is_array(),
        Shape::Map { .. } => value.is_object(),
        Shape::AnyOf(shapes) => shapes.iter().any(|shape| is_value(text, value, shape)),
        Shape::OrNull(shape) => is_value(text, value, shape),
        Shape::Mapping(_) | Shape::Off(_) => false,
    }
}

fn json(node: &Node) -> Value {
    match &node.value {
        tree::Value::Null => Value::Null,
        tree::Value::Boolean(on) => (*on).into(),
        tree::Value::Number(number) => (*number).into(),
        tree::Value::OtherNumber(number) => (*number).into(),
        tree::Value::Text(text) => text.as_str().into(),
        tree::Value::Sequence(items) => items.iter().map(json).collect(),
        tree::Value::Mapping(entries) => {
            let entries = entries.iter().map(|entry| (entry.key.clone(), json(&entry.value)));
            Value::Object(entries.collect())
        }
    }
}
