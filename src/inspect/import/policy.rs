//! Converts a policy, never to a wider one.
//!
//! A policy that admits users may lose an alternative of its `include`: it admits fewer. If it loses a
//! condition, it is left out. A policy that refuses may lose conditions: it refuses more. If it loses
//! an alternative of its `include`, it refuses everyone.

use serde_json::Value;

use crate::application::MAX_SESSION_DURATION;
use crate::clock::GoDuration;
use crate::policy::{Decision, Policy, Rule, RuleList};

use super::inventory::Entry;
use super::note::{ImportNote, ImportNoteKind};
use super::references::{Position, References};
use super::refusals::Refusals;
use super::value::{is_off, list};

/// Returns the policy to write; `None` if it has to be left out.
pub(super) fn convert(
    entry: &Entry,
    references: &References,
    refusals: &Refusals,
    notes: &mut Vec<ImportNote>,
) -> Option<Policy> {
    let decision = entry.fields.get("decision").cloned().unwrap_or_default();
    let decision: Option<Decision> = serde_json::from_value(decision).ok();
    let Some(decision) = decision else {
        return Some(refuse_everyone(entry, "decision", "it is unknown", notes));
    };
    if let Some(reason) = refusals.policies.get(&entry.key) {
        return reject(entry, decision, "", reason, notes);
    }
    for (key, value) in &entry.fields {
        let key = key.as_str();
        if HANDLED_KEYS.contains(&key) || is_off(value) {
            continue;
        }
        let is_declined =
            key == "mfa_config" && value.get("mfa_disabled") == Some(&Value::Bool(true));
        // A further requirement for those who are admitted does not concern those who are refused.
        if UNSUPPORTED.contains(&key) && (decision == Decision::Deny || is_declined) {
            continue;
        }
        let reason = if UNSUPPORTED.contains(&key) {
            "it is not supported here, and without it more users would be admitted"
        } else {
            "this key is unknown"
        };
        return reject(entry, decision, key, reason, notes);
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
            return reject(entry, decision, key.as_str(), "not a list of rules", notes);
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
                    format_args!("{reason}; the rule was left out, so fewer are admitted"),
                )),
                (false, false) => return reject(entry, decision, &place, &reason, notes),
                (true, true) => {
                    everyone = true;
                    notes.push(entry.note(
                        ImportNoteKind::Closed,
                        &place,
                        format_args!("{reason}; the policy refuses everyone instead"),
                    ));
                }
                (false, true) => notes.push(entry.note(
                    ImportNoteKind::Closed,
                    &place,
                    format_args!("{reason}; the rule was left out, so more are refused"),
                )),
            }
        }
        if everyone {
            *rules = vec![Rule::Everyone];
        }
    }
    if policy.conditions.include.is_empty() {
        let had_some = list(entry.fields.get("include")).is_some_and(|rules| !rules.is_empty());
        let reason = if had_some { "no rule is left" } else { "without a rule it matches nobody" };
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

/// Replaces or leaves out a policy that lost too much.
fn reject(
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
        format_args!("{reason}; the {decision} policy was left out, so it admits nobody"),
    ));
    None
}

fn refuse_everyone(entry: &Entry, key: &str, reason: &str, notes: &mut Vec<ImportNote>) -> Policy {
    notes.push(entry.note(
        ImportNoteKind::Closed,
        key,
        format_args!("{reason}; a policy that refuses everyone replaces it"),
    ));
    let mut policy = Policy::deny(entry.name()).include(Rule::Everyone);
    policy.id = entry.id().map(Into::into);
    policy
}

fn session_duration(entry: &Entry, notes: &mut Vec<ImportNote>) -> Option<GoDuration> {
    let value = entry.fields.get("session_duration").filter(|value| !is_off(value))?;
    match value.as_str().and_then(|text| text.parse::<GoDuration>().ok()) {
        Some(duration) if duration.get() <= MAX_SESSION_DURATION => Some(duration),
        _ => {
            notes.push(entry.note(
                ImportNoteKind::NotCarriedOver,
                "session_duration",
                "not a duration of at most 744h; the application's duration applies",
            ));
            None
        }
    }
}

/// Whether a policy is written once for all applications.
pub(super) fn is_reusable(entry: &Entry) -> bool {
    entry.fields.get("reusable") == Some(&Value::Bool(true))
}

/// Keys that are converted, that do not affect who is admitted, or that do so only together with one of
/// [`UNSUPPORTED`].
const HANDLED_KEYS: &[&str] = &[
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
const UNSUPPORTED: &[&str] =
    &["approval_required", "purpose_justification_required", "isolation_required", "mfa_config"];
