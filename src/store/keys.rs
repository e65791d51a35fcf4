//! What keys look like in stores that keep everything in one ordered space.

/// What stands before the first `/`.
pub(super) fn kind_of(key: &str) -> &str {
    key.split_once('/').map_or("", |(kind, _)| kind)
}

/// The key of a member of a set. No key has a line feed in it.
pub(super) fn member_key(set: &str, member: &str) -> String {
    format!("{set}\n{member}")
}
