//! What the policies of an application say, with all they refer to.

use std::collections::BTreeMap;

use crate::policy::{Definitions, Group, List, Policies, Policy, Rule};

/// The policies of an application as written, with the groups and lists they refer to.
///
/// Two that are equal decide alike.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Reach<'a> {
    policies: &'a [Policy],
    /// By the name that rules use.
    groups: BTreeMap<&'a str, &'a Group>,
    lists: BTreeMap<&'a str, &'a List>,
}

impl<'a> Reach<'a> {
    pub(super) fn of(policies: &'a Policies) -> Self {
        let mut reach = Self { policies: policies.documents(), ..Self::default() };
        let definitions = policies.definitions();
        let rules = reach
            .policies
            .iter()
            .flat_map(|one| [&one.include, &one.require, &one.exclude].into_iter().flatten());
        let mut left: Vec<&Rule> = rules.collect();
        while let Some(rule) = left.pop() {
            left.extend(reach.follow(rule, definitions));
        }
        reach
    }

    /// The rules of a group that was not known yet.
    fn follow(&mut self, rule: &'a Rule, definitions: &'a Definitions) -> Vec<&'a Rule> {
        match rule {
            Rule::Group(name) if !self.groups.contains_key(&**name) => {
                let Some(group) = definitions.group(name) else { return Vec::new() };
                self.groups.insert(name, group);
                [&group.include, &group.require, &group.exclude].into_iter().flatten().collect()
            }
            Rule::EmailList(name) | Rule::IpList(name) => {
                if let Some(list) = definitions.list(name) {
                    self.lists.insert(name, list);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// The lists of rules of which one has to hold. What decides about a request is which of these
    /// hold, and nothing else.
    pub(super) fn alternatives(&self) -> impl Iterator<Item = &'a [Rule]> {
        let policies = self.policies.iter().map(|one| (&one.include, &one.require, &one.exclude));
        let groups = self.groups.values().map(|one| (&one.include, &one.require, &one.exclude));
        policies.chain(groups).flat_map(|(include, require, exclude)| {
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
