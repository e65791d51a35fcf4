//! Audit events: security events of plain fields.
//!
//! Every room reports what happens through [`record`]; none reads it here. An [`Event`] knows no
//! policy, no token and no request: whoever reports fills in names, ids and texts. The only sink so
//! far is `tracing`, target `tower_access::audit`; a request that is let in leaves no event.

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
