//! Facts about a request.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::address::Country;
use crate::audit::Disclosed;
use crate::identity::{Attributes, Email};

use super::rule::Evaluator;

/// What is known about a request when policies are evaluated.
///
/// A missing fact never grants access: a rule that needs it counts as not met if meeting it would
/// grant access, and as met if meeting it would refuse access.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The verified email address of the user; `None` before the login, or if it is not known (see
    /// [`is_logged_in`](Self::is_logged_in)).
    pub email: Option<&'a Email>,
    /// Whether a user has logged in whose email address is not known. Rules about email addresses then
    /// lack a fact; rules about other facts decide. An `email` implies it.
    pub is_logged_in: bool,
    /// Other attributes of the user; `None` if nothing else is known.
    pub attributes: Option<&'a Attributes>,
    /// The client's IP address; `None` if unknown.
    pub address: Option<IpAddr>,
    /// The country of that address; `None` if unknown.
    pub country: Option<Country>,
    /// The client certificate.
    pub certificate: Certificate<'a>,
    /// The valid service token of the request.
    pub service_token: Option<ServiceTokenFacts<'a>>,
    /// The other application that the request has a valid token of.
    pub linked_application: Option<LinkedApplicationFacts<'a>>,
    /// The latest results of device posture checks, by check id; `None` if unknown. A device without
    /// results has passed no check.
    pub device_posture: Option<&'a DevicePosture>,
    /// Results of external evaluators for this user; `None` if they have not been asked.
    pub evaluations: Option<&'a EvaluatorResults>,
}

impl Facts<'_> {
    /// Returns whether a user has logged in, with a known email address or without.
    pub(crate) fn has_user(&self) -> bool {
        self.email.is_some() || self.is_logged_in
    }
}

/// A service token as rules name it: by any of these.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ServiceTokenFacts<'a> {
    /// The token's id.
    pub id: &'a str,
    /// The token's client id.
    pub client_id: &'a str,
    /// The token's name, if unique: that of a token in the store.
    pub name: Option<&'a str>,
}

impl<'a> ServiceTokenFacts<'a> {
    /// Creates the facts of a token without a unique name.
    #[must_use]
    pub fn new(id: &'a str, client_id: &'a str) -> Self {
        Self { id, client_id, name: None }
    }

    /// Sets the name, which no other token has.
    #[must_use]
    pub fn with_name(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }

    /// Returns whether `is_named` accepts one of the token's names.
    pub(super) fn is_any(&self, is_named: impl Fn(&str) -> bool) -> bool {
        is_named(self.id) || is_named(self.client_id) || self.name.is_some_and(is_named)
    }
}

/// Another application as rules name it: by either of these.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LinkedApplicationFacts<'a> {
    /// The application's id.
    pub id: &'a str,
    /// The application's name.
    pub name: &'a str,
}

impl<'a> LinkedApplicationFacts<'a> {
    /// Creates the facts of an application.
    #[must_use]
    pub fn new(id: &'a str, name: &'a str) -> Self {
        Self { id, name }
    }
}

/// The certificate that a client presented in the TLS handshake.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Certificate<'a> {
    /// Unknown: TLS was terminated elsewhere.
    #[default]
    Unknown,
    /// The client presented no valid certificate.
    Missing,
    /// Valid: not expired, and issued by an authority that is trusted for this host.
    Good {
        /// The common name of its subject, if it has one.
        common_name: Option<&'a str>,
    },
}

/// Results of device posture checks, by check id: whether each was passed.
pub type DevicePosture = BTreeMap<Box<str>, bool>;

/// Results of external evaluators for one user.
#[derive(Clone, Debug, Default)]
pub struct EvaluatorResults(Vec<(Evaluator, bool)>);

impl EvaluatorResults {
    /// Returns the result of an evaluator; `None` if it was not asked.
    #[must_use]
    pub fn get(&self, evaluator: &Evaluator) -> Option<bool> {
        self.0.iter().find(|(known, _)| known == evaluator).map(|(_, success)| *success)
    }
}

impl FromIterator<(Evaluator, bool)> for EvaluatorResults {
    fn from_iter<I: IntoIterator<Item = (Evaluator, bool)>>(results: I) -> Self {
        Self(results.into_iter().collect())
    }
}

/// The kinds of facts that may be missing.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fact {
    /// The user.
    Person,
    /// The user's email address.
    Email,
    /// The client's IP address.
    Address,
    /// The country of that address.
    Country,
    /// The client's certificate.
    Certificate,
    /// The login method.
    LoginMethod,
    /// The authentication methods (`amr`) of the login.
    AuthenticationMethods,
    /// The authentication contexts of the login.
    AuthenticationContexts,
    /// The user's groups at the identity provider.
    ProviderGroups,
    /// The user's GitHub organizations and teams.
    Organizations,
    /// A claim of the identity provider.
    OidcClaims,
    /// An attribute of the identity provider.
    SamlAttributes,
    /// The user's Cloudflare accounts.
    Accounts,
    /// The user's risk level.
    RiskScore,
    /// Results of device posture checks.
    DevicePosture,
    /// The result of an external evaluator.
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

    /// Returns the fact's name in JSON, logs and metrics.
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

    /// Returns whether the fact is about the user.
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

    /// Returns whether only the login method reports the fact.
    pub(crate) fn is_set_by_login(self) -> bool {
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
            Self::Person => "the user",
            Self::Email => "the user's email address",
            Self::Address => "the client's address",
            Self::Country => "the country of the client's address",
            Self::Certificate => "the client's certificate",
            Self::LoginMethod => "the login method",
            Self::AuthenticationMethods => "the authentication methods (`amr`) of the login",
            Self::AuthenticationContexts => "the authentication contexts of the login",
            Self::ProviderGroups => "the user's groups at the identity provider",
            Self::Organizations => "the user's GitHub organizations",
            Self::OidcClaims => "a claim of the identity provider",
            Self::SamlAttributes => "an attribute of the identity provider",
            Self::Accounts => "the user's Cloudflare accounts",
            Self::RiskScore => "the user's risk level",
            Self::DevicePosture => "results of device posture checks",
            Self::ExternalEvaluation => "the result of an external evaluator",
        })
    }
}

/// A set of kinds of facts.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct FactSet(u16);

impl FactSet {
    /// The empty set.
    pub const EMPTY: Self = Self(0);

    /// Returns whether the set has this kind.
    #[must_use]
    pub fn contains(self, fact: Fact) -> bool {
        self.0 & fact.bit() != 0
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the kinds in order.
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

/// Formats the names, separated by commas.
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
