//! Rules about facts without a source.

use crate::policy::{Decision, Fact, Rule, RuleList};

use super::kind::LintKind;
use super::subject::{RuleSet, Subject, quoted};

/// Only for the proxy: an embedding program or the token issuer may have sources that the file does
/// not name.
pub(super) fn lint(subject: &Subject<'_>) {
    if subject.config().ingress.is_empty() || !subject.issues_tokens() {
        return;
    }
    for (place, holder) in subject.rule_sets() {
        for (list, number, rule) in holder.conditions.numbered() {
            if let Some((what, fix)) = untold(subject, rule) {
                let effect = effect(holder, list);
                subject.report(
                    LintKind::FactWithoutSource,
                    &format!("{place}.{list}[{number}]"),
                    Some(rule.to_string()),
                    format!("{}: {what}, so {effect}", quoted(&rule.to_string())),
                    fix,
                );
            }
        }
    }
}

/// The missing source of a rule's fact, and the fix.
fn untold(subject: &Subject<'_>, rule: &Rule) -> Option<(&'static str, &'static str)> {
    let facts = &subject.access().facts;
    match rule.selector().fact()? {
        Fact::Country if facts.geoip_database.is_none() && facts.country_header.is_none() => {
            Some((
                "the country of a request is unknown",
                "set `access.facts.geoip_database`, or `country_header` for a proxy among \
             `trusted_proxies`",
            ))
        }
        Fact::Certificate if facts.certificate_headers.is_none() => Some((
            "the client certificate is unknown",
            "set `access.facts.certificate_headers` for a proxy among `trusted_proxies`",
        )),
        Fact::DevicePosture => Some(("device posture is unknown", ELSEWHERE)),
        Fact::RiskScore => Some(("risk scores are unknown", ELSEWHERE)),
        Fact::Country
        | Fact::Certificate
        | Fact::Person
        | Fact::Email
        | Fact::Address
        | Fact::LoginMethod
        | Fact::AuthenticationMethods
        | Fact::AuthenticationContexts
        | Fact::ProviderGroups
        | Fact::Organizations
        | Fact::OidcClaims
        | Fact::SamlAttributes
        | Fact::Accounts
        | Fact::ExternalEvaluation => None,
    }
}

const ELSEWHERE: &str = "remove it, or use `external_evaluation`";

/// The effect of a rule whose fact is missing: it allows nothing.
fn effect(holder: RuleSet<'_>, list: RuleList) -> &'static str {
    let decision = holder.policy.map(|policy| policy.decision);
    match (decision, list) {
        (Some(Decision::Deny), _) => "the policy denies everybody it could be about",
        (_, RuleList::Exclude) => "everybody is excluded",
        (_, RuleList::Include | RuleList::Require) => "the rule never matches",
    }
}
