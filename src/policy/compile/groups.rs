//! Groups and lists, compiled once for all policies.

use std::sync::Arc;

use crate::policy::conditions::Conditions;
use crate::policy::error::PolicyError;
use crate::policy::facts::FactSet;
use crate::policy::group::Group;
use crate::policy::list::ListItems;
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
    /// The number of groups with a slot.
    slots: usize,
}

/// A compiled group.
#[derive(Debug, Default)]
struct CompiledGroup {
    meaning: Meaning,
    traits: Traits,
    depth: usize,
}

/// The compiled form of a group.
#[derive(Debug)]
enum Meaning {
    /// A group that has only an `include`: at least one of these sets must match. Few.
    Sets(Box<[Arc<Sets>]>),
    Condition {
        condition: Condition,
        /// The cache slot of its result, if other groups refer to it.
        slot: Option<usize>,
    },
}

impl Default for Meaning {
    fn default() -> Self {
        Self::Sets(Box::default())
    }
}

/// What a condition and everything it refers to needs.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct Traits {
    pub(in crate::policy) facts: FactSet,
    /// A selector about the user.
    pub(in crate::policy) identity: Option<Selector>,
    pub(in crate::policy) linked_application: bool,
    /// Whether `include` or `require` has a rule that a service token meets.
    pub(in crate::policy) service_token: bool,
}

impl CompiledDefinitions {
    pub(in crate::policy) fn new(documents: &Documents) -> Result<Self, PolicyError> {
        let lists = documents.lists.iter().map(|list| {
            let mut sets = Collector::default();
            match &list.items {
                ListItems::Emails(emails) => emails.iter().for_each(|one| sets.email(one.as_str())),
                ListItems::Networks(networks) => sets.networks(networks.iter().copied()),
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

    /// Compiles a group after the groups it refers to.
    fn compile_group(&mut self, documents: &Documents, position: usize) -> Result<(), PolicyError> {
        let Some(group) = documents.groups.get(position) else { return Ok(()) };
        let mut traits = Traits::default();
        let condition = self.condition(documents, group.id(), &group.conditions, &mut traits)?;
        let depth = self.depth(documents, group)? + 1;
        if depth > MAX_GROUP_DEPTH {
            return Err(PolicyError::TooDeep {
                path: group.id().to_owned(),
                most: MAX_GROUP_DEPTH,
            });
        }
        let is_plain = condition.require.is_empty()
            && condition.exclude.sets.is_empty()
            && condition.exclude.groups.is_none()
            && condition.include.groups.is_none()
            && condition.include.sets.len() <= MAX_SETS;
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

    /// Compiles the conditions of a policy or a group.
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
        // `exclude` rules do not need a service token.
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

    /// Returns the condition of a group that is not expressed as sets, and its slot.
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

/// Returns the positions of all groups, each after those it refers to.
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

/// Visits a group after all groups it refers to. Uses an explicit stack: a file determines the depth.
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
                    if path.len() > MAX_PATH_LENGTH {
                        let path = names(documents, path.iter().map(|(position, _)| *position));
                        return Err(PolicyError::TooDeep { path, most: MAX_GROUP_DEPTH });
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

/// A group with more sets is evaluated separately: its sets are not merged into those that refer to it,
/// which bounds the size of nested groups.
const MAX_SETS: usize = 4;
/// Maximum nesting of groups, which bounds the recursion of evaluation.
const MAX_GROUP_DEPTH: usize = 64;
/// Longest cycle that is reported as a cycle; longer paths are reported as too deep.
const MAX_PATH_LENGTH: usize = 1_000;
