//! What rules may refer to: groups and lists.

use std::collections::HashMap;
use std::sync::Arc;

use crate::secret::sha256;

use super::compile::CompiledDefinitions;
use super::error::PolicyError;
use super::group::Group;
use super::list::{Items, List};

/// The groups and lists that rules may refer to, by id or by name. Cheap to clone.
///
/// Compiled once, and shared by the policies of all applications.
///
/// ```
/// use tower_access::policy::{Definitions, Group, List, Policies, Policy, Rule};
///
/// let board = List::emails("board", ["ada@example.com".parse()?]);
/// let staff = Group::new("staff").include(Rule::email_list("board"));
/// let definitions = Definitions::new([staff], [board])?;
/// let policies =
///     Policies::compile(&[Policy::allow("staff").include(Rule::group("staff"))], &definitions)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Definitions(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    documents: Documents,
    compiled: CompiledDefinitions,
    digest: [u8; 32],
}

impl Definitions {
    /// Takes groups and lists. Groups may refer to groups, at most 64 deep.
    ///
    /// # Errors
    ///
    /// When two groups or two lists share an id, a group refers to something that does not exist,
    /// groups refer to each other in a circle, or are nested too deep.
    pub fn new(
        groups: impl IntoIterator<Item = Group>,
        lists: impl IntoIterator<Item = List>,
    ) -> Result<Self, PolicyError> {
        let documents = Documents::new(groups.into_iter().collect(), lists.into_iter().collect())?;
        let compiled = CompiledDefinitions::new(&documents)?;
        let written = serde_json::to_vec(&(&documents.groups, &documents.lists));
        let digest = sha256(&written.unwrap_or_default());
        Ok(Self(Arc::new(Inner { documents, compiled, digest })))
    }

    /// Tells these from others.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.0.digest
    }

    /// The groups.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.0.documents.groups
    }

    /// The lists.
    #[must_use]
    pub fn lists(&self) -> &[List] {
        &self.0.documents.lists
    }

    /// The group that rules refer to by this id or name, if there is exactly one.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups().get(self.group_number(name)?)
    }

    /// The place among [`groups`](Self::groups) of the group that rules refer to by this name.
    pub(super) fn group_number(&self, name: &str) -> Option<usize> {
        self.0.documents.group_names.find(name)?.ok()
    }

    /// The list that rules refer to by this id or name, if there is exactly one.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&List> {
        let place = self.0.documents.list_names.find(name)?.ok()?;
        self.lists().get(place)
    }

    pub(super) fn documents(&self) -> &Documents {
        &self.0.documents
    }

    pub(super) fn compiled(&self) -> &CompiledDefinitions {
        &self.0.compiled
    }
}

/// Groups and lists as written, found by id or name.
#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) groups: Vec<Group>,
    pub(super) lists: Vec<List>,
    group_names: Names,
    list_names: Names,
}

impl Documents {
    fn new(groups: Vec<Group>, lists: Vec<List>) -> Result<Self, PolicyError> {
        let group_names = Names::new(groups.iter().map(|group| (group.id(), &*group.name)))
            .map_err(|id| PolicyError::SameGroup { group: id.into() })?;
        let list_names = Names::new(lists.iter().map(|list| (list.id(), &*list.name)))
            .map_err(|id| PolicyError::SameList { list: id.into() })?;
        Ok(Self { groups, lists, group_names, list_names })
    }

    /// The place of a group that a rule of `holder` refers to.
    pub(super) fn group(&self, holder: &str, name: &str) -> Result<usize, PolicyError> {
        match self.group_names.find(name) {
            Some(Ok(place)) => Ok(place),
            Some(Err(Ambiguous)) => {
                Err(PolicyError::AmbiguousName { holder: holder.into(), name: name.into() })
            }
            None => Err(PolicyError::UnknownGroup { holder: holder.into(), group: name.into() }),
        }
    }

    /// The place of a list of addresses of people.
    pub(super) fn email_list(&self, holder: &str, name: &str) -> Result<usize, PolicyError> {
        self.list_of(holder, name, "EMAIL", |items| matches!(items, Items::Emails(_)))
    }

    /// The place of a list of networks.
    pub(super) fn ip_list(&self, holder: &str, name: &str) -> Result<usize, PolicyError> {
        self.list_of(holder, name, "IP", |items| matches!(items, Items::Networks(_)))
    }

    fn list_of(
        &self,
        holder: &str,
        name: &str,
        kind: &'static str,
        is_kind: impl Fn(&Items) -> bool,
    ) -> Result<usize, PolicyError> {
        match self.list_names.find(name) {
            Some(Ok(place)) if self.lists.get(place).is_some_and(|list| is_kind(&list.items)) => {
                Ok(place)
            }
            Some(Err(Ambiguous)) => {
                Err(PolicyError::AmbiguousName { holder: holder.into(), name: name.into() })
            }
            _ => Err(PolicyError::UnknownList { holder: holder.into(), list: name.into(), kind }),
        }
    }
}

/// Places by id, and by name where no id is the same.
#[derive(Debug, Default)]
struct Names {
    ids: HashMap<Box<str>, usize>,
    names: HashMap<Box<str>, Result<usize, Ambiguous>>,
}

/// A name that two have.
#[derive(Clone, Copy, Debug)]
struct Ambiguous;

impl Names {
    /// Fails with an id that two have.
    fn new<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, &'a str> {
        let mut found = Self::default();
        for (place, (id, name)) in all.enumerate() {
            if found.ids.insert(id.into(), place).is_some() {
                return Err(id);
            }
            found
                .names
                .entry(name.into())
                .and_modify(|place| *place = Err(Ambiguous))
                .or_insert(Ok(place));
        }
        Ok(found)
    }

    fn find(&self, name: &str) -> Option<Result<usize, Ambiguous>> {
        match self.ids.get(name) {
            Some(place) => Some(Ok(*place)),
            None => self.names.get(name).copied(),
        }
    }
}
