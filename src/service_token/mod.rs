//! Service tokens: how machines prove who they are.
//!
//! A machine sends `CF-Access-Client-Id` and `CF-Access-Client-Secret`. We keep a hash of the
//! secret, never the secret (section 11 of the Access contract).
//!
//! A token is defined in one of two places. The file (or the builder) defines a [`ServiceToken`],
//! which only a new file changes. Where we issue, the store defines others beside these:
//! `Access::service_tokens` makes, rotates and deletes them while the program runs, and every
//! process that shares the store has a change in force within a second. Where both claim one name,
//! the file wins.
//!
//! # The end of a token
//!
//! A secret that was good and is not any longer is never good again: that of a token which was deleted
//! or given another secret, which a file listed and does not list any more, or which has expired. A
//! file that lists it again, at a reload, after a restart, or on another process that shares the
//! store, is refused with the name of the token: it takes a new secret, while the client id may stay.
//! What was made from a token before it was deleted, removed or expired stays void as well. Without a
//! store all this holds until the process ends. 10,000 secrets are remembered; beyond them a file
//! takes no token that it did not list before.
//!
//! Switching off is no end: what is switched off may be switched on, where it was switched off. And
//! `ServiceTokenAdmin::refresh` gives a token of the store another year, also one that has expired.
//!
//! # Modes
//!
//! In *strict* mode, the default, a request that shows a service token is judged by it alone: no
//! cookie counts beside it, none is set, and a refusal is 401 or 403, never a redirect. In *default*
//! mode, as Cloudflare calls what its older organizations have, a good token that a Service Auth
//! policy lets in is exchanged: the answer sets `CF_Authorization`, which is good by itself while
//! the service token is. A token that is not good, or that no such policy lets in, counts as none;
//! what else the request shows decides, and it may end at the login. See
//! `AccessBuilder::strict_service_token_auth`.
//!
//! # Guessing
//!
//! A secret has far too many bits to be guessed. What wrong ones cost is bounded all the same: over
//! 60 a minute for one client id, or 300 from one network, they are answered with 429 and leave no
//! line in the log. The secret is looked at first, so the right one always works, whoever else
//! guesses from the same network or at the same client id.

mod admin;
mod claims;
mod failed_attempts;
mod listed;
mod live;
mod record;
mod revoked;
mod secret;
mod state;
mod stored;
mod table;
#[cfg(test)]
mod tests;
mod usage;

use serde::Deserialize;

pub use self::admin::{
    ServiceTokenAdmin, ServiceTokenAdminError, ServiceTokenAdminErrorKind, ServiceTokenRecord,
};
pub(crate) use self::claims::service_claims;
pub(crate) use self::failed_attempts::FailedAttempt;
pub(crate) use self::listed::Sharing;
pub(crate) use self::live::LiveServiceTokens;
pub use self::record::{ServiceTokenDuration, ServiceTokenDurationError};
pub use self::secret::ServiceTokenSecret;
pub(crate) use self::stored::delete_all;
pub(crate) use self::table::TokenEntry;
pub use self::table::{ServiceTokenError, ServiceTokens};

use crate::clock::Timestamp;
use crate::secret::SecretHash;

/// A service token that exists.
///
/// ```
/// use tower_access::secret::SecretHash;
/// use tower_access::service_token::ServiceToken;
///
/// let ci = ServiceToken::new(
///     "ci",
///     "9c0d5f8b7e6a41d2b3c4d5e6f7a8b9c0.access",
///     "sha256:2d4dbe2a87baf61d2d460f2639a88a5799418db5c3adb3ad511b18b138605971".parse()?,
/// );
/// # Ok::<(), tower_access::secret::SecretHashError>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "a service token")]
#[non_exhaustive]
pub struct ServiceToken {
    /// What policies refer to; the name when left out.
    #[serde(default)]
    pub id: Option<Box<str>>,
    /// What people call it.
    pub name: Box<str>,
    /// The public half, `….access`.
    pub client_id: Box<str>,
    /// The hash of the other half.
    #[serde(rename = "client_secret_hash")]
    pub secret_hash: SecretHash,
    /// A token that is switched off opens nothing.
    #[serde(default = "enabled_by_default")]
    pub enabled: bool,
    /// The token is good before this moment; for ever when left out.
    #[serde(default, deserialize_with = "rfc_3339")]
    pub expires_at: Option<Timestamp>,
}

impl ServiceToken {
    /// A token that is switched on and does not expire.
    #[must_use]
    pub fn new(
        name: impl Into<Box<str>>,
        client_id: impl Into<Box<str>>,
        secret_hash: SecretHash,
    ) -> Self {
        Self {
            id: None,
            name: name.into(),
            client_id: client_id.into(),
            secret_hash,
            enabled: true,
            expires_at: None,
        }
    }

    /// Sets the id policies refer to.
    #[must_use]
    pub fn id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets when the token ends.
    #[must_use]
    pub fn expires_at(mut self, moment: Timestamp) -> Self {
        self.expires_at = Some(moment);
        self
    }

    /// Whether the token is switched on and has not expired.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.enabled && self.expires_at.is_none_or(|end| now < end)
    }

    /// What policies refer to.
    #[must_use]
    pub fn token_id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }
}

fn enabled_by_default() -> bool {
    true
}

fn rfc_3339<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    use serde::de::Error;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let moment = OffsetDateTime::parse(&text, &Rfc3339)
        .map_err(|_| D::Error::custom("no moment: write `2027-01-31T00:00:00Z`"))?;
    let seconds = u64::try_from(moment.unix_timestamp())
        .map_err(|_| D::Error::custom("a moment before 1970"))?;
    Ok(Some(Timestamp::from_unix_seconds(seconds)))
}
