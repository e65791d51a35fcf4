//! Audit events: security events of plain fields.
//!
//! Every module reports events through [`record`]. An [`Event`] contains no
//! policy, token or request: the reporter sets names, ids and texts. The only sink so
//! far is `tracing`, target `tower_access::audit`; an allowed request creates no event.

mod event;
mod kind;
mod log;

#[cfg(test)]
mod tests;

pub(crate) use self::event::{Application, Event};
pub(crate) use self::kind::{Disclosed, EventKind, RevocationScope};

/// Reports an event. Costs next to nothing, and allocates nothing, while its kind is disabled.
pub(crate) fn record(event: &Event<'_>) {
    log::write(event);
}
