//! Values that not every text is: evaluators, levels of risk, networks.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::identity::RiskLevel;
use crate::util::trusted_url;

use super::RuleError;

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

/// A network or a single address; IPv4 written as IPv6 becomes IPv4, host bits are dropped.
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
