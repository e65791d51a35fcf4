//! `${NAME}`: variables of the environment in values.
//!
//! They are expanded once, when the file is read, after it was parsed: the value of a variable is one
//! text whatever it contains, and cannot add a key or an entry. Keys are not expanded.

use std::collections::BTreeMap;
use std::fmt;

use super::de::{item_path, key_path};
use super::error::Problem;
use super::redaction::Redaction;
use super::tree::{MAX_FILE_BYTES, Node, Value};

/// The variables that `${NAME}` in the values of a file refers to.
///
/// ```
/// use tower_access::config::{Config, Environment};
///
/// let text = "
/// access:
///   mail: console
///   applications:
///     - name: Wiki
///       domain: wiki.${DOMAIN}
///       policies: [ { name: Staff, decision: allow, include: [ { email_domain: { domain: $DOMAIN } } ] } ]
/// ".replace("$DOMAIN }", "'${DOMAIN}' }");
/// let environment = Environment::empty().with("DOMAIN", "example.com");
/// let config = Config::parse_with(&text, "access.yml", &environment)?;
/// assert_eq!(config.access.applications[0].destinations()[0].to_string(), "wiki.example.com");
/// # Ok::<(), tower_access::config::ConfigErrors>(())
/// ```
#[derive(Clone, Default)]
pub struct Environment(Variables);

#[derive(Clone)]
enum Variables {
    Process,
    Given(BTreeMap<String, String>),
}

impl Default for Variables {
    fn default() -> Self {
        Self::Given(BTreeMap::new())
    }
}

impl Environment {
    /// Uses the variables of this process, as they are when a file is read.
    #[must_use]
    pub fn from_process() -> Self {
        Self(Variables::Process)
    }

    /// Creates an environment without variables.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds a variable; those of the process no longer count.
    #[must_use]
    pub fn with(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let mut variables = match self.0 {
            Variables::Process => BTreeMap::new(),
            Variables::Given(variables) => variables,
        };
        variables.insert(name.into(), value.into());
        Self(Variables::Given(variables))
    }

    fn get(&self, name: &str) -> Result<String, Missing> {
        match &self.0 {
            Variables::Given(variables) => variables.get(name).cloned().ok_or(Missing::NotSet),
            Variables::Process => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => Missing::NotSet,
                std::env::VarError::NotUnicode(_) => Missing::NotText,
            }),
        }
    }
}

/// Prints names only: values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Variables::Process => f.write_str("Environment(process)"),
            Variables::Given(variables) => {
                f.write_str("Environment")?;
                f.debug_set().entries(variables.keys()).finish()
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Missing {
    NotSet,
    NotText,
}

/// Replaces `${NAME}` by the value of the variable, in every text below a node. Texts with errors stay as
/// they are.
pub(crate) fn expand(root: &mut Node, environment: &Environment) -> Expansion {
    let mut expansion =
        Expansion { problems: Vec::new(), hidden: Redaction::default(), bytes_left: MAX_BYTES };
    expansion.node(root, environment, &Path { parent: None, step: Step::Root });
    expansion
}

/// The result of expanding the texts of a file.
pub(crate) struct Expansion {
    pub(crate) problems: Vec<Problem>,
    pub(super) hidden: Redaction,
    /// Bytes that variables may still add.
    bytes_left: usize,
}

impl Expansion {
    fn node(&mut self, node: &mut Node, environment: &Environment, path: &Path<'_>) {
        match &mut node.value {
            Value::Text(text) => {
                if !text.contains("${") {
                    return;
                }
                match self.text(text, environment) {
                    Ok(expanded) => {
                        let written = std::mem::replace(text, expanded);
                        // A text may contain `$${` only.
                        if split(&written).is_ok_and(|pieces| pieces.iter().any(Piece::is_variable))
                        {
                            self.hidden.add_place(node.at, &written, text);
                            node.written = Some(written.into());
                        }
                    }
                    Err(message) => {
                        self.problems.push(Problem::new(Some(node.at), path.to_string(), message));
                        self.hidden.add_unread(node.at);
                    }
                }
            }
            Value::Sequence(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let step = Step::Item(index);
                    self.node(item, environment, &Path { parent: Some(path), step });
                }
            }
            Value::Mapping(entries) => {
                for entry in entries {
                    let step = Step::Key(&entry.key);
                    self.node(&mut entry.value, environment, &Path { parent: Some(path), step });
                }
            }
            Value::Null | Value::Boolean(_) | Value::Number(_) | Value::OtherNumber(_) => {}
        }
    }

    fn text(&mut self, text: &str, environment: &Environment) -> Result<String, String> {
        let mut expanded = String::new();
        for piece in split(text)? {
            match piece {
                Piece::Plain(plain) => expanded.push_str(plain),
                Piece::Variable(name) => {
                    let value = environment.get(name).map_err(|missing| missing.message(name))?;
                    self.bytes_left =
                        self.bytes_left.checked_sub(value.len()).ok_or_else(|| {
                            "variables of the environment make the file larger than 16 mebibytes"
                                .to_owned()
                        })?;
                    expanded.push_str(&value);
                    self.hidden.add_variable(name, &value);
                }
            }
            if expanded.len() > MAX_VALUE_BYTES {
                return Err(
                    "with the values of variables this is longer than 64 kibibytes; write it into \
                            a file where a key accepts one"
                        .to_owned(),
                );
            }
        }
        Ok(expanded)
    }
}

impl Missing {
    fn message(self, name: &str) -> String {
        match self {
            Self::NotSet => format!(
                "the environment variable `{name}` is not set; set it, or write `$${{` for the \
                 characters `${{` themselves"
            ),
            Self::NotText => format!("the environment variable `{name}` is not UTF-8 text"),
        }
    }
}

/// A part of a text.
#[derive(Debug, Eq, PartialEq)]
enum Piece<'t> {
    Plain(&'t str),
    Variable(&'t str),
}

impl Piece<'_> {
    fn is_variable(&self) -> bool {
        matches!(self, Self::Variable(_))
    }
}

/// Splits a text: `${NAME}` is a variable, `$${` stands for `${`.
fn split(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        let after = from.strip_prefix("${").unwrap_or_default();
        if let Some(before) = before.strip_suffix('$') {
            pieces.extend([Piece::Plain(before), Piece::Plain("${")]);
            rest = after;
            continue;
        }
        let name = after.split_once('}').filter(|(name, _)| is_name(name));
        let (name, behind) = name.ok_or(
            "`${` without the name of an environment variable; write `${NAME}`, or `$${` for the \
             characters themselves",
        )?;
        pieces.extend([Piece::Plain(before), Piece::Variable(name)]);
        rest = behind;
    }
    pieces.push(Piece::Plain(rest));
    Ok(pieces)
}

fn is_name(name: &str) -> bool {
    let has_valid_start = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    has_valid_start
        && name.len() <= MAX_NAME_BYTES
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a text consists of one variable.
pub(super) fn is_one_variable(written: &str) -> bool {
    written.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(is_name)
}

/// The path of a node, which is formatted only for errors.
struct Path<'p> {
    parent: Option<&'p Self>,
    step: Step<'p>,
}

enum Step<'p> {
    Root,
    Key(&'p str),
    Item(usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parent = self.parent.map(ToString::to_string).unwrap_or_default();
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) => f.write_str(&key_path(&parent, key)),
            Step::Item(index) => f.write_str(&item_path(&parent, index)),
        }
    }
}

const MAX_NAME_BYTES: usize = 128;
const MAX_VALUE_BYTES: usize = 64 << 10;
/// Bytes that variables add to a whole file, at most.
const MAX_BYTES: usize = MAX_FILE_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(yaml: &str, environment: &Environment) -> (Node, Vec<String>) {
        let mut node = Node::parse(yaml).unwrap();
        let expansion = expand(&mut node, environment);
        (node, expansion.problems.iter().map(ToString::to_string).collect())
    }

    fn given() -> Environment {
        Environment::empty().with("A", "one").with("_b2", "two: [ x ]\n- y").with("EMPTY", "")
    }

    #[test]
    fn cfg_08_a_value_stays_one_text_whatever_the_variable_holds() {
        for (yaml, text) in [
            ("v: ${A}", "one"),
            ("v: a ${A}, ${A}${_b2}", "a one, onetwo: [ x ]\n- y"),
            ("v: '${EMPTY}'", ""),
            ("v: $A $ $$ {A}", "$A $ $$ {A}"),
            ("v: $${A}", "${A}"),
            ("v: $$${A}", "$${A}"),
            ("v: '$${A}${A}'", "${A}one"),
            ("v: $${", "${"),
        ] {
            let (node, problems) = expanded(yaml, &given());
            assert_eq!(node.get("v").and_then(Node::text), Some(text), "{yaml} {problems:?}");
        }
        // What a variable holds is not looked through again.
        let nested = Environment::empty().with("A", "${B}").with("B", "x");
        assert_eq!(expanded("v: ${A}", &nested).0.get("v").and_then(Node::text), Some("${B}"));
    }

    #[test]
    fn keys_and_other_values_are_taken_as_they_are_written() {
        let (node, problems) = expanded("'${A}': 1\nb: [ 7, true, ~ ]", &given());
        assert!(problems.is_empty());
        assert!(node.get("${A}").is_some());
    }

    #[test]
    fn cfg_03_what_is_missing_is_said_with_its_place() {
        for (yaml, problem) in [
            ("a:\n  - b: x ${NO}", "2:8: a[0].b: the environment variable `NO` is not set;"),
            ("a: ${}", "1:4: a: `${` without the name"),
            ("a: '${1X}'", "1:4: a: `${` without the name"),
            ("a: '${A'", "1:4: a: `${` without the name"),
            ("a: '${A:-x}'", "1:4: a: `${` without the name"),
        ] {
            let (_, problems) = expanded(yaml, &given());
            assert_eq!(problems.len(), 1, "{yaml}");
            assert!(problems[0].starts_with(problem), "{problems:?}");
        }
    }

    #[test]
    fn dos_03_what_comes_out_of_variables_is_bounded() {
        let long = Environment::empty().with("L", "x".repeat(MAX_VALUE_BYTES));
        assert!(expanded("a: ${L}", &long).1.is_empty());
        assert!(expanded("a: ${L}.", &long).1[0].contains("longer than 64 kibibytes"));
        let many = format!("a: [ {} ]", vec!["'${L}'"; MAX_BYTES / MAX_VALUE_BYTES + 1].join(", "));
        let (_, problems) = expanded(&many, &long);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("larger than 16 mebibytes"));
    }
}
