//! Whole policies: whom they apply to, and whether they ever decide.

use crate::login::MethodInfo;
use crate::policy::{Decision, Policy, Rule, Test, TextTest};

use super::compared::{AnyOf, Condition};
use super::inclusion::Certainty;
use super::kind::LintKind;
use super::mail_providers::is_public;
use super::subject::{Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    for (place, policy) in subject.written_policies() {
        let condition = subject.expansion.condition(&policy.conditions);
        if never_applies(subject, policy, &condition) {
            // Already reported as a contradiction.
            let contradicts = subject.compare(Certainty::Weaker).contradiction(&condition.require);
            if contradicts.is_none() {
                subject.report(
                    LintKind::PolicyNeverApplies,
                    &format!("{place}.include"),
                    None,
                    "the policy applies to nobody: everything it includes is excluded, is not what \
                     it requires, or matches nobody",
                    "include somebody, or remove the policy",
                );
            }
            continue;
        }
        admits_everyone(subject, &place, policy, &condition);
        public_domains(subject, &place, policy, &condition);
    }
    shadowed(subject);
}

/// Returns whether a policy applies to no user, even with missing facts.
fn never_applies(subject: &Subject<'_>, policy: &Policy, condition: &Condition<'_>) -> bool {
    let certainty = match policy.decision {
        Decision::Deny => Certainty::Stronger,
        Decision::Allow | Decision::Bypass | Decision::NonIdentity => Certainty::Weaker,
    };
    subject.compare(certainty).never(condition)
}

// === everyone ===

fn admits_everyone(subject: &Subject<'_>, place: &str, policy: &Policy, condition: &Condition<'_>) {
    let methods = subject.accepted_login_methods(place);
    let everyone = Everyone { subject, methods: &methods };
    if !condition.require.iter().all(|any| everyone.is_any(any)) {
        return;
    }
    let Some((number, rule)) =
        policy.conditions.include.iter().enumerate().find(|(_, rule)| everyone.is_rule(rule))
    else {
        return;
    };
    let key = format!("{place}.include[{number}]");
    let value = Some(rule.to_string());
    match policy.decision {
        Decision::Allow => {
            let Some(who) = everyone.described(rule) else { return };
            subject.report(
                LintKind::AllowAdmitsEveryone,
                &key,
                value,
                format!(
                    "anybody {who} is allowed: {} requires a login only",
                    quoted(&rule.to_string())
                ),
                "name the allowed users, such as `email_domain: { domain: example.com }`",
            );
        }
        Decision::NonIdentity => subject.report(
            LintKind::ServiceAuthAdmitsEveryone,
            &key,
            value,
            "everyone is allowed without proof: this policy requires no service token",
            "write `any_valid_service_token: {}`, or `decision: bypass` if this is intended",
        ),
        Decision::Bypass | Decision::Deny => {}
    }
}

/// The rules that match everybody who can log in, or everybody who can log in by a public method.
#[derive(Clone, Copy)]
struct Everyone<'a> {
    subject: &'a Subject<'a>,
    /// The login methods that count.
    methods: &'a [MethodInfo<'a>],
}

impl Everyone<'_> {
    fn is_rule(self, rule: &Rule) -> bool {
        self.is_any(&self.subject.expansion.any_of(std::slice::from_ref(rule)))
    }

    fn is_login_method(self, test: &Test<'_>) -> bool {
        self.methods.iter().any(|method| {
            (self.methods.len() == 1 || self.is_public(method))
                && *test == Test::Text(TextTest::login_method(method.id))
        })
    }

    fn is_public(self, method: &MethodInfo<'_>) -> bool {
        self.subject.access().role.public_login_methods().contains(&method.id)
    }

    /// Returns who can log in by a public method, if the rule matches them. Who has an account at a
    /// provider of an organization is not anybody.
    fn described(self, rule: &Rule) -> Option<String> {
        let mut public = self.methods.iter().filter(|method| self.is_public(method)).filter(
            |method| match rule {
                Rule::LoginMethod(id) => **id == *method.id,
                _ => true,
            },
        );
        let first = public.clone().next()?;
        if public.any(MethodInfo::is_one_time_pin) {
            return Some("who can receive mail".to_owned());
        }
        Some(format!("with an account at {}", quoted(first.name)))
    }

    fn is_any(self, any: &AnyOf<'_>) -> bool {
        let AnyOf { values, lists, groups } = any;
        self.subject.budget.spend(values.others.len().saturating_add(groups.len()))
            && (values.everyone
                || values.is_everywhere()
                || lists.iter().any(|list| list.is_everywhere())
                || values.others.iter().any(|test| self.is_login_method(test))
                || groups.iter().any(|group| self.is_group(group)))
    }

    fn is_group(self, group: &Condition<'_>) -> bool {
        self.is_any(&group.include)
            && group.require.iter().all(|any| self.is_any(any))
            && group.exclude.is_empty()
    }
}

// === public providers of mail ===

/// Reports public mail domains, unless the policy requires something else.
fn public_domains(subject: &Subject<'_>, place: &str, policy: &Policy, condition: &Condition<'_>) {
    if policy.decision != Decision::Allow {
        return;
    }
    let methods = subject.accepted_login_methods(place);
    let everyone = Everyone { subject, methods: &methods };
    let is_wide = |any: &AnyOf<'_>| everyone.is_any(any) || has_public(subject, any);
    if condition.require.iter().all(is_wide) {
        report_public(subject, &format!("{place}.include"), &policy.conditions.include);
    }
    if everyone.is_any(&condition.include) && condition.require.iter().all(is_wide) {
        report_public(subject, &format!("{place}.require"), &policy.conditions.require);
    }
}

fn report_public(subject: &Subject<'_>, list: &str, rules: &[Rule]) {
    for (number, rule) in rules.iter().enumerate() {
        let (found, through) = if let Rule::EmailDomain(domain) = rule {
            (is_public(domain.as_str()).then(|| domain.to_string()), String::new())
        } else if let Rule::Group(id) = rule {
            let group = subject.expansion.group(id);
            let found = group.and_then(|group| public_of_group(subject, group));
            (found, format!(" (by the group {})", quoted(id)))
        } else {
            continue;
        };
        if let Some(domain) = found {
            subject.report(
                LintKind::PublicMailDomain,
                &format!("{list}[{number}]"),
                Some(rule.to_string()),
                format!("anybody can have an address at {}{through}", quoted(&domain)),
                "name the people by `email`",
            );
        }
    }
}

fn has_public(subject: &Subject<'_>, any: &AnyOf<'_>) -> bool {
    subject.budget.spend(any.values.domains.len().saturating_add(any.groups.len()))
        && (any.values.domains.iter().any(|domain| is_public(domain))
            || any.groups.iter().any(|group| public_of_group(subject, group).is_some()))
}

fn public_of_group(subject: &Subject<'_>, group: &Condition<'_>) -> Option<String> {
    let any = &group.include;
    if !subject.budget.spend(any.values.domains.len().saturating_add(any.groups.len())) {
        return None;
    }
    let everyone = Everyone { subject, methods: subject.login_methods() };
    let is_wide = |any: &AnyOf<'_>| everyone.is_any(any) || has_public(subject, any);
    if !group.require.iter().all(is_wide) {
        return None;
    }
    let mut domains: Vec<&str> =
        any.values.domains.iter().copied().filter(|one| is_public(one)).collect();
    domains.sort_unstable();
    match domains.first() {
        Some(domain) => Some((*domain).to_owned()),
        None => any.groups.iter().find_map(|group| public_of_group(subject, group)),
    }
}

// === shadowed ===

/// A policy in evaluation order.
struct InOrder<'a> {
    /// Its index in the list.
    place: usize,
    policy: &'a Policy,
    condition: Condition<'a>,
    never: bool,
}

fn shadowed(subject: &Subject<'_>) {
    for (number, application) in subject.access().applications.iter().enumerate() {
        let ordered = in_order(subject, &application.policies);
        for (position, later) in ordered.iter().enumerate().filter(|(_, one)| !one.never) {
            let by = ordered.iter().take(position.min(MAX_EARLIER)).find(|earlier| {
                !earlier.never && {
                    let certainty = certainty(earlier.policy.decision, later.policy.decision);
                    subject.compare(certainty).condition(&later.condition, &earlier.condition)
                }
            });
            let Some(earlier) = by else { continue };
            let (name, decision) = (quoted(&earlier.policy.name), earlier.policy.decision);
            let fix = if decision == later.policy.decision {
                "remove it".to_owned()
            } else if is_before_login(decision) == is_before_login(later.policy.decision) {
                format!("move it before {name}, or remove it")
            } else {
                format!("narrow {name}, which is evaluated before any login, or remove this one")
            };
            subject.report(
                LintKind::PolicyShadowed,
                &format!("access.applications[{number}].policies[{}]", later.place),
                None,
                format!(
                    "never decides: the {decision} policy {name} comes first, and applies to \
                     everybody this one applies to"
                ),
                fix,
            );
        }
    }
}

/// Returns policies in evaluation order: those that need no login first, then by precedence.
fn in_order<'a>(subject: &Subject<'a>, policies: &'a [Policy]) -> Vec<InOrder<'a>> {
    let mut ordered: Vec<_> = policies
        .iter()
        .enumerate()
        .map(|(place, policy)| {
            let in_list = u32::try_from(place).unwrap_or(u32::MAX).saturating_add(1);
            let precedence = policy.precedence.unwrap_or(in_list);
            ((!is_before_login(policy.decision), precedence, place), policy)
        })
        .collect();
    ordered.sort_by_key(|(order, _)| *order);
    ordered
        .into_iter()
        .map(|((_, _, place), policy)| {
            let condition = subject.expansion.condition(&policy.conditions);
            let never = never_applies(subject, policy, &condition);
            InOrder { place, policy, condition, never }
        })
        .collect()
}

fn is_before_login(decision: Decision) -> bool {
    matches!(decision, Decision::Bypass | Decision::NonIdentity)
}

/// The certainty with which the later policy applies and the earlier one must apply: a policy that
/// denies applies even if a match is only possible.
fn certainty(earlier: Decision, later: Decision) -> Certainty {
    match (earlier == Decision::Deny, later == Decision::Deny) {
        (true, true) | (false, false) => Certainty::Same,
        (true, false) => Certainty::Weaker,
        (false, true) => Certainty::Stronger,
    }
}

/// The maximum number of earlier policies compared with each later one.
const MAX_EARLIER: usize = 200;
