//! Targets that are stored because they are too long for an address.

use serde::{Deserialize, Serialize};

/// The name of a target in the store.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct TargetId(pub(super) String);

impl TargetId {
    /// Reads what has the form of one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        crate::session::cookie::is_random(text).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn key(&self) -> String {
        format!("return-target/{}", self.0)
    }
}

/// With it the head of a refusal has less than 4 KiB.
pub(crate) const LONGEST_ADDRESS: usize = 3_072;
