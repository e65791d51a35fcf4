//! Policies of applications, and those that applications link to.

use std::time::Duration;

use crate::application::MAX_SESSION_DURATION;
use crate::policy::{Decision, Policy, Rule};

use super::error::NoteKind;
use super::reader::{NodeRef, Reader};
use super::schema::{Read, Shape, Time, levels, millis};

impl Read for Policy {
    type Output = Self;

    fn shape() -> Shape {
        Shape::Mapping(levels::POLICY)
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        let policy = reader.read(place, &["name", "decision", "include"])?;
        check(reader, place, &policy);
        Some(policy)
    }
}

fn check(reader: &mut Reader, place: &NodeRef<'_>, policy: &Policy) {
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
        reader.error(&precedence, "invalid precedence; write a number from 1");
    }
    if policy.decision == Decision::Allow
        && policy.conditions.require.is_empty()
        && policy.conditions.include.contains(&Rule::Everyone)
        && let Some(include) = include
    {
        reader.note(
            NoteKind::Surprises,
            &include,
            "anybody who can receive mail may log in: `everyone` in an allow policy requires no more",
        );
    }
}

/// `session_duration` of an application or a policy.
pub(super) type SessionDuration = Time<0, { millis(MAX_SESSION_DURATION) }>;

/// Reads `session_duration` of an application or a policy.
pub(super) fn session_duration(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Duration> {
    reader.field::<SessionDuration>(place, "session_duration").value()
}
