//! The notes of the file reader, as findings.

use std::collections::HashSet;

use crate::config::{Note, NoteKind};

use super::finding::Finding;
use super::kind::LintKind;
use super::subject::Subject;

pub(super) fn lint(subject: &Subject<'_>) {
    let everyone = subject.keys_of(LintKind::AllowAdmitsEveryone);
    let everyone: HashSet<&str> =
        everyone.iter().filter_map(|key| Some(key.rsplit_once('[')?.0)).collect();
    let never = subject.keys_of(LintKind::RuleNeverMatches);
    let let_through = subject.keys_of(LintKind::LetterCaseLetThrough);
    for note in subject.config().notes() {
        if rule_of_method(note.key()).is_some_and(|rule| never.contains(rule)) {
            continue;
        }
        // Other checks find these more precisely.
        if everyone.contains(note.key()) || let_through.contains(note.key()) {
            continue;
        }
        subject.push(note_finding(subject, note));
    }
    if subject.budget.is_spent() {
        subject.report(
            LintKind::CheckIncomplete,
            "access",
            None,
            "the file is so large that not all rules and policies were compared",
            "put large lists under `access.lists`, and refer to them once",
        );
    }
}

/// Returns the rule whose login method has this key path.
fn rule_of_method(key: &str) -> Option<&str> {
    let of_provider = || key.strip_suffix(".identity_provider_id")?.rsplit_once('.');
    key.strip_suffix(".login_method.id").or_else(|| of_provider().map(|(rule, _)| rule))
}

fn note_finding(subject: &Subject<'_>, note: &Note) -> Finding {
    let (message, fix) = split(note.message());
    let kind = kind(note);
    let fix = fix.or_else(|| match note.kind() {
        NoteKind::HasNoEffect => Some("remove it"),
        NoteKind::Weakens => Some("remove it, or give the reason under `lint.allow`"),
        NoteKind::Surprises => None,
    });
    let mut about = subject.name(note.key());
    about.value = note.key().rsplit('.').next().map(str::to_owned);
    let location = note.location();
    Finding {
        id: kind,
        severity: kind.severity(),
        file: subject.deployment.file().to_owned(),
        line: Some(location.line),
        column: Some(location.column),
        key: note.key().to_owned(),
        message: message.to_owned(),
        fix: fix.map(str::to_owned),
        subject: about,
        suppressed: None,
    }
}

fn kind(note: &Note) -> LintKind {
    let key = note.key();
    match note.kind() {
        NoteKind::HasNoEffect => LintKind::NoEffect,
        NoteKind::Weakens => LintKind::WeakenedDefault,
        NoteKind::Surprises if key == "trusted_proxies" => LintKind::TrustedProxiesTooWide,
        NoteKind::Surprises if key.starts_with("ingress[") && key.ends_with("].path") => {
            LintKind::IngressPathNotAnchored
        }
        NoteKind::Surprises if key.starts_with("ingress[") && key.ends_with(']') => {
            LintKind::IngressUnreachable
        }
        NoteKind::Surprises => LintKind::SurprisingSetting,
    }
}

/// Splits a message into the problem and the fix, which follows the last semicolon.
pub(super) fn split(message: &str) -> (&str, Option<&str>) {
    match message.rsplit_once("; ") {
        Some((message, fix)) => (message, Some(fix)),
        None => (message, None),
    }
}
