//! The login by GitHub, or a GitHub Enterprise Server: OAuth 2.0 without OpenID Connect.
//!
//! The user comes from GitHub's API, with the access token of the login: number and name (`user`),
//! address (`user/emails`), organizations (`user/orgs`) and teams (`user/teams`). What counts is in
//! [`user`] and [`memberships`].
//!
//! Where GitHub differs from others, as its documentation says:
//!
//! - The token endpoint returns errors with status 200, and scopes separated by commas.
//! - Access tokens of OAuth apps do not expire, and there are no refresh tokens: the session's account
//!   has the access token, with which GitHub is asked again until it refuses (401).
//! - A code that GitHub does not accept any more, as after a slow network or a reload, sends the user
//!   round again once, which takes no click of a user who is logged in there.

mod addresses;
mod api;
mod link;
mod memberships;
mod scopes;
mod settings;
#[cfg(test)]
mod tests;
mod user;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use url::Url;

use self::api::Api;
use self::scopes::{Scopes, WANTED};
pub use self::settings::{GitHubProvider, GitHubProviderError};
use self::user::{User, UserError};
use super::authorization_code::{
    AuthorizationCode, Begun, Callback, Client, ClientAuthentication, ENDPOINTS, Failure, Grant,
    Pending, Returned, TokenError, redirect_uri,
};
use super::{
    Authenticated, EndpointCall, Finished, LoginMethod, MethodEndpoint, RefreshFuture, Refreshed,
    Step, StepFuture,
};
use crate::clock::Timestamp;
use crate::identity::Attributes;
use crate::login::purpose::Purpose;
use crate::login::{EndpointRequest, Login};
use crate::secret::SecretText;
use crate::session::ProviderAccount;
use crate::util::fetch::Fetch;
use crate::util::response::{ResponseBytes, redirect};

/// The login method.
#[derive(Debug)]
struct GitHubMethod {
    id: Box<str>,
    name: Box<str>,
    flow: AuthorizationCode,
    client: Client,
    fetch: Arc<dyn Fetch>,
    authorize: Url,
    token: Url,
    api: Api,
    /// The limit of concurrent logins and refreshes, each of which has one request under way.
    slots: Semaphore,
    refresh_interval: Option<Duration>,
}

impl LoginMethod for GitHubMethod {
    fn id(&self) -> &str {
        &self.id
    }

    fn kind(&self) -> &str {
        KIND
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn start<'a>(
        &'a self,
        login: &'a Login,
        request: &'a EndpointRequest,
        purpose: &'a Purpose<'a>,
        browser: &'a str,
    ) -> StepFuture<'a, ResponseBytes> {
        Box::pin(async move {
            Ok(self.to_github(&self.flow.begin(login, request, purpose, browser).await?))
        })
    }

    fn endpoints(&self) -> &'static [MethodEndpoint] {
        ENDPOINTS
    }

    fn recognizes(&self, call: EndpointCall<'_>) -> bool {
        self.flow.recognizes(call)
    }

    fn answer<'a>(&'a self, login: &'a Login, call: EndpointCall<'a>) -> StepFuture<'a, Step> {
        Box::pin(async move {
            let request = call.request;
            let Returned { pending, callback } = match self.flow.returned(login, request).await? {
                Ok(returned) => returned,
                Err(answer) => return Ok(answer.into()),
            };
            let failed =
                |failure: &Failure| self.flow.failed(login, request, Some(&pending.flow), failure);
            let code = match self.code(&callback) {
                Ok(code) => code,
                Err(failure) => return Ok(failed(&failure).into()),
            };
            if let Some(answer) = self.flow.redeem(login, request, &pending).await? {
                return Ok(answer.into());
            }
            match self.in_time(self.user(login, request, &pending, code)).await {
                Ok((user, token)) => {
                    self.flow.record_redemption(login, &pending).await?;
                    let authenticated = authenticated(user, token);
                    let cookies = Vec::new();
                    let finished = Finished { flow: pending.flow, authenticated, cookies };
                    Ok(Step::Finished(Box::new(finished)))
                }
                Err(Failed::Code(error)) => {
                    match self.flow.begin_again(login, request, &pending)? {
                        Some(begun) => Ok(self.to_github(&begun).into()),
                        None => Ok(failed(&Failure::of_tokens(&error)).into()),
                    }
                }
                Err(error) => Ok(failed(&error.failure()).into()),
            }
        })
    }

    fn refresh_interval(&self) -> Option<Duration> {
        self.refresh_interval
    }

    fn refresh<'a>(
        &'a self,
        _: &'a Login,
        account: &'a ProviderAccount,
        _: Timestamp,
    ) -> RefreshFuture<'a> {
        Box::pin(self.look_up_again(account))
    }
}

impl GitHubMethod {
    fn to_github(&self, begun: &Begun) -> ResponseBytes {
        redirect(&begun.authorization_url(&self.authorize, &self.client.id, &[("scope", WANTED)]))
    }

    /// Returns the code of an answer, if it is GitHub's.
    fn code<'a>(&self, callback: &'a Callback) -> Result<&'a str, Failure> {
        // Older servers do not say who they are.
        let is_foreign = |issuer: &str| {
            Url::parse(issuer).map_or(true, |url| url.origin() != self.authorize.origin())
        };
        if callback.issuer.as_deref().is_some_and(is_foreign) {
            return Err(Failure::foreign("the answer's `iss` is not this GitHub server"));
        }
        let code = callback.code.as_deref();
        code.map_err(|error| Failure::of_callback(error, callback))
    }

    /// Redeems a code, and asks for its user. Returns the access token as well.
    async fn user(
        &self,
        login: &Login,
        request: &EndpointRequest,
        pending: &Pending,
        code: &str,
    ) -> Result<(User, SecretText), Failed> {
        let (redirect_uri, verifier) = (redirect_uri(login, request), pending.verifier(login));
        let grant = Grant::Code { code, redirect_uri: &redirect_uri, verifier: &verifier };
        let way = ClientAuthentication::Post;
        let tokens = self.client.request_tokens(&*self.fetch, &self.token, way, grant).await?;
        let scopes = tokens.scopes.as_deref().map(Scopes::from_list);
        let token = tokens.access_token;
        Ok((user::of_token(&self.api, &token, scopes.as_ref()).await?, token))
    }

    /// Asks for the user of an account again.
    async fn look_up_again(&self, account: &ProviderAccount) -> Refreshed {
        let Some(token) = &account.refresh_token else { return Refreshed::Unavailable };
        let asking = async { Ok(user::of_token(&self.api, token, None).await?) };
        let (user, method) = (&*account.subject, &*self.id);
        match self.in_time(asking).await {
            Ok(found) if found.id.to_string() == *account.subject => {
                Refreshed::User(Box::new(authenticated(found, token.clone())))
            }
            Ok(_) => {
                tracing::warn!(method, user, "a session ends: its token is now another user's");
                Refreshed::Ended
            }
            Err(Failed::User(error)) if error.ends_session() => {
                tracing::info!(method, user, %error, "a session ends at its identity provider");
                Refreshed::Ended
            }
            Err(error) => {
                let cause = error.cause();
                tracing::warn!(method, user, cause, "a user could not be looked up again");
                Refreshed::Unavailable
            }
        }
    }

    /// Waits for GitHub, for a limited time.
    async fn in_time<T>(
        &self,
        asking: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        let asking = async {
            let _slot = self.slots.acquire().await.map_err(|_| Failed::Late)?;
            asking.await
        };
        tokio::time::timeout(TOTAL_TIME_LIMIT, asking).await.unwrap_or(Err(Failed::Late))
    }
}

fn authenticated(user: User, token: SecretText) -> Authenticated {
    // Groups, claims and ways to authenticate are not known to be absent: GitHub has no word for them.
    let mut attributes = Attributes::default();
    user.memberships.write_to(&mut attributes);
    let account = ProviderAccount {
        subject: user.id.to_string().into(),
        name: Some(user.name),
        session: None,
        refresh_token: Some(token),
        id_token: None,
    };
    Authenticated { email: user.email, attributes, account: Some(account) }
}

/// Why a user is not known.
#[derive(Debug)]
enum Failed {
    /// GitHub does not accept the code, or no longer.
    Code(TokenError),
    Tokens(TokenError),
    User(UserError),
    Late,
}

impl From<TokenError> for Failed {
    fn from(error: TokenError) -> Self {
        match &error {
            TokenError::Refused { error: word, .. } if word == "bad_verification_code" => {
                Self::Code(error)
            }
            _ => Self::Tokens(error),
        }
    }
}

impl From<UserError> for Failed {
    fn from(error: UserError) -> Self {
        Self::User(error)
    }
}

impl Failed {
    fn cause(&self) -> String {
        match self {
            Self::Code(error) | Self::Tokens(error) => error.to_string(),
            Self::User(error) => error.to_string(),
            Self::Late => "no response in time".to_owned(),
        }
    }

    fn failure(&self) -> Failure {
        match self {
            Self::Code(error) | Self::Tokens(error) => match error {
                TokenError::Refused { error: word, .. } if word == "unverified_user_email" => {
                    Failure::user(error)
                }
                // The answer to an unknown client id.
                TokenError::Refused { error: word, .. } if word == "Not Found" => {
                    Failure::configuration(format_args!("{error}: check the client id"))
                }
                error => Failure::of_tokens(error),
            },
            Self::User(error) if error.is_about_user() => Failure::user(error),
            Self::User(error) => Failure::provider(error),
            Self::Late => Failure::provider(self.cause()),
        }
    }
}

/// The type, as of Cloudflare's identity providers.
const KIND: &str = "github";
/// Of one request.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Of a whole login, which takes five requests or more.
const TOTAL_TIME_LIMIT: Duration = Duration::from_secs(20);
const MAX_CONCURRENT: usize = 64;
