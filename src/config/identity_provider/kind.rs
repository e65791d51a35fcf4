//! The types of identity providers, and the keys that each of them has.

use serde::Deserialize;

use crate::config::schema::{Shape, from_serde};

/// The type of an identity provider.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(in crate::config) enum ProviderKind {
    #[serde(rename = "onetimepin")]
    OneTimePin,
    #[serde(rename = "oidc")]
    Oidc,
    #[serde(rename = "azureAD")]
    AzureAd,
    #[serde(rename = "google")]
    Google,
    #[serde(rename = "google-apps")]
    GoogleApps,
    #[serde(rename = "okta")]
    Okta,
    #[serde(rename = "onelogin")]
    OneLogin,
    #[serde(rename = "pingone")]
    PingOne,
    #[serde(rename = "keycloak")]
    Keycloak,
    #[serde(rename = "auth0")]
    Auth0,
    #[serde(rename = "gitlab")]
    GitLab,
    #[serde(rename = "github")]
    GitHub,
    #[serde(rename = "saml")]
    Saml,
}

from_serde! {
    ProviderKind: Shape::Choice(&[
        "onetimepin", "oidc", "azureAD", "google", "google-apps", "okta", "onelogin", "pingone",
        "keycloak", "auth0", "gitlab", "github", "saml",
    ]);
}

impl ProviderKind {
    pub(in crate::config) const ALL: [Self; 13] = [
        Self::OneTimePin,
        Self::Oidc,
        Self::AzureAd,
        Self::Google,
        Self::GoogleApps,
        Self::Okta,
        Self::OneLogin,
        Self::PingOne,
        Self::Keycloak,
        Self::Auth0,
        Self::GitLab,
        Self::GitHub,
        Self::Saml,
    ];

    /// Returns the type's name in the file.
    pub(in crate::config) fn as_str(self) -> &'static str {
        match self {
            Self::OneTimePin => "onetimepin",
            Self::Oidc => "oidc",
            Self::AzureAd => "azureAD",
            Self::Google => "google",
            Self::GoogleApps => "google-apps",
            Self::Okta => "okta",
            Self::OneLogin => "onelogin",
            Self::PingOne => "pingone",
            Self::Keycloak => "keycloak",
            Self::Auth0 => "auth0",
            Self::GitLab => "gitlab",
            Self::GitHub => "github",
            Self::Saml => "saml",
        }
    }

    /// Returns the type of the login method, which rules are about.
    pub(super) fn of_method(self) -> &'static str {
        match self {
            Self::Keycloak | Self::Auth0 | Self::GitLab => Self::Oidc.as_str(),
            _ => self.as_str(),
        }
    }

    /// Returns the keys of `config` without which the type cannot be used.
    pub(in crate::config) fn required(self) -> &'static [&'static str] {
        match self {
            Self::OneTimePin => &[],
            Self::Oidc | Self::Keycloak | Self::Auth0 => &["issuer_url", "client_id"],
            Self::AzureAd => &["directory_id", "client_id"],
            Self::Google | Self::GitLab | Self::GitHub => &["client_id"],
            Self::GoogleApps => &["apps_domain", "client_id"],
            Self::Okta => &["okta_account", "client_id"],
            Self::OneLogin => &["onelogin_account", "client_id"],
            Self::PingOne => &["ping_env_id", "client_id"],
            Self::Saml => &["issuer_url", "sso_target_url", "idp_public_certs"],
        }
    }

    /// Returns whether the type has a key of `config`.
    pub(in crate::config) fn has(self, key: &str) -> bool {
        let has_secret = CLIENT.contains(&key);
        let is_oidc = OPENID.contains(&key) || has_secret;
        match self {
            Self::OneTimePin => false,
            Self::Oidc => is_oidc || WITHOUT_DISCOVERY.contains(&key) || key == "issuer_url",
            Self::Keycloak | Self::Auth0 | Self::GitLab => is_oidc || key == "issuer_url",
            Self::AzureAd => is_oidc || matches!(key, "directory_id" | "support_groups"),
            Self::Google => is_oidc,
            Self::GoogleApps => is_oidc || key == "apps_domain",
            Self::Okta => is_oidc || matches!(key, "okta_account" | "authorization_server_id"),
            Self::OneLogin => is_oidc || key == "onelogin_account",
            Self::PingOne => is_oidc || key == "ping_env_id",
            Self::GitHub => {
                has_secret
                    || matches!(key, "base_url" | "ca_file" | "refresh_interval" | "pkce_enabled")
            }
            Self::Saml => SAML.contains(&key),
        }
    }
}

const CLIENT: &[&str] = &["client_id", "client_secret", "client_secret_file"];
const OPENID: &[&str] = &[
    "scopes",
    "claims",
    "email_claim_name",
    "dangerous_trust_unverified_email",
    "pkce_enabled",
    "prompt",
    "max_age",
    "offline_access",
    "token_endpoint_auth_method",
    "refresh_interval",
    "log_out_at_provider",
    "ca_file",
];
const WITHOUT_DISCOVERY: &[&str] = &["auth_url", "token_url", "certs_url", "userinfo_url"];
const SAML: &[&str] = &[
    "issuer_url",
    "sso_target_url",
    "idp_public_certs",
    "sign_request",
    "request_key_file",
    "request_certificate_file",
    "email_attribute_name",
    "attributes",
    "accept_signed_response",
];
