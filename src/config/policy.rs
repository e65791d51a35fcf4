//! What is checked of a policy wherever it stands.

use std::time::Duration;

use crate::application::LONGEST_SESSION;
use crate::clock::GoDuration;
use crate::policy::{Decision, Policy, Rule};

use super::error::NoteKind;
use super::reader::{Place, Reader};

/// Checks a policy of an application, or one that applications link to.
pub(super) fn check_policy(reader: &mut Reader, place: &Place<'_>, policy: &Policy) {
    session_duration(reader, place);
    let include = place.get("include");
    if let Some(include) = &include
        && policy.conditions.include.is_empty()
    {
        reader.error(
            include,
            "the policy applies to nobody; write at least one rule (`everyone: {}` is everybody)",
        );
    }
    if policy.precedence == Some(0)
        && let Some(precedence) = place.get("precedence")
    {
        reader.error(&precedence, "a precedence begins at 1");
    }
    if policy.decision == Decision::Allow
        && policy.conditions.require.is_empty()
        && policy.conditions.include.contains(&Rule::Everyone)
        && let Some(include) = include
    {
        reader.note(
            NoteKind::Surprises,
            &include,
            "anybody who can receive mail may log in: `everyone` in an allow policy asks for no more",
        );
    }
}

/// An application's or a policy's `session_duration`: at most a month.
pub(super) fn session_duration(reader: &mut Reader, place: &Place<'_>) -> Option<Duration> {
    let duration = reader.optional::<GoDuration>(place, "session_duration")?;
    reader.check_duration(&duration, Duration::ZERO, LONGEST_SESSION);
    Some(duration.value.get())
}
