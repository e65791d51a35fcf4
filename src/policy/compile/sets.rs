//! Rules that compare one fact with one value, as sets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use crate::address::Country;
use crate::policy::facts::{Fact, FactSet};
use crate::policy::rule::{Attribute, Evaluator, Reference, RiskLevels, Rule, Test, TextTest};

use super::networks::Networks;

/// Rules of which at least one must hold, each of which compares one fact with one value.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Sets {
    pub(in crate::policy) everyone: bool,
    pub(in crate::policy) emails: Texts,
    pub(in crate::policy) email_domains: Texts,
    pub(in crate::policy) networks: Networks,
    /// Sorted.
    pub(in crate::policy) countries: Box<[Country]>,
    pub(in crate::policy) others: Box<[(Operand, Texts)]>,
    /// The facts that the rules need.
    pub(super) facts: FactSet,
    len: usize,
}

/// Texts to compare with. Sets are built from configuration only, so a fast hash without a secret is
/// safe. A text in several sets is stored once.
pub(in crate::policy) type Texts = HashSet<Arc<str>, FixedState>;

/// The texts of an operand without text.
const NO_TEXT: [&str; 0] = [];

/// What a rule compares, without the text.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in crate::policy) enum Operand {
    /// Without text.
    AnyServiceToken,
    ServiceToken,
    LinkedApplication,
    Text(TextOperand),
    /// Without text.
    Risk(RiskLevels),
    /// Without text.
    Evaluation(Box<Evaluator>),
}

/// Which text of which fact.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in crate::policy) struct TextOperand {
    pub(in crate::policy) attribute: Attribute,
    /// The claim or attribute, or the organization of a team.
    pub(in crate::policy) name: Option<Box<str>>,
    /// The login method that must report it; `None`: any.
    pub(in crate::policy) provider: Option<Box<str>>,
    /// Whether any text matches.
    pub(in crate::policy) is_any: bool,
}

impl Sets {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the set has only email addresses, domains and networks.
    pub(super) fn is_plain(&self) -> bool {
        !self.everyone && self.countries.is_empty() && self.others.is_empty()
    }
}

/// Collects rules into sets.
#[derive(Debug, Default)]
pub(super) struct Collector {
    everyone: bool,
    emails: Texts,
    email_domains: Texts,
    networks: Vec<IpNet>,
    countries: Vec<Country>,
    others: HashMap<Operand, Texts, FixedState>,
    facts: FactSet,
}

impl Collector {
    pub(super) fn email(&mut self, email: &str) {
        self.emails.insert(email.into());
        self.facts = self.facts.with(Fact::Person).with(Fact::Email);
    }

    pub(super) fn networks(&mut self, networks: impl IntoIterator<Item = IpNet>) {
        self.networks.extend(networks);
        if !self.networks.is_empty() {
            self.facts = self.facts.with(Fact::Address);
        }
    }

    /// Adds a rule. Returns the reference of a rule that refers to a group or list.
    pub(super) fn rule<'a>(&mut self, rule: &'a Rule) -> Option<Reference<'a>> {
        match rule.test() {
            Test::Reference(reference) => return Some(reference),
            Test::Everyone => self.everyone = true,
            Test::Email(email) => self.email(email.as_str()),
            Test::EmailDomain(domain) => {
                self.email_domains.insert(domain.into());
            }
            Test::Network(network) => self.networks([network]),
            Test::Country(country) => self.countries.push(country),
            Test::ServiceToken(None) => self.other(Operand::AnyServiceToken, NO_TEXT),
            Test::ServiceToken(Some(id)) => self.other(Operand::ServiceToken, [id]),
            Test::LinkedApplication(name) => self.other(Operand::LinkedApplication, [name]),
            Test::Risk(levels) => self.other(Operand::Risk(levels), NO_TEXT),
            Test::Evaluation(evaluator) => {
                self.other(Operand::Evaluation(Box::new(evaluator.clone())), NO_TEXT);
            }
            Test::Text(TextTest { attribute, name, value, provider, .. }) => {
                let name = name.map(|name| name.into_owned().into());
                let (provider, is_any) = (provider.map(Into::into), value.is_none());
                self.other(Operand::Text(TextOperand { attribute, name, provider, is_any }), value);
            }
        }
        self.facts = self.facts.union(rule.facts());
        None
    }

    /// Adds everything in a set.
    pub(super) fn set(&mut self, set: &Sets) {
        self.everyone |= set.everyone;
        self.emails.extend(set.emails.iter().cloned());
        self.email_domains.extend(set.email_domains.iter().cloned());
        self.networks.extend(set.networks.networks());
        self.countries.extend(set.countries.iter().copied());
        for (operand, values) in &set.others {
            self.other(operand.clone(), values.iter().cloned());
        }
        self.facts = self.facts.union(set.facts);
    }

    fn other<T: Into<Arc<str>>>(&mut self, operand: Operand, values: impl IntoIterator<Item = T>) {
        self.others.entry(operand).or_default().extend(values.into_iter().map(Into::into));
    }

    /// Returns the sets; `None` if they are empty.
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
                facts: self.facts,
                len,
            })
        })
    }
}
