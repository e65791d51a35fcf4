//! Rules in Cloudflare's JSON: an object with exactly one key.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::address::Country;
use crate::identity::{Email, EmailDomain};
use crate::util::suggest::closest;

use super::{Network, RiskLevels, Rule, Selector};
use crate::policy::object::Object;

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        let key = self.selector().key();
        match self {
            Self::Everyone | Self::AnyValidServiceToken | Self::Certificate => {
                map.serialize_entry(key, &Nothing {})?;
            }
            Self::Email(email) => map.serialize_entry(key, &EmailValue { email: email.clone() })?,
            Self::EmailDomain(domain) => {
                map.serialize_entry(key, &EmailDomainValue { domain: domain.clone() })?;
            }
            Self::Ip(network) => map.serialize_entry(key, &IpValue { ip: Network(*network) })?,
            Self::Geo(country) => map.serialize_entry(key, &Geo { country_code: *country })?,
            Self::EmailList(id) | Self::IpList(id) | Self::Group(id) | Self::LoginMethod(id) => {
                map.serialize_entry(key, &Id { id: NonEmpty(id.clone()) })?
            }
            Self::CommonName(name) => {
                map.serialize_entry(key, &CommonName { common_name: NonEmpty(name.clone()) })?;
            }
            Self::ServiceToken(id) => {
                map.serialize_entry(key, &ServiceToken { token_id: NonEmpty(id.clone()) })?;
            }
            Self::LinkedAppToken(id) => {
                map.serialize_entry(key, &LinkedApp { app_uid: NonEmpty(id.clone()) })?;
            }
            Self::AuthMethod(method) => {
                map.serialize_entry(key, &AuthMethod { auth_method: NonEmpty(method.clone()) })?;
            }
            Self::AuthContext(context) => map.serialize_entry(key, context)?,
            Self::AzureGroup(group) => map.serialize_entry(key, group)?,
            Self::GithubOrganization(organization) => map.serialize_entry(key, organization)?,
            Self::GsuiteGroup(group) => map.serialize_entry(key, group)?,
            Self::OktaGroup(group) => map.serialize_entry(key, group)?,
            Self::Saml(attribute) => map.serialize_entry(key, attribute)?,
            Self::Oidc(claim) => map.serialize_entry(key, claim)?,
            Self::DevicePosture(id) => {
                map.serialize_entry(key, &DevicePosture { integration_uid: NonEmpty(id.clone()) })?;
            }
            Self::ExternalEvaluation(evaluator) => map.serialize_entry(key, evaluator)?,
            Self::UserRiskScore(levels) => {
                map.serialize_entry(key, &RiskScore { user_risk_score: *levels })?;
            }
            Self::CloudflareAccountMember(account) => {
                map.serialize_entry(key, &AccountMember { account_id: account.clone() })?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneSelector)
    }
}

struct OneSelector;

impl<'de> Visitor<'de> for OneSelector {
    type Value = Rule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rule such as `{ email: { email: ada@example.com } }`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rule, A::Error> {
        let Some(SelectorKey(selector)) = map.next_key()? else {
            return Err(de::Error::custom(
                "an empty rule: name one selector, such as `everyone: {}`",
            ));
        };
        let rule = value_of(selector, &mut map)?;
        match map.next_key::<SelectorKey>()? {
            None => Ok(rule),
            Some(_) => Err(de::Error::custom(
                "a rule has exactly one selector: write one list entry per selector",
            )),
        }
    }
}

fn value_of<'de, A: MapAccess<'de>>(selector: Selector, map: &mut A) -> Result<Rule, A::Error> {
    Ok(match selector {
        Selector::Everyone => object::<Nothing, A>(map).map(|_| Rule::Everyone)?,
        Selector::Email => Rule::Email(object::<EmailValue, A>(map)?.email),
        Selector::EmailDomain => Rule::EmailDomain(object::<EmailDomainValue, A>(map)?.domain),
        Selector::EmailList => Rule::EmailList(object::<Id, A>(map)?.id.0),
        Selector::Ip => Rule::Ip(object::<IpValue, A>(map)?.ip.0),
        Selector::IpList => Rule::IpList(object::<Id, A>(map)?.id.0),
        Selector::Geo => Rule::Geo(object::<Geo, A>(map)?.country_code),
        Selector::Group => Rule::Group(object::<Id, A>(map)?.id.0),
        Selector::Certificate => object::<Nothing, A>(map).map(|_| Rule::Certificate)?,
        Selector::CommonName => Rule::CommonName(object::<CommonName, A>(map)?.common_name.0),
        Selector::ServiceToken => Rule::ServiceToken(object::<ServiceToken, A>(map)?.token_id.0),
        Selector::AnyValidServiceToken => {
            object::<Nothing, A>(map).map(|_| Rule::AnyValidServiceToken)?
        }
        Selector::LinkedAppToken => Rule::LinkedAppToken(object::<LinkedApp, A>(map)?.app_uid.0),
        Selector::LoginMethod => Rule::LoginMethod(object::<Id, A>(map)?.id.0),
        Selector::AuthMethod => Rule::AuthMethod(object::<AuthMethod, A>(map)?.auth_method.0),
        Selector::AuthContext => Rule::AuthContext(Box::new(object(map)?)),
        Selector::AzureGroup => Rule::AzureGroup(Box::new(object(map)?)),
        Selector::GithubOrganization => Rule::GithubOrganization(Box::new(object(map)?)),
        Selector::GsuiteGroup => Rule::GsuiteGroup(Box::new(object(map)?)),
        Selector::OktaGroup => Rule::OktaGroup(Box::new(object(map)?)),
        Selector::Saml => Rule::Saml(Box::new(object(map)?)),
        Selector::Oidc => Rule::Oidc(Box::new(object(map)?)),
        Selector::DevicePosture => {
            Rule::DevicePosture(object::<DevicePosture, A>(map)?.integration_uid.0)
        }
        Selector::ExternalEvaluation => Rule::ExternalEvaluation(Box::new(object(map)?)),
        Selector::UserRiskScore => {
            Rule::UserRiskScore(object::<RiskScore, A>(map)?.user_risk_score)
        }
        Selector::CloudflareAccountMember => {
            Rule::CloudflareAccountMember(object::<AccountMember, A>(map)?.account_id)
        }
    })
}

fn object<'de, T: Deserialize<'de>, A: MapAccess<'de>>(map: &mut A) -> Result<T, A::Error> {
    map.next_value::<Object<T>>().map(|Object(value)| value)
}

/// A selector's key; the error for any other text names it.
struct SelectorKey(Selector);

impl<'de> Deserialize<'de> for SelectorKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Key;
        impl Visitor<'_> for Key {
            type Value = SelectorKey;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a selector")
            }
            fn visit_str<E: de::Error>(self, key: &str) -> Result<SelectorKey, E> {
                Selector::from_key(key).map(SelectorKey).ok_or_else(|| {
                    let shown: String = key.chars().take(40).collect();
                    let known = Selector::ALL.map(Selector::key);
                    let hint = match closest(key, known) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("selectors are `{}`", known.join("`, `")),
                    };
                    E::custom(format_args!(
                        "`{}` is not a selector; {hint}",
                        shown.escape_default()
                    ))
                })
            }
        }
        deserializer.deserialize_identifier(Key)
    }
}

// === values with more than one part ===

/// A group at Microsoft Entra ID.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AzureGroup {
    /// The group's object id.
    #[serde(deserialize_with = "non_empty")]
    pub id: Box<str>,
    /// The id of the login method that must report it. Default: any login method.
    #[serde(default, deserialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

impl AzureGroup {
    /// Creates the value from the group's object id.
    #[must_use]
    pub fn new(id: impl Into<Box<str>>) -> Self {
        Self { id: id.into(), identity_provider_id: None }
    }

    /// Limits the rule to logins with the login method of this id.
    #[must_use]
    pub fn with_identity_provider(mut self, id: impl Into<Box<str>>) -> Self {
        self.identity_provider_id = Some(id.into());
        self
    }
}

/// An authentication context of Microsoft Entra ID.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthContext {
    /// The id that Cloudflare gave the context. It is not compared.
    #[serde(default, deserialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    /// The context, such as `c1`.
    #[serde(deserialize_with = "non_empty")]
    pub ac_id: Box<str>,
    /// The id of the login method that must report it. Default: any login method.
    #[serde(default, deserialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

impl AuthContext {
    /// Creates the value from a context such as `c1`.
    #[must_use]
    pub fn new(context: impl Into<Box<str>>) -> Self {
        Self { id: None, ac_id: context.into(), identity_provider_id: None }
    }

    /// Limits the rule to logins with the login method of this id.
    #[must_use]
    pub fn with_identity_provider(mut self, id: impl Into<Box<str>>) -> Self {
        self.identity_provider_id = Some(id.into());
        self
    }
}

/// An organization at GitHub, or a team in it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GithubOrganization {
    /// The organization's name, compared without letter case, as GitHub does.
    #[serde(deserialize_with = "non_empty")]
    pub name: Box<str>,
    /// The team. Default: every member of the organization.
    #[serde(default, deserialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub team: Option<Box<str>>,
    /// The id of the login method that must report it. Default: any login method.
    #[serde(default, deserialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

impl GithubOrganization {
    /// Creates the value from the organization's name.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self { name: name.into(), team: None, identity_provider_id: None }
    }

    /// Limits the rule to logins with the login method of this id.
    #[must_use]
    pub fn with_identity_provider(mut self, id: impl Into<Box<str>>) -> Self {
        self.identity_provider_id = Some(id.into());
        self
    }

    /// Limits the rule to members of a team.
    #[must_use]
    pub fn with_team(mut self, team: impl Into<Box<str>>) -> Self {
        self.team = Some(team.into());
        self
    }
}

/// A Google Workspace group.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GsuiteGroup {
    /// The group's email address, compared without letter case.
    #[serde(deserialize_with = "non_empty")]
    pub email: Box<str>,
    /// The id of the login method that must report it. Default: any login method.
    #[serde(default, deserialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

impl GsuiteGroup {
    /// Creates the value from the group's email address.
    #[must_use]
    pub fn new(email: impl Into<Box<str>>) -> Self {
        Self { email: email.into(), identity_provider_id: None }
    }

    /// Limits the rule to logins with the login method of this id.
    #[must_use]
    pub fn with_identity_provider(mut self, id: impl Into<Box<str>>) -> Self {
        self.identity_provider_id = Some(id.into());
        self
    }
}

/// A group at Okta.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OktaGroup {
    /// The group's name.
    #[serde(deserialize_with = "non_empty")]
    pub name: Box<str>,
    /// The id of the login method that must report it. Default: any login method.
    #[serde(default, deserialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

impl OktaGroup {
    /// Creates the value from the group's name.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self { name: name.into(), identity_provider_id: None }
    }

    /// Limits the rule to logins with the login method of this id.
    #[must_use]
    pub fn with_identity_provider(mut self, id: impl Into<Box<str>>) -> Self {
        self.identity_provider_id = Some(id.into());
        self
    }
}

/// An attribute of a SAML assertion and one of its values.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SamlAttribute {
    /// The attribute's name.
    #[serde(deserialize_with = "non_empty")]
    pub attribute_name: Box<str>,
    /// The whole value.
    #[serde(deserialize_with = "non_empty")]
    pub attribute_value: Box<str>,
    /// The id of the login method that must report it. Default: any login method.
    #[serde(default, deserialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

impl SamlAttribute {
    /// Creates the value from an attribute's name and value.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        Self {
            attribute_name: name.into(),
            attribute_value: value.into(),
            identity_provider_id: None,
        }
    }

    /// Limits the rule to logins with the login method of this id.
    #[must_use]
    pub fn with_identity_provider(mut self, id: impl Into<Box<str>>) -> Self {
        self.identity_provider_id = Some(id.into());
        self
    }
}

/// A claim of an OpenID provider and one of its values.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OidcClaim {
    /// The claim's name; `groups` is compared without letter case.
    #[serde(deserialize_with = "non_empty")]
    pub claim_name: Box<str>,
    /// The whole value.
    #[serde(deserialize_with = "non_empty")]
    pub claim_value: Box<str>,
    /// The id of the login method that must report it. Default: any login method.
    #[serde(default, deserialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

impl OidcClaim {
    /// Creates the value from a claim's name and value.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        Self { claim_name: name.into(), claim_value: value.into(), identity_provider_id: None }
    }

    /// Limits the rule to logins with the login method of this id.
    #[must_use]
    pub fn with_identity_provider(mut self, id: impl Into<Box<str>>) -> Self {
        self.identity_provider_id = Some(id.into());
        self
    }
}

// === values with one part ===

macro_rules! one_part {
    ($($name:ident { $field:ident: $value:ty })*) => {
        $(
            #[derive(Deserialize, Serialize)]
            #[serde(deny_unknown_fields)]
            struct $name {
                $field: $value,
            }
        )*
    };
}

one_part! {
    EmailValue { email: Email }
    EmailDomainValue { domain: EmailDomain }
    IpValue { ip: Network }
    Geo { country_code: Country }
    Id { id: NonEmpty }
    CommonName { common_name: NonEmpty }
    ServiceToken { token_id: NonEmpty }
    LinkedApp { app_uid: NonEmpty }
    AuthMethod { auth_method: NonEmpty }
    DevicePosture { integration_uid: NonEmpty }
    RiskScore { user_risk_score: RiskLevels }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AccountMember {
    #[serde(default, deserialize_with = "optional_text", skip_serializing_if = "Option::is_none")]
    account_id: Option<Box<str>>,
}

#[derive(Serialize)]
struct NonEmpty(Box<str>);

impl<'de> Deserialize<'de> for NonEmpty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        non_empty(deserializer).map(Self)
    }
}

fn non_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<str>, D::Error> {
    let text = Box::<str>::deserialize(deserializer)?;
    if text.is_empty() {
        Err(de::Error::custom("an empty text matches nothing: write a value"))
    } else {
        Ok(text)
    }
}

/// Reads an optional text. Exports write an empty text for an absent one.
fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<str>>, D::Error> {
    Ok(Option::<Box<str>>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}
