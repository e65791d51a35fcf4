//! The values of selectors that have more than one part.

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::identity::RiskLevel;
use crate::util::trusted_url;

use super::RuleError;

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

/// A service that is asked about a person (section 9.4 of the contract).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Evaluator {
    evaluate_url: Box<str>,
    keys_url: Box<str>,
}

impl Evaluator {
    /// A service by its two addresses: `https`, or `http` to this machine alone.
    ///
    /// # Errors
    ///
    /// When one of them is no such address, has a user, a password or a fragment.
    pub fn new(evaluate_url: &str, keys_url: &str) -> Result<Self, RuleError> {
        Ok(Self { evaluate_url: trustworthy(evaluate_url)?, keys_url: trustworthy(keys_url)? })
    }

    /// Where it is asked.
    #[must_use]
    pub fn evaluate_url(&self) -> &str {
        &self.evaluate_url
    }

    /// Where the keys are that its answers are signed with.
    #[must_use]
    pub fn keys_url(&self) -> &str {
        &self.keys_url
    }
}

impl<'de> Deserialize<'de> for Evaluator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Addresses {
            evaluate_url: String,
            keys_url: String,
        }
        let Addresses { evaluate_url, keys_url } = Addresses::deserialize(deserializer)?;
        Self::new(&evaluate_url, &keys_url).map_err(de::Error::custom)
    }
}

/// An address at which nobody on the way can answer in the place of the evaluator.
fn trustworthy(text: &str) -> Result<Box<str>, RuleError> {
    let url = trusted_url::parse(text).map_err(|_| RuleError::Evaluator)?;
    Ok(String::from(url).into())
}

/// Some of the levels of risk, at least one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RiskLevels(u8);

impl RiskLevels {
    /// Takes levels; `None` without any.
    #[must_use]
    pub fn new(levels: &[RiskLevel]) -> Option<Self> {
        let bits = levels.iter().fold(0, |bits, level| bits | Self::bit(*level));
        (bits != 0).then_some(Self(bits))
    }

    /// Whether the level is one of them.
    #[must_use]
    pub fn contains(self, level: RiskLevel) -> bool {
        self.0 & Self::bit(level) != 0
    }

    /// The levels, in order.
    pub fn iter(self) -> impl Iterator<Item = RiskLevel> {
        RiskLevel::ALL.into_iter().filter(move |level| self.contains(*level))
    }

    fn bit(level: RiskLevel) -> u8 {
        match level {
            RiskLevel::Low => 1,
            RiskLevel::Medium => 2,
            RiskLevel::High => 4,
            RiskLevel::Unscored => 8,
        }
    }
}

impl Serialize for RiskLevels {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for RiskLevels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let levels = Vec::<RiskLevel>::deserialize(deserializer)?;
        Self::new(&levels)
            .ok_or_else(|| de::Error::custom("no level: nobody would match; name at least one"))
    }
}

pub(super) fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<str>, D::Error> {
    let text = Box::<str>::deserialize(deserializer)?;
    if text.is_empty() {
        Err(de::Error::custom("an empty text matches nothing: write what is meant"))
    } else {
        Ok(text)
    }
}

/// What may be left out. An empty text is what exports write for nothing.
pub(super) fn maybe<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Box<str>>, D::Error> {
    Ok(Option::<Box<str>>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}
