//! What parts of a file say about each other: ids, groups, service tokens, destinations.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::application::Router;
use crate::policy::{Group, Policies, Policy, PolicyError, Rule};
use crate::service_token::ServiceToken;

use super::application::ReadApplication;
use super::location::Located;
use super::reader::{Place, Reader};
use super::suggest::closest;

/// A list entry and what was read from it.
type Entries<'t, T> = [(Place<'t>, Option<T>)];

pub(super) fn check(
    reader: &mut Reader,
    applications: &[ReadApplication<'_>],
    groups: &Entries<'_, Group>,
    tokens: &Entries<'_, ServiceToken>,
    tokens_are_ours: bool,
) {
    let before = reader.errors.len();
    check_ids(reader, applications, groups, tokens);
    check_destinations(reader, applications);
    // Entries that could not be read are known by the id they have in the file.
    let group_ids: Vec<String> =
        groups.iter().filter_map(|(place, _)| id_in_file(place, &["id", "name"])).collect();
    let token_ids: Vec<String> = tokens
        .iter()
        .flat_map(|(place, _)| {
            let id = id_in_file(place, &["id", "name"]);
            [id, id_in_file(place, &["client_id"])]
        })
        .flatten()
        .collect();
    let known = Known { groups: &group_ids, tokens: tokens_are_ours.then_some(&token_ids) };
    let holders = groups
        .iter()
        .map(|(place, _)| place)
        .chain(applications.iter().flat_map(|read| &read.policies).map(|(place, _)| place));
    for place in holders {
        check_references(reader, place, &known);
    }
    let references_hold = reader.errors.len() == before;
    let read_groups: Vec<Group> = groups
        .iter()
        .filter_map(|(_, group)| group.as_ref())
        .map(|group| without_unknown_groups(group, groups))
        .collect();
    if let Err(error) = Policies::compile(&[], &read_groups) {
        if let PolicyError::Circle { path } = &error {
            report_circle(reader, groups, path, &error);
        } else if references_hold {
            reader.errors.push(super::Problem::new(None, "access.groups", error.to_string()));
        }
        return;
    }
    for read in applications {
        check_policies(reader, read, &read_groups);
    }
}

struct Known<'a> {
    groups: &'a [String],
    /// `None`: tokens are somebody else's, and all may exist.
    tokens: Option<&'a Vec<String>>,
}

fn id_in_file(place: &Place<'_>, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| place.get(key)).and_then(|id| id.node.text().map(str::to_owned))
}

/// The rules of a policy or group: the selector, its key and its value.
fn rules<'t>(place: &Place<'t>) -> impl Iterator<Item = (&'t str, Place<'t>)> {
    ["include", "require", "exclude"]
        .into_iter()
        .filter_map(|list| place.get(list))
        .flat_map(|list| list.items().collect::<Vec<_>>())
        .filter_map(|rule| {
            let selector = rule.node.entries().first()?.key.as_str();
            Some((selector, rule.get(selector)?))
        })
}

fn check_references(reader: &mut Reader, place: &Place<'_>, known: &Known<'_>) {
    for (selector, value) in rules(place) {
        let (key, what, ids) = match (selector, known.tokens) {
            ("group", _) => ("id", "rule group", known.groups),
            ("service_token", Some(tokens)) => ("token_id", "service token", tokens.as_slice()),
            _ => continue,
        };
        let Some(id) = value.get(key) else { continue };
        let Some(text) = id.node.text().filter(|text| !text.is_empty()) else { continue };
        if ids.iter().any(|known| known == text) {
            continue;
        }
        let hint = match closest(text, ids.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if selector == "group" => "define it under `access.groups`".to_owned(),
            None => "define it under `access.service_tokens`".to_owned(),
        };
        let text: String = text.chars().take(80).collect();
        reader.error(&id, format_args!("there is no {what} `{text}`; {hint}"));
    }
}

/// References to groups that were reported already would hide circles.
fn without_unknown_groups(group: &Group, groups: &Entries<'_, Group>) -> Group {
    let readable: HashSet<&str> =
        groups.iter().filter_map(|(_, group)| group.as_ref()).map(Group::id).collect();
    let mut group = group.clone();
    for rules in [&mut group.include, &mut group.require, &mut group.exclude] {
        rules.retain(|rule| match rule {
            Rule::Group(id) => readable.contains(&**id),
            _ => true,
        });
    }
    group
}

fn report_circle(
    reader: &mut Reader,
    groups: &Entries<'_, Group>,
    path: &str,
    error: &PolicyError,
) {
    let first = path.split(" -> ").next().unwrap_or_default();
    let holder = groups
        .iter()
        .find(|(_, group)| group.as_ref().is_some_and(|group| group.id() == first))
        .or_else(|| groups.first());
    if let Some((place, _)) = holder {
        reader.error(place, format_args!("{error}; take one of the references out"));
    }
}

fn check_policies(reader: &mut Reader, read: &ReadApplication<'_>, groups: &[Group]) {
    let policies: Vec<Policy> = read.policies.iter().map(|(_, policy)| policy.clone()).collect();
    if Policies::compile(&policies, groups).is_ok() {
        return;
    }
    // Unknown groups, ids and precedences have been reported where they stand.
    for (place, policy) in &read.policies {
        if let Err(error) = Policies::compile(std::slice::from_ref(policy), groups)
            && let PolicyError::IdentityRule { selector, .. } = &error
        {
            let at = rules(place)
                .find(|(found, _)| found == selector)
                .map(|(_, value)| value)
                .or_else(|| place.get("decision"))
                .unwrap_or_else(|| place.clone());
            reader.error(&at, error);
        }
    }
}

fn check_ids(
    reader: &mut Reader,
    applications: &[ReadApplication<'_>],
    groups: &Entries<'_, Group>,
    tokens: &Entries<'_, ServiceToken>,
) {
    let written = |place: &Place<'_>, key: &str| {
        let place = place.get(key).unwrap_or_else(|| place.clone());
        Located { value: (), at: place.at(), key: place.path }
    };
    let id_of =
        |place: &Place<'_>| written(place, if place.get("id").is_some() { "id" } else { "name" });
    let ids = applications.iter().map(|read| {
        let key = if read.place.get("id").is_some() { "id" } else { "domain" };
        (read.application.id.to_string(), written(&read.place, key))
    });
    // Two applications with one destination get one id; that is said better there.
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
    let good = || tokens.iter().filter_map(|(place, token)| Some((place, token.as_ref()?)));
    let token_ids = good().map(|(place, token)| (token.token_id().to_owned(), id_of(place)));
    unique(reader, token_ids, "two service tokens have the id");
    let client_ids =
        good().map(|(place, token)| (token.client_id.to_string(), written(place, "client_id")));
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

/// The line of an earlier entry with the same value.
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
                        "`{}` belongs to two applications; take it out here or in line {line}",
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

/// Nobody is sent to where they were refused.
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
            if url.as_ref().is_some_and(|url| url.located_by(router) == Some(&number))
                && let Some(value) = read.place.get(key)
            {
                reader.error(
                    &value,
                    "this is an address of the application itself, where nobody gets in who was \
                     refused; write one outside of it",
                );
            }
        }
    }
}
