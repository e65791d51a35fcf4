//! Groups and lists that rules refer to.

use std::sync::Arc;

use crate::secret::sha256;

use super::compile::{CompiledDefinitions, Documents};
use super::error::PolicyError;
use super::group::Group;
use super::list::List;

/// The groups and lists that rules refer to, by id or by name. Cheap to clone.
///
/// Compiled once and shared by the policies of all applications.
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
    /// Compiles groups and lists. Groups may refer to groups, at most 64 deep.
    ///
    /// # Errors
    ///
    /// If two groups or two lists have the same id, a group refers to a group or list that does not
    /// exist, groups form a cycle, or they are nested too deep.
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

    /// Returns a digest of all groups and lists.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.0.digest
    }

    /// Returns the groups.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.0.documents.groups
    }

    /// Returns the lists.
    #[must_use]
    pub fn lists(&self) -> &[List] {
        &self.0.documents.lists
    }

    /// Returns the group with this id or name, if exactly one matches.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups().get(self.group_number(name)?)
    }

    /// Returns the position among [`groups`](Self::groups) of the group with this id or name.
    pub(super) fn group_number(&self, name: &str) -> Option<usize> {
        self.0.documents.group_number(name)
    }

    /// Returns the list with this id or name, if exactly one matches.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<&List> {
        self.lists().get(self.0.documents.list_number(name)?)
    }

    pub(super) fn documents(&self) -> &Documents {
        &self.0.documents
    }

    pub(super) fn compiled(&self) -> &CompiledDefinitions {
        &self.0.compiled
    }
}
