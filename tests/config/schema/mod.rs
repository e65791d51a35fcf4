//! The JSON Schema and the configuration reference agree with the reader of files.

mod found_files;
mod levels;
mod wrong_files;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;
use tower_access::config::{Config, Environment};

/// The schema, with an independent validator.
struct Schema {
    json: Value,
    compiled: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn new() -> Self {
        let json: Value = serde_json::from_str(&Config::json_schema()).unwrap();
        let id = json["$id"].as_str().unwrap().to_owned();
        let (mut compiler, mut compiled) = (Compiler::new(), Schemas::new());
        compiler.add_resource(&id, json.clone()).unwrap();
        let index = compiler.compile(&id, &mut compiled).unwrap();
        Self { json, compiled, index }
    }

    fn check(&self, file: &Value) -> Result<(), String> {
        self.compiled.validate(file, self.index).map_err(|error| format!("{error:#}"))
    }
}

/// Reads a file with the variables that examples name.
fn read(text: &str) -> Result<Config, String> {
    let secret = "6f1ed002ab5595859014ebf0951522d9";
    let environment = Environment::empty()
        .with("ADMIN_TOKEN", secret)
        .with("SMTP_PASSWORD", secret)
        .with("ID_SECRET", secret)
        .with("MAIL_TOKEN", secret);
    Config::parse_with(text, "f", &environment).map_err(|errors| errors.to_string())
}

/// Parses YAML as the reader does.
fn yaml(text: &str) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).unwrap()
}

#[test]
fn the_schema_is_one_of_draft_2020_12() {
    let schema = Schema::new();
    let draft = schema.json["$schema"].as_str().unwrap();
    assert_eq!(draft, "https://json-schema.org/draft/2020-12/schema");
    let (mut compiler, mut compiled) = (Compiler::new(), Schemas::new());
    let index = compiler.compile(draft, &mut compiled).unwrap();
    compiled.validate(&schema.json, index).unwrap();
    check_keywords(&schema.json);
}

/// A misspelt keyword of a schema would have no effect.
fn check_keywords(schema: &Value) {
    let Some(fields) = schema.as_object() else { return };
    for (keyword, value) in fields {
        match keyword.as_str() {
            "properties" | "$defs" => {
                value.as_object().unwrap().values().for_each(check_keywords);
            }
            "allOf" | "anyOf" | "oneOf" => {
                value.as_array().unwrap().iter().for_each(check_keywords);
            }
            "items" | "additionalProperties" | "not" | "if" | "then" | "else" => {
                check_keywords(value);
            }
            "$schema" | "$id" | "$ref" | "title" | "description" | "default" | "examples"
            | "type" | "enum" | "const" | "pattern" | "minimum" | "maximum" | "minItems"
            | "minLength" | "minProperties" | "maxProperties" | "required" => {}
            unknown => panic!("the keyword {unknown}"),
        }
    }
}

/// `UPDATE_REFERENCE=1 cargo test --features full --test config schema::` writes the page.
#[test]
fn the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/_guide/configuration.md");
    let page = Config::reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).is_ok_and(|written| written == page),
        "{path} differs from the tables; run UPDATE_REFERENCE=1 cargo test --features full --test \
         config schema::, and read the difference"
    );
}

#[test]
fn the_reference_has_every_key() {
    let schema = Schema::new();
    let page = Config::reference();
    let levels = schema.json["$defs"].as_object().unwrap().iter();
    let levels = levels.map(|(name, level)| (name.as_str(), level));
    for (level, description) in levels.chain([("file", &schema.json)]) {
        for (key, property) in description["properties"].as_object().unwrap() {
            let words = property["description"].as_str().unwrap_or_default();
            assert!(words.len() > 10, "{level}.{key} is described");
            let is_there = if property["examples"].is_null() {
                page.contains(&format!("`{key}`"))
            } else {
                page.contains(&format!("<a id=\"{level}.{key}\"></a>**`{key}`**: "))
            };
            assert!(is_there, "{level}.{key}");
        }
    }
    for link in page.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        let is_title = |line: &str| {
            let is_kept = |c: &char| c.is_alphanumeric() || "_- ".contains(*c);
            let title = line.strip_prefix("## ").map(|it| it.chars().filter(is_kept).collect());
            title.is_some_and(|it: String| it.to_lowercase().replace(' ', "-") == link)
        };
        assert!(page.lines().any(is_title), "#{link}");
    }
}
