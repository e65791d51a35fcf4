//! The parts of `access` as they were read, each with its place.

use crate::policy::{Group, List};
use crate::service_token::ServiceToken;

use super::application::ReadApplication;
use super::reader::Place;
use super::reusable::Reusable;

/// A list entry and what was read from it.
pub(super) type Entries<'t, T> = [(Place<'t>, Option<T>)];

/// The parts of `access` that name each other.
pub(super) struct Parts<'a, 't> {
    pub(super) applications: &'a [ReadApplication<'t>],
    pub(super) reusable: &'a Reusable<'t>,
    pub(super) groups: &'a Entries<'t, Group>,
    pub(super) lists: &'a Entries<'t, List>,
    pub(super) tokens: &'a Entries<'t, ServiceToken>,
    /// Otherwise they are somebody else's, and all may exist.
    pub(super) tokens_are_ours: bool,
    /// The ids of the login methods; `None` where others run the login.
    pub(super) login_methods: Option<&'a [&'a str]>,
    /// Whether a store may define service tokens beside these.
    pub(super) keeps_service_tokens: bool,
}
