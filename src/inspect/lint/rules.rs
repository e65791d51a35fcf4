//! Rules one by one, beside those of the same list.

use std::collections::HashMap;

use crate::identity::Email;
use crate::policy::{Decision, Rule};

use super::compared::{AnyOf, Values, normal};
use super::inclusion::Surety;
use super::kind::LintKind;
use super::subject::{Holder, Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    for (place, holder) in subject.holders() {
        one_of(subject, &format!("{place}.include"), &holder.conditions.include);
        one_of(subject, &format!("{place}.exclude"), &holder.conditions.exclude);
        all_of(subject, &format!("{place}.require"), &holder.conditions.require);
        without_effect(subject, &place, holder);
        about_services(subject, &place, holder);
        never_met(subject, &place, holder);
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
            "take it out, or take out the others",
        );
        return;
    }
    let mut seen = HashMap::new();
    let mut literals = Values::default();
    rules.iter().filter(|rule| !refers(rule)).for_each(|rule| literals.add(rule));
    let others: Vec<&Rule> = rules.iter().filter(|rule| refers(rule)).collect();
    for (number, rule) in rules.iter().enumerate() {
        let why = match seen.entry(resolved(subject, rule)) {
            std::collections::hash_map::Entry::Occupied(first) => {
                let first: &usize = first.get();
                Some(format!("the same as rule #{} of this list", first + 1))
            }
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(number);
                covered(subject, rule, &literals, &others)
            }
        };
        if let Some(why) = why {
            redundant(subject, list, number, rule, &why);
        }
    }
}

/// What makes a rule superfluous beside others.
fn covered(
    subject: &Subject<'_>,
    rule: &Rule,
    literals: &Values,
    others: &[&Rule],
) -> Option<String> {
    match rule {
        Rule::EmailList(id) | Rule::IpList(id) => {
            let list = subject.expansion.list(id)?;
            let all = list.emails.iter().filter_map(|email| email.parse::<Email>().ok());
            let mut all =
                all.map(Rule::Email).chain(list.networks.iter().map(|one| Rule::Ip(*one)));
            let is_covered = !list.is_empty()
                && subject.budget.spend(list.len())
                && all.all(|rule| literals.wider(&rule).is_some());
            is_covered.then(|| "the other rules of this list say more".to_owned())
        }
        Rule::Group(_) => None,
        rule => {
            let by_other = |other: &&&Rule| {
                let any = subject.expansion.any_of(std::slice::from_ref(**other));
                subject.budget.spend(others.len()) && subject.compare(Surety::Same).rule(rule, &any)
            };
            literals
                .wider(rule)
                .or_else(|| others.iter().find(by_other).map(|other| other.to_string()))
                .map(|wider| format!("{} of this list says more", quoted(&wider)))
        }
    }
}

// === `require`, of which all have to hold ===

fn all_of(subject: &Subject<'_>, list: &str, rules: &[Rule]) {
    let mut first = HashMap::new();
    for (number, rule) in rules.iter().enumerate() {
        if *rule == Rule::Everyone {
            redundant(subject, list, number, rule, "it always holds");
        } else if let Some(first) = first.get(&resolved(subject, rule)) {
            let first: &usize = first;
            let why = format!("the same as rule #{} of this list", first + 1);
            redundant(subject, list, number, rule, &why);
        } else {
            first.insert(resolved(subject, rule), number);
        }
    }
    for (number, rule) in rules.iter().enumerate().take(MOST_REQUIRED) {
        let mut literal = Values::default();
        if refers(rule) {
            continue;
        }
        literal.add(rule);
        let narrower = rules
            .iter()
            .take(MOST_REQUIRED)
            .find(|other| !refers(other) && literal.wider(other).is_some());
        if let Some(narrower) = narrower {
            let why = format!("{} of this list asks for more", quoted(&narrower.to_string()));
            redundant(subject, list, number, rule, &why);
        }
    }
    let any: Vec<AnyOf> =
        rules.iter().map(|rule| subject.expansion.any_of(std::slice::from_ref(rule))).collect();
    if let Some((one, two)) = subject.compare(Surety::Same).contradiction(&any)
        && let (Some(one), Some(rule)) = (rules.get(one), rules.get(two))
    {
        subject.report(
            LintKind::ContradictoryRequire,
            &format!("{list}[{two}]"),
            Some(rule.to_string()),
            format!(
                "{} and {} never both hold, and all of `require` has to",
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
        "take it out",
    );
}

// === `exclude` beside `include` ===

fn without_effect(subject: &Subject<'_>, place: &str, holder: Holder<'_>) {
    if holder.conditions.exclude.is_empty() {
        return;
    }
    let include = subject.expansion.any_of(&holder.conditions.include);
    for (number, rule) in holder.conditions.exclude.iter().enumerate() {
        let excluded = subject.expansion.any_of(std::slice::from_ref(rule));
        if subject.compare(Surety::Same).apart(&include, &excluded) {
            subject.report(
                LintKind::ExcludeWithoutEffect,
                &format!("{place}.exclude[{number}]"),
                Some(rule.to_string()),
                format!("{} excludes nobody that is included", quoted(&rule.to_string())),
                "take it out, or mend what was meant",
            );
        }
    }
}

// === rules that nobody can meet ===

/// Who comes in with a service token has no person, and the other way round.
fn about_services(subject: &Subject<'_>, place: &str, holder: Holder<'_>) {
    let Some(policy) = holder.policy else { return };
    if !matches!(policy.decision, Decision::Allow | Decision::Deny) {
        return;
    }
    let decision = policy.decision;
    for (list, number, rule) in holder.conditions.numbered() {
        if matches!(rule, Rule::ServiceToken(_) | Rule::AnyValidServiceToken) {
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

/// What the only login there is does not tell.
fn never_met(subject: &Subject<'_>, place: &str, holder: Holder<'_>) {
    let Some(only) = subject.only_login_method() else { return };
    let decision = holder.policy.map(|policy| policy.decision);
    if matches!(decision, Some(Decision::Bypass | Decision::NonIdentity)) {
        return;
    }
    for (list, number, rule) in holder.conditions.numbered() {
        let keeps_out = list.keeps_out(decision == Some(Decision::Deny));
        let why = match rule {
            Rule::LoginMethod(id) if **id == *only => continue,
            Rule::AuthMethod(method) if **method == *"otp" => continue,
            // Not known of anybody: who is not known not to have it is kept out.
            Rule::Saml(asked) if keeps_out && asked.identity_provider_id.is_none() => continue,
            Rule::Oidc(asked) if keeps_out && asked.identity_provider_id.is_none() => continue,
            Rule::LoginMethod(id) => {
                format!("there is no login method {}, only {}", quoted(id), quoted(only))
            }
            Rule::AuthMethod(_)
            | Rule::AuthContext(_)
            | Rule::AzureGroup(_)
            | Rule::GithubOrganization(_)
            | Rule::GsuiteGroup(_)
            | Rule::OktaGroup(_)
            | Rule::Saml(_)
            | Rule::Oidc(_)
            | Rule::CloudflareAccountMember(_) => {
                "people log in with a one-time PIN, which tells their address and no more"
                    .to_owned()
            }
            _ => continue,
        };
        let (effect, fix) = if holder.policy.is_some() && keeps_out {
            (
                "; it keeps nobody out",
                "take it out, or keep people out by `email` or `email_domain`",
            )
        } else {
            (
                "",
                "name people by `email` or `email_domain`, or verify the tokens of an `issuer` that \
                 knows more",
            )
        };
        subject.report(
            LintKind::RuleNeverMatches,
            &format!("{place}.{list}[{number}]"),
            Some(rule.to_string()),
            format!("nobody can meet {}: {why}{effect}", quoted(&rule.to_string())),
            fix,
        );
    }
}

/// Whether a rule refers to something else.
fn refers(rule: &Rule) -> bool {
    matches!(rule, Rule::EmailList(_) | Rule::IpList(_) | Rule::Group(_))
}

/// Rules that mean the same are the same, by whatever name they refer to something.
fn resolved(subject: &Subject<'_>, rule: &Rule) -> Rule {
    let definitions = &subject.access().definitions;
    let list = |id: &str| definitions.list(id).map_or(id, |list| list.id()).into();
    match rule {
        Rule::EmailList(id) => Rule::EmailList(list(id)),
        Rule::IpList(id) => Rule::IpList(list(id)),
        Rule::Group(id) => {
            Rule::Group(definitions.group(id).map_or(&**id, |group| group.id()).into())
        }
        rule => normal(rule),
    }
}

/// Rules under `require` that are held against each other.
const MOST_REQUIRED: usize = 64;
