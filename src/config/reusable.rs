//! `access.policies`: policies that applications refer to, by id or by name.

use std::cell::Cell;
use std::collections::HashMap;

use crate::policy::Policy;

use super::policy::check_policy;
use super::reader::{Place, Reader};
use super::tree::{Node, Value};
use crate::util::suggest::closest;

/// The policies that applications may refer to.
#[derive(Debug, Default)]
pub(super) struct Reusable<'t> {
    pub(super) policies: Vec<(Place<'t>, Option<Policy>)>,
    /// Places in `policies`, by what the file calls them: what could not be read is known as well,
    /// and reported where it stands.
    ids: HashMap<&'t str, Vec<usize>>,
    names: HashMap<&'t str, Vec<usize>>,
    /// How many names may still be compared to find those that may be meant.
    left: Cell<usize>,
    /// How many rules links have brought into applications: each has a copy.
    linked_rules: Cell<usize>,
}

impl<'t> Reusable<'t> {
    pub(super) fn read(reader: &mut Reader, access: &Place<'t>) -> Self {
        let mut policies = Vec::new();
        for entry in reader.list(access, "policies") {
            let policy = reader.read::<Policy>(&entry, &["name", "decision", "include"]);
            if let Some(policy) = &policy {
                check_policy(reader, &entry, policy);
            }
            policies.push((entry, policy));
        }
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
        Self { policies, ids, names, left: Cell::new(MOST_COMPARED), linked_rules: Cell::new(0) }
    }

    /// The policy an application links to, with the precedence the link gives it.
    pub(super) fn resolve(&self, reader: &mut Reader, link: &Place<'_>) -> Option<Policy> {
        let (id, precedence) = match &link.node.value {
            Value::Text(_) => (link.clone(), None),
            _ => (link.get("id")?, reader.optional::<u32>(link, "precedence")),
        };
        let text = reader.read::<String>(&id, &[])?;
        if let Some(zero) = precedence.as_ref().filter(|precedence| precedence.value == 0) {
            reader.error_at(zero.at, &zero.key, "a precedence begins at 1");
        }
        let policy = self.find(reader, &id, &text)?.as_ref()?;
        let rules = policy.conditions.rules().count();
        self.linked_rules.set(self.linked_rules.get().saturating_add(rules));
        if self.linked_rules.get() > MOST_LINKED_RULES {
            reader.error(
                &id,
                format_args!(
                    "the policies linked to so far have more than {MOST_LINKED_RULES} rules together; \
                     put the rules into a group, which is kept once for all"
                ),
            );
            return None;
        }
        let mut policy = policy.clone();
        policy.precedence = precedence.map(|precedence| precedence.value);
        Some(policy)
    }

    fn find(&self, reader: &mut Reader, id: &Place<'_>, text: &str) -> Option<&Option<Policy>> {
        let found =
            self.ids.get(text).or_else(|| self.names.get(text)).map_or(&[][..], Vec::as_slice);
        match found {
            [number] => self.policies.get(*number).map(|(_, policy)| policy),
            [] => {
                let known = self.policies.iter().flat_map(|(place, _)| {
                    ["id", "name"].into_iter().filter_map(|key| place.get(key)?.node.text())
                });
                let left = self.left.get();
                self.left.set(left.saturating_sub(self.policies.len()));
                let meant = (left > 0).then(|| closest(text, known)).flatten();
                let hint = match meant {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "define it under `access.policies`".to_owned(),
                };
                let shown: String = text.chars().take(80).collect();
                reader.error(id, format_args!("there is no policy `{shown}`; {hint}"));
                None
            }
            _ => {
                let shown: String = text.chars().take(80).collect();
                reader
                    .error(id, format_args!("`{shown}` is the name of two policies; write the id"));
                None
            }
        }
    }
}

/// An id, or an object with nothing but an id and a precedence.
pub(super) fn is_link(node: &Node) -> bool {
    match &node.value {
        Value::Text(_) => true,
        Value::Mapping(entries) => {
            node.get("id").is_some()
                && entries.iter().all(|entry| matches!(entry.key.as_str(), "id" | "precedence"))
        }
        _ => false,
    }
}

const MOST_COMPARED: usize = 100_000;
/// Bounds the memory of a file in which many applications link to large policies.
const MOST_LINKED_RULES: usize = 1_000_000;
