//! Describes cells of a space in words, and by one representative request.

use std::collections::BTreeSet;

use crate::engine::explain::{Question, SimulatedIdentity};

use super::atoms::Family;
use super::axis::{Axis, One, Value};
use super::networks;
use super::reach::Reach;
use super::report::{Condition, Requesters};
use super::requesters::Requester;
use super::space::Space;
use super::table::Cube;
use crate::policy::{Conditions, ListItems, Rule};

impl Space {
    /// Returns the requesters of a cube.
    pub(super) fn who(&self, cube: &Cube, known_as: &[Named]) -> Requesters {
        let (Some(Axis::Requesters(classes)), Some(chosen)) =
            (self.axes.first(), cube.classes.first())
        else {
            return Requesters::default();
        };
        if chosen.len() == classes.len() {
            return Requesters { anybody: true, ..Requesters::default() };
        }
        let (mut inside, mut outside) = (People::default(), People::default());
        let mut who = Requesters::default();
        for (place, class) in classes.iter().enumerate() {
            let is_inside = chosen.contains(&place);
            let people = if is_inside { &mut inside } else { &mut outside };
            for requester in class {
                match requester {
                    Requester::Person(email) => {
                        people.addresses.push((email.as_str(), email.domain()));
                    }
                    Requester::InDomain(domain, _) => people.domains.push(domain),
                    Requester::AnybodyElse(_) => people.anybody_else = true,
                    Requester::Service { client_id, .. } if !is_inside => {
                        who.not_service_tokens.push(client_id.clone());
                    }
                    _ if !is_inside => {}
                    Requester::Nobody => who.nobody = true,
                    Requester::Service { client_id, .. } => {
                        who.service_tokens.push(client_id.clone());
                    }
                    Requester::OtherService(_) => who.other_service_tokens = true,
                    Requester::Linked(id) => who.linked_applications.push(id.clone()),
                }
            }
        }
        if who.other_service_tokens {
            who.service_tokens.clear();
        } else {
            who.not_service_tokens.clear();
        }
        who.everyone_else = inside.anybody_else;
        // Whether users of a domain are included unless they are excepted.
        let is_included = |domain: &str| {
            if inside.anybody_else {
                !outside.domains.contains(&domain)
            } else {
                inside.domains.contains(&domain)
            }
        };
        let owned = |text: &&str| Box::<str>::from(*text);
        if inside.anybody_else {
            who.not_domains = outside.domains.iter().map(owned).collect();
        } else {
            who.domains = inside.domains.iter().map(owned).collect();
        }
        let named = |people: &People<'_>, meant: bool| {
            let all = people.addresses.iter().filter(|(_, domain)| is_included(domain) == meant);
            all.map(|(email, _)| Box::<str>::from(*email)).collect::<Vec<_>>()
        };
        who.addresses = named(&inside, false);
        who.not_addresses = named(&outside, true);
        who.known_as = names_of(&who.addresses, known_as);
        who
    }

    /// Returns the names of service tokens by client id.
    pub(super) fn service_names(&self) -> impl Iterator<Item = (&str, &str)> {
        let classes = match self.axes.first() {
            Some(Axis::Requesters(classes)) => classes.as_slice(),
            _ => &[],
        };
        classes.iter().flatten().filter_map(|requester| match requester {
            Requester::Service { name, client_id } => Some((&**client_id, &**name)),
            _ => None,
        })
    }

    /// Returns the conditions of a cube.
    pub(super) fn conditions(&self, cube: &Cube) -> Vec<Condition> {
        let mut conditions = Vec::new();
        for (place, (axis, chosen)) in self.axes.iter().zip(&cube.classes).enumerate() {
            let is_all = chosen.len() == axis.len();
            if is_all || !self.may_be_relevant(place, cube) {
                continue;
            }
            conditions.extend(self.condition(axis, chosen, cube));
        }
        conditions
    }

    fn condition(&self, axis: &Axis, chosen: &[usize], cube: &Cube) -> Option<Condition> {
        match axis {
            Axis::Requesters(_) => None,
            Axis::One(one, classes) => {
                let (fact, name) = one.name();
                let parts = |inside: bool| {
                    let picked =
                        move |(place, _): &(usize, &Vec<Value>)| chosen.contains(place) == inside;
                    classes.iter().enumerate().filter(picked).flat_map(|(_, class)| class)
                };
                let named = |inside: bool| {
                    let text = |value: &Value| match value {
                        Value::Named(text) => Some(text.clone()),
                        Value::Unknown | Value::Missing | Value::Other(_) => None,
                    };
                    parts(inside).filter_map(text).collect::<Vec<_>>()
                };
                let has_other = parts(true).any(|value| matches!(value, Value::Other(_)));
                Some(Condition {
                    is: (!has_other).then(|| named(true)),
                    is_not: has_other.then(|| named(false)),
                    or_missing: parts(true).any(|value| *value == Value::Missing),
                    or_unknown: parts(true).any(|value| *value == Value::Unknown)
                        || *one == One::LoginType && self.may_be_unknown_how(cube),
                    ..Condition::about(fact, name)
                })
            }
            Axis::Known { family, .. } => {
                let (fact, name) = family.name();
                let is_known = chosen.contains(&1);
                // If there are conditions on values as well, they imply that it is known.
                let says_more = is_known && self.has_values(family, cube);
                (!says_more).then(|| Condition {
                    is: (!is_known).then(Vec::new),
                    is_not: is_known.then(Vec::new),
                    or_unknown: !is_known,
                    ..Condition::about(fact, name)
                })
            }
            Axis::Has { family, values } => {
                let (fact, name) = family.name();
                let has = chosen.contains(&1);
                let (others, values): (Vec<_>, Vec<_>) =
                    values.iter().cloned().partition(|value| self.is_other(family, value));
                Some(Condition {
                    other_than: (!others.is_empty()).then(|| self.named(family)),
                    is: has.then(|| values.clone()),
                    is_not: (!has).then_some(values),
                    or_unknown: self.may_be_unknown(family, cube),
                    ..Condition::about(fact, name)
                })
            }
            Axis::Address(classes) => {
                let picked = |inside: bool| {
                    let all = classes.iter().enumerate();
                    let all = all.filter(|(place, _)| chosen.contains(place) == inside);
                    networks::networks(all.filter_map(|(_, class)| class.as_ref()))
                };
                let text = |networks: Vec<ipnet::IpNet>| {
                    networks.iter().map(|network| shown(*network)).collect::<Vec<_>>()
                };
                let (inside, outside) = (picked(true), picked(false));
                let is_long = !inside.is_empty() && outside.len() < inside.len();
                Some(Condition {
                    is_not: is_long.then(|| text(outside)),
                    is: (!is_long).then(|| text(inside)),
                    or_unknown: chosen.contains(&0),
                    ..Condition::about("address", None)
                })
            }
        }
    }

    /// Whether a value represents all unnamed ones.
    fn is_other(&self, family: &Family, value: &str) -> bool {
        *family == Family::Accounts && self.other_account.as_deref() == Some(value)
    }

    /// Returns the named values of a family.
    fn named(&self, family: &Family) -> Vec<Box<str>> {
        let values = self.axes.iter().filter_map(|axis| match axis {
            Axis::Has { family: known, values } if known == family => Some(values),
            _ => None,
        });
        values.flatten().filter(|value| !self.is_other(family, value)).cloned().collect()
    }

    fn may_be_relevant(&self, axis: usize, cube: &Cube) -> bool {
        self.guards_of(axis).all(|(on, with)| {
            let classes = cube.classes.get(on).into_iter().flatten();
            classes.into_iter().any(|class| with.get(*class).copied().unwrap_or(false))
        })
    }

    fn may_be_unknown(&self, family: &Family, cube: &Cube) -> bool {
        self.axes.iter().zip(&cube.classes).any(|(axis, chosen)| {
            matches!(axis, Axis::Known { family: known, .. } if known == family)
                && chosen.contains(&0)
        })
    }

    /// Whether the login method may be unknown.
    fn may_be_unknown_how(&self, cube: &Cube) -> bool {
        self.axes.iter().zip(&cube.classes).any(|(axis, chosen)| {
            matches!(axis, Axis::One(One::LoginMethod, _)) && chosen.contains(&0)
        })
    }

    fn has_values(&self, family: &Family, cube: &Cube) -> bool {
        self.axes.iter().zip(&cube.classes).any(|(axis, chosen)| {
            matches!(axis, Axis::Has { family: known, .. } if known == family) && chosen.len() == 1
        })
    }

    /// Returns one request of a cube that mentions as little as possible, with its cell.
    pub(super) fn witness(&self, cube: &Cube, url: &str) -> (Question, Vec<usize>) {
        let plain = self.pick(cube, true);
        let is_plain = |axis: usize| {
            let is_asked = self.axes.get(axis).is_some_and(is_about_person);
            !is_asked
                || !self.is_relevant(axis, |on| plain.get(on).copied().unwrap_or(0))
                || plain.get(axis) == self.plain.get(axis)
        };
        let (cell, says_nothing) = if (0..self.axes.len()).all(is_plain) {
            (plain, true)
        } else {
            (self.pick(cube, false), false)
        };
        let mut identity = self.identity(&cell);
        if says_nothing {
            // The usual login provides the rest.
            identity = SimulatedIdentity {
                email: identity.email,
                evaluations: identity.evaluations,
                risk: identity.risk,
                service_token: identity.service_token,
                linked_application: identity.linked_application,
                ..SimulatedIdentity::default()
            };
        }
        let mut request = self.request(&cell);
        url.clone_into(&mut request.url);
        (Question { request, identity, at: None }, cell)
    }

    fn pick(&self, cube: &Cube, plainly: bool) -> Vec<usize> {
        let wanted = |axis: usize| {
            let is_asked = self.axes.get(axis).is_some_and(is_about_person);
            self.plain.get(axis).copied().filter(|_| plainly && is_asked).unwrap_or(0)
        };
        cube.classes
            .iter()
            .enumerate()
            .map(|(axis, classes)| {
                let wanted = wanted(axis);
                let has_it = classes.contains(&wanted);
                if has_it { wanted } else { classes.first().copied().unwrap_or(0) }
            })
            .collect()
    }
}

fn is_about_person(axis: &Axis) -> bool {
    axis.is_attribute() || matches!(axis, Axis::One(One::UsualLogin, _))
}

#[derive(Default)]
struct People<'a> {
    /// With their domains.
    addresses: Vec<(&'a str, &'a str)>,
    domains: Vec<&'a str>,
    anybody_else: bool,
}

/// A list or a group that consists of email addresses.
#[derive(Debug)]
pub(super) struct Named {
    label: String,
    addresses: BTreeSet<Box<str>>,
}

/// Returns the lists and groups that policies refer to and that consist of email addresses.
pub(super) fn known_as(sides: [&Reach<'_>; 2]) -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    let mut add = |label: String, addresses: BTreeSet<Box<str>>| {
        let is_known = all.iter().any(|one| one.label == label && one.addresses == addresses);
        if addresses.len() > 1 && !is_known {
            all.push(Named { label, addresses });
        }
    };
    for reach in sides {
        for group in reach.groups() {
            let Conditions { include, require, exclude } = &group.conditions;
            let is_plain = require.is_empty() && exclude.is_empty();
            let mut addresses = Some(BTreeSet::new()).filter(|_| is_plain);
            for rule in include {
                match (rule, &mut addresses) {
                    (Rule::Email(email), Some(addresses)) => {
                        addresses.insert(email.as_str().into());
                    }
                    (Rule::EmailList(name), Some(addresses)) => {
                        addresses.extend(reach.list(name).into_iter().flat_map(emails));
                    }
                    (_, addresses) => *addresses = None,
                }
            }
            add(format!("group {}", group.name.escape_debug()), addresses.unwrap_or_default());
        }
        for list in reach.lists() {
            add(format!("list {}", list.name.escape_debug()), emails(list).collect());
        }
    }
    all.sort_by_key(|one| std::cmp::Reverse(one.addresses.len()));
    all
}

fn emails(list: &crate::policy::List) -> impl Iterator<Item = Box<str>> {
    let emails = match &list.items {
        ListItems::Emails(emails) => emails.as_slice(),
        ListItems::Networks(_) => &[],
    };
    emails.iter().map(|email| email.as_str().into())
}

/// Returns the largest lists and groups whose addresses are all included.
fn names_of(addresses: &[Box<str>], known_as: &[Named]) -> Vec<String> {
    let all: BTreeSet<&str> = addresses.iter().map(|address| &**address).collect();
    let mut left = all.clone();
    let mut names = Vec::new();
    for Named { label, addresses } in known_as {
        let is_inside = addresses.iter().all(|address| all.contains(&**address));
        let is_new = addresses.iter().any(|address| left.contains(&**address));
        if is_inside && is_new {
            left.retain(|address| !addresses.contains(*address));
            names.push(label.clone());
        }
    }
    names
}

fn shown(network: ipnet::IpNet) -> Box<str> {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string().into()
    } else {
        network.to_string().into()
    }
}

impl Condition {
    fn about(fact: &'static str, name: Option<Box<str>>) -> Self {
        Self {
            fact,
            name,
            is: None,
            is_not: None,
            other_than: None,
            or_missing: false,
            or_unknown: false,
            more: 0,
        }
    }
}

impl One {
    fn name(&self) -> (&'static str, Option<Box<str>>) {
        match self {
            Self::Method => ("method", None),
            Self::UsualLogin => ("usual_login", None),
            Self::LoginMethod => ("login_method", None),
            Self::LoginType => ("login_type", None),
            Self::Risk => ("risk", None),
            Self::Evaluation(url) => ("external_evaluation", Some(url.clone())),
            Self::Country => ("country", None),
            Self::Certificate => ("certificate", None),
        }
    }
}

impl Family {
    fn name(&self) -> (&'static str, Option<Box<str>>) {
        match self {
            Self::AuthMethods => ("auth_method", None),
            Self::AuthContexts => ("auth_context", None),
            Self::Groups => ("group", None),
            Self::Organizations => ("organization", None),
            Self::Accounts => ("account", None),
            Self::Claim(name) => ("claim", Some(name.clone())),
            Self::DevicePosture => ("device_posture", None),
        }
    }
}
