//! Statements as sentences.

use std::collections::BTreeMap;

use super::report::{Change, Condition, Requesters};
use crate::policy::Outcome;

/// Returns a statement as a sentence. `services` contains the names of service tokens by client id.
pub(super) fn sentence(
    who: &Requesters,
    change: Change,
    when: &[Condition],
    services: &BTreeMap<&str, &str>,
) -> String {
    let (subject, is_plural) = subject(who, services);
    let mut text = format!("{subject} {}", verb(change, is_plural));
    for condition in when {
        text.push_str(", ");
        text.push_str(&phrase(condition));
    }
    text
}

fn verb(change: Change, is_plural: bool) -> String {
    let pick = |one: &'static str, many: &'static str| if is_plural { many } else { one };
    let (gains, loses, keeps) =
        (pick("gains", "gain"), pick("loses", "lose"), pick("keeps", "keep"));
    let (is, was) = (pick("is", "are"), pick("was", "were"));
    match change {
        Change::Gains(Outcome::Bypassed) => format!("{gains} access, without any check"),
        Change::Gains(_) => format!("{gains} access"),
        Change::Loses(_, Outcome::LoginRequired) => {
            format!("{loses} access and {is} asked to log in")
        }
        Change::Loses(..) => format!("{loses} access"),
        Change::Differs(Outcome::Denied, _) if !change_opens(change) => {
            format!("{is} asked to log in and {was} refused before")
        }
        Change::Differs(..) if !change_opens(change) => {
            format!("{is} refused and {was} asked to log in before")
        }
        Change::Differs(old, new) => format!("{keeps} access: {old} before, {new} now"),
    }
}

fn change_opens(change: Change) -> bool {
    matches!(change, Change::Differs(old, _) if old.grants_access())
}

/// Returns the subject, and whether it is plural.
fn subject(who: &Requesters, services: &BTreeMap<&str, &str>) -> (String, bool) {
    if who.anybody {
        return ("anybody".to_owned(), false);
    }
    let mut parts: Vec<String> = Vec::new();
    let mut are_many = false;
    if who.nobody {
        parts.push("whoever has not logged in".to_owned());
    }
    parts.extend(who.known_as.iter().map(|name| format!("all of {name}")));
    are_many |= !who.known_as.is_empty();
    let but = |names: &[Box<str>]| match names {
        [] => String::new(),
        names => format!(" except {}", list(names)),
    };
    let exceptions = but(&who.not_addresses);
    if who.everyone_else {
        parts.push(match who.not_domains.as_slice() {
            [] if who.not_addresses.is_empty() => "everybody who has logged in".to_owned(),
            [] => format!("everybody who has logged in{exceptions}"),
            domains => format!("everybody outside {}{exceptions}", list(domains)),
        });
    } else if !who.domains.is_empty() {
        parts.push(format!("everybody in {}{exceptions}", list(&who.domains)));
    }
    match (who.addresses.len(), who.known_as.is_empty()) {
        (0, _) => {}
        (count, true) => {
            are_many |= count > 1;
            parts.push(list(&who.addresses));
        }
        // Their lists have been named.
        (count, false) => {
            if let Some(last) = parts.last_mut() {
                last.push_str(&format!(" ({count} addresses in all)"));
            }
        }
    }
    for (what, many, names) in [
        ("service token", "service tokens", &who.service_tokens),
        ("linked application", "linked applications", &who.linked_applications),
    ] {
        let named: Vec<Box<str>> =
            names.iter().map(|id| (*services.get(&**id).unwrap_or(&&**id)).into()).collect();
        are_many |= named.len() > 1;
        match named.as_slice() {
            [] => {}
            [_] => parts.push(format!("{what} {}", list(&named))),
            _ => parts.push(format!("{many} {}", list(&named))),
        }
    }
    if who.other_service_tokens {
        parts.push(format!("any service token of the issuer{}", but(&who.not_service_tokens)));
    }
    are_many |= parts.len() > 1;
    (and(&parts), are_many)
}

fn phrase(condition: &Condition) -> String {
    let Condition { fact, name, is, is_not, other_than, or_missing, or_unknown, .. } = condition;
    let name = name.as_deref().unwrap_or_default().escape_debug().to_string();
    let mut parts: Vec<String> = Vec::new();
    if let Some(others) = other_than.as_deref() {
        let named = is.as_deref().or(is_not.as_deref()).unwrap_or_default();
        let left: Vec<Box<str>> =
            others.iter().filter(|value| !named.contains(value)).cloned().collect();
        let any = if is.is_some() { "any" } else { "no" };
        parts.push(match left.as_slice() {
            [] => format!("in {any} {fact}"),
            left => format!("in {any} {fact} but {}", list(left)),
        });
    }
    let is_left = |values: &&[Box<str>]| other_than.is_none() && !values.is_empty();
    if let Some(values) = is.as_deref().filter(is_left) {
        let values = list(values);
        parts.push(match *fact {
            "address" => format!("from {values}"),
            "country" => format!("in {values}"),
            "certificate" => format!("with the certificate of {values}"),
            "device_posture" => format!("on a device that passes {values}"),
            "login_method" => format!("logged in by {values}"),
            "login_type" => format!("logged in by a method of type {values}"),
            "usual_login" if values == "yes" => "after the usual login".to_owned(),
            "usual_login" => "of whom a login tells more than the usual one".to_owned(),
            "auth_method" => format!("who proved it by {values}"),
            "auth_context" => format!("with the authentication context {values}"),
            "group" => format!("in the provider's group {values}"),
            "organization" => format!("in the organization {values}"),
            "account" => format!("in the account {values}"),
            "claim" => format!("with the claim {name}={values}"),
            "risk" => format!("at the risk {values}"),
            "external_evaluation" if values == "true" => format!("where {name} says yes"),
            "external_evaluation" => format!("where {name} says no"),
            fact => format!("by the {fact} {values}"),
        });
    }
    if let Some(values) = is_not.as_deref().filter(|_| other_than.is_none()) {
        let values = list(values);
        let has_values = !values.is_empty();
        parts.push(match *fact {
            "address" if has_values => format!("from outside {values}"),
            "address" => "from any known address".to_owned(),
            "country" => format!("in any country but {values}"),
            "certificate" if has_values => format!("with a certificate but that of {values}"),
            "certificate" => "with a certificate".to_owned(),
            "device_posture" if has_values => format!("on a device that does not pass {values}"),
            "device_posture" => "on a device whose checks are known".to_owned(),
            "login_method" if has_values => format!("logged in by another method than {values}"),
            "login_method" => "logged in by any other method".to_owned(),
            "login_type" => format!("logged in by a method of another type than {values}"),
            "auth_method" if has_values => format!("who did not prove it by {values}"),
            "auth_context" if has_values => {
                format!("without the authentication context {values}")
            }
            "group" if has_values => format!("outside the provider's group {values}"),
            "organization" if has_values => format!("outside the organization {values}"),
            "account" if has_values => format!("outside the account {values}"),
            "claim" if has_values => format!("with the claim {name}, not {values}"),
            "claim" => format!("with any claim {name}"),
            "method" => format!("by any method but {values}"),
            fact if has_values => format!("without the {fact} {values}"),
            fact => format!("with a known {}", fact.replace('_', " ")),
        });
    }
    if *or_missing {
        parts.push("without a certificate".to_owned());
    }
    if *or_unknown {
        parts.push(match *fact {
            "address" => "from an unknown address".to_owned(),
            "country" => "in an unknown country".to_owned(),
            "claim" => format!("without a claim {name}"),
            "external_evaluation" => format!("where {name} was not asked"),
            fact => format!("where the {} is unknown", fact.replace('_', " ")),
        });
    }
    parts.join(" or ")
}

/// Returns some names, and the number of others.
fn list(names: &[Box<str>]) -> String {
    let shown: Vec<String> =
        names.iter().take(MAX_SHOWN).map(|name| name.escape_debug().to_string()).collect();
    match names.len().saturating_sub(MAX_SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn and(parts: &[String]) -> String {
    match parts.split_last() {
        None => "nobody".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// Names of one kind in a sentence.
const MAX_SHOWN: usize = 5;
