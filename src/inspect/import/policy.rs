//! Carries one policy over, never wider than it was.
//!
//! A policy that lets people in may lose an alternative of its `include`: fewer get in. When it loses
//! a condition it is left out. A policy that refuses may lose conditions: it refuses more. When it
//! loses an alternative of its `include` it refuses everyone in its place.

use serde_json::Value;

use crate::application::LONGEST_SESSION;
use crate::clock::GoDuration;
use crate::policy::{Decision, Policy, Rule, RuleList};

use super::inventory::Entry;
use super::note::{ImportNote, ImportNoteKind};
use super::references::{Position, References};
use super::refusals::Refusals;
use super::value::{is_off, list};

/// The policy as it may be written; `None` when it has to be left out.
pub(super) fn carry(
    entry: &Entry,
    references: &References,
    refusals: &Refusals,
    notes: &mut Vec<ImportNote>,
) -> Option<Policy> {
    let decision = entry.fields.get("decision").cloned().unwrap_or_default();
    let decision: Option<Decision> = serde_json::from_value(decision).ok();
    let Some(decision) = decision else {
        return Some(refuse_everyone(entry, "decision", "it is not known", notes));
    };
    if let Some(reason) = refusals.policies.get(&entry.key) {
        return lose(entry, decision, "", reason, notes);
    }
    for (key, value) in &entry.fields {
        let key = key.as_str();
        if KNOWN.contains(&key) || is_off(value) {
            continue;
        }
        let is_declined =
            key == "mfa_config" && value.get("mfa_disabled") == Some(&Value::Bool(true));
        // What asks more of those who are let in asks nothing of those who are refused.
        if NOT_HERE.contains(&key) && (decision == Decision::Deny || is_declined) {
            continue;
        }
        let reason = if NOT_HERE.contains(&key) {
            "it is not done here, and without it more would get in"
        } else {
            "this key is not known"
        };
        return lose(entry, decision, key, reason, notes);
    }
    rules(entry, decision, references, notes)
}

fn rules(
    entry: &Entry,
    decision: Decision,
    references: &References,
    notes: &mut Vec<ImportNote>,
) -> Option<Policy> {
    let mut policy = Policy::new(entry.name(), decision);
    policy.id = entry.id().map(Into::into);
    let refuses = decision == Decision::Deny;
    for key in RuleList::ALL {
        let Some(values) = list(entry.fields.get(key.as_str())) else {
            return lose(entry, decision, key.as_str(), "no list of rules", notes);
        };
        let position = Position { decision: Some(decision), list: key };
        let rules = policy.conditions.list_mut(key);
        let mut everyone = false;
        for (number, value) in values.iter().enumerate() {
            let reason = match references.rule(value, position) {
                Ok(rule) => {
                    rules.push(rule);
                    continue;
                }
                Err(reason) => reason,
            };
            let place = format!("{key}[{number}]");
            match (key == RuleList::Include, refuses) {
                (true, false) => notes.push(entry.note(
                    ImportNoteKind::NotCarriedOver,
                    &place,
                    format_args!("{reason}; the rule was left out, and fewer get in"),
                )),
                (false, false) => return lose(entry, decision, &place, &reason, notes),
                (true, true) => {
                    everyone = true;
                    notes.push(entry.note(
                        ImportNoteKind::Closed,
                        &place,
                        format_args!("{reason}; the policy refuses everyone in place of these"),
                    ));
                }
                (false, true) => notes.push(entry.note(
                    ImportNoteKind::Closed,
                    &place,
                    format_args!("{reason}; the rule was left out, and more are refused"),
                )),
            }
        }
        if everyone {
            *rules = vec![Rule::Everyone];
        }
    }
    if policy.conditions.include.is_empty() {
        let had_some = list(entry.fields.get("include")).is_some_and(|rules| !rules.is_empty());
        let reason =
            if had_some { "no rule is left" } else { "there is no rule: it matches nobody" };
        notes.push(entry.note(
            ImportNoteKind::NotCarriedOver,
            "include",
            format_args!("{reason}; the policy was left out"),
        ));
        return None;
    }
    policy.session_duration = session_duration(entry, notes);
    Some(policy)
}

/// A policy of which not enough is left.
fn lose(
    entry: &Entry,
    decision: Decision,
    key: &str,
    reason: &str,
    notes: &mut Vec<ImportNote>,
) -> Option<Policy> {
    if decision == Decision::Deny {
        return Some(refuse_everyone(entry, key, reason, notes));
    }
    notes.push(entry.note(
        ImportNoteKind::NotCarriedOver,
        key,
        format_args!("{reason}; the {decision} policy was left out, and nobody gets in by it"),
    ));
    None
}

fn refuse_everyone(entry: &Entry, key: &str, reason: &str, notes: &mut Vec<ImportNote>) -> Policy {
    notes.push(entry.note(
        ImportNoteKind::Closed,
        key,
        format_args!("{reason}; in its place a policy refuses everyone"),
    ));
    let mut policy = Policy::deny(entry.name()).include(Rule::Everyone);
    policy.id = entry.id().map(Into::into);
    policy
}

fn session_duration(entry: &Entry, notes: &mut Vec<ImportNote>) -> Option<GoDuration> {
    let value = entry.fields.get("session_duration").filter(|value| !is_off(value))?;
    match value.as_str().and_then(|text| text.parse::<GoDuration>().ok()) {
        Some(duration) if duration.get() <= LONGEST_SESSION => Some(duration),
        _ => {
            notes.push(entry.note(
                ImportNoteKind::NotCarriedOver,
                "session_duration",
                "no duration of at most 744h; the application's counts",
            ));
            None
        }
    }
}

/// Whether a value says that a policy is written once for all applications.
pub(super) fn is_reusable(entry: &Entry) -> bool {
    entry.fields.get("reusable") == Some(&Value::Bool(true))
}

/// Keys that are carried over, that say nothing about who gets in, or that do so only together with
/// one of [`NOT_HERE`].
const KNOWN: &[&str] = &[
    "id",
    "uid",
    "name",
    "decision",
    "precedence",
    "include",
    "require",
    "exclude",
    "session_duration",
    "approval_groups",
    "purpose_justification_prompt",
    "connection_rules",
    "reusable",
    "app_count",
    "created_at",
    "updated_at",
];

/// Section 8.6 of the contract.
const NOT_HERE: &[&str] =
    &["approval_required", "purpose_justification_required", "isolation_required", "mfa_config"];
