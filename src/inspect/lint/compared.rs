//! Conditions in a form in which they can be compared: what rules refer to is put in their place.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use ipnet::IpNet;

use crate::policy::{Conditions, Definitions, Group, Items, RiskLevels, Rule};

/// Rules that compare one fact with one value, of which one has to hold.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) everyone: bool,
    pub(super) emails: HashSet<Box<str>>,
    pub(super) domains: HashSet<Box<str>>,
    pub(super) networks: HashSet<IpNet>,
    /// The lengths of their prefixes.
    lengths: Vec<u8>,
    pub(super) others: HashSet<Rule>,
    pub(super) risks: Vec<RiskLevels>,
}

/// Of all this, one has to hold.
#[derive(Clone, Debug, Default)]
pub(super) struct AnyOf {
    pub(super) values: Rc<Values>,
    pub(super) lists: Vec<Rc<Values>>,
    pub(super) groups: Vec<Rc<Condition>>,
}

/// `include`, `require` and `exclude`.
#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) include: AnyOf,
    pub(super) require: Vec<AnyOf>,
    pub(super) exclude: AnyOf,
}

/// Groups and lists, ready to be put in the place of references.
#[derive(Debug)]
pub(super) struct Expansion<'a> {
    definitions: &'a Definitions,
    /// By id.
    groups: HashMap<&'a str, Rc<Condition>>,
    lists: HashMap<&'a str, Rc<Values>>,
}

/// How much is compared at most. What was not compared is not reported.
#[derive(Debug)]
pub(super) struct Budget(Cell<u64>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cell::new(MOST_COMPARISONS))
    }

    /// Whether so many comparisons may still be made.
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
                Items::Emails(emails) => {
                    values.emails.extend(emails.iter().map(|email| email.as_str().into()));
                }
                Items::Networks(networks) => {
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

    pub(super) fn condition(&self, conditions: &Conditions) -> Condition {
        let Conditions { include, require, exclude } = conditions;
        Condition {
            include: self.any_of(include),
            require: require.iter().map(|rule| self.any_of(std::slice::from_ref(rule))).collect(),
            exclude: self.any_of(exclude),
        }
    }

    pub(super) fn any_of(&self, rules: &[Rule]) -> AnyOf {
        let mut any = AnyOf::default();
        let mut values = Values::default();
        for rule in rules {
            match rule {
                Rule::EmailList(id) | Rule::IpList(id) => any.lists.extend(self.list(id).cloned()),
                Rule::Group(id) => any.groups.extend(self.group(id).cloned()),
                rule => values.add(rule),
            }
        }
        any.values = Rc::new(values);
        any
    }

    pub(super) fn group(&self, name: &str) -> Option<&Rc<Condition>> {
        self.groups.get(self.definitions.group(name)?.id())
    }

    pub(super) fn list(&self, name: &str) -> Option<&Rc<Values>> {
        self.lists.get(self.definitions.list(name)?.id())
    }
}

impl Values {
    /// Takes a rule that refers to nothing.
    pub(super) fn add(&mut self, rule: &Rule) {
        match rule {
            Rule::Everyone => self.everyone = true,
            Rule::Email(email) => {
                self.emails.insert(email.as_str().into());
            }
            Rule::EmailDomain(domain) => {
                self.domains.insert(domain.as_str().into());
            }
            Rule::Ip(network) => self.network(*network),
            Rule::UserRiskScore(levels) => self.risks.push(*levels),
            rule => {
                self.others.insert(normal(rule));
            }
        }
    }

    fn network(&mut self, network: IpNet) {
        if self.networks.insert(network) && !self.lengths.contains(&network.prefix_len()) {
            self.lengths.push(network.prefix_len());
        }
    }

    /// Whether a network of all addresses is among them.
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

    pub(super) fn covers_email(&self, email: &str) -> bool {
        self.everyone || self.emails.contains(email) || self.domains.contains(domain_of(email))
    }

    pub(super) fn covers_domain(&self, domain: &str) -> bool {
        self.everyone || self.domains.contains(domain)
    }

    pub(super) fn covers_network(&self, network: IpNet) -> bool {
        self.everyone || self.network_around(network, network.prefix_len()).is_some()
    }

    /// A network here that holds another one, with a prefix of this length at most.
    fn network_around(&self, network: IpNet, longest: u8) -> Option<IpNet> {
        let mut lengths = self.lengths.iter().filter(|length| **length <= longest);
        lengths.find_map(|length| {
            let wider = IpNet::new(network.addr(), *length).ok()?.trunc();
            self.networks.get(&wider).copied()
        })
    }

    pub(super) fn covers_other(&self, rule: &Rule) -> bool {
        self.everyone
            || self.others.contains(&normal(rule))
            || wider(rule).iter().any(|wider| self.others.contains(wider))
    }

    pub(super) fn covers_risk(&self, levels: RiskLevels) -> bool {
        self.everyone
            || self.risks.iter().any(|known| levels.iter().all(|level| known.contains(level)))
    }

    /// Whether the rule holds only where one of these does, whatever is known and whatever is not.
    pub(super) fn covers(&self, rule: &Rule) -> bool {
        match rule {
            Rule::Everyone => self.everyone,
            Rule::Email(email) => self.covers_email(email.as_str()),
            Rule::EmailDomain(domain) => self.covers_domain(domain.as_str()),
            Rule::Ip(network) => self.covers_network(*network),
            Rule::UserRiskScore(levels) => self.covers_risk(*levels),
            rule => self.covers_other(rule),
        }
    }

    /// What makes a rule superfluous beside these: something that says more.
    pub(super) fn wider(&self, rule: &Rule) -> Option<String> {
        match rule {
            Rule::Email(email) => {
                self.domains.get(email.domain()).map(|domain| format!("email_domain {domain}"))
            }
            Rule::Ip(network) => {
                let longest = network.prefix_len().checked_sub(1)?;
                Some(format!("ip {}", self.network_around(*network, longest)?))
            }
            Rule::UserRiskScore(levels) => {
                let is_wider = |known: &&RiskLevels| {
                    **known != *levels && levels.iter().all(|level| known.contains(level))
                };
                self.risks
                    .iter()
                    .find(is_wider)
                    .map(|known| Rule::UserRiskScore(*known).to_string())
            }
            rule => wider(rule)
                .into_iter()
                .find(|wider| self.others.contains(wider))
                .map(|wider| wider.to_string()),
        }
    }
}

impl AnyOf {
    pub(super) fn of_one(rule: &Rule) -> Self {
        let mut values = Values::default();
        values.add(rule);
        Self { values: Rc::new(values), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
            && self.lists.iter().all(|list| list.is_empty())
            && self.groups.is_empty()
    }
}

pub(super) fn domain_of(email: &str) -> &str {
    email.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// Rules that mean the same are the same.
pub(super) fn normal(rule: &Rule) -> Rule {
    let mut rule = rule.clone();
    match &mut rule {
        Rule::GithubOrganization(organization) => {
            organization.name = organization.name.to_lowercase().into();
            organization.team = organization.team.take().map(|team| team.to_lowercase().into());
        }
        Rule::GsuiteGroup(group) => group.email = group.email.to_lowercase().into(),
        Rule::AuthContext(context) => context.id = None,
        _ => {}
    }
    rule
}

/// Rules that hold wherever this one does, and are open where it is.
fn wider(rule: &Rule) -> Vec<Rule> {
    let rule = normal(rule);
    let mut found = Vec::new();
    match &rule {
        Rule::CommonName(_) => found.push(Rule::Certificate),
        Rule::ServiceToken(_) => found.push(Rule::AnyValidServiceToken),
        Rule::CloudflareAccountMember(Some(_)) => found.push(Rule::CloudflareAccountMember(None)),
        Rule::GithubOrganization(organization) if organization.team.is_some() => {
            let mut whole = organization.clone();
            whole.team = None;
            found.push(Rule::GithubOrganization(whole));
        }
        _ => {}
    }
    let mut any_provider = rule;
    if let Some(provider) = provider_of(&mut any_provider).and_then(Option::take) {
        let of_any: Vec<Rule> = found
            .iter()
            .cloned()
            .map(|mut rule| {
                provider_of(&mut rule).and_then(Option::take);
                rule
            })
            .collect();
        found.extend(of_any);
        found.push(any_provider);
        found.push(Rule::LoginMethod(provider));
    }
    found
}

/// The login method a rule names beside something else.
fn provider_of(rule: &mut Rule) -> Option<&mut Option<Box<str>>> {
    match rule {
        Rule::GithubOrganization(organization) => Some(&mut organization.identity_provider_id),
        Rule::AuthContext(context) => Some(&mut context.identity_provider_id),
        Rule::AzureGroup(group) => Some(&mut group.identity_provider_id),
        Rule::GsuiteGroup(group) => Some(&mut group.identity_provider_id),
        Rule::OktaGroup(group) => Some(&mut group.identity_provider_id),
        Rule::Saml(saml) => Some(&mut saml.identity_provider_id),
        Rule::Oidc(oidc) => Some(&mut oidc.identity_provider_id),
        _ => None,
    }
}

const MOST_COMPARISONS: u64 = 20_000_000;

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
            assert_eq!(values.covers(&two), covers, "{one} {two}");
            assert_eq!(
                values.wider(&two).is_some(),
                covers && one != Rule::Everyone,
                "{one} {two}"
            );
            assert!(values.covers(&one) && values.wider(&one).is_none(), "{one}");
        }
    }
}
