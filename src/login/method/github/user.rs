//! What GitHub says about a user.

use serde::Deserialize;

use super::api::{Api, ApiError, Reason};
use super::memberships::{self, Memberships};
use super::scopes::Scopes;
use crate::identity::Email;
use crate::secret::SecretText;

/// A user of GitHub.
#[derive(Debug)]
pub(super) struct User {
    /// The number, which stays the same when the user takes another name.
    pub(super) id: u64,
    /// The full name, otherwise the login name.
    pub(super) name: Box<str>,
    /// The primary address, which GitHub has verified.
    pub(super) email: Email,
    pub(super) memberships: Memberships,
}

/// Why a user is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum UserError {
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The user has none, or one that is not an address here.
    #[error("the account has no primary email address that GitHub has verified")]
    NoVerifiedEmail,
}

impl UserError {
    /// Returns whether the user is the reason, and not GitHub.
    pub(super) fn is_about_user(&self) -> bool {
        match self {
            Self::NoVerifiedEmail => true,
            Self::Api(error) => matches!(error.reason, Reason::Suspended),
        }
    }

    /// Returns whether a session of the user cannot go on.
    pub(super) fn ends_session(&self) -> bool {
        let is_unauthorized =
            matches!(self, Self::Api(error) if matches!(error.reason, Reason::Unauthorized));
        is_unauthorized || self.is_about_user()
    }
}

#[derive(Deserialize)]
struct Account {
    id: u64,
    login: Box<str>,
    #[serde(default)]
    name: Option<Box<str>>,
}

#[derive(Deserialize)]
struct Address {
    email: Box<str>,
    primary: bool,
    verified: bool,
}

/// Asks for the user of a token. `granted`: the scopes of the token, if the token endpoint has told
/// them.
pub(super) async fn of_token(
    api: &Api,
    token: &SecretText,
    granted: Option<&Scopes>,
) -> Result<User, UserError> {
    let (account, scopes) = api.object::<Account>("user", token).await?;
    let addresses = api.list::<Address>("user/emails", token).await?;
    let email = primary(&addresses.items).ok_or(UserError::NoVerifiedEmail)?;
    let memberships = if granted.or(scopes.as_ref()).is_some_and(Scopes::include_organizations) {
        memberships::of_token(api, token).await?
    } else {
        tracing::warn!(
            user = account.id,
            "a GitHub user has not granted the scope `read:org`: organizations and teams are unknown, and \
             rules about them open nothing"
        );
        Memberships::default()
    };
    Ok(User { id: account.id, name: display_name(&account), email, memberships })
}

/// Returns the primary address, if it is verified. Other verified addresses do not count: a user can
/// add any number of them, and nobody expects to see another user's.
fn primary(addresses: &[Address]) -> Option<Email> {
    let mut primary = addresses.iter().filter(|address| address.primary);
    match (primary.next(), primary.next()) {
        (Some(only), None) if only.verified => only.email.parse().ok(),
        _ => None,
    }
}

fn display_name(account: &Account) -> Box<str> {
    let name = account.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    name.unwrap_or(&account.login).chars().take(MAX_NAME).collect::<String>().into()
}

/// In characters.
const MAX_NAME: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn primary_in(json: serde_json::Value) -> Option<String> {
        let addresses: Vec<Address> = serde_json::from_value(json).unwrap();
        primary(&addresses).map(|email| email.to_string())
    }

    #[test]
    fn only_the_primary_address_counts_and_only_if_it_is_verified() {
        let address = |email: &str, primary: bool, verified: bool| {
            serde_json::json!({
                "email": email, "primary": primary, "verified": verified, "visibility": null,
            })
        };
        let list = |list: &[serde_json::Value]| primary_in(list.into());
        let (own, other) = ("ada@example.com", "ceo@example.com");
        assert_eq!(
            list(&[address(other, false, true), address(own, true, true)]).as_deref(),
            Some(own)
        );
        for addresses in [
            &[][..],
            &[address(own, true, false)],
            &[address(own, false, true)],
            &[address(own, true, false), address(other, false, true)],
            // Two cannot be the first one.
            &[address(own, true, true), address(other, true, true)],
            &[address(own, true, true), address(other, true, false)],
            &[address("not an address", true, true)],
        ] {
            assert_eq!(list(addresses), None, "{addresses:?}");
        }
    }

    #[test]
    fn a_user_without_a_name_has_the_login_name() {
        let name = |json: serde_json::Value| display_name(&serde_json::from_value(json).unwrap());
        assert_eq!(
            &*name(serde_json::json!({"id": 1, "login": "ada", "name": "Ada L."})),
            "Ada L."
        );
        assert_eq!(&*name(serde_json::json!({"id": 1, "login": "ada", "name": null})), "ada");
        assert_eq!(&*name(serde_json::json!({"id": 1, "login": "ada", "name": " "})), "ada");
        assert_eq!(&*name(serde_json::json!({"id": 1, "login": "ada"})), "ada");
        let long = name(serde_json::json!({"id": 1, "login": "ada", "name": "ä".repeat(10_000)}));
        assert_eq!(long.chars().count(), MAX_NAME);
    }
}
