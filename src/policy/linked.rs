//! The other applications that policies name.

use std::collections::{BTreeSet, HashSet};

use super::definitions::Definitions;
use super::document::Policy;
use super::group::Group;
use super::rule::Rule;

/// The applications that rules `linked_app_token` name, also through groups.
pub(crate) fn linked_names<'a>(
    policies: &'a [Policy],
    definitions: &'a Definitions,
) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    let mut seen: HashSet<*const Group> = HashSet::new();
    let lists = policies.iter().map(|it| [&it.include, &it.require, &it.exclude]);
    let mut waiting: Vec<&'a [Rule]> = lists.flatten().map(Vec::as_slice).collect();
    while let Some(rules) = waiting.pop() {
        for rule in rules {
            match rule {
                Rule::LinkedAppToken(name) => {
                    names.insert(&**name);
                }
                Rule::Group(name) => {
                    if let Some(group) = definitions.group(name)
                        && seen.insert(std::ptr::from_ref(group))
                    {
                        let lists = [&group.include, &group.require, &group.exclude];
                        waiting.extend(lists.map(Vec::as_slice));
                    }
                }
                _ => {}
            }
        }
    }
    names
}
