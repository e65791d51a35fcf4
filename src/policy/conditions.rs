//! The rules under which a policy applies and a group holds.

use std::fmt;

use serde::Serialize;

use super::rule::Rule;

/// The three lists of rules of a policy or a group.
///
/// They are met if at least one rule of `include`, every rule of `require` and no rule of `exclude`
/// is met. Without a rule in `include` they are never met. [`Policy`](super::Policy) and
/// [`Group`](super::Group) have a method for each list; assign a field to set several rules at once:
///
/// ```
/// use tower_access::policy::{Conditions, Group, Rule};
///
/// let mut office = Group::new("office").exclude(Rule::ip("192.0.2.9")?);
/// office.conditions.include = vec![Rule::ip("192.0.2.0/24")?, Rule::ip("2001:db8::/32")?];
/// assert_eq!(office.conditions.rules().count(), 3);
///
/// let everyone = Conditions::default().include(Rule::everyone());
/// # Ok::<(), tower_access::policy::RuleError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Conditions {
    /// At least one of these must be met.
    pub include: Vec<Rule>,
    /// All of these must be met.
    pub require: Vec<Rule>,
    /// None of these may be met.
    pub exclude: Vec<Rule>,
}

impl Conditions {
    /// Adds a rule to `include`.
    #[must_use]
    pub fn include(mut self, rule: Rule) -> Self {
        self.include.push(rule);
        self
    }

    /// Adds a rule to `require`.
    #[must_use]
    pub fn require(mut self, rule: Rule) -> Self {
        self.require.push(rule);
        self
    }

    /// Adds a rule to `exclude`.
    #[must_use]
    pub fn exclude(mut self, rule: Rule) -> Self {
        self.exclude.push(rule);
        self
    }

    /// Returns the rules of all three lists: `include`, `require`, `exclude`.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.lists().into_iter().flat_map(|(_, rules)| rules)
    }

    /// Returns the lists in the order in which they are written.
    pub(crate) fn lists(&self) -> [(RuleList, &[Rule]); 3] {
        let Self { include, require, exclude } = self;
        [(RuleList::Include, include), (RuleList::Require, require), (RuleList::Exclude, exclude)]
    }

    /// Returns the rules, each with its list and its position there.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (RuleList, usize, &Rule)> {
        self.lists().into_iter().flat_map(|(list, rules)| {
            rules.iter().enumerate().map(move |(number, rule)| (list, number, rule))
        })
    }

    /// Returns the list of this name.
    #[cfg(feature = "config")]
    pub(crate) fn list_mut(&mut self, list: RuleList) -> &mut Vec<Rule> {
        match list {
            RuleList::Include => &mut self.include,
            RuleList::Require => &mut self.require,
            RuleList::Exclude => &mut self.exclude,
        }
    }
}

/// One of the lists of [`Conditions`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum RuleList {
    Include,
    Require,
    Exclude,
}

impl RuleList {
    #[cfg(feature = "config")]
    pub(crate) const ALL: [Self; 3] = [Self::Include, Self::Require, Self::Exclude];

    /// Returns the key of the list in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Include => "include",
            Self::Require => "require",
            Self::Exclude => "exclude",
        }
    }

    /// Returns whether meeting a rule of this list restricts access. `refuses`: whether the policy, or
    /// the rule that refers to the group, does so when met.
    pub(crate) fn is_restrictive(self, refuses: bool) -> bool {
        refuses != (self == Self::Exclude)
    }
}

impl fmt::Display for RuleList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
