//! The JSON Schema of the file, for editors.

mod constraints;
mod value;

use serde_json::{Map, Value, json};

use self::constraints::constraints;
use self::value::{default_value, yaml};
use super::shape::{Acceptance, Key, Level, Presence, Shape};
use crate::clock::GoDuration;
use crate::config::Config;
use crate::config::load::Root;

impl Config {
    /// Returns the JSON Schema (draft 2020-12) of the configuration file, as indented JSON.
    ///
    /// Editors complete, explain and check keys and values with it. It is made from the tables by which
    /// files are read: it has each key with its type, bounds, default and example, and no other. It
    /// accepts each file that [`Config::parse`] accepts; what depends on several parts of a file, or on
    /// the length of a duration, only [`Config::parse`] and `proxy check` find.
    ///
    /// With the schema in `access.schema.json` (`proxy schema > access.schema.json`), this line at the
    /// beginning of a file is enough for editors with the YAML language server:
    ///
    /// ```yaml
    /// # yaml-language-server: $schema=access.schema.json
    /// ```
    ///
    /// ```
    /// use tower_access::config::Config;
    ///
    /// let schema: serde_json::Value = serde_json::from_str(&Config::json_schema())?;
    /// assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    /// assert_eq!(schema["properties"]["public_port"]["maximum"], 65_535);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn json_schema() -> String {
        format!("{:#}", document(Root::LEVEL))
    }
}

fn document(root: &Level) -> Value {
    let mut definitions = Definitions::default();
    let mut schema = definitions.level(root);
    schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    schema.insert("$id".into(), ID.into());
    schema.insert("title".into(), "Configuration of tower-access".into());
    schema.insert("$defs".into(), Value::Object(definitions.0));
    Value::Object(schema)
}

/// The levels that were described so far, by name.
#[derive(Default)]
struct Definitions(Map<String, Value>);

impl Definitions {
    /// Returns a reference to a level, and defines it.
    fn reference(&mut self, level: &Level) -> Value {
        let name = level.path.replace("[]", "");
        let reference = json!({ "$ref": format!("#/$defs/{name}") });
        if !self.0.contains_key(&name) {
            // Before its keys, so that it is defined once.
            self.0.insert(name.clone(), Value::Null);
            let schema = self.level(level);
            self.0.insert(name, Value::Object(schema));
        }
        reference
    }

    fn level(&mut self, level: &Level) -> Map<String, Value> {
        let mut properties = Map::new();
        for key in level.keys {
            properties.insert(key.name.into(), self.property(key));
        }
        for others in level.others {
            for name in others.names {
                if let Some(schema) = accepted(others.acceptance) {
                    properties.insert((*name).into(), schema);
                }
            }
        }
        let is_required = |key: &&Key| key.presence == Presence::Required;
        let required: Vec<&str> =
            level.keys.iter().filter(is_required).map(|key| key.name).collect();
        let mut schema = Map::new();
        schema.insert("type".into(), "object".into());
        schema.insert("description".into(), level.summary.trim().into());
        schema.insert("properties".into(), Value::Object(properties));
        schema.insert("additionalProperties".into(), false.into());
        if !required.is_empty() {
            schema.insert("required".into(), required.into());
        }
        if let Some(constraints) = constraints(level.path) {
            schema.insert("allOf".into(), constraints.into());
        }
        schema
    }

    fn property(&mut self, key: &Key) -> Value {
        let shape = key.shape();
        let schema = self.shape(&shape);
        let schema = match key.presence {
            Presence::Default(_) => or_null(schema),
            Presence::NotNull(_) | Presence::Required => schema,
        };
        let Value::Object(mut schema) = schema else { return schema };
        let mut description = vec![key.summary.trim().to_owned()];
        if let Some(values) = explained(&shape) {
            description.push(values);
        }
        if let Presence::Default(text) | Presence::NotNull(text) = key.presence {
            match default_value(text, &shape) {
                Some(value) => drop(schema.insert("default".into(), value)),
                None if text.is_empty() => {}
                None => description.push(format!("Default: {text}.")),
            }
        }
        if let Some(name) = key.cloudflare.filter(|name| *name != key.name) {
            description.push(format!("Called `{name}` by Cloudflare."));
        }
        schema.insert("description".into(), description.join("\n\n").into());
        if let Some(example) = yaml(key.example) {
            schema.insert("examples".into(), vec![example].into());
        }
        Value::Object(schema)
    }

    fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Switch => json!({ "type": "boolean" }),
            Shape::Integer { min, max } => {
                json!({ "type": "integer", "minimum": min, "maximum": max })
            }
            Shape::Duration { .. } => matching(DURATION),
            Shape::Text { pattern: None, .. } => json!({ "type": "string" }),
            Shape::Text { pattern: Some("."), .. } => json!({ "type": "string", "minLength": 1 }),
            // A secret: always from the environment.
            Shape::Text { pattern: Some(pattern), .. } if pattern.starts_with(r"^\$") => {
                json!({ "type": "string", "pattern": pattern })
            }
            Shape::Text { pattern: Some(pattern), .. } => matching(pattern),
            Shape::Choice(texts) => json!({
                "anyOf": [{ "enum": texts }, { "type": "string", "pattern": VARIABLE }],
            }),
            Shape::List(entries) => {
                json!({ "type": "array", "items": self.shape(entries) })
            }
            Shape::Mapping(level) => self.reference(level),
            Shape::Map { values, .. } => {
                let values = self.shape(values);
                json!({ "type": "object", "additionalProperties": values })
            }
            Shape::AnyOf(shapes) => {
                let schemas = shapes.iter().map(|shape| self.shape(shape));
                let schemas = schemas.flat_map(|schema| match schema {
                    Value::Object(mut schema) if schema.contains_key("anyOf") => schema
                        .remove("anyOf")
                        .and_then(|one| one.as_array().cloned())
                        .unwrap_or_default(),
                    schema => vec![schema],
                });
                json!({ "anyOf": schemas.collect::<Vec<_>>() })
            }
            Shape::OrNull(shape) => or_null(self.shape(shape)),
            Shape::Off(reason) => described(off(), format!("Switched off: {reason}.")),
        }
    }
}

/// Describes a key without effect; `None` if it is never accepted.
fn accepted(acceptance: Acceptance) -> Option<Value> {
    let (schema, description) = match acceptance {
        Acceptance::Ignored(reason) => (json!({}), format!("Without effect: {reason}.")),
        Acceptance::Off(reason) => (off(), format!("Only switched off: {reason}.")),
        Acceptance::OffBy { reason, key, value } => {
            let by = json!({
                "type": "object",
                "properties": { key: { "const": value } },
                "required": [key],
            });
            (json!({ "anyOf": [off(), by] }), format!("Only switched off: {reason}."))
        }
        Acceptance::OffOr { reason, text } => (
            json!({ "anyOf": [off(), { "const": text }] }),
            format!("Only switched off, or `{text}`: {reason}."),
        ),
        Acceptance::False(reason) => {
            (json!({ "enum": [null, false] }), format!("Only `false`: {reason}."))
        }
        Acceptance::Refused(_) => return None,
    };
    Some(described(schema, description))
}

fn described(mut schema: Value, description: String) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("description".into(), description.into());
    }
    schema
}

/// What switches something off.
fn off() -> Value {
    json!({ "enum": [null, false, 0, "", [], {}] })
}

/// A text that matches, or has an environment variable in it.
fn matching(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": format!("{pattern}|{VARIABLE}") })
}

/// Accepts null as well.
fn or_null(mut schema: Value) -> Value {
    let Some(fields) = schema.as_object_mut() else { return schema };
    if let Some(Value::Array(forms)) = fields.get_mut("anyOf") {
        forms.push(json!({ "type": "null" }));
    } else if let Some(kind) = fields.get_mut("type") {
        *kind = json!([kind, "null"]);
    } else if let Some(reference) = fields.remove("$ref") {
        return json!({ "anyOf": [{ "$ref": reference }, { "type": "null" }] });
    }
    schema
}

/// Says in words what a schema cannot.
fn explained(shape: &Shape) -> Option<String> {
    match shape {
        Shape::Duration { min, max } if *max < UNBOUNDED => Some(format!(
            "A duration from {} to {}.",
            GoDuration::from(*min),
            GoDuration::from(*max)
        )),
        Shape::Duration { .. } => Some("A duration.".into()),
        Shape::AnyOf(shapes) => shapes.iter().find_map(explained),
        _ => None,
    }
}

/// Durations of Go. `1h30m`.
const DURATION: &str = "^(0|([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h)\
                        (([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))*)$";
/// A variable of the environment, anywhere in a text; or `$${`, which stands for `${`.
const VARIABLE: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}|\$\$\{";
/// The longest duration: no bound of its own.
pub(super) const UNBOUNDED: std::time::Duration =
    std::time::Duration::from_secs(100 * 365 * 86_400);
const ID: &str = "urn:tower-access:configuration";
