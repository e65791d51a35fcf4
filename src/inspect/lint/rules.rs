//! Single rules, compared with the others of their list.

use std::collections::HashMap;

use crate::policy::{Decision, Reference, Rule, Test};

use super::compared::{AnyOf, Values};
use super::inclusion::Certainty;
use super::kind::LintKind;
use super::logins;
use super::subject::{RuleSet, Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    for (place, holder) in subject.rule_sets() {
        one_of(subject, &format!("{place}.include"), &holder.conditions.include);
        one_of(subject, &format!("{place}.exclude"), &holder.conditions.exclude);
        all_of(subject, &format!("{place}.require"), &holder.conditions.require);
        without_effect(subject, &place, holder);
        about_services(subject, &place, holder);
        logins::lint(subject, &place, holder);
    }
}

// === one list, of which one rule has to hold ===

fn one_of(subject: &Subject<'_>, list: &str, rules: &[Rule]) {
    if let Some(number) = rules.iter().position(|rule| *rule == Rule::Everyone)
        && rules.iter().any(|rule| *rule != Rule::Everyone)
    {
        subject.report(
            LintKind::EveryoneBesideOtherRules,
            &format!("{list}[{number}]"),
            Some(Rule::Everyone.to_string()),
            "`everyone` makes the other rules of this list meaningless",
            "remove it, or remove the others",
        );
        return;
    }
    let written = first_places(subject, rules);
    let mut literals = Values::default();
    let references: Vec<&Rule> = rules.iter().filter(|rule| literals.add(rule).is_some()).collect();
    for (number, rule) in rules.iter().enumerate() {
        let why = match written.get(&resolved(subject, rule)) {
            Some(first) if *first != number => Some(same_as(*first)),
            Some(_) | None => covered(subject, rule, &literals, &references, |wider| {
                written.get(wider).and_then(|number| rules.get(*number))
            }),
        };
        if let Some(why) = why {
            redundant(subject, list, number, rule, &why);
        }
    }
}

/// The first index of each distinct rule of a list, after resolving references.
fn first_places<'a>(subject: &Subject<'a>, rules: &'a [Rule]) -> HashMap<Test<'a>, usize> {
    let mut first = HashMap::new();
    for (number, rule) in rules.iter().enumerate() {
        first.entry(resolved(subject, rule)).or_insert(number);
    }
    first
}

fn same_as(first: usize) -> String {
    format!("the same as rule #{} of this list", first + 1)
}

/// Returns why a rule is redundant.
fn covered<'a>(
    subject: &Subject<'a>,
    rule: &'a Rule,
    literals: &Values<'a>,
    references: &[&'a Rule],
    written: impl Fn(&Test<'a>) -> Option<&'a Rule>,
) -> Option<String> {
    let test = match rule.test() {
        Test::Reference(Reference::Group(_)) => return None,
        Test::Reference(Reference::EmailList(id) | Reference::IpList(id)) => {
            let list = subject.expansion.list(id)?;
            let emails = list.emails.iter().map(|email| Test::Email(email));
            let mut all = emails.chain(list.networks.iter().map(|one| Test::Network(*one)));
            let is_covered = !list.is_empty()
                && subject.budget.spend(list.len())
                && all.all(|test| literals.wider(&test).is_some());
            return is_covered.then(|| "the other rules of this list cover it".to_owned());
        }
        test => test,
    };
    let by_reference = |reference: &&&Rule| {
        let any = subject.expansion.any_of(std::slice::from_ref(**reference));
        subject.budget.spend(references.len()) && subject.compare(Certainty::Same).test(&test, &any)
    };
    let wider = literals.wider(&test).and_then(|wider| written(&wider));
    wider
        .or_else(|| references.iter().find(by_reference).copied())
        .map(|wider| format!("{} of this list is wider", quoted(&wider.to_string())))
}

// === `require`, of which all have to hold ===

fn all_of(subject: &Subject<'_>, list: &str, rules: &[Rule]) {
    let first = first_places(subject, rules);
    for (number, rule) in rules.iter().enumerate() {
        let first = first.get(&resolved(subject, rule));
        if *rule == Rule::Everyone {
            redundant(subject, list, number, rule, "it always matches");
        } else if let Some(first) = first.filter(|first| **first != number) {
            redundant(subject, list, number, rule, &same_as(*first));
        }
    }
    let compared = rules.get(..MAX_REQUIRED).unwrap_or(rules);
    for (number, rule) in compared.iter().enumerate() {
        let mut literal = Values::default();
        if literal.add(rule).is_some() {
            continue;
        }
        let narrower = compared.iter().find(|other| literal.wider(&other.test()).is_some());
        if let Some(narrower) = narrower {
            let why = format!("{} of this list is narrower", quoted(&narrower.to_string()));
            redundant(subject, list, number, rule, &why);
        }
    }
    let any: Vec<AnyOf<'_>> =
        rules.iter().map(|rule| subject.expansion.any_of(std::slice::from_ref(rule))).collect();
    if let Some((one, two)) = subject.compare(Certainty::Same).contradiction(&any)
        && let (Some(one), Some(rule)) = (rules.get(one), rules.get(two))
    {
        subject.report(
            LintKind::ContradictoryRequire,
            &format!("{list}[{two}]"),
            Some(rule.to_string()),
            format!(
                "{} and {} never both match, and `require` needs both",
                quoted(&one.to_string()),
                quoted(&rule.to_string())
            ),
            "make a group that includes both, and require the group",
        );
    }
}

fn redundant(subject: &Subject<'_>, list: &str, number: usize, rule: &Rule, why: &str) {
    subject.report(
        LintKind::RedundantRule,
        &format!("{list}[{number}]"),
        Some(rule.to_string()),
        format!("{} makes no difference: {why}", quoted(&rule.to_string())),
        "remove it",
    );
}

// === `exclude` beside `include` ===

fn without_effect(subject: &Subject<'_>, place: &str, holder: RuleSet<'_>) {
    if holder.conditions.exclude.is_empty() {
        return;
    }
    let include = subject.expansion.any_of(&holder.conditions.include);
    for (number, rule) in holder.conditions.exclude.iter().enumerate() {
        let excluded = subject.expansion.any_of(std::slice::from_ref(rule));
        if subject.compare(Certainty::Same).apart(&include, &excluded) {
            subject.report(
                LintKind::ExcludeWithoutEffect,
                &format!("{place}.exclude[{number}]"),
                Some(rule.to_string()),
                format!("{} excludes nobody whom `include` admits", quoted(&rule.to_string())),
                "remove it, or correct it",
            );
        }
    }
}

// === rules that never match ===

/// Who comes in with a service token has no person, and the other way round.
fn about_services(subject: &Subject<'_>, place: &str, holder: RuleSet<'_>) {
    let Some(policy) = holder.policy else { return };
    if !matches!(policy.decision, Decision::Allow | Decision::Deny) {
        return;
    }
    let decision = policy.decision;
    for (list, number, rule) in holder.conditions.numbered() {
        if let Test::ServiceToken(_) = rule.test() {
            subject.report(
                LintKind::ServiceTokenInPersonPolicy,
                &format!("{place}.{list}[{number}]"),
                Some(rule.to_string()),
                format!(
                    "{} matches nobody: {decision} policies are about people, who bring no service \
                     token",
                    quoted(&rule.to_string())
                ),
                "give it a policy of its own with `decision: non_identity`",
            );
        }
    }
}

/// A rule after resolving names.
fn resolved<'a>(subject: &Subject<'a>, rule: &'a Rule) -> Test<'a> {
    let definitions = &subject.access().definitions;
    let list = |id: &'a str| definitions.list(id).map_or(id, |list| list.id());
    match rule.test() {
        Test::Reference(reference) => Test::Reference(match reference {
            Reference::EmailList(id) => Reference::EmailList(list(id)),
            Reference::IpList(id) => Reference::IpList(list(id)),
            Reference::Group(id) => {
                Reference::Group(definitions.group(id).map_or(id, |group| group.id()))
            }
        }),
        test => test,
    }
}

/// The maximum number of rules under `require` that are compared with each other.
const MAX_REQUIRED: usize = 64;
