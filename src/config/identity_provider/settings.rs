//! From the keys to the settings of login methods.

use std::fmt::Display;

use super::IdentityProviderConfig;
use super::kind::ProviderKind;
#[cfg(any(feature = "oidc", feature = "github", feature = "saml"))]
use crate::config::file;
#[cfg(any(feature = "oidc", feature = "github", feature = "saml"))]
use crate::config::schema::Field;
#[cfg(any(feature = "oidc", feature = "saml"))]
use crate::config::schema::Written;
use crate::engine::ConfigError;
use crate::login::{IdentityProvider, MethodInfo};
#[cfg(any(feature = "oidc", feature = "github"))]
use crate::secret::SecretText;

impl IdentityProviderConfig {
    pub(in crate::config) fn info(&self) -> MethodInfo<'_> {
        MethodInfo { id: &self.id, kind: self.kind.of_method(), name: &self.name }
    }

    /// Returns the settings of the login method. Reads the files that they name.
    pub(in crate::config) fn provider(&self) -> Result<IdentityProvider, ConfigError> {
        match self.kind {
            ProviderKind::Saml => self.saml(),
            ProviderKind::GitHub => self.github(),
            _ => self.openid(),
        }
    }

    #[cfg(feature = "github")]
    fn github(&self) -> Result<IdentityProvider, ConfigError> {
        use crate::login::GitHubProvider;

        let keys = &self.keys;
        let client_id = text(&keys.client_id);
        let mut provider =
            GitHubProvider::new(&*self.id, client_id, self.client_secret()?).name(&*self.name);
        if let Some(url) = keys.base_url.get() {
            provider = provider.base_url(&url.0).map_err(|error| self.error(error))?;
        }
        if let Some(pem) = self.authorities()? {
            let provider_with = provider.certificate_authorities(&pem);
            provider = provider_with.map_err(|error| self.error(error))?;
        }
        if let Some(interval) = keys.refresh_interval.get() {
            provider = provider.refresh_interval(Some(*interval));
        }
        Ok(provider.into())
    }

    #[cfg(not(feature = "github"))]
    fn github(&self) -> Result<IdentityProvider, ConfigError> {
        Err(self.without("github"))
    }

    #[cfg(feature = "oidc")]
    fn openid(&self) -> Result<IdentityProvider, ConfigError> {
        use super::document::ClientAuthentication as Written;
        use crate::login::{ClientAuthentication, OpenIdEndpoints};

        let keys = &self.keys;
        let mut provider = self.preset()?.name(&*self.name);
        if let (Some(auth), Some(token), Some(certs)) =
            (keys.auth_url.get(), keys.token_url.get(), keys.certs_url.get())
        {
            let endpoints = OpenIdEndpoints::new(&auth.0, &token.0, &certs.0);
            let mut endpoints = endpoints.map_err(|error| self.error(error))?;
            if let Some(url) = keys.userinfo_url.get() {
                let with_userinfo = endpoints.userinfo_url(&url.0);
                endpoints = with_userinfo.map_err(|error| self.error(error))?;
            }
            provider = provider.endpoints(endpoints);
        }
        if let Some(way) = keys.token_endpoint_auth_method.get() {
            provider = provider.client_authentication(match way {
                Written::ClientSecretPost => ClientAuthentication::Post,
                Written::ClientSecretBasic => ClientAuthentication::Basic,
            });
        }
        if keys.scopes.is_written() {
            provider = provider.scopes(texts(&keys.scopes));
        }
        provider = provider.claims(texts(&keys.claims));
        if let Some(name) = keys.email_claim_name.get() {
            provider = provider.email_claim_name(&**name);
        }
        if keys.support_groups.get() == Some(&false) {
            provider = provider.without_groups();
        }
        if keys.dangerous_trust_unverified_email.is_on() {
            provider = provider.dangerous_trust_unverified_email();
        }
        if let Some(prompt) = keys.prompt.get() {
            provider = provider.prompt(&**prompt);
        }
        if let Some(age) = keys.max_age.get() {
            provider = provider.max_age(*age);
        }
        if keys.offline_access.is_on() {
            provider = provider.offline_access();
        }
        if let Some(interval) = keys.refresh_interval.get() {
            provider = provider.refresh_every(*interval);
        }
        if keys.log_out_at_provider.is_on() {
            provider = provider.logs_out_at_provider();
        }
        if let Some(pem) = self.authorities()? {
            provider = provider.authorities(&pem).map_err(|error| self.error(error))?;
        }
        Ok(provider.into())
    }

    /// Returns the provider of the type, with its issuer and client.
    #[cfg(feature = "oidc")]
    fn preset(&self) -> Result<crate::login::OpenIdProvider, ConfigError> {
        use crate::login::OpenIdProvider;

        let keys = &self.keys;
        let (id, client, secret) = (&*self.id, text(&keys.client_id), self.client_secret()?);
        let issuer = text(&keys.issuer_url);
        let provider = match self.kind {
            ProviderKind::Google => OpenIdProvider::google(id, client, secret),
            ProviderKind::GoogleApps => {
                OpenIdProvider::google_workspace(id, text(&keys.apps_domain), client, secret)
            }
            ProviderKind::Okta => {
                let account = text(&keys.okta_account);
                match keys.authorization_server_id.get() {
                    Some(server) => {
                        OpenIdProvider::okta_with_server(id, account, server, client, secret)
                    }
                    None => OpenIdProvider::okta(id, account, client, secret),
                }
            }
            ProviderKind::AzureAd => {
                OpenIdProvider::entra(id, text(&keys.directory_id), client, secret)
            }
            ProviderKind::OneLogin => {
                OpenIdProvider::onelogin(id, text(&keys.onelogin_account), client, secret)
            }
            ProviderKind::PingOne => {
                OpenIdProvider::pingone(id, text(&keys.ping_env_id), client, secret)
            }
            ProviderKind::Keycloak => OpenIdProvider::keycloak(id, issuer, client, secret),
            ProviderKind::Auth0 => OpenIdProvider::auth0(id, issuer, client, secret),
            ProviderKind::GitLab => {
                let url = if issuer.is_empty() { "https://gitlab.com" } else { issuer };
                OpenIdProvider::gitlab(id, url, client, secret)
            }
            ProviderKind::Oidc
            | ProviderKind::OneTimePin
            | ProviderKind::GitHub
            | ProviderKind::Saml => OpenIdProvider::new(id, issuer, client, secret),
        };
        provider.map_err(|error| self.error(error))
    }

    #[cfg(not(feature = "oidc"))]
    fn openid(&self) -> Result<IdentityProvider, ConfigError> {
        Err(self.without("oidc"))
    }

    #[cfg(feature = "saml")]
    fn saml(&self) -> Result<IdentityProvider, ConfigError> {
        use crate::login::SamlProvider;

        let keys = &self.keys;
        let url = keys.sso_target_url.get().map_or("", |url| &*url.0);
        let certificates = texts(&keys.idp_public_certs);
        let provider = SamlProvider::new(&*self.id, text(&keys.issuer_url), url, certificates);
        let mut provider = provider.map_err(|error| self.error(error))?.name(&*self.name);
        if let Some(name) = keys.email_attribute_name.get() {
            provider = provider.email_attribute(&**name);
        }
        provider = provider.attributes(texts(&keys.attributes));
        if keys.accept_signed_response.is_on() {
            provider = provider.accept_signed_response();
        }
        if let (Some(key), Some(certificate)) =
            (keys.request_key_file.get(), keys.request_certificate_file.get())
        {
            let key = file::read_secret(key, &self.key("request_key_file"))?;
            let certificate =
                file::read_certificates(certificate, &self.key("request_certificate_file"))?;
            let certificate = String::from_utf8_lossy(&certificate);
            let signed = provider.sign_requests(key, &certificate);
            provider = signed.map_err(|error| self.error(error))?;
        }
        Ok(provider.into())
    }

    #[cfg(not(feature = "saml"))]
    fn saml(&self) -> Result<IdentityProvider, ConfigError> {
        Err(self.without("saml"))
    }

    /// Returns the secret, from the environment or from its file.
    #[cfg(any(feature = "oidc", feature = "github"))]
    fn client_secret(&self) -> Result<SecretText, ConfigError> {
        match (self.keys.client_secret.get(), self.keys.client_secret_file.get()) {
            (Some(secret), _) => Ok(secret.clone()),
            (None, Some(path)) => file::read_secret(path, &self.key("client_secret_file")),
            (None, None) => Err(self.error("`client_secret_file` is missing")),
        }
    }

    #[cfg(any(feature = "oidc", feature = "github"))]
    fn authorities(&self) -> Result<Option<Vec<u8>>, ConfigError> {
        let path = self.keys.ca_file.get();
        path.map(|path| file::read_certificates(path, &self.key("ca_file"))).transpose()
    }

    #[cfg(any(feature = "oidc", feature = "github", feature = "saml"))]
    fn key(&self, name: &str) -> String {
        format!("{}.config.{name}", self.path)
    }

    fn error(&self, error: impl Display) -> ConfigError {
        ConfigError::new(format!("{}: {error}", self.path))
    }

    #[cfg(not(all(feature = "oidc", feature = "github", feature = "saml")))]
    fn without(&self, feature: &str) -> ConfigError {
        self.error(format_args!(
            "this program is built without the feature `{feature}`; build it with `{feature}` as well"
        ))
    }
}

#[cfg(any(feature = "oidc", feature = "github", feature = "saml"))]
fn text(field: &Field<String>) -> &str {
    field.get().map_or("", |text| text)
}

/// Returns the valid texts of a list.
#[cfg(any(feature = "oidc", feature = "saml"))]
fn texts(field: &Field<Vec<Written<String>>>) -> impl Iterator<Item = &str> {
    field.get().into_iter().flatten().filter_map(|entry| entry.value.as_deref())
}
