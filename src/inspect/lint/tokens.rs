//! Service tokens.

use std::collections::HashSet;

use crate::engine::explain::Rfc3339Time;
use crate::policy::Test;

use super::kind::LintKind;
use super::subject::{Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    let mut named = HashSet::new();
    let mut any = false;
    for rule in subject.all_rules() {
        if let Test::ServiceToken(id) = rule.test() {
            any |= id.is_none();
            named.extend(id);
        }
    }
    for (number, token) in subject.access().service_tokens.iter().enumerate() {
        let key = format!("access.service_tokens[{number}]");
        let name = quoted(&token.name);
        if !token.enabled {
            subject.report(
                LintKind::ServiceTokenDisabled,
                &format!("{key}.enabled"),
                None,
                format!("the service token {name} is disabled"),
                "remove it if it is no longer needed",
            );
        } else if let Some(end) = token.expires_at.filter(|_| !token.is_valid(subject.now)) {
            subject.report(
                LintKind::ServiceTokenExpired,
                &format!("{key}.expires_at"),
                None,
                format!("the service token {name} has expired at {}", Rfc3339Time(end)),
                "issue a new one, or remove it",
            );
        }
        if !any && !named.contains(token.token_id()) && !named.contains(&*token.client_id) {
            subject.report(
                LintKind::ServiceTokenUnused,
                &key,
                None,
                format!("no rule refers to the service token {name}"),
                "remove it, or name it in a `non_identity` policy",
            );
        }
    }
}
