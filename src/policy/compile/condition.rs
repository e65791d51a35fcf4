//! `include`, `require`, `exclude` as they are evaluated, and groups found by what they name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use crate::identity::Email;

use super::sets::{Collector, Sets};

/// `any(include) and all(require) and not any(exclude)`.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Condition {
    pub(in crate::policy) include: AnyOf,
    pub(in crate::policy) require: Box<[AnyOf]>,
    pub(in crate::policy) exclude: AnyOf,
}

impl Condition {
    /// Whether it plainly holds whatever the facts are; `false` where that would take thought.
    pub(super) fn always_holds(&self) -> bool {
        self.include.always_holds()
            && self.require.iter().all(AnyOf::always_holds)
            && self.exclude.never_holds()
    }

    /// Whether it plainly never holds: nothing is included.
    pub(super) fn never_holds(&self) -> bool {
        self.include.never_holds()
    }
}

/// Rules of which one has to hold.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct AnyOf {
    /// Few: its own, and those of large groups and lists, which all who refer to them share.
    pub(in crate::policy) sets: Box<[Arc<Sets>]>,
    /// Groups that are more than sets.
    pub(in crate::policy) groups: Option<Box<GroupIndex>>,
}

impl AnyOf {
    fn always_holds(&self) -> bool {
        self.sets.iter().any(|sets| sets.everyone)
    }

    fn never_holds(&self) -> bool {
        self.sets.is_empty() && self.groups.is_none()
    }

    /// From rules of its own and the sets of what it refers to.
    ///
    /// Small sets are merged, so that their number makes no difference; the largest stay shared, so
    /// that a list of thousands is kept once. What is copied is bounded by the number of sets: what
    /// a thousand applications share never takes room a thousand times.
    pub(super) fn new(
        mut own: Collector,
        mut parts: Vec<Arc<Sets>>,
        groups: Option<Box<GroupIndex>>,
    ) -> Self {
        parts.sort_by_key(|part| Arc::as_ptr(part).addr());
        parts.dedup_by(|one, two| Arc::ptr_eq(one, two));
        parts.sort_by_key(|part| part.len());
        let most_copied = parts.len().saturating_mul(MOST_COPIED);
        let first_large = parts.len().saturating_sub(MOST_SHARED);
        let (mut sets, mut copied) = (Vec::new(), 0_usize);
        for (position, part) in parts.into_iter().enumerate() {
            let with_it = copied.saturating_add(part.len());
            if part.len() > SMALL && (position >= first_large || with_it > most_copied) {
                sets.push(part);
            } else {
                copied = with_it;
                own.set(&part);
            }
        }
        sets.extend(own.finish());
        Self { sets: sets.into(), groups }
    }
}

/// Groups with conditions of their own, of which one has to hold.
///
/// A group holds only when its `include` does. So of thousands of groups only those have to be
/// looked at that name this person or this network.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct GroupIndex {
    /// Positions of groups that are always looked at.
    pub(in crate::policy) always: Vec<usize>,
    by_email: Positions<Arc<str>>,
    by_domain: Positions<Arc<str>>,
    /// By the length of the prefix.
    by_network: Vec<(u8, Positions<IpNet>)>,
    /// Those in the first two.
    of_people: Vec<usize>,
    /// Those in the third.
    of_networks: Vec<usize>,
}

/// Positions of groups by what they name. Made of configuration alone, as all that is looked up here.
type Positions<Key> = HashMap<Key, Vec<usize>, FixedState>;

impl GroupIndex {
    /// An index of groups, each of which is named once.
    ///
    /// What is written into it is bounded by the number of groups: those with the longest lists are
    /// always looked at when there is no room left.
    pub(super) fn new<'a>(
        groups: &[usize],
        condition: impl Fn(usize) -> Option<&'a Condition>,
    ) -> Option<Box<Self>> {
        let mut index = Self::default();
        let mut found: Vec<(usize, usize, &Condition)> = groups
            .iter()
            .filter_map(|position| {
                let condition = condition(*position)?;
                let names = condition.include.sets.iter().map(|set| set.len()).sum();
                Some((names, *position, condition))
            })
            .collect();
        found.sort_unstable_by_key(|(names, position, _)| (*names, *position));
        let mut room = if found.len() > FEW { found.len() * MOST_NAMES } else { 0 };
        for (names, position, condition) in found {
            match room.checked_sub(names) {
                Some(left) if room > 0 => {
                    room = left;
                    index.add(position, condition);
                }
                _ => index.always.push(position),
            }
        }
        (!groups.is_empty()).then(|| Box::new(index))
    }

    fn add(&mut self, position: usize, condition: &Condition) {
        let include = &condition.include;
        if include.groups.is_some() || !include.sets.iter().all(|set| set.is_plain()) {
            self.always.push(position);
            return;
        }
        for set in &include.sets {
            for email in &set.emails {
                self.by_email.entry(email.clone()).or_default().push(position);
            }
            for domain in &set.email_domains {
                self.by_domain.entry(domain.clone()).or_default().push(position);
            }
            for network in set.networks.networks() {
                self.network(network, position);
            }
        }
        if include.sets.iter().any(|set| !set.emails.is_empty() || !set.email_domains.is_empty()) {
            self.of_people.push(position);
        }
        if include.sets.iter().any(|set| !set.networks.is_empty()) {
            self.of_networks.push(position);
        }
    }

    fn network(&mut self, network: IpNet, position: usize) {
        let length = network.prefix_len();
        let known = self.by_network.iter().position(|(known, _)| *known == length);
        let of_length = match known {
            Some(index) => self.by_network.get_mut(index),
            None => {
                self.by_network.push((length, Positions::default()));
                self.by_network.last_mut()
            }
        };
        if let Some((_, networks)) = of_length {
            networks.entry(network).or_default().push(position);
        }
    }

    /// Those that name this person.
    pub(in crate::policy) fn naming(&self, email: &Email) -> impl Iterator<Item = usize> {
        let by_email = self.by_email.get(email.as_str());
        let by_domain = self.by_domain.get(email.domain());
        by_email.into_iter().chain(by_domain).flatten().copied()
    }

    /// Those with a network this address lies in.
    pub(in crate::policy) fn around(&self, address: IpAddr) -> impl Iterator<Item = usize> {
        self.by_network.iter().flat_map(move |(length, networks)| {
            let network = IpNet::new(address, *length).ok().map(|network| network.trunc());
            network.and_then(|network| networks.get(&network)).into_iter().flatten().copied()
        })
    }

    /// Those that name people.
    pub(in crate::policy) fn of_people(&self) -> &[usize] {
        &self.of_people
    }

    /// Those with networks.
    pub(in crate::policy) fn of_networks(&self) -> &[usize] {
        &self.of_networks
    }
}

/// Up to here a set is copied rather than shared.
const SMALL: usize = 32;
/// So many of the largest are shared rather than copied: each is looked at by itself.
const MOST_SHARED: usize = 8;
/// How many entries are copied at most, for each set that is referred to.
const MOST_COPIED: usize = 64;
/// So many groups are simply looked at.
const FEW: usize = 8;
/// How many names there are at most in an index, for each group in it.
const MOST_NAMES: usize = 64;
