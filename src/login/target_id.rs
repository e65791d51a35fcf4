//! Ids of return targets that are stored because they are too long for a URL.

use serde::{Deserialize, Serialize};

/// The id of a stored target.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct TargetId(pub(super) String);

impl TargetId {
    /// Parses an id.
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

/// Longest login URL, in bytes: the head of a refusal stays below 4 KiB.
pub(crate) const MAX_URL_BYTES: usize = 3_072;
