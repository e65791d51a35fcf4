//! The settings of an OpenID provider.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::Url;

use super::OidcMethod;
use super::presets::{self, Preset};
use crate::identity::EmailDomain;
use crate::login::method::authorization_code::{Client, ClientAuthentication};
use crate::login::method::provider::{BuildError, ProviderSettings};
use crate::login::method::{IdentityProvider, LoginMethod, MethodContext};
use crate::secret::SecretText;
use crate::util::trusted_url;

/// An OpenID provider (OpenID Connect Core 1.0) by which users log in.
///
/// Register `https://TEAM-DOMAIN/cdn-cgi/access/callback` as the redirect URI at the provider.
///
/// # Whose word counts for an email address
///
/// A user logs in with the address in the claim `email`, if the provider says that it is the user's. An
/// absent statement is none, and the login is refused.
///
/// | provider | the address is the user's if |
/// | --- | --- |
/// | [any](Self::new), [Okta](Self::okta), [Keycloak](Self::keycloak), [Auth0](Self::auth0), [GitLab](Self::gitlab), [OneLogin](Self::onelogin), [PingOne](Self::pingone) | `email_verified` is true |
/// | [Google](Self::google) | `email_verified` is true. Google manages the addresses of Gmail and of Workspace; any other address was verified once, when it was added to the account, and may have changed hands |
/// | [Google Workspace](Self::google_workspace) | `email_verified` is true, and the ID token's `hd` is the domain |
/// | [Microsoft Entra](Self::entra) | `xms_edov` is true, or `verified_primary_email` or `verified_secondary_email` contain the address. Add one of these optional claims to the ID token of the application in Entra: `email` alone is any text that an administrator has typed |
///
/// Two providers that state the same address identify one person. A policy that trusts only one of
/// them names it, with [`Rule::login_method`](crate::policy::Rule::login_method).
///
/// # Groups and other claims
///
/// Rules compare the groups in the claim `groups`, the claims named by [`claims`](Self::claims), `amr`,
/// `acr` and `acrs`. They come from the ID token. If a wanted claim is absent there, the userinfo
/// endpoint is asked. Too many groups for Entra's token (`_claim_names`) are unknown groups: rules
/// that need them allow nobody.
///
/// While a session lives, its claims are [refreshed](Self::refresh_every) if the provider has returned a
/// refresh token.
///
/// ```
/// use tower_access::login::OpenIdProvider;
/// use tower_access::secret::SecretText;
///
/// let secret = SecretText::from("from the provider".to_owned());
/// let provider = OpenIdProvider::new("corp", "https://id.example.com", "tower-access", secret)?
///     .name("Example Corp")
///     .claims(["department"]);
/// # Ok::<(), tower_access::login::OpenIdProviderError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenIdProvider {
    pub(super) preset: &'static Preset,
    pub(super) id: Box<str>,
    name: Option<Box<str>>,
    /// As the ID token has it, byte for byte.
    pub(super) issuer: Box<str>,
    /// `None`: they are discovered.
    pub(super) endpoints: Option<OpenIdEndpoints>,
    pub(super) client: Client,
    pub(super) authentication: Option<ClientAuthentication>,
    scopes: Option<Vec<Box<str>>>,
    pub(super) claims: Vec<Box<str>>,
    pub(super) email_claim: Box<str>,
    pub(super) trusts_unverified_email: bool,
    reads_groups: bool,
    pub(super) hosted_domain: Option<EmailDomain>,
    pub(super) prompt: Option<Box<str>>,
    pub(super) max_age: Option<Duration>,
    pub(super) requests_offline_access: bool,
    pub(super) refresh_interval: Option<Duration>,
    pub(super) logs_out_at_provider: bool,
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) time_limit: Duration,
}

impl OpenIdProvider {
    /// Creates the settings of any provider, whose endpoints are [discovered](Self::endpoints) at
    /// `ISSUER/.well-known/openid-configuration`. `id` is what rules, applications and sessions refer
    /// to.
    ///
    /// # Errors
    ///
    /// If the issuer is neither an `https` URL nor an `http` URL of a loopback address, or has a query or
    /// a fragment, or if an id or the secret is empty.
    pub fn new(
        id: impl Into<Box<str>>,
        issuer: impl Into<Box<str>>,
        client_id: impl Into<Box<str>>,
        client_secret: SecretText,
    ) -> Result<Self, OpenIdProviderError> {
        Self::of(&presets::OIDC, id, issuer, (client_id.into(), client_secret))
    }

    fn of(
        preset: &'static Preset,
        id: impl Into<Box<str>>,
        issuer: impl Into<Box<str>>,
        (client_id, client_secret): (Box<str>, SecretText),
    ) -> Result<Self, OpenIdProviderError> {
        let (id, issuer) = (id.into(), issuer.into());
        trusted("issuer", &issuer)?;
        if issuer.contains('?') {
            return Err(OpenIdProviderError::new("issuer", "remove the query (`?…`) from the URL"));
        }
        for (setting, value) in
            [("id", &*id), ("client_id", &*client_id), ("client_secret", client_secret.expose())]
        {
            if value.is_empty() {
                return Err(OpenIdProviderError::new(setting, "it is empty"));
            }
        }
        Ok(Self {
            preset,
            id,
            name: None,
            issuer,
            endpoints: None,
            client: Client { id: client_id, secret: client_secret },
            authentication: None,
            scopes: None,
            claims: Vec::new(),
            email_claim: EMAIL.into(),
            trusts_unverified_email: false,
            reads_groups: true,
            hosted_domain: None,
            prompt: None,
            max_age: None,
            requests_offline_access: false,
            refresh_interval: Some(Duration::from_secs(900)),
            logs_out_at_provider: false,
            authorities: Vec::new(),
            time_limit: Duration::from_secs(10),
        })
    }

    /// Creates the settings for Google accounts of all kinds (Cloudflare's type `google`).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn google(
        id: impl Into<Box<str>>,
        client_id: impl Into<Box<str>>,
        client_secret: SecretText,
    ) -> Result<Self, OpenIdProviderError> {
        let client = (client_id.into(), client_secret);
        Self::of(&presets::GOOGLE, id, "https://accounts.google.com", client)
    }

    /// Creates the settings for the Google accounts of one Workspace domain (`google-apps` with
    /// `apps_domain`). The domain is read from the ID token; Google is asked to offer only its
    /// accounts.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and if the domain is not one.
    pub fn google_workspace(
        id: impl Into<Box<str>>,
        domain: &str,
        client_id: impl Into<Box<str>>,
        client_secret: SecretText,
    ) -> Result<Self, OpenIdProviderError> {
        let domain = domain.parse::<EmailDomain>();
        let domain =
            domain.map_err(|error| OpenIdProviderError::new("apps_domain", error.to_string()))?;
        let client = (client_id.into(), client_secret);
        let google =
            Self::of(&presets::GOOGLE_WORKSPACE, id, "https://accounts.google.com", client)?;
        Ok(Self { hosted_domain: Some(domain), ..google })
    }

    /// Creates the settings for Okta (`okta` with `okta_account`): `https://example.okta.com`, with the
    /// organization's own authorization server.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn okta(
        id: impl Into<Box<str>>,
        account_url: &str,
        client_id: impl Into<Box<str>>,
        client_secret: SecretText,
    ) -> Result<Self, OpenIdProviderError> {
        let client = (client_id.into(), client_secret);
        Self::of(&presets::OKTA, id, account_url.trim_end_matches('/'), client)
    }

    /// As [`okta`](Self::okta), with a custom authorization server (`authorization_server_id`), such as
    /// `default`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and if the server's id has characters other than letters, digits, `-` and
    /// `_`.
    pub fn okta_with_server(
        id: impl Into<Box<str>>,
        account_url: &str,
        server: &str,
        client_id: impl Into<Box<str>>,
        client_secret: SecretText,
    ) -> Result<Self, OpenIdProviderError> {
        let server = segment("authorization_server_id", server)?;
        let issuer = format!("{}/oauth2/{server}", account_url.trim_end_matches('/'));
        Self::of(&presets::OKTA_CUSTOM, id, issuer, (client_id.into(), client_secret))
    }

    /// Creates the settings for one tenant of Microsoft Entra (`azureAD` with `directory_id`).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and if the directory id is no UUID: names and `common` stand for issuers
    /// that differ from those in tokens.
    pub fn entra(
        id: impl Into<Box<str>>,
        directory_id: &str,
        client_id: impl Into<Box<str>>,
        client_secret: SecretText,
    ) -> Result<Self, OpenIdProviderError> {
        let is_uuid = uuid::Uuid::try_parse(directory_id).is_ok() && directory_id.len() == 36;
        if !is_uuid {
            let reason = "write the tenant's id (a UUID), which Entra calls the directory id";
            return Err(OpenIdProviderError::new("directory_id", reason));
        }
        let directory = directory_id.to_ascii_lowercase();
        let issuer = format!("https://login.microsoftonline.com/{directory}/v2.0");
        Self::of(&presets::ENTRA, id, issuer, (client_id.into(), client_secret))
    }

    /// Creates the settings for a realm of Keycloak, by its issuer:
    /// `https://keycloak.example.com/realms/staff`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn keycloak(
        id: impl Into<Box<str>>,
        issuer: impl Into<Box<str>>,
        client_id: impl Into<Box<str>>,
        client_secret: SecretText,
    ) -> Result<Self, OpenIdProviderError> {
        Self::of(&presets::KEYCLOAK, id, issuer, (client_id.into(), client_secret))
    }

    /// Creates the settings for an Auth0 tenant, by its issuer, which ends with a slash:
    /// `https://example.eu.auth0.com/`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn auth0(
        id: impl Into<Box<str>>,
        issuer: impl Into<Box<str>>,
        client_id: impl Into<Box<str>>,
        client_secret: SecretText,
    ) -> Result<Self, OpenIdProviderError> {
        Self::of(&presets::AUTH0, id, issuer, (client_id.into(), client_secret))
    }

    /// Creates the settings for GitLab, by its issuer: `https://gitlab.com`, or the URL of your own.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn gitlab(
        id: impl Into<Box<str>>,
        issuer: impl Into<Box<str>>,
        client_id: impl Into<Box<str>>,
        client_secret: SecretText,
    ) -> Result<Self, OpenIdProviderError> {
        Self::of(&presets::GITLAB, id, issuer, (client_id.into(), client_secret))
    }

    /// Creates the settings for OneLogin (`onelogin` with `onelogin_account`):
    /// `https://example.onelogin.com`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn onelogin(
        id: impl Into<Box<str>>,
        account_url: &str,
        client_id: impl Into<Box<str>>,
        client_secret: SecretText,
    ) -> Result<Self, OpenIdProviderError> {
        let issuer = format!("{}/oidc/2", account_url.trim_end_matches('/'));
        Self::of(&presets::ONELOGIN, id, issuer, (client_id.into(), client_secret))
    }

    /// Creates the settings for an environment of PingOne in North America (`pingone` with
    /// `ping_env_id`). For other regions use [`new`](Self::new) with their issuer.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and if the environment's id has characters other than letters, digits, `-`
    /// and `_`.
    pub fn pingone(
        id: impl Into<Box<str>>,
        environment_id: &str,
        client_id: impl Into<Box<str>>,
        client_secret: SecretText,
    ) -> Result<Self, OpenIdProviderError> {
        let environment = segment("ping_env_id", environment_id)?;
        let issuer = format!("https://auth.pingone.com/{environment}/as");
        Self::of(&presets::PINGONE, id, issuer, (client_id.into(), client_secret))
    }

    /// Sets the name that users see on the page where they choose how to log in.
    #[must_use]
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the provider's endpoints, which are not discovered then.
    #[must_use]
    pub fn endpoints(mut self, endpoints: OpenIdEndpoints) -> Self {
        self.endpoints = Some(endpoints);
        self
    }

    /// Sets how the client proves itself at the token endpoint. Default: in the form, unless the
    /// discovered configuration says that the provider does not support that, or says nothing.
    #[must_use]
    pub fn client_authentication(mut self, way: ClientAuthentication) -> Self {
        self.authentication = Some(way);
        self
    }

    /// Sets the requested scopes, instead of the provider's usual ones (`openid`, `email`, `profile`; in
    /// addition `groups` for the own server of an Okta organization and for OneLogin). `openid` is
    /// always requested.
    #[must_use]
    pub fn scopes<S: Into<Box<str>>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the names of the claims that `oidc` rules can compare, and that `get-identity` returns, in
    /// addition to `groups`. At most 64.
    #[must_use]
    pub fn claims<S: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.claims = names.into_iter().take(MAX_CLAIMS).map(Into::into).collect();
        self
    }

    /// Sets the claim with the email address. Default: `email`. No provider says that the address in another
    /// claim is the user's, so this also needs
    /// [`dangerous_trust_unverified_email`](Self::dangerous_trust_unverified_email).
    #[must_use]
    pub fn email_claim_name(mut self, name: impl Into<Box<str>>) -> Self {
        self.email_claim = name.into();
        self
    }

    /// Accepts every email address that the provider states, whether it has verified it or not.
    ///
    /// # Security
    ///
    /// Whoever can write an account's address at the provider can log in as anybody. Only for a
    /// provider where nobody but its trusted administrators can.
    #[must_use]
    pub fn dangerous_trust_unverified_email(mut self) -> Self {
        self.trusts_unverified_email = true;
        self
    }

    /// Sets what the provider shows (`prompt`): `login`, `select_account`, `consent` or several of them.
    /// Default: what it thinks is right.
    #[must_use]
    pub fn prompt(mut self, prompt: impl Into<Box<str>>) -> Self {
        self.prompt = Some(prompt.into());
        self
    }

    /// Sets how long ago the user may have entered credentials at the provider (`max_age`). The ID token
    /// must state the time. Default: any time.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Requests a refresh token, where the provider does not return one anyway: with the scope
    /// `offline_access`, at Google with `access_type=offline` and a consent at every login. Off by
    /// default: a provider may refuse the scope, and may show another page.
    #[must_use]
    pub fn offline_access(mut self) -> Self {
        self.requests_offline_access = true;
        self
    }

    /// Sets how often the provider is asked again about a user with a session, if it has returned a
    /// refresh token: at least a minute. `None`: never. Default: 15 minutes.
    #[must_use]
    pub fn refresh_every(mut self, interval: impl Into<Option<Duration>>) -> Self {
        let interval: Option<Duration> = interval.into();
        self.refresh_interval = interval.map(|interval| interval.max(Duration::from_secs(60)));
        self
    }

    /// Ends the provider's session as well when a user logs out here (OpenID Connect RP-Initiated
    /// Logout). Default: only our session ends.
    #[must_use]
    pub fn logs_out_at_provider(mut self) -> Self {
        self.logs_out_at_provider = true;
        self
    }

    /// Trusts these certificate authorities (PEM) beside those of the platform, for a provider with a
    /// private one.
    ///
    /// # Errors
    ///
    /// If the text contains no certificate.
    pub fn authorities(mut self, pem: &[u8]) -> Result<Self, OpenIdProviderError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let refuse = |reason: String| OpenIdProviderError::new("ca", reason);
        self.authorities = read.map_err(|error| refuse(format!("{error:?}")))?;
        if self.authorities.is_empty() {
            return Err(refuse("there is no certificate in it".to_owned()));
        }
        Ok(self)
    }

    /// Sets the time limit of each request to the provider: 1 to 30 seconds. Default: 10 seconds.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit.clamp(Duration::from_secs(1), Duration::from_secs(30));
        self
    }

    /// Returns the scopes of the authorization request, separated by spaces.
    /// Does not read groups: rules about them are not met by users of this provider.
    #[must_use]
    pub fn without_groups(mut self) -> Self {
        self.reads_groups = false;
        self
    }

    /// Returns what a group of the provider is if it is a text; `None` if it has no groups.
    pub(super) fn groups(&self) -> Option<presets::GroupText> {
        self.preset.groups.filter(|_| self.reads_groups)
    }

    pub(super) fn requested_scopes(&self) -> String {
        let mut scopes: Vec<&str> = match &self.scopes {
            Some(scopes) => scopes.iter().map(|scope| &**scope).collect(),
            None => self.preset.scopes.to_vec(),
        };
        if !scopes.contains(&"openid") {
            scopes.insert(0, "openid");
        }
        if self.requests_offline_access
            && self.preset.offline == presets::Offline::Scope
            && !scopes.contains(&OFFLINE_ACCESS)
        {
            scopes.push(OFFLINE_ACCESS);
        }
        scopes.join(" ")
    }

    pub(super) fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.preset.name)
    }
}

impl From<OpenIdProvider> for IdentityProvider {
    fn from(provider: OpenIdProvider) -> Self {
        Self::new(provider)
    }
}

impl ProviderSettings for OpenIdProvider {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        self.display_name()
    }

    fn kind(&self) -> &str {
        self.preset.kind
    }

    fn build(&self, context: &MethodContext<'_>) -> Result<Arc<dyn LoginMethod>, BuildError> {
        Ok(Arc::new(OidcMethod::new(self.clone(), context)?))
    }
}

/// The endpoints of an OpenID provider that are not discovered.
///
/// ```
/// use tower_access::login::OpenIdEndpoints;
///
/// let endpoints = OpenIdEndpoints::new(
///     "https://id.example.com/authorize",
///     "https://id.example.com/token",
///     "https://id.example.com/keys",
/// )?
/// .userinfo_url("https://id.example.com/userinfo")?;
/// # Ok::<(), tower_access::login::OpenIdProviderError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OpenIdEndpoints {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) keys: Url,
    pub(super) userinfo: Option<Url>,
    pub(super) end_session: Option<Url>,
}

impl OpenIdEndpoints {
    /// Creates the endpoints that every provider has: `auth_url`, `token_url` and `certs_url` of
    /// Cloudflare's generic provider.
    ///
    /// # Errors
    ///
    /// If a URL is neither `https` nor `http` of a loopback address.
    pub fn new(
        authorization_url: &str,
        token_url: &str,
        keys_url: &str,
    ) -> Result<Self, OpenIdProviderError> {
        Ok(Self {
            authorization: trusted("auth_url", authorization_url)?,
            token: trusted("token_url", token_url)?,
            keys: trusted("certs_url", keys_url)?,
            userinfo: None,
            end_session: None,
        })
    }

    /// Sets the userinfo endpoint. Without it, claims come from the ID token only.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn userinfo_url(mut self, url: &str) -> Result<Self, OpenIdProviderError> {
        self.userinfo = Some(trusted("userinfo_url", url)?);
        Ok(self)
    }

    /// Sets the endpoint that logs users out at the provider.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn end_session_url(mut self, url: &str) -> Result<Self, OpenIdProviderError> {
        self.end_session = Some(trusted("end_session_url", url)?);
        Ok(self)
    }
}

/// The error of a setting of an OpenID provider.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{setting}`: {reason}")]
pub struct OpenIdProviderError {
    setting: &'static str,
    reason: String,
}

impl OpenIdProviderError {
    fn new(setting: &'static str, reason: impl Into<String>) -> Self {
        Self { setting, reason: reason.into() }
    }

    /// Returns the name of the setting, as in Cloudflare's objects where they have it: `issuer`,
    /// `auth_url`, `directory_id`, …
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// Returns what is wrong with it, without its value.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

fn trusted(setting: &'static str, url: &str) -> Result<Url, OpenIdProviderError> {
    trusted_url::parse(url).map_err(|error| OpenIdProviderError::new(setting, error.to_string()))
}

/// Checks a part of an issuer's path.
fn segment<'a>(setting: &'static str, text: &'a str) -> Result<&'a str, OpenIdProviderError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if text.is_empty() || !text.bytes().all(is_plain) {
        let reason = "write only letters, digits, `-` and `_`";
        return Err(OpenIdProviderError::new(setting, reason));
    }
    Ok(text)
}

/// The claim with the address, and what `email_verified` is about.
pub(super) const EMAIL: &str = "email";
const OFFLINE_ACCESS: &str = "offline_access";
const MAX_CLAIMS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> SecretText {
        "hush".to_owned().into()
    }

    #[test]
    fn presets_have_the_issuers_of_their_tokens() {
        let tenant = "7D3C1E0A-0000-4000-8000-0123456789ab";
        for (provider, issuer, kind) in [
            (OpenIdProvider::google("a", "c", secret()), "https://accounts.google.com", "google"),
            (
                OpenIdProvider::google_workspace("a", "example.com", "c", secret()),
                "https://accounts.google.com",
                "google-apps",
            ),
            (
                OpenIdProvider::okta("a", "https://x.okta.com/", "c", secret()),
                "https://x.okta.com",
                "okta",
            ),
            (
                OpenIdProvider::okta_with_server(
                    "a",
                    "https://x.okta.com",
                    "default",
                    "c",
                    secret(),
                ),
                "https://x.okta.com/oauth2/default",
                "okta",
            ),
            (
                OpenIdProvider::entra("a", tenant, "c", secret()),
                "https://login.microsoftonline.com/7d3c1e0a-0000-4000-8000-0123456789ab/v2.0",
                "azureAD",
            ),
            (
                OpenIdProvider::keycloak("a", "https://k.example/realms/staff", "c", secret()),
                "https://k.example/realms/staff",
                "oidc",
            ),
            (
                OpenIdProvider::auth0("a", "https://x.eu.auth0.com/", "c", secret()),
                "https://x.eu.auth0.com/",
                "oidc",
            ),
            (
                OpenIdProvider::gitlab("a", "https://gitlab.com", "c", secret()),
                "https://gitlab.com",
                "oidc",
            ),
            (
                OpenIdProvider::onelogin("a", "https://x.onelogin.com", "c", secret()),
                "https://x.onelogin.com/oidc/2",
                "onelogin",
            ),
            (
                OpenIdProvider::pingone("a", "e-1", "c", secret()),
                "https://auth.pingone.com/e-1/as",
                "pingone",
            ),
        ] {
            let provider = provider.unwrap();
            assert_eq!(&*provider.issuer, issuer);
            assert_eq!(provider.kind(), kind, "{issuer}");
        }
    }

    #[test]
    fn settings_that_cannot_be_right_are_refused() {
        let new = |issuer: &str| OpenIdProvider::new("a", issuer, "c", secret());
        let entra = |directory: &str| OpenIdProvider::entra("a", directory, "c", secret());
        for (result, setting) in [
            (new("http://idp.example"), "issuer"),
            (new("https://idp.example?tenant=1"), "issuer"),
            (new("https://user@idp.example"), "issuer"),
            (new(""), "issuer"),
            (OpenIdProvider::new("", "https://idp.example", "c", secret()), "id"),
            (OpenIdProvider::new("a", "https://idp.example", "", secret()), "client_id"),
            (
                OpenIdProvider::new("a", "https://idp.example", "c", String::new().into()),
                "client_secret",
            ),
            (entra("common"), "directory_id"),
            (entra("contoso.onmicrosoft.com"), "directory_id"),
            (entra("7d3c1e0a00004000800000123456789ab"), "directory_id"),
            (OpenIdProvider::google_workspace("a", "a b", "c", secret()), "apps_domain"),
            (OpenIdProvider::pingone("a", "a/../b", "c", secret()), "ping_env_id"),
            (
                OpenIdProvider::okta_with_server("a", "https://x", "", "c", secret()),
                "authorization_server_id",
            ),
            (new("https://idp.example").unwrap().authorities(b"none"), "ca"),
        ] {
            assert_eq!(result.unwrap_err().setting(), setting);
        }
        let error = OpenIdEndpoints::new("https://a", "http://b.example", "https://c").unwrap_err();
        assert_eq!(error.setting(), "token_url");
    }

    #[test]
    fn scopes_always_have_openid_and_what_a_refresh_token_needs() {
        let okta = |server: Option<&str>| match server {
            Some(server) => {
                OpenIdProvider::okta_with_server("a", "https://x.okta.com", server, "c", secret())
            }
            None => OpenIdProvider::okta("a", "https://x.okta.com", "c", secret()),
        };
        assert_eq!(okta(None).unwrap().requested_scopes(), "openid email profile groups");
        assert_eq!(okta(Some("x")).unwrap().requested_scopes(), "openid email profile");
        let offline = okta(None).unwrap().scopes(["groups"]).offline_access();
        assert_eq!(offline.requested_scopes(), "openid groups offline_access");
        let google = OpenIdProvider::google("a", "c", secret()).unwrap().offline_access();
        assert_eq!(google.requested_scopes(), "openid email profile");
        assert!(!format!("{google:?}").contains("hush"));
    }
}
