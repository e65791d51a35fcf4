//! What an import needs to know of the types and their keys.

use super::IdentityProviderConfig;
use super::document::{HEADER_ATTRIBUTES, IGNORED_IN_CONFIG, ProviderConfig};
use super::kind::ProviderKind;

/// What is made of a key of an exported `config`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProviderKeyUse {
    /// The type has it.
    Read,
    /// It has no effect on who logs in.
    Ignored,
    /// It names headers for origins, which are not sent.
    HeadersOnly,
    /// It may restrict who logs in.
    Unknown,
}

impl IdentityProviderConfig {
    /// Returns a type's name if it exists.
    pub(crate) fn known_kind(name: &str) -> Option<&'static str> {
        ProviderKind::ALL.iter().map(|kind| kind.as_str()).find(|kind| *kind == name)
    }

    /// Returns whether a type has a client id and a secret.
    pub(crate) fn has_client(kind: &str) -> bool {
        of_name(kind).is_some_and(|kind| kind.has("client_id"))
    }

    /// Returns what is made of a key of a type's `config`.
    pub(crate) fn key_use(kind: &str, key: &str) -> ProviderKeyUse {
        let is_read = of_name(kind).is_some_and(|kind| kind.has(key));
        if is_read && ProviderConfig::LEVEL.names.contains(&key) {
            // Exports have no secret that is worth keeping.
            if key == "client_secret" { ProviderKeyUse::Ignored } else { ProviderKeyUse::Read }
        } else if IGNORED_IN_CONFIG.contains(&key) {
            ProviderKeyUse::Ignored
        } else if key == HEADER_ATTRIBUTES {
            ProviderKeyUse::HeadersOnly
        } else {
            ProviderKeyUse::Unknown
        }
    }
}

fn of_name(name: &str) -> Option<ProviderKind> {
    ProviderKind::ALL.into_iter().find(|kind| kind.as_str() == name)
}
