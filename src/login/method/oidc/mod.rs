//! The login by an OpenID provider (OpenID Connect Core 1.0), with the authorization code flow.
//!
//! | file | what |
//! | --- | --- |
//! | `settings`, `presets` | the provider as configured, and what is known of well-known ones |
//! | `discovery` | its endpoints and keys |
//! | `flow` | from the redirect to the user |
//! | `id_token`, `claims`, `userinfo`, `profile` | what it says about the user, and what of it counts |
//! | `refresh` | asking it again while a session lives |
//! | `logout` | logging out there, and being told of a logout there |
//!
//! Whatever a provider does, only a login by it fails: with a page, and a line in the log.

mod claims;
mod discovery;
mod flow;
mod id_token;
mod logout;
mod presets;
mod profile;
mod refresh;
mod settings;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_sessions;
mod userinfo;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use self::discovery::Discovery;
pub use self::settings::{OpenIdEndpoints, OpenIdProvider, OpenIdProviderError};
use super::authorization_code::{AuthorizationCode, ENDPOINTS};
use super::provider::BuildError;
use super::{
    EndpointCall, LoginMethod, MethodContext, MethodEndpoint, NoticeFuture, RefreshFuture, Step,
    StepFuture,
};
use crate::clock::{Clock, Timestamp};
use crate::login::purpose::Purpose;
use crate::login::{EndpointRequest, Login};
use crate::session::ProviderAccount;
use crate::util::fetch::Fetch;
use crate::util::http_client::HttpClient;
use crate::util::response::ResponseBytes;

/// The login method.
#[derive(Debug)]
pub(super) struct OidcMethod {
    settings: OpenIdProvider,
    code: AuthorizationCode,
    discovery: Discovery,
    client: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    /// The limit of concurrent logins and refreshes that ask the provider.
    slots: Semaphore,
}

impl OidcMethod {
    pub(super) fn new(
        settings: OpenIdProvider,
        context: &MethodContext<'_>,
    ) -> Result<Self, BuildError> {
        let client = HttpClient::new(settings.time_limit, settings.authorities.clone())?;
        Self::with_client(settings, context, Arc::new(client))
    }

    fn with_client(
        settings: OpenIdProvider,
        context: &MethodContext<'_>,
        client: Arc<dyn Fetch>,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            code: AuthorizationCode::new(&settings.id, settings.display_name()),
            discovery: Discovery::new(&settings, Arc::clone(&client))?,
            client,
            clock: Arc::clone(context.clock),
            slots: Semaphore::new(MAX_CONCURRENT),
            settings,
        })
    }
}

impl LoginMethod for OidcMethod {
    fn id(&self) -> &str {
        &self.settings.id
    }

    fn kind(&self) -> &str {
        self.settings.preset.kind
    }

    fn name(&self) -> &str {
        self.settings.display_name()
    }

    fn start<'a>(
        &'a self,
        login: &'a Login,
        request: &'a EndpointRequest,
        purpose: &'a Purpose<'a>,
        browser: &'a str,
    ) -> StepFuture<'a, ResponseBytes> {
        Box::pin(self.begin(login, request, purpose, browser))
    }

    fn endpoints(&self) -> &'static [MethodEndpoint] {
        ENDPOINTS
    }

    fn recognizes(&self, call: EndpointCall<'_>) -> bool {
        self.code.recognizes(call)
    }

    fn answer<'a>(&'a self, login: &'a Login, call: EndpointCall<'a>) -> StepFuture<'a, Step> {
        Box::pin(self.callback(login, call.request))
    }

    fn refresh_interval(&self) -> Option<Duration> {
        self.settings.refresh_interval
    }

    fn refresh<'a>(
        &'a self,
        _: &'a Login,
        account: &'a ProviderAccount,
        now: Timestamp,
    ) -> RefreshFuture<'a> {
        Box::pin(self.refreshed(account, now))
    }

    fn sign_out_url(&self, account: &ProviderAccount, back: &str) -> Option<String> {
        self.end_session_url(account, back)
    }

    fn logout_notice<'a>(&'a self, notice: &'a str, now: Timestamp) -> NoticeFuture<'a> {
        Box::pin(self.verified_logout_token(notice, now))
    }
}

/// Each is a request at a time.
const MAX_CONCURRENT: usize = 128;
