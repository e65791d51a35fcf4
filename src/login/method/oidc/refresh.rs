//! Asks the provider again about a user with a session (OpenID Connect Core, section 12).

use super::OidcMethod;
use super::claims::ClaimSet;
use super::id_token::{self, Expected, IdTokenError, Use};
use super::profile::{self, Profile};
use super::userinfo::{self, UserinfoError};
use crate::clock::Timestamp;
use crate::login::method::authorization_code::{Grant, TokenError, Tokens};
use crate::login::method::{Authenticated, Refreshed};
use crate::session::ProviderAccount;

/// Why a user could not be refreshed.
enum Unrefreshed {
    /// The session ends, for this reason.
    Ended(String),
    /// The provider is asked again later.
    Unavailable(String),
}

impl OidcMethod {
    pub(super) async fn refreshed(&self, account: &ProviderAccount, now: Timestamp) -> Refreshed {
        let method = &*self.settings.id;
        match self.ask_again(account, now).await {
            Ok(user) => Refreshed::User(Box::new(user)),
            Err(Unrefreshed::Ended(cause)) => {
                tracing::info!(method, cause, "the provider has ended a user's login");
                Refreshed::Ended
            }
            Err(Unrefreshed::Unavailable(cause)) => {
                tracing::warn!(method, cause, "a user could not be refreshed at the provider");
                Refreshed::Unavailable
            }
        }
    }

    async fn ask_again(
        &self,
        account: &ProviderAccount,
        now: Timestamp,
    ) -> Result<Authenticated, Unrefreshed> {
        let unavailable = |cause: &dyn ToString| Unrefreshed::Unavailable(cause.to_string());
        let Some(token) = &account.refresh_token else {
            return Err(unavailable(&"there is no refresh token"));
        };
        let provider = self.discovery.provider(now).await.map_err(|cause| unavailable(&cause))?;
        let _slot = self.slot().await.map_err(|cause| unavailable(&cause))?;
        let mut tokens = self.tokens(&provider, Grant::RefreshToken(token)).await.map_err(
            |error| match &error {
                TokenError::Refused { error: reason, .. } if reason == "invalid_grant" => {
                    Unrefreshed::Ended(error.to_string())
                }
                _ => unavailable(&error),
            },
        )?;
        // Without a new one, the old one stays valid.
        tokens.refresh_token.get_or_insert_with(|| token.clone());
        let now = self.clock.now();
        let claims = match &tokens.id_token {
            Some(id_token) => {
                let access_token = tokens.access_token.expose();
                let expected = Expected {
                    issuer: &self.settings.issuer,
                    client_id: &self.settings.client.id,
                    use_of: Use::Refresh { subject: &account.subject, access_token },
                };
                let verified =
                    id_token::verify(id_token.expose(), &provider.keys, expected, now).await;
                Some(verified.map_err(|error| match error {
                    IdTokenError::Subject => Unrefreshed::Ended(error.to_string()),
                    error => unavailable(&error),
                })?)
            }
            None => None,
        };
        let profile = self.refreshed_profile(&provider, claims.as_ref(), account, &tokens).await?;
        Ok(self.refreshed_user(claims.as_ref(), profile, account, tokens))
    }

    /// Returns what the provider says now. Without a new ID token, the userinfo endpoint says it.
    async fn refreshed_profile(
        &self,
        provider: &super::discovery::Provider,
        claims: Option<&ClaimSet>,
        account: &ProviderAccount,
        tokens: &Tokens,
    ) -> Result<Profile, Unrefreshed> {
        let ask = claims.is_none_or(|claims| profile::wants_userinfo(&self.settings, claims));
        let userinfo = match &provider.userinfo {
            Some(endpoint) if ask => {
                let token = &tokens.access_token;
                let asked = userinfo::fetch(&*self.client, endpoint, token, &account.subject).await;
                Some(asked.map_err(|error| match error {
                    UserinfoError::Subject => Unrefreshed::Ended(error.to_string()),
                    error => Unrefreshed::Unavailable(error.to_string()),
                })?)
            }
            Some(_) | None => None,
        };
        let (first, second) = match (claims, &userinfo) {
            (Some(claims), userinfo) => (claims, userinfo.as_ref()),
            (None, Some(userinfo)) => (userinfo, None),
            (None, None) => {
                let cause = "the provider returned no ID token, and has no userinfo endpoint";
                return Err(Unrefreshed::Unavailable(cause.to_owned()));
            }
        };
        profile::read(&self.settings, first, second)
            .map_err(|error| Unrefreshed::Ended(error.to_string()))
    }

    fn refreshed_user(
        &self,
        claims: Option<&ClaimSet>,
        profile: Profile,
        account: &ProviderAccount,
        tokens: Tokens,
    ) -> Authenticated {
        let account = match claims {
            Some(claims) => {
                let next = self.account(claims, &profile, tokens);
                ProviderAccount {
                    name: next.name.or_else(|| account.name.clone()),
                    session: next.session.or_else(|| account.session.clone()),
                    id_token: next.id_token.or_else(|| account.id_token.clone()),
                    ..next
                }
            }
            None => ProviderAccount {
                name: profile.name.clone().or_else(|| account.name.clone()),
                refresh_token: tokens.refresh_token,
                ..account.clone()
            },
        };
        let Profile { email, attributes, .. } = profile;
        Authenticated { email, attributes, account: Some(account) }
    }
}
