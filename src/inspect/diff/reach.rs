//! The policies of an application, with everything they refer to.

use std::collections::BTreeMap;

use crate::policy::{Conditions, Group, List, Policies, Policy, Rule, reachable_rules};

/// The policies of an application as written, with the groups and lists they refer to.
///
/// Equal values decide alike.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reach<'a> {
    policies: &'a [Policy],
    /// By the name that rules use.
    groups: BTreeMap<&'a str, &'a Group>,
    lists: BTreeMap<&'a str, &'a List>,
}

impl<'a> Reach<'a> {
    pub(super) fn new(policies: &'a Policies) -> Self {
        let mut reach = Self { policies: policies.documents(), ..Self::default() };
        let definitions = policies.definitions();
        let conditions = reach.policies.iter().map(|policy| &policy.conditions);
        for rule in reachable_rules(conditions, definitions) {
            if let Rule::Group(name) = rule {
                reach.groups.extend(definitions.group(name).map(|group| (&**name, group)));
            } else if let Rule::EmailList(name) | Rule::IpList(name) = rule {
                reach.lists.extend(definitions.list(name).map(|list| (&**name, list)));
            }
        }
        reach
    }

    /// Returns the lists of rules of which one must match. The decision depends only on which of these
    /// lists match.
    pub(super) fn alternatives(&self) -> impl Iterator<Item = &'a [Rule]> {
        let policies = self.policies.iter().map(|policy| &policy.conditions);
        let groups = self.groups.values().map(|group| &group.conditions);
        policies.chain(groups).flat_map(|Conditions { include, require, exclude }| {
            let required = require.iter().map(std::slice::from_ref);
            [include.as_slice(), exclude.as_slice()].into_iter().chain(required)
        })
    }

    pub(super) fn list(&self, name: &str) -> Option<&'a List> {
        self.lists.get(name).copied()
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &'a Group> {
        self.groups.values().copied()
    }

    pub(super) fn lists(&self) -> impl Iterator<Item = &'a List> {
        self.lists.values().copied()
    }
}
