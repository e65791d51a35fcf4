//! From the redirect to the provider to the user.

use std::sync::Arc;

use super::OidcMethod;
use super::claims::ClaimSet;
use super::discovery::Provider;
use super::id_token::{self, Expected, IdTokenError, Use};
use super::presets::Offline;
use super::profile::{self, Profile};
use super::userinfo;
use crate::login::method::authorization_code::{
    Begun, Callback, Failure, Grant, Pending, Returned, TokenError, Tokens, redirect_uri,
};
use crate::login::method::{Authenticated, Finished, Step};
use crate::login::purpose::Purpose;
use crate::login::{EndpointRequest, Login, Refusal};
use crate::session::ProviderAccount;
use crate::util::response::{ResponseBytes, redirect};

impl OidcMethod {
    /// Redirects the browser to the provider.
    pub(super) async fn begin(
        &self,
        login: &Login,
        request: &EndpointRequest,
        purpose: &Purpose<'_>,
        browser: &str,
    ) -> Result<ResponseBytes, Refusal> {
        let provider = match self.discovery.provider(request.now).await {
            Ok(provider) => provider,
            Err(cause) => {
                let failure = Failure::provider(cause);
                return Ok(self.code.failed(login, request, Some(&purpose.flow), &failure));
            }
        };
        let begun = self.code.begin(login, request, purpose, browser).await?;
        Ok(redirect(self.authorization_url(&provider, &begun)))
    }

    fn authorization_url(&self, provider: &Provider, begun: &Begun) -> String {
        let settings = &self.settings;
        let scopes = settings.requested_scopes();
        let max_age = settings.max_age.map(|age| age.as_secs().to_string());
        let mut parameters = vec![("scope", &*scopes), ("nonce", &*begun.nonce)];
        let offline = match settings.preset.offline {
            Offline::Parameters(parameters) if settings.requests_offline_access => parameters,
            Offline::Parameters(_) | Offline::Scope | Offline::Always => &[],
        };
        // A prompt that was set replaces the one that comes with offline access.
        let prompt = settings.prompt.as_deref();
        let offline = offline.iter().filter(|(name, _)| prompt.is_none() || *name != "prompt");
        parameters.extend(offline.copied());
        parameters.extend(prompt.map(|prompt| ("prompt", prompt)));
        parameters.extend(max_age.as_deref().map(|age| ("max_age", age)));
        let domain = settings.hosted_domain.as_ref();
        parameters.extend(domain.map(|domain| ("hd", domain.as_str())));
        begun.authorization_url(&provider.authorization, &settings.client.id, &parameters)
    }

    /// Handles the callback.
    pub(super) async fn callback(
        &self,
        login: &Login,
        request: &EndpointRequest,
    ) -> Result<Step, Refusal> {
        let Returned { pending, callback } = match self.code.returned(login, request).await? {
            Ok(returned) => returned,
            Err(answer) => return Ok(answer.into()),
        };
        let failed = |failure: &Failure| {
            Ok(self.code.failed(login, request, Some(&pending.flow), failure).into())
        };
        let provider = match self.discovery.provider(request.now).await {
            Ok(provider) => provider,
            // The code is not spent: a reload may succeed.
            Err(cause) => return failed(&Failure::provider(cause)),
        };
        if let Err(failure) = self.check_issuer(&provider, &callback) {
            return failed(&failure);
        }
        let code = match &callback.code {
            Ok(code) => code,
            Err(error) => return failed(&Failure::of_callback(error, &callback)),
        };
        // Before the code is spent, so that a reload may succeed.
        let slot = match self.slot().await {
            Ok(slot) => slot,
            Err(cause) => return failed(&Failure::provider(cause)),
        };
        if let Some(answer) = self.code.redeem(login, request, &pending).await? {
            return Ok(answer.into());
        }
        let (profile, account) = match self.user(login, request, &pending, &provider, code).await {
            Ok(user) => user,
            Err(failure) => return failed(&failure),
        };
        drop(slot);
        self.code.record_redemption(login, &pending).await?;
        let Profile { email, attributes, .. } = profile;
        Ok(Step::Finished(Box::new(Finished {
            flow: pending.flow,
            authenticated: Authenticated { email, attributes, account: Some(account) },
            cookies: Vec::new(),
        })))
    }

    /// Checks who has answered (RFC 9207), before anything else of the answer is used.
    fn check_issuer(&self, provider: &Provider, callback: &Callback) -> Result<(), Failure> {
        match &callback.issuer {
            Some(issuer) if **issuer == *self.settings.issuer => Ok(()),
            None if !provider.names_issuer => Ok(()),
            Some(_) => Err(Failure::foreign("the answer names another issuer (`iss`)")),
            None => Err(Failure::foreign(
                "the answer does not name its issuer (`iss`), which the provider promises",
            )),
        }
    }

    /// Redeems the code, and returns the user.
    async fn user(
        &self,
        login: &Login,
        request: &EndpointRequest,
        pending: &Pending,
        provider: &Arc<Provider>,
        code: &str,
    ) -> Result<(Profile, ProviderAccount), Failure> {
        let (redirect_uri, verifier) = (redirect_uri(login, request), pending.verifier(login));
        let grant = Grant::Code { code, redirect_uri: &redirect_uri, verifier: &verifier };
        let tokens = self.tokens(provider, grant).await;
        let tokens = tokens.map_err(|error| Failure::of_tokens(&error))?;
        let Some(id_token) = &tokens.id_token else {
            return Err(Failure::configuration(
                "the token endpoint returned no ID token: is it an OpenID provider, and may the client \
                 request the scope `openid`?",
            ));
        };
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client.id,
            use_of: Use::Login {
                nonce: &pending.nonce(login),
                access_token: tokens.access_token.expose(),
                max_age: self.settings.max_age,
            },
        };
        // The request may have waited.
        let now = self.clock.now();
        let claims = id_token::verify(id_token.expose(), &provider.keys, expected, now).await;
        let claims = claims.map_err(|error| match error {
            IdTokenError::TooOld => Failure::user(error),
            error => Failure::provider(error),
        })?;
        let profile = self.profile(provider, &claims, &tokens).await?;
        let account = self.account(&claims, &profile, tokens);
        Ok((profile, account))
    }

    /// Waits until not too many others ask the provider.
    pub(super) async fn slot(&self) -> Result<tokio::sync::SemaphorePermit<'_>, &'static str> {
        let slot = tokio::time::timeout(self.settings.time_limit, self.slots.acquire()).await;
        slot.ok().and_then(Result::ok).ok_or("too many others are asking the provider")
    }

    pub(super) async fn tokens(
        &self,
        provider: &Provider,
        grant: Grant<'_>,
    ) -> Result<Tokens, TokenError> {
        let (endpoint, way) = (&provider.token, provider.authentication);
        self.settings.client.request_tokens(&*self.client, endpoint, way, grant).await
    }

    /// Returns what the provider says about a user, with the claims of the userinfo endpoint if wanted
    /// ones are absent.
    pub(super) async fn profile(
        &self,
        provider: &Provider,
        claims: &ClaimSet,
        tokens: &Tokens,
    ) -> Result<Profile, Failure> {
        let endpoint = provider.userinfo.as_ref();
        let endpoint = endpoint.filter(|_| profile::wants_userinfo(&self.settings, claims));
        let userinfo = match endpoint {
            Some(endpoint) => {
                let subject = claims.required_text("sub").unwrap_or_default();
                let asked =
                    userinfo::fetch(&*self.client, endpoint, &tokens.access_token, subject).await;
                Some(asked.map_err(Failure::provider)?)
            }
            None => None,
        };
        profile::read(&self.settings, claims, userinfo.as_ref()).map_err(Failure::user)
    }

    pub(super) fn account(
        &self,
        claims: &ClaimSet,
        profile: &Profile,
        tokens: Tokens,
    ) -> ProviderAccount {
        let hint = tokens.id_token.filter(|token| {
            self.settings.logs_out_at_provider && token.expose().len() <= MAX_HINT_BYTES
        });
        let is_refreshed = self.settings.refresh_interval.is_some();
        if self.settings.requests_offline_access && tokens.refresh_token.is_none() {
            tracing::warn!(
                method = &*self.settings.id,
                "the provider returned no refresh token in spite of `offline_access`: groups stay those of \
                 the login; allow it at the provider, or set `prompt: consent`, which some need"
            );
        }
        ProviderAccount {
            subject: claims.required_text("sub").unwrap_or_default().into(),
            name: profile.name.clone(),
            session: claims.short_text("sid"),
            refresh_token: tokens.refresh_token.filter(|_| is_refreshed),
            id_token: hint,
        }
    }
}

/// A longer ID token does not fit into the URL of a logout.
const MAX_HINT_BYTES: usize = 2_560;
