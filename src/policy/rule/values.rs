//! Values that are checked when read: evaluators, risk levels, networks.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::identity::RiskLevel;
use crate::util::trusted_url;

use super::RuleError;

/// An external evaluator: a service that decides about a user (section 9.4 of the contract).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Evaluator {
    evaluate_url: Box<str>,
    keys_url: Box<str>,
}

impl Evaluator {
    /// Creates an evaluator from its two URLs: `https`, or `http` only for this machine.
    ///
    /// # Errors
    ///
    /// If one of them is not such a URL, or has a user name, a password or a fragment.
    pub fn new(evaluate_url: &str, keys_url: &str) -> Result<Self, RuleError> {
        Ok(Self {
            evaluate_url: parse_secure_url(evaluate_url)?,
            keys_url: parse_secure_url(keys_url)?,
        })
    }

    /// Returns the URL that requests are sent to.
    #[must_use]
    pub fn evaluate_url(&self) -> &str {
        &self.evaluate_url
    }

    /// Returns the URL of the keys that sign its responses.
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

/// Parses a URL that nobody on the network path can answer in the evaluator's place.
fn parse_secure_url(text: &str) -> Result<Box<str>, RuleError> {
    let url = trusted_url::parse(text).map_err(|_| RuleError::Evaluator)?;
    Ok(String::from(url).into())
}

/// A set of risk levels, never empty.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RiskLevels(u8);

impl RiskLevels {
    /// Creates a set; `None` if `levels` is empty.
    #[must_use]
    pub fn new(levels: &[RiskLevel]) -> Option<Self> {
        let bits = levels.iter().fold(0, |bits, level| bits | Self::bit(*level));
        (bits != 0).then_some(Self(bits))
    }

    /// Returns whether the set has this level.
    #[must_use]
    pub fn contains(self, level: RiskLevel) -> bool {
        self.0 & Self::bit(level) != 0
    }

    /// Returns the levels in order.
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
        Self::new(&levels).ok_or_else(|| {
            de::Error::custom("no risk level, so no user would match: name at least one")
        })
    }
}

/// A network in CIDR form.
pub(in crate::policy) struct Network(pub(in crate::policy) IpNet);

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_network(&text).map(Self).ok_or_else(|| de::Error::custom(RuleError::Network))
    }
}

/// Parses a network or a single address. IPv4-mapped IPv6 becomes IPv4; host bits are dropped.
pub(in crate::policy) fn parse_network(text: &str) -> Option<IpNet> {
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
