//! One rule: a selector and its value, in Cloudflare's JSON.

mod selector;
#[cfg(test)]
mod tests;
mod values;
pub(super) mod wire;

use ipnet::IpNet;

pub use self::selector::Selector;
#[cfg(feature = "config")]
pub(crate) use self::selector::SelectorValue;
pub(crate) use self::selector::{Attribute, Reference, Test, TextTest};
pub use self::values::{Evaluator, RiskLevels};
pub(super) use self::values::{Network, parse_network};
use self::wire::{
    AuthContext, AzureGroup, GithubOrganization, GsuiteGroup, OidcClaim, OktaGroup, SamlAttribute,
};
use crate::address::{Country, CountryError};
use crate::identity::{Email, EmailDomain, EmailError, RiskLevel};

/// One test inside `include`, `require` or `exclude`.
///
/// In JSON an object with exactly one key, the selector's name (section 9.1 of the contract); the
/// spellings of Cloudflare's Terraform provider (section 9.2) are read as well. Reading fails for an unknown
/// selector, so that no rule is ever silently skipped.
///
/// ```
/// use tower_access::policy::Rule;
///
/// let rule: Rule = serde_json::from_str(r#"{"email_domain": {"domain": "Example.com"}}"#)?;
/// assert_eq!(rule, Rule::email_domain("example.com")?);
///
/// let error = serde_json::from_str::<Rule>(r#"{"emial": {"email": "a@b.example"}}"#).unwrap_err();
/// assert!(error.to_string().contains("`emial` is not a selector"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Texts are compared whole and with letter case, unless a rule says otherwise. If a rule names a login
/// method (`identity_provider_id`), the user must have used that one for the latest login.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// `everyone`: always met. An `allow` policy still requires a login.
    Everyone,
    /// `email`: the user's verified email address, compared without letter case.
    Email(Email),
    /// `email_domain`: the part after the `@`; sub-domains do not match.
    EmailDomain(EmailDomain),
    /// `email_list`: the user's email address is on the list with this id.
    EmailList(Box<str>),
    /// `ip`: the client's IP address is in this network.
    Ip(IpNet),
    /// `ip_list`: the client's IP address is in a network of the list with this id.
    IpList(Box<str>),
    /// `geo`: the client's IP address belongs to this country.
    Geo(Country),
    /// `group`: the conditions of the rule group with this id are met.
    Group(Box<str>),
    /// `certificate`: the client presented a valid certificate.
    Certificate,
    /// `common_name`: the client presented a valid certificate with this common name.
    CommonName(Box<str>),
    /// `service_token`: the request has the service token with this id or client id (or name, for a
    /// token in the store).
    ServiceToken(Box<str>),
    /// `any_valid_service_token`: the request has any valid service token.
    AnyValidServiceToken,
    /// `linked_app_token`: the request has a valid token of the application with this id (or name), on
    /// behalf of the user in it (section 9.5). In `non_identity` policies only.
    LinkedAppToken(Box<str>),
    /// `login_method`: the user logged in with the login method of this id.
    LoginMethod(Box<str>),
    /// `auth_method`: the login method reported this authentication method (`amr`).
    AuthMethod(Box<str>),
    /// `auth_context`: the login satisfied this authentication context.
    AuthContext(Box<AuthContext>),
    /// `azureAD` (`azure_ad`): the user is in this group of Microsoft Entra ID.
    AzureGroup(Box<AzureGroup>),
    /// `github-organization` (`github_organization`): the user is a member.
    GithubOrganization(Box<GithubOrganization>),
    /// `gsuite`: the user is in this Google Workspace group.
    GsuiteGroup(Box<GsuiteGroup>),
    /// `okta`: the user is in this Okta group.
    OktaGroup(Box<OktaGroup>),
    /// `saml`: one of the attribute's values equals this one.
    Saml(Box<SamlAttribute>),
    /// `oidc`: one of the claim's values equals this one.
    Oidc(Box<OidcClaim>),
    /// `device_posture`: the latest result of this check is success.
    DevicePosture(Box<str>),
    /// `external_evaluation`: an external evaluator grants access (section 9.4).
    ExternalEvaluation(Box<Evaluator>),
    /// `user_risk_score`: the user's risk level is one of these.
    UserRiskScore(RiskLevels),
    /// `cloudflare_account_member`: the user is a member of this account, or of any account.
    CloudflareAccountMember(Option<Box<str>>),
}

impl Rule {
    /// Creates the rule `everyone`.
    #[must_use]
    pub fn everyone() -> Self {
        Self::Everyone
    }

    /// Creates the rule `email`.
    ///
    /// # Errors
    ///
    /// If the text is not a plain email address.
    pub fn email(address: &str) -> Result<Self, RuleError> {
        Ok(Self::Email(address.parse()?))
    }

    /// Creates the rule `email_domain`.
    ///
    /// # Errors
    ///
    /// If the text is not a domain.
    pub fn email_domain(domain: &str) -> Result<Self, RuleError> {
        Ok(Self::EmailDomain(domain.parse()?))
    }

    /// Creates the rule `email_list`, by the list's id or name.
    #[must_use]
    pub fn email_list(id: impl Into<Box<str>>) -> Self {
        Self::EmailList(id.into())
    }

    /// Creates the rule `ip`: one address, or a network in CIDR form, IPv4 or IPv6.
    ///
    /// # Errors
    ///
    /// If the text is neither.
    pub fn ip(network: &str) -> Result<Self, RuleError> {
        parse_network(network).map(Self::Ip).ok_or(RuleError::Network)
    }

    /// Creates the rule `ip_list`, by the list's id or name.
    #[must_use]
    pub fn ip_list(id: impl Into<Box<str>>) -> Self {
        Self::IpList(id.into())
    }

    /// Creates the rule `geo`.
    ///
    /// # Errors
    ///
    /// If the text is not a country code.
    pub fn geo(country: &str) -> Result<Self, RuleError> {
        Ok(Self::Geo(country.parse()?))
    }

    /// Creates the rule `group`, by the group's id or name.
    #[must_use]
    pub fn group(id: impl Into<Box<str>>) -> Self {
        Self::Group(id.into())
    }

    /// Creates the rule `certificate`.
    #[must_use]
    pub fn certificate() -> Self {
        Self::Certificate
    }

    /// Creates the rule `common_name`.
    #[must_use]
    pub fn common_name(name: impl Into<Box<str>>) -> Self {
        Self::CommonName(name.into())
    }

    /// Creates the rule `service_token`, by the token's id or client id.
    #[must_use]
    pub fn service_token(id: impl Into<Box<str>>) -> Self {
        Self::ServiceToken(id.into())
    }

    /// Creates the rule `any_valid_service_token`.
    #[must_use]
    pub fn any_valid_service_token() -> Self {
        Self::AnyValidServiceToken
    }

    /// Creates the rule `linked_app_token`, by the id or the name of the other application.
    #[must_use]
    pub fn linked_app_token(application: impl Into<Box<str>>) -> Self {
        Self::LinkedAppToken(application.into())
    }

    /// Creates the rule `login_method`, by the id of the login method.
    #[must_use]
    pub fn login_method(id: impl Into<Box<str>>) -> Self {
        Self::LoginMethod(id.into())
    }

    /// Creates the rule `auth_method`, such as `mfa`.
    #[must_use]
    pub fn auth_method(method: impl Into<Box<str>>) -> Self {
        Self::AuthMethod(method.into())
    }

    /// Creates the rule `oidc`, whatever the login method.
    #[must_use]
    pub fn oidc(claim: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        Self::Oidc(Box::new(OidcClaim {
            claim_name: claim.into(),
            claim_value: value.into(),
            identity_provider_id: None,
        }))
    }

    /// Creates the rule `saml`, whatever the login method.
    #[must_use]
    pub fn saml(attribute: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        Self::Saml(Box::new(SamlAttribute {
            attribute_name: attribute.into(),
            attribute_value: value.into(),
            identity_provider_id: None,
        }))
    }

    /// Creates the rule `device_posture`, by the id of the check.
    #[must_use]
    pub fn device_posture(check: impl Into<Box<str>>) -> Self {
        Self::DevicePosture(check.into())
    }

    /// Creates the rule `external_evaluation`.
    ///
    /// # Errors
    ///
    /// If one of the URLs is invalid; see [`Evaluator::new`].
    pub fn external_evaluation(evaluate_url: &str, keys_url: &str) -> Result<Self, RuleError> {
        Evaluator::new(evaluate_url, keys_url).map(Box::new).map(Self::ExternalEvaluation)
    }

    /// Creates the rule `user_risk_score`.
    ///
    /// # Errors
    ///
    /// If `levels` is empty.
    pub fn user_risk_score(levels: &[RiskLevel]) -> Result<Self, RuleError> {
        RiskLevels::new(levels).map(Self::UserRiskScore).ok_or(RuleError::Levels)
    }

    /// Returns the rule's selector.
    #[must_use]
    pub fn selector(&self) -> Selector {
        match self {
            Self::Everyone => Selector::Everyone,
            Self::Email(_) => Selector::Email,
            Self::EmailDomain(_) => Selector::EmailDomain,
            Self::EmailList(_) => Selector::EmailList,
            Self::Ip(_) => Selector::Ip,
            Self::IpList(_) => Selector::IpList,
            Self::Geo(_) => Selector::Geo,
            Self::Group(_) => Selector::Group,
            Self::Certificate => Selector::Certificate,
            Self::CommonName(_) => Selector::CommonName,
            Self::ServiceToken(_) => Selector::ServiceToken,
            Self::AnyValidServiceToken => Selector::AnyValidServiceToken,
            Self::LinkedAppToken(_) => Selector::LinkedAppToken,
            Self::LoginMethod(_) => Selector::LoginMethod,
            Self::AuthMethod(_) => Selector::AuthMethod,
            Self::AuthContext(_) => Selector::AuthContext,
            Self::AzureGroup(_) => Selector::AzureGroup,
            Self::GithubOrganization(_) => Selector::GithubOrganization,
            Self::GsuiteGroup(_) => Selector::GsuiteGroup,
            Self::OktaGroup(_) => Selector::OktaGroup,
            Self::Saml(_) => Selector::Saml,
            Self::Oidc(_) => Selector::Oidc,
            Self::DevicePosture(_) => Selector::DevicePosture,
            Self::ExternalEvaluation(_) => Selector::ExternalEvaluation,
            Self::UserRiskScore(_) => Selector::UserRiskScore,
            Self::CloudflareAccountMember(_) => Selector::CloudflareAccountMember,
        }
    }
}

/// Formats the selector and its value.
impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Everyone | Self::Certificate | Self::AnyValidServiceToken => {
                f.write_str(self.selector().key())
            }
            Self::Email(email) => write!(f, "email {email}"),
            Self::EmailDomain(domain) => write!(f, "email_domain {domain}"),
            Self::Ip(network) => write!(f, "ip {network}"),
            Self::Geo(country) => write!(f, "geo {country}"),
            Self::UserRiskScore(levels) => {
                let levels: Vec<&str> = levels.iter().map(RiskLevel::as_str).collect();
                write!(f, "user_risk_score {}", levels.join(" or "))
            }
            Self::EmailList(id)
            | Self::IpList(id)
            | Self::Group(id)
            | Self::CommonName(id)
            | Self::ServiceToken(id)
            | Self::LinkedAppToken(id)
            | Self::LoginMethod(id)
            | Self::AuthMethod(id)
            | Self::DevicePosture(id) => {
                write!(f, "{} {}", self.selector().key(), id.escape_debug())
            }
            Self::AuthContext(context) => {
                write!(f, "auth_context {}", context.ac_id.escape_debug())
            }
            Self::AzureGroup(group) => write!(f, "azureAD {}", group.id.escape_debug()),
            Self::GithubOrganization(organization) => {
                write!(f, "github-organization {}", organization.name.escape_debug())?;
                match &organization.team {
                    Some(team) => write!(f, "/{}", team.escape_debug()),
                    None => Ok(()),
                }
            }
            Self::GsuiteGroup(group) => write!(f, "gsuite {}", group.email.escape_debug()),
            Self::OktaGroup(group) => write!(f, "okta {}", group.name.escape_debug()),
            Self::Saml(saml) => {
                let (name, value) = (&saml.attribute_name, &saml.attribute_value);
                write!(f, "saml {}={}", name.escape_debug(), value.escape_debug())
            }
            Self::Oidc(oidc) => {
                let (name, value) = (&oidc.claim_name, &oidc.claim_value);
                write!(f, "oidc {}={}", name.escape_debug(), value.escape_debug())
            }
            Self::ExternalEvaluation(evaluator) => {
                write!(f, "external_evaluation {}", evaluator.evaluate_url())
            }
            Self::CloudflareAccountMember(None) => f.write_str("cloudflare_account_member"),
            Self::CloudflareAccountMember(Some(account)) => {
                write!(f, "cloudflare_account_member {}", account.escape_debug())
            }
        }
    }
}

/// An invalid value of a selector.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// An invalid email address or domain.
    #[error(transparent)]
    Email(#[from] EmailError),
    /// An invalid country code.
    #[error(transparent)]
    Country(#[from] CountryError),
    /// An invalid IP address or network.
    #[error("invalid network: write `203.0.113.0/24`, `2001:db8::/32` or a single address")]
    Network,
    /// An invalid URL of an evaluator.
    #[error(
        "invalid URL of an evaluator: write a URL with `https://` (`http://` only for this machine)"
    )]
    Evaluator,
    /// No risk level.
    #[error("no risk level, so no user would match: name at least one")]
    Levels,
}
