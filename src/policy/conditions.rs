//! The rules under which a policy applies and a group holds.

use std::fmt;

use serde::Serialize;

use super::rule::Rule;

/// The three lists of rules of a policy or a group.
///
/// They hold for a request when one rule of `include` holds, every rule of `require`, and no rule of
/// `exclude`. Without a rule in `include` they never hold. [`Policy`](super::Policy) and
/// [`Group`](super::Group) have a method for each list; several rules at once go in here:
///
/// ```
/// use tower_access::policy::{Conditions, Group, Rule};
///
/// let mut office = Group::new("office").exclude(Rule::ip("192.0.2.9")?);
/// office.conditions.include = vec![Rule::ip("192.0.2.0/24")?, Rule::ip("2001:db8::/32")?];
/// assert_eq!(office.conditions.rules().count(), 3);
///
/// let everyone = Conditions { include: vec![Rule::everyone()], ..Conditions::default() };
/// # Ok::<(), tower_access::policy::RuleError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Conditions {
    /// One of these holds.
    pub include: Vec<Rule>,
    /// All of these hold.
    pub require: Vec<Rule>,
    /// None of these holds.
    pub exclude: Vec<Rule>,
}

impl Conditions {
    /// Returns the rules of all three lists: `include`, `require`, `exclude`.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.lists().into_iter().flat_map(|(_, rules)| rules)
    }

    /// Returns the lists in the order in which they are written.
    pub(crate) fn lists(&self) -> [(RuleList, &[Rule]); 3] {
        let Self { include, require, exclude } = self;
        [(RuleList::Include, include), (RuleList::Require, require), (RuleList::Exclude, exclude)]
    }

    /// Returns the rules with the list each is in, and its number there.
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

    /// Returns the key of the list on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Include => "include",
            Self::Require => "require",
            Self::Exclude => "exclude",
        }
    }

    /// Returns whether a rule in this list keeps people out of a policy that refuses or lets in, or
    /// of what refers to a group: more get in when it is never met.
    pub(crate) fn keeps_out(self, refuses: bool) -> bool {
        refuses != (self == Self::Exclude)
    }
}

impl fmt::Display for RuleList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
