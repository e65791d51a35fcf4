//! Hosts and paths: gaps beside a destination, and unreachable applications.

use std::collections::HashSet;

use crate::application::{Application, CanonicalHost, Destination};
use crate::config::Role;
use crate::inspect::relation::{Witness, sample, sample_won_by, uncovered_host, uncovered_path};
use crate::login::is_own;
use crate::policy::{Conditions, Decision, Policy, Rule};

use super::kind::LintKind;
use super::subject::{Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    let applications = &subject.access().applications;
    let all: HashSet<&Destination> =
        applications.iter().flat_map(Application::destinations).collect();
    for (number, application) in applications.iter().enumerate() {
        let mut unreachable = 0;
        for destination in application.destinations() {
            let one = DestinationEntry { subject, all: &all, number, application, destination };
            if let Some(why) = one.unreachable() {
                unreachable += 1;
                if application.destinations().len() > 1 {
                    one.report(
                        LintKind::DestinationUnreachable,
                        format!("{} is unreachable: {why}", quoted(&destination.to_string())),
                        "remove it, or narrow the other destinations",
                    );
                } else {
                    one.report(
                        LintKind::ApplicationUnreachable,
                        format!("the application is unreachable: {why}"),
                        "remove it, or narrow the other destinations",
                    );
                }
                continue;
            }
            one.parent();
            one.sibling();
            one.apex();
            one.ingress();
        }
        if unreachable > 1 && unreachable == application.destinations().len() {
            subject.report(
                LintKind::ApplicationUnreachable,
                &format!("access.applications[{number}]"),
                None,
                "the application is unreachable: all its destinations are",
                "remove it, or narrow the other destinations",
            );
        }
        admits_nobody(subject, number, application);
    }
}

struct DestinationEntry<'a> {
    subject: &'a Subject<'a>,
    /// Of all applications.
    all: &'a HashSet<&'a Destination>,
    number: usize,
    application: &'a Application,
    destination: &'a Destination,
}

impl<'a> DestinationEntry<'a> {
    fn unreachable(&self) -> Option<String> {
        let Self { subject, destination, .. } = self;
        let router = subject.router.as_ref()?;
        let is_issuing = matches!(subject.access().role, Role::Issuing { .. });
        if is_issuing && is_own(&sample(destination).path) {
            return Some("the login serves everything below `/cdn-cgi/access`".to_owned());
        }
        if sample_won_by(router, destination).is_some() {
            return None;
        }
        let Witness { host, path } = sample(destination);
        let winner = self.application_at(&host, &path).filter(|winner| *winner != self.number)?;
        let winner = quoted(self.named(winner));
        Some(format!("more specific applications, such as {winner}, take all its requests"))
    }

    /// `/admin/*` leaves `/admin`.
    fn parent(&self) {
        let Self { subject, number, destination, .. } = *self;
        let Some(Witness { host, path }) = uncovered_path(destination) else { return };
        let above = self.text_without("/*");
        let Some(above) = above.and_then(|above| above.parse::<Destination>().ok()) else { return };
        // The application that has it declared it explicitly.
        if self.all.contains(&above) || subject.is_open(number) {
            return;
        }
        let shown = quoted(&above.to_string());
        let decides = match self.application_at(&host, &path) {
            Some(other) if other == number || self.has_policies_of(other) => return,
            Some(other) => {
                let how = if subject.is_open(other) { ", which is open to everyone" } else { "" };
                format!("it belongs to {}{how}", quoted(self.named(other)))
            }
            None => "no application covers it".to_owned(),
        };
        self.report(
            LintKind::PathLeavesParentOpen,
            format!("does not cover {shown} itself: {decides}"),
            format!("write {shown}, which also covers the paths below it"),
        );
    }

    /// `/admin` leaves `/admin.html`.
    fn sibling(&self) {
        let Self { subject, number, destination, .. } = *self;
        let text = destination.to_string();
        let has_path = text.contains('/');
        let path = text.split_once('/').map_or("", |(_, path)| path);
        if !has_path || path.contains('*') || subject.is_open(number) {
            return;
        }
        let Witness { host, path } = sample(destination);
        let beside = format!("{path}.html");
        let Some(other) = self.application_at(&host, &beside) else { return };
        if other != number && subject.is_open(other) {
            self.report(
                LintKind::PathLeavesSiblingOpen,
                format!(
                    "ends at a segment: `{beside}` and other paths with this prefix belong to {}, \
                     which is open to everyone",
                    quoted(self.named(other))
                ),
                format!("write {} to cover these as well", quoted(&format!("{text}*"))),
            );
        }
    }

    /// `*.example.com` leaves `example.com`.
    fn apex(&self) {
        let Some(Witness { host, .. }) = uncovered_host(self.destination) else { return };
        let text = self.destination.to_string();
        let apex = text.split('/').next().and_then(|host| host.strip_prefix("*."));
        let (Some(apex), Some(router)) = (apex, &self.subject.router) else { return };
        // A single label is a top-level domain.
        if !apex.contains('.') || apex.contains('*') || router.has_host(&host) {
            return;
        }
        self.report(
            LintKind::HostLeavesApexOpen,
            format!("does not cover {} itself, and no application does", quoted(apex)),
            format!("add {} to the destinations if you serve it as well", quoted(apex)),
        );
    }

    /// Reports a host that no rule of `ingress` matches.
    fn ingress(&self) {
        let Self { subject, destination, .. } = self;
        let ingress = &subject.config().ingress;
        let (Some(host), Some((last, rules))) = (destination.exact_host(), ingress.split_last())
        else {
            return;
        };
        let is_for = |hostname: &str| is_for(hostname, host);
        let is_routed = |hostname: &Option<String>| hostname.as_deref().is_none_or(is_for);
        if !last.service.starts_with("http_status:")
            || rules.iter().any(|rule| is_routed(&rule.hostname))
        {
            return;
        }
        let is_first = |one: &&Destination| one.exact_host() == Some(host);
        if self.application.destinations().iter().find(is_first) != Some(destination) {
            return;
        }
        self.report(
            LintKind::ApplicationWithoutIngress,
            format!(
                "no `ingress` rule matches {}: every request gets {}",
                quoted(host),
                quoted(&last.service)
            ),
            format!("add a rule with `hostname: {host}`, or remove the application"),
        );
    }

    fn report(&self, kind: LintKind, message: String, fix: impl Into<String>) {
        let Self { subject, number, destination, .. } = self;
        let key = subject.places.destination(*number, destination);
        subject.report(kind, &key, Some(destination.to_string()), message, fix);
    }

    fn text_without(&self, end: &str) -> Option<String> {
        let text = self.destination.to_string();
        text.strip_suffix(end).filter(|above| above.contains('/')).map(str::to_owned)
    }

    fn application_at(&self, host: &str, path: &str) -> Option<usize> {
        self.subject.router.as_ref()?.locate(host, path).copied()
    }

    fn has_policies_of(&self, other: usize) -> bool {
        let meaning = |policies: &[Policy]| -> Vec<Policy> {
            let plain = |policy: &Policy| Policy { id: None, name: "".into(), ..policy.clone() };
            policies.iter().map(plain).collect()
        };
        let other = self.subject.access().applications.get(other);
        other.is_some_and(|other| meaning(&other.policies) == meaning(&self.application.policies))
    }

    fn named(&self, application: usize) -> &'a str {
        let application = self.subject.access().applications.get(application);
        application.map_or("", Application::name)
    }
}

fn admits_nobody(subject: &Subject<'_>, number: usize, application: &Application) {
    let has_opening = application.policies.iter().any(|policy| policy.decision != Decision::Deny);
    // The name "Block Everyone" declares the intent.
    let is_meant = application.policies.iter().any(|policy| {
        let Conditions { include, require, exclude } = &policy.conditions;
        include.contains(&Rule::Everyone) && require.is_empty() && exclude.is_empty()
    });
    if has_opening || is_meant {
        return;
    }
    let why =
        if application.policies.is_empty() { "it has no policy" } else { "all its policies deny" };
    subject.report(
        LintKind::ApplicationAdmitsNobody,
        &format!("access.applications[{number}]"),
        None,
        format!("nobody is allowed in: {why}"),
        "add a policy that allows",
    );
}

/// Whether a hostname of `ingress` matches a canonical host.
pub(super) fn is_for(hostname: &str, host: &str) -> bool {
    match hostname.strip_prefix("*.") {
        Some(below) => {
            let below = below.to_ascii_lowercase();
            let below = below.strip_suffix('.').unwrap_or(&below);
            host.strip_suffix(below).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        }
        None => hostname.parse::<CanonicalHost>().is_ok_and(|known| known.as_str() == host),
    }
}
