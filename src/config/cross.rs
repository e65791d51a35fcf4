//! Checks between the parts of a file: ids, groups, service tokens, destinations.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::application::Router;
use crate::policy::{Definitions, Group, List, Policies, Policy, PolicyError};

use super::application::ReadApplication;
use super::error::NoteKind;
use super::location::Located;
use super::login_methods;
use super::parts::{Parts, ReadEntries};
use super::reader::{NodeRef, Reader};
use crate::util::suggest::closest;

/// Checks the parts against each other. `None` goes with at least one error.
pub(super) fn check(reader: &mut Reader, written: &Parts<'_, '_>) -> Option<Definitions> {
    let before = reader.errors.len();
    check_ids(reader, written);
    check_destinations(reader, written.applications);
    check_all_references(reader, written);
    let readable = |list: &ReadEntries<'_, List>| -> Vec<List> {
        list.iter().filter_map(|(_, list)| list.clone()).collect()
    };
    let lists = readable(written.lists);
    let all_read = written.lists.iter().all(|(_, list)| list.is_some())
        && written.groups.iter().all(|(_, group)| group.is_some());
    let groups: Vec<Group> = written.groups.iter().filter_map(|(_, group)| group.clone()).collect();
    let definitions = match Definitions::new(groups, lists) {
        Ok(definitions) => definitions,
        Err(error) => {
            report(reader, written, &error, all_read && reader.errors.len() == before);
            return None;
        }
    };
    for read in written.applications {
        check_policies(reader, read, &definitions);
    }
    login_methods::note_everyone(reader, written);
    if let Some(known) = written.login_methods {
        login_methods::check(reader, written, &definitions, known);
    }
    Some(definitions)
}

fn check_all_references(reader: &mut Reader, written: &Parts<'_, '_>) {
    // Invalid entries are known by the id they have in the file.
    let ids = |places: &mut dyn Iterator<Item = &NodeRef<'_>>, keys: &[&str]| -> Vec<String> {
        let found = |place: &NodeRef<'_>| -> Vec<String> {
            keys.iter().filter_map(|key| id_in_file(place, &[*key])).collect()
        };
        places.flat_map(found).collect()
    };
    let groups = ids(&mut written.groups.iter().map(|(place, _)| place), &["id", "name"]);
    let lists = ids(&mut written.lists.iter().map(|(place, _)| place), &["id", "name"]);
    let tokens = written.tokens.iter().map(|(place, _)| place);
    let mut token_ids = Vec::new();
    for place in tokens {
        token_ids.extend(id_in_file(place, &["id", "name"]));
        token_ids.extend(id_in_file(place, &["client_id"]));
    }
    let known = KnownIds {
        groups: groups.iter().map(String::as_str).collect(),
        lists: lists.iter().map(String::as_str).collect(),
        tokens: written.tokens_are_ours.then(|| token_ids.iter().map(String::as_str).collect()),
        stored_tokens: written.stored_service_tokens,
        applications: written.tokens_are_ours.then_some(written.applications),
    };
    let in_applications = written.applications.iter().flat_map(|read| &read.policies);
    let holders = written
        .groups
        .iter()
        .map(|(place, _)| place)
        .chain(written.reusable.policies.iter().map(|(place, _)| place))
        .chain(in_applications.map(|(place, _)| place));
    let mut left = MAX_COMPARED;
    for place in holders {
        check_references(reader, place, &known, &mut left);
    }
}

struct KnownIds<'a> {
    groups: HashSet<&'a str>,
    lists: HashSet<&'a str>,
    /// `None`: the issuer defines them, and any id may exist.
    tokens: Option<HashSet<&'a str>>,
    /// Whether the store may define others.
    stored_tokens: bool,
    /// `None`: the issuer decides about tokens of other applications.
    applications: Option<&'a [ReadApplication<'a>]>,
}

fn id_in_file(place: &NodeRef<'_>, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| place.get(key)).and_then(|id| id.node.text().map(str::to_owned))
}

/// Returns the rules of a policy or group: the key of the selector, and its value.
pub(super) fn rules<'t>(place: &NodeRef<'t>) -> impl Iterator<Item = (&'t str, NodeRef<'t>)> {
    ["include", "require", "exclude"]
        .into_iter()
        .filter_map(|list| place.get(list))
        .flat_map(|list| list.items().collect::<Vec<_>>())
        .filter_map(|rule| {
            let selector = rule.node.entries().first()?.key.as_str();
            Some((selector, rule.get(selector)?))
        })
}

fn check_references(
    reader: &mut Reader,
    place: &NodeRef<'_>,
    known: &KnownIds<'_>,
    left: &mut usize,
) {
    for (selector, value) in rules(place) {
        if selector == "linked_app_token" {
            check_link(reader, &value, known.applications);
            continue;
        }
        let (key, what, under, ids) = match (selector, &known.tokens) {
            ("group", _) => ("id", "rule group", "groups", &known.groups),
            ("email_list" | "ip_list", _) => ("id", "list", "lists", &known.lists),
            ("service_token", Some(tokens)) => {
                ("token_id", "service token", "service_tokens", tokens)
            }
            _ => continue,
        };
        let Some(id) = value.get(key) else { continue };
        let Some(text) = id.node.text().filter(|text| !text.is_empty()) else { continue };
        if ids.contains(text) {
            continue;
        }
        // Comparing each unknown id with all ids would take too long.
        let meant = (*left > 0).then(|| closest(text, ids.iter().copied())).flatten();
        *left = left.saturating_sub(ids.len());
        let hint = match meant {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("define it under `access.{under}`"),
        };
        let text: String = text.chars().take(80).collect();
        if selector == "service_token" && known.stored_tokens {
            reader.note(
                NoteKind::Surprises,
                &id,
                format_args!(
                    "unknown service token `{text}`, and nobody meets the rule until the store has \
                     one with this id or name; {hint}"
                ),
            );
            continue;
        }
        reader.error(&id, format_args!("there is no {what} `{text}`; {hint}"));
    }
}

fn check_link(
    reader: &mut Reader,
    value: &NodeRef<'_>,
    applications: Option<&[ReadApplication<'_>]>,
) {
    let Some(applications) = applications else {
        reader.error(
            value,
            "the issuer decides about tokens of other applications, and they never reach an origin; \
             leave the rule out here",
        );
        return;
    };
    let Some(id) = value.get("app_uid") else { return };
    let Some(text) = id.node.text().filter(|text| !text.is_empty()) else { return };
    let names = || {
        let of = |read: &ReadApplication<'_>| {
            [read.application.id.to_string(), read.application.name.to_string()]
        };
        applications.iter().map(of).collect::<Vec<_>>()
    };
    let shown: String = text.chars().take(80).collect();
    match names().iter().filter(|names| names.iter().any(|name| name == text)).count() {
        1 => {}
        0 => {
            let names = names().concat();
            let hint = match closest(text, names.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "write the id or the name of one under `access.applications`".to_owned(),
            };
            reader.error(&id, format_args!("there is no application `{shown}`; {hint}"));
        }
        _ => reader.error(
            &id,
            format_args!("more than one application is called `{shown}`; write the id"),
        ),
    }
}

/// Reports errors of groups at their definition, unless they follow from errors that were reported.
fn report(reader: &mut Reader, written: &Parts<'_, '_>, error: &PolicyError, is_first: bool) {
    let (path, remedy) = match error {
        PolicyError::Circle { path } => (path.as_str(), "remove one of the references"),
        PolicyError::TooDeep { path, .. } => (path.as_str(), "refer to the inner ones directly"),
        PolicyError::AmbiguousName { holder, .. } | PolicyError::UnknownList { holder, .. } => {
            (&**holder, "write the id of one of the right type")
        }
        _ if is_first => {
            reader.errors.push(super::Problem::new(None, "access.groups", error.to_string()));
            return;
        }
        _ => return,
    };
    let first = path.split(" -> ").next().unwrap_or_default();
    let holder = written
        .groups
        .iter()
        .find(|(_, group)| group.as_ref().is_some_and(|group| group.id() == first))
        .or_else(|| written.groups.first());
    if let Some((place, _)) = holder {
        reader.error(place, format_args!("{error}; {remedy}"));
    }
}

fn check_policies(reader: &mut Reader, read: &ReadApplication<'_>, definitions: &Definitions) {
    let policies: Vec<Policy> = read.policies.iter().map(|(_, policy)| policy.clone()).collect();
    if Policies::compile(&policies, definitions).is_ok() {
        return;
    }
    // Unknown groups and lists, ids and precedences have been reported.
    for (place, policy) in &read.policies {
        let Err(error) = Policies::compile(std::slice::from_ref(policy), definitions) else {
            continue;
        };
        let selector = match &error {
            PolicyError::IdentityRule { selector, .. } => *selector,
            PolicyError::LinkedApplication { .. } => "linked_app_token",
            // Unknown lists have been reported; this one has the other type.
            PolicyError::UnknownList { list, .. } if definitions.list(list).is_none() => continue,
            PolicyError::AmbiguousName { .. } | PolicyError::UnknownList { .. } => "",
            _ => continue,
        };
        let at = rules(place)
            .find(|(found, _)| *found == selector)
            .map(|(_, value)| value)
            .or_else(|| place.get("decision"))
            .unwrap_or_else(|| place.clone());
        reader.error(&at, error);
    }
}

fn check_ids(reader: &mut Reader, all: &Parts<'_, '_>) {
    let Parts { applications, reusable, groups, lists, tokens, .. } = *all;
    let written = |place: &NodeRef<'_>, key: &str| {
        let place = place.get(key).unwrap_or_else(|| place.clone());
        Located { value: (), at: place.at(), key: place.path }
    };
    let id_of =
        |place: &NodeRef<'_>| written(place, if place.get("id").is_some() { "id" } else { "name" });
    let ids = applications.iter().map(|read| {
        let key = if read.place.get("id").is_some() { "id" } else { "domain" };
        (read.application.id.to_string(), written(&read.place, key))
    });
    // Two applications with one destination get the same id; `check_destinations` reports that.
    let ids = ids.filter(|(_, at)| at.key.ends_with(".id"));
    unique(reader, ids, "two applications have the id");
    let audiences = applications
        .iter()
        .filter(|read| read.names_audience)
        .map(|read| (read.application.audience.to_string(), written(&read.place, "aud")));
    unique(
        reader,
        audiences,
        "a token for one would open the other: two applications have the audience",
    );
    let groups = groups
        .iter()
        .filter_map(|(place, group)| Some((group.as_ref()?.id().to_owned(), id_of(place))));
    unique(reader, groups, "two groups have the id");
    let lists = lists
        .iter()
        .filter_map(|(place, list)| Some((list.as_ref()?.id().to_owned(), id_of(place))));
    unique(reader, lists, "two lists have the id");
    let policies = reusable
        .policies
        .iter()
        .filter_map(|(place, policy)| Some((policy.as_ref()?.id().to_owned(), id_of(place))));
    unique(reader, policies, "two policies have the id");
    let valid = || tokens.iter().filter_map(|(place, token)| Some((place, token.as_ref()?)));
    let token_ids = valid().map(|(place, token)| (token.token_id().to_owned(), id_of(place)));
    unique(reader, token_ids, "two service tokens have the id");
    let client_ids =
        valid().map(|(place, token)| (token.client_id.to_string(), written(place, "client_id")));
    unique(reader, client_ids, "two service tokens have the client id");
    for read in applications {
        let policies = || read.policies.iter();
        let policy_ids = policies().map(|(place, policy)| (policy.id().to_owned(), id_of(place)));
        unique(reader, policy_ids, "two policies of one application have the id");
        let precedences = policies().filter_map(|(place, policy)| {
            Some((policy.precedence?.to_string(), written(place, "precedence")))
        });
        unique(reader, precedences, "two policies of one application have the precedence");
    }
}

fn unique(reader: &mut Reader, values: impl Iterator<Item = (String, Located<()>)>, problem: &str) {
    let mut seen = HashMap::new();
    for (value, at) in values {
        if let Some(line) = first_line(&mut seen, value.clone(), at.at.line) {
            reader.error_at(
                at.at,
                &at.key,
                format_args!("{problem} `{value}`; change it here or in line {line}"),
            );
        }
    }
}

/// Returns the line of an earlier entry with the same value.
fn first_line<K: Eq + Hash>(seen: &mut HashMap<K, u64>, value: K, line: u64) -> Option<u64> {
    match seen.entry(value) {
        std::collections::hash_map::Entry::Occupied(earlier) => Some(*earlier.get()),
        std::collections::hash_map::Entry::Vacant(free) => {
            free.insert(line);
            None
        }
    }
}

fn check_destinations(reader: &mut Reader, applications: &[ReadApplication<'_>]) {
    let before = reader.errors.len();
    let mut seen: HashMap<_, (usize, u64)> = HashMap::new();
    for (number, read) in applications.iter().enumerate() {
        for destination in &read.destinations {
            let (owner, line) =
                *seen.entry(&destination.value).or_insert((number, destination.at.line));
            if owner != number {
                reader.error_at(
                    destination.at,
                    &destination.key,
                    format_args!(
                        "`{}` belongs to two applications; remove it here or in line {line}",
                        destination.value
                    ),
                );
            }
        }
    }
    let all = applications.iter().enumerate().flat_map(|(number, read)| {
        read.application.destinations().iter().map(move |one| (one.clone(), number))
    });
    match Router::new(all) {
        Ok(router) => check_deny_urls(reader, applications, &router),
        Err(error) if reader.errors.len() == before => {
            reader.errors.push(super::Problem::new(None, "access.applications", error.to_string()));
        }
        Err(_) => {}
    }
}

/// Reports deny URLs of the application itself, where users would be denied again.
fn check_deny_urls(
    reader: &mut Reader,
    applications: &[ReadApplication<'_>],
    router: &Router<usize>,
) {
    for (number, read) in applications.iter().enumerate() {
        let application = &read.application;
        let urls = [
            ("custom_deny_url", &application.custom_deny_url),
            ("custom_non_identity_deny_url", &application.custom_non_identity_deny_url),
        ];
        for (key, url) in urls {
            if url.as_ref().is_some_and(|url| url.is_located_at(router, &number))
                && let Some(value) = read.place.get(key)
            {
                reader.error(
                    &value,
                    "this is a URL of the application itself, where denied users are denied again; write \
                     one outside of it",
                );
            }
        }
    }
}

/// Names that are compared for suggestions, at most.
const MAX_COMPARED: usize = 100_000;
