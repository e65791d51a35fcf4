//! Conditions in a comparable form, with references resolved.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use ipnet::IpNet;

use crate::identity::Email;
use crate::policy::{
    Conditions, Definitions, Fact, Group, ListItems, Reference, RiskLevels, Rule, Test, TextTest,
};

/// Rules that compare one fact with one value, of which one has to match.
#[derive(Debug, Default)]
pub(super) struct Values<'a> {
    pub(super) everyone: bool,
    pub(super) emails: HashSet<&'a Email>,
    pub(super) domains: HashSet<&'a str>,
    pub(super) networks: HashSet<IpNet>,
    /// The lengths of their prefixes.
    lengths: Vec<u8>,
    pub(super) others: HashSet<Test<'a>>,
    pub(super) risks: Vec<RiskLevels>,
}

/// Alternatives, of which one has to match.
#[derive(Clone, Debug, Default)]
pub(super) struct AnyOf<'a> {
    pub(super) values: Rc<Values<'a>>,
    pub(super) lists: Vec<Rc<Values<'a>>>,
    pub(super) groups: Vec<Rc<Condition<'a>>>,
}

/// `include`, `require` and `exclude`.
#[derive(Debug, Default)]
pub(super) struct Condition<'a> {
    pub(super) include: AnyOf<'a>,
    pub(super) require: Vec<AnyOf<'a>>,
    pub(super) exclude: AnyOf<'a>,
}

/// Groups and lists, ready to replace references.
#[derive(Debug)]
pub(super) struct Expansion<'a> {
    definitions: &'a Definitions,
    /// By id.
    groups: HashMap<&'a str, Rc<Condition<'a>>>,
    lists: HashMap<&'a str, Rc<Values<'a>>>,
}

/// The limit on comparisons. Beyond it nothing is compared or reported.
#[derive(Debug)]
pub(super) struct Budget(Cell<u64>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cell::new(MAX_COMPARISONS))
    }

    /// Spends this many comparisons, and returns whether the budget allows them.
    pub(super) fn spend(&self, comparisons: usize) -> bool {
        let comparisons = u64::try_from(comparisons).unwrap_or(u64::MAX).saturating_add(1);
        let left = self.0.get().saturating_sub(comparisons);
        self.0.set(left);
        left > 0
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}

impl<'a> Expansion<'a> {
    pub(super) fn new(definitions: &'a Definitions) -> Self {
        let lists = definitions.lists().iter().map(|list| {
            let mut values = Values::default();
            match &list.items {
                ListItems::Emails(emails) => values.emails.extend(emails),
                ListItems::Networks(networks) => {
                    networks.iter().for_each(|network| values.network(*network));
                }
            }
            (list.id(), Rc::new(values))
        });
        let mut expansion = Self { definitions, lists: lists.collect(), groups: HashMap::new() };
        for group in definitions.groups() {
            expansion.expand_group(group);
        }
        expansion
    }

    /// Groups are nested a few dozen levels at most.
    fn expand_group(&mut self, group: &'a Group) {
        if self.groups.contains_key(group.id()) {
            return;
        }
        let definitions = self.definitions;
        for rule in group.conditions.rules() {
            if let Rule::Group(inner) = rule
                && let Some(inner) = definitions.group(inner)
            {
                self.expand_group(inner);
            }
        }
        let condition = self.condition(&group.conditions);
        self.groups.insert(group.id(), Rc::new(condition));
    }

    pub(super) fn condition<'r>(&self, conditions: &'r Conditions) -> Condition<'r>
    where
        'a: 'r,
    {
        let Conditions { include, require, exclude } = conditions;
        Condition {
            include: self.any_of(include),
            require: require.iter().map(|rule| self.any_of(std::slice::from_ref(rule))).collect(),
            exclude: self.any_of(exclude),
        }
    }

    pub(super) fn any_of<'r>(&self, rules: &'r [Rule]) -> AnyOf<'r>
    where
        'a: 'r,
    {
        let mut any = AnyOf::default();
        let mut values = Values::default();
        for rule in rules {
            match values.add(rule) {
                None => {}
                Some(Reference::EmailList(name) | Reference::IpList(name)) => {
                    any.lists.extend(self.list(name).cloned());
                }
                Some(Reference::Group(name)) => any.groups.extend(self.group(name).cloned()),
            }
        }
        any.values = Rc::new(values);
        any
    }

    pub(super) fn group(&self, name: &str) -> Option<&Rc<Condition<'a>>> {
        self.groups.get(self.definitions.group(name)?.id())
    }

    pub(super) fn list(&self, name: &str) -> Option<&Rc<Values<'a>>> {
        self.lists.get(self.definitions.list(name)?.id())
    }
}

impl<'a> Values<'a> {
    /// Adds a rule; returns the reference if the rule is one.
    pub(super) fn add(&mut self, rule: &'a Rule) -> Option<Reference<'a>> {
        match rule.test() {
            Test::Reference(reference) => return Some(reference),
            test => self.insert(test),
        }
        None
    }

    /// Adds a rule without references.
    fn insert(&mut self, test: Test<'a>) {
        match test {
            Test::Everyone => self.everyone = true,
            Test::Email(email) => {
                self.emails.insert(email);
            }
            Test::EmailDomain(domain) => {
                self.domains.insert(domain);
            }
            Test::Network(network) => self.network(network),
            Test::Risk(levels) => self.risks.push(levels),
            Test::Country(_)
            | Test::ServiceToken(_)
            | Test::LinkedApplication(_)
            | Test::Evaluation(_)
            | Test::Text(_) => {
                self.others.insert(test);
            }
            Test::Reference(_) => {}
        }
    }

    fn network(&mut self, network: IpNet) {
        if self.networks.insert(network) && !self.lengths.contains(&network.prefix_len()) {
            self.lengths.push(network.prefix_len());
        }
    }

    /// Whether it includes a network of all addresses.
    pub(super) fn is_everywhere(&self) -> bool {
        self.lengths.contains(&0)
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.everyone)
            + self.emails.len()
            + self.domains.len()
            + self.networks.len()
            + self.others.len()
            + self.risks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn covers_network(&self, network: IpNet) -> bool {
        self.everyone || self.network_around(network, network.prefix_len()).is_some()
    }

    /// Returns a network that contains another one, with a prefix of at most this length.
    fn network_around(&self, network: IpNet, longest: u8) -> Option<IpNet> {
        let mut lengths = self.lengths.iter().filter(|length| **length <= longest);
        lengths.find_map(|length| {
            let wider = IpNet::new(network.addr(), *length).ok()?.trunc();
            self.networks.get(&wider).copied()
        })
    }

    /// Whether the test matches only if one of these does, whichever facts are known.
    pub(super) fn covers(&self, test: &Test<'_>) -> bool {
        self.everyone
            || match test {
                Test::Everyone | Test::Reference(_) => false,
                Test::Email(email) => {
                    self.emails.contains(email) || self.domains.contains(email.domain())
                }
                Test::EmailDomain(domain) => self.domains.contains(domain),
                Test::Network(network) => self.covers_network(*network),
                Test::Risk(levels) => {
                    self.risks.iter().any(|known| levels.iter().all(|level| known.contains(level)))
                }
                Test::Country(_)
                | Test::ServiceToken(_)
                | Test::LinkedApplication(_)
                | Test::Evaluation(_)
                | Test::Text(_) => {
                    self.others.contains(test)
                        || wider(test).iter().any(|wider| self.others.contains(wider))
                }
            }
    }

    /// Returns a wider test that makes this one redundant.
    pub(super) fn wider<'t>(&self, test: &Test<'t>) -> Option<Test<'t>>
    where
        'a: 't,
    {
        match test {
            Test::Email(email) => {
                self.domains.get(email.domain()).map(|domain| Test::EmailDomain(domain))
            }
            Test::Network(network) => {
                let longest = network.prefix_len().checked_sub(1)?;
                self.network_around(*network, longest).map(Test::Network)
            }
            Test::Risk(levels) => {
                let is_wider = |known: &&RiskLevels| {
                    **known != *levels && levels.iter().all(|level| known.contains(level))
                };
                self.risks.iter().find(is_wider).map(|known| Test::Risk(*known))
            }
            Test::Everyone
            | Test::Reference(_)
            | Test::EmailDomain(_)
            | Test::Country(_)
            | Test::ServiceToken(_)
            | Test::LinkedApplication(_)
            | Test::Evaluation(_)
            | Test::Text(_) => wider(test).into_iter().find(|wider| self.others.contains(wider)),
        }
    }
}

impl<'a> AnyOf<'a> {
    pub(super) fn from_test(test: Test<'a>) -> Self {
        let mut values = Values::default();
        values.insert(test);
        Self { values: Rc::new(values), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
            && self.lists.iter().all(|list| list.is_empty())
            && self.groups.is_empty()
    }
}

/// Returns tests that match whenever this one does, and are unknown whenever it is.
fn wider<'a>(test: &Test<'a>) -> Vec<Test<'a>> {
    match test {
        Test::ServiceToken(Some(_)) => vec![Test::ServiceToken(None)],
        Test::Text(text) => wider_texts(text).into_iter().map(Test::Text).collect(),
        Test::Everyone
        | Test::Reference(_)
        | Test::Email(_)
        | Test::EmailDomain(_)
        | Test::Network(_)
        | Test::Country(_)
        | Test::ServiceToken(None)
        | Test::LinkedApplication(_)
        | Test::Evaluation(_)
        | Test::Risk(_) => Vec::new(),
    }
}

fn wider_texts<'a>(test: &TextTest<'a>) -> Vec<TextTest<'a>> {
    let is_team = test.selector.fact() == Some(Fact::Organizations) && test.name.is_some();
    let whole = if is_team {
        Some(TextTest { name: None, value: test.name.clone(), ..test.clone() })
    } else {
        test.value.as_ref().map(|_| TextTest { value: None, ..test.clone() })
    };
    let mut found = Vec::from_iter(whole);
    if let Some(provider) = test.provider {
        let of_any = |test: &TextTest<'a>| TextTest { provider: None, ..test.clone() };
        let of_any: Vec<_> = found.iter().chain([test]).map(of_any).collect();
        found.extend(of_any);
        found.push(TextTest::login_method(provider));
    }
    found
}

const MAX_COMPARISONS: u64 = 20_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(json: &str) -> Rule {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_covers_what() {
        let github = |rest: &str| rule(&format!(r#"{{"github-organization":{{{rest}}}}}"#));
        for (one, two, covers) in [
            (Rule::everyone(), Rule::email("a@b.example").unwrap(), true),
            (Rule::email_domain("b.example").unwrap(), Rule::email("a@b.example").unwrap(), true),
            (
                Rule::email_domain("b.example").unwrap(),
                Rule::email("a@c.b.example").unwrap(),
                false,
            ),
            (Rule::email("a@b.example").unwrap(), Rule::email_domain("b.example").unwrap(), false),
            (Rule::ip("192.0.2.0/24").unwrap(), Rule::ip("192.0.2.128/25").unwrap(), true),
            (Rule::ip("192.0.2.128/25").unwrap(), Rule::ip("192.0.2.0/24").unwrap(), false),
            (Rule::ip("::/0").unwrap(), Rule::ip("192.0.2.0/24").unwrap(), false),
            (Rule::certificate(), Rule::common_name("x"), true),
            (Rule::any_valid_service_token(), Rule::service_token("x"), true),
            (Rule::service_token("x"), Rule::any_valid_service_token(), false),
            (github(r#""name":"Acme""#), github(r#""name":"acme","team":"Ops""#), true),
            (
                github(r#""name":"acme""#),
                github(r#""name":"acme","team":"ops","identity_provider_id":"g""#),
                true,
            ),
            (
                github(r#""name":"acme","identity_provider_id":"g""#),
                github(r#""name":"acme","team":"ops","identity_provider_id":"g""#),
                true,
            ),
            (github(r#""name":"acme","team":"ops""#), github(r#""name":"acme""#), false),
            (
                Rule::login_method("g"),
                github(r#""name":"acme","team":"ops","identity_provider_id":"g""#),
                true,
            ),
            (Rule::login_method("h"), github(r#""name":"a","identity_provider_id":"g""#), false),
            (
                rule(r#"{"oidc":{"claim_name":"a","claim_value":"b"}}"#),
                rule(r#"{"oidc":{"claim_name":"a","claim_value":"b","identity_provider_id":"g"}}"#),
                true,
            ),
            (
                rule(r#"{"user_risk_score":{"user_risk_score":["low","high"]}}"#),
                rule(r#"{"user_risk_score":{"user_risk_score":["low"]}}"#),
                true,
            ),
        ] {
            let mut values = Values::default();
            values.add(&one);
            let (one, two) = (one.test(), two.test());
            assert_eq!(values.covers(&two), covers, "{one:?} {two:?}");
            assert_eq!(
                values.wider(&two).is_some(),
                covers && one != Test::Everyone,
                "{one:?} {two:?}"
            );
            assert!(values.covers(&one) && values.wider(&one).is_none(), "{one:?}");
        }
    }
}
