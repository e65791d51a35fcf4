//! Converts applications.
//!
//! An application with a public host is never left out, because a less specific one would take its
//! place. One that cannot be converted completely stays and refuses everyone.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use url::Url;

use crate::application::Destination;
use crate::application::setting::{SETTINGS, Setting, Support, UNSUPPORTED, Unsupported};
use crate::inspect::relation::overlaps;
use crate::policy::{Decision, Policy, Rule};

use super::document::{ApplicationPolicy, WrittenApplication};
use super::inventory::{Entry, Inventory};
use super::note::{ImportNote, ImportNoteKind};
use super::policy::is_reusable;
use super::refusals::Refusals;
use super::value::{is_off, list};

/// Converts all applications.
pub(super) fn convert_all(
    inventory: &Inventory,
    (policies, login_methods): (&HashMap<&str, Option<Policy>>, &HashSet<&str>),
    refusals: &Refusals,
    notes: &mut Vec<ImportNote>,
) -> Vec<WrittenApplication> {
    let shared = shared_policies(inventory);
    let second_factor = inventory.organizations.iter().any(|organization| {
        organization.fields.get("mfa_required_for_all_apps").is_some_and(|on| !is_off(on))
    });
    let mut written = Vec::new();
    let mut closed: HashMap<String, String> = refusals.applications.clone();
    let mut owners: HashMap<Destination, String> = HashMap::new();
    let mut unreadable: Vec<(String, Option<Destination>)> = Vec::new();
    for entry in inventory.applications.iter() {
        let mut conversion = Conversion { entry, login_methods, refusals, notes };
        let destinations = conversion.destinations(&mut owners, &mut closed, &mut unreadable);
        let Some(destinations) = destinations else { continue };
        if !conversion.is_http() {
            closed.entry(entry.key.clone()).or_insert_with(|| {
                let kind = entry.text("type").unwrap_or_default();
                format!("applications of type `{kind}` are not served here")
            });
        }
        let settings = conversion.settings(&mut closed);
        let only_refusal = if second_factor && !is_without_second_factor(entry) {
            Some("the organization requires a second factor, which is not supported here".into())
        } else {
            settings.only_refusal
        };
        let policies = conversion.policies(policies, &shared, only_refusal);
        written.push(WrittenApplication {
            key: entry.key.clone(),
            id: entry.id().map(str::to_owned),
            name: entry.name().to_owned(),
            settings: settings.written,
            destinations,
            policies,
        });
    }
    // An application that would take the place of an unreadable destination is closed.
    for (application, region) in unreadable {
        for other in written.iter().filter(|other| other.key != application) {
            let takes = other.destinations.iter().any(|destination| match &region {
                Some(region) => overlaps(destination, region).is_some(),
                None => destination.exact_host().is_none(),
            });
            if takes {
                closed.entry(other.key.clone()).or_insert_with(|| {
                    format!(
                        "it would take the place of a destination of `{application}` that cannot \
                             be read"
                    )
                });
            }
        }
    }
    for application in &mut written {
        let Some(reason) = closed.get(&application.key) else { continue };
        if let Some(entry) = inventory.applications.get(&application.key) {
            notes.push(entry.note(
                ImportNoteKind::Closed,
                "",
                format_args!("{reason}; the application was imported and refuses everyone"),
            ));
        }
        application.policies = vec![ApplicationPolicy::Inline(refusal(reason, None))];
    }
    written
}

/// Returns the policies that are written once and linked to.
pub(super) fn shared_policies(inventory: &Inventory) -> HashSet<&str> {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for entry in inventory.applications.iter() {
        let links = list(entry.fields.get("policies")).unwrap_or_default();
        let ids: HashSet<&str> =
            links.iter().filter_map(|link| link.get("id").and_then(Value::as_str)).collect();
        for id in ids {
            *uses.entry(id).or_default() += 1;
        }
    }
    inventory
        .policies
        .iter()
        .filter(|policy| {
            let uses = uses.get(&*policy.key).copied().unwrap_or(0);
            is_reusable(policy) || uses > 1 || uses == 0
        })
        .map(|policy| &*policy.key)
        .collect()
}

/// The conversion of one application.
struct Conversion<'a> {
    entry: &'a Entry,
    /// The ids of the login methods that are written.
    login_methods: &'a HashSet<&'a str>,
    refusals: &'a Refusals,
    notes: &'a mut Vec<ImportNote>,
}

/// The settings that are written.
struct Settings {
    written: Vec<(String, Value)>,
    /// Why a first policy refuses everyone who logs in.
    only_refusal: Option<String>,
}

impl Conversion<'_> {
    fn note(&mut self, kind: ImportNoteKind, key: &str, message: impl std::fmt::Display) {
        self.notes.push(self.entry.note(kind, key, message));
    }

    fn is_http(&self) -> bool {
        matches!(self.entry.text("type"), None | Some("self_hosted"))
    }

    /// Returns the public hosts and paths; `None` if there are none.
    fn destinations(
        &mut self,
        owners: &mut HashMap<Destination, String>,
        closed: &mut HashMap<String, String>,
        unreadable: &mut Vec<(String, Option<Destination>)>,
    ) -> Option<Vec<Destination>> {
        let entry = self.entry;
        if entry.text("type").is_some_and(|kind| TYPES_WITHOUT_HOST.contains(&kind)) {
            let kind = entry.text("type").unwrap_or_default();
            self.note(
                ImportNoteKind::NotCarriedOver,
                "type",
                format_args!(
                    "applications of type `{kind}` do not protect a host of yours; it was left out"
                ),
            );
            return None;
        }
        let mut found: Vec<Destination> = Vec::new();
        for (key, text) in self.written_destinations() {
            match read_destination(&text) {
                Ok((destination, without_port)) => {
                    if without_port {
                        self.note(
                            ImportNoteKind::NotCarriedOver,
                            &key,
                            format_args!(
                                "`{text}`: applications have no ports; the port was left out"
                            ),
                        );
                    }
                    if found.contains(&destination) {
                        continue;
                    }
                    match owners.get(&destination) {
                        Some(owner) => {
                            let reason =
                                format!("`{destination}` also belongs to `{}`", entry.name());
                            closed.entry(owner.clone()).or_insert(reason);
                            self.note(
                                ImportNoteKind::Closed,
                                &key,
                                format_args!(
                                    "`{destination}` also belongs to the application `{owner}`, which \
                                     refuses everyone; remove it from one of the two"
                                ),
                            );
                        }
                        None => {
                            owners.insert(destination.clone(), entry.key.clone());
                            found.push(destination);
                        }
                    }
                }
                Err(region) => {
                    self.note(
                        ImportNoteKind::Closed,
                        &key,
                        format_args!(
                            "`{text}` cannot be read as a host and a path; it was left out, and \
                             applications that would take its place refuse everyone"
                        ),
                    );
                    unreadable.push((entry.key.clone(), region));
                }
            }
        }
        if found.is_empty() {
            self.note(
                ImportNoteKind::NotCarriedOver,
                "destinations",
                "it has no public host of its own; the application was left out",
            );
            return None;
        }
        Some(found)
    }

    /// Returns the public destinations with their keys, the domain first.
    fn written_destinations(&mut self) -> Vec<(String, String)> {
        let entry = self.entry;
        let mut found: Vec<(String, String)> = Vec::new();
        let given = |key: &str| entry.fields.get(key).filter(|value| !is_off(value));
        if let Some(destinations) = given("destinations") {
            for (number, destination) in
                destinations.as_array().map_or(&[][..], Vec::as_slice).iter().enumerate()
            {
                let key = format!("destinations[{number}]");
                let kind = destination.get("type").and_then(Value::as_str).unwrap_or("public");
                let uri = destination.get("uri").and_then(Value::as_str);
                match uri.filter(|_| kind == "public") {
                    Some(uri) => found.push((key, uri.to_owned())),
                    None => self.note(
                        ImportNoteKind::NotCarriedOver,
                        &key,
                        format_args!(
                            "destinations of type `{kind}` are not public hosts; it was left out"
                        ),
                    ),
                }
            }
        } else if let Some(domains) = given("self_hosted_domains") {
            let domains = domains.as_array().map_or(&[][..], Vec::as_slice).iter();
            found.extend(domains.enumerate().filter_map(|(number, domain)| {
                Some((format!("self_hosted_domains[{number}]"), domain.as_str()?.to_owned()))
            }));
        }
        let Some(domain) = entry.text("domain") else { return found };
        let same = |text: &str| match (read_destination(text), read_destination(domain)) {
            (Ok((one, _)), Ok((two, _))) => one == two,
            _ => text == domain,
        };
        if let Some(shown) = found.iter().position(|(_, text)| same(text)) {
            found.swap(0, shown);
        } else if given("destinations").is_none() {
            found.insert(0, ("domain".to_owned(), domain.to_owned()));
        } else {
            self.note(
                ImportNoteKind::NotCarriedOver,
                "domain",
                format_args!("`{domain}` is not among the destinations; it was left out"),
            );
        }
        found
    }

    fn settings(&mut self, closed: &mut HashMap<String, String>) -> Settings {
        let mut settings = Settings { written: Vec::new(), only_refusal: None };
        let entry = self.entry;
        for (key, value) in &entry.fields {
            let key = key.as_str();
            if HANDLED_ELSEWHERE.contains(&key) {
                continue;
            }
            if let Some(setting) = SETTINGS.iter().find(|it| it.is_cloudflares && it.key == key) {
                if is_default(setting, value) {
                    continue;
                }
                if key == "allowed_idps" {
                    self.login_methods(value, &mut settings);
                } else {
                    self.setting(key, value, setting.without, &mut settings);
                }
                continue;
            }
            match UNSUPPORTED.iter().find(|setting| setting.key == key) {
                Some(setting) if is_switched_off(setting, value) => {}
                Some(Unsupported { support: Support::Ignored(reason), off: Some(_), .. }) => {
                    self.note(ImportNoteKind::NotCarriedOver, key, reason);
                }
                Some(Unsupported { support: Support::Ignored(_), .. }) => {}
                Some(Unsupported {
                    support:
                        Support::DependsOnHosts { without }
                        | Support::Refused { without: Some(without), .. },
                    ..
                }) => self.setting(key, value, without, &mut settings),
                Some(Unsupported { support: Support::Refused { without: None, .. }, .. }) => {
                    let reason = "a second factor is required, which is not supported here";
                    settings.only_refusal = Some(reason.to_owned());
                }
                None if is_off(value) => {}
                None => {
                    closed.entry(entry.key.clone()).or_insert_with(|| {
                        format!(
                            "its setting `{key}` is unknown and may restrict access: remove it from \
                             the export if it does not, and import again"
                        )
                    });
                }
            }
        }
        settings.written.sort_by_key(|(key, _)| {
            SETTINGS.iter().position(|setting| setting.key == key).unwrap_or(usize::MAX)
        });
        settings
    }

    /// Copies a setting, unless the reader of the file refuses it.
    fn setting(&mut self, key: &str, value: &Value, without: &str, settings: &mut Settings) {
        match self.refused(key) {
            Some(reason) => self.note(
                ImportNoteKind::NotCarriedOver,
                key,
                format_args!("{reason}; it was left out: {without}"),
            ),
            None => settings.written.push((key.to_owned(), value.clone())),
        }
    }

    fn refused(&self, key: &str) -> Option<String> {
        self.refusals.settings.get(&(self.entry.key.clone(), key.to_owned())).cloned()
    }

    /// An application that accepts no login method that exists here lets nobody log in.
    fn login_methods(&mut self, value: &Value, settings: &mut Settings) {
        let ids: Vec<&str> =
            list(Some(value)).unwrap_or_default().iter().filter_map(Value::as_str).collect();
        let known: Vec<&str> =
            ids.iter().copied().filter(|id| self.login_methods.contains(id)).collect();
        if known.is_empty() {
            settings.only_refusal = Some(
                "it only accepts login methods (`allowed_idps`) that do not exist here, or whose export \
                 is not among the files"
                    .to_owned(),
            );
        } else if let Some(reason) = self.refused("allowed_idps") {
            settings.only_refusal = Some(format!("`allowed_idps`: {reason}"));
        } else {
            if known.len() < ids.len() {
                self.note(
                    ImportNoteKind::NotCarriedOver,
                    "allowed_idps",
                    "login methods that do not exist here were left out",
                );
            }
            let known = known.into_iter().map(Value::from).collect();
            settings.written.push(("allowed_idps".to_owned(), known));
        }
    }

    fn policies(
        &mut self,
        converted: &HashMap<&str, Option<Policy>>,
        shared: &HashSet<&str>,
        only_refusal: Option<String>,
    ) -> Vec<ApplicationPolicy> {
        let entry = self.entry;
        let Some(links) = list(entry.fields.get("policies")) else {
            self.note(
                ImportNoteKind::Closed,
                "policies",
                "not a list of policies: nobody is admitted",
            );
            return Vec::new();
        };
        let is_exported = entry.fields.get("policies").is_some_and(|policies| !policies.is_null());
        if !is_exported && self.is_http() {
            self.note(
                ImportNoteKind::Closed,
                "policies",
                "they are missing, so nobody is admitted; export the application with its policies",
            );
        }
        let mut seen = HashSet::new();
        let mut found: Vec<(Option<u64>, usize, ApplicationPolicy, Decision)> = Vec::new();
        for (number, link) in links.iter().enumerate() {
            let id = link.get("id").and_then(Value::as_str);
            let precedence = link.get("precedence").and_then(Value::as_u64);
            let policy = match id.and_then(|id| Some((id, converted.get(id)?))) {
                Some((id, _)) if !seen.insert(id) => continue,
                Some((_, None)) => continue,
                Some((id, Some(policy))) if shared.contains(id) => {
                    let (id, name) = (policy.id().to_owned(), policy.name.to_string());
                    let decision = policy.decision;
                    let link = ApplicationPolicy::Link { id, name, precedence: None };
                    (link, decision)
                }
                Some((_, Some(policy))) => {
                    (ApplicationPolicy::Inline(policy.clone()), policy.decision)
                }
                None => {
                    let id = id.unwrap_or("?");
                    self.note(
                        ImportNoteKind::Closed,
                        &format!("policies[{number}]"),
                        format_args!(
                            "the policy `{id}` is not in these files; a policy that refuses everyone \
                             replaces it: add the response of `/access/policies`"
                        ),
                    );
                    let reason = format!("policy {id} was not exported");
                    (ApplicationPolicy::Inline(refusal(&reason, Some(number))), Decision::Deny)
                }
            };
            found.push((precedence, number, policy.0, policy.1));
        }
        self.order(found, only_refusal)
    }

    /// Gives each policy its precedence, in order.
    fn order(
        &mut self,
        mut found: Vec<(Option<u64>, usize, ApplicationPolicy, Decision)>,
        only_refusal: Option<String>,
    ) -> Vec<ApplicationPolicy> {
        let mut distinct = HashSet::new();
        let precedences = || found.iter().filter_map(|(precedence, ..)| *precedence);
        let in_range =
            precedences().all(|precedence| (1..u64::from(u32::MAX)).contains(&precedence));
        let all_differ = precedences().all(|precedence| distinct.insert(precedence));
        let keeps = in_range && all_differ && precedences().count() == found.len();
        let place = |precedence: Option<u64>, number: usize| {
            precedence
                .unwrap_or_else(|| u64::try_from(number).unwrap_or(u64::MAX).saturating_add(1))
        };
        // If two have the same precedence, the one that refuses goes first.
        found.sort_by_key(|(precedence, number, _, decision)| {
            (place(*precedence, *number), *decision != Decision::Deny, *number)
        });
        if !all_differ {
            self.note(
                ImportNoteKind::NotCarriedOver,
                "policies",
                "two have the same precedence; policies that refuse go first",
            );
        }
        let shift = u32::from(only_refusal.is_some());
        let mut written: Vec<ApplicationPolicy> = Vec::new();
        if let Some(reason) = only_refusal {
            self.note(
                ImportNoteKind::Closed,
                "",
                format_args!(
                    "{reason}; the first policy refuses everyone who logs in: remove it if the others \
                     should apply nevertheless"
                ),
            );
            let mut first = refusal(&reason, None);
            first.precedence = Some(1);
            written.push(ApplicationPolicy::Inline(first));
        }
        for (number, (precedence, _, mut policy, _)) in found.into_iter().enumerate() {
            let own = precedence.filter(|_| keeps).and_then(|own| u32::try_from(own).ok());
            let own = own.unwrap_or_else(|| u32::try_from(number).unwrap_or(u32::MAX - 2) + 1);
            policy.set_precedence(own + shift);
            written.push(policy);
        }
        written
    }
}

fn refusal(reason: &str, number: Option<usize>) -> Policy {
    let number = number.map_or_else(String::new, |number| format!(" {}", number + 1));
    let reason: String = reason.chars().take(200).collect();
    Policy::deny(format!("Closed by the import{number}: {reason}")).include(Rule::Everyone)
}

/// Returns the destination, and whether it was written with a port; otherwise the part that can be read,
/// a host and the beginning of a path.
fn read_destination(text: &str) -> Result<(Destination, bool), Option<Destination>> {
    let (host, path) = match text.find('/') {
        Some(slash) if !text.contains("://") => text.split_at(slash),
        _ => (text, ""),
    };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            (name, true)
        }
        _ => (host, false),
    };
    let name = if name.is_ascii() {
        name.to_owned()
    } else {
        // As browsers write it in requests.
        let url = Url::parse(&format!("https://{name}/")).ok();
        url.as_ref().and_then(Url::host_str).unwrap_or(name).to_owned()
    };
    if let Ok(destination) = format!("{name}{path}").parse() {
        return Ok((destination, port));
    }
    let mut known: Option<Destination> = name.parse().ok();
    if known.is_some() {
        let mut beginning = String::new();
        for segment in path.split('/').skip(1) {
            beginning.push('/');
            beginning.push_str(segment);
            match format!("{name}{beginning}").parse::<Destination>() {
                Ok(longer) if !segment.contains('*') => known = Some(longer),
                _ => break,
            }
        }
    }
    Err(known)
}

/// Whether a value switches an unsupported setting off.
fn is_switched_off(setting: &Unsupported, value: &Value) -> bool {
    let is_off_field = |(field, off): (&str, bool)| value.get(field) == Some(&Value::Bool(off));
    is_off(value) || setting.off.is_some_and(is_off_field)
}

/// Whether a value has the same effect as omitting the setting.
fn is_default(setting: &Setting, value: &Value) -> bool {
    // Of a switch that is on by default, `false` is the value to carry over.
    match setting.default {
        "true" => *value != Value::Bool(false),
        _ => is_off(value),
    }
}

fn is_without_second_factor(entry: &Entry) -> bool {
    let config = entry.fields.get("mfa_config");
    config.and_then(|config| config.get("mfa_disabled")) == Some(&Value::Bool(true))
}

/// Types of applications without a host of their own, or whose host is the login's.
const TYPES_WITHOUT_HOST: &[&str] =
    &["saas", "bookmark", "app_launcher", "warp", "biso", "dash_sso", "infrastructure", "end_user"];

/// Keys that other functions convert, or that do not affect requests.
const HANDLED_ELSEWHERE: &[&str] = &[
    "id",
    "uid",
    "name",
    "type",
    "domain",
    "domain_type",
    "destinations",
    "self_hosted_domains",
    "policies",
    "account_id",
    "zone_id",
    "zone_name",
    "app_launcher_logo_url",
    "bg_color",
    "header_bg_color",
    "footer_links",
    "landing_page_design",
    "skip_app_launcher_login_page",
];
