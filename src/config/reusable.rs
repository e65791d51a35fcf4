//! `access.policies`: policies that applications refer to, by id or by name.

use std::cell::Cell;
use std::collections::HashMap;

use crate::policy::Policy;

use super::reader::{NodeRef, Reader};
use super::tree::{Node, Value};
use crate::util::suggest::closest;

/// The policies that applications may refer to.
#[derive(Debug, Default)]
pub(super) struct Reusable<'t> {
    pub(super) policies: Vec<(NodeRef<'t>, Option<Policy>)>,
    /// Indexes in `policies`, by id and by name. Invalid policies are listed as well: they are reported
    /// where they are defined.
    ids: HashMap<&'t str, Vec<usize>>,
    names: HashMap<&'t str, Vec<usize>>,
    /// Names that may still be compared for suggestions.
    comparisons_left: Cell<usize>,
    /// Rules that links have copied into applications.
    linked_rules: Cell<usize>,
}

impl<'t> Reusable<'t> {
    pub(super) fn read(reader: &mut Reader, access: &NodeRef<'t>) -> Self {
        let policies = reader.entries::<Policy>(access, "policies");
        let called = |key: &str| {
            let mut called: HashMap<&'t str, Vec<usize>> = HashMap::new();
            for (number, (place, _)) in policies.iter().enumerate() {
                if let Some(text) = place.get(key).and_then(|called| called.node.text()) {
                    called.entry(text).or_default().push(number);
                }
            }
            called
        };
        let (ids, names) = (called("id"), called("name"));
        Self {
            policies,
            ids,
            names,
            comparisons_left: Cell::new(MAX_COMPARED),
            linked_rules: Cell::new(0),
        }
    }

    /// Returns the policy that an application links to, with the precedence of the link.
    pub(super) fn resolve(&self, reader: &mut Reader, link: &NodeRef<'_>) -> Option<Policy> {
        let (id, precedence) = match &link.node.value {
            Value::Text(_) => (link.clone(), None),
            _ => (link.get("id")?, reader.optional::<u32>(link, "precedence")),
        };
        let text = reader.read::<String>(&id, &[])?;
        if let Some(zero) = precedence.as_ref().filter(|precedence| precedence.value == 0) {
            reader.error_at(zero.at, &zero.key, "invalid precedence; write a number from 1");
        }
        let policy = self.find(reader, &id, &text)?.as_ref()?;
        let rules = policy.conditions.rules().count();
        self.linked_rules.set(self.linked_rules.get().saturating_add(rules));
        if self.linked_rules.get() > MAX_LINKED_RULES {
            reader.error(
                &id,
                format_args!(
                    "the policies linked to so far have more than {MAX_LINKED_RULES} rules together; \
                     move the rules into a group, which is stored once"
                ),
            );
            return None;
        }
        let mut policy = policy.clone();
        policy.precedence = precedence.map(|precedence| precedence.value);
        Some(policy)
    }

    fn find(&self, reader: &mut Reader, id: &NodeRef<'_>, text: &str) -> Option<&Option<Policy>> {
        let found =
            self.ids.get(text).or_else(|| self.names.get(text)).map_or(&[][..], Vec::as_slice);
        match found {
            [number] => self.policies.get(*number).map(|(_, policy)| policy),
            [] => {
                let known = self.policies.iter().flat_map(|(place, _)| {
                    ["id", "name"].into_iter().filter_map(|key| place.get(key)?.node.text())
                });
                let left = self.comparisons_left.get();
                self.comparisons_left.set(left.saturating_sub(self.policies.len()));
                let meant = (left > 0).then(|| closest(text, known)).flatten();
                let hint = match meant {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "define it under `access.policies`".to_owned(),
                };
                let name: String = text.chars().take(80).collect();
                reader.error(id, format_args!("there is no policy `{name}`; {hint}"));
                None
            }
            _ => {
                let name: String = text.chars().take(80).collect();
                reader
                    .error(id, format_args!("`{name}` is the name of two policies; write the id"));
                None
            }
        }
    }
}

/// Whether an entry is an id, or an object with only an id and a precedence.
pub(super) fn is_link(node: &Node) -> bool {
    match &node.value {
        Value::Text(_) => true,
        Value::Mapping(entries) => {
            node.get("id").is_some_and(|id| !id.is_null())
                && entries.iter().all(|entry| matches!(entry.key.as_str(), "id" | "precedence"))
        }
        _ => false,
    }
}

const MAX_COMPARED: usize = 100_000;
/// Bounds the memory for a file in which many applications link to large policies.
const MAX_LINKED_RULES: usize = 1_000_000;
