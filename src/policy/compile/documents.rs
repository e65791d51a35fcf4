//! Groups and lists as written, by id and name.

use std::collections::HashMap;

use crate::policy::error::PolicyError;
use crate::policy::group::Group;
use crate::policy::list::{List, ListItems};

/// Groups and lists as written, by id and name.
#[derive(Debug, Default)]
pub(in crate::policy) struct Documents {
    pub(in crate::policy) groups: Vec<Group>,
    pub(in crate::policy) lists: Vec<List>,
    group_names: Names,
    list_names: Names,
}

impl Documents {
    pub(in crate::policy) fn new(
        groups: Vec<Group>,
        lists: Vec<List>,
    ) -> Result<Self, PolicyError> {
        let group_names = Names::new(groups.iter().map(|group| (group.id(), &*group.name)))
            .map_err(|id| PolicyError::SameGroup { group: id.into() })?;
        let list_names = Names::new(lists.iter().map(|list| (list.id(), &*list.name)))
            .map_err(|id| PolicyError::SameList { list: id.into() })?;
        Ok(Self { groups, lists, group_names, list_names })
    }

    /// Returns the position of the group with this id or name, if exactly one matches.
    pub(in crate::policy) fn group_number(&self, name: &str) -> Option<usize> {
        self.group_names.find(name)?.ok()
    }

    /// Returns the position of the list with this id or name, if exactly one matches.
    pub(in crate::policy) fn list_number(&self, name: &str) -> Option<usize> {
        self.list_names.find(name)?.ok()
    }

    /// Returns the position of a group that a rule of `holder` refers to.
    pub(super) fn group(&self, holder: &str, name: &str) -> Result<usize, PolicyError> {
        match self.group_names.find(name) {
            Some(Ok(position)) => Ok(position),
            Some(Err(Ambiguous)) => {
                Err(PolicyError::AmbiguousName { holder: holder.into(), name: name.into() })
            }
            None => Err(PolicyError::UnknownGroup { holder: holder.into(), group: name.into() }),
        }
    }

    /// Returns the position of a list of email addresses.
    pub(super) fn email_list(&self, holder: &str, name: &str) -> Result<usize, PolicyError> {
        self.list_of(holder, name, "EMAIL", |items| matches!(items, ListItems::Emails(_)))
    }

    /// Returns the position of a list of networks.
    pub(super) fn ip_list(&self, holder: &str, name: &str) -> Result<usize, PolicyError> {
        self.list_of(holder, name, "IP", |items| matches!(items, ListItems::Networks(_)))
    }

    fn list_of(
        &self,
        holder: &str,
        name: &str,
        kind: &'static str,
        is_kind: impl Fn(&ListItems) -> bool,
    ) -> Result<usize, PolicyError> {
        match self.list_names.find(name) {
            Some(Ok(position))
                if self.lists.get(position).is_some_and(|list| is_kind(&list.items)) =>
            {
                Ok(position)
            }
            Some(Err(Ambiguous)) => {
                Err(PolicyError::AmbiguousName { holder: holder.into(), name: name.into() })
            }
            _ => Err(PolicyError::UnknownList { holder: holder.into(), list: name.into(), kind }),
        }
    }
}

/// Positions by id, and by name if no id is equal to it.
#[derive(Debug, Default)]
struct Names {
    ids: HashMap<Box<str>, usize>,
    names: HashMap<Box<str>, Result<usize, Ambiguous>>,
}

/// A name that is not unique.
#[derive(Clone, Copy, Debug)]
struct Ambiguous;

impl Names {
    /// Fails with an id that is not unique.
    fn new<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, &'a str> {
        let mut found = Self::default();
        for (position, (id, name)) in all.enumerate() {
            if found.ids.insert(id.into(), position).is_some() {
                return Err(id);
            }
            found
                .names
                .entry(name.into())
                .and_modify(|position| *position = Err(Ambiguous))
                .or_insert(Ok(position));
        }
        Ok(found)
    }

    fn find(&self, name: &str) -> Option<Result<usize, Ambiguous>> {
        match self.ids.get(name) {
            Some(position) => Some(Ok(*position)),
            None => self.names.get(name).copied(),
        }
    }
}
