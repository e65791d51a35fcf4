//! Service tokens.

use std::collections::HashSet;

use crate::engine::explain::Moment;
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
                format!("the service token {name} is switched off"),
                "take it out when it is not needed any more",
            );
        } else if let Some(end) = token.expires_at.filter(|_| !token.is_good(subject.now)) {
            subject.report(
                LintKind::ServiceTokenExpired,
                &format!("{key}.expires_at"),
                None,
                format!("the service token {name} has expired at {}", Moment(end)),
                "issue a new one, or take it out",
            );
        }
        if !any && !named.contains(token.token_id()) && !named.contains(&*token.client_id) {
            subject.report(
                LintKind::ServiceTokenUnused,
                &key,
                None,
                format!("no rule asks for the service token {name}"),
                "take it out, or name it in a `non_identity` policy",
            );
        }
    }
}
