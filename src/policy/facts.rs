//! What is known about a request when it is judged.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::address::Country;
use crate::audit::Disclosed;
use crate::identity::{Attributes, Email};

use super::rule::Evaluator;

/// What is known about a request when it is judged.
///
/// A fact that is missing opens nothing: a rule that asks for it is not met where meeting it would
/// let somebody in, and met where meeting it would keep somebody out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The verified address of the person who has logged in; `None` before a login, and where
    /// [`is_logged_in`](Self::is_logged_in) says so.
    pub email: Option<&'a Email>,
    /// Whether a person has logged in whose address is not known: rules about addresses miss a fact
    /// then, and rules about other facts decide. An `email` implies it.
    pub is_logged_in: bool,
    /// What else is known of this person; `None`: nothing.
    pub attributes: Option<&'a Attributes>,
    /// The client's address; `None` when it is unknown.
    pub address: Option<IpAddr>,
    /// The country of that address; `None` when it is unknown.
    pub country: Option<Country>,
    /// The certificate the client showed.
    pub certificate: Certificate<'a>,
    /// A service token that was shown and is good.
    pub service_token: Option<ServiceTokenFacts<'a>>,
    /// Another application whose token was brought, and is good.
    pub linked_application: Option<LinkedApplicationFacts<'a>>,
    /// The latest results of checks of the client's device, by the ids of the checks; `None` when
    /// nobody can tell. A device without results has passed none.
    pub device_posture: Option<&'a DevicePosture>,
    /// What services of yours say about this person; `None`: they have not been asked.
    pub evaluations: Option<&'a Answers>,
}

impl Facts<'_> {
    /// Whether a person has logged in, with a known address or without.
    pub(crate) fn has_person(&self) -> bool {
        self.email.is_some() || self.is_logged_in
    }
}

/// A service token as policies see it: rules may name it by any of these.
#[derive(Clone, Copy, Debug)]
pub struct ServiceTokenFacts<'a> {
    /// The token's id.
    pub id: &'a str,
    /// The token's client id.
    pub client_id: &'a str,
    /// The token's name, where no other token may have it: tokens that the store defines.
    pub name: Option<&'a str>,
}

impl ServiceTokenFacts<'_> {
    /// Whether a rule may mean this token by one of the names it asks about.
    pub(super) fn is_any(&self, is_named: impl Fn(&str) -> bool) -> bool {
        is_named(self.id) || is_named(self.client_id) || self.name.is_some_and(is_named)
    }
}

/// Another application as policies see it: rules may name it by either.
#[derive(Clone, Copy, Debug)]
pub struct LinkedApplicationFacts<'a> {
    /// The application's id.
    pub id: &'a str,
    /// The application's name.
    pub name: &'a str,
}

/// The certificate a client showed during the TLS handshake.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Certificate<'a> {
    /// Nobody can tell: TLS ended somewhere else.
    #[default]
    Unknown,
    /// None, or none that is good.
    Missing,
    /// A good one: in date, and from an authority that counts for this host.
    Good {
        /// The common name of its subject, if it has one.
        common_name: Option<&'a str>,
    },
}

/// Results of checks of a device: whether each one was passed.
pub type DevicePosture = BTreeMap<Box<str>, bool>;

/// Answers of services of yours about one person.
#[derive(Clone, Debug, Default)]
pub struct Answers(Vec<(Evaluator, bool)>);

impl Answers {
    /// What a service said; `None` when it was not asked.
    #[must_use]
    pub fn of(&self, evaluator: &Evaluator) -> Option<bool> {
        self.0.iter().find(|(known, _)| known == evaluator).map(|(_, success)| *success)
    }
}

impl FromIterator<(Evaluator, bool)> for Answers {
    fn from_iter<I: IntoIterator<Item = (Evaluator, bool)>>(answers: I) -> Self {
        Self(answers.into_iter().collect())
    }
}

/// The kinds of facts that may be missing.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fact {
    /// Who logged in.
    Person,
    /// The address of the person who logged in.
    Email,
    /// The client's address.
    Address,
    /// The country of that address.
    Country,
    /// The client's certificate.
    Certificate,
    /// How the person logged in.
    LoginMethod,
    /// How the person proved who it is: the authentication methods (`amr`) of the login.
    AuthenticationMethods,
    /// The authentication contexts of the login.
    AuthenticationContexts,
    /// The person's groups at the identity provider.
    ProviderGroups,
    /// The person's GitHub organizations and teams.
    Organizations,
    /// A claim of the identity provider.
    OidcClaims,
    /// An attribute of the identity provider.
    SamlAttributes,
    /// The person's Cloudflare accounts.
    Accounts,
    /// The person's level of risk.
    RiskScore,
    /// Results of checks of the device.
    DevicePosture,
    /// What a service of yours says.
    ExternalEvaluation,
}

impl Fact {
    pub(crate) const ALL: [Self; 16] = [
        Self::Person,
        Self::Email,
        Self::Address,
        Self::Country,
        Self::Certificate,
        Self::LoginMethod,
        Self::AuthenticationMethods,
        Self::AuthenticationContexts,
        Self::ProviderGroups,
        Self::Organizations,
        Self::OidcClaims,
        Self::SamlAttributes,
        Self::Accounts,
        Self::RiskScore,
        Self::DevicePosture,
        Self::ExternalEvaluation,
    ];

    /// The fact's name in JSON, logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Email => "email",
            Self::Address => "address",
            Self::Country => "country",
            Self::Certificate => "certificate",
            Self::LoginMethod => "login_method",
            Self::AuthenticationMethods => "authentication_methods",
            Self::AuthenticationContexts => "authentication_contexts",
            Self::ProviderGroups => "provider_groups",
            Self::Organizations => "organizations",
            Self::OidcClaims => "oidc_claims",
            Self::SamlAttributes => "saml_attributes",
            Self::Accounts => "accounts",
            Self::RiskScore => "risk_score",
            Self::DevicePosture => "device_posture",
            Self::ExternalEvaluation => "external_evaluation",
        }
    }

    /// Returns whether the fact is about the person who logged in.
    pub(super) fn is_about_person(self) -> bool {
        match self {
            Self::Address | Self::Country | Self::Certificate | Self::DevicePosture => false,
            Self::Person
            | Self::Email
            | Self::LoginMethod
            | Self::AuthenticationMethods
            | Self::AuthenticationContexts
            | Self::ProviderGroups
            | Self::Organizations
            | Self::OidcClaims
            | Self::SamlAttributes
            | Self::Accounts
            | Self::RiskScore
            | Self::ExternalEvaluation => true,
        }
    }

    /// Returns whether the login method tells the fact, and nobody else.
    pub(crate) fn comes_with_login(self) -> bool {
        match self {
            Self::LoginMethod
            | Self::AuthenticationMethods
            | Self::AuthenticationContexts
            | Self::ProviderGroups
            | Self::Organizations
            | Self::OidcClaims
            | Self::SamlAttributes
            | Self::Accounts => true,
            Self::Person
            | Self::Email
            | Self::Address
            | Self::Country
            | Self::Certificate
            | Self::RiskScore
            | Self::DevicePosture
            | Self::ExternalEvaluation => false,
        }
    }

    fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Person => "who logged in",
            Self::Email => "the address of the person",
            Self::Address => "the client's address",
            Self::Country => "the country of the client's address",
            Self::Certificate => "the client's certificate",
            Self::LoginMethod => "the login method",
            Self::AuthenticationMethods => "the authentication methods (`amr`) of the login",
            Self::AuthenticationContexts => "the authentication contexts of the login",
            Self::ProviderGroups => "the person's groups at the identity provider",
            Self::Organizations => "the person's GitHub organizations",
            Self::OidcClaims => "a claim of the identity provider",
            Self::SamlAttributes => "an attribute of the identity provider",
            Self::Accounts => "the person's Cloudflare accounts",
            Self::RiskScore => "the person's level of risk",
            Self::DevicePosture => "results of checks of the device",
            Self::ExternalEvaluation => "the answer of an external evaluator",
        })
    }
}

/// Some kinds of facts.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct FactSet(u16);

impl FactSet {
    /// No facts.
    pub const EMPTY: Self = Self(0);

    /// Whether a kind is among them.
    #[must_use]
    pub fn contains(self, fact: Fact) -> bool {
        self.0 & fact.bit() != 0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds, in order.
    pub fn iter(self) -> impl Iterator<Item = Fact> {
        Fact::ALL.into_iter().filter(move |fact| self.contains(*fact))
    }

    pub(super) fn with(self, fact: Fact) -> Self {
        Self(self.0 | fact.bit())
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The names, separated by commas.
impl fmt::Display for FactSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(index, fact)| {
            f.write_str(if index == 0 { "" } else { "," })?;
            f.write_str(fact.as_str())
        })
    }
}

impl Disclosed for FactSet {}

impl fmt::Debug for FactSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for FactSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::{Fact, FactSet};

    #[test]
    fn a_set_is_displayed_as_its_names() {
        let set = FactSet::EMPTY.with(Fact::RiskScore).with(Fact::Country);
        assert_eq!(set.to_string(), "country,risk_score");
        assert_eq!(FactSet::EMPTY.to_string(), "");
    }
}
