//! Paths that differ only in letter case.

use std::collections::HashSet;

use crate::application::{Destination, decode};
use crate::config::IngressEntry;
use crate::inspect::relation::sample;
use crate::policy::Policy;

use super::destinations::is_for;
use super::kind::LintKind;
use super::subject::{Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    let mut seen = HashSet::new();
    let applications = subject.access().applications.iter().enumerate();
    for (number, application) in applications {
        for destination in application.destinations() {
            let Some((other, path)) = in_other_case(subject, number, destination) else { continue };
            if seen.insert((number.min(other), number.max(other))) {
                report(subject, (number, destination), other, &path);
            }
        }
    }
    ingress(subject);
}

/// Returns another application with a destination's path in other letter case, and that path.
fn in_other_case(
    subject: &Subject<'_>,
    number: usize,
    destination: &Destination,
) -> Option<(usize, String)> {
    let text = destination.to_string();
    let (host, path) = text.split_at(text.find('/')?);
    let other: Destination = format!("{host}{}", swap_case(path)?).parse().ok()?;
    let witness = sample(&other);
    let found = *subject.router.as_ref()?.locate(&witness.host, &witness.path)?;
    (found != number && !decide_alike(subject, number, found)).then_some((found, witness.path))
}

fn report(
    subject: &Subject<'_>,
    (number, destination): (usize, &Destination),
    other: usize,
    path: &str,
) {
    let all = &subject.access().applications;
    let stricter = || [number, other].into_iter().filter(|one| !subject.is_open(*one));
    let says_so = |one: &usize| all.get(*one).is_some_and(|it| it.case_sensitive_origin);
    let name = |one: usize| quoted(all.get(one).map_or("", |it| it.name()));
    let value = Some(destination.to_string());
    if let Some(speaker) = stricter().find(says_so).filter(|_| stricter().all(|one| says_so(&one)))
    {
        subject.report(
            LintKind::LetterCaseLetThrough,
            &format!("access.applications[{speaker}].insecure_case_sensitive_origin"),
            value,
            format!(
                "{} is allowed by {}: an origin that ignores letter case serves what belongs to {}",
                quoted(path),
                name(other),
                name(number)
            ),
            "remove it, or give the reason under `lint.allow`",
        );
        return;
    }
    let silent: Vec<String> = stricter().filter(|one| !says_so(one)).map(name).collect();
    if silent.is_empty() {
        return;
    }
    subject.report(
        LintKind::LetterCaseRefused,
        &subject.places.destination(number, destination),
        value,
        format!(
            "{}, which differs only in letter case and belongs to {}, is refused with 400: an origin \
             that ignores letter case would serve what belongs to {}",
            quoted(path),
            name(other),
            name(number)
        ),
        format!(
            "write `insecure_case_sensitive_origin: true` for {} if the origin is case-sensitive",
            silent.join(" and ")
        ),
    );
}

fn decide_alike(subject: &Subject<'_>, one: usize, other: usize) -> bool {
    let policies = |number: usize| {
        subject.access().applications.get(number).map_or(&[][..], |one| one.policies.as_slice())
    };
    let is_alike = |one: &Policy, other: &Policy| {
        let plain = |policy: &Policy| Policy { id: None, name: "".into(), ..policy.clone() };
        // Compare `include` first: most differ there, and some are large.
        one.conditions == other.conditions && plain(one) == plain(other)
    };
    let (one, other) = (policies(one), policies(other));
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_alike(one, other))
}

/// Reports rules of `ingress` whose path in other letter case leads elsewhere.
fn ingress(subject: &Subject<'_>) {
    let rules = &subject.config().ingress;
    for (number, rule) in rules.iter().enumerate() {
        let Some(path) = rule.path.as_deref().filter(|path| has_letter(path)) else { continue };
        let is_next = |next: &&IngressEntry| match (&next.hostname, &rule.hostname) {
            _ if next.path.is_some() => false,
            (None, _) => true,
            (Some(_), None) => false,
            (Some(next), Some(host)) => next.eq_ignore_ascii_case(host) || is_for(next, host),
        };
        let Some(next) = rules.iter().skip(number + 1).find(is_next) else { continue };
        let is_alike = next.service == rule.service && next.origin_request == rule.origin_request;
        // A response of 400 instead of 404 is not worth a notice.
        if is_alike || next.service.starts_with("http_status:") || is_told_apart(subject, rule) {
            continue;
        }
        subject.report(
            LintKind::LetterCaseRefused,
            &format!("ingress[{number}].path"),
            Some(path.to_owned()),
            format!(
                "paths that match only in other letter case, and would lead to {}, are refused with 400",
                quoted(&next.service)
            ),
            "begin the expression with `(?i)` if the origin ignores letter case, or write \
             `insecure_case_sensitive_origin: true` for the application if it does not",
        );
    }
}

/// Whether all applications on a rule's host declare a case-sensitive origin.
fn is_told_apart(subject: &Subject<'_>, rule: &IngressEntry) -> bool {
    let (Some(router), Some(host)) = (&subject.router, rule.hostname.as_deref()) else {
        return false;
    };
    let host = host.to_ascii_lowercase();
    let mut here = router.destinations_for(&host).peekable();
    here.peek().is_some()
        && here.all(|(_, number)| {
            let application = subject.access().applications.get(*number);
            application.is_some_and(|it| it.case_sensitive_origin)
        })
}

/// Whether the text of an expression has a letter that matches in one case only.
fn has_letter(expression: &str) -> bool {
    let mut is_escaped = false;
    !expression.starts_with("(?i)")
        && expression.chars().any(|character| {
            let is_letter = character.is_alphabetic() && !is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            is_letter
        })
}

/// Returns a path with its first letter in the other case; `None` without such a letter.
fn swap_case(path: &str) -> Option<String> {
    let path = decode(path);
    let mut text = String::with_capacity(path.len());
    let mut left = &*path;
    while let Some(character) = left.chars().next() {
        let length = if character == '%' { 3 } else { character.len_utf8() };
        let (piece, rest) = left.split_at_checked(length)?;
        if let Some(swapped) = swapped(character) {
            return Some(format!("{text}{swapped}{rest}"));
        }
        text.push_str(piece);
        left = rest;
    }
    None
}

fn swapped(character: char) -> Option<String> {
    let (upper, lower) =
        (character.to_uppercase().to_string(), character.to_lowercase().to_string());
    let is_lower = lower.chars().eq([character]);
    match is_lower {
        true if upper != lower => Some(upper),
        false => Some(lower),
        true => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_letter_changes_its_case() {
        for (path, swapped) in [
            ("/ghost/x", Some("/Ghost/x")),
            ("/1%2Fb", Some("/1%2FB")),
            ("/*/Admin", Some("/*/admin")),
            ("/%C3%A4b", Some("/\u{c4}b")),
            ("/2024/*", None),
            ("/%20", None),
        ] {
            assert_eq!(swap_case(path).as_deref(), swapped, "{path}");
        }
    }

    #[test]
    fn letters_of_escapes_are_none_of_the_path() {
        for (expression, has) in
            [(r"^/admin", true), (r"^/\d+$", false), ("(?i)^/admin", false), (r"\\d", true)]
        {
            assert_eq!(has_letter(expression), has, "{expression}");
        }
    }
}
