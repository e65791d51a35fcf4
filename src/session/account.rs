//! The account at an identity provider, behind a session.

use crate::secret::SecretText;

/// The account at an identity provider that a user logged in with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct ProviderAccount {
    /// The user's id at the provider: a `sub`, the number of a GitHub user, a `NameID`.
    pub(crate) subject: Box<str>,
    /// The user's name, for display.
    pub(crate) name: Option<Box<str>>,
    /// The id of the session at the provider (`sid`, `SessionIndex`).
    pub(crate) session: Option<Box<str>>,
    /// Asks the provider again while the session lives.
    pub(crate) refresh_token: Option<SecretText>,
    /// The ID token, if the provider needs it to log the user out.
    pub(crate) id_token: Option<SecretText>,
}
