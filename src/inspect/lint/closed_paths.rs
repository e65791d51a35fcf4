//! Hosts of `ingress` of which applications cover only some paths.

use std::collections::BTreeSet;

use crate::application::{CanonicalHost, Destination, Router};
use crate::config::IngressEntry;

use super::destinations::is_for;
use super::kind::LintKind;
use super::subject::{Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    let Some(router) = &subject.router else { return };
    let mut reported = BTreeSet::new();
    for (number, rule) in subject.config().ingress.iter().enumerate() {
        // A fixed response needs no protection.
        if rule.service.starts_with("http_status:") {
            continue;
        }
        let Some(path) = first_path(rule.path.as_deref()) else { continue };
        for host in hosts(subject, router, number, rule) {
            if router.locate(&sample_of(&host), &path).is_some() {
                continue;
            }
            let covered = covered_paths(router, &host);
            // A host without any application is another finding.
            if covered.is_empty() || !reported.insert((host.clone(), path.clone())) {
                continue;
            }
            if reported.len() > MAX_FINDINGS {
                return;
            }
            report(subject, (number, rule), (&host, &path), &covered);
        }
    }
}

/// Returns the hosts a rule serves, of those that applications name: for a rule without hostname, or
/// with a wildcard, those that no earlier rule takes entirely.
fn hosts(
    subject: &Subject<'_>,
    router: &Router<usize>,
    number: usize,
    rule: &IngressEntry,
) -> Vec<String> {
    let name = rule.hostname.as_deref();
    if let Some(name) = name.filter(|name| !name.starts_with("*.")) {
        return name.parse::<CanonicalHost>().iter().map(|it| it.as_str().to_owned()).collect();
    }
    let earlier = subject.config().ingress.get(..number).unwrap_or_default();
    let is_taken = |host: &str| {
        earlier.iter().any(|rule| {
            let name = rule.hostname.as_deref();
            rule.path.is_none() && name.is_none_or(|name| is_for(name, host))
        })
    };
    let exact = router.destinations().filter_map(|(one, _)| one.exact_host());
    let exact = exact.filter(|host| name.is_none_or(|name| is_for(name, host)));
    let hosts: BTreeSet<&str> = exact.filter(|host| !is_taken(host)).take(MAX_HOSTS).collect();
    let wildcard = name.map(|name| name.to_ascii_lowercase().trim_end_matches('.').to_owned());
    wildcard.into_iter().chain(hosts.into_iter().map(str::to_owned)).collect()
}

/// Returns a host that represents a wildcard: one that no application names.
fn sample_of(host: &str) -> String {
    match host.strip_prefix("*.") {
        Some(below) => format!("any-other-name.{below}"),
        None => host.to_owned(),
    }
}

/// Returns the path above everything that an expression matches; `None` if that is not certain.
fn first_path(expression: Option<&str>) -> Option<String> {
    let Some(expression) = expression else { return Some("/".to_owned()) };
    let expression = expression.strip_prefix("(?i)").unwrap_or(expression);
    if matches!(expression, "" | ".*" | "^.*" | "^.*$" | "/" | "/.*") {
        return Some("/".to_owned());
    }
    let rest = expression.strip_prefix("^/")?;
    let is_literal = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    let end = rest.find(|c| !is_literal(c)).unwrap_or(rest.len());
    let (literal, more) = rest.split_at(end);
    ENDS.contains(&more).then(|| format!("/{literal}"))
}

/// Returns the paths of a host that applications cover.
fn covered_paths(router: &Router<usize>, host: &str) -> Vec<String> {
    let path_of = |destination: &Destination| {
        let text = destination.to_string();
        text.find('/').map(|at| text.get(at..).unwrap_or_default().to_owned())
    };
    let sample = sample_of(host);
    let of_host = router.destinations_for(&sample);
    let paths: BTreeSet<String> = of_host.filter_map(|(one, _)| path_of(one)).collect();
    paths.into_iter().collect()
}

/// Returns an expression for the covered paths; `None` if it would be hard to read.
fn expression(covered: &[String]) -> Option<String> {
    let is_plain = |path: &str| {
        path.len() > 1
            && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte))
    };
    let path_expression = |path: &String| {
        let (literal, end) = match path.strip_suffix('*') {
            Some(literal) => (literal, ""),
            None => (path.trim_end_matches('/'), "(/|$)"),
        };
        is_plain(literal).then(|| format!("{literal}{end}"))
    };
    let expressions: Option<Vec<String>> =
        covered.iter().take(MAX_PATHS + 1).map(path_expression).collect();
    match expressions?.as_slice() {
        [one] => Some(format!("^{one}")),
        several if several.len() <= MAX_PATHS => Some(format!("^({})", several.join("|"))),
        _ => None,
    }
}

fn report(
    subject: &Subject<'_>,
    (number, rule): (usize, &IngressEntry),
    (host, path): (&str, &str),
    covered: &[String],
) {
    let first: Vec<&str> = covered.iter().take(MAX_PATHS).map(String::as_str).collect();
    let more = match covered.len().saturating_sub(MAX_PATHS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let paths = format!("`{}`{more}", first.join("`, `"));
    let place = format!("{host}{}", path.trim_end_matches('/'));
    let message = if path == "/" {
        format!(
            "every path of {} but {paths} is closed, because no application covers the rest",
            quoted(host)
        )
    } else {
        format!(
            "{} is closed, because applications cover only {paths} of this host",
            quoted(&place)
        )
    };
    // Narrowing a rule needs a second one for the rest; a rule for a closed path only does not.
    let closed = if path == "/" {
        let narrow = match expression(covered) {
            Some(expression) => format!("narrow this rule with `path: {expression}`"),
            None => "narrow this rule to the other paths with `path`".to_owned(),
        };
        format!(
            "{narrow} and add `- {{ hostname: '{host}', service: \
             'http_status:404' }}` after it"
        )
    } else {
        "write `service: http_status:404` in this rule".to_owned()
    };
    let key = match rule.hostname {
        Some(_) => format!("ingress[{number}].hostname"),
        None => format!("ingress[{number}]"),
    };
    subject.report(
        LintKind::HostPartlyClosed,
        &key,
        Some(place.clone()),
        message,
        format!(
            "to open the rest, add an application with `domain: '{place}'` (and a `bypass` policy if \
             it is public); to keep it closed, {closed}"
        ),
    );
}

/// Endings after which the part before them is still a prefix of every matching path.
const ENDS: &[&str] =
    &["", "$", "(/|$)", "(?:/|$)", "(/.*)?$", "(/.*)?", ".*", ".*$", "/?", "/?$", "(/.*|$)"];
const MAX_PATHS: usize = 8;
const MAX_FINDINGS: usize = 100;
const MAX_HOSTS: usize = 1_000;
