//! Compiled conditions, and groups indexed by what they name.

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
    /// Returns whether it obviously holds for all facts; `false` if that is not obvious.
    pub(super) fn always_holds(&self) -> bool {
        self.include.always_holds()
            && self.require.iter().all(AnyOf::always_holds)
            && self.exclude.never_holds()
    }

    /// Returns whether it obviously never holds, because `include` is empty.
    pub(super) fn never_holds(&self) -> bool {
        self.include.never_holds()
    }
}

/// Rules of which at least one must hold.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct AnyOf {
    /// Its own set, and the sets of large groups and lists, which are shared. Few.
    pub(in crate::policy) sets: Box<[Arc<Sets>]>,
    /// Groups that cannot be expressed as sets.
    pub(in crate::policy) groups: Option<Box<GroupIndex>>,
}

impl AnyOf {
    fn always_holds(&self) -> bool {
        self.sets.iter().any(|sets| sets.everyone)
    }

    fn never_holds(&self) -> bool {
        self.sets.is_empty() && self.groups.is_none()
    }

    /// Combines its own rules with the sets of the groups and lists it refers to.
    ///
    /// Small sets are merged, so that their number does not matter; the largest stay shared, so that a
    /// list of thousands is stored once. The number of sets bounds what is copied: memory does not
    /// multiply with the number of applications.
    pub(super) fn new(
        mut own: Collector,
        mut parts: Vec<Arc<Sets>>,
        groups: Option<Box<GroupIndex>>,
    ) -> Self {
        parts.sort_by_key(|part| Arc::as_ptr(part).addr());
        parts.dedup_by(|one, two| Arc::ptr_eq(one, two));
        parts.sort_by_key(|part| part.len());
        let most_copied = parts.len().saturating_mul(MAX_COPIED_PER_SET);
        let first_large = parts.len().saturating_sub(MAX_SHARED_SETS);
        let (mut sets, mut copied) = (Vec::new(), 0_usize);
        for (position, part) in parts.into_iter().enumerate() {
            let with_it = copied.saturating_add(part.len());
            if part.len() > SMALL_SET && (position >= first_large || with_it > most_copied) {
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

/// Groups with their own conditions, of which at least one must hold.
///
/// A group holds only if its `include` does. So of thousands of groups only those are evaluated that
/// name this user or this network.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct GroupIndex {
    /// Positions of groups that are always evaluated.
    pub(in crate::policy) always: Vec<usize>,
    by_email: Positions<Arc<str>>,
    by_domain: Positions<Arc<str>>,
    /// By the length of the prefix.
    by_network: Vec<(u8, Positions<IpNet>)>,
    /// The groups in `by_email` and `by_domain`.
    naming_users: Vec<usize>,
    /// The groups in `by_network`.
    naming_networks: Vec<usize>,
}

/// Positions of groups by what they name. Built from configuration only, so a fixed hash is safe.
type Positions<Key> = HashMap<Key, Vec<usize>, FixedState>;

impl GroupIndex {
    /// Builds an index of groups, each of which is named once.
    ///
    /// The number of groups bounds its size: groups with the longest lists are always evaluated once the
    /// index is full.
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
        let mut room =
            if found.len() > UNINDEXED_GROUPS { found.len() * MAX_NAMES_PER_GROUP } else { 0 };
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
            self.naming_users.push(position);
        }
        if include.sets.iter().any(|set| !set.networks.is_empty()) {
            self.naming_networks.push(position);
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

    /// Returns the groups that name this user.
    pub(in crate::policy) fn for_email(&self, email: &Email) -> impl Iterator<Item = usize> {
        let by_email = self.by_email.get(email.as_str());
        let by_domain = self.by_domain.get(email.domain());
        by_email.into_iter().chain(by_domain).flatten().copied()
    }

    /// Returns the groups with a network that contains this address.
    pub(in crate::policy) fn for_address(&self, address: IpAddr) -> impl Iterator<Item = usize> {
        self.by_network.iter().flat_map(move |(length, networks)| {
            let network = IpNet::new(address, *length).ok().map(|network| network.trunc());
            network.and_then(|network| networks.get(&network)).into_iter().flatten().copied()
        })
    }

    /// Returns the groups that name users.
    pub(in crate::policy) fn naming_users(&self) -> &[usize] {
        &self.naming_users
    }

    /// Returns the groups with networks.
    pub(in crate::policy) fn naming_networks(&self) -> &[usize] {
        &self.naming_networks
    }
}

/// Largest set that is copied instead of shared.
const SMALL_SET: usize = 32;
/// Most sets that are shared instead of copied; each is searched separately.
const MAX_SHARED_SETS: usize = 8;
/// Most entries that are copied per set that is referred to.
const MAX_COPIED_PER_SET: usize = 64;
/// Up to this number of groups, no index is built.
const UNINDEXED_GROUPS: usize = 8;
/// Most names in an index per group in it.
const MAX_NAMES_PER_GROUP: usize = 64;
