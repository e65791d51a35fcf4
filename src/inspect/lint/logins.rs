//! Rules about facts of a login that no login method reports, or that one does not report.

use crate::login::{MethodInfo, Reach, meant_methods, named_method};
use crate::policy::{Decision, Fact, Rule, Test, TextTest};

use super::kind::LintKind;
use super::subject::{RuleSet, Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>, place: &str, holder: RuleSet<'_>) {
    let decision = holder.policy.map(|policy| policy.decision);
    if subject.login_methods().is_empty()
        || matches!(decision, Some(Decision::Bypass | Decision::NonIdentity))
    {
        return;
    }
    let accepted = subject.accepted_login_methods(place);
    for (list, number, rule) in holder.conditions.numbered() {
        let Test::Text(test) = rule.test() else { continue };
        let Some(fact) = test.selector.fact().filter(|fact| fact.is_set_by_login()) else {
            continue;
        };
        let keeps_out = list.is_restrictive(decision == Some(Decision::Deny));
        let reaches: Vec<(MethodInfo<'_>, Reach)> =
            accepted.iter().map(|method| (*method, method.reach(&test))).collect();
        let any = |reach: Reach| reaches.iter().any(|(_, of_method)| *of_method == reach);
        let key = format!("{place}.{list}[{number}]");
        let value = Some(rule.to_string());
        if any(Reach::Some) {
            // Who is not known not to have it is kept out.
            let unknown = reaches.iter().find(|(_, reach)| *reach == Reach::Unknown);
            if let (Some((method, _)), true, true) = (unknown, keeps_out, holder.policy.is_some()) {
                keeps_out_method(subject, &key, rule, (method, fact));
            }
            continue;
        }
        if keeps_out && any(Reach::Unknown) {
            continue;
        }
        let has_effect = !(keeps_out && holder.policy.is_some());
        let (why, fix) = explain(subject, rule, (&test, fact), has_effect);
        let effect = if has_effect { "" } else { "; the rule has no effect" };
        subject.report(
            LintKind::RuleNeverMatches,
            &key,
            value,
            format!("{} never matches: {why}{effect}", quoted(&rule.to_string())),
            fix,
        );
    }
}

/// Returns why no accepted login method can meet a rule, and what to do.
fn explain(
    subject: &Subject<'_>,
    rule: &Rule,
    (test, fact): (&TextTest<'_>, Fact),
    has_effect: bool,
) -> (String, String) {
    let methods = subject.login_methods();
    let by_address = "by `email` or `email_domain`";
    let or_remove = |fix: String| {
        if has_effect { fix } else { format!("remove it, or exclude users {by_address}") }
    };
    let Some(id) = named_method(rule) else {
        return match methods {
            [only] if only.is_one_time_pin() => (
                "a one-time PIN login proves an email address only".to_owned(),
                or_remove(format!(
                    "name users {by_address}, or verify the tokens of an `issuer` that knows more"
                )),
            ),
            _ => (
                format!("no login method reports it: {}", list(methods)),
                or_remove(format!(
                    "name users {by_address}, or add an identity provider that reports it"
                )),
            ),
        };
    };
    let known: Vec<&str> = methods.iter().map(|method| method.id).collect();
    match methods.iter().find(|method| method.id == id) {
        None => {
            let fix = match (&*meant_methods(id, &known), &*known) {
                ([meant], [_, _, ..]) => format!("write {}", quoted(meant)),
                (_, [_]) => or_remove(format!(
                    "name users {by_address}, or verify the tokens of an `issuer` that knows more"
                )),
                _ => or_remove("name one of these, or remove the rule".to_owned()),
            };
            let known: Vec<String> = known.iter().map(|id| quoted(id)).collect();
            let known = known.join(", ");
            (format!("there is no login method {}, only {known}", quoted(id)), fix)
        }
        Some(method) if method.reach(test) == Reach::Some => (
            format!("the login method {} is not accepted (`allowed_idps`)", quoted(id)),
            or_remove("accept it, or remove the rule".to_owned()),
        ),
        Some(method) => (
            format!(
                "the login method {} of type {} does not report {fact}",
                quoted(id),
                quoted(method.kind)
            ),
            or_remove("name a login method that does, or remove the rule".to_owned()),
        ),
    }
}

fn list(methods: &[MethodInfo<'_>]) -> String {
    let named = |method: &MethodInfo<'_>| format!("{} ({})", quoted(method.id), method.kind);
    methods.iter().map(named).collect::<Vec<_>>().join(", ")
}

/// Reports a rule that was meant to exclude users of one login method, and excludes all of another one.
fn keeps_out_method(
    subject: &Subject<'_>,
    key: &str,
    rule: &Rule,
    (method, fact): (&MethodInfo<'_>, Fact),
) {
    let fix = match rule {
        Rule::AuthMethod(_) => "make a policy of its own for the users of that login method",
        _ => "add `identity_provider_id` with the login method that the rule is about",
    };
    subject.report(
        LintKind::LoginMethodKeptOut,
        key,
        Some(rule.to_string()),
        format!(
            "{} excludes everybody who logs in by {} as well: {fact} cannot be known there",
            quoted(&rule.to_string()),
            quoted(method.id)
        ),
        fix,
    );
}
