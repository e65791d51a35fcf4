//! The rules of policies and of the groups they refer to.

use std::collections::{BTreeSet, HashSet};

use super::conditions::Conditions;
use super::definitions::Definitions;
use super::document::Policy;
use super::rule::{Evaluator, Rule};

/// Returns every rule of the conditions and of the groups they refer to, directly or through other
/// groups. The rules of a group come once, right after the first rule that refers to it; a name
/// without a group is skipped.
pub(crate) fn reachable_rules<'a>(
    conditions: impl IntoIterator<Item = &'a Conditions>,
    definitions: &'a Definitions,
) -> impl Iterator<Item = &'a Rule> {
    let mut seen = HashSet::new();
    let mut waiting: Vec<_> = conditions.into_iter().flat_map(lists).collect();
    waiting.reverse();
    std::iter::from_fn(move || {
        loop {
            let Some(rule) = waiting.last_mut()?.next() else {
                waiting.pop();
                continue;
            };
            if let Rule::Group(name) = rule
                && let Some(number) = definitions.group_number(name)
                && let Some(group) = definitions.groups().get(number)
                && seen.insert(number)
            {
                waiting.extend(lists(&group.conditions).into_iter().rev());
            }
            return Some(rule);
        }
    })
}

fn lists(conditions: &Conditions) -> [std::slice::Iter<'_, Rule>; 3] {
    conditions.lists().map(|(_, rules)| rules.iter())
}

/// Returns the applications that `linked_app_token` rules name.
pub(crate) fn linked_names<'a>(
    policies: &'a [Policy],
    definitions: &'a Definitions,
) -> BTreeSet<&'a str> {
    reachable_rules(policies.iter().map(|policy| &policy.conditions), definitions)
        .filter_map(|rule| if let Rule::LinkedAppToken(name) = rule { Some(&**name) } else { None })
        .collect()
}

/// Returns the evaluators that `external_evaluation` rules ask.
pub(crate) fn reachable_evaluators<'a>(
    conditions: impl IntoIterator<Item = &'a Conditions>,
    definitions: &'a Definitions,
) -> BTreeSet<&'a Evaluator> {
    reachable_rules(conditions, definitions)
        .filter_map(|rule| if let Rule::ExternalEvaluation(it) = rule { Some(&**it) } else { None })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Group, Policy};

    #[test]
    fn each_group_is_walked_once_behind_the_rule_that_names_it() {
        let method = |name: &str| Rule::login_method(name);
        let inner = Group::new("inner").include(method("1")).exclude(method("2"));
        let outer = Group::new("outer").require(Rule::group("inner")).include(method("3"));
        let unused = Group::new("unused").include(method("4"));
        let definitions = Definitions::new([inner, outer, unused], []).unwrap();
        let reached = |policies: &[Policy]| -> Vec<String> {
            let conditions = policies.iter().map(|policy| &policy.conditions);
            reachable_rules(conditions, &definitions).map(ToString::to_string).collect()
        };
        let both = Policy::deny("both")
            .exclude(Rule::group("inner"))
            .include(Rule::group("outer"))
            .require(Rule::group("nowhere"));
        let last = Policy::allow("last").include(method("5")).require(Rule::group("outer"));
        assert_eq!(
            reached(&[both, last]).join(", "),
            "group outer, login_method 3, group inner, login_method 1, login_method 2, \
             group nowhere, group inner, login_method 5, group outer"
        );
        assert!(reached(&[]).is_empty());
    }
}
