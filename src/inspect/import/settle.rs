//! Builds the configuration repeatedly until the reader of configurations accepts it.

use std::collections::{HashMap, HashSet};

use crate::config::{ConfigErrors, Environment, MAX_FILE_BYTES, read_text};
use crate::policy::Policy;

use super::document::{ApplicationPolicy, Document};
use super::error::ImportError;
use super::inventory::Inventory;
use super::note::{ImportNote, ImportNoteKind};
use super::references::References;
use super::refusals::Refusals;
use super::{application, organization, policy, provider};

/// Returns the configuration and its notes.
pub(super) fn build_valid(inventory: &Inventory) -> Result<(String, Vec<ImportNote>), ImportError> {
    let mut refusals = Refusals::default();
    loop {
        let (document, notes) = build(inventory, &refusals);
        if document.applications.is_empty() {
            return Err(ImportError::NoApplication);
        }
        let yaml = document.to_yaml();
        if yaml.len() > MAX_FILE_BYTES {
            return Err(ImportError::NotLoadable(ConfigErrors::for_file(
                NAME,
                "it would be larger than 16 mebibytes",
            )));
        }
        let Err(errors) = read_text(&yaml, &Environment::empty()) else { return Ok((yaml, notes)) };
        let before = refusals.len();
        for error in &errors {
            record_refusal(&document, error.key(), error.message(), &mut refusals);
        }
        // Each round removes something, so that the loop ends.
        if refusals.len() == before {
            return Err(ImportError::NotLoadable(ConfigErrors::new(NAME, errors)));
        }
    }
}

fn build(inventory: &Inventory, refusals: &Refusals) -> (Document, Vec<ImportNote>) {
    let mut notes = inventory.notes.clone();
    let organization = organization::convert(inventory, refusals, &mut notes);
    let providers = provider::convert_all(inventory, refusals, &mut notes);
    let logs_in_by_pin = organization.one_time_pin.is_some() || providers.is_empty();
    let references = References::new(inventory, refusals, logs_in_by_pin, &mut notes);
    let converted: HashMap<&str, Option<Policy>> = inventory
        .policies
        .iter()
        .map(|entry| (&*entry.key, policy::convert(entry, &references, refusals, &mut notes)))
        .collect();
    let login_methods: HashSet<&str> = providers
        .iter()
        .map(|provider| &*provider.key)
        .chain(organization.one_time_pin.as_deref())
        .collect();
    let applications =
        application::convert_all(inventory, (&converted, &login_methods), refusals, &mut notes);
    let shared = application::shared_policies(inventory);
    let policies = inventory
        .policies
        .iter()
        .filter(|entry| shared.contains(&*entry.key))
        .filter_map(|entry| Some((entry.key.clone(), converted.get(&*entry.key)?.clone()?)))
        .collect();
    notes.push(ImportNote::new(
        ImportNoteKind::ToBeAdded,
        ("", ""),
        "ingress",
        "exports do not contain your services; write them as the beginning of the file shows",
    ));
    if logs_in_by_pin {
        notes.push(ImportNote::new(
            ImportNoteKind::ToBeAdded,
            ("", ""),
            "access.mail",
            "codes are printed to the console; write how to send mail",
        ));
    }
    let tables = [
        &inventory.groups,
        &inventory.lists,
        &inventory.tokens,
        &inventory.providers,
        &inventory.applications,
    ];
    let names = tables
        .into_iter()
        .flat_map(|table| table.iter())
        .filter_map(|entry| Some((entry.id()?.to_owned(), entry.name().to_owned())))
        .collect();
    let References { groups, lists, tokens, .. } = references;
    let document =
        Document { organization, providers, applications, policies, groups, lists, tokens, names };
    (document, notes)
}

/// Records the object that an error is about.
fn record_refusal(document: &Document, key: &str, message: &str, refusals: &mut Refusals) {
    let Some(rest) = key.strip_prefix("access.") else { return };
    let (section, number, rest) = split(rest);
    let reason = message.to_owned();
    let key_of = |entries: &[(String, Policy)]| Some(entries.get(number?)?.0.clone());
    match section {
        "applications" => {
            let Some(application) = number.and_then(|number| document.applications.get(number))
            else {
                return;
            };
            let (setting, inner, _) = split(rest);
            let policy = inner.and_then(|inner| application.policies.get(inner));
            match (setting, policy) {
                ("policies", Some(ApplicationPolicy::Inline(policy))) => {
                    let id = policy.id().to_owned();
                    refusals.policies.entry(id).or_insert(reason);
                }
                _ if application.settings.iter().any(|(key, _)| key == setting) => {
                    let place = (application.key.clone(), setting.to_owned());
                    refusals.settings.entry(place).or_insert(reason);
                }
                _ => {
                    refusals.applications.entry(application.key.clone()).or_insert(reason);
                }
            }
        }
        "policies" => {
            if let Some(key) = key_of(&document.policies) {
                refusals.policies.entry(key).or_insert(reason);
            }
        }
        "groups" => {
            if let Some((key, _)) = number.and_then(|number| document.groups.get(number)) {
                refusals.groups.entry(key.clone()).or_insert(reason);
            }
        }
        "lists" => {
            if let Some((key, _)) = number.and_then(|number| document.lists.get(number)) {
                refusals.lists.entry(key.clone()).or_insert(reason);
            }
        }
        "identity_providers" => {
            if let Some(provider) = number.and_then(|number| document.entry_of_provider(number)) {
                refusals.providers.entry(provider.to_owned()).or_insert(reason);
            }
        }
        "service_tokens" => {
            if let Some(token) = number.and_then(|number| document.tokens.get(number)) {
                refusals.tokens.entry(token.key.clone()).or_insert(reason);
            }
        }
        "team_domain" | "session_duration" | "one_time_pin" => {
            refusals.organization.entry(section.to_owned()).or_insert(reason);
        }
        _ => {}
    }
}

/// Splits a path into its first key, the number in brackets, and the rest: `groups[3].include` into
/// `groups`, 3 and `include`.
fn split(path: &str) -> (&str, Option<usize>, &str) {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (key, rest) = path.split_at(end);
    let (number, rest) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((number, rest)) => (number.parse().ok(), rest),
        None => (None, rest),
    };
    (key, number, rest.strip_prefix('.').unwrap_or(rest))
}

/// The file name of the configuration in errors.
const NAME: &str = "import";
