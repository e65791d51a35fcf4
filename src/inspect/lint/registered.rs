//! Values that a public register lists, and that providers may add to.

use crate::policy::Rule;
use crate::util::suggest::closest;

use super::kind::LintKind;
use super::subject::{RuleSet, Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    for (place, holder) in subject.rule_sets() {
        one(subject, &place, holder);
    }
}

fn one(subject: &Subject<'_>, place: &str, holder: RuleSet<'_>) {
    for (list, number, rule) in holder.conditions.numbered() {
        let Some((what, meant)) = unregistered(rule) else { continue };
        let fix = match meant {
            Some(meant) => format!("write {} for the registered value", quoted(meant)),
            None => "write the value as the login method sends it".to_owned(),
        };
        subject.report(
            LintKind::UnregisteredValue,
            &format!("{place}.{list}[{number}]"),
            Some(rule.to_string()),
            format!("{what}; the rule matches only if the login method sends exactly this"),
            fix,
        );
    }
}

/// Returns the problem with the value of a rule, and the probable value.
fn unregistered(rule: &Rule) -> Option<(String, Option<&'static str>)> {
    if let Rule::AuthMethod(method) = rule {
        let is_known = AUTHENTICATION_METHODS.contains(&&**method);
        (!is_known).then(|| {
            (
                format!("{} is not an authentication method of RFC 8176", quoted(method)),
                closest(method, AUTHENTICATION_METHODS.iter().copied()),
            )
        })
    } else if let Rule::AuthContext(context) = rule {
        let what = format!(
            "{} is not an authentication context: valid are `c1` to `c99`",
            quoted(&context.ac_id)
        );
        (!is_authentication_context(&context.ac_id)).then_some((what, None))
    } else {
        None
    }
}

/// As Microsoft Entra ID names them.
fn is_authentication_context(id: &str) -> bool {
    let number = id.strip_prefix('c').unwrap_or_default();
    matches!(number.as_bytes(), [b'1'..=b'9'] | [b'1'..=b'9', b'0'..=b'9'])
}

/// The register "Authentication Method Reference Values" of RFC 8176.
const AUTHENTICATION_METHODS: &[&str] = &[
    "face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin", "pop", "pwd", "rba",
    "retina", "sc", "sms", "swk", "tel", "user", "vbm", "wia",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pol_21_contexts_are_numbered() {
        for id in ["c1", "c9", "c10", "c99"] {
            assert!(is_authentication_context(id), "{id}");
        }
        for id in ["", "c", "c0", "c01", "c100", "C1", "1", "c1 ", "mfa"] {
            assert!(!is_authentication_context(id), "{id}");
        }
    }
}
