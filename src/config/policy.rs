//! Policies of applications, and those that applications link to.

use std::time::Duration;

use crate::application::MAX_SESSION_DURATION;
use crate::policy::Policy;

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
    if let Some(include) = place.get("include")
        && policy.conditions.include.is_empty()
    {
        reader.error(
            &include,
            "the policy applies to nobody; write at least one rule (`everyone: {}` is everybody)",
        );
    }
    if policy.precedence == Some(0)
        && let Some(precedence) = place.get("precedence")
    {
        reader.error(&precedence, "invalid precedence; write a number from 1");
    }
}

/// `session_duration` of an application or a policy.
pub(super) type SessionDuration = Time<0, { millis(MAX_SESSION_DURATION) }>;

/// Reads `session_duration` of an application or a policy.
pub(super) fn session_duration(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Duration> {
    reader.field::<SessionDuration>(place, "session_duration").value()
}
