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
                map.serialize_entry(key, &Id { id: NotEmpty(id.clone()) })?
            }
            Self::CommonName(name) => {
                map.serialize_entry(key, &CommonName { common_name: NotEmpty(name.clone()) })?;
            }
            Self::ServiceToken(id) => {
                map.serialize_entry(key, &ServiceToken { token_id: NotEmpty(id.clone()) })?;
            }
            Self::LinkedAppToken(id) => {
                map.serialize_entry(key, &LinkedApp { app_uid: NotEmpty(id.clone()) })?;
            }
            Self::AuthMethod(method) => {
                map.serialize_entry(key, &AuthMethod { auth_method: NotEmpty(method.clone()) })?;
            }
            Self::AuthContext(context) => map.serialize_entry(key, context)?,
            Self::AzureGroup(group) => map.serialize_entry(key, group)?,
            Self::GithubOrganization(organization) => map.serialize_entry(key, organization)?,
            Self::GsuiteGroup(group) => map.serialize_entry(key, group)?,
            Self::OktaGroup(group) => map.serialize_entry(key, group)?,
            Self::Saml(attribute) => map.serialize_entry(key, attribute)?,
            Self::Oidc(claim) => map.serialize_entry(key, claim)?,
            Self::DevicePosture(id) => {
                map.serialize_entry(key, &DevicePosture { integration_uid: NotEmpty(id.clone()) })?;
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
            Some(_) => {
                Err(de::Error::custom("a rule has one selector: write one list entry for each"))
            }
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

/// A selector's key; the refusal of any other names it.
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
                        None => format!("there are `{}`", known.join("`, `")),
                    };
                    E::custom(format_args!("`{}` is no selector; {hint}", shown.escape_default()))
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
pub struct AzureGroup {
    /// The group's object id.
    #[serde(deserialize_with = "not_empty")]
    pub id: Box<str>,
    /// The login method that has to say so; any when left out.
    #[serde(default, deserialize_with = "maybe", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

/// An authentication context of Microsoft Entra ID.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthContext {
    /// The id Cloudflare gave the context. It takes no part in the comparison.
    #[serde(default, deserialize_with = "maybe", skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    /// The context, such as `c1`.
    #[serde(deserialize_with = "not_empty")]
    pub ac_id: Box<str>,
    /// The login method that has to say so; any when left out.
    #[serde(default, deserialize_with = "maybe", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

/// An organization at GitHub, or a team in it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GithubOrganization {
    /// The organization's name; letter case makes no difference, as at GitHub.
    #[serde(deserialize_with = "not_empty")]
    pub name: Box<str>,
    /// The team; every member of the organization when left out.
    #[serde(default, deserialize_with = "maybe", skip_serializing_if = "Option::is_none")]
    pub team: Option<Box<str>>,
    /// The login method that has to say so; any when left out.
    #[serde(default, deserialize_with = "maybe", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

/// A Google Workspace group.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GsuiteGroup {
    /// The group's address; letter case makes no difference.
    #[serde(deserialize_with = "not_empty")]
    pub email: Box<str>,
    /// The login method that has to say so; any when left out.
    #[serde(default, deserialize_with = "maybe", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

/// A group at Okta.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OktaGroup {
    /// The group's name.
    #[serde(deserialize_with = "not_empty")]
    pub name: Box<str>,
    /// The login method that has to say so; any when left out.
    #[serde(default, deserialize_with = "maybe", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

/// An attribute of a SAML assertion and one of its values.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SamlAttribute {
    /// The attribute's name.
    #[serde(deserialize_with = "not_empty")]
    pub attribute_name: Box<str>,
    /// The whole value.
    #[serde(deserialize_with = "not_empty")]
    pub attribute_value: Box<str>,
    /// The login method that has to say so; any when left out.
    #[serde(default, deserialize_with = "maybe", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
}

/// A claim of an OpenID provider and one of its values.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OidcClaim {
    /// The claim's name; `groups` is compared without case.
    #[serde(deserialize_with = "not_empty")]
    pub claim_name: Box<str>,
    /// The whole value.
    #[serde(deserialize_with = "not_empty")]
    pub claim_value: Box<str>,
    /// The login method that has to say so; any when left out.
    #[serde(default, deserialize_with = "maybe", skip_serializing_if = "Option::is_none")]
    pub identity_provider_id: Option<Box<str>>,
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
    Id { id: NotEmpty }
    CommonName { common_name: NotEmpty }
    ServiceToken { token_id: NotEmpty }
    LinkedApp { app_uid: NotEmpty }
    AuthMethod { auth_method: NotEmpty }
    DevicePosture { integration_uid: NotEmpty }
    RiskScore { user_risk_score: RiskLevels }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct AccountMember {
    #[serde(default, deserialize_with = "maybe", skip_serializing_if = "Option::is_none")]
    account_id: Option<Box<str>>,
}

#[derive(Serialize)]
struct NotEmpty(Box<str>);

impl<'de> Deserialize<'de> for NotEmpty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        not_empty(deserializer).map(Self)
    }
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<str>, D::Error> {
    let text = Box::<str>::deserialize(deserializer)?;
    if text.is_empty() {
        Err(de::Error::custom("an empty text matches nothing: write what is meant"))
    } else {
        Ok(text)
    }
}

/// What may be left out. An empty text is what exports write for nothing.
fn maybe<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<str>>, D::Error> {
    Ok(Option::<Box<str>>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}
