//! Rules that compare one fact with one value, as sets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use crate::address::Country;
use crate::policy::facts::{Fact, FactSet};
use crate::policy::rule::{Evaluator, RiskLevels, Rule};

use super::networks::Networks;

/// Rules of which one has to hold, each of which compares one fact with one value.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Sets {
    pub(in crate::policy) everyone: bool,
    pub(in crate::policy) emails: Texts,
    pub(in crate::policy) email_domains: Texts,
    pub(in crate::policy) networks: Networks,
    /// Sorted.
    pub(in crate::policy) countries: Box<[Country]>,
    pub(in crate::policy) others: Box<[(Attribute, Texts)]>,
    len: usize,
}

/// Texts to compare with. Sets are made of configuration alone, and strangers only look things up
/// in them: a quick hash without a secret will do. A text in many sets is kept once.
pub(in crate::policy) type Texts = HashSet<Arc<str>, FixedState>;

/// What a rule asks for, apart from the value it is compared with.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in crate::policy) enum Attribute {
    /// Any; there is no value.
    Certificate,
    CommonName,
    /// Any; there is no value.
    AnyServiceToken,
    ServiceToken,
    LinkedApplication,
    LoginMethod,
    AuthenticationMethod,
    AuthenticationContext(OfProvider),
    AzureGroup(OfProvider),
    GsuiteGroup(OfProvider),
    OktaGroup(OfProvider),
    /// Any team; the values are organizations in lower case.
    Organization(OfProvider),
    /// In this organization; the values are teams in lower case.
    Team(Box<str>, OfProvider),
    Saml(Box<str>, OfProvider),
    Oidc(Box<str>, OfProvider),
    DevicePosture,
    Risk(RiskLevels),
    /// Any; there is no value.
    AnyAccount,
    Account,
    /// There is no value.
    Evaluation(Box<Evaluator>),
}

/// The login method a rule names; `None`: any.
pub(in crate::policy) type OfProvider = Option<Box<str>>;

impl Sets {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing but addresses and networks is asked for.
    pub(super) fn is_plain(&self) -> bool {
        !self.everyone && self.countries.is_empty() && self.others.is_empty()
    }

    /// The kinds of facts that are asked for.
    pub(super) fn facts(&self) -> FactSet {
        let person = !self.emails.is_empty() || !self.email_domains.is_empty();
        let mut facts = FactSet::EMPTY;
        for (is_asked, fact) in [
            (person, Fact::Person),
            (person, Fact::Email),
            (!self.networks.is_empty(), Fact::Address),
            (!self.countries.is_empty(), Fact::Country),
        ] {
            if is_asked {
                facts = facts.with(fact);
            }
        }
        self.others.iter().fold(facts, |facts, (attribute, _)| facts.union(attribute.facts()))
    }
}

impl Attribute {
    /// The kinds of facts it takes; none for what is always known.
    fn facts(&self) -> FactSet {
        let (fact, needs_login_method) = match self {
            Self::AnyServiceToken | Self::ServiceToken | Self::LinkedApplication => {
                return FactSet::EMPTY;
            }
            Self::Certificate | Self::CommonName => (Fact::Certificate, false),
            Self::LoginMethod => (Fact::LoginMethod, false),
            Self::AuthenticationMethod => (Fact::AuthenticationMethods, false),
            Self::AuthenticationContext(of) => (Fact::AuthenticationContexts, of.is_some()),
            Self::AzureGroup(of) | Self::GsuiteGroup(of) | Self::OktaGroup(of) => {
                (Fact::ProviderGroups, of.is_some())
            }
            Self::Organization(of) | Self::Team(_, of) => (Fact::Organizations, of.is_some()),
            Self::Saml(_, of) => (Fact::SamlAttributes, of.is_some()),
            Self::Oidc(_, of) => (Fact::OidcClaims, of.is_some()),
            Self::DevicePosture => (Fact::DevicePosture, false),
            Self::Risk(_) => (Fact::RiskScore, false),
            Self::AnyAccount | Self::Account => (Fact::Accounts, true),
            Self::Evaluation(_) => (Fact::ExternalEvaluation, false),
        };
        let facts = FactSet::EMPTY.with(fact);
        if needs_login_method { facts.with(Fact::LoginMethod) } else { facts }
    }
}

/// Collects rules.
#[derive(Debug, Default)]
pub(super) struct Collector {
    everyone: bool,
    emails: Texts,
    email_domains: Texts,
    networks: Vec<IpNet>,
    countries: Vec<Country>,
    others: HashMap<Attribute, Texts, FixedState>,
}

impl Collector {
    pub(super) fn email(&mut self, email: &str) {
        self.emails.insert(email.into());
    }

    pub(super) fn networks(&mut self, networks: impl IntoIterator<Item = IpNet>) {
        self.networks.extend(networks);
    }

    /// Takes a rule; `false` for one that refers to something else.
    pub(super) fn rule(&mut self, rule: &Rule) -> bool {
        let (attribute, value) = match rule {
            Rule::EmailList(_) | Rule::IpList(_) | Rule::Group(_) => return false,
            Rule::Everyone => {
                self.everyone = true;
                return true;
            }
            Rule::Email(email) => {
                self.email(email.as_str());
                return true;
            }
            Rule::EmailDomain(domain) => {
                self.email_domains.insert(domain.as_str().into());
                return true;
            }
            Rule::Ip(network) => {
                self.networks.push(*network);
                return true;
            }
            Rule::Geo(country) => {
                self.countries.push(*country);
                return true;
            }
            Rule::Certificate => (Attribute::Certificate, None),
            Rule::CommonName(name) => (Attribute::CommonName, Some(name.clone())),
            Rule::ServiceToken(id) => (Attribute::ServiceToken, Some(id.clone())),
            Rule::AnyValidServiceToken => (Attribute::AnyServiceToken, None),
            Rule::LinkedAppToken(id) => (Attribute::LinkedApplication, Some(id.clone())),
            Rule::LoginMethod(id) => (Attribute::LoginMethod, Some(id.clone())),
            Rule::AuthMethod(method) => (Attribute::AuthenticationMethod, Some(method.clone())),
            Rule::AuthContext(context) => (
                Attribute::AuthenticationContext(context.identity_provider_id.clone()),
                Some(context.ac_id.clone()),
            ),
            Rule::AzureGroup(group) => {
                (Attribute::AzureGroup(group.identity_provider_id.clone()), Some(group.id.clone()))
            }
            Rule::GithubOrganization(organization) => {
                let provider = organization.identity_provider_id.clone();
                let name: Box<str> = organization.name.to_lowercase().into();
                match &organization.team {
                    None => (Attribute::Organization(provider), Some(name)),
                    Some(team) => {
                        (Attribute::Team(name, provider), Some(team.to_lowercase().into()))
                    }
                }
            }
            Rule::GsuiteGroup(group) => (
                Attribute::GsuiteGroup(group.identity_provider_id.clone()),
                Some(group.email.to_lowercase().into()),
            ),
            Rule::OktaGroup(group) => {
                (Attribute::OktaGroup(group.identity_provider_id.clone()), Some(group.name.clone()))
            }
            Rule::Saml(saml) => (
                Attribute::Saml(saml.attribute_name.clone(), saml.identity_provider_id.clone()),
                Some(saml.attribute_value.clone()),
            ),
            Rule::Oidc(oidc) => (
                Attribute::Oidc(oidc.claim_name.clone(), oidc.identity_provider_id.clone()),
                Some(oidc.claim_value.clone()),
            ),
            Rule::DevicePosture(check) => (Attribute::DevicePosture, Some(check.clone())),
            Rule::ExternalEvaluation(evaluator) => (Attribute::Evaluation(evaluator.clone()), None),
            Rule::UserRiskScore(levels) => (Attribute::Risk(*levels), None),
            Rule::CloudflareAccountMember(None) => (Attribute::AnyAccount, None),
            Rule::CloudflareAccountMember(Some(id)) => (Attribute::Account, Some(id.clone())),
        };
        self.other(attribute, value);
        true
    }

    /// Takes all of a set.
    pub(super) fn set(&mut self, set: &Sets) {
        self.everyone |= set.everyone;
        self.emails.extend(set.emails.iter().cloned());
        self.email_domains.extend(set.email_domains.iter().cloned());
        self.networks.extend(set.networks.networks());
        self.countries.extend(set.countries.iter().copied());
        for (attribute, values) in &set.others {
            self.other(attribute.clone(), values.iter().cloned());
        }
    }

    fn other<T: Into<Arc<str>>>(
        &mut self,
        attribute: Attribute,
        values: impl IntoIterator<Item = T>,
    ) {
        self.others.entry(attribute).or_default().extend(values.into_iter().map(Into::into));
    }

    /// The sets, if there is anything in them.
    pub(super) fn finish(mut self) -> Option<Arc<Sets>> {
        self.countries.sort_unstable();
        self.countries.dedup();
        self.emails.shrink_to_fit();
        self.email_domains.shrink_to_fit();
        self.others.values_mut().for_each(Texts::shrink_to_fit);
        let networks = Networks::new(&self.networks);
        let len = usize::from(self.everyone)
            + self.emails.len()
            + self.email_domains.len()
            + networks.len()
            + self.countries.len()
            + self.others.values().map(|values| values.len().max(1)).sum::<usize>();
        (len > 0).then(|| {
            Arc::new(Sets {
                everyone: self.everyone,
                emails: self.emails,
                email_domains: self.email_domains,
                networks,
                countries: self.countries.into(),
                others: self.others.into_iter().collect(),
                len,
            })
        })
    }
}
