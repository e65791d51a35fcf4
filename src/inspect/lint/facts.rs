//! Rules about facts that nothing tells.

use crate::policy::{Decision, Rule};

use super::kind::LintKind;
use super::subject::{Holder, Subject, quoted};

/// For the proxy alone: a program of one's own may have sources that no file names, and so may the
/// issuer of tokens.
pub(super) fn lint(subject: &Subject<'_>) {
    if subject.config().ingress.is_empty() || !subject.issues_tokens() {
        return;
    }
    for (place, holder) in subject.holders() {
        let lists =
            [("include", holder.include), ("require", holder.require), ("exclude", holder.exclude)];
        for (list, rules) in lists {
            for (number, rule) in rules.iter().enumerate() {
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
}

/// What nothing tells that a rule asks for, and what to do about it.
fn untold(subject: &Subject<'_>, rule: &Rule) -> Option<(&'static str, &'static str)> {
    let facts = &subject.access().facts;
    match rule {
        Rule::Geo(_) if facts.geoip_database.is_none() && facts.country_header.is_none() => Some((
            "nothing tells from which country a request comes",
            "set `access.facts.geoip_database`, or `country_header` for a proxy among \
             `trusted_proxies`",
        )),
        Rule::Certificate | Rule::CommonName(_) if facts.certificate_headers.is_none() => Some((
            "nothing tells which certificate a client shows",
            "set `access.facts.certificate_headers` for a proxy among `trusted_proxies`",
        )),
        Rule::DevicePosture(_) => Some(("nothing tells of devices", ELSEWHERE)),
        Rule::UserRiskScore(_) => Some(("nothing tells of risks", ELSEWHERE)),
        _ => None,
    }
}

const ELSEWHERE: &str = "take it out, or have an `external_evaluation` decide about it";

/// What becomes of a rule whose fact is missing: it opens nothing.
fn effect(holder: Holder<'_>, list: &str) -> &'static str {
    let decision = holder.policy.map(|policy| policy.decision);
    match (decision, list) {
        (Some(Decision::Deny), _) => "the policy denies everybody it could be about",
        (_, "exclude") => "everybody is excluded",
        _ => "nobody meets it",
    }
}
