//! The parts of `access` as they were read, with their nodes.

use crate::policy::{Group, List};
use crate::service_token::ServiceToken;

use super::application::ReadApplication;
use super::reader::NodeRef;
use super::reusable::Reusable;

/// List entries, and the values read from them; `None` for invalid ones.
pub(super) type ReadEntries<'t, T> = [(NodeRef<'t>, Option<T>)];

/// The parts of `access` that refer to each other.
pub(super) struct Parts<'a, 't> {
    pub(super) applications: &'a [ReadApplication<'t>],
    pub(super) reusable: &'a Reusable<'t>,
    pub(super) groups: &'a ReadEntries<'t, Group>,
    pub(super) lists: &'a ReadEntries<'t, List>,
    pub(super) tokens: &'a ReadEntries<'t, ServiceToken>,
    /// Whether this program defines the service tokens; otherwise the issuer does, and any may exist.
    pub(super) tokens_are_ours: bool,
    /// The ids of the login methods; `None` if the issuer runs the login.
    pub(super) login_methods: Option<&'a [&'a str]>,
    /// Who can log in without having been let in by anybody, as a part of a sentence; `None` if nobody.
    pub(super) anybody: Option<&'a str>,
    /// The ids of the login methods by which anybody can log in.
    pub(super) public_login_methods: &'a [&'a str],
    /// Whether the store may define further service tokens.
    pub(super) stored_service_tokens: bool,
}
