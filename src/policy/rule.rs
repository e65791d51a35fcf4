//! One rule: a selector and its value, in Cloudflare's JSON.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::identity::{Email, EmailDomain, EmailError};

/// One test inside `include`, `require` or `exclude`.
///
/// In JSON an object with exactly one key, the selector's name (section 9.1 of the contract).
/// Selectors that exist at Cloudflare but not here yet are refused by name, so that no rule is
/// ever silently skipped.
///
/// ```
/// use tower_access::policy::Rule;
///
/// let rule: Rule = serde_json::from_str(r#"{"email_domain": {"domain": "Example.com"}}"#)?;
/// assert_eq!(rule, Rule::email_domain("example.com")?);
///
/// let error = serde_json::from_str::<Rule>(r#"{"geo": {"country_code": "FR"}}"#).unwrap_err();
/// assert!(error.to_string().contains("`geo` is not supported yet"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rule {
    /// `everyone`: always true. An `allow` policy still asks for a login.
    Everyone,
    /// `email`: the person's verified address is this one, letter case aside.
    Email(Email),
    /// `email_domain`: the part behind the `@` is this domain; sub-domains are others.
    EmailDomain(EmailDomain),
    /// `ip`: the client's address lies in this network.
    Ip(IpNet),
    /// `group`: the rule group with this id holds.
    Group(Box<str>),
    /// `service_token`: the service token with this id (or client id) was shown.
    ServiceToken(Box<str>),
    /// `any_valid_service_token`: any service token that is good was shown.
    AnyValidServiceToken,
}

impl Rule {
    /// The rule `everyone`.
    #[must_use]
    pub fn everyone() -> Self {
        Self::Everyone
    }

    /// The rule `email`.
    ///
    /// # Errors
    ///
    /// When the text is no plain email address.
    pub fn email(address: &str) -> Result<Self, RuleError> {
        Ok(Self::Email(address.parse()?))
    }

    /// The rule `email_domain`.
    ///
    /// # Errors
    ///
    /// When the text is no domain.
    pub fn email_domain(domain: &str) -> Result<Self, RuleError> {
        Ok(Self::EmailDomain(domain.parse()?))
    }

    /// The rule `ip`: one address, or a network in CIDR form, IPv4 or IPv6.
    ///
    /// # Errors
    ///
    /// When the text is neither.
    pub fn ip(network: &str) -> Result<Self, RuleError> {
        parse_network(network).map(Self::Ip).ok_or(RuleError::Network)
    }

    /// The rule `group`.
    #[must_use]
    pub fn group(id: impl Into<Box<str>>) -> Self {
        Self::Group(id.into())
    }

    /// The rule `service_token`, by the token's id or client id.
    #[must_use]
    pub fn service_token(id: impl Into<Box<str>>) -> Self {
        Self::ServiceToken(id.into())
    }

    /// The rule `any_valid_service_token`.
    #[must_use]
    pub fn any_valid_service_token() -> Self {
        Self::AnyValidServiceToken
    }

    /// The rule's selector.
    #[must_use]
    pub fn selector(&self) -> Selector {
        match self {
            Self::Everyone => Selector::Everyone,
            Self::Email(_) => Selector::Email,
            Self::EmailDomain(_) => Selector::EmailDomain,
            Self::Ip(_) => Selector::Ip,
            Self::Group(_) => Selector::Group,
            Self::ServiceToken(_) => Selector::ServiceToken,
            Self::AnyValidServiceToken => Selector::AnyValidServiceToken,
        }
    }
}

/// The selectors there are, by their names on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each is documented at the rule of the same name")]
pub enum Selector {
    Everyone,
    Email,
    EmailDomain,
    Ip,
    Group,
    ServiceToken,
    AnyValidServiceToken,
}

impl Selector {
    const ALL: [Self; 7] = [
        Self::Everyone,
        Self::Email,
        Self::EmailDomain,
        Self::Ip,
        Self::Group,
        Self::ServiceToken,
        Self::AnyValidServiceToken,
    ];

    /// The selector's key in JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Everyone => "everyone",
            Self::Email => "email",
            Self::EmailDomain => "email_domain",
            Self::Ip => "ip",
            Self::Group => "group",
            Self::ServiceToken => "service_token",
            Self::AnyValidServiceToken => "any_valid_service_token",
        }
    }

    /// Whether the rule is about who logged in. (A group is what its members are.)
    #[must_use]
    pub fn is_about_identity(self) -> bool {
        match self {
            Self::Email | Self::EmailDomain => true,
            Self::Everyone
            | Self::Ip
            | Self::Group
            | Self::ServiceToken
            | Self::AnyValidServiceToken => false,
        }
    }

    fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|selector| selector.key() == key)
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        let key = self.selector().key();
        match self {
            Self::Everyone | Self::AnyValidServiceToken => map.serialize_entry(key, &Nothing {})?,
            Self::Email(email) => map.serialize_entry(key, &EmailValue { email: email.clone() })?,
            Self::EmailDomain(domain) => {
                map.serialize_entry(key, &EmailDomainValue { domain: domain.clone() })?;
            }
            Self::Ip(network) => map.serialize_entry(key, &IpValue { ip: Network(*network) })?,
            Self::Group(id) => map.serialize_entry(key, &GroupValue { id: id.clone() })?,
            Self::ServiceToken(id) => {
                map.serialize_entry(key, &ServiceTokenValue { token_id: id.clone() })?;
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
        let Some(selector) = map.next_key::<SelectorKey>()? else {
            return Err(de::Error::custom(
                "an empty rule: name one selector, such as `everyone: {}`",
            ));
        };
        let rule = match selector.0 {
            Selector::Everyone => map.next_value::<Nothing>().map(|_| Rule::Everyone)?,
            Selector::Email => Rule::Email(map.next_value::<EmailValue>()?.email),
            Selector::EmailDomain => {
                Rule::EmailDomain(map.next_value::<EmailDomainValue>()?.domain)
            }
            Selector::Ip => Rule::Ip(map.next_value::<IpValue>()?.ip.0),
            Selector::Group => Rule::Group(map.next_value::<GroupValue>()?.id),
            Selector::ServiceToken => {
                Rule::ServiceToken(map.next_value::<ServiceTokenValue>()?.token_id)
            }
            Selector::AnyValidServiceToken => {
                map.next_value::<Nothing>().map(|_| Rule::AnyValidServiceToken)?
            }
        };
        match map.next_key::<SelectorKey>()? {
            None => Ok(rule),
            Some(_) => {
                Err(de::Error::custom("a rule has one selector: write one list entry for each"))
            }
        }
    }
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
                let known = || Selector::ALL.map(Selector::key).join("`, `");
                if let Some(selector) = Selector::from_key(key) {
                    Ok(SelectorKey(selector))
                } else if NOT_YET.contains(&key) {
                    Err(E::custom(format_args!(
                        "the selector `{key}` is not supported yet; supported are `{}`",
                        known()
                    )))
                } else {
                    Err(E::custom(format_args!(
                        "`{}` is no selector; there are `{}`",
                        key.chars().take(40).collect::<String>().escape_default(),
                        known()
                    )))
                }
            }
        }
        deserializer.deserialize_identifier(Key)
    }
}

/// Selectors of the contract that cannot be evaluated here.
const NOT_YET: [&str; 19] = [
    "email_list",
    "ip_list",
    "geo",
    "certificate",
    "common_name",
    "linked_app_token",
    "login_method",
    "auth_method",
    "auth_context",
    "azureAD",
    "github-organization",
    "gsuite",
    "okta",
    "saml",
    "oidc",
    "device_posture",
    "external_evaluation",
    "user_risk_score",
    "cloudflare_account_member",
];

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct EmailValue {
    email: Email,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct EmailDomainValue {
    domain: EmailDomain,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct IpValue {
    ip: Network,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct GroupValue {
    #[serde(deserialize_with = "not_empty")]
    id: Box<str>,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct ServiceTokenValue {
    #[serde(deserialize_with = "not_empty")]
    token_id: Box<str>,
}

struct Network(IpNet);

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_network(&text).map(Self).ok_or_else(|| de::Error::custom(RuleError::Network))
    }
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<str>, D::Error> {
    let text = Box::<str>::deserialize(deserializer)?;
    if text.is_empty() { Err(de::Error::custom("an empty id matches nothing")) } else { Ok(text) }
}

/// A network or a single address; IPv4 written as IPv6 becomes IPv4, host bits are dropped.
fn parse_network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical().into());
    }
    let network = text.parse::<IpNet>().ok()?.trunc();
    match (network.addr().to_canonical(), network) {
        (IpAddr::V4(address), IpNet::V6(mapped)) => {
            let prefix = mapped.prefix_len().checked_sub(96)?;
            IpNet::new(IpAddr::V4(address), prefix).ok().map(|network| network.trunc())
        }
        _ => Some(network),
    }
}

/// A value that a selector cannot have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// No email address or domain.
    #[error(transparent)]
    Email(#[from] EmailError),
    /// No address or network.
    #[error("no network: write `203.0.113.0/24`, `2001:db8::/32` or a single address")]
    Network,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        serde_json::from_str::<Rule>(json).unwrap_err().to_string()
    }

    #[test]
    fn rules_read_and_write_cloudflares_json() {
        for json in [
            r#"{"everyone":{}}"#,
            r#"{"email":{"email":"ada@example.com"}}"#,
            r#"{"email_domain":{"domain":"example.com"}}"#,
            r#"{"ip":{"ip":"203.0.113.0/24"}}"#,
            r#"{"group":{"id":"6f0e"}}"#,
            r#"{"service_token":{"token_id":"3c2b"}}"#,
            r#"{"any_valid_service_token":{}}"#,
        ] {
            let rule: Rule = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&rule).unwrap(), json);
        }
    }

    #[test]
    fn pol_09_what_is_not_a_rule_is_refused_by_name() {
        assert!(refusal(r#"{"emial":{"email":"a@b.example"}}"#).contains("`emial` is no selector"));
        assert!(refusal(r#"{"email":{"address":"a@b.example"}}"#).contains("address"));
        assert!(refusal(r#"{"email":{"email":7}}"#).contains("integer"));
        assert!(refusal(r#"{"email":{"email":""}}"#).contains("no plain email"));
        assert!(refusal(r#"{"ip":{"ip":"300.1.2.3"}}"#).contains("no network"));
        assert!(
            refusal(r#"{"everyone":{},"email":{"email":"a@b.example"}}"#).contains("one selector")
        );
        for selector in NOT_YET {
            assert!(refusal(&format!(r#"{{"{selector}":{{}}}}"#)).contains("not supported yet"));
        }
    }

    #[test]
    fn pol_03_empty_rules_and_ids_are_refused() {
        assert!(refusal("{}").contains("empty rule"));
        assert!(refusal(r#"{"group":{"id":""}}"#).contains("empty id"));
        assert!(refusal(r#"{"service_token":{"token_id":""}}"#).contains("empty id"));
    }

    #[test]
    fn ip_05_mapped_networks_are_their_ipv4_selves() {
        let rule = |text| Rule::ip(text).unwrap();
        assert_eq!(rule("::ffff:192.0.2.0/120"), rule("192.0.2.0/24"));
        assert_eq!(rule("::ffff:192.0.2.7"), rule("192.0.2.7/32"));
        assert_eq!(rule("192.0.2.7/24"), rule("192.0.2.0/24"));
    }
}
