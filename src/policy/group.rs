//! Rule groups.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::conditions::Conditions;
use super::object::Object;
use super::rule::Rule;

/// A named `include`, `require`, `exclude` that rules refer to by id (section 8.7).
///
/// Groups may refer to groups; a circle is refused when the policies are compiled. A group with an
/// empty `include` matches nobody.
///
/// ```
/// use tower_access::policy::{Group, Rule};
///
/// let office = Group::new("office").include(Rule::ip("192.0.2.0/24")?);
/// # Ok::<(), tower_access::policy::RuleError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Object<Document>")]
pub struct Group {
    /// What rules refer to; the name when the id is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    /// What people call it.
    pub name: Box<str>,
    /// When it holds.
    #[serde(flatten)]
    pub conditions: Conditions,
}

impl Group {
    /// A group without rules; its id is its name.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self { id: None, name: name.into(), conditions: Conditions::default() }
    }

    /// Adds to `include`.
    #[must_use]
    pub fn include(mut self, rule: Rule) -> Self {
        self.conditions.include.push(rule);
        self
    }

    /// Adds to `require`.
    #[must_use]
    pub fn require(mut self, rule: Rule) -> Self {
        self.conditions.require.push(rule);
        self
    }

    /// Adds to `exclude`.
    #[must_use]
    pub fn exclude(mut self, rule: Rule) -> Self {
        self.conditions.exclude.push(rule);
        self
    }

    /// What rules refer to.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }
}

/// A group on the wire, with the keys of an export that say nothing about access.
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
