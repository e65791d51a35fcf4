//! The keys of `access.identity_providers`.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use url::Url;

use crate::config::schema::{
    Acceptance, FilePath, NonEmpty, OtherKeys, Secret, Shape, Time, document, from_serde,
    from_text, hours, minutes, seconds,
};
use crate::util::trusted_url;

use super::kind::ProviderKind;

document! {
    /// An identity provider by which users log in, under Cloudflare's names.
    pub(in crate::config) struct Provider in "access.identity_providers[]" with OF_EXPORTED_PROVIDERS {
        /// The id, which rules, `allowed_idps` and `get-identity` use.
        "id" id: NonEmpty { default: "the type", example: "corp", cloudflare: "id", }
        /// The name that users see: "Continue with …".
        "name" name: NonEmpty { required: "", example: "Example Corp", cloudflare: "name", }
        /// The type. `keycloak`, `auth0` and `gitlab` are `oidc` with the settings of these programs.
        "type" kind: ProviderKind { required: "", example: "oidc", cloudflare: "type", }
        /// The settings, which depend on the type.
        "config" config: ProviderConfig {
            default: "none, which is enough for `onetimepin`",
            example: "{ issuer_url: 'https://id.example.com', client_id: access, client_secret: '${ID_SECRET}' }",
            cloudflare: "config",
        }
    }
}

document! {
    /// The settings of an identity provider.
    pub(in crate::config) struct ProviderConfig in "access.identity_providers[].config" with OF_EXPORTED_CONFIGS {
        /// The id under which the provider knows this program. For all types but `saml`.
        "client_id" client_id: NonEmpty {
            default: "none", example: "access", cloudflare: "client_id",
        }
        /// The secret of this program at the provider, from an environment variable: `${NAME}`.
        "client_secret" client_secret: Secret {
            default: "none", example: "'${ID_SECRET}'", cloudflare: "client_secret",
        }
        /// A file with the secret of this program at the provider, which is read when the program starts.
        "client_secret_file" client_secret_file: PathBuf {
            default: "none", example: "/etc/access/id-secret",
        }
        /// The issuer, exactly as the provider writes it: `oidc`, `keycloak` (with `/realms/NAME`), `auth0`,
        /// `gitlab`. Its endpoints are read from `/.well-known/openid-configuration` below it. For `saml` the
        /// entity id of the provider.
        "issuer_url" issuer_url: NonEmpty {
            default: "that of the type", example: "'https://id.example.com/realms/corp'",
            cloudflare: "issuer_url",
        }
        /// The URL at which users log in, if the provider has no discovery.
        "auth_url" auth_url: ServerUrl {
            default: "that of the discovery", example: "'https://id.example.com/authorize'",
            cloudflare: "auth_url",
        }
        /// The URL at which codes are exchanged for tokens, if the provider has no discovery.
        "token_url" token_url: ServerUrl {
            default: "that of the discovery", example: "'https://id.example.com/token'",
            cloudflare: "token_url",
        }
        /// The URL of the keys that sign ID tokens, if the provider has no discovery.
        "certs_url" certs_url: ServerUrl {
            default: "that of the discovery", example: "'https://id.example.com/keys'",
            cloudflare: "certs_url",
        }
        /// The URL of further claims, if the provider has no discovery.
        "userinfo_url" userinfo_url: ServerUrl {
            default: "that of the discovery", example: "'https://id.example.com/userinfo'",
        }
        /// The scopes that are asked for.
        "scopes" scopes: Vec<NonEmpty> {
            default: "[ openid, email, profile ], and those of the type",
            example: "[ openid, email, profile, groups ]", cloudflare: "scopes",
        }
        /// The claims that rules can ask about, besides `groups`.
        "claims" claims: Vec<NonEmpty> {
            default: "[]", example: "[ department ]", cloudflare: "claims",
        }
        /// The claim with the email address.
        "email_claim_name" email_claim_name: NonEmpty {
            default: "email", example: "mail", cloudflare: "email_claim_name",
        }
        /// Believes an address that the provider does not call verified. Weakens the default: at a provider
        /// where users choose their address, they choose who they are.
        "dangerous_trust_unverified_email" dangerous_trust_unverified_email: bool {
            default: "false", example: "true",
        }
        /// `true`, which is always so: each login has a PKCE challenge.
        "pkce_enabled" pkce_enabled: bool {
            default: "true", example: "true", cloudflare: "pkce_enabled",
        }
        /// What the provider asks users: `login`, `select_account`, `consent` or `none`.
        "prompt" prompt: NonEmpty { default: "what the provider asks", example: "select_account", cloudflare: "prompt", }
        /// Time after which users have to authenticate at the provider again.
        "max_age" max_age: Time<{ seconds(1) }, { hours(744) }> {
            default: "what the provider asks", example: "12h",
        }
        /// How this program authenticates to the provider.
        "token_endpoint_auth_method" token_endpoint_auth_method: ClientAuthentication {
            default: "what the provider supports, `client_secret_post` first",
            example: "client_secret_basic",
        }
        /// Asks the provider for a refresh token, where it gives none unasked, so that it can be asked again
        /// while a session lives.
        "offline_access" offline_access: bool { default: "false", example: "true", }
        /// Time between two questions to the provider about a user with a session: users who were removed
        /// from a group lose its access within this time and a minute.
        "refresh_interval" refresh_interval: Time<{ minutes(1) }, { hours(24) }> {
            default: "15m", example: "5m",
        }
        /// Logs users out at the provider as well when they log out here.
        "log_out_at_provider" log_out_at_provider: bool { default: "false", example: "true", }
        /// A file with the certificate of a private authority (PEM) that has signed the provider's.
        "ca_file" ca_file: FilePath {
            default: "the authorities of the platform", example: "/etc/access/id-ca.pem",
        }
        /// `google-apps`: the domain of the organization.
        "apps_domain" apps_domain: NonEmpty {
            default: "none", example: "example.com", cloudflare: "apps_domain",
        }
        /// `okta`: the URL of the organization.
        "okta_account" okta_account: NonEmpty {
            default: "none", example: "'https://example.okta.com'", cloudflare: "okta_account",
        }
        /// `okta`: the id of a custom authorization server.
        "authorization_server_id" authorization_server_id: NonEmpty {
            default: "that of the organization", example: "default",
            cloudflare: "authorization_server_id",
        }
        /// `azureAD`: the id of the directory (tenant).
        "directory_id" directory_id: NonEmpty {
            default: "none", example: "0d9c3a4e-6a0b-4c38-9c5f-5d3c5f2b7a11",
            cloudflare: "directory_id",
        }
        /// `azureAD`: whether the groups of users are read.
        "support_groups" support_groups: bool {
            default: "true", example: "false", cloudflare: "support_groups",
        }
        /// `onelogin`: the URL of the account.
        "onelogin_account" onelogin_account: NonEmpty {
            default: "none", example: "'https://example.onelogin.com'",
            cloudflare: "onelogin_account",
        }
        /// `pingone`: the id of the environment.
        "ping_env_id" ping_env_id: NonEmpty {
            default: "none", example: "342b1c5e-0d9c-4a0b-9c38-5d3c5f2b7a11",
            cloudflare: "ping_env_id",
        }
        /// `github`: the URL of a GitHub Enterprise Server.
        "base_url" base_url: ServerUrl {
            default: "https://github.com", example: "'https://github.example.com'",
        }
        /// `saml`: the URL at which users log in.
        "sso_target_url" sso_target_url: ServerUrl {
            default: "none", example: "'https://id.example.com/saml'", cloudflare: "sso_target_url",
        }
        /// `saml`: the certificates of the provider's signing keys, PEM or its base64 text alone.
        "idp_public_certs" idp_public_certs: Vec<NonEmpty> {
            default: "[]", example: "[ 'MIIC8DCCAdigAwIBAgIQ' ]", cloudflare: "idp_public_certs",
        }
        /// `saml`: signs the requests to the provider, with `request_key_file`.
        "sign_request" sign_request: bool {
            default: "false", example: "false", cloudflare: "sign_request",
        }
        /// `saml`: a file with the RSA key that signs the requests (PEM, PKCS #8).
        "request_key_file" request_key_file: FilePath {
            default: "none", example: "/etc/access/saml-key.pem",
        }
        /// `saml`: a file with the certificate of that key (PEM), which the metadata contains.
        "request_certificate_file" request_certificate_file: FilePath {
            default: "none", example: "/etc/access/saml-certificate.pem",
        }
        /// `saml`: the attribute with the email address.
        "email_attribute_name" email_attribute_name: NonEmpty {
            default: "the usual names", example: "mail", cloudflare: "email_attribute_name",
        }
        /// `saml`: the attributes that rules can ask about.
        "attributes" attributes: Vec<NonEmpty> {
            default: "[]", example: "[ department ]", cloudflare: "attributes",
        }
        /// `saml`: accepts assertions in a signed response that are not signed themselves.
        "accept_signed_response" accept_signed_response: bool {
            default: "false", example: "true",
        }
    }
}

const OF_EXPORTED_PROVIDERS: &[OtherKeys] = &[
    OtherKeys {
        names: &["created_at", "updated_at"],
        acceptance: Acceptance::Ignored("part of an export"),
    },
    OtherKeys {
        names: &["scim_config"],
        acceptance: Acceptance::Ignored("accounts are not provisioned from here"),
    },
];

const OF_EXPORTED_CONFIGS: &[OtherKeys] = &[
    OtherKeys {
        names: IGNORED_IN_CONFIG,
        acceptance: Acceptance::Ignored("part of an export, or always so"),
    },
    OtherKeys {
        names: &[HEADER_ATTRIBUTES, "enable_encryption"],
        acceptance: Acceptance::Off("not supported"),
    },
];

/// The address to register at the provider, and a switch that rules about `auth_context` do not need.
pub(super) const IGNORED_IN_CONFIG: &[&str] = &["redirect_url", "conditional_access_enabled"];
pub(super) const HEADER_ATTRIBUTES: &str = "header_attributes";

from_serde! {
    ClientAuthentication: Shape::Choice(&["client_secret_post", "client_secret_basic"]);
}

from_text! {
    ServerUrl: Shape::Text { form: "URL", pattern: Some("^https?://") };
}

/// How the program authenticates at a token endpoint.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum ClientAuthentication {
    ClientSecretPost,
    ClientSecretBasic,
}

/// A URL of another server, as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::config) struct ServerUrl(pub(super) String);

impl FromStr for ServerUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match trusted_url::parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => {
                Err("invalid URL; write an `https://` URL (`http://` to a loopback address only)")
            }
        }
    }
}

impl ServerUrl {
    /// Returns whether a text is a URL of another server.
    pub(super) fn is_one(text: &str) -> bool {
        trusted_url::parse(text).is_ok()
    }

    /// Returns whether a text is a URL of an origin alone.
    pub(super) fn is_origin(text: &str) -> bool {
        let url: Option<Url> = trusted_url::parse(text).ok();
        url.is_some_and(|url| url.path() == "/" && url.query().is_none())
    }
}
