//! Restrictive rules: access widens if such a rule is never met.

use std::collections::HashSet;

use super::conditions::{Conditions, RuleList};
use super::definitions::Definitions;
use super::document::{Decision, Policy};
use super::rule::Rule;

/// A restrictive rule and its position.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct RestrictiveRule<'a> {
    pub(crate) holder: RuleOwner,
    pub(crate) list: RuleList,
    /// Its position in the list.
    pub(crate) number: usize,
    pub(crate) rule: &'a Rule,
}

/// The owner of a rule, by its position among the policies or the groups.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum RuleOwner {
    Policy(usize),
    Group(usize),
}

/// Returns the restrictive rules that `is_wanted` selects: those under `exclude`, those under `include`
/// and `require` of a `deny` policy, and those of groups that are named there.
pub(crate) fn restrictive_rules<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    definitions: &'a Definitions,
    is_wanted: impl Fn(&Rule) -> bool,
) -> Vec<RestrictiveRule<'a>> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut waiting = Vec::new();
    let mut take = |holder, conditions: &'a Conditions, refuses: bool, waiting: &mut Vec<_>| {
        for (list, number, rule) in conditions.numbered() {
            let keeps_out = list.is_restrictive(refuses);
            if let Rule::Group(name) = rule {
                waiting.push((&**name, keeps_out));
            } else if keeps_out && is_wanted(rule) {
                found.push(RestrictiveRule { holder, list, number, rule });
            }
        }
    };
    for (number, policy) in policies.into_iter().enumerate() {
        let refuses = policy.decision == Decision::Deny;
        take(RuleOwner::Policy(number), &policy.conditions, refuses, &mut waiting);
    }
    // Each group at most twice: once where it grants access, once where it restricts it.
    while let Some((name, keeps_out)) = waiting.pop() {
        let Some(number) = definitions.group_number(name) else { continue };
        let Some(group) = definitions.groups().get(number) else { continue };
        if seen.insert((number, keeps_out)) {
            take(RuleOwner::Group(number), &group.conditions, keeps_out, &mut waiting);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Group;

    /// `holder list[number]` of each rule about the login method `x` that keeps people out.
    fn found(policies: &[Policy], groups: Vec<Group>) -> Vec<String> {
        let definitions = Definitions::new(groups, []).unwrap();
        let is_x = |rule: &Rule| *rule == Rule::login_method("x");
        let mut found: Vec<String> = restrictive_rules(policies, &definitions, is_x)
            .iter()
            .map(|it| format!("{:?} {}[{}]", it.holder, it.list, it.number))
            .collect();
        found.sort();
        found
    }

    #[test]
    fn pol_21_a_rule_keeps_out_where_fewer_get_in_when_it_holds() {
        let (x, y) = (|| Rule::login_method("x"), || Rule::login_method("y"));
        let allow = || Policy::allow("p").include(y());
        let deny = || Policy::deny("p").include(y());
        for (policy, expected) in [
            (allow().include(x()), &[][..]),
            (allow().require(x()), &[]),
            (allow().exclude(x()), &["Policy(0) exclude[0]"]),
            (Policy::bypass("p").exclude(y()).exclude(x()), &["Policy(0) exclude[1]"]),
            (Policy::service_auth("p").exclude(x()), &["Policy(0) exclude[0]"]),
            (deny().include(x()), &["Policy(0) include[1]"]),
            (deny().require(x()), &["Policy(0) require[0]"]),
            (deny().exclude(x()), &[]),
        ] {
            assert_eq!(found(std::slice::from_ref(&policy), vec![]), expected, "{policy:?}");
        }
    }

    #[test]
    fn pol_21_groups_keep_out_where_they_are_named() {
        let x = || Rule::login_method("x");
        let group = |name: &str| Group::new(name);
        let named = |name: &str| Rule::group(name);
        let inner = || group("inner").include(x());
        let outer = || group("outer").include(named("inner"));
        let inverse = || group("outer").include(Rule::Everyone).exclude(named("inner"));
        let allow = || Policy::allow("p").include(named("outer"));
        let except = || Policy::allow("p").include(Rule::Everyone).exclude(named("outer"));
        let deny = || Policy::deny("p").include(named("outer"));
        let at_inner = "Group(0) include[0]".to_owned();
        for (policies, outer, expected) in [
            (vec![allow()], outer(), vec![]),
            (vec![except()], outer(), vec![at_inner.clone()]),
            (vec![deny()], outer(), vec![at_inner.clone()]),
            (vec![allow()], inverse(), vec![at_inner.clone()]),
            (vec![except()], inverse(), vec![]),
            (vec![allow(), except(), deny()], outer(), vec![at_inner]),
            (vec![], outer(), vec![]),
        ] {
            assert_eq!(found(&policies, vec![inner(), outer]), expected, "{policies:?}");
        }
    }
}
