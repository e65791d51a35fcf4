//! The objects of the export, by kind and id.

use std::collections::HashMap;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::ImportError;
use super::kind::Kind;
use super::note::{ImportNote, ImportNoteKind, one_line};
use super::source::{Items, Object, Source};

/// All objects of the files.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    pub(super) applications: Table,
    pub(super) policies: Table,
    pub(super) groups: Table,
    pub(super) lists: Table,
    pub(super) tokens: Table,
    pub(super) providers: Table,
    pub(super) organizations: Table,
    /// Entries of lists from separate files, by the list's key.
    pub(super) items: HashMap<String, Vec<Value>>,
    pub(super) notes: Vec<ImportNote>,
}

/// Objects of one kind, in the order they were found.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    places: HashMap<String, usize>,
}

/// An object.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its id; without one its name, or a unique text.
    pub(super) key: String,
    pub(super) file: String,
    pub(super) kind: Kind,
    pub(super) fields: Map<String, Value>,
    /// Whether it was found outside of an application.
    pub(super) stands_alone: bool,
}

impl Entry {
    /// Returns its name.
    pub(super) fn name(&self) -> &str {
        self.text("name").unwrap_or(&self.key)
    }

    /// Returns the id by which others refer to it, unless that is its name.
    pub(super) fn id(&self) -> Option<&str> {
        Some(&*self.key).filter(|key| *key != self.name())
    }

    /// Returns a text that is not empty.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Returns the description of the object for notes.
    pub(super) fn object(&self) -> String {
        let (kind, name, key) = (self.kind.as_str(), self.name(), &self.key);
        if name == key { format!("{kind} `{name}`") } else { format!("{kind} `{name}` ({key})") }
    }

    pub(super) fn note(
        &self,
        kind: ImportNoteKind,
        key: &str,
        message: impl std::fmt::Display,
    ) -> ImportNote {
        ImportNote::new(kind, (&self.file, &self.object()), key, message)
    }
}

impl Table {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(*self.places.get(key)?)
    }

    /// Adds an object, or merges it with an earlier version.
    fn add(&mut self, entry: Entry, notes: &mut Vec<ImportNote>) -> Result<(), ImportError> {
        let known = self.places.get(&entry.key).and_then(|place| self.entries.get_mut(*place));
        match known {
            Some(known) => merge(known, entry, notes),
            None => {
                self.places.insert(entry.key.clone(), self.entries.len());
                self.entries.push(entry);
                Ok(())
            }
        }
    }
}

impl Inventory {
    pub(super) fn new(source: Source) -> Result<Self, ImportError> {
        let mut inventory = Self { notes: source.notes, ..Self::default() };
        for object in source.objects {
            inventory.add(object)?;
        }
        for items in source.items {
            inventory.add_items(items);
        }
        inventory.adopt_policies();
        Ok(inventory)
    }

    fn add(&mut self, object: Object) -> Result<(), ImportError> {
        let Object { file, kind, mut fields } = object;
        let number = table_of(self, kind).entries.len() + 1;
        let key = key_of(&fields).unwrap_or_else(|| format!("{} {number}", kind.as_str()));
        if kind == Kind::Application {
            take_policies(&mut self.policies, &mut self.notes, &file, &key, &mut fields)?;
        }
        let mut notes = Vec::new();
        let entry = Entry { key, file, kind, fields, stands_alone: true };
        let added = table_of(self, kind).add(entry, &mut notes);
        self.notes.append(&mut notes);
        added
    }

    /// Adds entries to the list that the file is named after: `<id>.json`, or `<id>/items.json`.
    fn add_items(&mut self, items: Items) {
        let owner = names_in(&items.file).find(|name| self.lists.get(name).is_some());
        match owner {
            Some(owner) => self.items.entry(owner.to_owned()).or_default().extend(items.values),
            None => self.notes.push(ImportNote::new(
                ImportNoteKind::NotCarriedOver,
                (&items.file, ""),
                "",
                "entries of an unknown list; name the file after the list's id, such as `<id>.json`, and \
                 import the list as well",
            )),
        }
    }

    /// Gives an application without policies those of the file that is named after it.
    fn adopt_policies(&mut self) {
        for application in &mut self.applications.entries {
            if application.fields.get("policies").is_some_and(|policies| !policies.is_null()) {
                continue;
            }
            let links: Vec<Value> = self
                .policies
                .iter()
                .filter(|policy| {
                    policy.stands_alone
                        && names_in(&policy.file).any(|name| name == application.key)
                })
                .map(|policy| link(&policy.key, policy.fields.get("precedence")))
                .collect();
            if !links.is_empty() {
                application.fields.insert("policies".to_owned(), Value::Array(links));
            }
        }
    }
}

fn table_of(inventory: &mut Inventory, kind: Kind) -> &mut Table {
    match kind {
        Kind::Application => &mut inventory.applications,
        Kind::Policy => &mut inventory.policies,
        Kind::Group => &mut inventory.groups,
        Kind::List | Kind::Items => &mut inventory.lists,
        Kind::ServiceToken => &mut inventory.tokens,
        Kind::IdentityProvider => &mut inventory.providers,
        Kind::Organization => &mut inventory.organizations,
    }
}

fn key_of(fields: &Map<String, Value>) -> Option<String> {
    ["id", "uid", "name", "client_id", "auth_domain"].iter().find_map(|key| {
        match fields.get(*key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    })
}

/// Moves an application's policies to the others and leaves links. What is neither a policy nor a
/// link is left as it is.
fn take_policies(
    table: &mut Table,
    notes: &mut Vec<ImportNote>,
    file: &str,
    application: &str,
    fields: &mut Map<String, Value>,
) -> Result<(), ImportError> {
    let Some(Value::Array(policies)) = fields.get_mut("policies") else { return Ok(()) };
    for (number, policy) in policies.iter_mut().enumerate() {
        match policy {
            Value::String(id) => *policy = link(&id.clone(), None),
            Value::Object(inner) if is_link(inner) => {}
            Value::Object(inner) => {
                let key = match inner.get("id").and_then(Value::as_str) {
                    Some(id) if !id.is_empty() => id.to_owned(),
                    _ => format!("{application} policy {}", number + 1),
                };
                let link = link(&key, inner.get("precedence"));
                let fields = std::mem::take(inner);
                *policy = link;
                let kind = Kind::Policy;
                let file = file.to_owned();
                table.add(Entry { key, file, kind, fields, stands_alone: false }, notes)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_link(fields: &Map<String, Value>) -> bool {
    fields.contains_key("id")
        && fields.keys().all(|key| matches!(key.as_str(), "id" | "precedence"))
}

fn link(key: &str, precedence: Option<&Value>) -> Value {
    let mut link = Map::new();
    link.insert("id".to_owned(), key.into());
    if let Some(precedence) = precedence {
        link.insert("precedence".to_owned(), precedence.clone());
    }
    Value::Object(link)
}

/// Merges two versions of one object. Where they differ, the newer one takes precedence.
fn merge(known: &mut Entry, other: Entry, notes: &mut Vec<ImportNote>) -> Result<(), ImportError> {
    known.stands_alone |= other.stands_alone;
    let moment = |entry: &Entry| {
        let text = entry.fields.get("updated_at").and_then(Value::as_str)?;
        OffsetDateTime::parse(text, &Rfc3339).ok()
    };
    let order = moment(known).zip(moment(&other)).map(|(one, two)| one.cmp(&two));
    let mut differs = None;
    for (key, value) in other.fields {
        match known.fields.get(&key) {
            Some(earlier) if *earlier != value && !is_metadata(&key) => {
                if order.is_none_or(std::cmp::Ordering::is_eq) {
                    return Err(ImportError::TwoVersions {
                        first: known.file.clone(),
                        second: other.file,
                        object: one_line(&known.object()).into(),
                        key: one_line(&key).into(),
                    });
                }
                differs.get_or_insert_with(|| key.clone());
                if order.is_some_and(std::cmp::Ordering::is_lt) {
                    known.fields.insert(key, value);
                }
            }
            Some(_) => {}
            None => {
                known.fields.insert(key, value);
            }
        }
    }
    if order.is_some_and(std::cmp::Ordering::is_lt) {
        known.file = other.file;
    }
    if let Some(key) = differs {
        notes.push(known.note(
            ImportNoteKind::NotCarriedOver,
            &key,
            "there are two versions, which differ here; the newer one (`updated_at`) was used",
        ));
    }
    Ok(())
}

/// Whether a key does not affect what an object does. A policy's precedence belongs to the link to it.
fn is_metadata(key: &str) -> bool {
    matches!(
        key,
        "created_at"
            | "updated_at"
            | "app_count"
            | "count"
            | "list_count"
            | "precedence"
            | "reusable"
            | "last_seen_at"
    )
}

/// Returns the parts of a file's name, without extensions.
fn names_in(file: &str) -> impl Iterator<Item = &str> {
    file.split(['/', '\\'])
        .map(|part| part.split('.').next().unwrap_or(part))
        .filter(|part| !part.is_empty())
}
