//! Rules about facts that nothing tells.

use crate::policy::{Decision, Fact, Rule, RuleList};

use super::kind::LintKind;
use super::subject::{Holder, Subject, quoted};

/// For the proxy alone: a program of one's own may have sources that no file names, and so may the
/// issuer of tokens.
pub(super) fn lint(subject: &Subject<'_>) {
    if subject.config().ingress.is_empty() || !subject.issues_tokens() {
        return;
    }
    for (place, holder) in subject.holders() {
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

/// What nothing tells that a rule asks for, and what to do about it.
fn untold(subject: &Subject<'_>, rule: &Rule) -> Option<(&'static str, &'static str)> {
    let facts = &subject.access().facts;
    match rule.selector().fact()? {
        Fact::Country if facts.geoip_database.is_none() && facts.country_header.is_none() => {
            Some((
                "nothing tells from which country a request comes",
                "set `access.facts.geoip_database`, or `country_header` for a proxy among \
             `trusted_proxies`",
            ))
        }
        Fact::Certificate if facts.certificate_headers.is_none() => Some((
            "nothing tells which certificate a client shows",
            "set `access.facts.certificate_headers` for a proxy among `trusted_proxies`",
        )),
        Fact::DevicePosture => Some(("nothing tells of devices", ELSEWHERE)),
        Fact::RiskScore => Some(("nothing tells of risks", ELSEWHERE)),
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

const ELSEWHERE: &str = "take it out, or have an `external_evaluation` decide about it";

/// What becomes of a rule whose fact is missing: it opens nothing.
fn effect(holder: Holder<'_>, list: RuleList) -> &'static str {
    let decision = holder.policy.map(|policy| policy.decision);
    match (decision, list) {
        (Some(Decision::Deny), _) => "the policy denies everybody it could be about",
        (_, RuleList::Exclude) => "everybody is excluded",
        (_, RuleList::Include | RuleList::Require) => "nobody meets it",
    }
}
