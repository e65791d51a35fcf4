//! Rule groups.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::conditions::Conditions;
use super::object::Object;
use super::rule::Rule;

/// A named `include`, `require`, `exclude` that rules refer to by id (section 8.7).
///
/// Groups may refer to groups; compiling fails if they form a cycle. A group with an empty `include`
/// matches no request.
///
/// ```
/// use tower_access::policy::{Group, Rule};
///
/// let office = Group::new("office").include(Rule::ip("192.0.2.0/24")?);
/// # Ok::<(), tower_access::policy::RuleError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Object<Document>")]
#[non_exhaustive]
pub struct Group {
    /// The id that rules refer to. Default: the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    /// The display name.
    pub name: Box<str>,
    /// The rules under which the group matches.
    #[serde(flatten)]
    pub conditions: Conditions,
}

impl Group {
    /// Creates a group without rules, whose id is its name.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self { id: None, name: name.into(), conditions: Conditions::default() }
    }

    /// Sets the id that rules refer to. Default: the name.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Replaces all rules.
    #[must_use]
    pub fn with_conditions(mut self, conditions: Conditions) -> Self {
        self.conditions = conditions;
        self
    }

    /// Adds a rule to `include`.
    #[must_use]
    pub fn include(mut self, rule: Rule) -> Self {
        self.conditions.include.push(rule);
        self
    }

    /// Adds a rule to `require`.
    #[must_use]
    pub fn require(mut self, rule: Rule) -> Self {
        self.conditions.require.push(rule);
        self
    }

    /// Adds a rule to `exclude`.
    #[must_use]
    pub fn exclude(mut self, rule: Rule) -> Self {
        self.conditions.exclude.push(rule);
        self
    }

    /// Returns the id that rules refer to: the name if it has none.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }
}

/// A group in JSON or YAML, with the exported keys that do not affect access.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "a rule group")]
struct Document {
    #[serde(default)]
    id: Option<Box<str>>,
    name: Box<str>,
    include: Vec<Rule>,
    #[serde(default)]
    require: Vec<Rule>,
    #[serde(default)]
    exclude: Vec<Rule>,
    #[serde(default, rename = "is_default")]
    _is_default: IgnoredAny,
    #[serde(default, rename = "created_at")]
    _created_at: IgnoredAny,
    #[serde(default, rename = "updated_at")]
    _updated_at: IgnoredAny,
}

impl From<Object<Document>> for Group {
    fn from(Object(document): Object<Document>) -> Self {
        let Document { id, name, include, require, exclude, .. } = document;
        Self { id, name, conditions: Conditions { include, require, exclude } }
    }
}
