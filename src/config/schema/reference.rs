//! The configuration reference: a page of Markdown.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::json_schema::UNBOUNDED;
use super::shape::{Acceptance, Key, Level, OtherKeys, Presence, Shape};
use crate::clock::GoDuration;
use crate::config::Config;
use crate::config::load::Root;

impl Config {
    /// Returns the configuration reference as Markdown: every key with its type, bounds, default and an
    /// example, and what Cloudflare calls it.
    ///
    /// It is the page `tower_access::_guide::configuration`, and is made from the tables by which files
    /// are read. [`json_schema`](Self::json_schema) has the same for editors.
    ///
    /// ```
    /// use tower_access::config::Config;
    ///
    /// assert!(Config::reference().contains("**`public_port`**: whole number, 1 to 65535"));
    /// ```
    #[must_use]
    pub fn reference() -> String {
        let mut page = Page { text: INTRODUCTION.to_owned(), described: BTreeSet::new() };
        page.contents(Root::LEVEL, 0);
        page.described.clear();
        page.section(Root::LEVEL);
        page.text
    }
}

struct Page {
    text: String,
    /// The paths of levels that the page has already.
    described: BTreeSet<&'static str>,
}

impl Page {
    /// Lists the levels below a level.
    fn contents(&mut self, level: &Level, depth: usize) {
        if !self.described.insert(level.path) {
            return;
        }
        let indent = "  ".repeat(depth);
        self.line(format_args!("{indent}- {}", link(level)));
        for below in levels_below(level) {
            self.contents(below, depth + 1);
        }
    }

    /// Describes a level, then those below it.
    fn section(&mut self, level: &Level) {
        if !self.described.insert(level.path) {
            return;
        }
        let title = title(level);
        self.line(format_args!("\n## {title}\n"));
        let names = if has_names_of_cloudflare(level) { OF_CLOUDFLARE } else { "" };
        self.line(format_args!("{}{names}\n", escaped(level.summary.trim())));
        for key in level.keys {
            self.key(level, key, 0);
        }
        for others in level.others.chunk_by(|one, next| one.acceptance == next.acceptance) {
            self.others(others);
        }
        for below in levels_below(level) {
            self.section(below);
        }
    }

    fn key(&mut self, level: &Level, key: &Key, depth: usize) {
        let indent = "  ".repeat(depth);
        let shape = key.shape();
        let anchor = match level.path {
            "" => format!("file.{}", key.name),
            path => format!("{}.{}", path.replace("[]", ""), key.name),
        };
        self.line(format_args!(
            "{indent}- <a id=\"{anchor}\"></a>**`{}`**: {}{}{}.\\",
            key.name,
            value(key, &shape),
            omitted(key.presence),
            called(level, key),
        ));
        let summary = escaped(key.summary.trim());
        if depth > 0 {
            // The example is the one of the selector.
            self.line(format_args!("{indent}  {summary}"));
            return;
        }
        self.line(format_args!("{indent}  {summary}\\"));
        self.line(format_args!("{indent}  `{}: {}`", key.name, key.example));
        // Another spelling of a selector has the same keys.
        if let Shape::Mapping(value) = shape
            && is_short(value)
            && value.path == anchor
        {
            for key in value.keys {
                self.key(value, key, depth + 1);
            }
        }
    }

    /// Lists keys that have no effect or must not be used.
    fn others(&mut self, others: &[OtherKeys]) {
        let Some(OtherKeys { acceptance, .. }) = others.first() else { return };
        let names = others.iter().flat_map(|others| others.names);
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        let (reason, meaning) = match *acceptance {
            Acceptance::Ignored(reason) => (reason, "accepted, without effect".to_owned()),
            Acceptance::Off(reason) => (reason, format!("accepted only if {OFF}")),
            Acceptance::OffBy { reason, key, value } => {
                (reason, format!("accepted only if {OFF}, or with `{key}: {value}`"))
            }
            Acceptance::OffOr { reason, text } => {
                (reason, format!("accepted only if {OFF}, or as `{text}`"))
            }
            Acceptance::False(reason) => (reason, "accepted only as `false` or null".to_owned()),
            Acceptance::Refused(reason) => (reason, "never accepted".to_owned()),
        };
        self.line(format_args!("- {}: {meaning}: {}.", names.join(", "), escaped(reason)));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.text, "{line}");
    }
}

/// Returns the levels that the keys of a level lead to, without those that are described in place.
fn levels_below(level: &Level) -> Vec<&'static Level> {
    fn collect(shape: &Shape, found: &mut Vec<&'static Level>) {
        match shape {
            Shape::Mapping(level) if !is_short(level) => found.push(level),
            Shape::List(shape) | Shape::OrNull(shape) => collect(shape, found),
            Shape::Map { values, .. } => collect(values, found),
            Shape::AnyOf(shapes) => shapes.iter().for_each(|shape| collect(shape, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for key in level.keys {
        collect(&key.shape(), &mut found);
    }
    found
}

/// Whether a level is described where it is used: the values of selectors.
fn is_short(level: &Level) -> bool {
    level.path.starts_with("rule.")
}

fn title(level: &Level) -> String {
    match level.path {
        "" => "The file".into(),
        "rule" => "Rules".into(),
        path => format!("`{path}`"),
    }
}

/// Links to the section of a level, by the anchor that renderers of Markdown derive from its title.
fn link(level: &Level) -> String {
    let title = title(level);
    let is_kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ');
    let anchor: String = title.chars().filter(is_kept).collect();
    format!("[{title}](#{})", anchor.to_lowercase().replace(' ', "-"))
}

/// Says what a key accepts, with its unit.
fn value(key: &Key, shape: &Shape) -> String {
    let unit = match shape {
        Shape::Integer { .. } => unit(key.name),
        _ => "",
    };
    format!("{}{unit}", described(shape))
}

/// The unit of a number, which the names of keys contain.
fn unit(key: &str) -> &'static str {
    let has = |word: &str| key.split('_').any(|part| part == word);
    match () {
        () if has("bytes") => " bytes",
        () if has("digits") => " digits",
        () if has("bits") => " bits",
        () if has("age") => " seconds",
        () => "",
    }
}

fn described(shape: &Shape) -> String {
    match shape {
        Shape::Switch => "`true` or `false`".into(),
        Shape::Integer { min, max } if min == max => format!("`{min}`"),
        Shape::Integer { min, max } if *max >= i64::from(u32::MAX) && *max < 1 << 40 => {
            format!("whole number from {min}")
        }
        Shape::Integer { min, max } => format!("whole number, {min} to {max}"),
        Shape::Duration { max, .. } if *max >= UNBOUNDED => "duration".into(),
        Shape::Duration { min, max } => {
            format!("duration, `{}` to `{}`", GoDuration::from(*min), GoDuration::from(*max))
        }
        Shape::Text { form, .. } => (*form).into(),
        Shape::Choice(texts) => {
            let texts = texts.iter().map(|text| match *text {
                "" => EMPTY.to_owned(),
                text => format!("`{text}`"),
            });
            alternatives(&texts.collect::<Vec<_>>())
        }
        Shape::List(entries) if matches!(**entries, Shape::Mapping(_)) => {
            described(entries).replacen("mapping", "list of mappings", 1)
        }
        Shape::List(entries) => format!("list of: {}", described(entries)),
        Shape::Mapping(level) if level.keys.is_empty() => "`{}`".into(),
        Shape::Mapping(level) if is_short(level) => "mapping".into(),
        Shape::Mapping(level) => format!("mapping, see {}", link(level)),
        Shape::Map { keys, values } => {
            format!("mapping from {keys} to {}", described(values))
        }
        Shape::AnyOf(shapes) => alternatives(&shapes.iter().map(described).collect::<Vec<_>>()),
        Shape::OrNull(shape) => described(shape),
        Shape::Off(_) => OFF.into(),
    }
}

fn alternatives(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn omitted(presence: Presence) -> String {
    match presence {
        Presence::Required => "; **required**".into(),
        Presence::Default("") | Presence::NotNull("") => String::new(),
        Presence::Default(text) | Presence::NotNull(text) => {
            let quoted = text.strip_prefix('\'').and_then(|it| it.strip_suffix('\''));
            let (is_quoted, text) = (quoted.is_some(), quoted.unwrap_or(text));
            let is_value = !text.contains(' ') || text.starts_with(['[', '{']);
            let is_value = is_quoted
                || is_value
                    && !matches!(text, "none" | "off" | "any" | "unknown" | "never" | "now");
            let text = if is_value { format!("`{text}`") } else { escaped(text) };
            format!("; default: {text}")
        }
    }
}

/// Whether the section says once that Cloudflare has the same names.
fn has_names_of_cloudflare(level: &Level) -> bool {
    level.keys.iter().all(|key| key.cloudflare == Some(key.name)) && level.keys.len() > 1
}

fn called(level: &Level, key: &Key) -> String {
    match key.cloudflare {
        None => String::new(),
        Some(_) if has_names_of_cloudflare(level) || is_short(level) => String::new(),
        Some(name) if name == key.name => "; the same at Cloudflare".into(),
        Some(name) => format!("; at Cloudflare: `{name}`"),
    }
}

/// Escapes what Markdown would take for links and emphasis, except in code.
fn escaped(text: &str) -> String {
    let mut in_code = false;
    let mut escaped = String::new();
    for c in text.chars() {
        in_code ^= c == '`';
        if !in_code && matches!(c, '[' | ']' | '<' | '>' | '*') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

const EMPTY: &str = "an empty text";
const OF_CLOUDFLARE: &str = " The keys have the same names at Cloudflare.";
const OFF: &str = "switched off: `false`, empty or null";
const INTRODUCTION: &str = "\
<!-- Generated from the tables in src/config: see tests/schema. -->

# Configuration reference

Every key of the configuration file. `proxy schema` prints the same as a JSON Schema for editors: write it
to `access.schema.json`, and begin the file with `# yaml-language-server: $schema=access.schema.json`.

- A key that is not listed here is an error. A key that is null is omitted, unless it is required.
- A *duration* has Go's form: numbers with the units `h`, `m`, `s`, `ms`, `us` and `ns`, such as `1h30m`.
- In every text, `${NAME}` stands for an environment variable. Numbers, switches and keys are always
  written in the file itself.
- *At Cloudflare* means the objects of Cloudflare's API, and the file of cloudflared.

## Contents

";
