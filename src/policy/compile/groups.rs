//! Groups and lists, compiled once for all who refer to them.

use std::sync::Arc;

use crate::policy::conditions::Conditions;
use crate::policy::error::PolicyError;
use crate::policy::facts::FactSet;
use crate::policy::group::Group;
use crate::policy::list::Items;
use crate::policy::rule::{Reference, Rule, Selector};

use super::condition::{AnyOf, Condition, GroupIndex};
use super::documents::Documents;
use super::sets::{Collector, Sets};

/// Compiled groups and lists, by their positions in the documents.
#[derive(Debug, Default)]
pub(in crate::policy) struct CompiledDefinitions {
    groups: Vec<CompiledGroup>,
    /// `None`: an empty list.
    lists: Vec<Option<Arc<Sets>>>,
    /// How many groups have a slot.
    slots: usize,
}

/// A group.
#[derive(Debug, Default)]
struct CompiledGroup {
    meaning: Meaning,
    traits: Traits,
    depth: usize,
}

/// What a group comes to.
#[derive(Debug)]
enum Meaning {
    /// One of these few holds: a group with an `include` alone.
    Sets(Box<[Arc<Sets>]>),
    Condition {
        condition: Condition,
        /// Where its outcome is remembered, if other groups refer to it.
        slot: Option<usize>,
    },
}

impl Default for Meaning {
    fn default() -> Self {
        Self::Sets(Box::default())
    }
}

/// What a condition asks for, with all it refers to.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Traits {
    pub(in crate::policy) facts: FactSet,
    /// A selector about who logged in.
    pub(in crate::policy) identity: Option<Selector>,
    pub(in crate::policy) linked_application: bool,
    /// A rule that a service token fulfils, where it opens: in `include` or `require`.
    pub(in crate::policy) service_token: bool,
}

impl CompiledDefinitions {
    pub(in crate::policy) fn new(documents: &Documents) -> Result<Self, PolicyError> {
        let lists = documents.lists.iter().map(|list| {
            let mut sets = Collector::default();
            match &list.items {
                Items::Emails(emails) => emails.iter().for_each(|one| sets.email(one.as_str())),
                Items::Networks(networks) => sets.networks(networks.iter().copied()),
            }
            sets.finish()
        });
        let mut compiled = Self { lists: lists.collect(), ..Self::default() };
        compiled.groups.resize_with(documents.groups.len(), CompiledGroup::default);
        for position in bottom_up(documents)? {
            compiled.compile_group(documents, position)?;
        }
        Ok(compiled)
    }

    /// A group whose own groups are compiled.
    fn compile_group(&mut self, documents: &Documents, position: usize) -> Result<(), PolicyError> {
        let Some(group) = documents.groups.get(position) else { return Ok(()) };
        let mut traits = Traits::default();
        let condition = self.condition(documents, group.id(), &group.conditions, &mut traits)?;
        let depth = self.depth(documents, group)? + 1;
        if depth > DEEPEST {
            return Err(PolicyError::TooDeep { path: group.id().to_owned(), most: DEEPEST });
        }
        let is_plain = condition.require.is_empty()
            && condition.exclude.sets.is_empty()
            && condition.exclude.groups.is_none()
            && condition.include.groups.is_none()
            && condition.include.sets.len() <= MOST_SETS;
        let meaning = if is_plain {
            Meaning::Sets(condition.include.sets)
        } else {
            Meaning::Condition { condition, slot: None }
        };
        for rule in group.conditions.rules() {
            if let Rule::Group(name) = rule {
                let inner = documents.group(group.id(), name)?;
                if let Some(CompiledGroup { meaning: Meaning::Condition { slot, .. }, .. }) =
                    self.groups.get_mut(inner)
                    && slot.is_none()
                {
                    *slot = Some(self.slots);
                    self.slots += 1;
                }
            }
        }
        if let Some(compiled) = self.groups.get_mut(position) {
            *compiled = CompiledGroup { meaning, traits, depth };
        }
        Ok(())
    }

    fn depth(&self, documents: &Documents, group: &Group) -> Result<usize, PolicyError> {
        let mut deepest = 0;
        for rule in group.conditions.rules() {
            if let Rule::Group(name) = rule {
                let position = documents.group(group.id(), name)?;
                deepest = deepest.max(self.groups.get(position).map_or(0, |group| group.depth));
            }
        }
        Ok(deepest)
    }

    /// The rules of a policy or a group.
    pub(super) fn condition(
        &self,
        documents: &Documents,
        holder: &str,
        conditions: &Conditions,
        traits: &mut Traits,
    ) -> Result<Condition, PolicyError> {
        let mut any_of = |rules: &[Rule]| self.any_of(documents, holder, rules, traits);
        let include = any_of(&conditions.include)?;
        let require = conditions
            .require
            .iter()
            .map(|rule| any_of(std::slice::from_ref(rule)))
            .collect::<Result<_, _>>()?;
        let service_token = traits.service_token;
        let exclude = self.any_of(documents, holder, &conditions.exclude, traits)?;
        // What excludes service tokens does not ask for one.
        traits.service_token = service_token;
        Ok(Condition { include, require, exclude })
    }

    fn any_of(
        &self,
        documents: &Documents,
        holder: &str,
        rules: &[Rule],
        traits: &mut Traits,
    ) -> Result<AnyOf, PolicyError> {
        let mut own = Collector::default();
        let mut parts: Vec<Arc<Sets>> = Vec::new();
        let mut groups = Vec::new();
        for rule in rules {
            traits.add(rule);
            match own.rule(rule) {
                None => {}
                Some(Reference::EmailList(name)) => {
                    parts.extend(self.list(documents.email_list(holder, name)?));
                }
                Some(Reference::IpList(name)) => {
                    parts.extend(self.list(documents.ip_list(holder, name)?));
                }
                Some(Reference::Group(name)) => {
                    let position = documents.group(holder, name)?;
                    let Some(group) = self.groups.get(position) else { continue };
                    traits.join(&group.traits);
                    match &group.meaning {
                        Meaning::Sets(sets) => parts.extend(sets.iter().cloned()),
                        Meaning::Condition { .. } => groups.push(position),
                    }
                }
            }
        }
        groups.sort_unstable();
        groups.dedup();
        let index =
            GroupIndex::new(&groups, |position| self.group(position).map(|(group, _)| group));
        let any = AnyOf::new(own, parts, index);
        traits.facts = any.sets.iter().fold(traits.facts, |facts, sets| facts.union(sets.facts));
        Ok(any)
    }

    fn list(&self, position: usize) -> Option<Arc<Sets>> {
        self.lists.get(position).cloned().flatten()
    }

    /// A group that is more than sets, and its slot.
    pub(in crate::policy) fn group(&self, position: usize) -> Option<(&Condition, Option<usize>)> {
        match &self.groups.get(position)?.meaning {
            Meaning::Condition { condition, slot } => Some((condition, *slot)),
            Meaning::Sets(_) => None,
        }
    }

    pub(in crate::policy) fn slots(&self) -> usize {
        self.slots
    }
}

impl Traits {
    fn add(&mut self, rule: &Rule) {
        let selector = rule.selector();
        if selector.is_about_identity() {
            self.identity = self.identity.or(Some(selector));
        }
        self.linked_application |= selector == Selector::LinkedAppToken;
        self.service_token |=
            matches!(selector, Selector::ServiceToken | Selector::AnyValidServiceToken);
    }

    fn join(&mut self, other: &Self) {
        self.facts = self.facts.union(other.facts);
        self.identity = self.identity.or(other.identity);
        self.linked_application |= other.linked_application;
        self.service_token |= other.service_token;
    }
}

/// The positions of all groups, each behind those it refers to.
fn bottom_up(documents: &Documents) -> Result<Vec<usize>, PolicyError> {
    let mut order = Vec::with_capacity(documents.groups.len());
    let mut state = vec![State::New; documents.groups.len()];
    for position in 0..documents.groups.len() {
        visit(documents, position, &mut state, &mut order)?;
    }
    Ok(order)
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    New,
    Open,
    Done,
}

/// Puts a group behind all it refers to. A stack of our own: depth comes from a file.
fn visit(
    documents: &Documents,
    first: usize,
    state: &mut [State],
    order: &mut Vec<usize>,
) -> Result<(), PolicyError> {
    let mut path: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut next = Some(first);
    loop {
        if let Some(position) = next.take() {
            match state.get(position) {
                Some(State::New) => {
                    if path.len() > MOST_ON_PATH {
                        let path = names(documents, path.iter().map(|(position, _)| *position));
                        return Err(PolicyError::TooDeep { path, most: DEEPEST });
                    }
                    set(state, position, State::Open);
                    path.push((position, references(documents, position)?));
                }
                Some(State::Open) => {
                    let circle = path.iter().map(|(on_path, _)| *on_path);
                    let circle =
                        circle.skip_while(|on_path| *on_path != position).chain([position]);
                    return Err(PolicyError::Circle { path: names(documents, circle) });
                }
                Some(State::Done) | None => {}
            }
        }
        let Some((position, left)) = path.last_mut() else { return Ok(()) };
        match left.pop() {
            Some(inner) => next = Some(inner),
            None => {
                let position = *position;
                set(state, position, State::Done);
                order.push(position);
                path.pop();
            }
        }
    }
}

fn set(state: &mut [State], position: usize, new: State) {
    if let Some(state) = state.get_mut(position) {
        *state = new;
    }
}

fn references(documents: &Documents, position: usize) -> Result<Vec<usize>, PolicyError> {
    let Some(group) = documents.groups.get(position) else { return Ok(Vec::new()) };
    let named = group.conditions.rules().filter_map(|rule| {
        if let Rule::Group(name) = rule { Some(documents.group(group.id(), name)) } else { None }
    });
    named.collect()
}

fn names(documents: &Documents, positions: impl Iterator<Item = usize>) -> String {
    let ids: Vec<&str> = positions
        .filter_map(|position| documents.groups.get(position))
        .map(|group| group.id())
        .collect();
    ids.join(" -> ")
}

/// A group of more sets is looked at by itself: its sets are not handed up to those who refer to
/// it, and what groups in groups in groups come to stays as small as they are written.
const MOST_SETS: usize = 4;
/// How deep groups may refer to groups: evaluation goes down as deep.
const DEEPEST: usize = 64;
/// A circle as long as this is reported as one; what is longer is too deep in any case.
const MOST_ON_PATH: usize = 1_000;
