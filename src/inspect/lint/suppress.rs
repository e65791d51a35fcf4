//! `lint.allow`: findings that the file allows.

use crate::config::Suppression;
use crate::util::suggest::closest;

use super::finding::{Finding, FindingSubject};
use super::kind::LintKind;

/// Marks the allowed findings. Entries that do not match exactly one become findings
/// themselves.
pub(super) fn apply(file: &str, suppressions: &[Suppression], findings: &mut Vec<Finding>) {
    let mut about_suppressions = Vec::new();
    for (number, suppression) in suppressions.iter().enumerate() {
        let mut meant: Vec<&mut Finding> =
            findings.iter_mut().filter(|finding| is_meant(suppression, finding)).collect();
        let (kind, message, fix) = match meant.as_mut_slice() {
            [finding] => {
                finding.suppressed = Some(suppression.reason.clone());
                continue;
            }
            [] => (
                LintKind::SuppressionUnused,
                why_unused(suppression),
                "remove it, or correct it".to_owned(),
            ),
            several => {
                let keys: Vec<&str> =
                    several.iter().take(3).map(|finding| finding.key.as_str()).collect();
                (
                    LintKind::SuppressionAmbiguous,
                    format!(
                        "matches {} findings and suppresses none ({})",
                        several.len(),
                        keys.join(", ")
                    ),
                    "name one of them by its `value`, or by `at`, and write an entry for each"
                        .to_owned(),
                )
            }
        };
        about_suppressions.push(Finding {
            id: kind,
            severity: kind.severity(),
            file: file.to_owned(),
            line: Some(suppression.location.line),
            column: Some(suppression.location.column),
            key: format!("lint.allow[{number}]"),
            message,
            fix: Some(fix),
            subject: FindingSubject::default(),
            suppressed: None,
        });
    }
    findings.extend(about_suppressions);
}

fn is_meant(suppression: &Suppression, finding: &Finding) -> bool {
    let Suppression {
        id,
        application,
        policy,
        group,
        list,
        service_token,
        hostname,
        value,
        at,
        ..
    } = suppression;
    let about = &finding.subject;
    finding.id.as_str() == id
        && finding.id.can_be_allowed()
        && finding.suppressed.is_none()
        && at.as_ref().is_none_or(|at| *at == finding.key)
        && [
            (application, &about.application),
            (policy, &about.policy),
            (group, &about.group),
            (list, &about.list),
            (service_token, &about.service_token),
            (hostname, &about.hostname),
            (value, &about.value),
        ]
        .into_iter()
        .all(|(said, is)| said.is_none() || said == is)
}

fn why_unused(suppression: &Suppression) -> String {
    let known = LintKind::ALL.iter().filter(|kind| kind.can_be_allowed());
    let ids: Vec<&str> = known.map(|kind| kind.as_str()).collect();
    let id = suppression.id.as_str();
    if ids.contains(&id) {
        return format!("matches no finding: there is no `{id}` with these fields");
    }
    let shown: String = id.chars().take(60).collect();
    let shown = shown.escape_debug();
    match closest(id, ids) {
        Some(meant) => format!("matches no finding: unknown id `{shown}`; did you mean `{meant}`?"),
        None => format!("matches no finding: `{shown}` is not an id that can be allowed"),
    }
}
