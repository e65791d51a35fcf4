//! The names of selectors.

/// The selectors there are, by their names on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is documented at the rule of the same name")]
pub enum Selector {
    Everyone,
    Email,
    EmailDomain,
    EmailList,
    Ip,
    IpList,
    Geo,
    Group,
    Certificate,
    CommonName,
    ServiceToken,
    AnyValidServiceToken,
    LinkedAppToken,
    LoginMethod,
    AuthMethod,
    AuthContext,
    AzureGroup,
    GithubOrganization,
    GsuiteGroup,
    OktaGroup,
    Saml,
    Oidc,
    DevicePosture,
    ExternalEvaluation,
    UserRiskScore,
    CloudflareAccountMember,
}

impl Selector {
    /// All selectors.
    pub const ALL: [Self; 26] = [
        Self::Everyone,
        Self::Email,
        Self::EmailDomain,
        Self::EmailList,
        Self::Ip,
        Self::IpList,
        Self::Geo,
        Self::Group,
        Self::Certificate,
        Self::CommonName,
        Self::ServiceToken,
        Self::AnyValidServiceToken,
        Self::LinkedAppToken,
        Self::LoginMethod,
        Self::AuthMethod,
        Self::AuthContext,
        Self::AzureGroup,
        Self::GithubOrganization,
        Self::GsuiteGroup,
        Self::OktaGroup,
        Self::Saml,
        Self::Oidc,
        Self::DevicePosture,
        Self::ExternalEvaluation,
        Self::UserRiskScore,
        Self::CloudflareAccountMember,
    ];

    /// The selector's key in JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Everyone => "everyone",
            Self::Email => "email",
            Self::EmailDomain => "email_domain",
            Self::EmailList => "email_list",
            Self::Ip => "ip",
            Self::IpList => "ip_list",
            Self::Geo => "geo",
            Self::Group => "group",
            Self::Certificate => "certificate",
            Self::CommonName => "common_name",
            Self::ServiceToken => "service_token",
            Self::AnyValidServiceToken => "any_valid_service_token",
            Self::LinkedAppToken => "linked_app_token",
            Self::LoginMethod => "login_method",
            Self::AuthMethod => "auth_method",
            Self::AuthContext => "auth_context",
            Self::AzureGroup => "azureAD",
            Self::GithubOrganization => "github-organization",
            Self::GsuiteGroup => "gsuite",
            Self::OktaGroup => "okta",
            Self::Saml => "saml",
            Self::Oidc => "oidc",
            Self::DevicePosture => "device_posture",
            Self::ExternalEvaluation => "external_evaluation",
            Self::UserRiskScore => "user_risk_score",
            Self::CloudflareAccountMember => "cloudflare_account_member",
        }
    }

    /// Whether the rule is about who logged in. (A group is what its members are.)
    #[must_use]
    pub fn is_about_identity(self) -> bool {
        match self {
            Self::Email
            | Self::EmailDomain
            | Self::EmailList
            | Self::LoginMethod
            | Self::AuthMethod
            | Self::AuthContext
            | Self::AzureGroup
            | Self::GithubOrganization
            | Self::GsuiteGroup
            | Self::OktaGroup
            | Self::Saml
            | Self::Oidc
            | Self::ExternalEvaluation
            | Self::UserRiskScore
            | Self::CloudflareAccountMember => true,
            Self::Everyone
            | Self::Ip
            | Self::IpList
            | Self::Geo
            | Self::Group
            | Self::Certificate
            | Self::CommonName
            | Self::ServiceToken
            | Self::AnyValidServiceToken
            | Self::LinkedAppToken
            | Self::DevicePosture => false,
        }
    }

    /// The selector of a key, as Cloudflare's API or its Terraform provider (version 5) writes it.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        match key {
            "azure_ad" => Some(Self::AzureGroup),
            "github_organization" => Some(Self::GithubOrganization),
            _ => Self::ALL.into_iter().find(|selector| selector.key() == key),
        }
    }
}
