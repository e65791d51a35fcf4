//! Settings for ambiguous paths, on hosts where every interpretation is judged the same.

use crate::application::{Ambiguity, Application};

use super::destinations::is_for;
use super::kind::LintKind;
use super::subject::{Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    for (number, application) in subject.access().applications.iter().enumerate() {
        let allowed =
            Ambiguity::ALL.into_iter().find(|kind| application.ambiguities.contains(*kind));
        let Some(kind) = allowed else { continue };
        if let Some(hosts) = undivided_hosts(subject, number, application) {
            subject.report(
                LintKind::PathReadingsJudgedAlike,
                &format!("access.applications[{number}].{}", kind.setting()),
                None,
                format!(
                    "every path of {hosts} belongs to this application, and no rule of `ingress` \
                     looks at paths there: its settings `insecure_allow_…` for paths change no \
                     judgement (`/cdn-cgi/access` is refused in every other reading)"
                ),
                "nothing needs to change now; check again after adding an application, or a rule of \
                 `ingress` with a path, for the host",
            );
        }
    }
}

/// Returns the application's hosts, if it owns all of them entirely.
fn undivided_hosts(
    subject: &Subject<'_>,
    number: usize,
    application: &Application,
) -> Option<String> {
    let router = subject.router.as_ref()?;
    let mut hosts: Vec<&str> = Vec::new();
    for destination in application.destinations() {
        let host = destination.exact_host()?;
        let is_own = router.destinations_for(host).all(|(_, owner)| *owner == number);
        let is_whole =
            router.destinations_for(host).any(|(it, _)| it.exact_host() == Some(&*it.to_string()));
        if !is_own || !is_whole || has_ingress_paths(subject, host) {
            return None;
        }
        hosts.push(host);
    }
    hosts.dedup();
    Some(hosts.into_iter().map(quoted).collect::<Vec<_>>().join(", "))
}

fn has_ingress_paths(subject: &Subject<'_>, host: &str) -> bool {
    subject.config().ingress.iter().any(|rule| {
        rule.path.as_deref().is_some_and(|path| !path.is_empty())
            && rule.hostname.as_deref().is_none_or(|it| it.is_empty() || is_for(it, host))
    })
}
