//! Keys of stores with one ordered key space.

/// Returns the part before the first `/`.
pub(super) fn key_kind(key: &str) -> &str {
    key.split_once('/').map_or("", |(kind, _)| kind)
}

/// Returns the key of a member of a set. A line feed never occurs in other keys.
pub(super) fn member_key(set: &str, member: &str) -> String {
    format!("{set}\n{member}")
}
