//! What the reader of configurations refuses, by object.

use std::collections::HashMap;

/// The reasons, by the key of the object.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    pub(super) policies: HashMap<String, String>,
    pub(super) groups: HashMap<String, String>,
    pub(super) lists: HashMap<String, String>,
    pub(super) tokens: HashMap<String, String>,
    pub(super) providers: HashMap<String, String>,
    /// For applications that have to be closed.
    pub(super) applications: HashMap<String, String>,
    /// By application and setting.
    pub(super) settings: HashMap<(String, String), String>,
    /// For the organization, by our key.
    pub(super) organization: HashMap<String, String>,
}

impl Refusals {
    pub(super) fn len(&self) -> usize {
        [
            &self.policies,
            &self.groups,
            &self.lists,
            &self.tokens,
            &self.providers,
            &self.applications,
            &self.organization,
        ]
        .iter()
        .map(|reasons| reasons.len())
        .sum::<usize>()
            + self.settings.len()
    }
}
