//! The values that rules compare facts with, and the lists of rules that do so.
//!
//! The result of a list of alternatives depends on a fact only through whether one of its rules
//! matches it. So no policy can distinguish two values that match rules of the same lists (their
//! *signature*), regardless of the number of rules.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use ipnet::IpNet;

use crate::address::Country;
use crate::identity::{Email, RiskLevel};
use crate::policy::{Fact, ListItems, Reference, Rule, Test, TextTest};

use super::reach::Reach;

/// The lists of rules that name a value.
pub(super) type Slots = BTreeSet<u32>;

/// A fact with any number of values, each of which a request has or does not have.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Family {
    AuthMethods,
    AuthContexts,
    Groups,
    Organizations,
    Accounts,
    /// A claim of the identity provider, by name.
    Claim(Box<str>),
    DevicePosture,
}

/// All values that the policies of two applications compare facts with.
#[derive(Debug, Default)]
pub(super) struct Atoms<'a> {
    pub(super) emails: BTreeMap<&'a Email, Slots>,
    pub(super) domains: BTreeMap<&'a str, Slots>,
    pub(super) networks: Vec<(IpNet, u32)>,
    pub(super) countries: BTreeMap<Country, Slots>,
    pub(super) any_certificate: Slots,
    pub(super) common_names: BTreeMap<Cow<'a, str>, Slots>,
    /// By side, and by the name that rules use for the token.
    pub(super) any_token: [Slots; 2],
    pub(super) tokens: [BTreeMap<&'a str, Slots>; 2],
    pub(super) linked: BTreeMap<&'a str, Slots>,
    /// Including those that rules name as the provider of another fact.
    pub(super) login_methods: BTreeMap<Cow<'a, str>, Slots>,
    /// Whether a rule depends on the login method's type.
    pub(super) asks_login_type: bool,
    pub(super) risk: BTreeMap<RiskLevel, Slots>,
    pub(super) evaluators: BTreeSet<&'a str>,
    families: BTreeMap<Family, BTreeMap<Box<str>, Slots>>,
    /// Lower case, for any group.
    folded_groups: BTreeMap<Box<str>, Slots>,
    organizations: BTreeMap<Box<str>, Slots>,
    teams: BTreeMap<(Box<str>, Box<str>), Slots>,
    any_account: Slots,
    /// Texts by the selectors that compare with them, if a question cannot distinguish the selectors.
    selectors: BTreeMap<(Family, Box<str>), BTreeSet<&'static str>>,
    /// What no question can express.
    inexpressible: BTreeSet<String>,
    next: u32,
}

impl<'a> Atoms<'a> {
    /// Collects the values from the policies of both sides.
    pub(super) fn new(sides: [&Reach<'a>; 2]) -> Self {
        let mut atoms = Self::default();
        for (side, reach) in sides.into_iter().enumerate() {
            for rules in reach.alternatives() {
                let mut list = List { side, slots: HashMap::new() };
                for rule in rules {
                    atoms.rule(rule, &mut list, reach);
                }
            }
        }
        atoms
    }

    /// Adds the login methods that only one side accepts.
    pub(super) fn allow_login_methods(&mut self, methods: &'a [Box<str>]) {
        let slot = self.new_slot();
        for method in methods {
            self.login_methods.entry(Cow::Borrowed(method)).or_default().insert(slot);
        }
    }

    /// Returns the values of each family, with the lists that name them.
    pub(super) fn families(&self) -> BTreeMap<Family, Vec<(Box<str>, Slots)>> {
        let mut all: BTreeMap<Family, Vec<(Box<str>, Slots)>> = BTreeMap::new();
        for (family, values) in &self.families {
            let mut found: Vec<(Box<str>, Slots)> = values
                .iter()
                .map(|(value, slots)| {
                    let more = match family {
                        Family::Groups => self.folded_groups.get(&*value.to_lowercase()),
                        Family::Accounts => Some(&self.any_account),
                        _ => None,
                    };
                    (
                        value.clone(),
                        slots.iter().chain(more.into_iter().flatten()).copied().collect(),
                    )
                })
                .collect();
            if let Some(other) = self.other_account().filter(|_| *family == Family::Accounts) {
                found.push((other, self.any_account.clone()));
            }
            all.insert(family.clone(), found);
        }
        if !(self.organizations.is_empty() && self.teams.is_empty()) {
            let organizations =
                self.organizations.iter().map(|(name, slots)| (name.clone(), slots.clone()));
            let teams = self.teams.iter().map(|((name, team), slots)| {
                let of_organization = self.organizations.get(name).into_iter().flatten();
                let all = slots.iter().chain(of_organization).copied().collect();
                (format!("{name}/{team}").into(), all)
            });
            all.insert(Family::Organizations, organizations.chain(teams).collect());
        }
        all
    }

    /// Returns an account that stands for all unnamed ones, if a rule accepts any account.
    pub(super) fn other_account(&self) -> Option<Box<str>> {
        let named = self.families.get(&Family::Accounts)?;
        (!self.any_account.is_empty())
            .then(|| fresh("another-account", |name| named.contains_key(name)))
    }

    /// Returns the differences between requests that questions cannot express.
    pub(super) fn inexpressible_facts(&self) -> Vec<String> {
        let both = self.selectors.iter().filter(|(_, selectors)| selectors.len() > 1);
        let both = both.map(|((family, text), selectors)| {
            let selectors: Vec<&str> = selectors.iter().copied().collect();
            let (what, shown) = match family {
                Family::Claim(name) => ("claim", name.escape_debug().to_string()),
                _ => ("group", text.escape_debug().to_string()),
            };
            format!(
                "the {what} `{shown}` is named by {}: users who have it only for one of them were not \
                 compared",
                selectors.join(" and ")
            )
        });
        both.chain(self.inexpressible.iter().cloned()).collect()
    }

    fn new_slot(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    fn rule(&mut self, rule: &'a Rule, list: &mut List<'a>, reach: &Reach<'a>) {
        let side = list.side;
        let mut slot = |provider: Option<&'a str>| {
            *list.slots.entry(provider).or_insert_with(|| {
                self.next += 1;
                self.next
            })
        };
        match rule.test() {
            // A group's own lists are alternatives of their own.
            Test::Everyone | Test::Reference(Reference::Group(_)) => {}
            Test::Email(email) => add(&mut self.emails, email, slot(None)),
            Test::EmailDomain(domain) => add(&mut self.domains, domain, slot(None)),
            Test::Reference(Reference::EmailList(name) | Reference::IpList(name)) => {
                let slot = slot(None);
                match reach.list(name).map(|list| &list.items) {
                    Some(ListItems::Emails(emails)) => {
                        for email in emails {
                            add(&mut self.emails, email, slot);
                        }
                    }
                    Some(ListItems::Networks(networks)) => {
                        self.networks.extend(networks.iter().map(|network| (*network, slot)));
                    }
                    None => {}
                }
            }
            Test::Network(network) => {
                let slot = slot(None);
                self.networks.push((network, slot));
            }
            Test::Country(country) => add(&mut self.countries, country, slot(None)),
            Test::ServiceToken(id) => {
                let slot = slot(None);
                match id {
                    Some(id) => {
                        if let Some(tokens) = self.tokens.get_mut(side) {
                            add(tokens, id, slot);
                        }
                    }
                    None => self.any_token.get_mut(side).into_iter().for_each(|slots| {
                        slots.insert(slot);
                    }),
                }
            }
            Test::LinkedApplication(name) => add(&mut self.linked, name, slot(None)),
            Test::Evaluation(evaluator) => {
                self.evaluators.insert(evaluator.evaluate_url());
            }
            Test::Risk(levels) => {
                let slot = slot(None);
                for level in levels.iter() {
                    add(&mut self.risk, level, slot);
                }
            }
            Test::Text(text) => {
                let (slot, provider) = (slot(text.provider), text.provider);
                if let Some(fact) = text.selector.fact() {
                    self.text(fact, text, slot);
                }
                self.provider(provider);
            }
        }
    }

    fn text(&mut self, fact: Fact, test: TextTest<'a>, slot: u32) {
        let TextTest { selector, name, value, ignores_case, .. } = test;
        self.asks_login_type |= fact == Fact::Accounts;
        let Some(value) = value else {
            if fact == Fact::Accounts {
                self.any_account.insert(slot);
                self.families.entry(Family::Accounts).or_default();
            } else {
                self.any_certificate.insert(slot);
            }
            return;
        };
        match fact {
            Fact::Certificate => add(&mut self.common_names, value, slot),
            Fact::LoginMethod => add(&mut self.login_methods, value, slot),
            Fact::AuthenticationMethods => self.value(Family::AuthMethods, &value, slot),
            Fact::AuthenticationContexts => self.value(Family::AuthContexts, &value, slot),
            Fact::Accounts => self.value(Family::Accounts, &value, slot),
            Fact::DevicePosture => self.value(Family::DevicePosture, &value, slot),
            Fact::ProviderGroups => self.group(&value, ignores_case, slot, selector.key()),
            Fact::Organizations => match name {
                Some(organization) => self.organization(&organization, Some(&value), slot),
                None => self.organization(&value, None, slot),
            },
            Fact::SamlAttributes | Fact::OidcClaims => {
                self.claim(&name.unwrap_or_default(), &value, slot, selector.key());
            }
            // These have tests of their own.
            Fact::Person
            | Fact::Email
            | Fact::Address
            | Fact::Country
            | Fact::RiskScore
            | Fact::ExternalEvaluation => {}
        }
    }

    /// Gives a login method that a rule requires a class of its own.
    fn provider(&mut self, provider: Option<&'a str>) {
        let Some(provider) = provider else { return };
        let slot = self.new_slot();
        self.login_methods.entry(Cow::Borrowed(provider)).or_default().insert(slot);
    }

    fn value(&mut self, family: Family, value: &str, slot: u32) {
        add(self.families.entry(family).or_default(), value.into(), slot);
    }

    fn group(&mut self, group: &str, ignores_case: bool, slot: u32, selector: &'static str) {
        self.selectors.entry((Family::Groups, group.into())).or_default().insert(selector);
        let groups = self.families.entry(Family::Groups).or_default();
        if ignores_case {
            // Named, but compared together with all its spellings.
            groups.entry(group.into()).or_default();
            add(&mut self.folded_groups, group.into(), slot);
        } else {
            add(groups, group.into(), slot);
        }
    }

    /// Adds an organization, or a team of it.
    fn organization(&mut self, name: &str, team: Option<&str>, slot: u32) {
        if name.contains('/') {
            self.inexpressible.insert(format!(
                "members of an organization `{}` were not compared: its name contains a slash",
                name.escape_debug()
            ));
        } else if let Some(team) = team {
            add(&mut self.teams, (name.into(), team.into()), slot);
        } else {
            add(&mut self.organizations, name.into(), slot);
        }
    }

    fn claim(&mut self, name: &str, value: &str, slot: u32, selector: &'static str) {
        // The only name that is compared without case.
        let name = if name.eq_ignore_ascii_case("groups") { "groups" } else { name };
        let family = Family::Claim(name.into());
        self.selectors.entry((family.clone(), Box::default())).or_default().insert(selector);
        add(self.families.entry(family).or_default(), value.into(), slot);
    }
}

/// A list of rules with its slots, by the login methods that its rules name.
struct List<'a> {
    side: usize,
    slots: HashMap<Option<&'a str>, u32>,
}

/// Groups what has the same signature, in the order of the first of each group.
pub(super) fn by_signature<M, K: Eq + Hash>(all: impl IntoIterator<Item = (M, K)>) -> Vec<Vec<M>> {
    let mut known: HashMap<K, usize> = HashMap::new();
    let mut classes: Vec<Vec<M>> = Vec::new();
    for (member, signature) in all {
        let place = *known.entry(signature).or_insert(classes.len());
        match classes.get_mut(place) {
            Some(class) => class.push(member),
            None => classes.push(vec![member]),
        }
    }
    classes
}

/// Returns a text that is not in use.
pub(super) fn fresh(text: &str, is_taken: impl Fn(&str) -> bool) -> Box<str> {
    let numbered = (2_usize..).map(|number| format!("{text}-{number}"));
    let mut all = std::iter::once(text.to_owned()).chain(numbered);
    all.find(|text| !is_taken(text)).unwrap_or_default().into()
}

fn add<K: Ord>(map: &mut BTreeMap<K, Slots>, key: K, slot: u32) {
    map.entry(key).or_default().insert(slot);
}
